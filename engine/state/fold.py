"""The independent recount: stored executions into positions, the plain way.

It shares nothing with the books' incremental path but the definition of the result: whole numbers instead of kept states
in decimals, one pass over everything, nothing ever rounded on the way. ``verify`` compares the two, over every row that was
ever stored, so it should also be quick; hence columns instead of objects, and whole numbers of the smallest unit in them.

Only a partial close divides: it leaves ``after / held`` of what is open at cost. The open cost is therefore a fraction, kept
as its two whole numbers. Realized P&L needs no division of its own, for what was paid and is not open any more was realized:
it is cash moved plus open cost. (10 bought for 100, 4 sold for 44: cash -56, 60 of cost left, 4 gained.) A book that is
never flat gathers a divisor with each partial close, up to some hundred thousand digits. To touch all of them with every
execution would take time that grows with the square of the history, so the latest ones are held apart in numbers of a
moderate size (a stretch) that now and then go into the long ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import gcd
from operator import lt
from typing import Any, Final, NamedTuple

from engine.core.exact import EXACT, quotient
from engine.core.ids import split_exec_id, venue_sequence
from engine.core.instrument import Instrument
from engine.core.records import FillRecord, PositionRecord

Key = tuple[str, str, int]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_STRETCH_BITS: Final = 2048
_COUNTED: Final = frozenset({"active", "busted"})
_CURRENCY_PAIR: Final = "CASH"


class Numbers(NamedTuple):
    """A column of exact numbers: each is its ``whole`` over ``10**places``; ``None`` is unknown."""

    whole: Sequence[Any]
    places: int

    def of(self, amount: int) -> Decimal:
        """An amount in the column's unit, exactly."""
        return decimal(Fraction(amount, 10**self.places))

    def decimal(self, row: int) -> Decimal:
        """One of the numbers."""
        return self.of(self.whole[row])


class Lines(NamedTuple):
    """What the recount needs of executions, as columns of equal length: the last word on each, in stored order.

    Attributes:
        con_id, symbol, sec_type, currency: Of the instrument.
        order_us: ``order_time`` in microseconds since 1970, UTC.
        commission: The only one of which a number may be unknown.
    """

    strategy: Sequence[str]
    account: Sequence[str]
    con_id: Sequence[int]
    exec_id: Sequence[str]
    state: Sequence[str]
    order_us: Sequence[int]
    first_seq: Sequence[int]
    seq: Sequence[int]
    symbol: Sequence[str]
    sec_type: Sequence[str]
    currency: Sequence[str]
    commission_currency: Sequence[str]
    quantity: Numbers
    unit_price: Numbers
    multiplier: Numbers
    commission: Numbers

    def keys(self) -> Iterator[Key]:
        """The book of each row."""
        return zip(self.strategy, self.account, self.con_id, strict=True)


def fold(records: Iterable[FillRecord]) -> dict[Key, PositionRecord]:
    """Recount positions from records.

    Args:
        records: Of any number of strategies. Those of one strategy in stored order; the order of strategies is free.

    Returns:
        (strategy, account, con_id) -> position. Books whose executions have all gone are absent; ``seq`` is that of the
        latest record of the book.
    """
    return recount(_lines(current(records)))


def current(records: Iterable[FillRecord]) -> list[FillRecord]:
    """The last word on each (strategy, account, execution): the highest revision, and of that the latest record."""
    told = list(records)
    owners = [(record.strategy, record.fill.account) for record in told]
    rows = last_words(owners, [record.fill.exec_id for record in told], [record.seq for record in told])
    return [told[row] for row in rows]


def last_words(owners: Sequence[Hashable], exec_ids: Sequence[str], seqs: Sequence[int]) -> list[int]:
    """The rows that are the last word on their (owner, execution), in the order in which executions appear first."""
    latest: dict[Hashable, dict[str, int]] = {}
    first: dict[int, int] = {}
    for row, (owner, exec_id) in enumerate(zip(owners, exec_ids, strict=True)):
        root, revision = split_exec_id(exec_id)
        mine = latest.get(owner)
        if mine is None:
            mine = latest[owner] = {}
        known = mine.setdefault(root, row)
        if known != row and (revision, seqs[row]) >= (split_exec_id(exec_ids[known])[1], seqs[known]):
            mine[root] = row
            first[row] = first.pop(known, known)
    rows: list[int] = []
    for mine in latest.values():
        while mine:  # one after the other: to free a million texts at once would hold up every other thread
            rows.append(mine.popitem()[1])
    rows.sort(key=lambda row: first.get(row, row))
    return rows


def recount(lines: Lines) -> dict[Key, PositionRecord]:
    """Recount positions from the last word on each execution; see :func:`fold`."""
    books: dict[Key, list[int]] = {}
    for row, (key, state) in enumerate(zip(lines.keys(), lines.state, strict=True)):
        if state in _COUNTED:
            books.setdefault(key, []).append(row)
    return {key: _position(key, _in_order(lines, rows), lines) for key, rows in books.items()}


def numbers(values: Sequence[Decimal | None]) -> Numbers:
    """Decimals as a column of exact numbers.

    Raises:
        OverflowError: One is infinite.
        ValueError: One is no number.
    """
    places = max((places_of(value) for value in values if value is not None), default=0)
    return Numbers([None if value is None else whole(value, places) for value in values], places)


