"""A rule is tried before it is switched on, which stands in the audit, and acts after every reconciliation."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

import pytest
from desk_parts import AAPL, DU, HandBroker

from engine.clock import SystemClock
from engine.core.events import Fill
from engine.errors import BadRequest
from engine.pipeline.room import BookRoom
from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings


def test_a_rule_is_tried_on_record_and_acts_after_every_reconciliation(tmp_path):
    clock = SystemClock()
    settings = Settings(data_dir=str(tmp_path), settle_s=0.0, confirm_runs=1, reconcile_every_s=0)
    room = BookRoom(settings, clock)
    broker = HandBroker(clock)

    async def trade(number, strategy):
        broker.move(AAPL, 10)
        fill = Fill(
            received_at=clock.now(),
            account=DU,
            exec_id=f"0000e0d5.{number:08x}.01.01",
            instrument=AAPL,
            quantity=Decimal(10),
            price=Decimal(100),
            executed_at=clock.now(),
            strategy=strategy,
            client_id=77,
            perm_id=number,
        )
        await room.intake.accept([fill])

    async def day():
        pm = PortfolioManager(settings, room, broker, clock)
        await trade(1, "BETA")
        await trade(2, None)
        await pm.set_rule(operator="ann", rule_id="R1", strategy="ALPHA", client_id=77, reason="ann's own client")
        with pytest.raises(BadRequest, match="nine digits"):
            await pm.set_rule(
                operator="ann", rule_id="R2", strategy="ALPHA", client_id=10**400, reason="typed at random"
            )
        tried = pm.audit().set_index("act").loc["rule tried"]
        assert tried["user"] == "ann"
        assert "2 executions" in tried["detail"]
        assert "1 wait in UNASSIGNED, 1 belong to others" in tried["detail"]
        await trade(3, None)
        table = await pm.reconcile_positions()
        assert dict(zip(table["strategy"], table["qty"], strict=True)) == {"ALPHA": 20, "BETA": 10}

    try:
        asyncio.run(day())
    finally:
        room.close(timeout_s=60)
