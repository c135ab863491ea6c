"""What goes wrong around the engine, one thing at a time, on real parts: nothing lost, nothing doubled, and it is said."""

import asyncio
import random
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from engine.errors import StorageError, StoreUnavailable
from engine.pipeline.outbox import Outbox
from engine.portfolio_manager import PortfolioManager
from engine.storage import open_store
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
    stored_books,
    stored_executions,
    trading,
    until,
)
from tests.integration.kill_child import REF, own_fill


async def book(manager, first, count, ref=REF):
    """Book executions of which only this process knows, one after the other."""
    for number in range(first, first + count):
        trade, fill = own_fill(f"0000dddd.00000000.{number:08x}.01.01", 1 + number % 5, 100.25 + number)
        await manager.process_fill(ref, trade, fill)


def wanted(count):
    return sum(1 + number % 5 for number in range(count))


async def holds(engine, count):
    """Wait until store and books have these executions and agree."""
    pm = engine.portfolio_manager
    await flushed(pm.room)
    assert len(pm.fills(strategy=REF)) == count
    assert len(stored_executions(engine.settings)) == count
    assert by_book(pm.positions()) == stored_books(engine.settings)
    assert float(pm.positions(strategy=REF)["qty"].sum()) == wanted(count)
    assert pm.verify().empty


# ------------------------------------------------------------------------------------------------------- IB


async def test_an_engine_that_starts_without_ib_says_so_and_finds_it_when_it_comes(tmp_path):
    with gateway() as host:
        port = host.port
    settings = chosen(tmp_path / "data", port)
    async with running(settings) as engine:
        assert engine.broker_state().state == "unavailable"
        assert any("IB unavailable since" in text for text in engine.health()["problems"])
        assert engine.square()["ok"] is None
        await book(engine.portfolio_manager, 0, 5)
        await holds(engine, 5)
        with gateway(port=port) as host:
            await online(engine)
            async with trading(port, "LATER", 11, queue=engine.strategy_manager.message_queue) as trader:
                trader.market(await trader.contract(AAPL), 10)
                await trader.done()
            await until(lambda: by_book(engine.portfolio_manager.positions()).get(("LATER", "DU1", AAPL)) == 10)


def uncorrected(host):
    """The newest execution that has not been corrected yet."""
    taken = {done.exec_id.rpartition(".")[0] for done in host.gateway.executions() if done.superseded}
    return next(
        done.exec_id for done in reversed(host.gateway.executions()) if done.exec_id.rpartition(".")[0] not in taken
    )


async def cut_again_and_again(folder, count, seed):
    """Trade while the sockets are cut in the middle of messages, over and over."""
    dice = random.Random(seed)
    with gateway() as host:
        async with running(chosen(folder, host.port)) as engine:
            queue = engine.strategy_manager.message_queue
            for number in range(count):
                async with trading(host.port, "TORN", 11, queue=queue) as trader:
                    apple = await trader.contract(AAPL)
                    for _ in range(dice.randrange(1, 6)):
                        trader.market(apple, dice.choice((-3, 2, 5)))
                    for _ in range(dice.randrange(0, 8)):
                        await asyncio.sleep(0)
                    if number % 3 == 0 and host.gateway.executions():
                        await desk(host, "correction", exec_id=uncorrected(host))
                    await desk(host, "cut_connection", client_id=-1, mid_message=bool(number % 2))
                await online(engine)
            await asked_again(engine)
            await equal_to(host, engine)
            table = await engine.portfolio_manager.reconcile_positions()
            assert set(table["status"]) == {"matched"}
            assert engine.portfolio_manager.verify().empty


async def test_connections_cut_in_the_middle_of_messages_lose_and_double_nothing(tmp_path):
    await cut_again_and_again(tmp_path, 12, 5)


@pytest.mark.soak
async def test_a_hundred_cut_connections_lose_and_double_nothing(tmp_path):
    await cut_again_and_again(tmp_path, 100, 6)


@pytest.mark.parametrize("code", [1101, 1102])
async def test_fills_while_ib_is_cut_off_are_there_when_it_is_back_and_make_no_break_r1(tmp_path, code):
    with gateway() as host:
        async with running(chosen(tmp_path, host.port)) as engine:
            pm, queue = engine.portfolio_manager, engine.strategy_manager.message_queue
            async with trading(host.port, "FLIGHT", 11, queue=queue) as trader:
                apple = await trader.contract(AAPL)
                trader.market(apple, 10)
                await trader.done()
                await equal_to(host, engine)
                await pm.reconcile_positions()
                await desk(host, "connectivity", code=1100, hold=True)
                await until(lambda: engine.broker_state().state != "connected", engine.broker_state)
                for _ in range(4):
                    trader.market(apple, 5)
                await until(lambda: len(host.gateway.executions()) == 5, "executions at the gateway")
                assert pm.breaks().empty
                await desk(host, "connectivity", code=code)
                await online(engine)
                await equal_to(host, engine)
            table = await pm.reconcile_positions()
            assert set(table["status"]) == {"matched"}
            assert by_book(pm.positions()) == {("FLIGHT", "DU1", AAPL): 30}


