"""Checkpoints: the ledger's memory at one sequence, kept beside the journal so that a start replays only the tail.

First what is settled is put away (``state.away``), a block at a time, so that what is left is small whatever the history is.
The rest is taken under the ledger's lock and becomes valid only when ArcticDB holds everything up to its sequence; then the
journal in front of the checkpoint *before* it may go: should this one turn out to be unreadable, that one still leads on.

Both are work that a burst can do without: all threads share one interpreter, and putting a fill away costs a fifth of all
that is done with it. So while books or store are behind, more may stay in memory and the journal may grow longer. What a
burst has left over is put away as soon as everything is stored.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from engine.errors import StorageError
from engine.state.putaway import Keep

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.pipeline.keeper import BookKeeper
    from engine.pipeline.writer import StoreWriter
    from engine.ports import Clock
    from engine.state.ledger import Ledger
    from engine.storage.history import History
    from engine.storage.journal import SqliteJournal

log = logging.getLogger(__name__)

_MOST_IN_MEMORY = 16_000
"""Executions and orders beyond which some are put away, checkpoint or not, when everything is booked and stored."""
_MOST_IN_A_BURST = 32_000
"""The same while books or store are behind: then the books' own thread does it between two slices. It is 16,000 fills with
an order each, some 50 MB. Facts that wait for the books in memory take a third of that each, and leave so much less."""
_FACTS_AS_ONE = 3
_LONGER_IN_A_BURST = 1.5
"""How many times as many facts may lie behind the last checkpoint meanwhile; a start reads them back in a second."""
_MORE = 1.25
"""By how much memory grows over what could not be put away before that is tried again: a try looks at all of it."""
_SLICE_S = 0.002
_STOPPED = Keep(executions=2_000, smallest=1)
"""What stays for the next start to read: less than while trading, and as much whenever the stop comes."""
_PAUSE_S = 0.0005
_REST_S = 30.0


class _Going:
    """One walk over everything in memory that puts away what may go, with pauses in which the books go on.

    Attributes:
        left: How many of the executions and orders that were there at the beginning have not gone.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Begin."""
        self._steps = ledger.put_away()
        self.left = ledger.in_memory

    def on(self) -> bool:
        """Put away for a moment, under the ledger's lock; False at the end."""
        end = time.perf_counter() + _SLICE_S
        for gone in self._steps:
            self.left -= gone
            if time.perf_counter() > end:
                return True
        return False


class Checkpointer:
    """Runs in the writer's thread between batches."""

    def __init__(
        self,
        keeper: BookKeeper,
        writer: StoreWriter,
        journal: SqliteJournal,
        history: History,
        clock: Clock,
        *,
        every_s: float = 60.0,
        every_facts: int = 50_000,
    ) -> None:
        """Wire the parts.

        Args:
            every_s: Seconds between checkpoints while anything has changed.
            every_facts: Facts after which one is due earlier.
        """
        self._keeper = keeper
        self._writer = writer
        self._journal = journal
        self._history = history
        self._clock = clock
        self._every_s = every_s
        self._every_facts = every_facts
        self._pending: tuple[int, bytes] | None = None
        self.last_seq = keeper.seq
        self._last_at = clock.monotonic()
        self._going: _Going | None = None
        self._most = float(_MOST_IN_MEMORY)
        self._not_before = 0.0
        self.trouble = ""
        keeper.after_slice = self.keep_up

    def keep_up(self) -> None:
        """Put away for a moment when there is too much in memory; called in the books' thread, under its lock."""
        ledger = self._keeper.ledger
        most = max(self._most, _MOST_IN_A_BURST - self._keeper.waiting // _FACTS_AS_ONE)
        if ledger.in_memory <= most or self._clock.monotonic() < self._not_before:
            return
        if self._going is None:
            self._going = _Going(ledger)
        try:
            if not self._going.on():
                self._learn(self._going)
                self._going = None
        except StorageError as error:
            self._going = None
            self._wait(error)

    def _learn(self, over: _Going) -> None:
        """Know how much could not be put away: nothing is tried again before there is a good deal more of it."""
        self._most = max(_MOST_IN_MEMORY, _MORE * over.left)

    @property
    def _behind(self) -> bool:
        """True while facts wait to be booked or stored."""
        return self._keeper.backlog > 0 or self._writer.stored_seq < self._keeper.seq

    def _wait(self, error: StorageError) -> None:
        """Leave the disk alone for a while; nothing is lost by it, the journal keeps everything meanwhile."""
        log.error("no checkpoint, and nothing leaves memory, for a while: %s", error)
        self.trouble = f"no checkpoint, the journal grows: {error}"
        self._not_before = self._clock.monotonic() + _REST_S

    def __call__(self) -> None:
        """Take a checkpoint when one is due, and make a taken one valid when the store has caught up.

        What the disk refuses is told (``trouble``) and tried again later: it is not the store's fault, which goes on.
        """
        if self._clock.monotonic() < self._not_before:
            return
        try:
            if self._pending is None:
                if self._due():
                    self.take()
                elif self._left_over() and self.put_away(in_the_way=lambda: self._behind):
                    self._freeze()
            if self._pending is not None and self._writer.stored_seq >= self._pending[0]:
                self.commit()
        except StorageError as error:
            self._wait(error)

    def _due(self) -> bool:
        new = self._keeper.seq - self.last_seq
        most = self._every_facts * (_LONGER_IN_A_BURST if self._behind else 1)
        return new >= most or (new > 0 and self._clock.monotonic() - self._last_at >= self._every_s)

    def _left_over(self) -> bool:
        """True when a burst is over and has left more in memory than should stay there."""
        return not self._behind and self._keeper.ledger.in_memory > self._most

    def take(self) -> None:
        """Put away what is settled, and freeze the rest of the ledger's memory now."""
        self.put_away()
        self._freeze()

    def _freeze(self) -> None:
        with self._keeper.lock:
            taken = (self._keeper.ledger.seq, self._keeper.ledger.dump())
            self._history.turn()
        self._history.flush()
        self._pending = taken  # not before what it counts on is durable

    def put_away(self, *, in_the_way: Callable[[], bool] = lambda: False) -> bool:
        """Let what is settled leave memory, in slices between which the books go on.

        Args:
            in_the_way: True when the rest is to be left for later.

        Returns:
            False when something was left.
        """
        going, more = _Going(self._keeper.ledger), True
        while more:
            if in_the_way():
                return False
            with self._keeper.lock:
                more = going.on()
            time.sleep(_PAUSE_S)
        self._learn(going)
        return True

    def commit(self) -> None:
        """Write the taken checkpoint and let the journal in front of it go."""
        if self._pending is None:
            return
        seq, blob = self._pending
        self._journal.checkpoint(seq, blob)
        self._journal.prune(self.last_seq)
        self._pending = None
        self.last_seq = seq
        self._last_at = self._clock.monotonic()
        self.trouble = ""
        log.info("checkpoint at %d: %d bytes", seq, len(blob))

    def final(self) -> None:
        """Take and write one at the end of a clean stop, when everything is stored."""
        if self._keeper.seq <= self.last_seq:
            return
        try:
            with self._keeper.lock:
                for _ in self._keeper.ledger.put_away(_STOPPED):
                    pass
            self.take()
            if self._pending is not None and self._writer.stored_seq >= self._pending[0]:
                self.commit()
        except StorageError as error:
            log.warning("no last checkpoint, the next start replays more of the journal: %s", error)
