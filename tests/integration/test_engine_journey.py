"""The engine from a strategy's order to the stored row and back, on a real socket with a real client."""

import asyncio

import pandas as pd
import pytest

from engine.app import Engine
from engine.errors import AssignmentRefused, BrokerUnavailable, StoreLocked
from tests.integration.engine_kit import (
    AAPL,
    asked_again,
    by_book,
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


async def trade_three(host, engine):
    queue = engine.strategy_manager.message_queue
    async with (
        trading(host.port, "TORTOISE", 11, queue=queue) as tortoise,
        trading(host.port, "HARE", 12, queue=queue) as hare,
        trading(host.port, "ATLAS", 13, account="DU2", queue=queue) as atlas,
    ):
        apple = await tortoise.contract(AAPL)
        for trader, quantity in ((tortoise, 25), (hare, -25), (atlas, 7), (tortoise, 5), (atlas, -3)):
            trader.market(apple, quantity)
        for trader in (tortoise, hare, atlas):
            await trader.done()


async def test_strategies_that_trade_against_each_other_keep_books_of_their_own_although_the_broker_nets_r10(tmp_path):
    with gateway() as host:
        async with running(chosen(tmp_path, host.port)) as engine:
            await trade_three(host, engine)
            await equal_to(host, engine)
            books = by_book(engine.portfolio_manager.positions())
            assert books["TORTOISE", "DU1", AAPL] == 30
            assert books["HARE", "DU1", AAPL] == -25
            assert books["ATLAS", "DU2", AAPL] == 4
            table = await engine.portfolio_manager.reconcile_positions()
            assert set(table["status"]) <= {"matched"}
            assert engine.portfolio_manager.verify().empty
            assert engine.square()["ok"] is True
            assert engine.broker_state().heard_at is not None
            assert [row["state"] for row in engine.data_ages()] == ["confirmed"] * len(engine.broker_state().accounts)


async def test_a_restart_brings_the_same_books_to_the_last_digit_and_the_replay_books_nothing_twice(tmp_path):
    with gateway() as host:
        settings = chosen(tmp_path, host.port)
        async with running(settings) as engine:
            await trade_three(host, engine)
            await equal_to(host, engine)
            before = figures(engine.portfolio_manager.positions())
            fills = len(engine.portfolio_manager.fills())
        async with running(settings) as engine:
            await online(engine)
            await flushed(engine.room)
            assert figures(engine.portfolio_manager.positions()) == before
            assert len(engine.portfolio_manager.fills()) == fills
            assert engine.portfolio_manager.verify().empty
            await equal_to(host, engine)


async def test_fills_that_happened_while_the_engine_was_away_come_from_the_replay(tmp_path):
    with gateway() as host:
        settings = chosen(tmp_path, host.port)
        async with running(settings) as engine:
            await trade_three(host, engine)
            await equal_to(host, engine)
        async with trading(host.port, "TORTOISE", 11) as alone:
            alone.market(await alone.contract(AAPL), -12)
            await alone.done()
        async with running(settings) as engine:
            await online(engine)
            await equal_to(host, engine)


async def test_a_burst_of_a_thousand_market_orders_ends_exactly_alike_everywhere(tmp_path):
    with gateway() as host:
        settings = chosen(tmp_path, host.port)
        async with running(settings) as engine:
            queue = engine.strategy_manager.message_queue
            async with (
                trading(host.port, "BURST", 11, queue=queue) as one,
                trading(host.port, "CROWD", 12, account="DU2", queue=queue) as two,
            ):
                apple = await one.contract(AAPL)
                for number in range(500):
                    one.market(apple, 3 if number % 3 else -2)
                    two.market(apple, -1 if number % 2 else 4)
                await one.done()
                await two.done()
            assert len(host.gateway.executions()) == 1000
            await equal_to(host, engine)
            assert len(engine.portfolio_manager.fills()) == 1000
            assert engine.portfolio_manager.fees_pending().empty
            assert engine.portfolio_manager.verify().empty


async def test_a_manual_trade_is_a_break_until_it_is_assigned_and_again_when_that_is_reversed_r20(tmp_path):
    with gateway() as host:
        async with running(chosen(tmp_path, host.port, settle_s=0.0)) as engine:
            pm = engine.portfolio_manager
            await trade_three(host, engine)
            await equal_to(host, engine)
            before = figures(pm.positions())
            await desk(host, "manual_trade", symbol="AAPL", quantity=50)
            await asked_again(engine)
            await until(lambda: by_book(pm.positions()).get(("UNASSIGNED", "DU1", AAPL)) == 50)
            await pm.reconcile_positions()
            assert not engine.square()["ok"] or len(pm.breaks())
            preview = pm.preview_assignment("DU1", AAPL, {"TORTOISE": 30, "HARE": 20})
            assert not preview.empty
            made = await pm.assign_residual(
                "DU1", AAPL, {"TORTOISE": 30, "HARE": 20}, operator="ann", reason="bought by hand"
            )
            books = by_book(pm.positions())
            assert (books["TORTOISE", "DU1", AAPL], books["HARE", "DU1", AAPL]) == (60, -5)
            assert ("UNASSIGNED", "DU1", AAPL) not in books
            await pm.reconcile_positions()
            assert engine.square()["ok"] is True
            with pytest.raises(AssignmentRefused):
                await pm.assign_residual("DU1", AAPL, {"TORTOISE": 30, "HARE": 20}, operator="ann", reason="again")
            await pm.reverse_assignment(made.id, operator="ann", reason="a mistake")
            after = [row for row in figures(pm.positions()) if row["strategy"] != "UNASSIGNED"]
            assert after == before
            await flushed(pm.room)
            assert pm.verify().empty


async def test_an_unanswered_reconciliation_raises_and_changes_nothing_r3(tmp_path):
    with gateway() as host:
        async with running(chosen(tmp_path, host.port, ib_timeout_s=2.0)) as engine:
            pm = engine.portfolio_manager
            await trade_three(host, engine)
            await equal_to(host, engine)
            table = await pm.reconcile_positions()
            for fault in ("hanging_positions", "failing_positions"):
                await desk(host, fault, times=0)
                with pytest.raises(BrokerUnavailable):
                    await pm.reconcile_positions()
                pd.testing.assert_frame_equal(pm.portfolio(), table)
                assert pm.breaks().empty, fault
                await desk(host, "clear_positions")
            for fault in ("empty_positions", "partial_positions"):
                await desk(host, fault, times=1)
                again = await pm.reconcile_positions()
                assert set(again["status"]) == {"matched"}, fault
            assert engine.square()["ok"] is True


async def test_a_second_engine_on_the_same_store_is_refused_and_the_first_goes_on(tmp_path):
    settings = chosen(tmp_path / "one")
    async with running(settings) as engine:
        with pytest.raises(StoreLocked, match="another engine"):
            await Engine(settings).start()
        elsewhere = chosen(tmp_path / "two", arctic_uri=settings.arctic_location)
        with pytest.raises(StoreLocked, match="another engine"):
            await Engine(elsewhere).start()
        assert engine.health()["ok"]


def of_the_link(engine):
    return [
        (alert["text"], alert["cleared_at"] is None) for alert in engine.alerts() if alert["kind"] == "connection_lost"
    ]


async def test_a_start_is_no_alert_but_a_gateway_that_is_not_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.app._ALERTS_EVERY_S", 0.001)
    with gateway() as host:
        async with running(chosen(tmp_path, host.port)) as engine:
            await online(engine)
            await asyncio.sleep(0.1)
            assert of_the_link(engine) == []
            settings = engine.settings
    async with running(settings) as engine:
        await until(lambda: of_the_link(engine), engine.alerts)
        assert of_the_link(engine)[0][1], "it is told while nobody is there"