async def test_a_fill_that_no_message_told_of_books_itself_at_the_next_reconciliation_r23(tmp_path):
    with gateway() as host:
        async with running(chosen(tmp_path, host.port)) as engine:
            pm = engine.portfolio_manager
            async with trading(host.port, "TOLD", 11, queue=engine.strategy_manager.message_queue) as trader:
                trader.market(await trader.contract(AAPL), 10)
                await trader.done()
                await equal_to(host, engine)
            await desk(host, "other_client_fill", symbol="AAPL", quantity=7, client_id=11, order_ref="TOLD")
            await pm.reconcile_positions()
            await equal_to(host, engine)
            table = await pm.reconcile_positions()
            assert set(table["status"]) == {"matched"}
            assert pm.breaks().empty


# ---------------------------------------------------------------------------------------------------- store


async def test_a_store_that_refuses_for_a_while_is_said_and_caught_up_in_order(tmp_path):
    async with running(chosen(tmp_path)) as engine:
        pm, store = engine.portfolio_manager, engine.room.store
        await book(pm, 0, 5)
        await holds(engine, 5)
        append = store.append

        def refuse(*_args, **_values):
            raise StoreUnavailable("the disk is full")

        store.append = refuse
        await book(pm, 5, 40)
        await until(lambda: engine.room.writer.state == "unavailable")
        health = engine.health()
        assert not health["ok"]
        assert any("the disk is full" in text for text in health["problems"])
        await until(lambda: any("the disk is full" in alert["text"] for alert in engine.alerts()), engine.alerts)
        assert len(pm.fills(strategy=REF)) == 45
        store.append = append
        await until(lambda: engine.health()["ok"], engine.health)
        await holds(engine, 45)
        stored = open_store(engine.settings.arctic_location, read_only=True)
        seqs = stored.read("fills", REF)["seq"].tolist()
        stored.close()
        assert seqs == sorted(seqs)


def written_again(settings, count):
    try:
        return len(stored_executions(settings)) == count
    except StoreUnavailable:
        return False


async def test_a_store_that_is_deleted_under_the_engine_is_noticed_and_written_again(tmp_path):
    settings = chosen(tmp_path / "data")
    async with running(settings) as engine:
        await book(engine.portfolio_manager, 0, 8)
        await holds(engine, 8)
    async with running(settings) as engine:  # nothing of what the store holds was written by this process
        pm = engine.portfolio_manager
        before = figures(pm.positions())
        shutil.rmtree(Path(settings.data_dir) / "arctic")
        await until(lambda: written_again(settings, 8), "the store")  # though nothing new was booked
        await book(pm, 8, 8)
        await holds(engine, 16)
        await until(lambda: engine.health()["ok"], engine.health)
    async with running(settings) as engine:
        assert figures(engine.portfolio_manager.positions()) != before
        await holds(engine, 16)


async def test_a_store_that_is_deleted_while_rows_wait_for_it_gets_each_of_them_once(tmp_path):
    settings = chosen(tmp_path / "data")
    async with running(settings) as engine:
        pm, store = engine.portfolio_manager, engine.room.store
        await book(pm, 0, 10)
        await holds(engine, 10)
        append = store.append

        def refuse(*_args, **_values):
            raise StoreUnavailable("gone")

        store.append = refuse
        await book(pm, 10, 10)
        await until(lambda: engine.room.writer.state == "unavailable")
        shutil.rmtree(Path(settings.data_dir) / "arctic")
        store.append = append
        await book(pm, 20, 5)
        await holds(engine, 25)
        stored = open_store(settings.arctic_location, read_only=True)
        frame = stored.read("fills", REF)
        stored.close()
        assert Counter(frame["fill_id"]).most_common(1)[0][1] == 1
        assert len(frame) == 25


async def test_a_lost_data_directory_is_rebuilt_from_the_store_alone(tmp_path):
    settings = chosen(tmp_path / "data", arctic_uri=f"lmdb://{tmp_path / 'books'}")
    with gateway() as host:
        connected = chosen(tmp_path / "data", host.port, arctic_uri=settings.arctic_uri)
        async with running(connected) as engine:
            async with trading(host.port, "KEPT", 11, queue=engine.strategy_manager.message_queue) as trader:
                apple = await trader.contract(AAPL)
                for quantity in (10, -4, 7):
                    trader.market(apple, quantity)
                await trader.done()
            await desk(host, "correction")
            await asked_again(engine)
            await equal_to(host, engine)
            before = figures(engine.portfolio_manager.positions())
        shutil.rmtree(tmp_path / "data")
        async with running(settings) as engine:
            assert engine.room.origin == "store"
            assert any("rebuilt from ArcticDB alone" in text for text in engine.health()["problems"])
            assert figures(engine.portfolio_manager.positions()) == before
            assert engine.portfolio_manager.verify().empty
        async with running(connected) as engine:
            await online(engine)
            await equal_to(host, engine)
            assert figures(engine.portfolio_manager.positions()) == before


