"""The peer of figure C: NautilusTrader's ``ExecutionEngine.process`` over the same trades, apart from us.

Run by ``tests.benchmarks.books`` as a program of its own, ``PYTHON -m tests.benchmarks.peer FILLS``. PYTHON is what the
variable ``BENCH_PEER_PYTHON`` names, else ours; without NautilusTrader in it there is no peer. What it needs it gets
beforehand and untimed: instruments, a margin account, and every order, submitted and accepted. Timed are the executions
alone, each with its commission. It keeps positions in fixed precision and makes no rows; no portfolio listens to it.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.trades import INSTRUMENTS, STRATEGIES, trade_of

PYTHON = "BENCH_PEER_PYTHON"


def speed(fills: int) -> float | None:
    """Executions a second of CPU time in a fresh process; ``None`` without NautilusTrader."""
    python = os.environ.get(PYTHON, sys.executable)
    top = Path(__file__).parents[2]
    done = subprocess.run(
        [python, "-m", "tests.benchmarks.peer", str(fills)], cwd=top, capture_output=True, text=True, check=False
    )
    if done.returncode:
        assert "No module named 'nautilus_trader'" in done.stderr, done.stderr
        return None
    return float(json.loads(done.stdout.splitlines()[-1])["per_s"])


def _engine(fills: int) -> tuple[Any, Any, list[Any]]:
    """The peer's engine, its cache with every order, and the executions to come."""
    from nautilus_trader.cache.cache import Cache
    from nautilus_trader.common.component import MessageBus, TestClock
    from nautilus_trader.common.factories import OrderFactory
    from nautilus_trader.core.uuid import UUID4
    from nautilus_trader.execution.engine import ExecutionEngine
    from nautilus_trader.model import enums, identifiers, objects
    from nautilus_trader.model.currencies import USD
    from nautilus_trader.model.events import OrderFilled
    from nautilus_trader.test_kit.providers import TestInstrumentProvider
    from nautilus_trader.test_kit.stubs.events import TestEventStubs
    from nautilus_trader.test_kit.stubs.execution import TestExecStubs

    clock, trader, cache = TestClock(), identifiers.TraderId("T-1"), Cache()
    engine = ExecutionEngine(msgbus=MessageBus(trader_id=trader, clock=clock), cache=cache, clock=clock)
    account = identifiers.AccountId("XNAS-1")
    cache.add_account(TestExecStubs.margin_account(account_id=account))
    traded = [TestInstrumentProvider.equity(symbol=f"S{i}", venue="XNAS") for i in range(INSTRUMENTS)]
    for instrument in traded:
        cache.add_instrument(instrument)
    factories = [
        OrderFactory(trader_id=trader, strategy_id=identifiers.StrategyId(f"S-{s}"), clock=clock)
        for s in range(STRATEGIES)
    ]
    events = []
    for number in range(fills):
        strategy, place, quantity, price = trade_of(number)
        side = enums.OrderSide.BUY if quantity > 0 else enums.OrderSide.SELL
        order = factories[strategy].market(traded[place].id, side, objects.Quantity.from_int(abs(quantity)))
        venue_id = identifiers.VenueOrderId(str(number))
        cache.add_order(order)
        for event in (
            TestEventStubs.order_submitted(order, account_id=account),
            TestEventStubs.order_accepted(order, account_id=account, venue_order_id=venue_id),
        ):
            order.apply(event)
            cache.update_order(order)
        events.append(
            OrderFilled(
                trader_id=trader,
                strategy_id=order.strategy_id,
                instrument_id=order.instrument_id,
                client_order_id=order.client_order_id,
                venue_order_id=venue_id,
                account_id=account,
                trade_id=identifiers.TradeId(f"t{number}"),
                position_id=None,
                order_side=side,
                order_type=order.order_type,
                last_qty=order.quantity,
                last_px=objects.Price.from_str(price),
                currency=USD,
                commission=objects.Money(1.05, USD),
                liquidity_side=enums.LiquiditySide.TAKER,
                event_id=UUID4(),
                ts_event=number,
                ts_init=number,
            )
        )
    return engine, cache, events


def main() -> None:
    fills = int(sys.argv[1])
    engine, _, events = _engine(min(fills, 1000))
    for event in events:  # the warm-up
        engine.process(event)
    engine, cache, events = _engine(fills)
    gc.collect()
    started = time.process_time()
    for event in events:
        engine.process(event)
    taken = time.process_time() - started
    assert len(cache.positions()) == min(fills, STRATEGIES * INSTRUMENTS), "it books one position a strategy and share"
    assert cache.orders_closed_count() == fills, "every order is filled"
    print(json.dumps({"per_s": fills / taken}))


if __name__ == "__main__":
    main()
