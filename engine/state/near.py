"""What some instruments have, at the cost of these and not of everything.

A reconciliation explains a few instruments of thousands, while whoever books waits for the lock that it holds. So it asks
by (account, con_id), and walks over nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import takewhile
from operator import attrgetter
from typing import Final

from engine.core.instrument import BAG_CON_ID
from engine.core.records import ComboRecord, FillRecord, OrderRecord
from engine.state import queries
from engine.state.attribution import Attribution
from engine.state.away import Away
from engine.state.books import Holding, Shelf
from engine.state.executions import Execution
from engine.state.orders import Orders

Keys = Iterable[tuple[str, int]]
_place: Final = attrgetter("sort")


class Near:
    """Questions by (account, con_id). The caller holds the ledger's lock."""

    def __init__(self, shelf: Shelf, away: Away | None, orders: Orders, attribution: Attribution) -> None:
        """Take the ledger's parts."""
        self._shelf = shelf
        self._away = away
        self._orders = orders
        self._attribution = attribution

    def fills(self, keys: Keys, *, strategy: str | None = None, since: datetime | None = None) -> list[FillRecord]:
        """The present state of executions, in the books' order.

        Args:
            since: Only those that happened at or after this moment (place in the books' order).
        """
        wanted = set(keys)
        found: list[Execution] = []
        for name in self._shelf.names if strategy is None else (strategy,):
            for account, con_id in wanted:
                book = self._shelf.books.get((name, account, con_id))
                if book is not None:
                    found += takewhile(
                        lambda line: since is None or line.sort[0] >= since, self._backwards(book, since)
                    )
                    found += (e for e in book.voided if since is None or e.sort[0] >= since)
        for execution in self._shelf.loose.values():
            fits = strategy is None or execution.strategy == strategy
            recent = since is None or execution.sort[0] >= since
            if fits and recent and (execution.fill.account, execution.fill.instrument.con_id) in wanted:
                found.append(execution)
        return [queries.record(self._shelf, execution) for execution in sorted(found, key=_place)]

    def _backwards(self, book: Holding, since: datetime | None) -> Iterator[Execution]:
        yield from reversed(book.lines)
        if self._away is not None and book.cold:
            yield from self._away.lines(book, since)

    def orders(self, keys: Keys) -> list[OrderRecord]:
        """The latest record of every order that was not put away, each key's in order of first sight.

        An order is put away only when it is over and its count agrees with our executions.
        """
        return [self._orders.latest(order) for order in self._orders.of(keys) if order.timeline]

    def combos(self, account: str) -> list[ComboRecord]:
        """Orders of combinations of which not all legs came, in order of first sight."""
        made = []
        for order in self._orders.of(((account, BAG_CON_ID),)):
            if order.timeline and order.lacks():
                done, legs = order.combination()
                made.append(ComboRecord(order=self._orders.latest(order), done=done, legs=legs))
        return made

    def grown_old(self, before: datetime) -> frozenset[str]:
        """Keys of open orders that only a list told of, last before a moment (F52).

        IB keeps a client's list of other clients' orders up to date for nobody: such an order may be over by now. One that a
        strategy's message named is the strategy's to follow.
        """
        return frozenset(
            order.key
            for order in self._orders.by_key.values()
            if order.seen.source == "open"
            and not order.claimed
            and order.seen.received_at < before
            and order.state()[1]
        )

    @property
    def accounts(self) -> frozenset[str]:
        """Accounts with any execution, those that only have rows of groups included."""
        held = {key[1] for key in self._shelf.books}
        return frozenset(held | {execution.fill.account for execution in self._shelf.loose.values()})

    @property
    def clients(self) -> frozenset[int]:
        """Client ids with an order that a message named a strategy for."""
        return self._attribution.clients
