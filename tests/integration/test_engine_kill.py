"""SIGKILL at random moments: what was accepted is in the books exactly once, to the last digit, whenever it happens."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from engine.storage import open_store
from tests.integration.engine_kit import (
    asked_again,
    by_book,
    chosen,
    desk,
    equal_to,
    flushed,
    gateway,
    in_force,
    online,
    running,
    stored_books,
    truth,
    until,
)
from tests.integration.kill_child import REF, tell

ROOT = Path(__file__).resolve().parents[2]


def wait_for_line(child):
    """The child's first line, with a deadline for the whole."""
    timer = threading.Timer(150, child.kill)
    timer.start()
    try:
        return child.stdout.readline()
    finally:
        timer.cancel()


def start_child(folder, port, *mode):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.kill_child", str(folder), str(port), *mode],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def one_life(folder, port, lives_s, faults, host):
    """Start the child, let it work for a moment, kill it."""
    child = start_child(folder, port)
    try:
        started = await asyncio.to_thread(wait_for_line, child)
        assert started == "running\n", (started, child.stderr.read() if child.poll() is not None else "")
        for _ in range(faults):
            await asyncio.sleep(lives_s / (faults + 1))
            if host.gateway.executions():
                await desk(host, "correction", exec_id=newest(host))
        await asyncio.sleep(lives_s / (faults + 1))
        assert child.poll() is None, child.stderr.read()
    finally:
        child.kill()
        await asyncio.to_thread(child.communicate)


def newest(host):
    """An execution that was not corrected yet."""
    taken = {done.exec_id.rpartition(".")[0] for done in host.gateway.executions() if done.superseded}
    return next(
        done.exec_id for done in reversed(host.gateway.executions()) if done.exec_id.rpartition(".")[0] not in taken
    )


def noted(folder, name):
    """Events of the children's feed: what they told the engine (``offered``), what it confirmed (``accepted``)."""
    path = folder / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def name_of(event):
    """What identifies an event of the feed: an execution's id, or an order and its status."""
    return (event["fill"]["perm_id"], event["status"]) if event["status"] else event["fill"]["exec_id"]


def books(engine):
    """Everything exact that the books say, of every book, execution and order."""
    room = engine.room
    with room.lock:
        ledger = room.ledger
        positions = {
            (p.strategy, p.account, p.instrument_key): (
                p.quantity, p.open_cost, p.avg_cost, p.realized_pnl, p.fees, p.fees_pending, p.cash, p.fills, p.last_fill_at
            )
            for p in ledger.positions()
        }  # fmt: skip
        executions = {
            (f.fill.account, f.fill.exec_id): (
                f.strategy, f.state, f.quantity, f.unit_price, f.realized_pnl, f.commission, f.commission_currency
            )
            for f in ledger.fills()
        }  # fmt: skip
        orders = {
            (o.strategy, o.update.account, o.update.perm_id): (o.state, o.filled, o.avg_fill_price)
            for o in ledger.orders()
            if not o.is_open
        }
        told = {
            o.update.perm_id: [
                (step.status, step.state, step.filled, step.remaining) for step in ledger.timeline(o.order_key)
            ]
            for o in ledger.orders(strategy=REF)
        }
    return positions, executions, orders, told


async def uninterrupted(folder, host, events, wanted):
    """An engine that nobody kills, on an empty place, is told the same: by the gateway, and by the feed."""
    settings = chosen(folder, host.port, ib_client_id=41, strategies="LEFT,RIGHT")
    async with running(settings) as engine:
        await online(engine)
        for event in events:
            await tell(engine.portfolio_manager, event)
        await until(lambda: books(engine) == wanted, lambda: differing(books(engine), wanted))
    shutil.rmtree(folder)


def differing(found, wanted):
    """What is not the same, short enough to read."""
    return [
        (key, mine.get(key), other.get(key))
        for mine, other in zip(found, wanted, strict=True)
        for key in mine.keys() | other.keys()
        if mine.get(key) != other.get(key)
    ][:5]


def stored_rows(settings, library):
    """Rows of every strategy as another reader finds them."""
    store = open_store(settings.arctic_location, read_only=True)
    try:
        frames = [store.read(library, strategy).assign(strategy=strategy) for strategy in store.symbols(library)]
        return pd.concat(frames).to_dict("records") if frames else []  # killed before anything was stored
    finally:
        store.close()


