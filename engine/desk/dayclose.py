"""Closes a day: per strategy and account what opened, traded, cost and remained, tied out to the broker, and signed.

A trading day is New York's calendar day, 00:00 to 24:00, as Flex statements count (an operator in Zurich closes the
same day as one in Chicago). For every book::

    opening + traded + adjusted + restated = closing

*Adjusted* is what operators assigned with effect on these days. *Restated* is what became known only after the earlier
days had been closed (a late correction, a bust, a moved execution): a closed day is never rewritten, the next one shows
the difference. The days since the last close belong to the next one, so a weekend falls between no two chairs.

Worked example: Friday closed at 100. On Monday 20 were sold, and IB corrected one of Friday's buys from 100 to 90. Then
100 - 20 + 0 - 10 = 70.

Every close carries the digest of the one before, so that a close changed later shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from engine.core.events import without_surrogates
from engine.core.exact import ZERO, add, multiply, subtract
from engine.core.ids import UNASSIGNED
from engine.core.instrument import Instrument
from engine.core.records import FillRecord, PositionRecord
from engine.core.snapshot import Mark
from engine.desk.closed import CloseLine, CloseTie, DayClose, sealed
from engine.desk.timetravel import recount
from engine.errors import BadRequest
from engine.recon.breaks import Break
from engine.state.books import BookKey
from engine.state.fold import current
from engine.state.valuation import RateTable, Valued, value

NEW_YORK: Final = ZoneInfo("America/New_York")
_SHOWN: Final = 5
_EMPTY: Final = CloseLine(strategy="", account="", con_id=0, symbol="")

InstrumentOf = Callable[[int], Instrument | None]


def day_start(day: date) -> datetime:
    """The first moment of a New York day, UTC."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)


def broker_at(
    holdings: Mapping[int, Decimal], answered_at: datetime, records: Iterable[FillRecord], account: str, end: datetime
) -> dict[int, Decimal]:
    """What the broker held at a past moment, from what it holds now.

    Args:
        holdings: ``con_id`` -> quantity of a CONFIRMED answer; a missing one is flat.
        answered_at: Of that answer.
        records: Of all strategies, UNASSIGNED included.
        end: The moment asked for, before ``answered_at``.

    Returns:
        ``con_id`` -> quantity: the answer minus what was executed from ``end`` on.
    """
    held = dict(holdings)
    for record in current(records):
        fill = record.fill
        real = record.state == "active" and fill.source != "assignment" and fill.account == account
        if real and end <= record.order_time <= answered_at:
            held[fill.instrument.con_id] = subtract(held.get(fill.instrument.con_id, ZERO), record.quantity)
    return held


def close_day(
    *,
    day: date,
    account: str,
    records: Iterable[FillRecord],
    instrument_of: InstrumentOf,
    marks: Mapping[tuple[str, int], Mark],
    rates: RateTable,
    broker: Mapping[int, Decimal] | None,
    breaks: Iterable[Break],
    operator: str,
    now: datetime,
    overrule_reason: str | None = None,
    previous: DayClose | None = None,
    replaces: DayClose | None = None,
) -> DayClose:
    """Draw up one account's close. Pure: nothing is stored.

    Args:
        day: New York's calendar day. Closing a day that is not over is allowed; it is marked provisional, and may be
            closed again.
        records: Fill records of every strategy, UNASSIGNED included (``Ledger.fills()`` or stored ones).
        marks: The broker's prices to value what is open; their times are kept.
        broker: ``con_id`` -> quantity at the day's end (a statement's, or :func:`broker_at`); a missing one is flat.
            ``None`` when the broker gave no complete answer: then the tie-out is unknown.
        breaks: Open breaks of any account.
        overrule_reason: Why to close in spite of obstacles; blank counts as none.
        previous: The account's latest close of an *earlier* day.
        replaces: An earlier close of this same day.

    Raises:
        BadRequest: No operator, a day of the future, a ``previous`` that is not of this account or not earlier, or
            obstacles (listed: pending fees, confirmed breaks, an unknown or open tie-out) without a reason.
    """
    if not operator.strip():
        raise BadRequest("a close needs an operator's name")
    if not account:
        raise BadRequest("a close needs an account")
    if day_start(day) > now:
        raise BadRequest(f"{day} has not begun in New York")
    if previous is not None and (previous.account != account or previous.day >= day):
        raise BadRequest(f"the close of {previous.day} in {previous.account} does not come before {day} in {account}")
    end = day_start(day + timedelta(days=1))
    mine = [r for r in current(records) if r.fill.account == account and r.order_time < end]
    lines = _lines(mine, day, previous, instrument_of, marks, rates)
    ties = _ties(lines, broker, account)
    obstacles = _obstacles(mine, ties, [b for b in breaks if b.account == account], tied=broker is not None)
    reason = without_surrogates((overrule_reason or "").strip())  # sealed as it can be stored
    if obstacles and not reason:
        raise BadRequest(f"{day} in {account} is not closed: {'; '.join(obstacles)}. Give a reason to close it anyway")
    return sealed(
        DayClose(
            close_id=f"{account}:{day.isoformat()}:{1 if replaces is None else replaces.version + 1}",
            day=day,
            from_day=day if previous is None else previous.day + timedelta(days=1),
            account=account,
            status="provisional" if now < end else "overruled" if obstacles else "closed",
            operator=without_surrogates(operator.strip()),
            overrule_reason=reason if obstacles else "",
            obstacles=tuple(obstacles),
            closed_at=now,
            base_currency=rates.base(account),
            lines=tuple(lines),
            ties=None if broker is None else tuple(ties),
            version=1 if replaces is None else replaces.version + 1,
            previous_digest=previous.digest if previous is not None else "",
            replaces_digest=replaces.digest if replaces is not None else "",
        )
    )


