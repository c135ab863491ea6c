"""What importing a Flex statement means for the books: facts to submit, and differences to show. Pure; the caller acts.

A statement adds what the API cannot bring (executions older than its replay window, F24; fees that never came, R8;
busts, F18-F19) and is compared with what the books hold. It never repairs a position: exercises, corporate actions and
transfers are handed on as evidence for the breaks they made. Importing a file again changes nothing, because every
fact is asked for by an identity that the first import left in the books.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec

from engine.core.events import AnyFact, Quarantined, RateSeen
from engine.core.records import FillRecord
from engine.core.statement import FlexStatement, PositionComparison, StatementEvent, StatementFinding
from engine.desk.flex_compare import NEW_YORK, close_of, compare_positions
from engine.desk.flex_match import Books, Matcher, Matching

_FINAL_AT: Final = time(5, 0)
_SLACK: Final = timedelta(days=3)


class FlexPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What one account's statement brings.

    Attributes:
        facts: To submit to the journal, in this order; empty when the books hold everything already.
        findings: To show; nothing is changed because of them.
        comparisons: Every instrument held by either side at the close, ``None`` when the statement does not say what
            was held (then nothing may be concluded; F141).
        expected_missing: Execution ids of ours that a statement never lists: combinations' parents (F75) and rows of
            advisor masters.
        combos: Execution ids that are legs of one combination (equal first two segments, F55).
        events: Evidence for the explanation of breaks.
        trade_ids: ``tradeID`` -> execution id; keep them and hand them to later plans as ``known_trades``.
        provisional: True when IB may still change the day (F140).
    """

    account: str
    from_date: date | None
    to_date: date | None
    facts: tuple[AnyFact, ...]
    findings: tuple[StatementFinding, ...]
    comparisons: tuple[PositionComparison, ...] | None
    expected_missing: tuple[str, ...]
    combos: tuple[tuple[str, ...], ...]
    events: tuple[StatementEvent, ...]
    trade_ids: dict[str, str]
    provisional: bool

    @property
    def differences(self) -> tuple[PositionComparison, ...]:
        """The comparisons that do not tie."""
        return tuple(c for c in self.comparisons or () if c.difference)

    def summary(self) -> str:
        """One line for the operator."""
        kinds = [type(fact).__name__ for fact in self.facts]
        counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)) or "nothing new"
        held = "positions unknown" if self.comparisons is None else f"{len(self.differences)} differences in positions"
        return f"{self.account} {self.from_date} to {self.to_date}: {counted}; {held}; {len(self.findings)} findings"


def plan_import(
    statement: FlexStatement,
    books: Books,
    *,
    received_at: datetime,
    known_trades: Mapping[str, str] | None = None,
    known_quarantine: Collection[str] = (),
) -> FlexPlan:
    """Lay a statement beside the books.

    Args:
        statement: One account's, as :func:`engine.broker.flex.read_flex` gives it.
        books: The ledger; not changed. Hold its lock while planning.
        received_at: Knowledge time of the facts, UTC (F17: a restatement keeps its trade time and is known from now).
        known_trades: ``trade_ids`` of earlier plans.
        known_quarantine: Ids of quarantined rows that were already dealt with.

    Returns:
        The plan; the same statement against the books it led to gives one without facts.
    """
    start, end = _period(statement)
    nearby = _nearby(statement, books, start)
    matching = Matcher(books, nearby, received_at, known_trades or {}).run(statement.trades or ())
    findings = list(matching.findings)
    expected_missing: tuple[str, ...] = ()
    if statement.trades is not None and start is not None and end is not None:
        inside = [r for r in nearby if start <= _day(r.order_time) <= end and r.order_time <= close_of(end)]
        expected_missing = tuple(r.fill.exec_id for r in inside if r.state == "group")
        findings += _missing(inside, matching.seen, statement.account)
        findings += _unconfirmed_busts(nearby, matching, statement.account)
    facts: list[AnyFact] = [*matching.fills, *matching.busts, *matching.commissions]
    facts += _rates(statement, books, received_at)
    facts += _lost_rows(statement, books, received_at, known_quarantine)
    events = tuple(_events(statement))
    return FlexPlan(
        account=statement.account,
        from_date=statement.from_date,
        to_date=statement.to_date,
        facts=tuple(facts),
        findings=tuple({f.key: f for f in findings}.values()),
        comparisons=compare_positions(statement, books, nearby, matching, events),
        expected_missing=expected_missing,
        combos=_combos(trade.exec_id for trade in statement.trades or () if not trade.is_cancel),
        events=events,
        trade_ids=matching.trade_ids,
        provisional=_provisional(statement),
    )


