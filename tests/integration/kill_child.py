"""A process that runs an engine under load and is killed: ``python -m tests.integration.kill_child FOLDER PORT``
(``unwritten`` behind it: it kills itself between a fill's ``put`` and its commit).

It trades through a client of its own, reports on the queue, and tells ``process_fill`` and ``record_status_change`` of
executions, corrections and statuses that nobody else knows. Each of these is written to ``FOLDER/offered`` before and to
``FOLDER/accepted`` after: what stands in the second must be in the books for ever, whenever the process dies, and nothing
may be there that does not stand in the first.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from tests.integration.engine_kit import AAPL, chosen, running, trading

REF = "DIRECT"


def own_fill(exec_id: str, quantity: int, price: float, *, at: str = "", perm_id: int = 7, fee: float | None = None):
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
        time=datetime.fromisoformat(at) if at else datetime.now(UTC),
        acctNumber="DU2",
        exchange="NASDAQ",
        side="BOT" if quantity > 0 else "SLD",
        shares=float(abs(quantity)),
        price=price,
        permId=perm_id,
        clientId=77,
        orderId=perm_id,
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
        orderId=perm_id, clientId=77, permId=perm_id, orderRef=REF, account="DU2",
        action="BUY" if quantity > 0 else "SELL", totalQuantity=float(abs(quantity)), orderType="MKT",
    )  # fmt: skip
    status = SimpleNamespace(
        status="Submitted", filled=0.0, remaining=order.totalQuantity, avgFillPrice=0.0, permId=perm_id, whyHeld=""
    )
    report = None if fee is None else SimpleNamespace(execId=exec_id, commission=fee, currency="USD", realizedPNL=0.0)
    trade = SimpleNamespace(contract=contract, order=order, orderStatus=status, fills=[], log=[])
    fill = SimpleNamespace(contract=contract, execution=execution, commissionReport=report, time=execution.time)
    return trade, fill


async def tell(manager, event) -> None:
    """Tell a manager one event of the feed; returns when it is accepted."""
    trade, fill = own_fill(**event["fill"])
    word = event["status"]
    if not word:
        await manager.process_fill(REF, trade, fill)
        return
    trade.orderStatus.status = word
    if word == "Filled":
        trade.orderStatus.filled, trade.orderStatus.remaining = trade.order.totalQuantity, 0.0
        trade.orderStatus.avgFillPrice = fill.execution.price
    await manager.record_status_change(REF, trade, word)


def story(number: int) -> list[dict]:
    """One order's life: submitted, executed (the fee comes with it or not), filled; every fourth execution is corrected."""
    perm_id = os.getpid() % 10_000 * 100_000 + number + 8
    quantity = (3, -1, 4, -2, 5, -7)[number % 6]
    fill = {
        "exec_id": f"0000dddd.{os.getpid():08x}.{number:08x}.01.01",
        "quantity": quantity,
        "price": 100.25 + number % 17 * 0.37,
        "at": datetime.now(UTC).isoformat(),
        "perm_id": perm_id,
        "fee": None if number % 3 == 0 else 0.35 + number % 5 * 0.07,
    }
    told = [{"status": "Submitted", "fill": fill}, {"status": "", "fill": fill}, {"status": "Filled", "fill": fill}]
    if number % 4 == 1:
        better = fill | {"exec_id": fill["exec_id"][:-2] + "02", "price": fill["price"] + 0.11, "fee": None}
        told.append({"status": "", "fill": better})
    return told


async def direct(engine, offered, accepted) -> None:
    """Tell the engine of one order after the other, and note every acknowledgement."""
    for number in itertools.count():
        for event in story(number):
            line = json.dumps(event).encode() + b"\n"
            os.write(offered, line)
            await tell(engine.portfolio_manager, event)
            os.write(accepted, line)
            await asyncio.sleep(0.002)


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


async def dies_unwritten(folder: Path, port: int) -> None:
    """Die after a fill's ``put`` has returned and before the journal writes it; what was put stands in ``FOLDER/put``."""
    returned = threading.Event()
    async with running(chosen(folder / "data", port, strategies="LEFT,RIGHT")) as engine:
        queue, file = engine.strategy_manager.message_queue, engine.room.journal._file
        append, put, armed = file.append, queue.put, threading.Event()

        def append_or_die(row):
            if armed.is_set():
                returned.wait()
                os.kill(os.getpid(), signal.SIGKILL)
            return append(row)

        def put_and_note(message):
            if message["type"] != "fill":
                put(message)
                return
            queue.join()  # what was put before is on disk, however slow the machine is
            file.append = append_or_die
            armed.set()
            put(message)
            (folder / "put").write_text(message["fill"].execution.execId)
            returned.set()

        queue.put = put_and_note
        async with trading(port, "LAST", 11, queue=queue) as trader:
            apple = await trader.contract(AAPL)
            print("running", flush=True)
            trader.market(apple, 6)
            await asyncio.sleep(60)


async def main(folder: Path, port: int) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    offered, accepted = os.open(folder / "offered", flags), os.open(folder / "accepted", flags)
    async with running(chosen(folder / "data", port, strategies="LEFT,RIGHT", reconcile_every_s=1.0)) as engine:
        print("running", flush=True)
        async with asyncio.TaskGroup() as load:
            load.create_task(direct(engine, offered, accepted))
            load.create_task(orders(port, engine))


if __name__ == "__main__":
    life = dies_unwritten if sys.argv[3:] == ["unwritten"] else main
    asyncio.run(life(Path(sys.argv[1]), int(sys.argv[2])))
