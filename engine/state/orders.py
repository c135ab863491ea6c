"""The orders: one state machine each, fed by sights of the order and by executions.

An order is known by (account, permId); before the broker gives one, by (account, client id, order id), upgraded once (F46).
The same order id with another permId is another order (R10). Manual orders, which share order id 0, are told apart by
their permId (R11); one without either has no identity and is not kept (F47). An execution of an unknown order makes one
from what the execution says (R22).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from engine.core.events import Fill, OrderUpdate
from engine.core.exact import add
from engine.core.ids import UNASSIGNED
from engine.core.records import OrderRecord
from engine.state.changes import Moment
from engine.state.order import Order, asked, key_of, merged, seen_from
from engine.state.order_state import CANCELLED, REJECTED_CODE, WORKING, accepts

MOST_SHOWN: Final = 200
"""Orders of a strategy that a page of the latest ones may ask for."""


def first_row(order: Order) -> int:
    """Sequence of an order's first row; one without a row is the latest."""
    return order.timeline[0].seq if order.timeline else sys.maxsize


K = TypeVar("K")


Known = tuple[Order, ...]
"""Orders that share a number. Nearly always one, so a tuple: it is smaller than a list, and the collector lets go of it."""


def _join(table: dict[K, Known], key: K, order: Order) -> None:
    """Add an order at its place, which is that of its first row, whenever its number became known."""
    found = table.get(key)
    table[key] = (order,) if found is None else tuple(sorted((*found, order), key=first_row))


def _leave(table: dict[K, Known], key: K, order: Order) -> None:
    rest = tuple(other for other in table.get(key, ()) if other is not order)
    if rest:
        table[key] = rest
    else:
        table.pop(key, None)


