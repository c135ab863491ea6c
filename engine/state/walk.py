"""All executions or all orders, a few at a time: whoever books waits some milliseconds for the lock, not for the answer.

The present record of an execution is made of what may change, so it is made under the lock, and of a hundred thousand
executions that takes a second. A walk holds the lock for a short while at a time. What changed meanwhile is told by whoever
applies facts (:class:`Heard`), and is looked at again, until so little is left that it fits in one last hold: the answer is
what the books said at that moment, as if all of it had been read then.

What goes to the archive or comes back from it during a walk is the same execution before and after; only what a fact
touched counts as changed. A block that was brought back is not there any more: its lines are in memory then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import islice
from typing import Final, TypeVar

import msgspec

from engine.core.book import SortKey
from engine.core.events import AnyFact, Bust, Commission, Fill, OrderUpdate
from engine.core.ids import split_exec_id
from engine.core.instrument import Instrument
from engine.core.records import FillRecord, OrderRecord
from engine.state import queries
from engine.state.away import Away
from engine.state.blocks import Closed, Lines, decode_block
from engine.state.books import Holding, Shelf
from engine.state.executions import Execution
from engine.state.index import Index
from engine.state.order import Order
from engine.state.orders import Orders

T = TypeVar("T")
_HOLD_S: Final = 0.002
_LOOK_EVERY: Final = 16
_REST_S: Final = 0.0002
"""A lock that is let go and taken again at once is never had by anybody else."""

_FEW: Final = 100
_ROUNDS: Final = 50
_Execution = tuple[str, str]
_Order = tuple[int, str]


class Heard(msgspec.Struct):
    """What was applied since the last look; whoever applies facts adds to it under the lock."""

    facts: list[AnyFact] = []
    fills: list[FillRecord] = []
    orders: list[OrderRecord] = []

    def take(self) -> Heard:
        """Everything so far; empty afterwards."""
        taken = Heard(self.facts, self.fills, self.orders)
        self.facts, self.fills, self.orders = [], [], []
        return taken


class Walk:
    """One walk over the books; made by :func:`walker`."""

    def __init__(
        self,
        lock: AbstractContextManager[object],
        heard: Heard,
        parts: tuple[Shelf, Index, Away | None, Orders],
    ) -> None:
        """Take the parts.

        Args:
            lock: The ledger's; not held by the caller, or nobody else gets a turn.
            heard: Told of every fact that is applied from before the walk on.
            parts: Of the ledger.
        """
        self._lock = lock
        self._heard = heard
        self._shelf, self._index, self._away, self._orders = parts

    def fills(self, strategy: str | None = None, since: datetime | None = None) -> list[FillRecord]:
        """As :meth:`engine.state.ledger.Ledger.fills`."""
        found: dict[_Execution, tuple[tuple[int, int], FillRecord]] = {}

        def take(execution: Execution) -> None:
            name = execution.fill.account, execution.root
            if (strategy is None or execution.strategy == strategy) and (since is None or execution.sort[0] >= since):
                arrival = execution.sort[2], execution.sort[1]
                found[name] = arrival, queries.record(self._shelf, execution)
            else:
                found.pop(name, None)

        def again(name: _Execution) -> None:
            account, root = name
            execution = self._index.find(account, root)
            if execution is None and self._away is not None:
                execution = self._away.look(account, root)
            if execution is not None:
                take(execution)
            else:
                found.pop(name, None)

        with self._lock:
            self._heard.take()
            here = list(self._index.roots.values())
            books = [b for key, b in self._shelf.books.items() if b.cold and (strategy is None or key[0] == strategy)]
            starts = [(book, book.block, book.edge) for book in books]
            terms = self._terms()
        self._each((one for each in here for one in (each if isinstance(each, list) else (each,))), take)
        for book, number, edge in starts:
            self._lines(book, number, edge, since, take)

        def changed() -> set[_Execution]:
            names = self._executions(self._heard.take())
            now = self._terms()
            other = {con_id for con_id, instrument in now.items() if terms.get(con_id) is not instrument}
            if other:
                terms.update(now)
                names |= {name for name, (_, r) in found.items() if r.fill.instrument.con_id in other}
            return names

        self._settle(changed, again)
        return [record for _, record in sorted(found.values(), key=lambda each: each[0])]

    def orders(self, strategy: str | None = None, *, open_only: bool = False) -> list[OrderRecord]:
        """As :meth:`engine.state.ledger.Ledger.orders`."""
        found: dict[_Order, OrderRecord] = {}

        def take(order: Order) -> None:
            if not order.timeline:
                return
            first, record = order.timeline[0], self._orders.latest(order)
            if (strategy is None or record.strategy == strategy) and (record.is_open or not open_only):
                found[first.seq, first.order_key] = record
            else:
                found.pop((first.seq, first.order_key), None)

        with self._lock:
            self._heard.take()
            here = list(self._orders.by_key.values())
            numbers = self._closed(open_only=open_only)
        self._each(here, take)
        seen: set[int] = set()
        while numbers:
            reopened = False
            for number in numbers:
                block = self._block(number)
                seen.add(number)
                reopened = reopened or block is None
                if isinstance(block, Closed):
                    self._each(block.orders, take)
            with self._lock:
                here = list(self._orders.by_key.values()) if reopened else []
                numbers = [number for number in self._closed(open_only=open_only) if reopened and number not in seen]
            self._each(here, take)
        self._settle(lambda: self._touched(self._heard.take()), take)
        return [found[name] for name in sorted(found)]

    # ------------------------------------------------------------------------------------------------- holding

    def _each(self, items: Iterable[T], take: Callable[[T], object]) -> None:
        """Take items one after the other, for a few milliseconds at a time; they may not change meanwhile."""
        rest = iter(items)
        while True:
            end = time.perf_counter() + _HOLD_S
            with self._lock:
                while some := list(islice(rest, _LOOK_EVERY)):
                    for item in some:
                        take(item)
                    if time.perf_counter() > end:
                        break
            if not some:
                return
            time.sleep(_REST_S)

    def _settle(self, changed: Callable[[], Iterable[T]], again: Callable[[T], object]) -> None:
        """Look again at what changed, until the last of it fits in one hold."""
        for rounds_left in range(_ROUNDS, -1, -1):
            with self._lock:
                names = list(changed())
                if len(names) <= _FEW or not rounds_left:
                    for name in names:
                        again(name)
                    return
            self._each(names, again)

    # ------------------------------------------------------------------------------------------------- looking

    def _terms(self) -> dict[int, Instrument]:
        return {con_id: terms.instrument for con_id, terms in self._shelf.terms.items()}

    def _executions(self, heard: Heard) -> set[_Execution]:
        """Executions that facts were about, or whose figures they changed."""
        names: set[_Execution] = {(r.fill.account, split_exec_id(r.fill.exec_id)[0]) for r in heard.fills}
        for fact in heard.facts:
            if isinstance(fact, Fill | Bust):
                names.add((fact.account, split_exec_id(fact.exec_id)[0]))
            elif isinstance(fact, Commission):
                root = split_exec_id(fact.exec_id)[0]
                names |= {(execution.fill.account, root) for execution in self._index.all_of(root)}
        return names

    def _touched(self, heard: Heard) -> list[Order]:
        """Orders that facts were about, or that got a row, or whose executions changed."""
        sights: Iterator[Fill | OrderUpdate] = (f for f in heard.facts if isinstance(f, Fill | OrderUpdate))
        orders = [self._orders.find(sight) for sight in (*sights, *(r.fill for r in heard.fills))]
        for record in heard.orders:
            known = self._orders.get(record.order_key)
            orders.append(known if known is not None or self._away is None else self._away.order(record.order_key))
        return list({id(order): order for order in orders if order is not None}.values())

    def _lines(
        self,
        book: Holding,
        number: int,
        edge: SortKey | None,
        since: datetime | None,
        take: Callable[[Execution], object],
    ) -> None:
        """A book's lines that are away, block by block, latest first; only down to the one in which a moment lies."""
        while number and (since is None or (edge is not None and edge[0] >= since)):
            block = self._block(number)
            if isinstance(block, Lines):
                self._each(block.lines, take)
                number, edge = block.below, block.edge
                continue
            with self._lock:
                here: Sequence[Execution] = list(book.lines)  # they were brought back, perhaps put away again
                number, edge = book.block, book.edge
            self._each(here, take)

    def _closed(self, *, open_only: bool) -> list[int]:
        return [] if open_only or self._away is None else self._away.archive.numbers("orders")

    def _block(self, number: int) -> Lines | Closed | None:
        """A block as it was put away, ``None`` when its content came back; unpacked without the lock."""
        assert self._away is not None
        with self._lock:
            blob = self._away.archive.get(number)
        return None if blob is None else decode_block(blob)


def walker(
    shelf: Shelf, index: Index, away: Away | None, orders: Orders
) -> Callable[[AbstractContextManager[object], Heard], Walk]:
    """A maker of walks over these parts."""
    return lambda lock, heard: Walk(lock, heard, (shelf, index, away, orders))
