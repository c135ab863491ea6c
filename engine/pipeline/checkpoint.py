"""Checkpoints: the ledger's memory at one sequence, kept beside the journal so that a start replays only the tail.

A checkpoint is taken under the ledger's lock and becomes valid only when ArcticDB holds everything up to its sequence;
then the journal in front of it may go. Until that moment the former checkpoint and the longer journal stay.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.pipeline.keeper import BookKeeper
    from engine.pipeline.writer import StoreWriter
    from engine.ports import Clock
    from engine.storage.journal import SqliteJournal

log = logging.getLogger(__name__)


class Checkpointer:
    """Runs in the writer's thread between batches."""

    def __init__(
        self,
        keeper: BookKeeper,
        writer: StoreWriter,
        journal: SqliteJournal,
        clock: Clock,
        *,
        every_s: float = 60.0,
        every_facts: int = 200_000,
    ) -> None:
        """Wire the parts.

        Args:
            every_s: Seconds between checkpoints while anything has changed.
            every_facts: Facts after which one is due earlier.
        """
        self._keeper = keeper
        self._writer = writer
        self._journal = journal
        self._clock = clock
        self._every_s = every_s
        self._every_facts = every_facts
        self._pending: tuple[int, bytes] | None = None
        self.last_seq = keeper.seq
        self._last_at = clock.monotonic()

    def __call__(self) -> None:
        """Take a checkpoint when one is due, and make a taken one valid when the store has caught up."""
        if self._pending is None and self._due():
            self.take()
        if self._pending is not None and self._writer.stored_seq >= self._pending[0]:
            self.commit()

    def _due(self) -> bool:
        new = self._keeper.seq - self.last_seq
        return new >= self._every_facts or (new > 0 and self._clock.monotonic() - self._last_at >= self._every_s)

    def take(self) -> None:
        """Freeze the ledger's memory now."""
        with self._keeper.lock:
            self._pending = (self._keeper.ledger.seq, self._keeper.ledger.dump())

    def commit(self) -> None:
        """Write the taken checkpoint and let the journal in front of it go."""
        if self._pending is None:
            return
        seq, blob = self._pending
        self._journal.checkpoint(seq, blob)
        self._journal.prune(seq)
        self._pending = None
        self.last_seq = seq
        self._last_at = self._clock.monotonic()
        log.info("checkpoint at %d: %d bytes", seq, len(blob))

    def final(self) -> None:
        """Take and write one at the end of a clean stop, when everything is stored."""
        if self._keeper.seq > self.last_seq:
            self.take()
            if self._pending is not None and self._writer.stored_seq >= self._pending[0]:
                self.commit()
