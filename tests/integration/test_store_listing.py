"""A symbol whose process died between its first version and its entry in the library's list is there like any other.

A process that is killed at one of the writes of a first append leaves this state at one in five of them. Here it is made by
taking the entry away again.
"""

import shutil
from datetime import date

import pytest
from arcticdb_ext.storage import KeyType

from engine.clock import SystemClock
from engine.errors import StoreUnavailable
from engine.pipeline.room import BookRoom
from engine.settings import Settings
from engine.storage import open_store
from engine.storage.housekeeping import Housekeeper
from engine.storage.names import encode_symbol
from engine.storage.rows import fill_columns
from tests.fakes import FakeClock
from tests.integration.storage_kit import record
from tests.integration.test_lost_store import facts, same, submit


def put(store, strategy, *numbers):
    rows = [record(number, strategy=strategy) for number in numbers]
    store.append("fills", strategy, *fill_columns(rows), seq=rows[-1].seq)


def forget(store, library, *symbols):
    """Take the symbols' entries out of the list, as if the process had died before it wrote them."""
    found = store.handle.library(library)
    tool = found._nvs.library_tool()
    names = {encode_symbol(symbol) for symbol in symbols}
    entries = [key for key in tool.find_keys(KeyType.SYMBOL_LIST) if str(key.start_index) in names]
    assert len(entries) == len(names), tool.find_keys(KeyType.SYMBOL_LIST)
    for key in entries:
        tool.remove(key)
    assert not names & set(found.list_symbols())


@pytest.fixture
def place(tmp_path):
    """A store with two strategies, the second not listed."""
    uri = f"lmdb://{tmp_path}/db"
    store = open_store(uri, map_gb=0.2)
    put(store, "ALPHA", 1, 3)
    put(store, "BE/TA", 2)
    forget(store, "fills", "BE/TA")
    store.close()
    return uri


def test_a_reader_finds_a_symbol_that_is_not_listed(place):
    store = open_store(place, read_only=True, map_gb=0.2)
    assert store.symbols("fills") == ["ALPHA", "BE/TA"]
    assert store.progress() == {("fills", "ALPHA"): 3, ("fills", "BE/TA"): 2}
    assert store.fills()["strategy"].tolist() == ["ALPHA", "BE/TA", "ALPHA"]
    assert store.handle.library("fills").list_symbols() == ["ALPHA"]  # who only reads mends nothing
    store.close()


def test_the_next_engine_has_it_listed_so_that_snapshots_hold_it(place):
    store = open_store(place, map_gb=0.2)
    store.progress()
    assert sorted(store.handle.library("fills").list_symbols()) == ["ALPHA", encode_symbol("BE/TA")]
    put(store, "BE/TA", 4)
    name = Housekeeper(store, FakeClock()).snapshot(date(2026, 3, 1))
    assert store.read("fills", "BE/TA", as_of=name)["seq"].tolist() == [2, 4]
    store.close()


def test_a_list_that_there_is_no_room_to_mend_does_not_keep_an_engine_out(place, monkeypatch):
    store = open_store(place, map_gb=0.2)

    def full(_library, _needed):
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(store.handle, "check_room", full)
        assert store.progress()["fills", "BE/TA"] == 2
    assert store.handle.library("fills").list_symbols() == ["ALPHA"]
    assert store.progress()["fills", "BE/TA"] == 2
    assert len(store.handle.library("fills").list_symbols()) == 2
    store.close()


def test_a_deleted_symbol_is_not_taken_for_an_unlisted_one(place):
    store = open_store(place, map_gb=0.2)
    store.handle.library("fills").delete("ALPHA")
    assert store.symbols("fills") == ["BE/TA"]
    assert store.progress() == {("fills", "BE/TA"): 2}
    store.close()


def at(folder):
    return Settings(data_dir=str(folder), lmdb_map_gb=0.5, housekeeping_every_s=0.0, demo=False)


async def test_books_whose_fills_are_not_listed_are_verified_and_come_back_from_the_store_alone(tmp_path):
    settings = at(tmp_path / "data")
    books, _, _, _ = await submit(settings, facts(1, 12))
    room = BookRoom(settings, SystemClock())
    forget(room.store, "fills", "ALPHA")
    forget(room.store, "orders", "BETA")
    room.close()
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    _, _, _, differences = await submit(settings, [])
    assert differences.empty, differences.to_string()
    for file in (tmp_path / "copy").glob("*.sqlite*"):
        file.unlink()
    again, fills, orders, differences = await submit(at(tmp_path / "copy"), [])
    same(again, books)
    assert (len(fills), len(orders)) == (12, 12)
    assert differences.empty, differences.to_string()
