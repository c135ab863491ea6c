"""The book room: lock, store, journal, ledger and their threads, opened together and closed in order.

Opening is recovery: what the journal holds and the store lacks is written first thing. Closing flushes: intake stops,
the journal commits, the books apply, the store takes everything, a last checkpoint makes the next start quick. What the
store does not take within the time allowed stays in the journal, where the next start finds it.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.core.events import StrategiesNamed
from engine.core.ids import split_exec_id
from engine.errors import StorageError
from engine.pipeline import turns
from engine.pipeline.checkpoint import Checkpointer
from engine.pipeline.frames import FrameQueue
from engine.pipeline.intake import Intake
from engine.pipeline.keeper import BookKeeper
from engine.pipeline.outbox import Batch, Outbox
from engine.pipeline.recovery import behind, recover, refill, refuse_older
from engine.pipeline.writer import StoreWriter
from engine.storage import open_store
from engine.storage.history import History
from engine.storage.housekeeping import Housekeeper
from engine.storage.journal import GROUP_LIMIT, SqliteJournal
from engine.storage.lock import StoreOwner, WriterLock
from engine.storage.rows import (
    assignment_columns,
    fact_columns,
    fill_columns,
    order_columns,
    position_columns,
    position_row,
)
from engine.tables.positions import valued_positions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from engine.core.events import AssignmentMade
    from engine.core.records import FillRecord
    from engine.core.snapshot import Mark
    from engine.pipeline.outbox import Symbol
    from engine.ports import Clock
    from engine.settings import Settings
    from engine.state.ledger import Ledger
    from engine.storage.arctic import Index

log = logging.getLogger(__name__)

CATCH_UP_S = 60.0
"""How long a start waits for the journal's tail to be applied before it goes on in the background."""


