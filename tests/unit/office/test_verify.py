"""A planted cent shows, wherever it is planted."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pandas as pd
import pytest

from engine.office.verify import differences
from engine.storage.rows import position_columns, position_row
from tests.property.lost_journal import store_of
from tests.unit.state.kit import AAPL, ES, EURCHF, MSFT, Desk

CENT = Decimal("0.01")


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
    rows = [position_row(p, desk.ledger.instrument(p.instrument_key)) for p in desk.ledger.positions("ALPHA")]
    store.write("positions", "ALPHA", position_columns(rows), [desk.clock] * len(rows), desk.ledger.seq)
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
