"""Choosing what leaves memory, and making blocks of it; see ``state.away`` for the idea.

A book keeps its last lines here, and orders stay for a while after they are over: late statuses, fees and repeats are
mostly about what has just happened. How many depends on how many books there are, so that the total stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from engine.core.ids import UNASSIGNED
from engine.state.attribution import Attribution
from engine.state.away import Away
from engine.state.blocks import Closed, Lines, encode_block, execution_key, order_keys
from engine.state.booking import Booking
from engine.state.books import Holding
from engine.state.order import Order
from engine.state.order_table import MOST_SHOWN
from engine.state.orders import Orders

_BLOCK: Final = 256


class Keep(NamedTuple):
    """How much stays in memory.

    Attributes:
        executions: About so many over all books; with fewer nothing is put away.
        lines: Last lines of each book; fewer when there are many books.
        smallest: Fewest lines worth a block; fewer when there are many books.
        orders: Latest orders of each strategy.
    """

    executions: int = 5_000
    lines: int = 16
    smallest: int = 32
    orders: int = MOST_SHOWN


class PutAway:
    """Puts away what is settled, a block at a time."""

    def __init__(self, away: Away, booking: Booking, orders: Orders, attribution: Attribution) -> None:
        """Wire the parts."""
        self._away = away
        self._booking = booking
        self._orders = orders
        self._attribution = attribution

    def run(self, keep: Keep) -> Iterator[int]:
        """Put away what may go.

        The ledger may change between two steps: whoever steps holds its lock only meanwhile.

        Yields:
            After each block how many executions or orders went with it.
        """
        shelf = self._booking.shelf
        self._away.forget_read()
        if self._here() > keep.executions:
            share = keep.executions // max(len(shelf.books), 1) // 2
            lines, smallest = min(keep.lines, share), max(min(keep.smallest, share), 1)
            for key in [key for key in shelf.books if key[0] != UNASSIGNED]:
                while (book := shelf.books.get(key)) is not None:
                    gone = self._block(book, lines, smallest)
                    yield gone
                    if not gone:
                        break
        yield from self._close(keep.orders)

    def _here(self) -> int:
        return sum(len(book.lines) for book in self._booking.shelf.books.values())

    def _block(self, book: Holding, stay: int, smallest: int) -> int:
        count, most = 0, min(len(book.lines) - stay, _BLOCK)
        while count < most and book.lines[count].commission is not None:
            count += 1
        if count < smallest or count <= 0:
            return 0
        lines = book.lines[:count]
        roots = [execution.root for execution in lines]
        strays = [execution for execution in lines if execution.base == UNASSIGNED]
        keys = [execution_key(root) for root in roots]
        for execution in strays:
            keys += order_keys(execution.fill)  # who claims its order later, claims it
        block = Lines(key=book.key, base=book.base, edge=book.edge, below=book.block, lines=lines)
        number = self._away.put("lines", encode_block(block), keys)  # when it is refused, nothing has changed
        book.block = number
        book.put_away(count)
        book.account_gone(lines, 1)
        self._booking.index.put_away(roots, lines)
        for execution in strays:
            self._booking.index.unstray(execution)
        return count

    def _close(self, stay: int) -> Iterator[int]:
        names, by_key = list(self._orders.by_key), self._orders.by_key
        recent = self._orders.latest_of_each(stay)
        for first in range(0, len(names), _BLOCK):
            known = [by_key.get(name) for name in names[first : first + _BLOCK]]
            over = [order for order in known if order is not None and _is_over(order) and id(order) not in recent]
            if over:
                self._close_some(over)
            yield len(over)

    def _close_some(self, over: list[Order]) -> None:
        orders, attribution = self._orders, self._attribution
        closed = Closed(orders=over, aliases=[], perms=[], claims=[])
        keys: list[int] = []
        for order in over:
            seen = order.seen
            keys += order_keys(seen)
            closed.aliases += [(old, order.key) for old in orders.former(order.key)]
            if seen.perm_id:
                closed.perms += attribution.held(seen.account, seen.perm_id)
            if seen.order_id > 0 and orders.alone(seen.client_id, seen.order_id):
                claims = attribution.claims_on(seen.client_id, seen.order_id)
                if claims:
                    closed.claims.append((seen.client_id, seen.order_id, claims))
        self._away.put("orders", encode_block(closed), keys)  # when it is refused, nothing has changed
        orders.put_away(over)
        attribution.put_away(closed.perms, closed.claims)


def _is_over(order: Order) -> bool:
    """True when an order is over, stands alone, can be found again, and its count is not in dispute."""
    rows, seen = order.timeline, order.seen
    if not rows or rows[-1].is_open or seen.oca_group or seen.parent_id > 0:
        return False
    if not seen.perm_id and seen.order_id <= 0:
        return False
    return not order.state()[1] and not order.disputed
