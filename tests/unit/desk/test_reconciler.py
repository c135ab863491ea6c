from __future__ import annotations

import pytest
from desk_parts import AAPL

from engine.errors import BrokerUnavailable


async def test_books_that_agree_with_the_broker_are_square(house):
    house.fill(AAPL, 100, moves_broker=True)
    result = await house.run(after=11)
    assert result.status == "square"
    assert result.square
    assert result.columns["status"] == ["matched"]


async def test_r5_a_manual_close_at_the_broker_becomes_a_break_with_cause_external_trade(house):
    house.fill(AAPL, 100, moves_broker=True)
    assert (await house.run(after=11)).status == "square"
    house.broker.move(AAPL, -100)
    house.broker.on_refresh = lambda: house.manual(AAPL, -100) if house.broker.refreshed == 1 else 0
    assert not (await house.run(after=11)).breaks
    (found,) = (await house.run(after=11)).breaks
    assert found.quantity == -100
    assert found.kind == "unassigned"
    assert found.state in {"confirmed", "explained"}
    assert found.causes[0].kind == "external_trade"


async def test_r3_a_request_that_fails_changes_nothing(house):
    house.fill(AAPL, 100, moves_broker=True)
    house.broker.down = "timed out"
    before = house.ledger.dump()
    with pytest.raises(BrokerUnavailable):
        await house.run(after=11)
    assert house.ledger.dump() == before
    assert house.reconciler.breaks() == []
    assert house.stored[-1][2]["status"] == ["unavailable"]