def _period(statement: FlexStatement) -> tuple[date | None, date | None]:
    days = [t.trade_date for t in statement.trades or () if t.trade_date]
    return (
        statement.from_date or min(days, default=None),
        statement.to_date or max(days, default=None),
    )


def _nearby(statement: FlexStatement, books: Books, start: date | None) -> list[FillRecord]:
    """The account's executions from a little before the period (or before what it cancels) until now."""
    moments = [t.executed_at for t in statement.trades or () if t.executed_at is not None]
    if start is not None:
        moments.append(datetime.combine(start, time(), NEW_YORK))
    since = min(moments).astimezone(UTC) - _SLACK if moments else None
    return [record for record in books.fills(since=since) if record.fill.account == statement.account]


def _day(moment: datetime) -> date:
    return moment.astimezone(NEW_YORK).date()


def _missing(inside: Iterable[FillRecord], seen: set[str], account: str) -> list[StatementFinding]:
    """Executions of ours that the statement should list and does not."""
    return [
        StatementFinding(
            key=f"flex-missing-{account}-{record.fill.exec_id}",
            kind="missing_in_statement",
            severity="warning",
            text=f"{record.fill.exec_id} ({record.quantity} {record.fill.instrument.symbol}) is not in the statement",
            account=account,
            con_id=record.fill.instrument.con_id,
            exec_id=record.fill.exec_id,
        )
        for record in inside
        if record.state == "active" and record.fill.source != "assignment" and record.fill.exec_id not in seen
    ]


def _unconfirmed_busts(nearby: Iterable[FillRecord], matching: Matching, account: str) -> list[StatementFinding]:
    """Executions void in the books that the statement lists: known as busted only when it cancels them too (F19)."""
    return [
        StatementFinding(
            key=f"flex-bust-{account}-{record.fill.exec_id}",
            kind="bust_unconfirmed",
            severity="critical",
            text=f"{record.fill.exec_id} is void in the books, but the statement does not cancel it",
            account=account,
            con_id=record.fill.instrument.con_id,
            exec_id=record.fill.exec_id,
        )
        for record in nearby
        if record.state == "busted" and record.fill.exec_id in matching.seen - matching.cancelled
    ]


def _rates(statement: FlexStatement, books: Books, received_at: datetime) -> list[RateSeen]:
    """The newest rate of each currency that this account uses, unless the books know a newer one."""
    trades = statement.trades or ()
    used = {t.instrument.currency for t in trades} | {t.commission_currency for t in trades}
    used |= {p.instrument.currency for p in statement.positions or ()} | {c.currency for c in statement.cash or ()}
    used |= {currency for account, currency in books.rates if account == statement.account}
    newest = {}
    for rate in sorted(statement.rates or (), key=lambda r: r.day):
        if rate.currency in used and rate.base == statement.base_currency != rate.currency:
            newest[rate.currency] = rate
    seen = []
    for rate in newest.values():
        at = close_of(rate.day).astimezone(UTC)
        known = books.rates.get((statement.account, rate.currency))
        if known is None or known.at < at:
            seen.append(
                RateSeen(
                    received_at=received_at,
                    account=statement.account,
                    currency=rate.currency,
                    base=rate.base,
                    rate=rate.rate,
                    at=at,
                    source="flex",
                )
            )
    return seen


def _lost_rows(
    statement: FlexStatement, books: Books, received_at: datetime, known: Collection[str]
) -> list[Quarantined]:
    """Rows that could not be used, whole, for an operator to see (R40)."""
    return [
        Quarantined(
            received_at=received_at, quarantine_id=problem.key, reason=problem.text, raw=problem.raw, door="flex"
        )
        for problem in statement.problems
        if problem.lost and problem.key not in books.quarantine and problem.key not in known
    ]


def _events(statement: FlexStatement) -> Iterable[StatementEvent]:
    yield from statement.option_events or ()
    yield from statement.corporate_actions or ()
    yield from statement.transfers or ()


def _combos(exec_ids: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Legs of one combination share the first two segments of the execution id and differ in the third."""
    groups: dict[tuple[str, str], dict[str, list[str]]] = {}
    for exec_id in exec_ids:
        parts = exec_id.split(".")
        if len(parts) >= 4:
            groups.setdefault((parts[0], parts[1]), {}).setdefault(parts[2], []).append(exec_id)
    return tuple(
        tuple(exec_id for leg in sorted(legs) for exec_id in legs[leg]) for legs in groups.values() if len(legs) > 1
    )


def _provisional(statement: FlexStatement) -> bool:
    """A day is final from 05:00 New York of the next (F140); a file that does not say when it was made is not."""
    if statement.generated_at is None or statement.to_date is None:
        return True
    return statement.generated_at < datetime.combine(statement.to_date + timedelta(days=1), _FINAL_AT, NEW_YORK)
