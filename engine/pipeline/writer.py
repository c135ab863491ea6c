"""The store's own thread: batches into ArcticDB, patient when it misbehaves.

A batch is stored symbol by symbol; each append carries how far the symbol has come, so a crash in the middle heals at the
next start. What the store refuses stays in the batch and is tried again with back-off and jitter; a refused append is
never followed by an overwriting write. Snapshots (positions, the aggregated table) are written after the rows they
summarise, so a reader never sees a position ahead of its fills for longer than one flush.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import StorageError, StoreLocked
from engine.pipeline.outbox import Batch, Symbol, number_of
from engine.storage.calls import overdue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from engine.pipeline.frames import FrameQueue
    from engine.pipeline.keeper import BookKeeper
    from engine.pipeline.outbox import Outbox
    from engine.ports import Clock
    from engine.storage import ArcticStore
    from engine.storage.arctic import Index

log = logging.getLogger(__name__)

Columns = tuple["dict[str, Any]", "Index"]
_BACKOFF_FIRST_S = 0.05
_BACKOFF_MAX_S = 5.0
_GLANCE_S = 0.5
"""How often it is looked in a pause whether a store that was out of reach is back."""

_FRAMES_S = 0.5
_POSITIONS_EVERY_S = 0.5
_LARGE = 2_000
_LONGEST_REST_S = 1.0
_RECORDS = frozenset({"fills", "orders"})
_REFILLED = frozenset({"fills", "orders", "assignments", "facts"})


class StoreWriter:
    """Writes what the outbox holds, and takes checkpoints behind it."""

    def __init__(
        self,
        store: ArcticStore,
        outbox: Outbox,
        frames: FrameQueue,
        keeper: BookKeeper,
        clock: Clock,
        *,
        to_columns: Callable[[str, list[Any]], Columns],
        positions: Callable[[str], Columns],
        flush_every_s: float,
    ) -> None:
        """Wire the parts.

        Args:
            to_columns: (library, records) -> typed columns and index.
            positions: Strategy -> its positions snapshot as columns and index.
            flush_every_s: Pause between batches.
        """
        self._store = store
        self._outbox = outbox
        self._frames = frames
        self._keeper = keeper
        self._clock = clock
        self._to_columns = to_columns
        self._positions = positions
        self._flush_every_s = flush_every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._guarded_run, name="fillbook-store", daemon=True)
        self._flushed = threading.Condition()
        self._positions_at = 0.0
        self._moved = False
        self._remote = not store.uri.startswith("lmdb")
        self.dirty: set[str] = set()
        self.stored_seq = keeper.seq
        self.failure: BaseException | None = None
        self._refusal = ""
        self._refused_since: datetime | None = None
        self.latency_ms: deque[float] = deque(maxlen=512)
        self.between: list[Callable[[], None]] = []
        self._last_seq: dict[Symbol, int] = {}
        self.refill: Callable[[Mapping[Symbol, int]], Batch] = lambda _progress: Batch()

    def resume_from(self, progress: Mapping[Symbol, int]) -> None:
        """Know what the store had at the start: if it loses that, it is missed although nothing new was written."""
        self._last_seq = {symbol: seq for symbol, seq in progress.items() if symbol[0] in _REFILLED}

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    @property
    def trouble(self) -> str:
        """Why the store takes nothing, empty while it does; asked from outside, so a call that hangs is told too."""
        if self._refusal:
            return self._refusal
        call = overdue(self._thread.ident)
        return f"no answer for {call.seconds:.0f} s: {call.act}" if call is not None else ""

    @property
    def trouble_since(self) -> datetime | None:
        """When the trouble began, our clock; ``None`` while there is none."""
        if self._refusal:
            return self._refused_since
        call = overdue(self._thread.ident)
        return self._clock.now() - timedelta(seconds=call.seconds) if call is not None else None

    @property
    def state(self) -> str:
        """``ok``, ``unavailable`` (facts wait in the journal) or ``failed`` (the thread is gone)."""
        if self.failure is not None:
            return "failed"
        return "unavailable" if self.trouble else "ok"

    def wait_stored(self, seq: int, timeout_s: float | None = None) -> bool:
        """Block until everything up to ``seq`` is in ArcticDB, positions included; False on time-out."""
        with self._flushed:
            self._flushed.wait_for(lambda: self.stored_seq >= seq or self.failure is not None, timeout_s)
            return self.stored_seq >= seq

    def stop(self, timeout_s: float) -> bool:
        """Write what is left; give up after ``timeout_s`` (it stays in the journal).

        Returns:
            True when everything is stored.
        """
        self._stopping.set()
        self._outbox.waiting.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self.alive and not self._refusal and self.failure is None

    @property
    def alive(self) -> bool:
        """True while the thread runs; after :meth:`stop` that means that it hangs in a call."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait for the thread's end, however long it takes."""
        self._thread.join()

    def refresh_positions(self) -> None:
        """Write every strategy's positions with the next batch (their market prices have moved)."""
        self._moved = True
        self._outbox.waiting.set()

    def _guarded_run(self) -> None:
        try:
            self._run()
        except BaseException as error:
            log.critical("the store thread has failed; facts stay safe in the journal", exc_info=error)
            self.failure = error
            with self._flushed:
                self._flushed.notify_all()

    def _run(self) -> None:
        delay = _BACKOFF_FIRST_S
        while True:
            self._outbox.waiting.wait(timeout=1.0)
            last = self._stopping.is_set()
            waiting, started = len(self._outbox), time.perf_counter()
            if self._flush(final=last):
                delay = _BACKOFF_FIRST_S
                taken_s = time.perf_counter() - started
                for act in self.between:
                    self._between(act)
                if last and not len(self._outbox) and not len(self._frames):
                    return
                self._rest(taken_s if waiting >= _LARGE else 0.0)
            else:
                if last:
                    return
                self._pause(delay * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
                delay = min(delay * 2, _BACKOFF_MAX_S)

    def _pause(self, seconds: float) -> None:
        """Wait before the next attempt; a store that cannot be reached is waited for only until it can.

        One that can be reached and refuses all the same (it is full) is given the whole pause.
        """
        end, away = time.monotonic() + seconds, not self._reached()
        while (left := end - time.monotonic()) > 0:
            if self._stopping.wait(min(left, _GLANCE_S)) or (away and self._reached()):
                return

    def _reached(self) -> bool:
        try:
            self._store.check()
        except StorageError:
            return False
        return True

    def _rest(self, taken_s: float) -> None:
        """Let rows gather. Commits cost the same for one row as for thousands: a burst gets fewer and larger ones.

        Args:
            taken_s: How long a large batch took: as long again is left to the books, while they are behind.
        """
        end = time.perf_counter() + min(taken_s, _LONGEST_REST_S)
        while not self._stopping.wait(self._flush_every_s):
            if time.perf_counter() >= end or not self._keeper.backlog or self._outbox.full:
                return

    def _between(self, act: Callable[[], None]) -> None:
        try:
            act()
        except StoreLocked:
            raise  # another engine writes there now: this thread must end, the facts stay in the journal
        except StorageError as error:
            self._note_trouble(error)

    def _flush(self, *, final: bool) -> bool:
        started = time.perf_counter()
        batch = self._outbox.take()
        self.dirty |= batch.dirty
        if self._moved:
            self._moved = False
            with self._keeper.lock:
                self.dirty |= set(self._keeper.ledger.strategies())
        batch.dirty = set()
        oldest = min(
            (rows[0].recorded_at for (library, _), rows in batch.rows.items() if rows and library in _RECORDS),
            default=None,
        )
        try:
            if self._refusal:
                batch = self._come_back(batch)
            elif batch.empty and not self._remote:
                self._store.check()  # an idle store that was deleted or fell ill is noticed within a second
            self._store_rows(batch)
            calm = not len(self._outbox) and not self._keeper.backlog
            if self.dirty and (final or calm or started - self._positions_at >= _POSITIONS_EVERY_S):
                self._store_positions(max(batch.seq, self.stored_seq))  # a batch of nothing has no number
                self._positions_at = started
            if not self._frames.flush(self._store, within_s=_FRAMES_S):
                self._outbox.waiting.set()
        except StorageError as error:
            self._note_trouble(error)
            self._outbox.give_back(batch)
            return False
        self._all_clear()
        if oldest is not None:
            self.latency_ms.append(max(0.0, (self._clock.now() - oldest).total_seconds() * 1000))
        if not self.dirty:
            with self._flushed:
                self.stored_seq = max(self.stored_seq, batch.seq)
                self._flushed.notify_all()
        else:
            self._outbox.waiting.set()
        return True

    def _store_rows(self, batch: Batch) -> None:
        for library, symbol in sorted(batch.rows, key=_fills_first):
            rows = batch.rows[library, symbol]
            columns, index = self._to_columns(library, rows)
            seq = number_of(rows[-1])
            self._store.append(library, symbol, columns, index, seq)
            self._last_seq[library, symbol] = seq
            del batch.rows[library, symbol]

    def _come_back(self, batch: Batch) -> Batch:
        """After trouble: look at the store anew, and fill in what it has lost while it was away.

        A store that was deleted, replaced or rolled back no longer has what it acknowledged; the books still know it.
        """
        if self._store.broken:
            self._store.reopen()
        self._store.check()
        progress = self._store.progress(_REFILLED)  # on S3 each symbol costs requests
        lost = {s: progress.get(s, -1) for s, seq in self._last_seq.items() if progress.get(s, -1) < seq}
        if not lost:
            return batch
        log.warning("the store has lost rows of %d symbols; they are written again from the books", len(lost))
        filled = self.refill(lost)
        batch.leave_out(filled)  # the books remember what has not been stored yet, too
        filled.merge(batch)
        self.dirty |= filled.dirty
        filled.dirty = set()
        self._last_seq = {s: seq for s, seq in self._last_seq.items() if s not in lost}
        return filled

    def _store_positions(self, seq: int) -> None:
        for strategy in sorted(self.dirty):
            columns, index = self._positions(strategy)
            self._store.write("positions", strategy, columns, index, seq)
            self.dirty.discard(strategy)

    def _note_trouble(self, error: StorageError) -> None:
        if not self._refusal:
            self._refused_since = self._clock.now()
            log.error("ArcticDB takes nothing, facts wait in the journal: %s", error)
        self._refusal = str(error) or type(error).__name__

    def _all_clear(self) -> None:
        if self._refusal:
            log.warning("ArcticDB takes rows again after %s", self._refused_since)
            self._refusal, self._refused_since = "", None


def _fills_first(symbol: Symbol) -> bool:
    """Sort key: what others wait for is written before what tells more about it."""
    return symbol[0] != "fills"