def whole(value: Decimal, places: int) -> int:
    """A Decimal in units of ``10**-places``, of which it has no parts."""
    return int(value.scaleb(places, context=EXACT))


def places_of(value: Decimal) -> int:
    """Digits of a Decimal after its point, trailing zeros included."""
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else int(value)


def _lines(records: Sequence[FillRecord]) -> Lines:
    traded: list[Instrument] = [record.fill.instrument for record in records]
    return Lines(
        strategy=[record.strategy for record in records],
        account=[record.fill.account for record in records],
        con_id=[instrument.con_id for instrument in traded],
        exec_id=[record.fill.exec_id for record in records],
        state=[record.state for record in records],
        order_us=[(record.order_time - _EPOCH) // _US for record in records],
        first_seq=[record.first_seq for record in records],
        seq=[record.seq for record in records],
        symbol=[instrument.symbol for instrument in traded],
        sec_type=[instrument.sec_type for instrument in traded],
        currency=[instrument.currency for instrument in traded],
        commission_currency=[record.commission_currency for record in records],
        quantity=numbers([record.quantity for record in records]),
        unit_price=numbers([record.unit_price for record in records]),
        multiplier=numbers([record.multiplier for record in records]),
        commission=numbers([record.commission for record in records]),
    )


def _in_order(lines: Lines, rows: list[int]) -> list[int]:
    """A book's rows by time; within one moment by the venue's sequence, then in the order of arrival."""
    times = [lines.order_us[row] for row in rows]
    if all(map(lt, times, times[1:])):
        return rows

    def place(row: int) -> tuple[int, int, int]:
        return lines.order_us[row], venue_sequence(split_exec_id(lines.exec_id[row])[0]), lines.first_seq[row]

    return sorted(rows, key=place)


def _position(key: Key, rows: Sequence[int], lines: Lines) -> PositionRecord:
    """One book, of its rows in order."""
    last = rows[-1]
    active = [row for row in rows if lines.state[row] == "active"]
    held, cost, divisor, paid = _traded(active, lines)
    per_unit = lines.unit_price.places + lines.multiplier.places
    places = lines.quantity.places + per_unit
    cash = {lines.currency[last]: -Fraction(paid, 10**places)}
    if active and lines.sec_type[last] == _CURRENCY_PAIR:
        bought = Fraction(sum(map(lines.quantity.whole.__getitem__, active)), 10**lines.quantity.places)
        cash[lines.symbol[last]] = cash.get(lines.symbol[last], 0) + bought
    fees, pending = _fees(rows, lines)
    open_cost = Fraction(cost, divisor * 10**places)
    quantity = Fraction(held, 10**lines.quantity.places)
    multiplier = Fraction(lines.multiplier.whole[last], 10**lines.multiplier.places)
    return PositionRecord(
        strategy=key[0],
        account=key[1],
        instrument_key=key[2],
        quantity=decimal(quantity),
        open_cost=decimal(open_cost),
        avg_cost=decimal(open_cost / quantity / multiplier) if held else None,
        realized_pnl=decimal(open_cost - Fraction(paid, 10**places)),
        fees=fees,
        fees_pending=pending,
        cash={currency: decimal(amount) for currency, amount in cash.items()},
        fills=len(active),
        last_fill_at=_EPOCH + lines.order_us[active[-1]] * _US if active else None,
        seq=max(map(lines.seq.__getitem__, rows)),
    )


def _traded(rows: Sequence[int], lines: Lines) -> tuple[int, int, int, int]:
    """What a book's executions make: quantity held, its cost as dividend and divisor, and what was paid for all of them.

    Units: those of the columns, and of their product. A stretch turns the cost into ``(cost * times + plus) / by``.
    """
    quantities, prices, multipliers = lines.quantity.whole, lines.unit_price.whole, lines.multiplier.whole
    held = paid = cost = 0
    divisor = 1
    times, plus, by = 1, 0, 1
    for row in rows:
        traded = quantities[row]
        price = prices[row] * multipliers[row]
        after = held + traded
        paid += traded * price
        if held * traded >= 0:
            plus += traded * price * by
        elif held * after > 0:
            common = gcd(held, after)
            left, of = after // common, held // common
            times *= left
            plus *= left
            by *= of
            if by.bit_length() > _STRETCH_BITS:
                cost, divisor = cost * times + plus * divisor, divisor * by
                times, plus, by = 1, 0, 1
        else:
            cost, divisor = 0, 1
            times, plus, by = 1, after * price, 1
        held = after
    return held, cost * times + plus * divisor, divisor * by, paid


def _fees(rows: Sequence[int], lines: Lines) -> tuple[dict[str, Decimal], int]:
    """Fees per currency, and how many are not known yet."""
    amounts, currencies = lines.commission.whole, lines.commission_currency
    known: dict[str, int] = {}
    pending = 0
    for row in rows:
        amount = amounts[row]
        if amount is None:
            pending += 1
        else:
            currency = currencies[row]
            known[currency] = known.get(currency, 0) + amount
    unit = 10**lines.commission.places
    return {currency: decimal(Fraction(amount, unit)) for currency, amount in known.items()}, pending


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
