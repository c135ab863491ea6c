"""Questions to the ledger that walk over many executions or orders, and the books' own check."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Final

from engine.core.exact import ZERO, add, multiply, subtract
from engine.core.records import FillRecord, OrderRecord
from engine.state.away import Away
from engine.state.booking import Booking
from engine.state.books import Holding, Shelf
from engine.state.executions import Execution, record_of, superseded_record
from engine.state.index import Index
from engine.state.order_table import first_row
from engine.state.orders import Orders

_place: Final = attrgetter("sort")


def _arrival(execution: Execution) -> tuple[int, int]:
    """First sight: the fact's number, and of an assignment's legs their own."""
    return execution.sort[2], execution.sort[1]


def record(shelf: Shelf, execution: Execution) -> FillRecord:
    """The present record of an execution."""
    return record_of(execution, shelf.terms_for(execution))


def fills(
    shelf: Shelf, index: Index, away: Away | None, strategy: str | None, since: datetime | None
) -> list[FillRecord]:
    """The present record of every execution that fits."""
    found = [
        execution
        for execution in _executions(shelf, index, away, strategy, since)
        if (strategy is None or execution.strategy == strategy) and (since is None or execution.sort[0] >= since)
    ]
    if away is not None:
        found.sort(key=_arrival)
    return [record(shelf, execution) for execution in found]


def _executions(
    shelf: Shelf, index: Index, away: Away | None, strategy: str | None, since: datetime | None
) -> Iterator[Execution]:
    yield from index.all()
    if away is not None:
        for key, book in shelf.books.items():
            if book.cold and (strategy is None or key[0] == strategy):
                yield from away.lines(book, since)


def chains(shelf: Shelf, away: Away | None, strategy: str) -> Iterator[list[FillRecord]]:
    """The chain of every execution of a strategy."""
    for book in (book for key, book in shelf.books.items() if key[0] == strategy):
        for execution in book.bearers():
            yield chain(shelf, execution)
        for execution in away.lines(book) if away is not None else ():
            yield chain(shelf, execution)
    for execution in shelf.loose.values():
        if execution.strategy == strategy:
            yield chain(shelf, execution)


def page(
    shelf: Shelf, away: Away | None, strategy: str | None, account: str | None, skip: int, limit: int
) -> tuple[list[FillRecord], int]:
    """Executions newest first, without walking over all of them; see ``Ledger.page``."""
    books = [
        book
        for key, book in shelf.books.items()
        if (strategy is None or key[0] == strategy) and (account is None or key[1] == account)
    ]
    apart = [execution for book in books for execution in book.voided]
    apart += [
        execution
        for execution in shelf.loose.values()
        if (strategy is None or execution.strategy == strategy)
        and (account is None or execution.fill.account == account)
    ]
    apart.sort(key=_place, reverse=True)
    # A book whose latest line is older than that of as many others as there are rows to come gives none of them.
    filled = [(book.lines[-1].sort if book.lines else book.edge, book) for book in books if book.lines or book.cold]
    newest = heapq.nlargest(skip + limit, filled, key=itemgetter(0))
    merged = heapq.merge(*(_backwards(book, away) for _, book in newest), apart, key=_place, reverse=True)
    found = [record(shelf, execution) for execution in islice(merged, skip, skip + limit)]
    return found, sum(book.cold + len(book.lines) for book in books) + len(apart)


def _backwards(book: Holding, away: Away | None) -> Iterator[Execution]:
    yield from reversed(book.lines)
    if away is not None and book.cold:
        yield from away.lines(book)


def chain(shelf: Shelf, execution: Execution) -> list[FillRecord]:
    """Every revision, lowest first."""
    rows = [record(shelf, execution)]
    if execution.extra is not None:
        older = sorted(execution.extra.older, key=lambda old: old.revision, reverse=True)
        for old in older:
            terms = shelf.terms_of(old.fill.instrument)
            rows.insert(0, superseded_record(execution, old, terms.instrument, terms.unit_price(old.fill.price)))
    return rows


def orders(book: Orders, away: Away | None, strategy: str | None, *, open_only: bool) -> list[OrderRecord]:
    """The latest record of every order that fits."""
    known = list(book.by_key.values())
    if away is not None:
        known = sorted(known if open_only else [*away.orders(), *known], key=first_row)
    latest = [book.latest(order) for order in known if order.timeline]
    return [r for r in latest if (strategy is None or r.strategy == strategy) and (r.is_open or not open_only)]


def latest_orders(book: Orders) -> list[OrderRecord]:
    """Every open order and the latest ones of each strategy, without walking over all of them."""
    shown = {id(order): order for order in book.working.values()}
    for newest in book.recent.values():
        shown |= {id(order): order for order in newest}
    return [book.latest(order) for order in shown.values()]


def timelines(book: Orders, away: Away | None, strategy: str) -> Iterator[OrderRecord]:
    """Every row of every order of a strategy."""
    for order in [*(away.orders() if away is not None else ()), *book.by_key.values()]:
        if order.strategy == strategy:
            yield from order.timeline


def fees_pending(booking: Booking, older_than: datetime) -> list[FillRecord]:
    """Executions whose fee is unknown and which came at or before a moment."""
    return [
        record(booking.shelf, execution)
        for _, execution in sorted(booking.pending.items())
        if execution.bears_fee and execution.fill.received_at <= older_than
    ]


def check(shelf: Shelf, index: Index) -> None:
    """Assert that every book equals the plain sum over its own executions, and that every execution is where it says."""
    homes: dict[int, tuple[str, str, int]] = {}
    for key, book in shelf.books.items():
        assert book.key == key, "a book is under its key"
        assert all(a.sort < b.sort for a, b in zip(book.lines, book.lines[1:], strict=False)), "lines are in order"
        quantity, cost, realized = book.base
        cash = subtract(realized, cost)
        fees = {currency: total for currency, (total, _) in book.gone.items()}
        pending = 0
        for line in book.lines:
            assert line.counts, "only executions that count are lines"
            quantity = add(quantity, line.quantity)
            realized = add(realized, line.realized)
            cash = subtract(cash, multiply(line.quantity, line.value))
        for execution in book.bearers():
            homes[execution.sort[2], execution.sort[1]] = key  # type: ignore[index]
            assert execution.strategy == key[0], "an execution is in its strategy's book"
            if execution.commission is None:
                pending += 1
            else:
                currency = execution.commission_currency
                fees[currency] = add(fees.get(currency, ZERO), execution.commission)
        assert quantity == book.quantity, f"{key}: quantity {book.quantity} is the sum of its lines {quantity}"
        assert realized == book.realized, f"{key}: realized {book.realized} is the sum of its lines {realized}"
        assert book.realized == add(book.open_cost, cash), f"{key}: realized is open cost plus cash"
        assert quantity or not book.open_cost, f"{key}: flat costs nothing"
        assert fees == book.fees, f"{key}: fees {book.fees} are the sum {fees}"
        assert pending == book.pending, f"{key}: pending fees"
    booked = sum(1 for execution in index.all() if execution.bears_fee)
    assert booked == len(homes), f"{booked} executions bear a fee, {len(homes)} are in books"
