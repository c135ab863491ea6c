"""A store that misbehaves under the whole engine, while strategies trade and a feed reports: nothing is lost or doubled,
the operator hears of it, and everything is caught up in order."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.errors import StorageError
from engine.storage import open_store
from tests.integration.engine_kit import (
    AAPL,
    asked_again,
    by_book,
    chosen,
    desk,
    figures,
    flushed,
    gateway,
    gateway_executions,
    in_force,
    online,
    running,
    stored_books,
    trading,
    until,
)
from tests.integration.kill_child import REF, own_fill

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of some megabytes; skips, with the reason, where that is not allowed."""
    mounted = []

    def mount(megabytes):
        if os.geteuid() != 0:
            pytest.skip("only root may mount a small file system")
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=False)


def fill_up(disk, leave):
    """Leave that many bytes on a disk."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "ballast").write_bytes(b"x" * (free - leave))


class House:
    """An engine, its gateway, a strategy that trades, and a feed that only this process knows."""

    def __init__(self, host, engine, trader, contract):
        self.host, self.engine, self.trader, self.contract = host, engine, trader, contract
        self.told = 0

    async def tell(self, count):
        """Report executions of the feed; each is accepted when this returns."""
        for _ in range(count):
            trade, fill = own_fill(f"0000dddd.00000000.{self.told:08x}.01.01", 1 + self.told % 5, 100.25 + self.told)
            await self.engine.portfolio_manager.process_fill(REF, trade, fill)
            self.told += 1

    async def trade(self, *quantities):
        """Trade, and have the last execution corrected."""
        for quantity in quantities:
            self.trader.market(self.contract, quantity)
        await self.trader.done()
        await desk(self.host, "correction", exec_id=in_force(self.host)[-1])
        await asked_again(self.engine)

    async def booked(self):
        """Wait until the books have everything, whatever the store says."""
        pm, wanted = self.engine.portfolio_manager, sorted(in_force(self.host))

        def found():
            frame = pm.fills()
            direct = frame["strategy"] == REF
            return sorted(frame[~direct]["fill_id"]), int(direct.sum())

        await until(lambda: found() == (wanted, self.told), found)

    async def alarmed(self, word):
        """Wait until health and alerts say what is wrong; returns how long that took, in seconds."""
        began, engine = time.monotonic(), self.engine
        await until(lambda: not engine.health()["ok"], engine.health)
        seen_s = time.monotonic() - began
        await until(lambda: any(word in text for text in engine.health()["problems"]), engine.health)
        await until(lambda: any(word in alert["text"] for alert in engine.alerts()), engine.alerts)
        return seen_s

    async def caught_up(self):
        """Wait for the end of the trouble; then the store has every execution once, in order, and the books are its."""
        engine = self.engine
        await until(lambda: engine.health()["ok"], lambda: engine.health()["problems"])
        await self.booked()
        await flushed(engine.room)
        stored_in_order(engine.settings, self.host, self.told)
        assert by_book(engine.portfolio_manager.positions()) == stored_books(engine.settings)
        assert engine.portfolio_manager.verify().empty


def stored_in_order(settings, host, told):
    """Every revision of every execution is stored, none twice, each symbol in the journal's order."""
    store = open_store(settings.arctic_location, read_only=True)
    try:
        names = set()
        for strategy in store.symbols("fills"):
            frame = store.read("fills", strategy)
            assert frame["seq"].is_monotonic_increasing
            rows = Counter(zip(frame["seq"], frame["fill_id"], frame["state"], strict=True))
            assert rows.most_common(1)[0][1] == 1, rows.most_common(3)
            names |= set(frame["fill_id"])
        for strategy in store.symbols("orders"):
            assert store.read("orders", strategy)["seq"].is_monotonic_increasing
    finally:
        store.close()
    assert {name.rpartition(".")[0] for name in names if not name.startswith("0000dddd")} == set(
        gateway_executions(host)
    )
    assert len({name for name in names if name.startswith("0000dddd")}) == told


@asynccontextmanager
async def at_work(folder, host, **changes):
    async with running(chosen(folder, host.port, **changes)) as engine:
        await online(engine)
        async with trading(host.port, "BUSY", 11, queue=engine.strategy_manager.message_queue) as trader:
            house = House(host, engine, trader, await trader.contract(AAPL))
            await house.tell(10)
            await house.trade(10, -4)
            yield house


async def suffer(house, word, *, heal):
    """Work on while the store is ill, then heal it."""
    await house.tell(25)
    seen_s = await house.alarmed(word)
    await house.trade(7, -3, 2)
    await house.tell(25)
    await house.booked()
    heal()
    await house.caught_up()
    return seen_s


async def test_a_full_map_is_said_and_a_larger_one_catches_up_at_the_next_start(tmp_path):
    with gateway() as host:
        async with at_work(tmp_path, host, lmdb_map_gb=0.002) as house:
            for _ in range(400):
                await house.tell(20)
                if house.engine.room.writer.state != "ok":
                    break
            await house.alarmed("FILLBOOK_LMDB_MAP_GB")
            await house.trade(5, 6)
            await house.tell(30)
            await house.booked()
            before, told = figures(house.engine.portfolio_manager.positions()), house.told
        async with running(chosen(tmp_path, host.port, lmdb_map_gb=0.5)) as engine:
            await online(engine)
            assert figures(engine.portfolio_manager.positions()) == before
            house.engine, house.told = engine, told
            await house.caught_up()


