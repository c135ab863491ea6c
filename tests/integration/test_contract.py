"""The contract as a program outside checks it: names, shapes and meanings, and nothing of the inside."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.app import Engine
from engine.errors import BrokerUnavailable
from engine.portfolio_manager import PortfolioManager
from tests.integration.engine_kit import chosen, flushed, running, until
from tests.integration.kill_child import REF, own_fill

ROOT = Path(__file__).resolve().parents[2]
FILLS = (
    "fill_id order_ref symbol qty price timestamp account con_id local_symbol sec_type currency multiplier exchange side"
    " perm_id order_id client_id commission commission_currency commission_status ib_realized_pnl realized_pnl source"
    " supersedes"
).split()
POSITIONS = (
    "symbol qty avg_cost realized_pnl unrealized_pnl account con_id local_symbol sec_type currency multiplier commission"
    " market_price timestamp"
).split()
READER = """
import json, sys
from engine.storage import open_store
store = open_store(sys.argv[1], read_only=True)
fills, positions = store.read("fills", sys.argv[2]), store.read("positions", sys.argv[2])
print(json.dumps({"fills": list(fills.columns), "positions": list(positions.columns), "rows": len(fills),
  "index": [fills.index.name, str(fills.index.tz)], "qty": str(fills["qty"].dtype), "symbols": store.symbols("fills"),
  "held": float(positions["qty"].sum()), "commission_unknown": bool(fills["commission"].isna().all())}))
"""


def an_execution(number, quantity=3):
    return own_fill(f"0000dddd.00000000.{number:08x}.01.01", quantity, 100.25)


def read_elsewhere(settings, strategy):
    """What another process finds in the store."""
    done = subprocess.run(
        [sys.executable, "-c", READER, settings.arctic_location, strategy],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_what_the_queue_takes_is_found_by_another_process_while_the_engine_runs(tmp_path):
    async with running(chosen(tmp_path)) as engine:
        queue = engine.strategy_manager.message_queue
        for number in range(3):
            trade, fill = an_execution(number)
            queue.put({"type": "fill", "strategy": REF, "trade": trade, "fill": fill})
            fill.execution.shares = 1e9  # what the caller does to its objects afterwards is its own affair
        await asyncio.to_thread(queue.join)
        assert queue.empty()
        await flushed(engine.room)
        found = await asyncio.to_thread(read_elsewhere, engine.settings, REF)
    assert found["fills"][: len(FILLS)] == FILLS
    assert found["positions"][: len(POSITIONS)] == POSITIONS
    assert (found["rows"], found["held"], found["qty"]) == (3, 9.0, "float64")
    assert found["index"] == ["recorded_at", "UTC"]
    assert found["commission_unknown"]


@pytest.mark.parametrize("name", ["a/b", "täglich 🚀", "x" * 3_000, "C:\\odd*?"])
async def test_a_strategy_of_any_name_is_booked_stored_and_found_again(tmp_path, name):
    async with running(chosen(tmp_path)) as engine:
        await engine.portfolio_manager.process_fill(name, *an_execution(1))
        await flushed(engine.room)
        assert engine.portfolio_manager.positions(strategy=name)["qty"].tolist() == [3.0]
        assert engine.room.store.symbols("fills") == [name]


@pytest.mark.parametrize(
    "message", [None, 7, "text", {}, {"type": "fill"}, {"type": "unheard of", "strategy": "A"}, {1: object()}]
)
async def test_a_message_that_cannot_be_read_never_raises_and_is_kept_with_its_reason(tmp_path, message):
    async with running(chosen(tmp_path)) as engine:
        engine.strategy_manager.message_queue.put(message)
        held = engine.portfolio_manager.quarantine
        await until(lambda: len(held()) == 1)
        assert held()["reason"].iloc[0]
        await engine.portfolio_manager.process_fill(REF, *an_execution(1))
        assert len(engine.portfolio_manager.fills()) == 1


async def test_the_portfolio_manager_stands_alone_and_is_called_from_a_thread_with_a_loop_of_its_own(tmp_path):
    manager = await PortfolioManager.open(chosen(tmp_path))
    failures = []

    def elsewhere():
        async def report():
            trade, fill = an_execution(1)
            await manager.process_fill(REF, trade, fill)
            await manager.record_status_change(REF, trade, "Submitted")

        try:
            asyncio.run(report())
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    try:
        other = threading.Thread(target=elsewhere)
        other.start()
        await asyncio.to_thread(other.join, 60)
        assert not failures
        assert manager.positions(strategy=REF)["qty"].tolist() == [3.0]
        assert len(manager.orders(strategy=REF)) == 1
        with pytest.raises(BrokerUnavailable):
            await manager.reconcile_positions()
    finally:
        await manager.close()


async def test_stopping_twice_and_starting_again_loses_nothing(tmp_path):
    settings = chosen(tmp_path)
    engine = Engine(settings)
    await engine.start()
    trade, fill = an_execution(1)
    engine.strategy_manager.message_queue.put({"type": "fill", "strategy": REF, "trade": trade, "fill": fill})
    await engine.stop()
    await engine.stop()
    async with running(settings) as again:
        assert again.portfolio_manager.positions(strategy=REF)["qty"].tolist() == [3.0]
