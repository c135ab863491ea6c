"""A planted cent shows, wherever it is planted."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from functools import partial

import msgspec
import pandas as pd
import pytest

from engine.core.instrument import Instrument
from engine.office import signed, verify
from engine.office.verify import differences
from engine.recon.chain import seal
from engine.storage.lines import fill_lines
from engine.storage.rows import assignment_columns, position_columns, position_row
from tests.property.lost_journal import store_of
from tests.unit.state.kit import AAPL, BTC, ES, EURCHF, MSFT, VOD, Desk, at

CENT = Decimal("0.01")
OPTION = Instrument(con_id=77, symbol="SPX", sec_type="OPT", currency="USD", multiplier=Decimal(100), right="C")


@pytest.fixture
def desk():
    desk = Desk()
    desk.fill("a.b.01", 100, "2000000000.37", strategy="ALPHA")
    desk.fee("a.b.01", "3.33")
    desk.fill("a.c.01", -33, "2000000001.11", strategy="ALPHA", t=5)
    desk.fill("a.d.01", 3, "5001.25", strategy="ALPHA", instrument=ES, t=6)
    desk.fee("a.d.01", "2.47", "EUR")
    desk.fill("a.e.01", "-21612.04", "0.92541", strategy="ALPHA", instrument=EURCHF, t=7)
    return desk


def stored(desk):
    store = store_of(list(enumerate(desk.facts, 1)), desk.fills, desk.orders)
    for strategy in {p.strategy for p in desk.ledger.positions()} - {"UNASSIGNED"}:
        rows = [position_row(p, desk.ledger.instrument(p.instrument_key)) for p in desk.ledger.positions(strategy)]
        store.write("positions", strategy, position_columns(rows), [desk.clock] * len(rows), desk.ledger.seq)
    return store


def running(desk):
    return {(p.strategy, p.account, p.instrument_key): p for p in desk.ledger.positions()}


def fields(store, books=None):
    return {row["field"] for row in differences(store, books)}


def test_books_that_agree_show_nothing(desk):
    assert fields(stored(desk), running(desk)) == set()


@pytest.mark.parametrize("column", ["qty", "avg_cost", "realized_pnl", "open_cost"])
def test_a_cent_in_a_stored_position_of_two_hundred_billion_shows(desk, column):
    store = stored(desk)
    store.frames["positions", "ALPHA"].loc[lambda f: f["con_id"] == AAPL.con_id, column] += 0.01
    assert fields(store, running(desk)) == {column}


@pytest.mark.parametrize(("column", "currency"), [("fees", "EUR"), ("cash", "USD")])
def test_a_cent_in_what_a_position_tells_per_currency_shows(desk, column, currency):
    store = stored(desk)
    frame = store.frames["positions", "ALPHA"]
    row = frame["con_id"].tolist().index(ES.con_id)
    amounts = json.loads(frame[column].iloc[row])
    amounts[currency] = str(Decimal(amounts[currency]) + CENT)
    frame.iloc[row, frame.columns.get_loc(column)] = json.dumps(amounts)
    assert fields(store) == {f"{column} {currency}"}


def test_a_cent_in_a_positions_fee_shows(desk):
    store = stored(desk)
    store.frames["positions", "ALPHA"].loc[lambda f: f["con_id"] == ES.con_id, "commission"] += 0.01
    assert fields(store) == {"fees EUR"}


@pytest.mark.parametrize("column", ["realized_pnl", "price", "quoted_price", "commission", "qty"])
def test_a_cent_in_a_stored_fill_shows(desk, column):
    store = stored(desk)
    store.frames["fills", "ALPHA"].loc[lambda f: f["fill_id"] == "a.d.01", column] += 0.01
    assert fields(store, running(desk))


@pytest.fixture
def odd():
    """Pence, an option, a currency pair, numbers that no float carries, a correction and a bust."""
    desk = Desk()
    desk.fill("v.a.01", 101, "123.45", strategy="ALPHA", instrument=VOD)
    desk.fill("v.b.01", -50, "130.07", strategy="ALPHA", instrument=VOD, t=1)
    desk.describe(msgspec.structs.replace(VOD, price_magnifier=100))
    desk.fill("p.a.01", 3, "1.05", strategy="ALPHA", instrument=OPTION, t=2)
    desk.fill("p.a.02", 2, "1.05", strategy="ALPHA", instrument=OPTION, t=2)
    desk.fee("p.a.02", "1.31", "EUR")
    desk.fill("p.b.01", 4, "1.15", strategy="ALPHA", instrument=OPTION, t=3)
    desk.fee("p.b.01", "0.123456789012345678")
    desk.fill("p.c.01", -4, "2.2", strategy="ALPHA", instrument=OPTION, t=4)
    desk.fill("c.a.01", "0.123456789012345678", "65432.1234567890123", strategy="ALPHA", instrument=BTC, t=5)
    desk.fill("e.a.01", "-21612.04", "0.92541", strategy="ALPHA", instrument=EURCHF, t=6)
    desk.fill("e.b.01", 5, "0.9", strategy="ALPHA", instrument=EURCHF, t=7)
    desk.bust("e.b.01")
    for fill_id in ("v.b.01", "p.c.01", "c.a.01", "e.a.01"):
        desk.fee(fill_id, "0.35", "CHF")
    return desk


COUNTED = ["qty", "price", "quoted_price", "reported_qty", "realized_pnl", "multiplier", "commission"]
TEXTS = [
    ("p.b.01", "commission"),
    ("p.c.01", "realized_pnl"),
    ("c.a.01", "qty"),
    ("c.a.01", "reported_qty"),
    ("c.a.01", "price"),
    ("c.a.01", "quoted_price"),
]


def test_odd_books_that_agree_show_nothing(odd):
    assert fields(stored(odd), running(odd)) == set()


def test_books_that_are_recounted_in_pieces_are_compared_all(odd, monkeypatch):
    monkeypatch.setattr(verify, "fill_lines", partial(fill_lines, at_once=1))
    odd.fill("b.a.01", 1, 2, strategy="BETA", instrument=MSFT)
    assert fields(stored(odd), running(odd)) == set()
    earlier = stored(odd)
    odd.fill("a.f.01", 7, "200", strategy="ALPHA", t=8)
    odd.fill("v.f.01", 7, "200", strategy="ALPHA", instrument=VOD, t=8)
    odd.fill("p.f.01", 7, "2", strategy="ALPHA", instrument=OPTION, t=8)
    assert told(behind(odd, earlier), odd.clock + timedelta(seconds=5)) == set()


@pytest.mark.parametrize("column", COUNTED)
@pytest.mark.parametrize("fill_id", ["v.b.01", "p.a.02", "p.b.01", "p.c.01", "c.a.01", "e.a.01"])
def test_a_cent_in_any_figure_of_an_odd_fill_shows(odd, fill_id, column):
    store = stored(odd)
    last = last_row(store, fill_id)
    if (fill_id, column) in TEXTS:
        texts = json.loads(last["exact"])
        plant(store, fill_id, "exact", json.dumps(texts | {column: str(Decimal(texts[column]) + CENT)}))
    else:
        plant(store, fill_id, column, last[column] + 0.01)
    assert fields(store, running(odd))


@pytest.mark.parametrize(("fill_id", "text"), TEXTS)
def test_the_text_goes_before_the_float_beside_it(odd, fill_id, text):
    store = stored(odd)
    plant(store, fill_id, text, last_row(store, fill_id)[text] + 1)
    assert fields(store, running(odd)) == set()


@pytest.mark.parametrize(
    ("fill_id", "column", "value"),
    [
        ("v.b.01", "magnifier", 1),
        ("e.b.01", "sec_type", "STK"),
        ("e.b.01", "symbol", "GBP"),
        ("e.b.01", "currency", "USD"),
        ("e.b.01", "state", "active"),
        ("p.b.01", "state", "busted"),
        ("p.a.02", "fill_id", "p.a.00"),
        ("p.a.02", "commission_currency", "USD"),
        ("p.a.02", "account", "DU2"),
        ("p.a.02", "con_id", 5),
        ("p.c.01", "order_time", pd.Timestamp(at(0)).tz_localize(None)),
    ],
)
def test_a_word_that_decides_what_counts_shows(odd, fill_id, column, value):
    store = stored(odd)
    plant(store, fill_id, column, value)
    assert fields(store, running(odd))


def test_the_last_of_the_executions_of_one_second_is_the_venues_not_the_last_to_come():
    desk = Desk()
    for number, quantity, price in ((3, -10, 12), (1, 10, 10), (2, -5, 15)):
        desk.fill(f"0000e0d5.0000000{number}.01.01", quantity, price, strategy="ALPHA")
    assert desk.book().realized_pnl == 25 + 10
    assert fields(stored(desk), running(desk)) == set()
    store = stored(desk)
    plant(store, "0000e0d5.00000001.01.01", "fill_id", "0000e0d5.00000004.01.01")
    assert fields(store, running(desk))


def last_row(store, fill_id):
    frame = store.frames["fills", "ALPHA"]
    return frame[frame["fill_id"] == fill_id].iloc[-1]


def plant(store, fill_id, column, value):
    """Write into the last row of an execution."""
    frame = store.frames["fills", "ALPHA"].copy()
    store.frames["fills", "ALPHA"] = frame
    frame.iloc[frame["fill_id"].tolist()[::-1].index(fill_id) * -1 - 1, frame.columns.get_loc(column)] = value


@pytest.mark.parametrize("field", ["quantity", "open_cost", "realized_pnl", "fees_pending", "fills"])
def test_the_smallest_part_in_a_running_book_shows(desk, field):
    books = running(desk)
    key = ("ALPHA", "DU1", AAPL.con_id)
    more = 1 if field in {"fees_pending", "fills"} else Decimal("0.000001")
    books[key] = msgspec.structs.replace(books[key], **{field: getattr(books[key], field) + more})
    assert len(fields(stored(desk), books)) == 1


def test_a_book_that_is_missing_or_too_many_shows(desk):
    books = running(desk)
    del books["ALPHA", "DU1", ES.con_id]
    assert fields(stored(desk), books) == {"book"}
    books = running(desk)
    books["BETA", "DU1", 1] = msgspec.structs.replace(books["ALPHA", "DU1", AAPL.con_id], strategy="BETA")
    assert fields(stored(desk), books) == {"book"}


def test_what_was_booked_and_stored_while_it_was_compared_is_no_difference(desk):
    books, up_to = running(desk), desk.ledger.seq
    desk.fill("a.f.01", 7, "2000000000.01", strategy="ALPHA", t=8)
    desk.fill("a.g.01", 5, "17", strategy="ALPHA", instrument=MSFT, t=9)
    assert list(differences(stored(desk), books, up_to=up_to)) == []


def test_a_reconciled_table_that_was_made_while_it_was_compared_is_no_difference(desk):
    books, up_to = running(desk), desk.ledger.seq
    desk.fill("a.f.01", 7, "2000000000.01", strategy="ALPHA", t=8)
    store = stored(desk)
    store.frames["portfolio", "aggregated"] = store.frames["positions", "ALPHA"].assign(
        strategy="ALPHA", run_id="R-1", qty=lambda table: table["qty"] + 1
    )
    run = pd.DataFrame({"run_id": ["R-1"], "extra": ["{}"]}, index=pd.DatetimeIndex([desk.clock], name="recorded_at"))
    store.frames["reconciliations", "runs"] = run
    for made_at, shows in ((up_to, True), (desk.ledger.seq, False)):
        run["extra"] = json.dumps({"books_seq": made_at})
        assert any(row["where"] == "reconciled table" for row in differences(store, books, up_to=up_to)) == shows


def test_a_currency_that_only_contract_details_told_is_no_difference():
    desk = Desk()
    desk.fill("a.b.01", 10, 5, strategy="ALPHA", instrument=msgspec.structs.replace(AAPL, currency=""))
    desk.describe(AAPL)
    assert desk.book().cash == {"USD": -50}
    assert fields(stored(desk), running(desk)) == set()


# ------------------------------------------------------------------------- beside a process that writes


def behind(desk, earlier):
    """Fills as they are, positions as they were."""
    store = stored(desk)
    store.frames["positions", "ALPHA"] = earlier.frames["positions", "ALPHA"]
    return store


def told(store, now):
    return {(row["con_id"], row["field"]) for row in differences(store, now=now)}


def test_a_position_may_lack_the_fills_of_the_last_seconds_and_no_others(desk):
    earlier = stored(desk)
    desk.fill("a.f.01", 7, "2000000000.01", strategy="ALPHA", t=8)
    desk.fee("a.f.01", "1.11")
    desk.fill("a.g.01", 5, "17", strategy="ALPHA", instrument=MSFT, t=9)
    store = behind(desk, earlier)
    assert told(store, desk.clock + timedelta(seconds=5)) == set()
    assert {con_id for con_id, _ in told(store, desk.clock + timedelta(seconds=40))} == {AAPL.con_id, MSFT.con_id}


def test_a_cent_in_a_position_that_lacks_the_latest_fill_shows(desk):
    earlier = stored(desk)
    earlier.frames["positions", "ALPHA"].loc[lambda f: f["con_id"] == AAPL.con_id, "realized_pnl"] += 0.01
    desk.fill("a.f.01", 7, "2000000000.01", strategy="ALPHA", t=8)
    assert told(behind(desk, earlier), desk.clock + timedelta(seconds=5)) == {(AAPL.con_id, "realized_pnl")}


@pytest.mark.parametrize("shown", [True, False])
def test_a_book_whose_last_execution_was_moved_away_a_moment_ago_is_no_difference(desk, shown, monkeypatch):
    monkeypatch.setattr(signed, "_LAG_S", 0.0)  # the journal of assignments is not stored here
    earlier = stored(desk)
    entry = desk.entry("A-1", moves=[("a.d.01", "ALPHA", "BETA")], instrument=ES)
    desk.apply(msgspec.structs.replace(entry, received_at=desk.clock + timedelta(minutes=2)))
    store = behind(desk, earlier) if shown else stored(desk)
    found = told(store, desk.clock + timedelta(minutes=2, seconds=5))
    assert not [field for con_id, field in found if con_id == ES.con_id and "is missing" not in field]


def test_fills_that_a_table_of_this_moment_knows_are_waited_for(desk, monkeypatch):
    store = stored(desk)
    desk.fill("a.f.01", 7, "2000000000.01", strategy="ALPHA", t=8)
    ahead = stored(desk)
    late = ahead.frames["fills", "ALPHA"]
    ahead.frames["fills", "ALPHA"] = store.frames["fills", "ALPHA"]
    waited = []

    def wait(seconds):
        waited.append(seconds)
        ahead.frames["fills", "ALPHA"] = late

    monkeypatch.setattr(verify.time, "sleep", wait)
    assert told(ahead, desk.clock + timedelta(seconds=1)) == set()
    assert waited == [2.0]


def test_an_entry_of_which_only_the_legs_are_stored_yet_is_waited_for(monkeypatch):
    desk = Desk()
    entry = seal(desk.entry("A-1", ("ALPHA", 5, 10), ("UNASSIGNED", -5, 10)), "")
    desk.apply(entry)
    store = stored(desk)
    facts = store.frames.pop(("facts", "assignment"))

    def wait(_seconds):
        store.frames["facts", "assignment"] = facts
        store.append("assignments", "journal", *assignment_columns([(1, entry)], {"A-1": entry}.get), 1)

    monkeypatch.setattr(signed.time, "sleep", wait)
    assert not [row for row in differences(store) if row["where"].startswith("assignment journal")]


@pytest.mark.parametrize("column", ["qty", "price", "multiplier", "realized_pnl", "order_time"])
def test_a_row_that_lacks_what_none_is_without_is_named_and_its_book_differs(desk, column):
    store = stored(desk)
    frame = store.frames["fills", "ALPHA"]
    frame.iloc[-1, frame.columns.get_loc(column)] = None
    found = list(differences(store, running(desk)))
    named = [(row["where"], row["con_id"], row["field"]) for row in found if row["where"].startswith("stored fill ")]
    exec_id = frame["fill_id"].iloc[-1]
    assert named == [(f"stored fill {exec_id}", frame["con_id"].iloc[-1], column)]
    assert [row["field"] for row in found if row["where"] == "running engine"] == ["book"], "it was its only one"