def every_event_is_stored_once(folder, host, settings):
    """As many events are stored as were accepted; the one under way at a kill may be there, never twice."""
    offered, accepted = ({name_of(event) for event in noted(folder, name)} for name in ("offered", "accepted"))
    fills, orders = stored_rows(settings, "fills"), stored_rows(settings, "orders")
    rows = [(row["seq"], row["fill_id"], row["state"]) for row in fills]
    rows += [(row["seq"], row["strategy"], row["perm_id"]) for row in orders]
    twice = [row for row, count in Counter(rows).items() if count > 1]
    assert not twice, twice
    revisions = {row["fill_id"] for row in fills}
    at_gateway = {done.exec_id for done in host.gateway.executions() if not done.hidden}
    assert revisions - offered == at_gateway
    stored = offered & (revisions | {(int(row["perm_id"]), row["status"]) for row in orders})
    assert accepted <= stored, accepted - stored
    return stored


async def look(folder, host, settings, *, whole):
    """Open the books as the next start would; compare them to gateway, acknowledgements and a recount.

    Args:
        whole: Compare every figure with an uninterrupted run, too.
    """
    async with running(settings) as engine:
        await online(engine)
        pm = engine.portfolio_manager
        wanted = truth(host)

        def traded():
            return {key: quantity for key, quantity in by_book(pm.positions()).items() if key[0] != REF}

        def revisions():
            frame = pm.fills()
            return sorted(frame[frame["strategy"] != REF]["fill_id"])

        def complete():
            fees = pm.fills()
            return not len(fees[(fees["strategy"] != REF) & (fees["commission_status"] == "pending")])

        await until(lambda: (traded(), revisions()) == (wanted, in_force(host)), lambda: (traded(), wanted))
        while not complete():
            await asked_again(engine)
        await flushed(pm.room)
        differences = pm.verify()
        assert differences.empty, differences.to_string()
        assert stored_books(settings) == by_book(pm.positions())
        stored = every_event_is_stored_once(folder, host, settings)
        if whole:
            events = [event for event in noted(folder, "offered") if name_of(event) in stored]
            await uninterrupted(folder / "uninterrupted", host, events, books(engine))


async def kill_repeatedly(folder, count, dice, *, look_every, whole_every=1):
    with gateway(accounts=("DU1", "DU2"), state=folder / "gateway.json") as host:
        # Named, because a process may die before its first claim is on disk: then only the order reference tells whose.
        settings = chosen(folder / "data", host.port, strategies="LEFT,RIGHT")
        for number in range(1, count + 1):
            await one_life(folder, host.port, dice.uniform(0.0, 0.8), dice.choice((0, 0, 1)), host)
            if number % look_every == 0 or number == count:
                await look(folder, host, settings, whole=number % whole_every == 0 or number == count)
        assert len(noted(folder, "accepted")) > count
        assert host.gateway.executions()


async def test_an_engine_that_is_killed_under_load_again_and_again_has_every_accepted_event_exactly_once(tmp_path):
    await kill_repeatedly(tmp_path, 6, random.Random(1), look_every=2)


@pytest.mark.soak
async def test_two_hundred_kills_lose_and_double_nothing(tmp_path):
    await kill_repeatedly(tmp_path, 200, random.Random(2), look_every=1, whole_every=8)


async def test_a_fill_that_dies_between_put_and_the_journal_comes_back_from_ibs_replay_once(tmp_path):
    with gateway() as host:
        child = start_child(tmp_path, host.port, "unwritten")
        try:
            assert await asyncio.to_thread(wait_for_line, child) == "running\n"
            assert await asyncio.to_thread(child.wait, 60) == -signal.SIGKILL
        finally:
            child.kill()
            await asyncio.to_thread(child.communicate)
        exec_id = (tmp_path / "put").read_text()
        assert in_force(host) == [exec_id]
        async with running(chosen(tmp_path / "data")) as engine:  # without IB the books cannot know it
            assert engine.portfolio_manager.fills().empty
            assert len(engine.portfolio_manager.orders()) == 1
        async with running(chosen(tmp_path / "data", host.port)) as engine:
            await online(engine)
            await equal_to(host, engine)
            row = engine.portfolio_manager.fills().iloc[0]
            assert (row["fill_id"], row["strategy"], row["qty"], row["source"]) == (exec_id, "LAST", 6.0, "replay")
            table = await engine.portfolio_manager.reconcile_positions()
            assert table["status"].tolist() == ["matched"]
            assert engine.portfolio_manager.verify().empty