async def test_a_full_disk_of_the_store_is_said_and_caught_up_when_there_is_room(tmp_path, small_disk):
    disk = small_disk(24)
    with gateway() as host:
        async with at_work(tmp_path, host, arctic_uri=f"lmdb://{disk}/books") as house:
            await flushed(house.engine.room)
            fill_up(disk, leave=700_000)
            await suffer(house, "full", heal=(disk / "ballast").unlink)


async def test_a_full_disk_of_the_journal_refuses_loudly_keeps_what_was_put_and_books_all_of_it_in_the_end(
    tmp_path, small_disk
):
    disk = small_disk(12)
    with gateway() as host:
        async with at_work(disk / "data", host, arctic_uri=f"lmdb://{tmp_path}/books") as house:
            engine, queue = house.engine, house.engine.strategy_manager.message_queue
            fill_up(disk, leave=200_000)
            refused = None
            for number in range(20_000):
                trade, fill = own_fill(f"0000eeee.00000000.{number:08x}.01.01", 1, 50.0)
                queue.put({"type": "fill", "strategy": "PUT", "trade": trade, "fill": fill})
                if number % 500 == 499:
                    try:
                        await house.tell(1)
                    except StorageError as error:
                        refused = error
                        break
            assert refused is not None, "the disk did not become full"
            assert "full" in str(refused)
            put = number + 1
            await house.alarmed("cannot be written")
            house.trader.market(house.contract, 9)
            (disk / "ballast").unlink()
            pm = engine.portfolio_manager
            await until(lambda: len(pm.fills(strategy="PUT")) == put, engine.health)
            assert not [name for name in pm.fills(strategy=REF)["fill_id"] if name.endswith(f"{house.told:08x}.01.01")]
            await house.tell(5)
            await until(lambda: engine.health()["ok"], lambda: engine.health()["problems"])
            await asked_again(engine)
            await until(lambda: set(in_force(host)) <= set(pm.fills()["fill_id"]))
            await flushed(engine.room)
            assert by_book(pm.positions()) == stored_books(engine.settings)
            assert pm.verify().empty


async def test_a_store_deleted_while_strategies_trade_is_said_written_again_and_complete(tmp_path):
    with gateway() as host:
        async with at_work(tmp_path, host, arctic_uri=f"lmdb://{tmp_path}/books") as house:
            await flushed(house.engine.room)
            shutil.rmtree(tmp_path / "books")
            await house.tell(20)
            await house.trade(7, -3)
            await house.caught_up()


RIGHTS = """
import asyncio, os, sys
from pathlib import Path
from tests.integration.engine_kit import chosen, flushed, running, until
from tests.integration.kill_child import REF, own_fill

async def book(engine, first, count):
    for number in range(first, first + count):
        trade, fill = own_fill(f"0000dddd.00000000.{number:08x}.01.01", 1 + number % 5, 100.25 + number)
        await engine.portfolio_manager.process_fill(REF, trade, fill)

async def work(folder, harm):
    async with running(chosen(folder)) as engine:
        await book(engine, 0, 10)
        await flushed(engine.room)
        if harm:
            places = [path for path in (folder / "arctic").iterdir() if path.is_dir()]
            for place in places:
                place.chmod(0o555)
            await book(engine, 10, 30)
            await until(lambda: any("no permission" in text for text in engine.health()["problems"]), engine.health)
            assert not engine.health()["ok"]
            assert len(engine.portfolio_manager.fills()) == 40
            for place in places:
                place.chmod(0o755)
            await until(lambda: engine.health()["ok"], engine.health)
            await flushed(engine.room)
            frame = engine.room.store.read("fills", REF)
            assert len(frame) == frame["fill_id"].nunique() == 40, frame
            assert frame["seq"].is_monotonic_increasing
        assert engine.portfolio_manager.verify().empty

folder = Path(sys.argv[1])
asyncio.run(work(folder / "warm", False))  # loads what is loaded late, while that is allowed
os.setgid(65534), os.setuid(65534)
asyncio.run(work(folder / "own", True))
print("done")
"""


def test_the_right_to_write_the_store_may_be_lost_under_the_engine_and_come_back():
    if os.geteuid() != 0:
        pytest.skip("only root may become somebody without rights")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, 65534, 65534)
        done = subprocess.run(
            [sys.executable, "-c", RIGHTS, folder], cwd=ROOT, capture_output=True, text=True, check=False, timeout=250
        )
        assert done.stdout.strip() == "done", done.stdout + done.stderr


async def ill_server(folder, s3, codes, hold_s):
    with gateway() as host:
        async with at_work(folder, host, arctic_uri=s3.uri) as house:
            await flushed(house.engine.room)
            for code in codes:
                s3.fall_ill(code)
                await house.tell(10)
                await house.alarmed(f"answers {code}")
                until_well = time.monotonic() + hold_s
                while time.monotonic() < until_well:
                    await house.tell(10)
                    await asyncio.sleep(0.5)
                await house.trade(7, -3)
                await house.booked()
                s3.get_well()
                await house.caught_up()


@pytest.fixture
def s3():
    pytest.importorskip("moto", reason="the S3 tests need moto's server")
    from tests.integration.s3_kit import s3_server

    with s3_server() as running_server:
        yield running_server


async def test_a_server_that_answers_503_is_said_and_caught_up(tmp_path, s3):
    await ill_server(tmp_path, s3, [503], 0.5)


@pytest.mark.soak
async def test_a_server_that_answers_500_and_503_for_a_minute_costs_nothing(tmp_path, s3):
    await ill_server(tmp_path, s3, [500, 503], 60)
