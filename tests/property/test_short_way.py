"""An order that begins with an execution is made in one go; the steps that any other order takes give the same rows."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import settings
from hypothesis.stateful import initialize, invariant

from engine.state.ledger import Ledger
from engine.state.order import seen_from
from engine.state.orders import Orders
from tests.property.test_ledger_machine import Books


class StepByStep(Orders):
    """Makes an order, takes the execution in, asks for a row: nothing of it at once."""

    def begin(self, fill, quantity, value, strategy, *, claimed):
        order = self._new(seen_from(fill), strategy, claimed=claimed)
        self.trade(order, fill, quantity, value, strategy, claimed=claimed)
        return order, self.row(order, by_broker=False, executed_at=fill.executed_at)


def step_by_step():
    with patch("engine.state.ledger.Orders", StepByStep):
        return Ledger()


class BothWays(Books):
    @initialize()
    def begin(self):
        self.ledger = self.fresh()
        self.other = step_by_step()

    def apply(self, fact):
        fills, rows = len(self.records), len(self.order_rows)
        super().apply(fact)
        changes = self.other.apply(len(self.facts), fact)
        assert changes.fills == self.records[fills:]
        assert changes.orders == self.order_rows[rows:]

    @invariant()
    def everything_is_the_same(self):
        if self.facts:
            assert self.other.orders() == self.ledger.orders()
            assert self.other.findings == self.ledger.findings
            assert self.other.newest_order_rows() == self.ledger.newest_order_rows()


TestBothWays = BothWays.TestCase
TestBothWays.settings = settings(max_examples=30, stateful_step_count=30)
