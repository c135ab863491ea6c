"""The door for facts: any thread hands over, the journal makes them durable, the books take them.

A strategy's ``put`` is fire and forget: if the journal's disk refuses, the facts are kept here and offered again every
second until they are accepted, and health says so. ``accept`` is for callers that want to know.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from engine.errors import FillbookError, StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from engine.core.events import AnyFact
    from engine.pipeline.keeper import BookKeeper
    from engine.ports import Journal

log = logging.getLogger(__name__)

_RETRY_S = 1.0


class Intake:
    """Hands facts to the journal and knows what has become of them."""

    def __init__(self, journal: Journal, keeper: BookKeeper) -> None:
        """Wire the parts."""
        self._journal = journal
        self._keeper = keeper
        self._refused: deque[Sequence[AnyFact]] = deque()
        self._retry_lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self.refusal: str = ""
        self.closed = False

    @property
    def waiting(self) -> int:
        """Groups of facts that the journal's disk has refused and that are offered again."""
        return len(self._refused)

    def put(self, facts: Sequence[AnyFact]) -> Future[int]:
        """Hand over facts without waiting; they are kept and offered again if the journal refuses."""
        future = self._journal.submit(facts)
        future.add_done_callback(lambda done: self._check(done, facts))
        return future

    def _check(self, done: Future[int], facts: Sequence[AnyFact]) -> None:
        error = done.exception()
        if error is None:
            return
        self.refusal = str(error)
        log.error("the journal refused facts, they are kept in memory and offered again: %s", error)
        with self._retry_lock:
            self._refused.append(facts)
            self._arm()

    def _arm(self) -> None:
        if self._timer is None and not self.closed:
            self._timer = threading.Timer(_RETRY_S, self._retry)
            self._timer.daemon = True
            self._timer.start()

    def _retry(self) -> None:
        with self._retry_lock:
            self._timer = None
        while self._refused:
            facts = self._refused[0]
            try:
                self._journal.submit(facts).result(30)
            except (StorageError, TimeoutError) as error:
                self.refusal = str(error)
                with self._retry_lock:
                    self._arm()
                return
            self._refused.popleft()
        self.refusal = ""

    async def drained(self) -> None:
        """Return when everything submitted before this call is in the books (or the books are paused)."""
        await self.accept([])

    async def accept(self, facts: Sequence[AnyFact]) -> int:
        """Return when the facts are durable and in the books; from any event loop.

        While the store is away and the books are paused, durable alone is enough.

        Returns:
            Sequence of the last fact.

        Raises:
            StorageError: The journal refused; nothing was accepted.
        """
        seq = await asyncio.wrap_future(self._journal.submit(facts))
        if self._keeper.seq >= seq:
            return seq
        while not await asyncio.to_thread(self._keeper.wait_applied, seq, 0.5):
            if self._keeper.failure is not None:
                raise FillbookError(f"durable in the journal, but the books have failed: {self._keeper.failure}")
            if self._keeper.paused:
                return seq
        return seq

    def close(self) -> None:
        """Offer what was refused one last time; what is still refused is logged as a count.

        Raises:
            StorageError: Facts are still refused by the journal's disk.
        """
        self.closed = True
        with self._retry_lock:
            if self._timer is not None:
                self._timer.cancel()
        while self._refused:
            self._journal.submit(self._refused[0]).result(30)
            self._refused.popleft()
