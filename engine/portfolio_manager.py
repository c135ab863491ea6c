"""PortfolioManager: events in, books and reconciliation out; the one public face of the books.

It wires and delegates and does no sums. Tables may be asked for from any thread; acts are coroutines and may be awaited on
any event loop: what has to happen on the manager's own loop is handed over to it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from engine.broker.absent import AbsentBroker
from engine.clock import SystemClock
from engine.desk.assignments import AssignmentDesk
from engine.desk.reconciler import Reconciler
from engine.office.access import Access
from engine.office.backoffice import BackOffice
from engine.office.equity import EquityLog
from engine.office.expiries import ExpiryActs
from engine.office.inputs import Quantity, decimal_or_none, split_of
from engine.office.live import LiveTables
from engine.office.marks import MarkLog
from engine.office.past import Past
from engine.office.verify import Verifier
from engine.pipeline.messages import readable
from engine.pipeline.room import BookRoom
from engine.recon.assign import Request
from engine.recon.breaks import BreakBook
from engine.tables.breaks import breaks_frame, cause_rows, locks_frame
from engine.tables.journal import preview_frame, rules_frame

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence
    from datetime import datetime

    from engine.core.events import AnyFact, AssignmentMade, AssignmentReversed
    from engine.ports import Broker, Clock
    from engine.settings import Settings


class PortfolioManager(ExpiryActs):
    """The books of every strategy, reconciled with IB.

    Attributes:
        room: Journal, ledger and store.
        reconciler: Runs and breaks.
    """

    def __init__(
        self, settings: Settings, room: BookRoom, broker: Broker | None = None, clock: Clock | None = None
    ) -> None:
        """Wire the parts; :meth:`open` does it for callers without an engine."""
        self.settings = settings
        self.room = room
        self.clock = clock or SystemClock()
        self.broker: Broker = broker or AbsentBroker(self.clock, settings.expected_accounts)
        self.mark_log = MarkLog(room.frames, self.clock, self.broker.marks)
        room.marks = self.mark_log.marks
        self._home = asyncio.get_running_loop()
        self.reconciler = Reconciler(
            ledger=room.ledger,
            lock=room.lock,
            broker=self.broker,
            settings=settings,
            clock=self.clock,
            store_rows=room.frames.add,
            drain=room.intake.drained,
            external=lambda: self.back_office.events,
            marks=self.mark_log.fresh,
            book=BreakBook.from_rows(room.store.read("reconciliations", "breaks")["extra"]),
        )
        self.desk = AssignmentDesk(
            ledger=room.ledger,
            lock=room.lock,
            broker=self.broker,
            reconciler=self.reconciler,
            submit=room.intake.accept,
            clock=self.clock,
            everything=room.keeper,
        )
        self.access = Access(settings, self.clock, room.intake.put)
        self._past = Past(room)
        self.back_office = BackOffice(room, self.broker, self.reconciler, self.clock, self._past)
        self.equity_log = EquityLog(room, self.clock)
        self._live, self._verifier = LiveTables(room, self.broker), Verifier(room)
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, settings: Settings, clock: Clock | None = None) -> PortfolioManager:
        """Open the books without an engine; connects to IB only when one is configured.

        Raises:
            StoreLocked: Another engine owns them.
            StorageError: Store or journal cannot be opened.
        """
        clock = clock or SystemClock()
        room = await asyncio.to_thread(BookRoom, settings, clock)
        if not settings.has_ib:
            return cls(settings, room, clock=clock)
        from engine.broker.client import IbBroker  # no client library is needed where no IB is

        broker = IbBroker(settings, sink=room.intake.put, clock=clock, pressed=room.pressed)
        manager = cls(settings, room, broker, clock)
        manager._task = asyncio.create_task(broker.run(), name="broker")
        settled = asyncio.create_task(broker.settled.wait())
        await asyncio.wait({manager._task, settled}, return_when=asyncio.FIRST_COMPLETED)
        settled.cancel()
        if manager._task.done():
            await asyncio.to_thread(room.close)
            manager._task.result()
        return manager

    async def close(self) -> None:
        """Flush everything and let go; nothing accepted is lost.

        Raises:
            StorageError: The journal's disk still refuses facts that were put.
        """
        if self._task is not None:
            await self.broker.stop()  # type: ignore[attr-defined]
            await self._task
        await asyncio.to_thread(self.room.close)

    async def _here(self, act: Coroutine[Any, Any, Any]) -> Any:
        """Await an act on the manager's own loop, wherever the caller's is; on the caller's when ours is over."""
        if asyncio.get_running_loop() is self._home or not self._home.is_running():
            return await act
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(act, self._home))

    def _follow(self) -> None:
        """Let the reconciled table follow an act."""
        if self._home.is_running():
            self._home.call_soon_threadsafe(self.reconciler.run_behind, "after an act")

    async def process_fill(self, strategy: str, trade: object, fill: object) -> None:
        """Book one fill; returns when it is durable and in the books. From any loop; unreadable ones go to quarantine."""
        await self._accept({"type": "fill", "strategy": strategy, "trade": trade, "fill": fill}, "process_fill")

    async def record_status_change(self, strategy: str, trade: object, status: str) -> None:
        """Record an order's status; returns when it is durable. From any loop."""
        message = {"type": "status_change", "strategy": strategy, "trade": trade, "status": status}
        await self._accept(message, "record_status_change")

    async def _accept(self, message: Mapping[str, object], door: str) -> None:
        await self.room.intake.accept(readable(message, self.clock, door, self.settings.ib_timezone))

    # ---------------------------------------------------------------------------------------------------- tables

    def positions(
        self, strategy: str | None = None, account: str | None = None, as_of: datetime | None = None
    ) -> pd.DataFrame:
        """Books as a table: columns of ``positions/<STRATEGY>``, ``strategy`` and base-currency columns."""
        return (
            self._live.positions(strategy, account) if as_of is None else self._past.positions(strategy, account, as_of)
        )

    def fills(
        self, strategy: str | None = None, since: datetime | None = None, as_of: datetime | None = None
    ) -> pd.DataFrame:
        """The current state of each execution: columns of ``fills/<STRATEGY>`` and ``strategy``."""
        return self._live.fills(strategy, since) if as_of is None else self._past.fills(strategy, as_of)

    def fills_page(self, **query: Any) -> tuple[pd.DataFrame, int]:
        """One page of executions and how many there are; see ``tables.live.LiveTables.fills_page``."""
        return self._live.fills_page(**query)

    def orders(
        self, strategy: str | None = None, open_only: bool = False, as_of: datetime | None = None
    ) -> pd.DataFrame:
        """The latest state of each order: columns of ``orders/<STRATEGY>`` and ``strategy``."""
        if as_of is None:
            return self._live.orders(strategy, open_only=open_only)
        return self._past.orders(strategy, as_of, open_only=open_only)

    def latest_orders(self) -> pd.DataFrame:
        """Open orders and the latest of each strategy, as :meth:`orders`; what a page needs, however long the day."""
        return self._live.latest_orders()

    def timeline(self, order_key: str) -> pd.DataFrame:
        """Every transition of one order, in order."""
        return self._live.timeline(order_key)

    def timelines(self, order_keys: Iterable[str]) -> pd.DataFrame:
        """Every transition of several orders as :meth:`timeline`, and ``order_key`` as asked for; orders stand together."""
        return self._live.timelines(order_keys)

    def chain(self, fill_id: str) -> pd.DataFrame:
        """Every revision of an execution, lowest first."""
        return self._live.chain(fill_id)

    def portfolio(self, account: str | None = None, as_of: datetime | None = None) -> pd.DataFrame:
        """The latest reconciled table: columns of ``portfolio/aggregated``; empty before the first good run."""
        if as_of is not None:
            return self._past.portfolio(account, as_of)
        return self._live.portfolio(self.reconciler.last, account)

    def breaks(self, open_only: bool = True, as_of: datetime | None = None, history_of: str = "") -> pd.DataFrame:
        """Breaks, most urgent first; with ``history_of`` every stored change of that one break, oldest first."""
        if history_of:
            return self._past.break_history(history_of)
        if as_of is not None:
            return self._past.breaks(as_of, open_only=open_only)
        return breaks_frame(self.reconciler.breaks(open_only=open_only), self.clock.now())

    def causes(self, break_id: str) -> list[dict[str, Any]]:
        """Ranked causes of a break with their arithmetic; empty for an unknown break."""
        found = self.reconciler.found(break_id)
        return cause_rows(found) if found is not None else []

    def locks(self) -> pd.DataFrame:
        """Advice not to trade, per (account, con_id)."""
        return locks_frame(self.reconciler.locks())

    def runs(self) -> pd.DataFrame:
        """Recent reconciliations, latest first."""
        return self.room.store.runs().sort_index(ascending=False).reset_index().head(200)

    def equity(self, strategy: str | None = None, *, as_of: datetime | None = None) -> pd.DataFrame:
        """Samples of cash, fees, realized and unrealized P&L; see :meth:`engine.office.equity.EquityLog.frame`."""
        return self.equity_log.frame(strategy, as_of=as_of)

    def findings(self) -> pd.DataFrame:
        """Oddities in the data that are open."""
        return self._live.findings()

    def fees_pending(self) -> pd.DataFrame:
        """Executions whose fee has not come yet."""
        return self._live.fees_pending()

    def quarantine(self) -> pd.DataFrame:
        """Messages that could not be read, open ones."""
        return self._live.quarantine()

    def audit(self) -> pd.DataFrame:
        """Recent acts, refused ones included, latest first."""
        return self._live.audit()

    def assignments(self, as_of: datetime | None = None) -> pd.DataFrame:
        """The journal of assignments, with what was reversed."""
        return self._past.assignments(as_of)

    def rules(self) -> pd.DataFrame:
        """Every rule, switched off ones included."""
        with self.room.lock:
            return rules_frame(self.room.ledger.rules())

    def closes(self) -> pd.DataFrame:
        """Closed days."""
        return self.back_office.closes()

    def verify(self) -> pd.DataFrame:
        """Recompute every book from the stored fills and compare; one row per difference, none when all is well."""
        return self._verifier.run(running=True)

    # ---------------------------------------------------------------------------------------------------- acts

    async def reconcile_positions(self, operator: str | None = None) -> pd.DataFrame:
        """Reconcile now; returns the reconciled table, columns of ``portfolio/aggregated``.

        Raises:
            BrokerUnavailable: IB gave no complete answer; nothing was changed.
        """
        self.access.check("reconcile", operator)
        await self._here(self.reconciler.run("asked for" if operator is None else f"asked for by {operator}"))
        if await self._here(self.desk.apply_rules()):
            await self._here(self.reconciler.run("after a rule"))
        return await asyncio.to_thread(self.portfolio)  # the first to ask has its rows made

    def suggest_owners(self, account: str, con_id: int) -> list[dict[str, Any]]:
        """Who a residual probably belongs to, best first, with reasons."""
        return [
            {"strategy": s.strategy, "quantity": float(s.quantity), "reason": s.reason}
            for s in self.desk.suggest_owners(account, con_id)
        ]

    def preview_assignment(
        self,
        account: str,
        con_id: int,
        split: Mapping[str, Quantity],
        price: Quantity | None = None,
        price_source: str = "",
    ) -> pd.DataFrame:
        """Before and after of every book that the assignment would touch; nothing is changed.

        Raises:
            AssignmentRefused: The split does not fit the residual, or a price is needed.
        """
        entry, pairs = self.desk.preview(
            account, con_id, split_of(split), price=decimal_or_none(price, "price"), price_source=price_source
        )
        return preview_frame(entry, pairs)

    async def assign_residual(
        self,
        account: str,
        con_id: int,
        split: Mapping[str, Quantity],
        price: Quantity | None = None,
        *,
        operator: str,
        reason: str,
        price_source: str = "",
        request_id: str = "",
    ) -> AssignmentMade:
        """Give a residual, or part of it, to strategies; audited and reversible.

        Raises:
            AssignmentRefused: The request does not fit; nothing was changed.
            NotPermitted: The operator may only look.
        """
        self.access.check("assign", operator, f"{account} {con_id} {dict(split)} {reason}")
        request = Request(
            split=split_of(split),
            operator=operator,
            reason=reason,
            price=decimal_or_none(price, "price"),
            price_source=price_source,
            request_id=request_id,
        )
        made: AssignmentMade = await self._here(self.desk.assign(account, con_id, request))
        self._follow()
        return made

    async def reverse_assignment(self, assignment_id: str, *, operator: str, reason: str) -> AssignmentReversed:
        """Take an assignment back; restores the exact former state.

        Raises:
            AssignmentRefused: Unknown, or reversed already.
        """
        self.access.check("reverse", operator, f"{assignment_id} {reason}")
        done: AssignmentReversed = await self._here(self.desk.reverse(assignment_id, operator=operator, reason=reason))
        self._follow()
        return done

    async def note_break(self, break_id: str, owner: str, note: str, operator: str) -> None:
        """Set owner and note of a break."""
        self.access.check("note break", operator, break_id)
        await self.back_office.note(break_id, owner, note, operator)

    async def set_rule(self, *, operator: str, **rule: Any) -> str:
        """Try a rule on history, switch it on or off, and let it act at once; returns its id."""
        self.access.check("rule", operator, repr(rule))
        rule_id = await self.back_office.set_rule(operator, self.desk, **rule)
        await self._here(self.desk.apply_rules())
        return rule_id

    async def try_rule(self, **rule: Any) -> pd.DataFrame:
        """What a rule would have done with every execution known; nothing is changed."""
        return await asyncio.to_thread(self.back_office.try_rule, self.desk, **rule)

    async def replay_quarantine(self, quarantine_id: str, operator: str) -> int:
        """Read a quarantined message again; returns how many facts came of it.

        Raises:
            BadRequest: It is not there, or still cannot be read.
        """
        self.access.check("replay quarantine", operator, quarantine_id)
        return await self.back_office.replay(quarantine_id, operator)

    async def dismiss_quarantine(self, quarantine_id: str, operator: str) -> None:
        """Close a quarantined message without booking it; it stays in the journal and the audit."""
        self.access.check("dismiss quarantine", operator, quarantine_id)
        await self.back_office.dismiss(quarantine_id, operator)

    async def close_day(
        self, date: Any, account: str, operator: str, overrule_reason: str | None = None
    ) -> dict[str, Any]:
        """Close a New York day of an account; returns the close's summary row.

        Raises:
            BadRequest: Fees are pending, breaks are confirmed, or the broker is unknown, and no reason was given.
        """
        self.access.check("close day", operator, f"{date} {account} {overrule_reason or ''}")
        row: dict[str, Any] = await self._here(self.back_office.close_day(date, account, operator, overrule_reason))
        return row

    def close_statement(self, close_id: str, kind: str = "csv") -> str:
        """A stored close as CSV or HTML text."""
        return self.back_office.statement(close_id, kind)

    async def import_flex(self, source: str | Path | bytes, operator: str | None = None) -> dict[str, Any]:
        """Take in a Flex statement, from a file or its content; importing it again changes nothing.

        Returns:
            ``new`` facts, ``differences`` of closing positions, ``findings``, ``text`` for the operator.

        Raises:
            Unreadable: Not a Flex statement.
        """
        self.access.check("import flex", operator)
        content = source if isinstance(source, bytes) else await asyncio.to_thread(Path(source).read_bytes)
        return await self.back_office.import_flex(content)

    async def submit(self, facts: Sequence[AnyFact]) -> int:
        """Make facts durable and book them (for the engine's own parts)."""
        return await self.room.intake.accept(facts)
