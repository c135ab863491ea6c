"""The back office: notes, rules, quarantine, statements and day closes, as acts on the books."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.broker.flex import read_flex
from engine.broker.translate import facts_from_raw
from engine.core.events import Audited, BreakNoted, ConnectionSeen, QuarantineClosed, RuleSet
from engine.core.snapshot import Confirmed
from engine.desk.closed import close_columns, close_summaries, latest_closes, read_closes, to_csv, to_html
from engine.desk.dayclose import broker_at, close_day, day_start
from engine.desk.flex_import import plan_import
from engine.desk.statement_rows import read_statement_items, statement_columns
from engine.errors import BadRequest, Unreadable
from engine.state.notes import gaps
from engine.state.valuation import RateTable
from engine.tables.records import rows_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    import pandas as pd

    from engine.core.events import AnyFact
    from engine.core.statement import FlexStatement
    from engine.desk.assignments import AssignmentDesk
    from engine.desk.closed import DayClose
    from engine.desk.flex_import import FlexPlan
    from engine.desk.reconciler import Reconciler
    from engine.office.past import Past
    from engine.pipeline.room import BookRoom
    from engine.ports import Broker, Clock
    from engine.recon.evidence import StatementItem

_LARGEST_ID = 2**31 - 1
_CLOSE_COLUMNS = (
    "close_id",
    "date",
    "account",
    "status",
    "operator",
    "overrule_reason",
    "obstacles",
    "digest",
    "previous_digest",
    "closed_at",
)


class BackOffice:
    """Acts that are neither a reconciliation nor an assignment.

    Attributes:
        events: What imported statements told, as evidence for the explanation of breaks.
    """

    def __init__(self, room: BookRoom, broker: Broker, reconciler: Reconciler, clock: Clock, past: Past) -> None:
        """Take the parts, and read again what was imported before (its events are evidence, not facts)."""
        self._room = room
        self._broker = broker
        self._reconciler = reconciler
        self._clock = clock
        self._past = past
        self._trade_ids: dict[str, str] = {}
        self._folder = Path(room.settings.data_dir) / "flex"
        self._closes: list[DayClose] = read_closes(room.store.read("reconciliations", "closes")["statement"])
        self.events: Sequence[StatementItem] = ()
        self.import_notes: list[str] = []
        told = room.store.read("reconciliations", "statements")
        stored, unread = read_statement_items(told["kind"], told["extra"])
        self._stored = set(stored)
        if unread:
            self.import_notes.append(f"{unread} stored rows of statements cannot be read")
        self._learn(stored)
        for file in sorted(self._folder.glob("*.xml")) if self._folder.is_dir() else []:
            self._remember(file)
        self._store_told()

    def _learn(self, items: Iterable[StatementItem]) -> None:
        """Take in evidence; what is known already counts once."""
        self.events = list(dict.fromkeys((*self.events, *items)))

    def _store_told(self) -> None:
        """Store what is not stored yet: evidence outlives the file, and the folder it lies in."""
        new = [e for e in self.events if e not in self._stored]
        if new:
            columns, index = statement_columns(new, self._now())
            self._room.frames.add("reconciliations", "statements", columns, index)
            self._stored.update(new)

    def _remember(self, file: Path) -> None:
        try:
            statements = read_flex(file.read_bytes())
        except (Unreadable, OSError) as error:
            self.import_notes.append(f"{file.name} cannot be read again: {error}")
            return
        for statement in statements:
            self._plan(statement)

    def _plan(self, statement: FlexStatement) -> FlexPlan:
        with self._room.lock:
            plan = plan_import(
                statement,
                self._room.ledger,
                received_at=self._clock.now(),
                known_trades=self._trade_ids,
                known_quarantine=frozenset(self._room.ledger.quarantine),
            )
        self._trade_ids.update(plan.trade_ids)
        self._learn(plan.events)
        return plan

    async def import_flex(self, content: bytes) -> dict[str, Any]:
        """Take in a Flex file; see ``PortfolioManager.import_flex``."""
        statements = await asyncio.to_thread(read_flex, content)
        lines: list[str] = []
        rows: list[dict[str, Any]] = []
        new = 0
        findings: list[str] = []
        for statement in statements:
            plan = await asyncio.to_thread(self._plan, statement)
            if plan.facts:
                await self._room.intake.accept(plan.facts)
            if covered := self._covered(statement, plan):
                await self._room.intake.accept([covered])
            new += len(plan.facts)
            lines.append(plan.summary())
            findings += [f.text for f in plan.findings]
            findings += [p.text if hasattr(p, "text") else str(p) for p in statement.problems]
            rows += [
                {"account": plan.account, "con_id": c.con_id, "difference": float(c.difference or 0)}
                for c in plan.differences
            ]
        await asyncio.to_thread(self._keep, content)
        self._store_told()
        return {
            "new": new,
            "differences": len(rows),
            "difference_rows": rows,
            "findings": findings,
            "text": "; ".join(lines),
        }

    def _covered(self, statement: FlexStatement, plan: FlexPlan) -> ConnectionSeen | None:
        """That the statement shows what no replay did, if it does."""
        if statement.trades is None or plan.from_date is None or plan.to_date is None:
            return None
        begin = day_start(plan.from_date)
        end = day_start(plan.to_date + timedelta(days=0 if plan.provisional else 1))
        with self._room.lock:
            missed = gaps(self._room.ledger.findings)
        if not any(a == plan.account and begin <= first and last <= end for a, first, last in missed):
            return None
        return ConnectionSeen(
            received_at=self._now(),
            state="covered",
            detail=f"Flex statement of {plan.account}, {plan.from_date} to {plan.to_date}",
            heard_until=begin,
            replayed_from=end,
            accounts=(plan.account,),
        )

    def _keep(self, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{hashlib.sha256(content).hexdigest()[:24]}.xml"
        if not file.exists():
            file.write_bytes(content)

    async def note(self, break_id: str, owner: str, note: str, operator: str) -> None:
        """Set owner and note of a break."""
        if self._reconciler.found(break_id) is None:
            raise BadRequest(f"there is no break {break_id}")
        await self._submit(
            BreakNoted(
                break_id=break_id, owner=owner[:200], note=note[:2000], operator=operator, received_at=self._now()
            )
        )

    async def set_rule(self, operator: str, desk: AssignmentDesk, **rule: Any) -> str:
        """Switch a rule on or off; returns its id. One that is switched on is tried on history first, on record."""
        made = self._rule(operator, **rule)
        if not made.reason.strip():
            raise BadRequest("a rule needs a reason")
        if made.enabled:
            trials = await asyncio.to_thread(desk.try_rule, made)
            others = sum(not (t.agrees or t.acts) for t in trials)
            told = (
                f"{made.rule_id} matches {len(trials)} executions of the past: {sum(t.acts for t in trials)} wait in"
                f" UNASSIGNED, {others} belong to others than {made.strategy}"
            )
            await self._submit(Audited(user=operator, act="rule tried", detail=told, received_at=self._now()))
        await self._submit(made)
        return made.rule_id

    def try_rule(self, desk: AssignmentDesk, **rule: Any) -> pd.DataFrame:
        """What a rule would have done."""
        trials = desk.try_rule(self._rule("trial", **rule))
        names = (
            "exec_id",
            "account",
            "con_id",
            "symbol",
            "quantity",
            "order_time",
            "actual",
            "proposed",
            "agrees",
            "acts",
        )
        return rows_frame(({n: getattr(t, n) for n in names} for t in trials), names)

    def _rule(self, operator: str, **rule: Any) -> RuleSet:
        known = {"rule_id", "strategy", "order_ref", "client_id", "account", "con_id", "enabled", "reason"}
        if strange := rule.keys() - known:
            raise BadRequest(f"a rule has no {', '.join(sorted(strange))}")
        strategy = str(rule.get("strategy") or "").strip()
        if not strategy or strategy == "UNASSIGNED":
            raise BadRequest("a rule needs a strategy")
        if not any(rule.get(name) not in {None, "", 0} for name in ("order_ref", "client_id", "account", "con_id")):
            raise BadRequest("a rule needs at least one thing to match: order reference, client, account or instrument")
        client_id = rule.get("client_id")
        if any(abs(int(rule.get(name) or 0)) > _LARGEST_ID for name in ("client_id", "con_id")):
            raise BadRequest("a rule's client and con_id are numbers of IB: nine digits, or ten")
        return RuleSet(
            rule_id=str(rule.get("rule_id") or f"R-{uuid.uuid4().hex[:8]}"),
            strategy=strategy,
            order_ref=str(rule.get("order_ref") or ""),
            client_id=None if client_id in {None, ""} else int(client_id),
            account=str(rule.get("account") or ""),
            con_id=int(rule.get("con_id") or 0),
            enabled=bool(rule.get("enabled", True)),
            operator=operator,
            reason=str(rule.get("reason") or ""),
            received_at=self._now(),
        )

    async def replay(self, quarantine_id: str, operator: str) -> int:
        """Read a quarantined message again; returns how many facts came of it."""
        with self._room.lock:
            held = self._room.ledger.quarantine.get(quarantine_id)
        if held is None:
            raise BadRequest(f"nothing is quarantined as {quarantine_id}")
        try:
            facts: list[AnyFact] = list(facts_from_raw(held.raw, held.received_at))
        except Unreadable as error:
            raise BadRequest(f"it still cannot be read: {error}") from error
        closed = QuarantineClosed(
            quarantine_id=quarantine_id, outcome="replayed", operator=operator, received_at=self._now()
        )
        await self._room.intake.accept([*facts, closed])
        return len(facts)

    async def dismiss(self, quarantine_id: str, operator: str) -> None:
        """Close a quarantined message without booking it."""
        with self._room.lock:
            if quarantine_id not in self._room.ledger.quarantine:
                raise BadRequest(f"nothing is quarantined as {quarantine_id}")
        await self._submit(
            QuarantineClosed(
                quarantine_id=quarantine_id, outcome="dismissed", operator=operator, received_at=self._now()
            )
        )

    async def close_day(self, day: date | str, account: str, operator: str, reason: str | None) -> dict[str, Any]:
        """Close a day; see ``PortfolioManager.close_day``."""
        try:
            when = date.fromisoformat(day) if isinstance(day, str) else day
        except ValueError as error:
            raise BadRequest(f"{day!r} is not a date") from error
        answers = await self._broker.positions([account])
        answer = next((a for a in answers if a.account == account), None)
        close = await asyncio.to_thread(self._draw_up, when, account, operator, reason, answer)
        columns, index = close_columns([close], 0)
        self._room.frames.add("reconciliations", "closes", columns, index)
        self._closes.append(close)
        return close_summaries([close])[0]

    def _draw_up(self, day: date, account: str, operator: str, reason: str | None, answer: object) -> DayClose:
        room = self._room
        records = room.keeper.fills()
        with room.lock:
            rates = RateTable(dict(room.ledger.rates), dict(room.ledger.bases), room.settings.base_currency)
        end, marks = day_start(day + timedelta(days=1)), room.marks()
        if end <= self._now():
            # A day that is over is valued at what was known when it ended, not at what things cost today.
            marks, rates = self._past.marks(end), self._past.rates(end)
        held: dict[int, Decimal] | None = None
        if isinstance(answer, Confirmed):
            now_held = {row.instrument.con_id: row.quantity for row in answer.rows}
            held = (
                now_held
                if end >= answer.answered_at
                else broker_at(now_held, answer.answered_at, records, account, end)
            )
        previous, replaces = latest_closes(self._closes, account, day)
        return close_day(
            day=day,
            account=account,
            records=records,
            instrument_of=room.ledger.instrument,
            marks=dict(marks),
            rates=rates,
            broker=held,
            breaks=self._reconciler.breaks(),
            operator=operator,
            now=self._now(),
            overrule_reason=reason,
            previous=previous,
            replaces=replaces,
        )

    def closes(self) -> pd.DataFrame:
        """Closed days, latest first."""
        return rows_frame(reversed(close_summaries(self._closes)), _CLOSE_COLUMNS)

    def statement(self, close_id: str, kind: str) -> str:
        """A close as CSV or HTML text."""
        found = next((c for c in self._closes if c.close_id == close_id), None)
        if found is None:
            raise BadRequest(f"there is no close {close_id}")
        if kind not in {"csv", "html"}:
            raise BadRequest(f"a close is exported as csv or html, not {kind!r}")
        return to_csv(found) if kind == "csv" else to_html(found)

    async def _submit(self, fact: AnyFact) -> None:
        await self._room.intake.accept([fact])

    def _now(self) -> Any:
        return self._clock.now()
