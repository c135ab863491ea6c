"""Where orders are found: by permId, by client and order id, by what they are about, by group; which are open, which new.

Nearly every number names one order, which then stands for itself; those that share one stand in a tuple.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from engine.core.events import Fill, OrderUpdate
from engine.core.records import OrderRecord
from engine.state.order import Order, key_of

MOST_SHOWN: Final = 200
"""Orders of a strategy that a page of the latest ones may ask for."""


def first_row(order: Order) -> int:
    """Sequence of an order's first row; one without a row is the latest."""
    return order.timeline[0].seq if order.timeline else sys.maxsize


K = TypeVar("K")


Known = tuple[Order, ...]
"""Orders that share a number."""

Slots = dict[K, Order | Known]
"""Number -> its order, or its orders. A table of orders alone is no business of the garbage collector, which otherwise walks
over all of a day's orders again and again; a tuple in it makes it so."""


def _known(table: Slots[K], key: K) -> Known:
    """The orders of a number."""
    found = table.get(key)
    if found is None:
        return ()
    return found if type(found) is tuple else (found,)  # type: ignore[return-value] # the other of the two


def _join(table: Slots[K], key: K, order: Order) -> None:
    """Add an order at its place, which is that of its first row, whenever its number became known."""
    found = _known(table, key)
    table[key] = tuple(sorted((*found, order), key=first_row)) if found else order


def _leave(table: Slots[K], key: K, order: Order) -> None:
    if table.get(key) is order:  # nearly always
        del table[key]
        return
    rest = tuple(other for other in _known(table, key) if other is not order)
    if rest:
        table[key] = rest if len(rest) > 1 else rest[0]
    else:
        table.pop(key, None)