async def test_a_damaged_checkpoint_costs_nothing(tmp_path):
    settings = chosen(tmp_path / "data")
    async with running(settings) as engine:
        await book(engine.portfolio_manager, 0, 20)
        await holds(engine, 20)
    database = sqlite3.connect(Path(settings.data_dir) / "journal.sqlite")
    tables = [name for (name,) in database.execute("select name from sqlite_master where type='table'")]
    table = next(name for name in tables if "checkpoint" in name)
    assert database.execute(f"update {table} set blob = x'00'").rowcount
    database.commit()
    database.close()
    async with running(settings) as engine:
        await holds(engine, 20)
        await book(engine.portfolio_manager, 20, 5)
        await holds(engine, 25)


async def test_verify_finds_a_cent_that_somebody_added_to_a_stored_position(tmp_path):
    import arcticdb

    settings = chosen(tmp_path / "data")
    async with running(settings) as engine:
        await book(engine.portfolio_manager, 0, 6)
        await holds(engine, 6)
        library = engine.room.store.handle.library("positions")
        assert isinstance(library, arcticdb.version_store.library.Library)
        item = library.read(REF)
        frame = item.data
        frame["avg_cost"] += 0.01
        library.write(REF, frame, metadata=item.metadata)
        found = engine.portfolio_manager.verify()
        assert found["field"].tolist() == ["avg_cost"]
        assert found["strategy"].tolist() == [REF]
        assert abs(found["difference"].iloc[0] - 0.01) < 1e-9


# -------------------------------------------------------------------------------------------------- journal


async def test_a_journal_whose_disk_refuses_keeps_what_was_put_and_refuses_what_waits_for_an_answer(tmp_path):
    async with running(chosen(tmp_path)) as engine:
        pm, file = engine.portfolio_manager, engine.room.journal._file
        append = file.append

        def full(_row):
            raise sqlite3.OperationalError("database or disk is full")

        file.append = full
        for number in range(10):
            trade, fill = own_fill(f"0000dddd.00000000.{number:08x}.01.01", 1 + number % 5, 100.25)
            engine.strategy_manager.message_queue.put({"type": "fill", "strategy": REF, "trade": trade, "fill": fill})
        trade, fill = own_fill("0000dddd.00000000.0000ffff.01.01", 1, 100.25)
        with pytest.raises(StorageError, match="disk is full"):
            await pm.process_fill(REF, trade, fill)
        await until(lambda: not engine.health()["ok"])
        assert any("journal cannot be written" in text for text in engine.health()["problems"])
        assert len(pm.fills()) == 0
        file.append = append
        await until(lambda: len(pm.fills()) == 10, engine.health)
        await until(lambda: engine.health()["ok"], engine.health)
        await holds(engine, 10)


async def test_a_burst_beyond_what_may_wait_in_memory_waits_in_the_journal(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.pipeline.room.Outbox", lambda: Outbox(limit=50))
    async with running(chosen(tmp_path)) as engine:
        pm, store = engine.portfolio_manager, engine.room.store
        append = store.append

        def refuse(*_args, **_values):
            raise StoreUnavailable("away")

        store.append = refuse
        queue = engine.strategy_manager.message_queue
        for number in range(3_000):
            trade, fill = own_fill(f"0000dddd.00000000.{number:08x}.01.01", 1 + number % 5, 100.25)
            queue.put({"type": "fill", "strategy": REF, "trade": trade, "fill": fill})
        await until(lambda: engine.room.keeper.paused)
        await until(lambda: engine.room.journal.head >= 3_000)
        assert engine.room.keeper.backlog > 0
        assert any("paused" in text for text in engine.health()["problems"])
        trade, fill = own_fill("0000dddd.00000000.0000ffff.01.01", 1, 100.25)
        await pm.process_fill(REF, trade, fill)  # durable, though the books wait
        store.append = append
        await until(lambda: len(pm.fills(strategy=REF)) == 3_001, engine.health)
        await flushed(engine.room)
        assert len(stored_executions(engine.settings)) == 3_001
        assert pm.verify().empty


async def test_a_stop_while_the_store_takes_nothing_ends_and_the_next_start_catches_up(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.pipeline.room.Outbox", lambda: Outbox(limit=20))
    settings = chosen(tmp_path / "data")
    manager = await PortfolioManager.open(settings)

    def refuse(*_args, **_values):
        raise StoreUnavailable("away")

    await book(manager, 0, 10)
    manager.room.store.append = refuse
    await book(manager, 10, 90)
    await manager.close()
    async with running(settings) as engine:
        await holds(engine, 100)
