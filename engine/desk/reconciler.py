"""Reconciliation as a service: ask the broker, copy the books, compare, advance the breaks, store what came of it.

One run at a time. Callers that come while one is under way share the *next* one, so that every caller gets an answer
that was asked for after their call (R25). The loop only waits: copying needs the ledger's lock for a moment, and all
computing happens in a worker thread.

A difference that has not been confirmed makes the run ask the broker for the day's executions once and look again, with
the same answer: a fill that was lost on the way books itself before anybody has to look at a break (R23, F21).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from engine.core.snapshot import AccountSnapshot, Confirmed, Mark, Unknown
from engine.desk.books import Books
from engine.desk.evidence import explain_breaks
from engine.desk.picture import (
    Lock,
    Picture,
    PictureTaker,
    breathe,
    circumstances,
    difference_now,
    let_go,
    rate_of,
    unknown_accounts,
)
from engine.desk.rows import ReconcileResult, RunStore, StoreRows
from engine.errors import BrokerError, BrokerUnavailable
from engine.ports import Broker, Clock
from engine.recon.breaks import Break, BreakBook, BreakChange, Policy
from engine.recon.calendar import region_of, reset_window
from engine.recon.cause import Explanation
from engine.recon.compare import Difference, Key
from engine.recon.evidence import StatementItem
from engine.recon.row import Valuation
from engine.recon.softlock import Lockout, lockouts
from engine.recon.table import Built, ReconciledTable
from engine.settings import Settings

log = logging.getLogger(__name__)
_MOMENT_S: Final = 0.05
_REST: Final = 30.0
"""The timer's runs ask for the day's executions a thirtieth of the time at most."""


class Reconciler:
    """Runs reconciliations and keeps the book of breaks.

    Attributes:
        turn: Held while a run compares and while an assignment is booked, so that neither sees half of the other.
        last: Result of the latest good run.
    """

    def __init__(
        self,
        *,
        ledger: Books,
        lock: Lock,
        broker: Broker,
        settings: Settings,
        clock: Clock,
        store_rows: StoreRows | None = None,
        drain: Callable[[], Awaitable[object]] | None = None,
        external: Callable[[], Sequence[StatementItem]] | None = None,
        on_change: Callable[[Sequence[BreakChange]], object] | None = None,
        book: BreakBook | None = None,
        marks: Callable[[], tuple[Mapping[Key, Mark], int]] | None = None,
    ) -> None:
        """Take the parts; nothing starts by itself.

        Args:
            ledger: The books. ``lock``: its lock, re-entrant.
            store_rows: ``(library, symbol, columns, recorded_at of each row)``; may be a coroutine function.
            drain: Returns when facts submitted so far are applied to the ledger.
            external: Events that statements told of, as evidence.
            on_change: Told of every step of a break, for alerts and screens; called on the loop.
            marks: The broker's marks and the number under which they are on record; absent means the broker's own.
            book: Breaks of before the restart (``BreakBook.load`` or ``from_rows``).
        """
        self._ledger = ledger
        self._lock = lock
        self._broker = broker
        self._settings = settings
        self._clock = clock
        self._store = RunStore(store_rows)
        self._drain = drain
        self._external = external or (lambda: ())
        self._on_change = on_change
        self._book = book or BreakBook()
        self._marks = marks or (lambda: (broker.marks(), 0))
        self._policy = Policy(settle_s=settings.settle_s, confirm_runs=settings.confirm_runs)
        self._picture: Picture | None = None
        self._good: dict[str, tuple[Confirmed, Picture]] = {}
        self._answers: Sequence[AccountSnapshot] = ()
        self._current: asyncio.Task[ReconcileResult] | None = None
        self._next: asyncio.Task[ReconcileResult] | None = None
        self._behind: asyncio.Future[ReconcileResult] | None = None
        self._taker = PictureTaker(ledger, lock, settings.tolerance_quantity)
        self._table = ReconciledTable()
        self._counter = 0
        self._patient_until = 0.0
        self._untold: list[BreakChange] = []
        self.turn = asyncio.Lock()
        self.last: ReconcileResult | None = None

    # --- what others read ---------------------------------------------------------------------------------------

    @property
    def book(self) -> BreakBook:
        """All breaks, for a checkpoint (``dump``)."""
        return self._book

    def breaks(self, *, open_only: bool = True) -> list[Break]:
        """Breaks, most urgent first; without ``open_only`` also what is settling, assigned or closed."""
        return self._noted().listed(open_only=open_only)

    def found(self, name: str) -> Break | None:
        """One break by id."""
        return self._noted().breaks.get(name)

    def locks(self) -> list[Lockout]:
        """Advice not to trade, per (account, con_id), from confirmed breaks."""
        return lockouts(self._book.breaks.values())

    def answers(self) -> tuple[Sequence[AccountSnapshot], Mapping[str, Confirmed]]:
        """The latest answers, and the latest confirmed one of each account."""
        return self._answers, {account: answer for account, (answer, _) in list(self._good.items())}

    def live(self, account: str, con_id: int) -> tuple[Confirmed, Difference] | None:
        """The latest confirmed answer of an account, and what differs now (assignments since then included).

        Returns:
            ``None`` while the account never gave a confirmed answer.
        """
        known = self._good.get(account)
        if known is None:
            return None
        answer, picture = known
        difference = difference_now(
            self._ledger, self._lock, picture, (account, con_id), self._settings.tolerance_quantity
        )
        return answer, difference

    # --- running ------------------------------------------------------------------------------------------------

    async def run(self, reason: str = "asked for") -> ReconcileResult:
        """Reconcile every account.

        Raises:
            BrokerUnavailable: No account gave a confirmed answer. Nothing was changed; the run is recorded.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._current, reason), name="reconciliation")
            self._next.add_done_callback(_retrieve)
        return await asyncio.shield(self._next)

    def run_behind(self, reason: str) -> None:
        """Run without anybody waiting, so that the table follows an act; not while IB is away. Call it on the loop."""
        if self._broker.available:
            self._behind = asyncio.ensure_future(self.run(reason))
            self._behind.add_done_callback(_retrieve)

    async def settle(self, reason: str, *, deadline_s: float) -> ReconcileResult:
        """Run until nothing is settling any more (for a command that runs once), or the deadline passed.

        Raises:
            BrokerUnavailable: As :meth:`run`.
        """
        end = time.monotonic() + deadline_s
        result = await self.run(reason)
        while result.settling and time.monotonic() < end:
            await asyncio.sleep(max(_MOMENT_S, min(1.0, self._policy.settle_s / 4)))
            result = await self.run(reason)
        return result

    async def _after(self, former: asyncio.Task[ReconcileResult] | None, reason: str) -> ReconcileResult:
        if former is not None and not former.done():
            await asyncio.wait([former])
        self._current, self._next = self._next, None
        return await self._run(reason)

    async def _run(self, reason: str) -> ReconcileResult:
        started = time.perf_counter()
        self._counter += 1
        now = self._clock.now()
        run_id = f"{now:%Y%m%dT%H%M%S.%f}-{self._counter}"
        answers = await self._ask(now)
        self._answers = answers
        unknown = unknown_accounts(answers)
        if not any(isinstance(a, Confirmed) for a in answers):
            why = "; ".join(r if a == "*" else f"{a}: {r}" for a, r in unknown.items()) or "the broker named no account"
            await self._store.run(
                run_id,
                "unavailable",
                answers,
                at=self._clock.now(),
                duration_ms=_since(started),
                trigger=reason,
                detail=why,
            )
            raise BrokerUnavailable(f"no complete answer of the broker, nothing was changed ({why})")
        async with self.turn:
            picture, notes = await self._look(answers, patient=reason == "timer")
            table, changes = await asyncio.to_thread(self._advance, run_id, picture, now)
        opened = tuple(self.breaks())
        told_at = self._clock.now()
        self.last = result = ReconcileResult(
            run_id=run_id,
            at=now,
            status="breaks" if opened else "square",
            square=not picture.comparison.found,
            columns=table.columns,
            breaks=opened,
            settling=sum(b.state == "settling" for b in self._book.breaks.values()),
            accounts=len(answers) - len(unknown),
            positions=picture.comparison.compared,
            duration_ms=_since(started),
            reason=reason,
            unknown=unknown,
            excluded=picture.comparison.excluded,
            changes=tuple(changes),
            notes=tuple(notes),
            books_seq=picture.seq,
        )
        await self._store.result(result, table, answers, at=told_at)
        if self._on_change is not None and changes:
            self._on_change(changes)
        return result

    async def _ask(self, now: datetime) -> list[AccountSnapshot]:
        try:
            return await self._broker.positions(self._settings.expected_accounts)
        except BrokerError as error:
            # The same as an answer of UNKNOWN for every account that we know of.
            return [
                Unknown(account=a, reason=str(error), requested_at=now)
                for a in self._settings.expected_accounts or ("*",)
            ]

    async def _look(self, answers: Sequence[AccountSnapshot], *, patient: bool) -> tuple[Picture, list[str]]:
        """Take a picture; when it shows a new difference, ask for the day's executions and take it again.

        Args:
            patient: Do not ask about a difference that is only settling when that took long and was done a little while
                ago: while trading is heavy every picture shows fills that are on their way, and a day's executions may
                be a hundred thousand.
        """
        picture = await asyncio.to_thread(self._taker.take, answers)
        news = [d for d in picture.comparison.found.values() if self._is_news(d)]
        if not news:
            return picture, []
        if patient and self._clock.monotonic() < self._patient_until and not any(map(self._is_quiet, news)):
            return picture, []
        try:
            asked_at = self._clock.monotonic()
            await self._broker.refresh_executions()
            answered_at = self._clock.monotonic()
            self._patient_until = answered_at + _REST * (answered_at - asked_at)
        except BrokerError as error:
            log.warning("executions could not be asked for again: %s", error)
            return picture, [f"executions could not be asked for again: {error}"]
        if self._drain is not None:
            await self._drain()
        return await asyncio.to_thread(self._taker.take, answers), []

    def _is_news(self, seen: Difference) -> bool:
        if seen.kind != "difference":
            return False
        known = self._book.breaks.get(f"{seen.account}:{seen.con_id}")
        return known is None or not (known.state in {"confirmed", "explained"} and known.difference == seen.difference)

    def _is_quiet(self, seen: Difference) -> bool:
        """True when nothing was heard of the instrument lately, so that a difference is no fill on its way."""
        with self._lock:
            heard_at = self._ledger.activity(seen.account, seen.con_id)
        return heard_at is None or (self._clock.now() - heard_at).total_seconds() > self._policy.settle_s

    def _advance(self, run_id: str, picture: Picture, now: datetime) -> tuple[Built, list[BreakChange]]:
        about = circumstances(
            self._ledger,
            self._lock,
            self._broker,
            picture,
            settle_s=self._policy.settle_s,
            deferred=self._deferred(now),
        )
        self._book, changes = self._book.step(now, picture.comparison.found, picture.answers, about, self._policy)
        changes += self._explained(picture, now)
        self._book = self._noted()
        self._keep(picture)
        marks, number = self._marks()
        table = self._table.build(
            run_id=run_id,
            at=now,
            groups=picture.groups,
            comparison=picture.comparison,
            answers=picture.answers,
            breaks=self._book.breaks,
            instrument_of=self._ledger.instrument,
            value=Valuation(
                marks=marks,
                rate=lambda account, currency: rate_of(self._broker, account, currency),
                base=self._broker.base_currency,
            ),
            breathe=breathe,
        )
        return msgspec.structs.replace(table, marks=number), changes

    def _keep(self, picture: Picture) -> None:
        former = self._picture
        self._picture = picture
        for answer in picture.answers:
            if isinstance(answer, Confirmed):
                self._good[answer.account] = (answer, picture)
        if former is not None:
            going = list(former.answers)
            del former
            let_go(going)

    def _explained(self, picture: Picture, now: datetime) -> list[BreakChange]:
        opened = [b for b in self._book.breaks.values() if b.is_open]
        explanations: Mapping[str, Explanation] = explain_breaks(
            opened,
            known=self._book.breaks,
            books=self._ledger,
            lock=self._lock,
            broker=self._broker,
            picture=picture,
            external=self._external(),
            settings=self._settings,
            now=now,
        )
        self._book, changes = self._book.explain(now, explanations)
        return changes

    def touch(self, account: str, con_id: int, *, restored: bool = False) -> None:
        """Advance one break after an assignment or its reversal, without asking the broker. Call it within ``turn``."""
        known = self.live(account, con_id)
        if known is None:
            return
        answer, difference = known
        key: Key = (account, con_id)
        seen = difference.kind == "difference" or difference.unassigned != 0
        picture = self._good[account][1]
        now = self._clock.now()
        about = circumstances(
            self._ledger,
            self._lock,
            self._broker,
            picture,
            settle_s=self._policy.settle_s,
            deferred=self._deferred(now),
            restored=frozenset({key}) if restored else frozenset(),
        )
        found = {key: difference} if seen else {}
        self._book, changes = self._book.step(now, found, [answer], about, self._policy, only=key)
        changes += self._explained(picture, now)
        self._untold += changes

    async def tell(self) -> None:
        """Store and publish the steps that :meth:`touch` made."""
        changes, self._untold = self._untold, []
        if not changes:
            return
        await self._store.changes(changes, "assignment", self._clock.now())
        if self._on_change is not None:
            self._on_change(changes)

    def _deferred(self, now: datetime) -> str:
        window = reset_window(now, region_of(self._settings.ib_timezone, self._settings.ib_resets))
        return "" if window is None else f"IB resets its servers until {window[1]:%H:%M} UTC (F130)"

    def _noted(self) -> BreakBook:
        book = self._book
        with self._lock:
            notes = list(self._ledger.break_notes.items())
        for name, noted in notes:
            book = book.note(name, noted.owner, noted.note)
        return book


def _retrieve(task: asyncio.Future[ReconcileResult]) -> None:
    """Look at the exception of a run whose callers all went away, so that asyncio does not call it unseen."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, BrokerUnavailable):
        log.error("reconciliation failed", exc_info=error)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
