"""SIGKILL at random moments: what was accepted is in the books exactly once, to the last digit, whenever it happens."""

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from tests.integration.engine_kit import (
    by_book,
    chosen,
    desk,
    flushed,
    gateway,
    gateway_executions,
    in_force,
    online,
    running,
    stored_books,
    stored_executions,
    truth,
    until,
)
from tests.integration.kill_child import REF

ROOT = Path(__file__).resolve().parents[2]
TSLA = 76792991


def wait_for_line(child):
    """The child's first line, with a deadline for the whole."""
    timer = threading.Timer(60, child.kill)
    timer.start()
    try:
        return child.stdout.readline()
    finally:
        timer.cancel()


def start_child(folder, port):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.kill_child", str(folder), str(port)],
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


def accepted(folder):
    """What the children were told is accepted: name -> quantity."""
    lines = (folder / "accepted").read_text().splitlines() if (folder / "accepted").exists() else []
    return {name: int(quantity) for name, quantity in (line.split() for line in lines)}


async def look(folder, host, settings):
    """Open the books as the next start would, and compare them to the gateway, the acknowledgements and a recount."""
    async with running(settings) as engine:
        await online(engine)
        pm = engine.portfolio_manager
        wanted = truth(host)

        def traded():
            return {key: quantity for key, quantity in by_book(pm.positions()).items() if key[0] != REF}

        def revisions():
            frame = pm.fills()
            return sorted(frame[frame["strategy"] != REF]["fill_id"])

        await until(lambda: (traded(), revisions()) == (wanted, in_force(host)), lambda: (traded(), wanted))
        await flushed(pm.room)
        direct = pm.fills(strategy=REF)
        booked = {
            name.split(".", 1)[1].rsplit(".", 2)[0]: quantity
            for name, quantity in zip(direct["fill_id"], direct["qty"], strict=True)
        }
        promised = accepted(folder)
        missing = {name for name, quantity in promised.items() if booked.get(name) != quantity}
        assert not missing, missing
        assert len(booked) == len(direct)
        held = by_book(pm.positions(strategy=REF)).get((REF, "DU2", TSLA), Decimal(0))
        assert held == sum(Decimal(repr(quantity)) for quantity in booked.values())
        stored = stored_executions(settings)
        assert Counter(stored) == Counter(
            [*gateway_executions(host), *(n.rsplit(".", 1)[0] for n in direct["fill_id"])]
        )
        assert stored_books(settings) == by_book(pm.positions())
        differences = pm.verify()
        assert differences.empty, differences.to_string()


async def kill_repeatedly(folder, count, dice, *, look_every):
    with gateway(accounts=("DU1", "DU2"), state=folder / "gateway.json") as host:
        settings = chosen(folder / "data", host.port)
        for number in range(1, count + 1):
            await one_life(folder, host.port, dice.uniform(0.0, 0.8), dice.choice((0, 0, 1)), host)
            if number % look_every == 0 or number == count:
                await look(folder, host, settings)
        assert accepted(folder)
        assert host.gateway.executions()


async def test_an_engine_that_is_killed_under_load_again_and_again_has_every_accepted_event_exactly_once(tmp_path):
    await kill_repeatedly(tmp_path, 6, random.Random(1), look_every=2)


@pytest.mark.soak
async def test_two_hundred_kills_lose_and_double_nothing(tmp_path):
    await kill_repeatedly(tmp_path, 200, random.Random(2), look_every=1)
