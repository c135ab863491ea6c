"""All books, and the terms (multiplier, magnifier) in which executions are turned into money.

A book is one (strategy, account, con_id). An execution that counts is a line of exactly one book; a busted one is no line
but leaves its fee there. The terms of an instrument come from its first execution and are corrected only by the broker's
contract details, the last word: then every book of that ``con_id`` is folded again. A later execution's own contract
never rescales a book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.book import Book, L, SortKey
from engine.core.exact import ZERO, add, multiply, subtract
from engine.core.instrument import ONE, Instrument
from engine.core.position import average
from engine.core.records import PositionRecord
from engine.state.changes import Moment
from engine.state.executions import FEE_BEARING, Execution

BookKey = tuple[str, str, int]


class Terms(msgspec.Struct, kw_only=True):
    """What one unit of an instrument is worth.

    Attributes:
        described: True once the broker's contract details gave it.
        plain: True when a quoted price is already currency per unit of quantity.
        combo: True for the parent of a combination.
    """

    instrument: Instrument
    described: bool = False
    plain: bool = True
    combo: bool = False

    def set(self, instrument: Instrument) -> None:
        """Take over an instrument's figures."""
        self.instrument = instrument
        self.combo = instrument.is_combo
        self.plain = instrument.multiplier == ONE and instrument.price_magnifier in {None, 1}

    def unit_price(self, execution_price: Decimal) -> Decimal:
        """Currency per unit of a quoted price."""
        return execution_price if self.plain else self.instrument.unit_price(execution_price)

    def value(self, unit_price: Decimal) -> Decimal:
        """Currency per unit of quantity."""
        return unit_price if self.plain else multiply(unit_price, self.instrument.multiplier)


class Holding(Book[Execution]):
    """A book with its fees.

    Attributes:
        block: Number of the newest block of lines that were put away, 0 for none; each block names the one below it.
        paid: Known fees: currency -> (total, count); ``gone`` is the part of it that belongs to those lines.
    """

    __slots__ = ("block", "gone", "key", "paid", "pending", "record", "seq", "voided")

    def __init__(self, key: BookKey) -> None:
        """Make an empty book of (strategy, account, con_id)."""
        super().__init__()
        self.key = key
        self.paid: dict[str, tuple[Decimal, int]] = {}
        self.block = 0
        self.gone: dict[str, tuple[Decimal, int]] = {}
        self.pending = 0
        self.voided: list[Execution] = []
        self.seq = 0
        self.record: PositionRecord | None = None

    def touched(self, seq: int) -> None:
        """Note that the fact of that sequence changes it: what was made of it before is out of date."""
        self.seq = seq
        self.record = None

    def charge(self, execution: Execution, sign: int = 1) -> None:
        """Add (or with ``sign`` -1 take away) an execution's fee, known or pending."""
        amount = execution.commission
        if amount is None:
            self.pending += sign
            return
        count_fee(self.paid, execution, amount, sign)

    def account_gone(self, lines: list[Execution], sign: int) -> None:
        """Note that lines were put away, or with ``sign`` -1 brought back."""
        for line in lines:
            assert line.commission is not None, "what waits for its fee is not put away"
            count_fee(self.gone, line, line.commission, sign)

    def paid_before(self, gone: dict[str, tuple[Decimal, int]]) -> None:
        """Begin with the fees of what was put away before."""
        self.gone, self.paid = dict(gone), dict(gone)

    @property
    def fees(self) -> dict[str, Decimal]:
        """Known fees per currency, cost positive."""
        return {currency: total for currency, (total, _) in self.paid.items()}

    def bearers(self) -> Iterator[Execution]:
        """Executions whose fee belongs here, in an order that a restart does not change."""
        yield from self.lines
        yield from sorted(self.voided, key=lambda execution: execution.sort)


def count_fee(paid: dict[str, tuple[Decimal, int]], execution: Execution, amount: Decimal, sign: int) -> None:
    """Add an execution's fee to, or with ``sign`` -1 take it from, currency -> (total, count)."""
    currency = execution.commission_currency
    total, count = paid.get(currency, (ZERO, 0))
    if count + sign:
        paid[currency] = (add(total, amount) if sign > 0 else subtract(total, amount), count + sign)
    else:
        del paid[currency]


