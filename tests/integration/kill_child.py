"""A process that runs an engine under load and is killed: ``python -m tests.integration.kill_child FOLDER PORT``.

It trades through a client of its own, reports on the queue, and books executions of a feed of its own through
``process_fill``. Every event that was acknowledged is written to ``FOLDER/accepted`` first thing after the answer; what
stands there must be in the books for ever, whenever the process dies.
"""

import asyncio
import itertools
import os
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from tests.integration.engine_kit import AAPL, chosen, running, trading

REF = "DIRECT"


def own_fill(exec_id: str, quantity: int, price: float):
    """Objects of the client's shape for an execution that only this process knows."""
    contract = SimpleNamespace(
        conId=76792991,
        symbol="TSLA",
        secType="STK",
        currency="USD",
        exchange="SMART",
        primaryExchange="NASDAQ",
        localSymbol="TSLA",
        multiplier="",
        tradingClass="NMS",
        lastTradeDateOrContractMonth="",
        strike=0.0,
        right="",
    )
    execution = SimpleNamespace(
        execId=exec_id,
        time=datetime.now(UTC),
        acctNumber="DU2",
        exchange="NASDAQ",
        side="BOT" if quantity > 0 else "SLD",
        shares=float(abs(quantity)),
        price=price,
        permId=7,
        clientId=77,
        orderId=7,
        liquidation=0,
        cumQty=0.0,
        avgPrice=price,
        orderRef=REF,
        evRule="",
        evMultiplier=0.0,
        modelCode="",
        lastLiquidity=1,
    )
    order = SimpleNamespace(
        orderId=7, clientId=77, permId=7, orderRef=REF, account="DU2", action="BUY", totalQuantity=1.0, orderType="MKT"
    )
    status = SimpleNamespace(status="Submitted", filled=0.0, remaining=1.0, avgFillPrice=0.0, permId=7, whyHeld="")
    trade = SimpleNamespace(contract=contract, order=order, orderStatus=status, fills=[], log=[])
    fill = SimpleNamespace(contract=contract, execution=execution, commissionReport=None, time=execution.time)
    return trade, fill


async def direct(engine, accepted) -> None:
    """Book executions through ``process_fill`` and note every acknowledgement."""
    for number in itertools.count():
        name = f"{os.getpid():08x}.{number:08x}"
        quantity = 1 + number % 5
        trade, fill = own_fill(f"0000dddd.{name}.01.01", quantity, 100.25 + number)
        await engine.portfolio_manager.process_fill(REF, trade, fill)
        if number % 3 == 0:
            await engine.portfolio_manager.record_status_change(REF, trade, "Submitted")
        os.write(accepted, f"{name} {quantity}\n".encode())
        await asyncio.sleep(0.004)


async def orders(port: int, engine) -> None:
    """Trade as two strategies, now and then with a limit that rests."""
    dice = random.Random(os.getpid())
    queue = engine.strategy_manager.message_queue
    async with trading(port, "LEFT", 11, queue=queue) as left, trading(port, "RIGHT", 12, queue=queue) as right:
        apple = await left.contract(AAPL)
        while True:
            left.market(apple, dice.choice((-4, -1, 2, 5)))
            right.market(apple, dice.choice((-3, 1, 7)))
            await asyncio.sleep(0.02)


async def main(folder: Path, port: int) -> None:
    accepted = os.open(folder / "accepted", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with running(chosen(folder / "data", port, reconcile_every_s=1.0)) as engine:
        print("running", flush=True)
        async with asyncio.TaskGroup() as load:
            load.create_task(direct(engine, accepted))
            load.create_task(orders(port, engine))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
