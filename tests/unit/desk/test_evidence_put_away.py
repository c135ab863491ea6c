"""What was put away is evidence as well: for causes, and for whom a residual belongs to."""

from __future__ import annotations

from desk_parts import AAPL, DU, D, House

from engine.core.events import OrderUpdate
from engine.state.ledger import Ledger
from engine.state.putaway import Keep
from tests.unit.state.memory_archive import MemoryArchive

EVERYTHING = Keep(executions=0, lines=0, smallest=1, orders=0)


def away():
    house = House()
    house.ledger = Ledger(archive=MemoryArchive())
    house.reconciler = house.restarted()
    house.desk = house.new_desk()
    return house


def put_away(house):
    return sum(house.ledger.put_away(EVERYTHING))


def order(house, filled, *, perm_id, order_id=7, of=None, **more):
    house.book(
        OrderUpdate(
            received_at=house.clock.now(),
            account=DU,
            perm_id=perm_id,
            client_id=40,
            instrument=AAPL,
            side="BUY",
            quantity=D(of or filled),
            status="Filled",
            filled=D(filled),
            remaining=D(0),
            order_id=order_id,
            **more,
        )
    )


async def test_an_order_that_counts_more_than_came_explains_a_break_after_its_fills_were_put_away():
    house = away()
    house.fee(house.fill(AAPL, 60, perm_id=700, moves_broker=True))
    order(house, 100, perm_id=700)
    house.fee(house.fill(AAPL, 5, perm_id=701, order_id=8, moves_broker=True))
    order(house, 5, perm_id=701, order_id=8)
    house.broker.move(AAPL, 40)
    assert put_away(house) >= 3, "two executions, and the order whose count is right"
    assert house.ledger.order(f"P{DU}:700") is not None
    await house.confirmed()
    (found,) = house.reconciler.breaks()
    assert (found.causes[0].kind, found.causes[0].quantity) == ("missing_fill", 40)
    assert found.causes[0].evidence == (f"P{DU}:700",)


async def test_owners_are_suggested_from_orders_and_executions_that_were_put_away():
    house = away()
    house.fee(house.fill(AAPL, 10, strategy="BETA", perm_id=710, order_id=17, order_ref="BETA-17", moves_broker=True))
    order(house, 10, perm_id=710, order_id=17, strategy="BETA", order_ref="BETA-17")
    assert put_away(house) == 2
    # A stop of the same bracket, heard as nobody's: its parent is BETA's, and BETA was the last to trade here.
    house.manual(AAPL, -10, order_id=18, client_id=40, moves_broker=True)
    perm = house.ledger.fills()[-1].fill.perm_id
    order(house, 10, perm_id=perm, order_id=18, parent_id=17)
    await house.confirmed()
    (first, *_) = house.desk.suggest_owners(DU, AAPL.con_id)
    assert first.strategy == "BETA"
    assert "parent order 17 is its own" in first.reason
    assert "traded this instrument last" in first.reason
