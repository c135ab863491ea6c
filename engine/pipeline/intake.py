"""The door for facts: any thread hands over, the journal makes them durable, the books take them.

A strategy's ``put`` is fire and forget: if the journal's disk refuses, the facts are kept here and offered again every
second until they are accepted, and health says so. A fact that cannot be written down at all is put into quarantine, and
what was put with it is accepted. ``accept`` is for callers that want to know.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from engine.errors import FillbookError, NotWritable, StorageError
from engine.pipeline.messages import set_aside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.core.events import AnyFact
    from engine.pipeline.keeper import BookKeeper
    from engine.ports import Journal
    from engine.receipt import Receipt

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_ANSWER_S = 30.0
_LOOK_EVERY = 64
_GLANCE_S = 0.05
"""How long a caller waits for books that may be paused before it looks whether they are."""


class Intake:
    """Hands facts to the journal and knows what has become of them."""

    def __init__(self, journal: Journal, keeper: BookKeeper) -> None:
        """Wire the parts."""
        self._journal = journal
        self._keeper = keeper
        self._refused: deque[Sequence[AnyFact]] = deque()
        self._offered: Receipt | None = None
        self._flying: deque[Receipt] = deque()
        self._sweeping = threading.Lock()
        self._timing = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._timer: threading.Timer | None = None
        self.refusal: str = ""
        self.closed = False

    @property
    def waiting(self) -> int:
        """Groups of facts that the journal's disk has refused and that are offered again."""
        return len(self._refused)

    def put(self, facts: Sequence[AnyFact]) -> Receipt:
        """Hand over facts without waiting; they are kept and offered again if the journal refuses."""
        receipt = self._journal.submit(facts, self._keep)
        self._flying.append(receipt)
        if not len(self._flying) % _LOOK_EVERY and self._sweeping.acquire(blocking=False):
            try:
                while self._flying and self._flying[0].done():
                    self._flying.popleft()
            finally:
                self._sweeping.release()
        return receipt

    def _keep(self, receipt: Receipt) -> None:
        """The journal refused: called in its thread, submissions in order."""
        if isinstance(receipt.error, NotWritable) and (facts := set_aside(receipt.facts)) is not None:
            self._flying.append(self._journal.submit(facts, self._keep))
            return
        with self._timing:
            self.refusal = str(receipt.error)
            self._refused.append(receipt.facts)
            self._arm()
        kept = "they are not accepted" if self.closed else "they are kept in memory and offered again"
        log.error("the journal refused facts, %s: %s", kept, receipt.error)

    def _arm(self) -> None:
        """Try again in a while; called under ``_timing``."""
        if self._timer is None and not self.closed:
            self._timer = threading.Timer(_RETRY_S, self._retry)
            self._timer.daemon = True
            self._timer.start()

    def _retry(self) -> None:
        try:
            self._offer_again()
        except (StorageError, TimeoutError) as error:
            self.refusal = str(error) or "the journal does not answer"
            refused = True
        else:
            refused = False
        with self._timing:
            self._timer = None
            if refused or self._refused:
                self._arm()
            else:
                self.refusal = ""

    def _offer_again(self) -> None:
        """Offer what was refused, oldest first; by one thread at a time, or two would offer one and drop another.

        Raises:
            StorageError: Refused again; it and what follows is kept.
            TimeoutError: The journal does not answer; what was offered is waited for again the next time.
        """
        with self._one_at_a_time:
            while self._refused:
                if self._offered is None:
                    self._offered = self._journal.submit(self._refused[0])
                try:
                    self._offered.result(_ANSWER_S)
                except NotWritable:
                    self._offered, facts = None, set_aside(self._refused[0])
                    if facts is None:
                        raise
                    self._refused[0] = facts
                    continue
                except StorageError:
                    self._offered = None
                    raise
                self._offered = None
                self._refused.popleft()

    async def drained(self) -> None:
        """Return when everything submitted before this call is in the books (or the books are paused)."""
        await self.accept([])

    async def accept(self, facts: Sequence[AnyFact]) -> int:
        """Return when the facts are durable and in the books; from any event loop.

        While the store is away and the books are paused, or when they have been closed meanwhile, durable alone is
        enough.

        Returns:
            Sequence of the last fact.

        Raises:
            StorageError: The journal refused; nothing was accepted.
        """
        seq = await self._durable(facts)
        if self._keeper.seq >= seq:
            return seq
        while not await asyncio.to_thread(self._keeper.wait_applied, seq, _GLANCE_S):
            if self._keeper.failure is not None:
                raise FillbookError(f"durable in the journal, but the books have failed: {self._keeper.failure}")
            if self._keeper.paused or self._keeper.ended:
                return seq
        return seq

    async def _durable(self, facts: Sequence[AnyFact]) -> int:
        """Submit and wait on this loop.

        Raises:
            JournalFull: The journal refused.
        """
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        receipt = self._journal.submit(facts)
        receipt.add_done_callback(lambda _: _wake(loop, told))
        await told.wait()
        return receipt.result()

    def close(self) -> None:
        """Offer what was refused one last time; what is still refused is logged as a count.

        Raises:
            StorageError: Facts are still refused by the journal's disk.
        """
        with self._timing:
            self.closed = True
            if self._timer is not None:
                self._timer.cancel()
        try:
            # What is on its way may be refused yet, and nobody would offer it again.
            for receipt in list(self._flying):
                receipt.exception(_ANSWER_S)
            self._offer_again()
        except TimeoutError as error:
            raise StorageError("the journal does not answer; facts that were put are not durable") from error
        finally:
            if self._refused:
                log.critical("%d groups of facts are lost: the journal refuses them", len(self._refused))


def _wake(loop: asyncio.AbstractEventLoop, told: asyncio.Event) -> None:
    """Tell a loop's task from the journal's thread; a loop that was closed meanwhile has nobody left to tell."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(told.set)
