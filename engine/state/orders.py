"""The orders: one state machine each, fed by sights of the order and by executions.

An order is known by (account, permId); before the broker gives one, by (account, client id, order id), upgraded once (F46).
The same order id with another permId is another order (R10). Manual orders, which share order id 0, are told apart by
their permId (R11); one without either has no identity and is not kept (F47). An execution of an unknown order makes one
from what the execution says (R22).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.events import Fill, OrderUpdate
from engine.core.exact import add, quotient, unsigned
from engine.core.ids import UNASSIGNED
from engine.core.records import OrderRecord
from engine.state.changes import Moment
from engine.state.order import Order, asked, ended_so, key_of, merged, seen_from
from engine.state.order_state import CANCELLED, REJECTED_CODE, WORKING, accepts, derive
from engine.state.order_table import OrderTable


class Orders(OrderTable):
    """What becomes of every order.

    Attributes:
        newest: Strategy -> sequence of its latest row.
    """

    def __init__(self, moment: Moment) -> None:
        """Start without orders.

        Args:
            moment: Which fact is being applied.
        """
        super().__init__()
        self._moment = moment
        self.newest: dict[str, int] = {}

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
        if order is not None and update.source == "completed" and ended_so(order, update):
            return order, None
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

    def _absorb(self, order: Order, update: OrderUpdate) -> None:
        self.learn(order, merged(order.seen, update))
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

    def begin(
        self, fill: Fill, quantity: Decimal, value: Decimal, strategy: str, *, claimed: bool
    ) -> tuple[Order, OrderRecord]:
        """Make an order of what its first execution says, with its first row: :meth:`trade` and :meth:`row` in one.

        Args:
            fill: Names an order (permId or order id) that is not known.
            quantity: Signed, what of it counts; ``value`` is that times the quoted price.
        """
        seen, done = seen_from(fill), unsigned(quantity)
        average = None
        if quantity:
            average = fill.price if quantity is fill.quantity else quotient(value, quantity)
        key = self._free(key_of(seen))
        state, is_open = derive("", local=False, rejected=False, executed=done, total=None)
        record = OrderRecord(
            seq=self._moment.seq,
            recorded_at=self._moment.at,
            strategy=strategy,
            order_key=key,
            update=seen,
            status=state,
            filled=done,
            remaining=None,
            avg_fill_price=average,
            state=state,
            is_open=is_open,
        )
        traded = {fill.instrument.con_id: (quantity, value)}
        order = Order(key=key, strategy=strategy, claimed=claimed, seen=seen, traded=traded, timeline=(record,))
        self.add(order)
        self.newest[strategy] = record.seq
        return order, record

    def trade(
        self, order: Order, fill: Fill, quantity: Decimal, value: Decimal, strategy: str, *, claimed: bool
    ) -> None:
        """Take an execution's (change of) quantity and signed quantity times quoted price into its order."""
        instrument = fill.instrument
        con_id = instrument.con_id
        seen = order.seen
        about = seen.instrument
        if not seen.perm_id or not seen.account or not about or not about.con_id:
            self.learn(order, merged(seen, seen_from(fill), keep_words=True))
            about = order.seen.instrument
        if claimed and not order.claimed:
            order.strategy, order.claimed = strategy, True
        if about is not instrument and instrument.is_combo and about is not None and not about.is_combo:
            former, order.seen = order.seen, msgspec.structs.replace(order.seen, instrument=instrument)
            self._file(order, former)
        before = order.traded.get(con_id)
        order.traded[con_id] = (
            (quantity, value) if before is None else (add(before[0], quantity), add(before[1], value))
        )

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
            recorded_at=self._moment.at,
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
        order.timeline += (record,)
        self._show(order, record, first=last is None or last.strategy != record.strategy)
        self.newest[record.strategy] = record.seq
        return record

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
        order = Order(key=self._free(key_of(seen)), strategy=strategy, claimed=claimed, seen=seen)
        self.add(order)
        return order

    def _free(self, key: str) -> str:
        """The key, or a longer one: a number may be used again before its permId is known, and the former keeps its rows."""
        return f"{key}#{self._moment.seq}" if key in self.by_key else key
