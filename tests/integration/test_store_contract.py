"""One contract for everything that stands behind the Store and Journal doors, the real parts and the fakes alike."""

from datetime import timedelta
from decimal import Decimal

import pandas as pd
import pytest

from engine.core.instrument import Instrument
from engine.core.records import PositionRecord
from engine.errors import StoreUnavailable
from engine.storage import open_store
from engine.storage.journal import SqliteJournal
from engine.storage.rows import fill_columns, position_columns, position_row
from engine.storage.schema import FILLS
from engine.storage.unrows import fill_records
from tests.fakes import FakeClock, MemoryJournal, MemoryStore
from tests.integration.storage_kit import AAPL, T0, fill, record


@pytest.fixture(params=["arctic", "memory"])
def store(request, tmp_path):
    made = MemoryStore() if request.param == "memory" else open_store(f"lmdb://{tmp_path}/db", map_gb=0.5)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "memory"])
def journal(request, tmp_path):
    made = MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "journal.db", clock=FakeClock())
    yield made
    made.close()


def put(store, *records, strategy="ALPHA", seq=None):
    store.append("fills", strategy, *fill_columns(records), seq=records[-1].seq if seq is None else seq)


def book(quantity: int, seq: int) -> dict:
    held = PositionRecord(
        strategy="ALPHA", account="DU1", instrument_key=1, quantity=Decimal(quantity), open_cost=Decimal(0), avg_cost=None,
        realized_pnl=Decimal(0), fees={}, fees_pending=0, cash={}, fills=1, last_fill_at=T0, seq=seq,
    )  # fmt: skip
    return position_row(held, Instrument(con_id=1, symbol="AAPL"))


def test_what_was_appended_is_read_back_in_order_and_exactly(store):
    records = [record(n) for n in range(1, 6)]
    put(store, *records[:2])
    put(store, *records[2:])
    assert fill_records(store.read("fills", "ALPHA"), "ALPHA") == records


def test_rows_that_are_stored_already_are_not_stored_again(store):
    records = [record(n) for n in range(1, 6)]
    put(store, *records[:3])
    put(store, *records[:3])
    put(store, *records)
    assert [r.seq for r in fill_records(store.read("fills", "ALPHA"), "ALPHA")] == [1, 2, 3, 4, 5]


def test_all_rows_of_one_fact_are_stored_although_they_share_its_number(store):
    put(store, record(1))
    put(store, record(2, state="superseded"), record(2))
    assert store.read("fills", "ALPHA")["state"].tolist() == ["active", "superseded", "active"]


def test_progress_says_how_far_each_symbol_has_come(store):
    put(store, record(1), record(4))
    put(store, record(2, strategy="BETA"), strategy="BETA", seq=9)
    store.write("positions", "ALPHA", position_columns([book(1, 4)]), [T0], seq=7)
    assert store.progress() == {("fills", "ALPHA"): 4, ("fills", "BETA"): 9, ("positions", "ALPHA"): 7}


def test_a_snapshot_is_replaced_and_never_by_an_older_one(store):
    store.write("positions", "ALPHA", position_columns([book(1, 1), book(2, 1)]), [T0, T0], seq=5)
    store.write("positions", "ALPHA", position_columns([book(3, 1)]), [T0], seq=6)
    store.write("positions", "ALPHA", position_columns([book(9, 1)]), [T0], seq=5)
    assert store.read("positions", "ALPHA")["qty"].tolist() == [3.0]


def test_a_snapshot_may_become_empty_and_full_again(store):
    store.write("positions", "ALPHA", position_columns([]), [], seq=1)
    empty = store.read("positions", "ALPHA")
    assert empty.empty
    assert str(empty.index.dtype) == "datetime64[ns, UTC]"
    store.write("positions", "ALPHA", position_columns([book(3, 1)]), [T0], seq=2)
    assert store.read("positions", "ALPHA")["qty"].tolist() == [3.0]


def test_a_clock_that_was_set_back_loses_no_row(store):
    put(store, record(1), record(2))
    put(store, record(3, recorded_at=T0 - timedelta(days=1)))
    frame = store.read("fills", "ALPHA")
    assert frame["seq"].tolist() == [1, 2, 3]
    assert frame.index.is_monotonic_increasing
    assert frame.index[-1] == pd.Timestamp(T0 + timedelta(seconds=2))


