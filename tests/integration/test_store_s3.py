"""The store on S3, with a server that falls ill: nothing lost, nothing doubled, nothing overwritten, no long silence."""

import os
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from engine.errors import StoreLocked, StoreUnavailable
from engine.storage import open_store
from engine.storage.handle import redacted, s3_endpoint
from engine.storage.housekeeping import Housekeeper, snapshots
from engine.storage.lock import StoreOwner
from engine.storage.rows import fill_columns
from tests.fakes import FakeClock
from tests.integration.storage_kit import record

pytest.importorskip("moto", reason="the S3 tests need moto's server")
from tests.integration.s3_kit import s3_server


@pytest.fixture(scope="module")
def s3():
    with s3_server() as running:
        yield running


@pytest.fixture
def store(s3):
    s3.get_well()
    opened = open_store(s3.uri)
    yield opened
    s3.get_well()
    opened.close()


def put(store, strategy, *seqs):
    store.append("fills", strategy, *fill_columns([record(n, strategy=strategy) for n in seqs]), seq=seqs[-1])


def test_rows_are_appended_and_read_and_no_metadata_address_is_asked(store):
    put(store, "PLAIN", 1, 2)
    put(store, "PLAIN", 2, 3)
    assert store.read("fills", "PLAIN")["seq"].tolist() == [1, 2, 3]
    assert store.progress()["fills", "PLAIN"] == 3
    assert os.environ["AWS_EC2_METADATA_DISABLED"] == "true"


def test_keys_are_never_shown(store, s3):
    assert "hidden" not in store.uri
    s3.fall_ill(500)
    with pytest.raises(StoreUnavailable) as refused:
        store.check()
    assert "hidden" not in str(refused.value)
    assert redacted("s3://h:b?access=a&secret=c&port=1") == "s3://h:b?access=***&secret=***&port=1"


@pytest.mark.parametrize("code", [500, 503])
def test_an_ill_server_is_an_error_at_once_and_the_rows_arrive_when_it_is_well(store, s3, code):
    name = f"ILL{code}"
    put(store, name, 1)
    s3.fall_ill(code)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=str(code)):
            put(store, name, 2)
    s3.get_well()
    put(store, name, 2)
    assert store.read("fills", name)["seq"].tolist() == [1, 2]


@pytest.mark.parametrize("after", range(0, 14, 2))
def test_an_append_that_fails_half_way_is_offered_again_without_loss_or_double(store, s3, after):
    name = f"HALF{after}"
    put(store, name, 1)
    s3.fall_ill(500, methods=["GET", "PUT", "POST", "DELETE"], after=after)
    failed = False
    try:
        put(store, name, 2)
    except StoreUnavailable:
        failed = True
    s3.get_well()
    put(store, name, 2)
    put(store, name, 2, 3)
    assert store.read("fills", name)["seq"].tolist() == [1, 2, 3]
    assert failed or after > 4


def test_a_symbol_is_not_created_while_the_server_cannot_say_that_it_is_missing(store, s3):
    put(store, "KNOWN", 1, 2)
    fresh = open_store(s3.uri)
    s3.fall_ill(500, methods=["GET"])
    with pytest.raises(StoreUnavailable):
        put(fresh, "KNOWN", 3)
    s3.get_well()
    put(fresh, "KNOWN", 3)
    assert fresh.read("fills", "KNOWN")["seq"].tolist() == [1, 2, 3]
    fresh.close()


def test_other_threads_go_on_while_the_server_is_ill(store, s3):
    put(store, "LIVELY", 1)
    s3.fall_ill(503)
    ticks = 0
    stop = threading.Event()

    def tick():
        nonlocal ticks
        while not stop.wait(0.001):
            ticks += 1

    ticker = threading.Thread(target=tick)
    ticker.start()
    for act in (store.progress, store.libraries, lambda: store.symbols("fills"), lambda: store.read("fills", "LIVELY")):
        seen = ticks
        with pytest.raises(StoreUnavailable):
            act()
        deadline = time.monotonic() + 60
        while ticks == seen:
            assert time.monotonic() < deadline
    stop.set()
    ticker.join()


def test_nobody_at_the_address_is_an_error_that_says_so():
    with pytest.raises(StoreUnavailable, match="does not answer"):
        open_store("s3://127.0.0.1:books?port=9&access=a&secret=b")


def test_the_endpoint_is_read_from_the_uri():
    found = s3_endpoint("s3s://s3.example.com:bucket-1?port=9000&region=x")
    assert (found.host, found.port, found.secure, found.bucket) == ("s3.example.com", 9000, True, "bucket-1")
    assert s3_endpoint("lmdb:///somewhere") is None


@pytest.mark.parametrize("name", ["a?b&c=d#e", "a//b", " spaced ", "50%", "a+b", "日本", "DU1/ES", "../up"])
def test_any_name_can_be_held_on_s3_too(store, name):
    put(store, name, 1)
    assert store.read("fills", name)["seq"].tolist() == [1]
    assert name in store.symbols("fills")


def test_a_second_engine_is_refused_while_the_first_ones_heart_beats(store):
    clock = FakeClock(datetime(2026, 3, 2, tzinfo=UTC))
    first = StoreOwner(store, clock)
    with pytest.raises(StoreLocked, match="another engine"):
        StoreOwner(store, clock)
    clock.advance(30)
    first.beat()
    clock.advance(50)
    with pytest.raises(StoreLocked):
        StoreOwner(store, clock)
    clock.advance(90)
    second = StoreOwner(store, clock)
    with pytest.raises(StoreLocked, match="has taken over"):
        first.beat()
    first.release()
    second.beat()
    second.release()
    StoreOwner(store, clock).release()
    assert not any(library == "owner" for library, _ in store.progress())


def test_an_owner_that_died_before_the_clock_was_set_back_keeps_nobody_out(store):
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    StoreOwner(store, FakeClock(noon))  # dies without a word
    StoreOwner(store, FakeClock(noon - timedelta(hours=2))).release()


def test_an_end_of_day_snapshot_works_on_s3(store):
    put(store, "EOD", 1)
    house = Housekeeper(store, FakeClock(datetime(2026, 3, 3, 0, 1, tzinfo=UTC)))
    name = house.snapshot(datetime(2026, 3, 2, tzinfo=UTC).date())
    put(store, "EOD", 2)
    assert name in snapshots(store)
    assert store.read("fills", "EOD", as_of=name)["seq"].tolist() == [1]
    assert store.read("fills", "EOD")["seq"].tolist() == [1, 2]