def _lines(
    records: list[FillRecord],
    day: date,
    previous: DayClose | None,
    instrument_of: InstrumentOf,
    marks: Mapping[tuple[str, int], Mark],
    rates: RateTable,
) -> list[CloseLine]:
    """One line per book that opens, moves or closes with anything."""
    start = day_start(day if previous is None else previous.day + timedelta(days=1))
    closing = recount(records)
    before = recount(r for r in records if r.order_time < start)
    opened = {(line.strategy, line.account, line.con_id): line for line in previous.lines} if previous else None
    inside: dict[BookKey, list[FillRecord]] = {}
    for record in records:
        if record.state == "active" and record.order_time >= start:
            key = (record.strategy, record.fill.account, record.fill.instrument.con_id)
            inside.setdefault(key, []).append(record)
    lines = []
    for key in sorted({*closing, *before, *(opened or ())}):
        opening = _opening(before.get(key)) if opened is None else opened.get(key, _EMPTY)
        known = instrument_of(key[2]) or next(
            (r.fill.instrument for r in records if r.fill.instrument.con_id == key[2]),
            Instrument(con_id=key[2], symbol=opening.symbol or str(key[2]), currency=opening.currency),
        )
        end = closing.get(key)
        valued = value(end, known, marks.get((key[1], key[2])), rates) if end is not None else None
        lines.append(_line(key, known, opening, before.get(key), end, inside.get(key, []), valued))
    return [line for line in lines if not line.is_idle]


def _opening(position: PositionRecord | None) -> CloseLine:
    """Without an earlier close the books themselves say what the day opened with."""
    if position is None:
        return _EMPTY
    return msgspec.structs.replace(
        _EMPTY,
        closing_quantity=position.quantity,
        closing_cost=position.open_cost,
        realized_to_date=position.realized_pnl,
        fees_to_date=dict(position.fees),
    )