def test_a_missing_symbol_reads_as_an_empty_table_with_its_columns(store):
    frame = store.read("fills", "NOBODY")
    assert frame.empty
    assert list(frame.columns) == list(FILLS.columns)
    assert str(frame["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert store.symbols("fills") == []


def test_rows_can_be_read_of_a_span_of_time_and_of_some_columns(store):
    put(store, *[record(n) for n in range(1, 6)])
    some = store.read(
        "fills", "ALPHA", since=T0 + timedelta(seconds=2), as_of=T0 + timedelta(seconds=4), columns=["seq"]
    )
    assert some["seq"].tolist() == [2, 3, 4]
    assert list(some.columns) == ["seq"]


@pytest.mark.parametrize("name", ["", "A/B", "50%", "é", "日本*", "a//b", "x" * 400, "<script>", "../../etc"])
def test_any_strategy_name_can_be_stored_and_is_listed_as_it_is(store, name):
    put(store, record(1, strategy=name), strategy=name)
    put(store, record(2, strategy=name), strategy=name)
    assert store.symbols("fills") == [name]
    assert store.progress() == {("fills", name): 2}
    assert store.read("fills", name)["seq"].tolist() == [1, 2]
    assert store.fills()["strategy"].tolist() == [name, name]


def test_an_append_only_symbol_is_never_written_and_a_snapshot_never_appended_to(store):
    with pytest.raises(AssertionError):
        store.write("fills", "ALPHA", *fill_columns([record(1)]), seq=1)
    with pytest.raises(AssertionError):
        store.append("positions", "ALPHA", position_columns([book(1, 1)]), [T0], seq=1)


def test_columns_that_a_table_does_not_have_are_refused(store):
    with pytest.raises(ValueError, match="mood"):
        store.append("fills", "ALPHA", {"mood": ["odd"]}, [T0], seq=1)


def test_the_portfolio_as_of_a_moment_is_the_last_run_of_each_instrument(store):
    def run(number, qty):
        columns = {"symbol": ["AAPL"], "account": ["DU1"], "con_id": [1], "qty": [qty], "run_id": [f"r{number}"]}
        store.append("portfolio", "DU1/AAPL", columns, [T0 + timedelta(minutes=number)], seq=number)
        store.write("portfolio", "aggregated", columns, [T0 + timedelta(minutes=number)], seq=number)

    run(1, 10.0)
    run(2, 20.0)
    assert store.portfolio()["qty"].tolist() == [20.0]
    assert store.portfolio(as_of=T0 + timedelta(minutes=1))["qty"].tolist() == [10.0]
    assert store.portfolio(as_of=T0).empty
    assert store.portfolio(account="DU2").empty


def test_a_closed_or_failing_store_says_so(store):
    put(store, record(1))
    if isinstance(store, MemoryStore):
        store.failing = StoreUnavailable("away")
    else:
        store.close()
    for act in (lambda: put(store, record(2)), store.progress, lambda: store.read("fills", "ALPHA"), store.check):
        with pytest.raises(StoreUnavailable):
            act()


def test_facts_are_numbered_in_order_and_read_back_equal(journal):
    facts = [fill(n) for n in range(5)]
    assert journal.submit(facts[:2]).result(30) == 2
    assert journal.submit(facts[2:]).result(30) == 5
    assert journal.read(0, 100) == list(enumerate(facts, 1))
    assert [seq for seq, _ in journal.read(3, 100)] == [4, 5]
    assert journal.head == 5


def test_no_facts_are_a_submission_too(journal):
    journal.submit([fill(1)]).result(30)
    assert journal.submit([]).result(30) == 1


def test_pruned_facts_are_gone_and_their_numbers_are_not_used_again(journal):
    for n in range(4):
        journal.submit([fill(n)]).result(30)
    assert journal.prune(4) == 4
    assert journal.read(0, 10) == []
    assert journal.submit([fill(9)]).result(30) == 5


def test_the_latest_checkpoint_is_given_back(journal):
    assert journal.latest_checkpoint() is None
    journal.checkpoint(3, b"three")
    journal.checkpoint(7, b"seven")
    found = journal.latest_checkpoint()
    assert (found.seq, found.blob) == (7, b"seven")


def test_numbering_can_start_above_what_the_store_knows(journal):
    journal.start_above(100)
    assert journal.submit([fill(1)]).result(30) == 101


def test_instruments_are_part_of_the_facts(journal):
    journal.submit([fill(1)]).result(30)
    assert journal.read(0, 1)[0][1].instrument == AAPL
