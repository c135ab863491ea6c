"""A store that misbehaves under the whole engine, while strategies trade and a feed reports: nothing is lost or doubled,
the operator hears of it, and everything is caught up in order."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.app import Engine
from engine.errors import StorageError, StoreLocked
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

    async def alarmed(self, word, began=None):
        """Wait until health and alerts say what is wrong, and print how long that took since ``began``."""
        began, engine = time.monotonic() if began is None else began, self.engine
        await until(lambda: not engine.health()["ok"], engine.health)
        seen_s = time.monotonic() - began
        await until(
            lambda: any(a["kind"] == "store_trouble" and a["cleared_at"] is None for a in engine.alerts()),
            engine.alerts,
        )
        told_s = time.monotonic() - began
        await until(lambda: any(word in text for text in engine.health()["problems"]), engine.health)
        await until(lambda: any(word in alert["text"] for alert in engine.alerts()), engine.alerts)
        print(f"{word}: in health after {seen_s:.2f} s, an alert after {told_s:.2f} s")

    async def caught_up(self):
        """Wait for the end of the trouble; then the store has every execution once, in order, and the books are its.

        Returns:
            Seconds until everything was stored; to read all of it again and to compare it takes longer on S3.
        """
        engine, began = self.engine, time.monotonic()
        await flushed(engine.room)
        took_s = time.monotonic() - began
        await until(lambda: engine.health()["ok"], lambda: engine.health()["problems"])
        await self.booked()
        await flushed(engine.room)
        stored_in_order(engine.settings, self.host, self.told)
        assert by_book(engine.portfolio_manager.positions()) == stored_books(engine.settings)
        assert engine.portfolio_manager.verify().empty
        return took_s


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
    began = time.monotonic()
    await house.tell(25)
    await house.alarmed(word, began)
    await house.trade(7, -3, 2)
    await house.tell(25)
    await house.booked()
    heal()
    print(f"{word}: caught up {await house.caught_up():.2f} s after it ended")


async def test_a_full_map_is_said_and_a_larger_one_catches_up_at_the_next_start(tmp_path):
    with gateway() as host:
        async with at_work(tmp_path, host, lmdb_map_gb=0.002) as house:
            for _ in range(400):
                began = time.monotonic()
                await house.tell(20)
                if house.engine.room.writer.state != "ok":
                    break
            await house.alarmed("FILLBOOK_LMDB_MAP_GB", began)
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
            engine, said = house.engine, []
            stop = engine.subscribe(lambda: said.append(engine.health()["problems"]))
            began = time.monotonic()
            shutil.rmtree(tmp_path / "books")
            await house.tell(20)
            await until(lambda: any("gone" in text for texts in said for text in texts), lambda: said)
            print(f"deleted: in health after {time.monotonic() - began:.2f} s")
            await until(lambda: any("gone" in alert["text"] for alert in engine.alerts()), engine.alerts)
            print(f"deleted: an alert after {time.monotonic() - began:.2f} s")
            stop()
            await house.trade(7, -3)
            await house.caught_up()


RIGHTS = """
import asyncio, os, sys, time
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
            began = time.monotonic()
            await book(engine, 10, 30)
            await until(lambda: any("no permission" in text for text in engine.health()["problems"]), engine.health)
            assert not engine.health()["ok"]
            seen_s = time.monotonic() - began
            await until(lambda: any("no permission" in a["text"] for a in engine.alerts()), engine.alerts)
            print(f"no permission: in health after {seen_s:.2f} s, an alert after {time.monotonic() - began:.2f} s")
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
        assert done.stdout.splitlines()[-1:] == ["done"], done.stdout + done.stderr
        print(done.stdout)


async def ill_server(folder, s3, codes, hold_s):
    with gateway() as host:
        async with at_work(folder, host, arctic_uri=s3.uri) as house:
            await flushed(house.engine.room)
            for code in codes:
                s3.fall_ill(code) if code > 0 else s3.fall_silent()
                began = time.monotonic()
                await house.tell(10)
                await house.alarmed(f"answers {code}" if code > 0 else "answer", began)
                while time.monotonic() < began + hold_s:
                    await house.tell(10)
                    await asyncio.sleep(0.5)
                await house.trade(7, -3)
                await house.booked()
                s3.get_well()
                well = time.monotonic()
                took_s = await house.caught_up()
                checked_s = time.monotonic() - well
                print(
                    f"{code} for {well - began:.0f} s: caught up after {took_s:.2f} s, checked after {checked_s:.2f} s"
                )


@pytest.fixture
def s3():
    pytest.importorskip("moto", reason="the S3 tests need moto's server")
    from tests.integration.s3_kit import s3_server

    with s3_server() as running_server:
        yield running_server


async def test_a_server_that_answers_503_is_said_and_caught_up(tmp_path, s3):
    await ill_server(tmp_path, s3, [503], 0.5)


async def test_a_server_that_says_nothing_is_said_while_it_is_waited_for(tmp_path, s3):
    await ill_server(tmp_path, s3, [-1], 3)


@pytest.mark.soak
async def test_a_server_that_answers_500_and_503_or_nothing_for_a_minute_costs_nothing(tmp_path, s3):
    await ill_server(tmp_path, s3, [500, 503, -1], 60)


class Stuck:
    """A library of ArcticDB whose appends do not come back until they may."""

    def __init__(self, library):
        self._library = library
        self.entered, self.free = threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self._library, name)

    def append(self, *args, **values):
        self.entered.set()
        assert self.free.wait(300)
        return self._library.append(*args, **values)


def stuck(engine):
    libraries = engine.room.store.handle._libraries
    libraries["fills"] = Stuck(libraries["fills"])
    return libraries["fills"]


async def test_an_append_that_does_not_come_back_is_said_while_it_is_waited_for_and_caught_up(tmp_path):
    with gateway() as host:
        async with at_work(tmp_path, host) as house:
            await flushed(house.engine.room)
            store = stuck(house.engine)
            await suffer(house, "no answer for", heal=store.free.set)
            assert store.entered.is_set()


async def test_a_stop_while_an_append_does_not_come_back_ends_and_keeps_others_out_until_it_does(tmp_path):
    settings = chosen(tmp_path / "data")
    engine = Engine(settings)
    await engine.start()
    for number in range(5):
        trade, fill = own_fill(f"0000dddd.00000000.{number:08x}.01.01", 1 + number % 5, 100.25 + number)
        await engine.portfolio_manager.process_fill(REF, trade, fill)
    await flushed(engine.room)
    store = stuck(engine)
    trade, fill = own_fill("0000dddd.00000000.00000005.01.01", 1, 105.25)
    await engine.portfolio_manager.process_fill(REF, trade, fill)
    await asyncio.to_thread(store.entered.wait, 60)
    async with asyncio.timeout(60):
        await engine.stop()
    with pytest.raises(StoreLocked):
        await Engine(settings).start()  # that append may still be written
    store.free.set()
    await until(lambda: not engine.room.writer.alive)
    await until(lambda: not engine.room.lock_file.held)
    async with running(settings) as again:
        await flushed(again.room)
        assert len(again.portfolio_manager.fills()) == 6
        frame = again.room.store.read("fills", REF)
        assert len(frame) == frame["fill_id"].nunique() == 6
        assert again.portfolio_manager.verify().empty
