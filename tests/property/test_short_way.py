"""What is quick for the usual case gives what the long way gives: an order made of its first execution in one go, a sight
that says everything taken as it is.
"""

from __future__ import annotations

from decimal import Decimal
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant

from engine.core.events import OrderUpdate
from engine.state import order
from engine.state.ledger import Ledger
from engine.state.order import merged, seen_from
from engine.state.orders import Orders
from tests.property.test_ledger_machine import Books
from tests.unit.state.kit import AAPL, MSFT, at


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


def unlikely(usual, *others):
    """Nearly always the usual value, so that nearly all of two sights is alike."""
    return st.sampled_from([*[usual] * 9, *others])


NUMBERS = unlikely(Decimal(5), None, Decimal(0), Decimal(7))
SIGHTS = st.builds(
    OrderUpdate,
    received_at=st.sampled_from([at(0), at(1)]),
    account=unlikely("DU1", ""),
    perm_id=unlikely(9, 0),
    order_id=unlikely(3, 0),
    client_id=unlikely(1, 0),
    strategy=unlikely("ALPHA", None, "BETA"),
    order_ref=unlikely("a", "", "b"),
    instrument=unlikely(AAPL, None, MSFT),
    side=unlikely("BUY", "", "SELL"),
    quantity=NUMBERS,
    order_type=unlikely("LMT", ""),
    limit_price=NUMBERS,
    stop_price=NUMBERS,
    tif=unlikely("DAY", ""),
    parent_id=unlikely(2, 0),
    oca_group=unlikely("o", ""),
    status=st.sampled_from(["", "Submitted", "Filled"]),
    filled=NUMBERS,
    remaining=NUMBERS,
    avg_fill_price=NUMBERS,
    why_held=unlikely("", "locate"),
    message=unlikely("", "no"),
    error_code=unlikely(0, 201),
    source=unlikely("live", "replay"),
)


@settings(max_examples=2_000)
@given(known=SIGHTS, new=SIGHTS)
def test_a_sight_that_says_everything_is_what_laying_it_over_the_known_one_gives(known, new):
    quick = merged(known, new)
    with patch.object(order, "_says_everything", lambda *_: False):
        assert merged(known, new) == quick
