"""What executions do to their orders: progress, gaps, fills after a final word, too much filled."""

from __future__ import annotations

from decimal import Decimal

from engine.core.events import Fill
from engine.core.exact import ZERO, add, multiply, subtract, unsigned
from engine.state.changes import Changes
from engine.state.executions import Execution
from engine.state.findings import Findings
from engine.state.order import Order
from engine.state.order_state import CANCELLED, plain
from engine.state.orders import Orders


class Progress:
    """Brings executions to the orders and reports what is odd about it. Status never blocks a fill (R21)."""

    def __init__(self, orders: Orders, findings: Findings) -> None:
        """Wire the parts."""
        self._orders = orders
        self._findings = findings

    def executed(self, execution: Execution, quantity: Decimal, value: Decimal, changes: Changes) -> None:
        """Take in a new execution, or the change that a correction or a bust made.

        Args:
            quantity: Signed change.
            value: Change of signed quantity times quoted price.
        """
        fill = execution.fill
        if execution.state == "busted":
            quantity = value = ZERO
        orders = self._orders
        order = orders.find(fill)
        if order is None:
            if fill.perm_id or fill.order_id > 0:
                order, row = orders.begin(fill, quantity, value, execution.base, claimed=execution.claimed)
                changes.orders.append(row)
                if fill.cum_quantity and quantity and execution.state == "active" and not execution.supersedes:
                    self._gap(order, execution, changes)
                if fill.instrument.sec_type == "BAG":
                    self._legs(order, execution, changes)
            return
        orders.trade(order, fill, quantity, value, execution.base, claimed=execution.claimed)
        if quantity:
            if (fill.cum_quantity or order.gaps) and execution.state == "active" and not execution.supersedes:
                self._gap(order, execution, changes)
            if order.rejected or order.word in CANCELLED:
                self._unexpected(order, execution, changes)
            self._overfill(order, changes)
        if self._findings.open:
            self._reported(order, changes)
        about = order.seen.instrument
        if len(order.traded) > 1 or (about is not None and about.sec_type == "BAG"):
            self._legs(order, execution, changes)
        again = orders.row(order, by_broker=False, executed_at=fill.executed_at)
        if again is not None:
            changes.orders.append(again)

    def claimed(self, fill: Fill, strategy: str, changes: Changes) -> None:
        """A message named the strategy of an execution: its order is that strategy's too."""
        order = self._orders.find(fill)
        if order is None or order.claimed:
            return
        order.strategy, order.claimed = strategy, True
        row = self._orders.row(order, by_broker=False, executed_at=fill.executed_at)
        if row is not None:
            changes.orders.append(row)

    def belongs(self, key: str, strategy: str, changes: Changes) -> None:
        """Give an order to a strategy, unless it is there."""
        order = self._orders.get(key)
        if order is not None and order.strategy != strategy:
            order.strategy = strategy
            row = self._orders.row(order, by_broker=False)
            if row is not None:
                changes.orders.append(row)

    def undo(self, execution: Execution) -> None:
        """Take an execution's part out of its order, before it is corrected or voided."""
        if execution.state not in {"active", "group"}:
            return
        fill = execution.fill
        order = self._orders.find(fill)
        if order is None:
            return
        quantity, value = order.traded.get(fill.instrument.con_id, (ZERO, ZERO))
        left = subtract(quantity, fill.quantity), subtract(value, multiply(fill.quantity, fill.price))
        order.traded[fill.instrument.con_id] = left

    def redo(self, execution: Execution, changes: Changes) -> None:
        """Put its part in as it is now."""
        fill = execution.fill
        self.executed(execution, fill.quantity, multiply(fill.quantity, fill.price), changes)

    def _gap(self, order: Order, execution: Execution, changes: Changes) -> None:
        """The broker's running total tells of executions that we do not have (F21)."""
        fill = execution.fill
        con_id = fill.instrument.con_id
        known = unsigned(order.traded[con_id][0])
        reported = fill.cum_quantity or ZERO
        if order.gaps:
            reported = max(reported, order.gaps.get(con_id, ZERO))
        if known >= reported:
            if order.gaps and order.gaps.pop(con_id, None) is not None:
                self._findings.settle(changes, "execution_gap", f"{order.key}:{con_id}")
            return
        subject = f"{order.key}:{con_id}"
        order.gaps[con_id] = reported
        changes.requests.add("executions")
        missing = plain(subtract(reported, known))
        text = f"order {order.key}: IB counts {plain(reported)} executed, {plain(known)} came, {missing} missing"
        self._findings.about(
            changes, "execution_gap", "warning", fill, text, strategy=execution.strategy, subject=subject
        )

    def _legs(self, order: Order, execution: Execution, changes: Changes) -> None:
        """Legs fill in chunks of their own: until they are whole, the strategy is unbalanced, and should know (F76)."""
        if not order.is_combo:
            return
        lacks = order.lacks()
        if not lacks:
            self._findings.settle(changes, "combo_incomplete", order.key)
            return
        text = f"combination of order {order.key}: {lacks}"
        self._findings.about(
            changes, "combo_incomplete", "info", execution.fill, text, strategy=order.strategy, subject=order.key
        )

    def _unexpected(self, order: Order, execution: Execution, changes: Changes) -> None:
        fill, findings = execution.fill, self._findings
        if order.rejected:
            text = (
                f"order {order.key} was rejected ({order.message or 'no reason given'}), yet {fill.quantity} executed"
            )
            findings.about(
                changes, "rejected_filled", "critical", fill, text, strategy=order.strategy, subject=order.key
            )
        else:
            text = f"order {order.key} was cancelled, yet {fill.quantity} executed afterwards"
            findings.about(
                changes, "cancelled_filled", "critical", fill, text, strategy=order.strategy, subject=order.key
            )

    def _overfill(self, order: Order, changes: Changes) -> None:
        total = order.seen.quantity
        if total is not None and total > ZERO:
            done = unsigned(order.executed[0])
            if done > total:
                text = f"order {order.key}: {plain(done)} executed of {plain(total)}"
                self._findings.add(
                    changes,
                    "overfill",
                    "critical",
                    order.key,
                    text,
                    account=order.seen.account,
                    strategy=order.strategy,
                )
            elif self._findings.open:
                self._findings.settle(changes, "overfill", order.key)
        if not order.grouped:
            return
        for name, group in self._orders.siblings(order):
            filled = [other for other in group if other.executed[0]]
            most = max((other.seen.quantity or ZERO for other in group), default=ZERO)
            total_filled = ZERO
            for other in filled:
                total_filled = add(total_filled, unsigned(other.executed[0]))
            if len(filled) > 1 and most and total_filled > most:
                text = f"{name}: {plain(total_filled)} executed over {len(filled)} orders, at most {plain(most)} were meant"
                self._findings.add(
                    changes, "oca_overfill", "critical", name, text, account=order.seen.account, strategy=order.strategy
                )

    def checked(self, order: Order, changes: Changes) -> None:
        """Look again after a sight: the quantity may have grown (F72), or more be reported than came (F63)."""
        if order.traded:
            self._overfill(order, changes)
        self._reported(order, changes)

    def _reported(self, order: Order, changes: Changes) -> None:
        reported = order.seen.filled
        if order.word == "Filled" and reported is not None and reported > unsigned(order.executed[0]):
            subject = f"{order.key}:reported"
            if f"execution_gap:{subject}" not in self._findings.open:
                changes.requests.add("executions")
            came = plain(unsigned(order.executed[0]))
            text = f"order {order.key} is reported filled {plain(reported)}, {came} came as executions"
            self._findings.add(
                changes, "execution_gap", "info", subject, text, account=order.seen.account, strategy=order.strategy
            )
        elif self._findings.open:
            self._findings.settle(changes, "execution_gap", f"{order.key}:reported")