def _line(
    key: BookKey,
    instrument: Instrument,
    opening: CloseLine,
    before: PositionRecord | None,
    closing: PositionRecord | None,
    inside: list[FillRecord],
    valued: Valued | None,
) -> CloseLine:
    executions = [r for r in inside if r.fill.source != "assignment"]
    legs = [r for r in inside if r.fill.source == "assignment"]
    realized = closing.realized_pnl if closing is not None else ZERO
    fees = dict(closing.fees) if closing is not None else {}
    day_realized = subtract(realized, opening.realized_to_date)
    day_fees = _change(fees, opening.fees_to_date)
    earlier = dict(before.fees) if before is not None else {}
    rate = valued.fx_rate if valued is not None else None
    return CloseLine(
        strategy=key[0],
        account=key[1],
        con_id=key[2],
        symbol=instrument.symbol,
        local_symbol=instrument.local_symbol,
        sec_type=instrument.sec_type,
        currency=instrument.currency,
        multiplier=instrument.multiplier,
        opening_quantity=opening.closing_quantity,
        opening_cost=opening.closing_cost,
        trades=len(executions),
        bought=_sum(r.quantity for r in executions if r.quantity > 0),
        sold=_sum(r.quantity for r in executions if r.quantity < 0),
        turnover=_sum(multiply(multiply(abs(r.quantity), r.unit_price), r.multiplier) for r in executions),
        adjusted=_sum(r.quantity for r in legs),
        restated=subtract(before.quantity if before is not None else ZERO, opening.closing_quantity),
        closing_quantity=closing.quantity if closing is not None else ZERO,
        closing_cost=closing.open_cost if closing is not None else ZERO,
        avg_cost=closing.avg_cost if closing is not None else None,
        realized=day_realized,
        realized_to_date=realized,
        realized_restated=subtract(before.realized_pnl if before is not None else ZERO, opening.realized_to_date),
        fees=day_fees,
        fees_restated=_change(earlier, opening.fees_to_date),
        fees_to_date=fees,
        fees_pending=closing.fees_pending if closing is not None else 0,
        market_price=valued.market_price if valued is not None else None,
        market_at=valued.market_at if valued is not None else None,
        unrealized=valued.unrealized_pnl if valued is not None else ZERO,
        fx_rate=rate,
        fx_at=valued.fx_at if valued is not None else None,
        realized_base=_in_base(day_realized, rate),
        unrealized_base=valued.unrealized_pnl_base if valued is not None else ZERO,
    )


def _change(now: Mapping[str, Decimal], then: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What fees changed by, per currency; what did not change is left out."""
    return {
        currency: change
        for currency in sorted({*now, *then})
        if (change := subtract(now.get(currency, ZERO), then.get(currency, ZERO)))
    }


def _in_base(amount: Decimal, rate: Decimal | None) -> Decimal | None:
    if not amount:
        return ZERO
    return None if rate is None else multiply(amount, rate)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = add(total, amount)
    return total


def _ties(lines: Iterable[CloseLine], broker: Mapping[int, Decimal] | None, account: str) -> list[CloseTie]:
    """Strategies + UNASSIGNED + difference = broker, per instrument; currency pairs and combinations left out."""
    if broker is None:
        return []
    groups: dict[int, list[CloseLine]] = {con_id: [] for con_id in broker}
    for line in lines:
        groups.setdefault(line.con_id, []).append(line)
    ties = []
    for con_id, group in sorted(groups.items()):
        if any(line.sec_type in {"CASH", "BAG"} for line in group):
            continue
        loose = _sum(line.closing_quantity for line in group if line.strategy == UNASSIGNED)
        books = _sum(line.closing_quantity for line in group)
        held = broker.get(con_id, ZERO)
        if not group and not held:
            continue
        ties.append(
            CloseTie(
                account=account,
                con_id=con_id,
                symbol=group[0].symbol if group else str(con_id),
                strategies=subtract(books, loose),
                unassigned=loose,
                broker=held,
                difference=subtract(held, books),
            )
        )
    return ties


def _obstacles(records: list[FillRecord], ties: list[CloseTie], breaks: list[Break], *, tied: bool) -> list[str]:
    """Why the day should not be closed yet, in words."""
    found = []
    pending = [
        r.fill.exec_id
        for r in records
        if r.commission is None and r.state in {"active", "busted"} and r.fill.source != "assignment"
    ]
    if pending:
        found.append(f"{len(pending)} fees pending ({_few(pending)})")
    confirmed = [b for b in breaks if b.state == "confirmed"]
    if confirmed:
        named = [f"{b.symbol or b.con_id} {b.quantity:+f}" for b in confirmed]
        found.append(f"{len(confirmed)} confirmed breaks ({_few(named)})")
    spoken_for = {b.con_id for b in breaks if b.state in {"confirmed", "explained"}}
    open_ties = [f"{t.symbol} {t.difference:+f}" for t in ties if t.difference and t.con_id not in spoken_for]
    if open_ties:
        found.append(f"{len(open_ties)} differences to the broker ({_few(open_ties)})")
    if not tied:
        found.append("the broker's closing positions are unknown")
    return found


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