def _nothing_away(book: Holding, sort: SortKey | None) -> None:
    raise AssertionError(f"{book.key} has lines away before {sort} and nobody brings them back")


class Shelf:
    """Every book there is.

    Attributes:
        names: Every strategy that ever had a book here.
        loose: Executions that are in no book (groups, legs that were taken back), by what tells them apart: the
            sequence in their id (all legs of an entry have one fact) and their first sequence of ours.
        recall: Brings lines that were put away back: all from a place on, or with ``None`` all.
    """

    def __init__(self, moment: Moment) -> None:
        """Start without books.

        Args:
            moment: Which fact is being applied.
        """
        self._moment = moment
        self.recall: Callable[[Holding, SortKey | None], None] = _nothing_away
        self.books: dict[BookKey, Holding] = {}
        self.names: dict[str, None] = {}
        self.loose: dict[tuple[int, int], Execution] = {}
        self.terms: dict[int, Terms] = {}

    def terms_of(self, instrument: Instrument) -> Terms:
        """The terms that count for an instrument; the first sight of it sets them."""
        known = self.terms.get(instrument.con_id)
        if known is None:
            known = self.terms[instrument.con_id] = Terms(instrument=instrument)
            known.set(instrument)
        return known

    def book(self, strategy: str, account: str, con_id: int) -> Holding:
        """The book of that key, made when there is none."""
        key = (strategy, account, con_id)
        found = self.books.get(key)
        if found is None:
            found = self.books[key] = Holding(key)
            self.names[strategy] = None
        return found

    def put(self, execution: Execution) -> list[Execution] | None:
        """Book an execution (or only its fee, when busted); others whose realized P&L changed are returned."""
        state = execution.state
        if state not in FEE_BEARING:
            self.loose[execution.sort[1:]] = execution
            return None
        fill = execution.fill
        key = (execution.strategy, fill.account, fill.instrument.con_id)
        book = self.books.get(key)
        if book is None:
            book = self.book(*key)
        book.seq = self._moment.seq
        book.record = None
        if execution.commission is None:
            book.pending += 1
        else:
            book.charge(execution)
        if state != "active":
            book.voided.append(execution)
            return None
        edge = book.edge
        if edge is not None and execution.sort < edge:
            self.recall(book, execution.sort)
        return book.put(execution)

    def take(self, execution: Execution) -> list[Execution]:
        """Undo :meth:`put`. A book without any execution left is gone, as if it had never been."""
        if not execution.bears_fee:
            self.loose.pop(execution.sort[1:], None)
            return []
        fill = execution.fill
        key = (execution.strategy, fill.account, fill.instrument.con_id)
        book = self.books[key]
        book.touched(self._moment.seq)
        book.charge(execution, -1)
        changed: list[Execution] = []
        if execution.state == "active":
            changed = book.take(execution)
        else:
            book.voided = [e for e in book.voided if e is not execution]
        if not book.lines and not book.voided and not book.cold:
            del self.books[key]
        return changed

    def refee(self, execution: Execution, amount: Decimal, currency: str) -> None:
        """Replace an execution's fee."""
        if execution.state not in FEE_BEARING:
            execution.commission, execution.commission_currency = amount, currency
            return
        fill = execution.fill
        book = self.books[execution.strategy, fill.account, fill.instrument.con_id]
        book.seq = self._moment.seq
        book.record = None
        if execution.commission is None:
            book.pending -= 1
        else:
            book.charge(execution, -1)
        execution.commission, execution.commission_currency = amount, currency
        count_fee(book.paid, execution, amount, 1)

    def terms_for(self, execution: Execution) -> Instrument:
        """The instrument that counts for an execution's arithmetic; what is in no book keeps its own."""
        own = execution.fill.instrument
        return own if execution.state in {"group", "reversed"} else self.terms[own.con_id].instrument

    def describe(self, instrument: Instrument) -> list[Execution]:
        """Take the broker's contract details as the last word.

        Returns:
            Every execution of that ``con_id`` when multiplier or magnifier became known or changed, else none: what is
            recorded of them says so, too.
        """
        terms = self.terms_of(instrument)
        old = terms.instrument
        terms.set(instrument)
        terms.described = True
        same = old.multiplier == instrument.multiplier and old.price_magnifier == instrument.price_magnifier
        touched: list[Execution] = []
        for book in self.books.values():
            if book.key[2] != instrument.con_id:
                continue
            book.record = None
            if same:
                continue
            book.touched(self._moment.seq)
            if book.cold:
                self.recall(book, None)
            for execution in book.bearers():
                _revalue(execution, terms)
                touched.append(execution)
            book.refold()
        return touched

    def records(self, strategy: str | None = None, account: str | None = None) -> list[PositionRecord]:
        """One per book, in the order in which the books were opened."""
        return [
            self.record(book)
            for key, book in self.books.items()
            if (strategy is None or key[0] == strategy) and (account is None or key[1] == account)
        ]

    def record(self, book: Holding) -> PositionRecord:
        """The book as it stands; made anew only after a change."""
        if book.record is None:
            terms = self.terms[book.key[2]]
            book.record = position_record(
                book.key,
                terms.instrument,
                (book.quantity, book.open_cost, book.realized),
                fees=book.fees,
                pending=book.pending,
                fills=book.cold + len(book.lines),
                last=last_time(book),
                seq=book.seq,
            )
        return book.record

    def net(self) -> dict[tuple[str, int], Decimal]:
        """Quantity per (account, con_id) over all strategies; currency pairs, which trade cash, left out (F80)."""
        total: dict[tuple[str, int], Decimal] = {}
        for (_, account, con_id), book in self.books.items():
            if not self.terms[con_id].instrument.is_virtual_fx:
                total[account, con_id] = add(total.get((account, con_id), ZERO), book.quantity)
        return total


