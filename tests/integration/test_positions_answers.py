"""Bad positions answers, many and mixed, through the real client, the real adapter and the real reconciler.

Nothing waits for quiet or for a second answer here: one wrong answer that is believed is a break at once, or closes one.
The account holds what the books have, and a transfer that they know nothing of: so there is something to open, something to
change and something to close.
"""

import asyncio
import random
import time
from collections import Counter

import pytest

from engine.broker.connection import Backoff
from engine.desk import reconciler
from engine.errors import BrokerUnavailable
from tests.integration.engine_kit import (
    AAPL,
    chosen,
    desk,
    equal_to,
    figures,
    flushed,
    gateway,
    online,
    running,
    trading,
    until,
)

pytestmark = pytest.mark.client

TIMEOUT_S = 0.35
SHOWN = [
    "break_id",
    "state",
    "quantity",
    "residual",
    "broker_qty",
    "books_qty",
    "first_seen",
    "last_changed",
    "episode",
]


@pytest.fixture(autouse=True)
def no_reset_window(monkeypatch):
    """Breaks are confirmed at once at any hour, also while IB resets its servers."""
    monkeypatch.setattr(reconciler, "reset_window", lambda *_: None)


def spoiled(dice):
    """One way in which the coming answers are wrong: a fault of the desk, and whether the connection is cut besides."""
    rows = dice.randrange(4)
    late_s = TIMEOUT_S * dice.choice((0.5, 1.02, 1.3, 2.2))
    times = dice.choice((1, 1, 2, 3))
    return dice.choice(
        (
            ("empty_positions", {"times": times}, False),
            ("empty_positions", {"times": times, "account": "DU1"}, False),
            ("failing_positions", {"times": times}, False),
            ("hanging_positions", {"times": 1, "rows": rows}, False),
            ("partial_positions", {"times": times, "rows": rows}, False),
            ("partial_positions", {"times": times, "rows": rows % 3, "account": "DU1"}, False),
            ("late_positions", {"times": 1, "rows": rows, "delay_s": late_s}, False),
            ("twice_ended_positions", {"times": times, "delay_s": dice.choice((0.0, 0.02, 0.06, 0.2))}, False),
            ("hanging_positions", {"times": 1, "rows": rows}, True),
        )
    )


async def answered(engine, *, cut, host):
    """Reconcile; returns what came of it."""
    asking = asyncio.create_task(engine.portfolio_manager.reconcile_positions())
    if cut:
        requests = engine._broker._session.requests
        await until(lambda: requests.asking("positions") or asking.done())
        await desk(host, "cut_connection")
    try:
        async with asyncio.timeout(60):
            table = await asking
    except BrokerUnavailable:
        return "unknown"
    return "partly known" if "unavailable" in set(table["status"]) else "whole after all"


def state(engine):
    """Everything that an answer could have changed."""
    pm = engine.portfolio_manager
    breaks = pm.breaks(open_only=False)
    assert len(breaks) == 1
    return figures(pm.positions()), breaks[SHOWN].to_dict("records"), pm.assignments().to_dict("records")


async def play(folder, count, seed):
    """Let so many answers go wrong, one after the other, and look after each of them."""
    dice = random.Random(seed)
    came, longest_s = Counter(), 0.0
    with gateway() as host:
        settings = chosen(folder, host.port, settle_s=0.0, confirm_runs=1, ib_timeout_s=10.0, ib_client_id=0)
        async with running(settings) as engine:
            await online(engine)
            broker, pm = engine._broker, engine.portfolio_manager
            broker._backoff, broker._pause_s = Backoff(0.05, 0.2), 0.05
            queue = engine.strategy_manager.message_queue
            async with trading(host.port, "CALM", 11, queue=queue) as trader:
                trader.market(await trader.contract(AAPL), 10)
                await trader.done()
            async with trading(host.port, "CALM", 11, account="DU2", queue=queue) as trader:
                trader.market(await trader.contract(AAPL), -4)
                await trader.done()
            await equal_to(host, engine)
            await desk(host, "transfer", symbol="MSFT", quantity=50, account="DU1")
            await until(
                lambda: len(broker.accounts.shown("DU1")) == 2 and broker.accounts.shown("DU2"), "portfolio rows"
            )
            while pm.breaks()["state"].tolist() not in (["confirmed"], ["explained"]):
                await pm.reconcile_positions()
            await flushed(pm.room)
            before = state(engine)
            # The link's own loops replay executions under the same limit: it is short for positions alone.
            for number in range(count):
                name, parameters, cut = spoiled(dice)
                await online(engine)
                session = await until(lambda: broker._session)
                session.requests._timeout_s = TIMEOUT_S
                await desk(host, name, **parameters)
                began = time.monotonic()
                outcome = await answered(engine, cut=cut, host=host)
                longest_s = max(longest_s, time.monotonic() - began)
                came[name + (" and cut" if cut else ""), outcome] += 1
                assert state(engine) == before, (number, name, parameters, outcome)
            await desk(host, "clear_positions")
            await the_world_goes_on(host, engine)
    for (name, outcome), times in sorted(came.items()):
        print(f"{name}: {outcome} {times} times")
    print(f"{count} answers, the longest reconciliation took {longest_s:.2f} s")
    return came


async def the_world_goes_on(host, engine):
    """After all of it a good answer counts: it closes the break that has gone, and opens one that came."""
    pm = engine.portfolio_manager
    await desk(host, "transfer", symbol="MSFT", quantity=-50, account="DU1")
    await desk(host, "transfer", symbol="AAPL", quantity=1, account="DU2")

    async def seen():
        await online(engine)
        engine._broker._session.requests._timeout_s = 10.0
        try:
            await pm.reconcile_positions()
        except BrokerUnavailable:
            return False
        return True

    end = time.monotonic() + 60
    while not (await seen() and pm.breaks()["break_id"].tolist() == [f"DU2:{AAPL}"]):
        assert time.monotonic() < end, pm.breaks(open_only=False).to_string()
    assert pm.breaks()["quantity"].tolist() == [1.0]


async def test_bad_positions_answers_change_no_book_and_open_and_close_nothing_r3_r26_f119_f120_f124_f127(tmp_path):
    came = await play(tmp_path, 60, 11)
    assert {outcome for _, outcome in came} >= {"unknown", "whole after all"}


@pytest.mark.soak
@pytest.mark.timeout(3000)
async def test_a_thousand_bad_positions_answers_change_no_book_and_open_and_close_nothing(tmp_path):
    came = await play(tmp_path, 1000, 12)
    assert len({name for name, _ in came}) == 7
