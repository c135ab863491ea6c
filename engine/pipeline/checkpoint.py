"""Checkpoints: the ledger's memory at one sequence, kept beside the journal so that a start replays only the tail.

First what is settled is put away (``state.away``), a block at a time, so that what is left is small whatever the history is.
The rest is taken under the ledger's lock and becomes valid only when ArcticDB holds everything up to its sequence; then the
journal in front of the checkpoint *before* it may go: should this one turn out to be unreadable, that one still leads on.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from engine.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.pipeline.keeper import BookKeeper
    from engine.pipeline.writer import StoreWriter
    from engine.ports import Clock
    from engine.storage.history import History
    from engine.storage.journal import SqliteJournal

log = logging.getLogger(__name__)

_MOST_IN_MEMORY = 16_000
"""Executions and orders beyond which the books' own thread puts some away between two slices, checkpoint or not."""
_MORE = 1.25
"""By how much memory grows over what could not be put away before that is tried again: a try looks at all of it."""
_SLICE_S = 0.002
_PAUSE_S = 0.0005
_REST_S = 30.0


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
        self._steps: Iterator[int] | None = None
        self._most = float(_MOST_IN_MEMORY)
        self._not_before = 0.0
        self.trouble = ""
        keeper.after_slice = self.keep_up

    def keep_up(self) -> None:
        """Put away for a moment when there is too much in memory; called in the books' thread, under its lock."""
        ledger = self._keeper.ledger
        if self._steps is None:
            if ledger.in_memory <= self._most or self._clock.monotonic() < self._not_before:
                return
            self._steps = ledger.put_away()
        try:
            if not self._step(self._steps):
                self._steps = None
                self._most = max(_MOST_IN_MEMORY, _MORE * ledger.in_memory)
        except StorageError as error:
            self._steps = None
            self._wait(error)

    def _wait(self, error: StorageError) -> None:
        """Leave the disk alone for a while; nothing is lost by it, the journal keeps everything meanwhile."""
        log.error("no checkpoint, and nothing leaves memory, for a while: %s", error)
        self.trouble = f"no checkpoint, the journal grows: {error}"
        self._not_before = self._clock.monotonic() + _REST_S

    @staticmethod
    def _step(steps: Iterator[int]) -> bool:
        """Put away for a moment; False at the end."""
        end = time.perf_counter() + _SLICE_S
        while next(steps, None) is not None:
            if time.perf_counter() > end:
                return True
        return False

    def __call__(self) -> None:
        """Take a checkpoint when one is due, and make a taken one valid when the store has caught up.

        What the disk refuses is told (``trouble``) and tried again later: it is not the store's fault, which goes on.
        """
        if self._clock.monotonic() < self._not_before:
            return
        try:
            if self._pending is None and self._due():
                self.take()
            if self._pending is not None and self._writer.stored_seq >= self._pending[0]:
                self.commit()
        except StorageError as error:
            self._wait(error)

    def _due(self) -> bool:
        new = self._keeper.seq - self.last_seq
        return new >= self._every_facts or (new > 0 and self._clock.monotonic() - self._last_at >= self._every_s)

    def take(self) -> None:
        """Put away what is settled, and freeze the rest of the ledger's memory now."""
        self.put_away()
        with self._keeper.lock:
            taken = (self._keeper.ledger.seq, self._keeper.ledger.dump())
            self._history.turn()
        self._history.flush()
        self._pending = taken  # not before what it counts on is durable

    def put_away(self) -> None:
        """Let what is settled leave memory, in slices between which the books go on."""
        steps, more = self._keeper.ledger.put_away(), True
        while more:
            with self._keeper.lock:
                more = self._step(steps)
            time.sleep(_PAUSE_S)

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
            self.take()
            if self._pending is not None and self._writer.stored_seq >= self._pending[0]:
                self.commit()
        except StorageError as error:
            log.warning("no last checkpoint, the next start replays more of the journal: %s", error)
