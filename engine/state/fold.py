"""The independent recount: stored fill records into positions, the plain way.

It shares nothing with the books' incremental path but the definition of the result: fractions instead of kept states, one
pass over everything, no shortcuts. ``verify`` compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from engine.core.exact import EXACT, quotient
from engine.core.ids import split_exec_id, venue_sequence
from engine.core.records import FillRecord, PositionRecord

Key = tuple[str, str, int]


def fold(records: Iterable[FillRecord]) -> dict[Key, PositionRecord]:
    """Recount positions from records.

    Args:
        records: Of any number of strategies. Those of one strategy in stored order; the order of strategies is free.

    Returns:
        (strategy, account, con_id) -> position. Books whose executions have all gone are absent; ``seq`` is that of the
        latest record of the book.
    """
    books: dict[Key, list[FillRecord]] = {}
    for record in current(records):
        fill = record.fill
        if record.state in {"active", "busted"}:
            books.setdefault((record.strategy, fill.account, fill.instrument.con_id), []).append(record)
    return {key: _position(key, sorted(found, key=_place)) for key, found in books.items()}


def current(records: Iterable[FillRecord]) -> list[FillRecord]:
    """The last word on each (strategy, account, execution): the highest revision, and of that the latest record."""
    latest: dict[tuple[str, str, str], tuple[int, FillRecord]] = {}
    for record in records:
        root, revision = split_exec_id(record.fill.exec_id)
        key = (record.strategy, record.fill.account, root)
        known = latest.get(key)
        if known is None or (revision, record.seq) >= (known[0], known[1].seq):
            latest[key] = (revision, record)
    return [record for _, record in latest.values()]


def _place(record: FillRecord) -> tuple[datetime, int, int]:
    return record.order_time, venue_sequence(split_exec_id(record.fill.exec_id)[0]), record.first_seq


def _position(key: Key, records: list[FillRecord]) -> PositionRecord:
    quantity = Fraction(0)
    average = Fraction(0)
    realized = Fraction(0)
    moved: dict[str, Fraction] = {}
    fees: dict[str, Fraction] = {}
    pending = fills = 0
    instrument = records[-1].fill.instrument
    multiplier = records[-1].multiplier
    last: datetime | None = None
    for record in records:
        if record.commission is None:
            pending += 1
        else:
            fees[record.commission_currency] = fees.get(record.commission_currency, Fraction(0)) + Fraction(
                record.commission
            )
        if record.state != "active":
            continue
        fills += 1
        last = record.order_time
        traded, price = Fraction(record.quantity), Fraction(record.unit_price) * Fraction(record.multiplier)
        quantity, average, gained = _traded(quantity, average, traded, price)
        realized += gained
        moved[instrument.currency] = moved.get(instrument.currency, Fraction(0)) - traded * price
        if instrument.is_virtual_fx:
            moved[instrument.symbol] = moved.get(instrument.symbol, Fraction(0)) + traded
    cost = quantity * average
    moved.setdefault(instrument.currency, Fraction(0))
    return PositionRecord(
        strategy=key[0],
        account=key[1],
        instrument_key=key[2],
        quantity=decimal(quantity),
        open_cost=decimal(cost),
        avg_cost=decimal(average / Fraction(multiplier)) if quantity else None,
        realized_pnl=decimal(realized),
        fees={currency: decimal(amount) for currency, amount in fees.items()},
        fees_pending=pending,
        cash={currency: decimal(amount) for currency, amount in moved.items()},
        fills=fills,
        last_fill_at=last,
        seq=max(record.seq for record in records),
    )


def _traded(
    quantity: Fraction, average: Fraction, traded: Fraction, price: Fraction
) -> tuple[Fraction, Fraction, Fraction]:
    """Quantity and average after one execution, and what it realized; ``price`` and ``average`` per unit of quantity."""
    after = quantity + traded
    if quantity * traded >= 0:
        return after, (quantity * average + traded * price) / after if after else Fraction(0), Fraction(0)
    closed = traded if abs(traded) <= abs(quantity) else -quantity
    gained = -closed * (price - average)
    if quantity * after > 0:
        return after, average, gained
    return after, price if after else Fraction(0), gained


def decimal(number: Fraction) -> Decimal:
    """A fraction as a Decimal: exact where its decimal form ends, else rounded to 28 digits."""
    denominator = number.denominator
    twos = fives = 0
    while not denominator % 2:
        denominator //= 2
        twos += 1
    while not denominator % 5:
        denominator //= 5
        fives += 1
    if denominator == 1:
        places = max(twos, fives)
        return Decimal(number.numerator * 10**places // number.denominator).scaleb(-places, context=EXACT)
    return quotient(Decimal(number.numerator), Decimal(number.denominator))