def last_time(book: Book[L]) -> datetime | None:
    """Order time of a book's last line."""
    if book.lines:
        return book.lines[-1].sort[0]
    return None if book.edge is None else book.edge[0]


def _revalue(execution: Execution, terms: Terms) -> None:
    if execution.fill.source == "assignment":
        # A leg's price was given in currency per unit; only its quoted form follows the magnifier.
        quoted = multiply(execution.unit_price, Decimal(terms.instrument.price_magnifier or 1))
        execution.fill = msgspec.structs.replace(execution.fill, price=quoted)
    else:
        execution.unit_price = terms.unit_price(execution.fill.price)
    execution.value = terms.value(execution.unit_price)


def position_record(
    key: BookKey,
    instrument: Instrument,
    state: tuple[Decimal, Decimal, Decimal],
    *,
    fees: dict[str, Decimal],
    pending: int,
    fills: int,
    last: datetime | None,
    seq: int,
) -> PositionRecord:
    """Put a book's figures into a record; ``state`` is (quantity, open cost, realized P&L)."""
    quantity, open_cost, realized = state
    cash = {instrument.currency: subtract(realized, open_cost)}
    if instrument.is_virtual_fx:
        # A pair's quantity is an amount of its base currency, and that moved too (F83).
        cash[instrument.symbol] = add(cash.get(instrument.symbol, ZERO), quantity)
    return PositionRecord(
        strategy=key[0],
        account=key[1],
        instrument_key=key[2],
        quantity=quantity,
        open_cost=open_cost,
        avg_cost=average(quantity, open_cost, instrument.multiplier),
        realized_pnl=realized,
        fees=fees,
        fees_pending=pending,
        cash=cash,
        fills=fills,
        last_fill_at=last,
        seq=seq,
    )


def same_figures(one: Iterable[PositionRecord], other: Iterable[PositionRecord]) -> bool:
    """True when two sets of books agree in everything but the sequence that last touched them."""
    return _bare(one) == _bare(other)


def _bare(records: Iterable[PositionRecord]) -> dict[BookKey, PositionRecord]:
    return {(r.strategy, r.account, r.instrument_key): msgspec.structs.replace(r, seq=0) for r in records}
