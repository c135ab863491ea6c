"""Messages as a strategy puts them: real objects of the installed IB client library."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from engine.pipeline.room import BookRoom
from engine.strategy_manager import MessageQueue
from tests.benchmarks.kit import ACCOUNT, EPOCH
from tests.benchmarks.trades import INSTRUMENTS, STRATEGIES, trade_of


def maker() -> Callable[[int], tuple[dict[str, Any], dict[str, Any]]]:
    """Makes a trade's two messages from its number: the fill with its commission report, and the order's final status."""
    try:
        import ib_insync as ib
    except ImportError:
        import ib_async as ib  # type: ignore[no-redef]

    contracts = [
        ib.Stock(conId=1000 + i, symbol=f"S{i}", exchange="SMART", currency="USD", localSymbol=f"S{i}")
        for i in range(INSTRUMENTS)
    ]

    def pair(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        strategy, instrument, signed, price = trade_of(number)
        exec_id, at, shares = f"0000e0d5.{number:08x}.01.01", EPOCH + timedelta(milliseconds=number), abs(signed)
        buy = signed > 0
        order = ib.Order(
            orderId=number + 1,
            clientId=1,
            permId=number + 1,
            action="BUY" if buy else "SELL",
            totalQuantity=shares,
            orderType="MKT",
            account=ACCOUNT,
            orderRef=f"S{strategy}",
        )
        status = ib.OrderStatus(
            orderId=number + 1,
            status="Filled",
            filled=shares,
            remaining=0,
            avgFillPrice=float(price),
            permId=number + 1,
        )
        execution = ib.Execution(
            execId=exec_id,
            time=at,
            acctNumber=ACCOUNT,
            exchange="SMART",
            side="BOT" if buy else "SLD",
            shares=float(shares),
            price=float(price),
            permId=number + 1,
            clientId=1,
            orderId=number + 1,
            cumQty=float(shares),
            avgPrice=float(price),
            orderRef=f"S{strategy}",
        )
        report = ib.CommissionReport(execId=exec_id, commission=1.05, currency="USD")
        fill = ib.Fill(contracts[instrument], execution, report, at)
        trade = ib.Trade(contracts[instrument], order, status, [fill], [])
        name = f"S{strategy}"
        return (
            {"type": "fill", "strategy": name, "trade": trade, "fill": fill},
            {"type": "status_change", "strategy": name, "trade": trade, "status": "Filled"},
        )

    return pair


def messages(first: int, count: int) -> list[list[dict[str, Any]]]:
    """Per strategy, in order: the messages of ``count`` trades."""
    pair = maker()
    found: list[list[dict[str, Any]]] = [[] for _ in range(STRATEGIES)]
    for number in range(first, first + count):
        found[trade_of(number)[0]] += pair(number)
    return found


def queue_of(room: BookRoom) -> MessageQueue:
    """The engine's own queue on that room."""
    return MessageQueue(room.intake, room.keeper, room.clock)


def put_all(queue: MessageQueue, work: list[list[dict[str, Any]]]) -> list[threading.Thread]:
    """Start one thread per strategy that puts its messages as fast as it can."""

    def put(mine: list[dict[str, Any]]) -> None:
        for message in mine:
            queue.put(message)

    threads = [threading.Thread(target=put, args=(mine,)) for mine in work]
    for thread in threads:
        thread.start()
    return threads
