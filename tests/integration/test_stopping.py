"""Ends that meet work: threads that put while the engine stops, and stops in the middle of batches."""

import asyncio
import threading

from engine.app import Engine
from engine.portfolio_manager import PortfolioManager
from tests.integration.engine_kit import chosen, flushed, running
from tests.integration.kill_child import own_fill

THREADS = 6


async def test_what_was_put_while_the_engine_stopped_is_refused_or_booked_and_never_in_between(tmp_path):
    settings = chosen(tmp_path / "data")
    engine = Engine(settings)
    await engine.start()
    queue = engine.strategy_manager.message_queue
    accepted, errors, warm = [[] for _ in range(THREADS)], [], threading.Barrier(THREADS + 1)

    def strategy(number):
        try:
            for count in range(1_000_000):
                if count == 20:
                    warm.wait(60)
                exec_id = f"0000cccc.{number:08x}.{count:08x}.01"
                trade, fill = own_fill(exec_id, 1, 50.0)
                queue.put({"type": "fill", "strategy": f"S{number}", "trade": trade, "fill": fill})
                accepted[number].append(exec_id)
        except RuntimeError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=strategy, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(warm.wait, 60)
    async with asyncio.timeout(120):
        await engine.stop()
    for thread in threads:
        await asyncio.to_thread(thread.join, 60)
    assert errors == ["the engine has stopped; this message was not accepted"] * THREADS
    async with running(settings) as again:
        await flushed(again.room)
        pm = again.portfolio_manager
        assert sorted(pm.fills()["fill_id"]) == sorted(exec_id for each in accepted for exec_id in each)
        assert pm.verify().empty


async def test_an_act_whose_facts_come_after_the_books_thread_has_ended_returns_and_is_booked_at_the_next_start(
    tmp_path,
):
    """Between the end of the books' thread and the journal's, facts still become durable; nobody may wait for ever."""
    settings = chosen(tmp_path / "data")
    pm = await PortfolioManager.open(settings)
    await asyncio.to_thread(pm.room.keeper.stop)
    trade, fill = own_fill("0000cccc.00000000.00000001.01", 1, 50.0)
    async with asyncio.timeout(60):
        await pm.process_fill("LATE", trade, fill)
        await pm.close()
    pm = await PortfolioManager.open(settings)
    assert list(pm.fills(strategy="LATE")["fill_id"]) == ["0000cccc.00000000.00000001.01"]
    await pm.close()


async def test_a_thread_that_joins_the_queue_does_not_wait_for_books_that_have_ended(tmp_path):
    engine = Engine(chosen(tmp_path / "data"))
    await engine.start()
    await asyncio.to_thread(engine.room.keeper.stop)
    queue = engine.strategy_manager.message_queue
    trade, fill = own_fill("0000cccc.00000000.00000001.01", 1, 50.0)
    queue.put({"type": "fill", "strategy": "LATE", "trade": trade, "fill": fill})
    joined = threading.Thread(target=queue.join, daemon=True)
    joined.start()
    await asyncio.to_thread(joined.join, 60)
    assert not joined.is_alive()
    await engine.stop()


async def test_a_stop_in_the_middle_of_a_batch_leaves_the_rest_to_the_next_start(tmp_path, monkeypatch):
    settings = chosen(tmp_path / "data")
    engine = Engine(settings)
    await engine.start()
    store, entered, stored = engine.room.store, threading.Event(), []
    append = store.append

    def slow(library, symbol, *rest):
        if library == "fills" and stored:
            entered.set()
            engine.room.writer._stopping.wait(60)
        append(library, symbol, *rest)
        stored.append(symbol)

    monkeypatch.setattr(store, "append", slow)
    for number in range(30):
        trade, fill = own_fill(f"0000cccc.00000000.{number:08x}.01", 1, 50.0)
        message = {"type": "fill", "strategy": f"S{number % 3}", "trade": trade, "fill": fill}
        engine.strategy_manager.message_queue.put(message)
    assert await asyncio.to_thread(entered.wait, 60)
    async with asyncio.timeout(120):
        await engine.stop()
    async with running(settings) as again:
        await flushed(again.room)
        frames = [again.room.store.read("fills", f"S{number}") for number in range(3)]
        assert [len(frame) for frame in frames] == [frame["fill_id"].nunique() for frame in frames] == [10, 10, 10]
        assert again.portfolio_manager.verify().empty