class Orders:
    """Every order.

    Attributes:
        by_key: Key -> order.
        recent: Strategy -> its latest orders by first sight, and ``working``: what is open; for pages, which must not
            walk over a day's orders.
        newest: Strategy -> sequence of its latest row.
    """

    def __init__(self, moment: Moment) -> None:
        """Start without orders.

        Args:
            moment: Which fact is being applied.
        """
        self._moment = moment
        self.by_key: dict[str, Order] = {}
        self.newest: dict[str, int] = {}
        self._by_perm: dict[int, Known] = {}
        self._by_client: dict[int, dict[int, Known]] = {}
        self._by_key: dict[tuple[str, int], dict[int, Order]] = {}
        self._aliases: dict[str, str] = {}
        self.groups: dict[str, list[Order]] = {}
        self.recent: dict[str, deque[Order]] = {}
        self.working: dict[int, Order] = {}

    def get(self, key: str) -> Order | None:
        """An order by its key, also by the key that it had before its permId was known."""
        return self.by_key.get(self._aliases.get(key, key))

    def find(self, sight: Fill | OrderUpdate) -> Order | None:
        """The order a sight is about, if it is known."""
        account = sight.account
        if sight.perm_id:
            known = self._by_perm.get(sight.perm_id)
            if known is not None:
                for order in known:
                    if order.seen.account == account:
                        return order
                for order in known:
                    if not account or not order.seen.account:
                        return order
        if sight.order_id > 0:
            for order in reversed(self.namesakes(sight.client_id, sight.order_id)):
                mine, other = order.seen.perm_id, sight.perm_id
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

    def sight(self, update: OrderUpdate, strategy: str, *, claimed: bool) -> tuple[Order, OrderRecord | None] | None:
        """Take in a sight of an order.

        Args:
            strategy: Whose it is, by claim or inference.
            claimed: A message named the strategy.

        Returns:
            The order and its new row (``None`` when nothing changed); ``None`` alone when the sight has no identity.
        """
        if not update.perm_id and update.order_id <= 0:
            return None
        if update.source == "completed":  # only maps a permId to a reference and says the final word (F59)
            update = msgspec.structs.replace(update, quantity=None, filled=None, remaining=None, avg_fill_price=None)
        order = self.find(update)
        if order is None:
            said = update
            if said.status or said.message or said.error_code or said.local:  # taken in below, as any sight's
                said = msgspec.structs.replace(said, status="", message="", error_code=0, local=False)
            order = self._new(said, strategy, claimed=claimed)
        elif claimed and not order.claimed:
            order.strategy, order.claimed = strategy, True
        elif order.strategy == UNASSIGNED:
            order.strategy = strategy
        self._absorb(order, update)
        return order, self.row(order, by_broker=bool(update.status), message=update.message)

    def of(self, keys: Iterable[tuple[str, int]]) -> Iterator[Order]:
        """Orders of some (account, con_id), each key's in order of first sight."""
        for key in keys:
            for order in self._by_key.get(key, {}).values():
                if _key_of(order) == key:
                    yield order

    def _file(self, order: Order) -> None:
        """Note what the order is about, as soon as it is known; a former answer is passed over when it is asked for."""
        key = _key_of(order)
        if key is not None:
            filed = self._by_key.get(key)
            if filed is None:
                filed = self._by_key[key] = {}
            filed[id(order)] = order

    def _absorb(self, order: Order, update: OrderUpdate) -> None:
        self._learn(order, merged(order.seen, update))
        if update.message:
            order.message = update.message
        failed = update.source == "error" or bool(update.error_code)
        if failed and order.worked and order.acked is not None:
            quantity, limit, stop = order.acked  # the modification failed, the order lives on as it was (F71)
            order.seen = msgspec.structs.replace(order.seen, quantity=quantity, limit_price=limit, stop_price=stop)
        if update.error_code == REJECTED_CODE and not order.worked and not order.executed[0]:
            order.rejected = True
        if accepts(order.word, order.local, update):
            order.word, order.local = update.status, update.local
            if update.status in WORKING and not update.local:
                order.worked, order.rejected = True, False
        if not update.local and not failed and update.message != "Modify" and update.source != "completed":
            order.acked = (order.seen.quantity, order.seen.limit_price, order.seen.stop_price)

    def trade(self, fill: Fill, quantity: Decimal, value: Decimal, strategy: str, *, claimed: bool) -> Order | None:
        """Take in an execution's (change of) quantity and signed quantity times quoted price.

        Returns:
            The order, ``None`` when the execution names none.
        """
        instrument = fill.instrument
        con_id = instrument.con_id
        order = self.find(fill)
        if order is None:
            if not fill.perm_id and fill.order_id <= 0:
                return None
            order = self._new(seen_from(fill), strategy, claimed=claimed)
            order.traded[con_id] = (quantity, value)
            return order
        seen = order.seen
        about = seen.instrument
        if not seen.perm_id or not seen.account or not about or not about.con_id:
            self._learn(order, merged(seen, seen_from(fill), keep_words=True))
            about = order.seen.instrument
        if claimed and not order.claimed:
            order.strategy, order.claimed = strategy, True
        if about is not instrument and instrument.is_combo and about is not None and not about.is_combo:
            order.seen = msgspec.structs.replace(order.seen, instrument=instrument)
            self._file(order)
        before = order.traded.get(con_id)
        order.traded[con_id] = (
            (quantity, value) if before is None else (add(before[0], quantity), add(before[1], value))
        )
        return order

    def row(
        self, order: Order, *, by_broker: bool, message: str = "", executed_at: datetime | None = None
    ) -> OrderRecord | None:
        """The row that the order's present state makes, ``None`` when the last one says the same already."""
        state, is_open, figures = order.stands()
        filled, remaining, average = figures
        seen, word = order.seen, order.word
        last = order.timeline[-1] if order.timeline else None
        status = state
        if by_broker and word:
            final_by_executions = not is_open and word not in CANCELLED and word != "Inactive"
            if not (final_by_executions and state == "Filled"):
                status = word
        if last is not None:
            if (
                not by_broker
                and is_open
                and state == last.state
                and order.strategy == last.strategy
                and seen.instrument == last.update.instrument
            ):
                return None  # progress alone is no transition
            same = (
                (status, state, order.strategy) == (last.status, last.state, last.strategy)
                and figures == (last.filled, last.remaining, last.avg_fill_price)
                and asked(seen) == asked(last.update)
                and (not message or message == last.message)
                and (not seen.why_held or seen.why_held == last.update.why_held)
            )
            if same:
                return None
        if not by_broker and executed_at is not None and executed_at != seen.status_at:
            seen = msgspec.structs.replace(seen, status_at=executed_at)
        record = OrderRecord(
            seq=self._moment.seq,
            recorded_at=self._moment.now(),
            strategy=order.strategy,
            order_key=order.key,
            update=seen,
            status=status,
            filled=filled,
            remaining=remaining,
            avg_fill_price=average,
            message=order.message,
            state=state,
            is_open=is_open,
        )
        order.timeline.append(record)
        self._show(order, record, first=last is None or last.strategy != record.strategy)
        self.newest[record.strategy] = record.seq
        return record

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

    def latest(self, order: Order) -> OrderRecord:
        """The order's last row with the figures of this moment: partial executions make no rows of their own."""
        filled, remaining, average = order.figures()
        last, seen = order.timeline[-1], order.seen
        if (seen.filled, seen.remaining) != (last.update.filled, last.update.remaining):
            # The broker's own count moved on without a transition; what it says of missing executions must not be lost.
            told = msgspec.structs.replace(
                last.update, filled=seen.filled, remaining=seen.remaining, received_at=seen.received_at
            )
            last = msgspec.structs.replace(last, update=told)
        if (filled, remaining, average) == (last.filled, last.remaining, last.avg_fill_price):
            return last
        return msgspec.structs.replace(last, filled=filled, remaining=remaining, avg_fill_price=average)

    def _new(self, seen: OrderUpdate, strategy: str, *, claimed: bool) -> Order:
        order = Order(key=key_of(seen), strategy=strategy, claimed=claimed, seen=seen)
        if order.key in self.by_key:  # a number used again before its permId is known: the former one keeps its rows
            order.key = f"{order.key}#{self._moment.seq}"
        self.add(order)
        return order

    def add(self, order: Order) -> None:
        """Index an order."""
        seen = order.seen
        self.by_key[order.key] = order
        if seen.perm_id:
            _join(self._by_perm, seen.perm_id, order)
        if seen.order_id > 0:
            of_client = self._by_client.get(seen.client_id)
            if of_client is None:
                of_client = self._by_client[seen.client_id] = {}
            _join(of_client, seen.order_id, order)
        if order.grouped:
            self._join_groups(order)
        self._file(order)
        if order.timeline:
            self._show(order, order.timeline[-1], first=True)

    def latest_of_each(self, count: int) -> set[int]:
        """Identities of the latest orders of each strategy; those before them are not shown among the latest any more."""
        for strategy, shown in self.recent.items():
            if count < len(shown):
                self.recent[strategy] = deque(list(shown)[len(shown) - count :], maxlen=MOST_SHOWN)
        return {id(order) for shown in self.recent.values() for order in shown}

    def put_away(self, order: Order) -> None:
        """Let go of an order that is kept elsewhere; one in a group stays."""
        seen = order.seen
        del self.by_key[order.key]
        self.working.pop(id(order), None)
        _leave(self._by_perm, seen.perm_id, order)
        _leave(self._by_client.get(seen.client_id, {}), seen.order_id, order)
        if (key := _key_of(order)) is not None:
            self._by_key.get(key, {}).pop(id(order), None)

    def bring_back(self, order: Order) -> None:
        """Index an order again that was put away."""
        self.add(order)

    def namesakes(self, client_id: int, order_id: int) -> Known:
        """Orders that share an order id, by first sight."""
        of_client = self._by_client.get(client_id)
        return () if of_client is None else of_client.get(order_id, ())

    def _learn(self, order: Order, seen: OrderUpdate) -> None:
        """Take over what is known of an order by now, and let it be found by that."""
        former, order.seen = order.seen, seen
        if (seen.instrument, seen.account) != (former.instrument, former.account):
            self._file(order)
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
        self._aliases[order.key] = key
        if order.seen.perm_id and order not in self._by_perm.get(order.seen.perm_id, ()):
            _join(self._by_perm, order.seen.perm_id, order)
        order.key = key
        self.by_key[key] = order

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
        """Former key -> key."""
        return self._aliases


def _key_of(order: Order) -> tuple[str, int] | None:
    instrument = order.seen.instrument
    return None if instrument is None else (order.seen.account, instrument.con_id)