class BookRoom:
    """Everything that keeps the books, without IB.

    Attributes:
        notes: What recovery found, for the operator.
        marks: Gives the broker's latest marks; replaced by whoever has a broker.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Open everything and recover.

        Raises:
            StoreLocked: Another engine owns the data directory or the store.
            StorageError: Store or journal cannot be opened.
        """
        self.settings = settings
        self.clock = clock
        self.marks: Callable[[], Mapping[tuple[str, int], Mark]] = dict
        self._closed = threading.Lock()
        self._is_closed = False
        with ExitStack() as opened:
            turns.shorten()
            opened.callback(turns.put_back)
            data = Path(settings.data_dir)
            self.lock_file = WriterLock(data, settings.arctic_location)
            opened.callback(self.lock_file.release)
            self.store = open_store(settings.arctic_location, map_gb=settings.lmdb_map_gb)
            opened.callback(self.store.close)
            self.owner = StoreOwner(self.store, clock) if settings.arctic_location.startswith("s3") else None
            self.journal = SqliteJournal(data / "journal.sqlite", clock=clock)
            opened.callback(self.journal.close)
            self.history, wrong = History.open(data / "history.sqlite")
            opened.callback(self.history.close)
            found = recover(self.journal, self.history, self.store, settings.strategy_patterns())
            self.notes = (wrong, *found.notes) if wrong else found.notes
            self.origin = found.origin
            self._wire(found.ledger)
            opened.pop_all()
        self._start()

    @property
    def ledger(self) -> Ledger:
        """The books; hold ``lock`` while reading."""
        return self.keeper.ledger

    def pressed(self) -> bool:
        """True while more facts wait in memory than a commit or two take, and whoever can should bring no more.

        It ends by itself: not for books that pause (their facts wait on disk), nor for a thread that has failed.
        """
        if self.journal.failure is not None or self.keeper.failure is not None:
            return False
        return self.journal.waiting > GROUP_LIMIT or (not self.keeper.paused and self.keeper.backlog > GROUP_LIMIT)

    @property
    def lock(self) -> threading.RLock:
        """The ledger's lock."""
        return self.keeper.lock

    def _wire(self, ledger: Ledger) -> None:
        self.outbox = Outbox()
        self.frames = FrameQueue(self.clock)
        self.keeper = BookKeeper(ledger, self.journal, self.outbox)
        progress = self.store.progress()
        if self.origin in {"checkpoint", "journal"}:
            refuse_older(self.journal.head, progress)
        self.outbox.resume_from(progress)
        self.frames.resume_from(progress)
        lost = behind(ledger, progress)
        if lost:
            log.warning("the store lacks rows of %d symbols; they are written again from the books", len(lost))
            self.outbox.give_back(refill(ledger, lost))
        self.writer = StoreWriter(
            self.store,
            self.outbox,
            self.frames,
            self.keeper,
            self.clock,
            to_columns=self._columns,
            positions=self.position_snapshot,
            flush_every_s=self.settings.flush_every_s,
        )
        self.writer.refill = self._refill
        self.writer.resume_from(progress, self.journal.head)
        if lost:
            self.writer.stored_seq = 0  # nobody may take the store for complete before that is written
        self.writer.taint(ledger.strategies(), 0)
        self.intake = Intake(self.journal, self.keeper)
        self.checkpointer = Checkpointer(self.keeper, self.writer, self.journal, self.history, self.clock)
        self.housekeeper = Housekeeper(
            self.store,
            self.clock,
            every_s=self.settings.housekeeping_every_s,
            keep_snapshots_days=self.settings.keep_snapshots_days,
        )
        self.writer.between += [self.checkpointer, self.housekeeper]
        if self.owner is not None:
            self.writer.between.append(self.owner.beat)

    def _start(self) -> None:
        self.journal.on_group = self.keeper.offer
        self.keeper.start()
        self.keeper.catch_up(self.journal.head)
        self.writer.start()
        caught_up = self.keeper.wait_applied(self.journal.head, CATCH_UP_S)
        self._name_strategies(caught_up=caught_up)
        self.outbox.waiting.set()

    def _name_strategies(self, *, caught_up: bool) -> None:
        """Have the settings' strategies in force from here on, and what came before replayed as it was.

        Args:
            caught_up: False while the books do not know yet which were in force last.
        """
        patterns = self.settings.strategy_patterns()
        with self.lock:
            if caught_up and self.ledger.patterns == patterns:
                return
        named = self.intake.put([StrategiesNamed(received_at=self.clock.now(), patterns=patterns)])
        try:
            refused = named.exception(CATCH_UP_S)
        except TimeoutError:
            log.warning(
                "the journal does not answer; until it does, the strategies of the former settings are in force"
            )
        else:
            if refused is None and named.seq is not None and caught_up:
                self.keeper.wait_applied(named.seq, CATCH_UP_S)

    def _columns(self, library: str, rows: list[Any]) -> tuple[dict[str, Any], Index]:
        if library == "fills":
            return fill_columns(rows)
        if library == "orders":
            return order_columns(rows)
        if library == "assignments":
            return assignment_columns(rows, self._entry, self._executed)
        return fact_columns(rows)

    def _entry(self, assignment_id: str) -> AssignmentMade | None:
        with self.lock:
            return next((a for a in self.ledger.assignments() if a.assignment_id == assignment_id), None)

    def _executed(self, account: str, exec_id: str) -> FillRecord | None:
        with self.lock:
            return self.ledger.fill(account, split_exec_id(exec_id)[0])

    def _refill(self, lost: Mapping[Symbol, int]) -> Batch:
        with self.lock:
            return refill(self.ledger, lost)

    def position_snapshot(self, strategy: str) -> tuple[dict[str, Any], list[datetime]]:
        """The positions of one strategy as stored columns."""
        marks = self.marks()
        now = self.clock.now()
        with self.lock:
            valued = valued_positions(
                self.ledger, self.ledger.positions(strategy=strategy), marks, self.settings.base_currency
            )
        rows = [
            position_row(v.position, i, market_price=v.market_price, unrealized_pnl=v.unrealized_pnl) for v, i in valued
        ]
        return position_columns(rows), [now] * len(rows)

    def close(self, timeout_s: float = 8.0) -> None:
        """Flush everything and let go; idempotent.

        Raises:
            StorageError: Facts that were never durable are still refused by the journal's disk.
        """
        with self._closed:
            if self._is_closed:
                return
            self._is_closed = True
        trouble: StorageError | None = None
        try:
            self.intake.close()
        except StorageError as error:
            trouble = error
        self._apply_rest(timeout_s)
        self.keeper.stop(timeout_s)
        if self.writer.stop(timeout_s):
            self.checkpointer.final()
            self._give_up_ownership()
        else:
            log.error("ArcticDB did not take everything; the next start continues from the journal")
        self.journal.close()
        self.history.close()
        if self.writer.alive:
            log.critical("the store's thread is still writing; the store stays locked until it has ended")
            threading.Thread(target=self._let_go, name="fillbook-let-go", daemon=True).start()
        else:
            self._let_go()
        if trouble is not None:
            raise trouble

    def _let_go(self) -> None:
        """Close the store and let others write, but not while a call of ours may still be writing."""
        if self.writer.alive:
            self.writer.join()
        self.store.close()
        self.lock_file.release()
        turns.put_back()

    def _apply_rest(self, timeout_s: float) -> None:
        """Let the books take what is durable; not when they wait for a store that takes nothing."""
        head, end = self.journal.head, time.monotonic() + timeout_s
        while not self.keeper.wait_applied(head, 0.1) and time.monotonic() < end:
            if self.keeper.ended or (self.keeper.paused and self.writer.state != "ok"):
                return

    def _give_up_ownership(self) -> None:
        if self.owner is None:
            return
        try:
            self.owner.release()
        except StorageError as error:
            log.warning("the store's owner record could not be released, it goes stale by itself: %s", error)
