"""A statement's closing positions against the books: what should be held now, if both are right.

The statement shows a past close, the books show now, so executions after the close are added to the statement before
anything is compared (F150)::

    expected   = statement + executed after the close
    difference = expected - books                       broker minus books, like every break

Worked example: 250 at Friday's close, and Monday sold 50. The books should hold 200; if they hold 150, the difference
is 50. Operators' assignments are not added: they book what the broker's figure contains already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from engine.core.events import Fill
from engine.core.exact import add, subtract
from engine.core.ids import ExecRoot, split_exec_id
from engine.core.instrument import Instrument
from engine.core.records import FillRecord
from engine.core.statement import FlexStatement, OptionEvent, PositionComparison, StatementEvent
from engine.desk.flex_match import ZERO, Books, Matching

NEW_YORK: Final = ZoneInfo("America/New_York")
_CLOSE: Final = time(16, 0)
_FUTURES_CUT_OFF: Final = time(17, 0)
_LATE_CUT_OFF: Final = time(20, 0)


def close_of(day: date) -> datetime:
    """16:00 New York of that day."""
    return datetime.combine(day, _CLOSE, NEW_YORK)


def cut_off(day: date, sec_type: str) -> datetime:
    """The moment up to which a day's statement counts executions: 17:00 New York for futures, 20:00 for the rest."""
    return datetime.combine(day, _FUTURES_CUT_OFF if sec_type in {"FUT", "FOP"} else _LATE_CUT_OFF, NEW_YORK)


def event_quantities(events: Iterable[StatementEvent]) -> dict[int, Decimal]:
    """Signed quantity that book entries, actions and transfers moved, per ``con_id``."""
    moved: dict[int, Decimal] = {}
    for event in events:
        legs = [(event.instrument, event.quantity)]
        if isinstance(event, OptionEvent) and event.underlying is not None and event.underlying_quantity is not None:
            legs.append((event.underlying, event.underlying_quantity))
        for instrument, quantity in legs:
            if quantity:
                moved[instrument.con_id] = add(moved.get(instrument.con_id, ZERO), quantity)
    return moved


def compare_positions(
    statement: FlexStatement,
    books: Books,
    nearby: Sequence[FillRecord],
    matching: Matching,
    events: Iterable[StatementEvent],
) -> tuple[PositionComparison, ...] | None:
    """The closing positions and the books; ``None`` when the statement does not tell them or their day."""
    if statement.positions is None or statement.to_date is None:
        return None
    told = {p.instrument.con_id: p for p in statement.positions}
    held = {con_id: q for (account, con_id), q in books.net().items() if account == statement.account}
    for con_id, change in _import_changes(books, matching, statement.account).items():
        held[con_id] = add(held.get(con_id, ZERO), change)
    after = _after_cut_off(statement, nearby, matching.seen)
    moved = event_quantities(events)
    found = []
    for con_id in sorted({*told, *(c for c, q in held.items() if q), *(c for c, q in after.items() if q)}):
        row = told.get(con_id)
        instrument = row.instrument if row is not None else books.instrument(con_id)
        instrument = instrument or Instrument(con_id=con_id, symbol=str(con_id))
        if instrument.is_virtual_fx or instrument.is_combo:
            continue
        quantity = row.quantity if row is not None else ZERO
        expected = add(quantity, after.get(con_id, ZERO))
        difference = subtract(expected, held.get(con_id, ZERO))
        found.append(
            PositionComparison(
                account=statement.account,
                con_id=con_id,
                instrument=instrument,
                statement_quantity=quantity,
                after_cut_off=after.get(con_id, ZERO),
                expected=expected,
                books_quantity=held.get(con_id, ZERO),
                difference=difference,
                events=moved.get(con_id, ZERO),
                note="fraction" if ZERO < abs(difference) < 1 else "",
            )
        )
    return tuple(found)


def _after_cut_off(statement: FlexStatement, nearby: Iterable[FillRecord], seen: set[str]) -> dict[int, Decimal]:
    """What was executed after the close that the positions show.

    Where the statement lists trades, one of the last evening that it does not list belongs to the next day; without
    that list the clock alone decides.
    """
    assert statement.to_date is not None
    days = {p.instrument.con_id: p.report_date for p in statement.positions or () if p.report_date}
    total: dict[int, Decimal] = {}
    for record in nearby:
        fill, con_id = record.fill, record.fill.instrument.con_id
        if record.state != "active" or fill.source == "assignment" or fill.exec_id in seen:
            continue
        day = days.get(con_id, statement.to_date)
        limit = close_of(day) if statement.trades is not None else cut_off(day, fill.instrument.sec_type)
        if record.order_time >= limit:
            total[con_id] = add(total.get(con_id, ZERO), record.quantity)
    return total


def _import_changes(books: Books, matching: Matching, account: str) -> dict[int, Decimal]:
    """How the planned facts change the net quantity per ``con_id``."""
    planned: dict[ExecRoot, Fill] = {}
    for fill in matching.fills:
        root, revision = split_exec_id(fill.exec_id)
        best = planned.get(root)
        if best is None or split_exec_id(best.exec_id)[1] < revision:
            planned[root] = fill
    void = {split_exec_id(bust.exec_id)[0] for bust in matching.busts}
    changes: dict[int, Decimal] = {}
    for root in {*planned, *void}:
        now, new = books.fill(account, root), planned.get(root)
        if now is not None and (new is None or split_exec_id(now.fill.exec_id)[1] > split_exec_id(new.exec_id)[1]):
            new = now.fill
        if new is None or new.instrument.is_virtual_fx:
            continue
        before = now.quantity if now is not None else ZERO
        change = subtract(ZERO if root in void else new.quantity, before)
        con_id = new.instrument.con_id
        changes[con_id] = add(changes.get(con_id, ZERO), change)
    return changes
