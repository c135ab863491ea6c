"""An hour at 50 fills a second through the queue: nothing lost or doubled, and no leak that goes on for ever.

``FILLBOOK_SOAK_S`` sets another length in seconds. What is printed at the end: slope of memory, handles, append latency.
"""

import asyncio
import gc
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from engine.app import Engine
from engine.settings import Settings

pytestmark = pytest.mark.soak

FILLS_PER_S = 50
STRATEGIES = ("ALPHA", "BETA", "GAMMA", "DELTA", "OMEGA")


def message(number):
    """A buy and a sell in turn, so that positions stay small while the history grows."""
    strategy = STRATEGIES[number % len(STRATEGIES)]
    side = "BOT" if number // len(STRATEGIES) % 2 == 0 else "SLD"
    contract = SimpleNamespace(
        conId=265598, symbol="AAPL", secType="STK", currency="USD", exchange="SMART", localSymbol="AAPL", multiplier=""
    )
    execution = SimpleNamespace(
        execId=f"0000e0d5.{number:08x}.01.01", time=datetime.now(UTC), acctNumber="DU1", exchange="ARCA", side=side,
        shares=10.0, price=100.0 + number % 7, permId=number + 1, clientId=1, orderId=number + 1, liquidation=0,
        cumQty=10.0, avgPrice=100.0, orderRef=strategy,
    )  # fmt: skip
    order = SimpleNamespace(
        orderId=number + 1, permId=number + 1, clientId=1, action="BUY" if side == "BOT" else "SELL", totalQuantity=10.0,
        orderType="MKT", orderRef=strategy, account="DU1",
    )  # fmt: skip
    report = SimpleNamespace(execId=execution.execId, commission=1.0, currency="USD", realizedPNL=0.0)
    fill = SimpleNamespace(contract=contract, execution=execution, commissionReport=report, time=execution.time)
    status = SimpleNamespace(status="Filled", filled=10.0, remaining=0.0, avgFillPrice=100.0)
    trade = SimpleNamespace(contract=contract, order=order, orderStatus=status, fills=[fill], log=[])
    return {"type": "fill", "strategy": strategy, "trade": trade, "fill": fill}


async def test_an_hour_of_load_loses_nothing_and_leaks_nothing(tmp_path: Path):
    seconds = float(os.environ.get("FILLBOOK_SOAK_S", "3600"))
    engine = Engine(Settings(data_dir=str(tmp_path)))
    await engine.start()
    process = psutil.Process()
    samples = []
    sent = 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (elapsed := loop.time() - began) < seconds:
        while sent < elapsed * FILLS_PER_S:
            engine.strategy_manager.message_queue.put(message(sent))
            sent += 1
        if len(samples) < elapsed // 30:
            gc.collect()
            health = engine.health()
            samples.append(
                (
                    elapsed,
                    health["memory_mb"],
                    process.num_fds(),
                    process.num_threads(),
                    health["fill_to_store_ms"]["p50"],
                )
            )
            assert health["ok"], health["problems"]
        await asyncio.sleep(0.02)
    await asyncio.to_thread(engine.strategy_manager.message_queue.join)
    assert len(engine.portfolio_manager.fills()) == sent
    held = engine.portfolio_manager.room.ledger.net()
    assert abs(held["DU1", 265598]) <= Decimal(10) * len(STRATEGIES)
    assert engine.portfolio_manager.verify().empty
    await engine.stop()
    for sample in samples[:: max(1, len(samples) // 20)]:
        print("s {:7.0f}  memory {:7.1f} MiB  handles {:4d}  threads {:3d}  fill to store p50 {} ms".format(*sample))
    warm = [s for s in samples if s[0] > seconds / 6]
    if len(warm) > 10:
        fills = (warm[-1][0] - warm[0][0]) * FILLS_PER_S
        per_fill = (warm[-1][1] - warm[0][1]) * 1_048_576 / fills
        print(f"memory per fill after warm-up: {per_fill:.0f} bytes")
        assert per_fill < 4096, "the history of executions costs some hundred bytes a fill; more than that is a leak"
        assert warm[-1][2] <= warm[0][2] + 5, "file handles grow"
        assert warm[-1][3] <= warm[0][3] + 5, "threads grow"