class OrderTable:
    """Every order there is.

    Attributes:
        by_key: Key -> order.
        recent: Strategy -> its latest orders by first sight, and ``working``: what is open; for pages, which must not
            walk over a day's orders.
    """

    def __init__(self) -> None:
        """Start without orders."""
        self.by_key: dict[str, Order] = {}
        self._by_perm: Slots[int] = {}
        self._by_client: dict[int, Slots[int]] = {}
        self._by_key: dict[tuple[str, int], dict[int, Order]] = {}
        self._aliases: dict[str, str] = {}
        self._former: dict[str, tuple[str, ...]] = {}
        self.groups: dict[str, list[Order]] = {}
        self.recent: dict[str, deque[Order]] = {}
        self.working: dict[int, Order] = {}

    def get(self, key: str) -> Order | None:
        """An order by its key, also by the key that it had before its permId was known."""
        return self.by_key.get(self._aliases.get(key, key))

    def find(self, sight: Fill | OrderUpdate) -> Order | None:
        """The order a sight is about, if it is known."""
        account = sight.account
        perm_id = sight.perm_id
        if perm_id:
            known = _known(self._by_perm, perm_id)
            for order in known:
                if order.seen.account == account:
                    return order
            for order in known:
                if not account or not order.seen.account:
                    return order
        if sight.order_id > 0:
            for order in reversed(self.namesakes(sight.client_id, sight.order_id)):
                mine, other = order.seen.perm_id, perm_id
                if order.seen.account and account and order.seen.account != account:
                    continue
                if mine and other:
                    continue
                if mine and not other and self._starts_anew(order, sight):
                    return None
                return order
        return None

    @staticmethod
    def _starts_anew(order: Order, sight: Fill | OrderUpdate) -> bool:
        """A fresh order that has no permId yet and uses the number of one of an earlier session again (R10)."""
        if not isinstance(sight, OrderUpdate) or sight.status not in {"", "PendingSubmit", "ApiPending"}:
            return False
        return not order.state()[1] or sight.strategy not in {None, order.strategy}

    def add(self, order: Order) -> None:
        """Index an order."""
        seen = order.seen
        self.by_key[order.key] = order
        perm_id, order_id = seen.perm_id, seen.order_id
        if perm_id:
            by_perm = self._by_perm
            if perm_id in by_perm:
                _join(by_perm, perm_id, order)
            else:
                by_perm[perm_id] = order
        if order_id > 0:
            of_client = self._by_client.get(seen.client_id)
            if of_client is None:
                of_client = self._by_client[seen.client_id] = {}
            if order_id in of_client:
                _join(of_client, order_id, order)
            else:
                of_client[order_id] = order
        if seen.oca_group or seen.parent_id > 0:
            self._join_groups(order)
        self._file(order)
        if order.timeline:
            self._show(order, order.timeline[-1], first=True)

    def _show(self, order: Order, last: OrderRecord, *, first: bool) -> None:
        """Keep ``recent`` and ``working``."""
        if last.is_open:
            self.working[id(order)] = order
        else:
            self.working.pop(id(order), None)
        if first:
            shown = self.recent.get(last.strategy)
            if shown is None:
                shown = self.recent[last.strategy] = deque(maxlen=MOST_SHOWN)
            shown.append(order)

    def _file(self, order: Order, former: OrderUpdate | None = None) -> None:
        """Note what the order is about, as soon as it is known, in place of a former answer."""
        key = _subject(order.seen)
        before = None if former is None else _subject(former)
        if before is not None and before != key:
            self._by_key[before].pop(id(order), None)
        if key is not None:
            filed = self._by_key.get(key)
            if filed is None:
                filed = self._by_key[key] = {}
            filed[id(order)] = order

    def learn(self, order: Order, seen: OrderUpdate) -> None:
        """Take over what is known of an order by now, and let it be found by that."""
        former, order.seen = order.seen, seen
        if (seen.instrument, seen.account) != (former.instrument, former.account):
            self._file(order, former)
        if seen.order_id > 0 and (seen.client_id, seen.order_id) != (former.client_id, former.order_id):
            if former.order_id > 0:
                _leave(self._by_client[former.client_id], former.order_id, order)
            _join(self._by_client.setdefault(seen.client_id, {}), seen.order_id, order)
        self._upgrade(order)
        if order.grouped:
            self._join_groups(order)

    def _upgrade(self, order: Order) -> None:
        """Give the order the key that it deserves by now; once, since a permId never changes."""
        key = key_of(order.seen)
        if key == order.key or order.key.startswith(f"{key}#"):
            return
        if key in self.by_key:
            return
        self.by_key.pop(order.key)
        former = (*self._former.pop(order.key, ()), order.key)
        self._former[key] = former
        self._aliases.update(dict.fromkeys(former, key))
        if order.seen.perm_id and order not in _known(self._by_perm, order.seen.perm_id):
            _join(self._by_perm, order.seen.perm_id, order)
        order.key = key
        self.by_key[key] = order

    def namesakes(self, client_id: int, order_id: int) -> Known:
        """Orders that share an order id, by first sight."""
        of_client = self._by_client.get(client_id)
        return () if of_client is None else _known(of_client, order_id)

    def alone(self, client_id: int, order_id: int) -> bool:
        """True when one order has that number."""
        return type(self._by_client.get(client_id, {}).get(order_id, ())) is not tuple

    def of(self, keys: Iterable[tuple[str, int]]) -> Iterator[Order]:
        """Orders of some (account, con_id), each key's in order of first sight."""
        for key in keys:
            yield from self._by_key.get(key, {}).values()

    def latest_of_each(self, count: int) -> set[int]:
        """Identities of the latest orders of each strategy; those before them are not shown among the latest any more."""
        for strategy, shown in self.recent.items():
            if count < len(shown):
                self.recent[strategy] = deque(list(shown)[len(shown) - count :], maxlen=MOST_SHOWN)
        return {id(order) for shown in self.recent.values() for order in shown}

    def put_away(self, orders: Iterable[Order]) -> None:
        """Let go of orders that are over and kept elsewhere; one in a group stays."""
        by_key, by_perm, by_client = self.by_key, self._by_perm, self._by_client
        for order in orders:
            seen, key, address = order.seen, order.key, id(order)
            del by_key[key]
            self.working.pop(address, None)
            _leave(by_perm, seen.perm_id, order)
            _leave(by_client.get(seen.client_id, {}), seen.order_id, order)
            if seen.instrument is not None:
                self._by_key.get((seen.account, seen.instrument.con_id), {}).pop(address, None)
            if key in self._former:
                for old in self._former.pop(key):
                    del self._aliases[old]

    def _join_groups(self, order: Order) -> None:
        seen = order.seen
        names = []
        if seen.oca_group:
            names.append(f"OCA group {seen.oca_group} of {seen.account}")
        if seen.parent_id > 0:
            names.append(f"children of order {seen.parent_id} of client {seen.client_id}")
        if seen.account and seen.oca_group:  # it may have been placed without naming the account
            nameless = self.groups.get(f"OCA group {seen.oca_group} of ", [])
            nameless[:] = [other for other in nameless if other is not order]
        for name in names:
            group = self.groups.setdefault(name, [])
            if not any(other is order for other in group):
                group.append(order)

    def siblings(self, order: Order) -> Iterator[tuple[str, list[Order]]]:
        """Groups (one cancels the other, or children of one parent) that the order is in."""
        if not order.grouped:
            return
        for name, group in self.groups.items():
            if any(other is order for other in group):
                yield name, group

    def aliases(self) -> dict[str, str]:
        """Former key -> key, for a dump."""
        return self._aliases

    def former(self, key: str) -> tuple[str, ...]:
        """The keys that an order had before its present one, oldest first."""
        return self._former.get(key, ())

    def called(self, aliases: Iterable[tuple[str, str]]) -> None:
        """Take in (former key, key) of orders that are here; those of others are left out."""
        said = dict(aliases)
        for old, new in said.items():
            while new in said:  # dumps of before named the next key, not the last
                new = said[new]  # noqa: PLW2901
            if new in self.by_key and old not in self._aliases:
                self._aliases[old] = new
                self._former[new] = (*self._former.get(new, ()), old)


def _subject(seen: OrderUpdate) -> tuple[str, int] | None:
    return None if seen.instrument is None else (seen.account, seen.instrument.con_id)
