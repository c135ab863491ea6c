"""Records between the books and ArcticDB, bounded.

The books thread adds while it holds the ledger's lock, so what is taken together with a ledger snapshot is exactly what
that snapshot has produced. When the store is away the outbox fills to its limit; then the books pause and the facts stay
in the journal on disk, where there is room (no unbounded memory, nothing lost).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from engine.core.records import FillRecord, OrderRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.state.changes import Changes

Symbol = tuple[str, str]
R = TypeVar("R", FillRecord, OrderRecord)


def number_of(row: Any) -> int:
    """Journal sequence of a record, or of a pair (sequence, fact)."""
    return int(row[0] if isinstance(row, tuple) else row.seq)


def by_strategy(records: Sequence[R]) -> dict[str, list[R]]:
    """Records in their order, by strategy."""
    found: dict[str, list[R]] = {}
    for record in records:
        rows = found.get(record.strategy)
        if rows is None:
            found[record.strategy] = [record]
        else:
            rows.append(record)
    return found


def _drop_said(rows: list[FillRecord], start: int) -> None:
    """Leave out rows that the next one makes needless: an execution whose fee came in one message with it.

    Same execution, same state and the same moment, so that no table of any moment could show the former alone.

    Args:
        start: Rows from here on are new.
    """
    place = start - 1
    for record in rows[start:]:
        before = rows[place]
        if record.fill is not before.fill or record.state != before.state or record.recorded_at != before.recorded_at:
            place += 1
        rows[place] = record
    del rows[place + 1 :]


class Batch(msgspec.Struct):
    """What one flush has to store.

    Attributes:
        seq: Journal sequence up to which this batch completes every symbol it touches.
        rows: (library, symbol) -> records in order; what a record is depends on the library.
        dirty: Strategies whose positions snapshot must be written again.
    """

    seq: int = 0
    rows: dict[Symbol, list[Any]] = {}
    dirty: set[str] = set()

    @property
    def size(self) -> int:
        """Number of records."""
        return sum(len(rows) for rows in self.rows.values())

    @property
    def empty(self) -> bool:
        """True when there is nothing to store."""
        return not self.rows and not self.dirty

    def merge(self, later: Batch) -> None:
        """Add a later batch behind this one; what a symbol has already, from a refill out of memory, is left out."""
        self.seq = max(self.seq, later.seq)
        for symbol, rows in later.rows.items():
            known = self.rows.setdefault(symbol, [])
            if known and rows and number_of(rows[0]) <= (last := number_of(known[-1])):
                known += [row for row in rows if number_of(row) > last]
            else:
                known += rows
        self.dirty |= later.dirty

    def leave_out(self, other: Batch) -> None:
        """Forget records that another batch holds too: of its symbols, those up to its last number."""
        for symbol in self.rows.keys() & other.rows.keys():
            last = number_of(other.rows[symbol][-1])
            self.rows[symbol] = [row for row in self.rows[symbol] if number_of(row) > last]
            if not self.rows[symbol]:
                del self.rows[symbol]


class Outbox:
    """Gathers records per symbol until the writer takes them."""

    def __init__(self, limit: int = 20_000) -> None:
        """Make an empty outbox.

        Args:
            limit: Records (not bytes) above which :meth:`full` is true. What a record tells of is in memory as long as it
                is, put away or not: some 10 MB.
        """
        self._limit = limit
        self._lock = threading.Lock()
        self._batch = Batch()
        self._count = 0
        self._room = threading.Event()
        self._room.set()
        self.waiting = threading.Event()
        self._progress: dict[Symbol, int] = {}

    def resume_from(self, progress: Mapping[Symbol, int]) -> None:
        """Skip what the store already has: records at or below a symbol's stored sequence are not added again."""
        with self._lock:
            self._progress = dict(progress)

    def add(self, changes: Changes, seq: int) -> None:
        """Take the records of applied facts up to ``seq``; called under the ledger's lock."""
        with self._lock:
            for strategy, fills in by_strategy(changes.fills).items():
                self._add("fills", strategy, fills)
            for strategy, orders in by_strategy(changes.orders).items():
                self._add("orders", strategy, orders)
            self._batch.dirty |= changes.dirty
            self._batch.seq = seq
            if self._count >= self._limit:
                self._room.clear()
        if not self.waiting.is_set():
            self.waiting.set()

    def _add(self, library: str, strategy: str, records: list[Any]) -> None:
        """Add one strategy's records behind those that wait."""
        symbol = (library, strategy)
        stored = self._progress.get(symbol, -1)
        if stored >= 0:
            records = [record for record in records if record.seq > stored]
        rows = self._batch.rows.setdefault(symbol, [])
        before = len(rows)
        rows += records
        if library == "fills":
            _drop_said(rows, max(before, 1))
        self._count += len(rows) - before
        if not rows:
            del self._batch.rows[symbol]

    def add_row(self, library: str, symbol: str, seq: int, row: Any) -> None:
        """Take one record of another library, before :meth:`add` says that everything of ``seq`` is there."""
        with self._lock:
            if seq > self._progress.get((library, symbol), -1):
                self._batch.rows.setdefault((library, symbol), []).append(row)
                self._count += 1

    def take(self) -> Batch:
        """Take everything gathered so far; the outbox is empty afterwards."""
        with self._lock:
            taken, self._batch = self._batch, Batch(seq=self._batch.seq)
            self._count = 0
            self._room.set()
            self.waiting.clear()
            return taken

    def give_back(self, batch: Batch) -> None:
        """Put what could not be stored in front of what came meanwhile."""
        with self._lock:
            batch.merge(self._batch)
            self._batch = batch
            self._count = batch.size
            if self._count >= self._limit:
                self._room.clear()
        self.waiting.set()

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until the outbox is below its limit; False when it still is not."""
        return self._room.wait(timeout_s)

    @property
    def full(self) -> bool:
        """True while the limit is reached."""
        return not self._room.is_set()

    def __len__(self) -> int:
        """Records waiting for the store."""
        return self._count
