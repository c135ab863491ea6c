"""The store's own thread: batches into ArcticDB, patient when it misbehaves.

A batch is stored symbol by symbol; each append carries how far the symbol has come, so a crash in the middle heals at the
next start. What the store refuses stays in the batch and is tried again with back-off and jitter; a refused append is
never followed by an overwriting write. Snapshots (positions, the aggregated table) are written after the rows they
summarise, so a reader never sees a position ahead of its fills for longer than one flush.

A commit takes as long for one row as for a thousand, and there is time for some hundred of them in a second. So when fills
come in every period, the commits are theirs: an execution waits for half a period and its own commit, whatever else is to
be written. Order rows and positions then follow a few times a second. When little happens, everything is written at once.
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
    from collections.abc import Callable, Iterable, Mapping
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
_LONGEST_STOP_S = 60.0  # many strategies on a slow disk are written to the end; a slow S3 is not waited for all day
_FRAMES_S = 0.5
_LATER_S = 0.5
"""How long order rows and other facts may wait for company while the commits are the fills'."""
_SHARE = 2
"""For so many commits of fills there is one for what has waited that long."""
_CALM_S = 0.25
"""Time that the commits of the last second took, up to which nothing waits for company."""
_LARGE = 2_000
_MOST_HELD = 20_000
"""Records taken from the outbox beyond which no more are taken: what the store is slow with stays bounded there."""
_LONGEST_REST_S = 1.0
_SHORTEST_REST = 0.1
"""Part of a period that is left to others after a batch that took longer than one."""
_POSITIONS = "positions"
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
            flush_every_s: From the beginning of a batch to that of the next; a longer one is followed by a short pause.
        """
        self._store, self._outbox, self._frames = store, outbox, frames
        self._keeper = keeper
        self._clock = clock
        self._to_columns = to_columns
        self._positions = positions
        self._flush_every_s = flush_every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._guarded_run, name="fillbook-store", daemon=True)
        self._flushed = threading.Condition()
        self._held = Batch(seq=keeper.seq)
        self._since: dict[Symbol, float] = {}
        self._missing: dict[str, int] = {}  # strategy -> first sequence that its stored positions may lack
        self._commits: deque[tuple[float, float]] = deque(maxlen=256)  # when one ended, and how long it took
        self._moved, self._committed = False, 0
        self._remote = not store.uri.startswith("lmdb")
        self.stored_seq = keeper.seq
        self.failure: BaseException | None = None
        self._refusal = ""
        self._refused_since: datetime | None = None
        self.latency_ms: deque[float] = deque(maxlen=512)
        self.between: list[Callable[[], None]] = []
        self._last_seq: dict[Symbol, int] = {}
        self._at_least = 0
        self.refill: Callable[[Mapping[Symbol, int]], Batch] = lambda _progress: Batch()

    def resume_from(self, progress: Mapping[Symbol, int], head: int) -> None:
        """Know what the store had at the start: if it loses that, it is missed although nothing new was written.

        Args:
            head: The journal's. Positions numbered above it are from a journal that was lost, and no newer than the books.
        """
        self._last_seq = {symbol: seq for symbol, seq in progress.items() if symbol[0] in _REFILLED}
        highest = max((seq for (library, _), seq in progress.items() if library == _POSITIONS), default=0)
        self._at_least = highest if highest > head else 0

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

    @property
    def held(self) -> int:
        """Records that are taken from the outbox and not stored yet."""
        return sum(map(len, list(self._held.rows.values())))

    def wait_stored(self, seq: int, timeout_s: float | None = None) -> bool:
        """Block until everything up to ``seq`` is in ArcticDB, positions included; False on time-out."""
        with self._flushed:
            self._flushed.wait_for(lambda: self.stored_seq >= seq or self.failure is not None, timeout_s)
            return self.stored_seq >= seq

    def stop(self, timeout_s: float) -> bool:
        """Write what is left; give up once nothing was written for ``timeout_s`` (it stays in the journal).

        Returns:
            True when everything is stored.
        """
        self._stopping.set()
        self._outbox.waiting.set()
        end, before = time.monotonic() + _LONGEST_STOP_S, -1
        while self._thread.is_alive() and before != self._committed and time.monotonic() < end:
            before = self._committed
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
            self._outbox.waiting.wait(timeout=self._patience())
            last = self._stopping.is_set()
            waiting, started = len(self._outbox), time.perf_counter()
            if self._flush(final=last):
                delay = _BACKOFF_FIRST_S
                taken_s = time.perf_counter() - started
                for act in self.between:
                    self._between(act)
                if last and not self._since and not len(self._outbox) and not len(self._frames):
                    return
                self._rest(taken_s, large=waiting >= _LARGE)
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

    def _patience(self) -> float:
        """Seconds to sleep when nothing new comes."""
        return self._flush_every_s if self._since else 1.0

    def _rest(self, taken_s: float, *, large: bool) -> None:
        """Let rows gather. Commits cost the same for one row as for thousands: a burst gets fewer and larger ones.

        Args:
            taken_s: How long the batch took.
            large: As long again is left to the books, while they are behind.
        """
        end = time.perf_counter() + min(taken_s, _LONGEST_REST_S)
        self._stopping.wait(max(self._flush_every_s - taken_s, self._flush_every_s * _SHORTEST_REST))
        while large and time.perf_counter() < end and self._keeper.backlog and not self._outbox.full:
            if self._stopping.wait(self._flush_every_s):
                return

    def _between(self, act: Callable[[], None]) -> None:
        try:
            act()
        except StoreLocked:
            raise  # another engine writes there now: this thread must end, the facts stay in the journal
        except StorageError as error:
            self._note_trouble(error)

    def _flush(self, *, final: bool) -> bool:
        """Write what is due; False when the store refused, and everything waits in the outbox again."""
        now = time.perf_counter()
        news = self._gather()
        if self._moved:
            self._moved = False
            with self._keeper.lock:
                self.taint(self._keeper.ledger.strategies(), self._held.seq + 1)
        calm = sum(taken for ended, taken in self._commits if ended > now - 1.0) < _CALM_S
        everything = final or calm or not (news or self._keeper.backlog) or bool(self.trouble)
        oldest = min(
            (rows[0].recorded_at for (library, _), rows in self._held.rows.items() if library == "fills"), default=None
        )
        try:
            if self.trouble:
                self._held = self._come_back(self._held)
                self._wait_anew(now)
            elif self._held.empty and not self._remote:
                self._store.check()  # an idle store that was deleted or fell ill is noticed within a second
            self._store_due(now, everything=everything)
            if not self._frames.flush(self._store, within_s=_FRAMES_S):
                self._outbox.waiting.set()
        except StorageError as error:
            self._note_trouble(error)
            refused, self._held = self._held, Batch(seq=self._held.seq)
            self._outbox.give_back(refused)
            self._wait_anew(now)
            return False
        self._all_clear()
        if oldest is not None:
            self.latency_ms.append(max(0.0, (self._clock.now() - oldest).total_seconds() * 1000))
        self._tell()
        return True

    def _gather(self) -> bool:
        """Take what the outbox has; False for nothing."""
        now, before = time.perf_counter(), self._held.seq
        batch = self._outbox.take()
        self.taint(batch.dirty, before + 1)
        batch.dirty = set()
        for symbol in batch.rows:
            self._since.setdefault(symbol, now)
        some = bool(batch.rows) or batch.seq > before
        self._held.merge(batch)
        return some

    def _wait_anew(self, now: float) -> None:
        """Know what waits after it was given back, or filled up."""
        waiting = [*self._held.rows, *((_POSITIONS, strategy) for strategy in self._missing)]
        self._since = {symbol: self._since.get(symbol, now) for symbol in waiting}

    @property
    def dirty(self) -> set[str]:
        """Strategies whose positions must be written again."""
        return set(self._missing)

    def taint(self, strategies: Iterable[str], seq: int) -> None:
        """Note that stored positions lack what happened from a sequence on."""
        now = time.perf_counter()
        for strategy in strategies:
            self._missing.setdefault(strategy, seq)
            self._since.setdefault((_POSITIONS, strategy), now)

    def _tell(self) -> None:
        """Say up to where everything is stored: in front of the first row, and of the first position, that is not."""
        lacking = [*(number_of(rows[0]) for rows in self._held.rows.values()), *self._missing.values()]
        complete = min([self._held.seq, *(seq - 1 for seq in lacking)])
        with self._flushed:
            self.stored_seq = max(self.stored_seq, complete)
            self._flushed.notify_all()

    def _store_due(self, now: float, *, everything: bool) -> None:
        """Write fills, each symbol with what came while the others were written; then of the rest what is due."""
        fills = [symbol for symbol in self._held.rows if symbol[0] == "fills"]
        for symbol in fills:
            self._append(symbol)
        others = sorted((s for s in self._since if s[0] != "fills"), key=lambda s: (s[0] == _POSITIONS, self._since[s]))
        if not everything:
            large = [symbol for symbol in others if len(self._held.rows.get(symbol, ())) >= _LARGE]
            aged = [s for s in others if s not in large and self._since[s] <= now - _LATER_S]
            others = large + sorted(aged, key=self._since.__getitem__)[: max(1, len(fills) // _SHARE)]
        for symbol in others:
            if symbol[0] == _POSITIONS:
                self._write_positions(symbol[1])
            else:
                self._append(symbol)

    def _append(self, symbol: Symbol) -> None:
        if self.held < _MOST_HELD:
            self._gather()
        library, name = symbol
        rows = self._held.rows[symbol]
        columns, index = self._to_columns(library, rows)
        seq = number_of(rows[-1])
        self._commit(self._store.append, library, name, columns, index, seq)
        self._last_seq[symbol] = seq
        del self._held.rows[symbol], self._since[symbol]

    def _write_positions(self, strategy: str) -> None:
        if ("fills", strategy) in self._held.rows:  # they came during this round; a reader shall not see less of them
            self._append(("fills", strategy))
        columns, index = self._positions(strategy)
        seq = max(self._held.seq, self.stored_seq, self._at_least)  # a batch of nothing has no number
        self._commit(self._store.write, _POSITIONS, strategy, columns, index, seq)
        del self._missing[strategy], self._since[_POSITIONS, strategy]

    def _commit(self, act: Callable[..., None], *what: Any) -> None:
        started = time.perf_counter()
        act(*what)
        self._commits.append((ended := time.perf_counter(), ended - started))
        self._committed += 1

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
        self.taint(filled.dirty, 0)
        filled.dirty = set()
        self._last_seq = {s: seq for s, seq in self._last_seq.items() if s not in lost}
        return filled

    def _note_trouble(self, error: StorageError) -> None:
        if not self._refusal:
            self._refused_since = self._clock.now()
            log.error("ArcticDB takes nothing, facts wait in the journal: %s", error)
        self._refusal = str(error) or type(error).__name__

    def _all_clear(self) -> None:
        if self._refusal:
            log.warning("ArcticDB takes rows again after %s", self._refused_since)
            self._refusal, self._refused_since = "", None
