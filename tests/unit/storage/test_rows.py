"""Records to columns and back: exact, typed, in the contract's shape."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.events import (
    AssignmentLeg,
    AssignmentMade,
    AssignmentReversed,
    ExecutionMove,
    Fill,
    OrderUpdate,
    RateSeen,
)
from engine.core.instrument import Instrument
from engine.core.records import FillRecord, OrderRecord, PositionRecord
from engine.storage.rows import (
    assignment_columns,
    columns_of,
    fact_columns,
    fill_columns,
    order_columns,
    position_columns,
    position_row,
    survives,
)
from engine.storage.schema import (
    ASSIGNMENTS,
    BREAKS,
    DTYPES,
    FACTS,
    FILLS,
    LIBRARIES,
    ORDERS,
    POSITIONS,
    Table,
    build_frame,
    localize,
    table_for,
    times,
)
from engine.storage.unrows import fill_records, order_records, stored_facts

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)

CONTRACT = [
    (
        FILLS,
        (
            "fill_id order_ref symbol qty price timestamp account con_id local_symbol sec_type currency"
            " multiplier exchange side perm_id order_id client_id commission commission_currency"
            " commission_status ib_realized_pnl realized_pnl source supersedes"
        ),
    ),
    (
        ORDERS,
        (
            "order_ref symbol side qty status timestamp account con_id perm_id order_id client_id order_type"
            " limit_price filled remaining avg_fill_price message"
        ),
    ),
    (
        POSITIONS,
        (
            "symbol qty avg_cost realized_pnl unrealized_pnl account con_id local_symbol sec_type currency"
            " multiplier commission market_price timestamp"
        ),
    ),
    (
        table_for("portfolio", "DU1/ES"),
        (
            "symbol account con_id local_symbol sec_type currency strategy qty avg_cost realized_pnl"
            " unrealized_pnl broker_qty broker_avg_cost residual_qty status run_id timestamp"
        ),
    ),
    (table_for("reconciliations", "runs"), "run_id status accounts positions breaks duration_ms reason"),
    (ASSIGNMENTS, "assignment_id account con_id strategy qty price operator reason reverses"),
]

moments = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds it
far_moments = st.datetimes(timezones=st.just(UTC))
money = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal(-(10**30)), max_value=Decimal(10**30))
prices = st.one_of(money, st.floats(-1e9, 1e9).map(lambda x: Decimal(repr(x))))
text = st.text(max_size=12)
whole = st.integers(0, 2**62)
instruments = st.builds(
    Instrument,
    con_id=whole,
    symbol=text,
    sec_type=text,
    currency=text,
    local_symbol=text,
    exchange=text,
    multiplier=money,
    price_magnifier=st.one_of(st.none(), st.integers(0, 10000)),
    expiry=text,
    strike=st.none() | prices,
    right=text,
    under_con_id=whole,
    trading_class=text,
)
fills = st.builds(
    Fill,
    received_at=moments,
    account=text,
    exec_id=text,
    instrument=instruments,
    quantity=prices,
    price=prices,
    executed_at=st.none() | far_moments,
    time_text=text,
    strategy=st.sampled_from([None, "ALPHA", "BETA", ""]),
    order_ref=text,
    perm_id=whole,
    order_id=whole,
    client_id=whole,
    exchange=text,
    cum_quantity=st.none() | prices,
    avg_price=st.none() | prices,
    liquidation=st.booleans(),
    provisional_price=st.booleans(),
    source=st.sampled_from(["live", "replay", "flex", "assignment"]),
)
fill_rows = st.builds(
    FillRecord,
    seq=whole,
    recorded_at=moments,
    strategy=st.just("ALPHA"),
    fill=fills,
    state=st.sampled_from(["active", "superseded", "busted", "moved", "reversed", "group"]),
    quantity=prices,
    unit_price=prices,
    multiplier=money,
    magnifier=st.one_of(st.none(), st.integers(1, 10000)),
    order_time=far_moments,
    first_seq=whole,
    supersedes=text,
    commission=st.none() | prices,
    commission_currency=text,
    commission_status=st.sampled_from(["pending", "final"]),
    ib_realized_pnl=st.none() | prices,
    realized_pnl=prices,
    reason=text,
)
updates = st.builds(
    OrderUpdate,
    received_at=moments,
    account=text,
    perm_id=whole,
    order_id=whole,
    client_id=whole,
    strategy=st.sampled_from([None, "ALPHA", "BETA"]),
    order_ref=text,
    instrument=st.none() | instruments,
    side=text,
    quantity=st.none() | prices,
    order_type=text,
    limit_price=st.none() | prices,
    stop_price=st.none() | prices,
    tif=text,
    parent_id=whole,
    oca_group=text,
    status=text,
    filled=st.none() | prices,
    remaining=st.none() | prices,
    avg_fill_price=st.none() | prices,
    why_held=text,
    message=text,
    error_code=whole,
    status_at=st.none() | far_moments,
    local=st.booleans(),
    source=st.sampled_from(["live", "open", "completed", "error"]),
)
order_rows = st.builds(
    OrderRecord,
    seq=whole,
    recorded_at=moments,
    strategy=st.just("ALPHA"),
    order_key=text,
    update=updates,
    status=text,
    filled=st.none() | prices,
    remaining=st.none() | prices,
    avg_fill_price=st.none() | prices,
    message=text,
    state=text,
    is_open=st.booleans(),
)


def stored(table: Table, columns, index):
    made = index if isinstance(index, np.ndarray) else times(index)
    return localize(build_frame(table, columns, made))


@pytest.mark.parametrize(("table", "names"), CONTRACT, ids=[table.name for table, _ in CONTRACT])
def test_every_column_of_the_contract_is_stored_first_and_in_its_order(table, names):
    promised = names.split()
    assert list(table.columns)[: len(promised)] == promised


def test_every_table_builds_an_empty_frame_with_its_dtypes_and_an_index_in_utc():
    tables = [t for found in LIBRARIES.values() for t in (found.values() if isinstance(found, dict) else [found])]
    for table in tables:
        frame = build_frame(table, {}, times([]))
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
            n: DTYPES[k] for n, k in table.columns.items()
        }
        assert str(frame.index.dtype) == "datetime64[ns, UTC]"
        assert frame.index.name == "recorded_at"


@given(st.lists(fill_rows, max_size=4))
@settings(max_examples=150)
def test_fill_records_come_back_exactly(records):
    columns, index = fill_columns(records)
    assert fill_records(stored(FILLS, columns, index), "ALPHA") == records


@given(st.lists(order_rows, max_size=4))
def test_order_records_come_back_exactly(records):
    columns, index = order_columns(records)
    assert order_records(stored(ORDERS, columns, index), "ALPHA") == records


@given(money)
def test_what_is_said_to_survive_a_float_does(value):
    assert survives(value) == (Decimal(repr(float(value))) == value)


@given(st.decimals(min_value=-1, max_value=1, places=14))
def test_fifteen_digits_always_survive_a_float(value):
    assert survives(value)


@given(st.lists(st.none() | far_moments, max_size=5))
def test_times_are_exact_to_the_microsecond_or_unknown(values):
    found = pd.DatetimeIndex(times(values), tz="UTC")
    for value, stamp in zip(values, found, strict=True):
        if value is None or not 1678 <= value.year < 2262:
            assert stamp is pd.NaT
        else:
            assert stamp.to_pydatetime(warn=False) == value


def record(**changes) -> FillRecord:
    instrument = Instrument(con_id=1, symbol="ES", sec_type="FUT", multiplier=Decimal(50), currency="USD")
    made = Fill(
        received_at=T0,
        account="DU1",
        exec_id="a.b.01.02",
        instrument=instrument,
        quantity=Decimal(-2),
        price=Decimal("4500.25"),
    )
    values = {
        "seq": 7,
        "recorded_at": T0,
        "strategy": "ALPHA",
        "fill": made,
        "state": "active",
        "quantity": Decimal(-2),
    }
    values |= {"unit_price": Decimal("4500.25"), "multiplier": Decimal(50), "magnifier": None, "order_time": T0}
    return FillRecord(**(values | {"first_seq": 5, "realized_pnl": Decimal(0)} | changes))


def test_unknown_is_nan_nat_or_empty_text_and_never_zero():
    row = stored(FILLS, *fill_columns([record()])).iloc[0]
    assert np.isnan(row["commission"])
    assert np.isnan(row["ib_realized_pnl"])
    assert row["timestamp"] is pd.NaT
    assert row["supersedes"] == ""
    assert row["realized_pnl"] == 0.0


def test_a_fill_row_says_what_counts_and_what_was_reported():
    row = stored(FILLS, *fill_columns([record(state="moved", quantity=Decimal(0))])).iloc[0]
    assert (row["qty"], row["reported_qty"], row["side"], row["revision"], row["first_seq"]) == (
        0.0,
        -2.0,
        "SELL",
        2,
        5,
    )


def test_exact_text_stands_only_where_a_float_cannot_carry_the_value():
    columns, _ = fill_columns([record(), record(realized_pnl=Decimal("12345678901234567.89"))])
    assert columns["exact"][0] == ""
    assert json.loads(columns["exact"][1]) == {"realized_pnl": "12345678901234567.89"}


def test_what_contract_details_said_of_a_magnifier_takes_no_text_in_a_row_and_old_rows_that_have_it_read_alike():
    told = record(magnifier=1)
    frame = stored(FILLS, *fill_columns([told]))
    assert frame["exact"].iloc[0] == ""
    assert fill_records(frame, "ALPHA") == [told]
    frame["exact"] = json.dumps({"magnifiers": [1, None]})
    assert fill_records(frame, "ALPHA") == [told]


def test_an_assignments_leg_keeps_the_magnifier_of_its_instrument():
    pence = record(magnifier=100)
    leg = msgspec.structs.replace(pence.fill, source="assignment")
    leg = msgspec.structs.replace(leg, instrument=msgspec.structs.replace(leg.instrument, price_magnifier=100))
    for kept in (pence, msgspec.structs.replace(pence, fill=leg)):
        assert fill_records(stored(FILLS, *fill_columns([kept])), "ALPHA") == [kept]


@pytest.mark.parametrize("message", ["", "held"])
@pytest.mark.parametrize("remaining", [None, Decimal(3)])
@pytest.mark.parametrize("reported", [None, Decimal(5)])
def test_a_row_that_executions_made_keeps_what_the_broker_did_not_say_of_its_order(reported, remaining, message):
    update = OrderUpdate(received_at=T0, account="DU1", perm_id=7, strategy="ALPHA", filled=reported)
    kept = OrderRecord(
        seq=3,
        recorded_at=T0,
        strategy="ALPHA",
        order_key="PDU1:7",
        update=msgspec.structs.replace(update, instrument=Instrument(con_id=1, symbol="A"), message=message),
        status="PartiallyFilled",
        filled=Decimal(5),
        remaining=remaining,
        avg_fill_price=Decimal(10),
        message=message,
        state="PartiallyFilled",
    )
    frame = stored(ORDERS, *order_columns([kept]))
    said = {"reported_filled": None} if reported is None else {}
    said |= {} if remaining is None else {"reported_remaining": None}
    assert json.loads(frame["exact"].iloc[0]) == {**said, "reported_avg_price": None}
    assert order_records(frame, "ALPHA") == [kept]


def test_a_trading_class_is_read_from_its_column_and_from_where_older_rows_have_it():
    made = Instrument(con_id=1, symbol="ES", sec_type="FUT", currency="USD", trading_class="ES")
    update = OrderUpdate(
        received_at=T0, account="DU1", perm_id=7, instrument=made, status="Submitted", strategy="ALPHA"
    )
    kept = OrderRecord(
        seq=3,
        recorded_at=T0,
        strategy="ALPHA",
        order_key="PDU1:7",
        update=update,
        status="Submitted",
        filled=None,
        remaining=None,
        avg_fill_price=None,
    )
    frame = stored(ORDERS, *order_columns([kept]))
    assert (frame["trading_class"].iloc[0], frame["exact"].iloc[0]) == ("ES", "")
    read = order_records(frame, "ALPHA")
    frame["trading_class"], frame["exact"] = "", json.dumps({"trading_class": "ES"})
    assert read == order_records(frame, "ALPHA")
    assert read[0].update == update


def test_a_position_row_keeps_fees_and_cash_of_every_currency():
    book = PositionRecord(
        strategy="ALPHA",
        account="DU1",
        instrument_key=1,
        quantity=Decimal(10),
        open_cost=Decimal(1000),
        avg_cost=Decimal(100),
        realized_pnl=Decimal("3.5"),
        fees={"USD": Decimal("1.05"), "EUR": Decimal("0.5")},
        fees_pending=1,
        cash={"USD": Decimal(-1000)},
        fills=2,
        last_fill_at=T0,
        seq=9,
    )
    instrument = Instrument(con_id=1, symbol="AAPL", currency="USD")
    row = stored(POSITIONS, position_columns([position_row(book, instrument)]), [T0]).iloc[0]
    assert (row["qty"], row["avg_cost"], row["commission"], row["commission_currency"]) == (10.0, 100.0, 1.05, "USD")
    assert json.loads(row["fees"]) == {"USD": "1.05", "EUR": "0.5"}
    assert np.isnan(row["unrealized_pnl"])
    assert row["timestamp"] == pd.Timestamp(T0)


def test_a_position_of_an_unknown_instrument_with_pending_fees_has_an_unknown_commission():
    book = PositionRecord(
        strategy="ALPHA", account="DU1", instrument_key=4, quantity=Decimal(0), open_cost=Decimal(0), avg_cost=None,
        realized_pnl=Decimal(0), fees={}, fees_pending=2, cash={}, fills=2, last_fill_at=None, seq=1,
    )  # fmt: skip
    row = position_row(book, None)
    assert row["commission"] is None
    assert row["con_id"] == 4


def test_the_assignment_journal_has_a_row_per_leg_move_and_reversal():
    instrument = Instrument(con_id=1, symbol="AAPL", currency="USD")
    made = AssignmentMade(
        received_at=T0, assignment_id="A1", account="DU1", instrument=instrument, operator="ann", reason="manual",
        effective_at=T0,
        legs=(AssignmentLeg(strategy="ALPHA", quantity=Decimal(30), price=Decimal("1.5")),),
        moves=(ExecutionMove(exec_id="x.01", from_strategy="UNASSIGNED", to_strategy="BETA"),),
    )  # fmt: skip
    back = AssignmentReversed(
        received_at=T0 + timedelta(hours=1), reversal_id="R1", assignment_id="A1", operator="bob", reason="oops"
    )
    columns, index = assignment_columns([(3, made), (4, back)], {"A1": made}.get)
    frame = stored(ASSIGNMENTS, columns, index)
    assert frame["kind"].tolist() == ["leg", "move", "reversal"]
    assert frame["assignment_id"].tolist() == ["A1", "A1", "R1"]
    assert frame["reverses"].tolist() == ["", "", "A1"]
    assert frame["strategy"].tolist() == ["ALPHA", "BETA", ""]
    assert frame["account"].tolist() == ["DU1"] * 3
    assert frame["operator"].tolist() == ["ann", "ann", "bob"]
    assert frame["qty"].iloc[0] == 30.0
    assert np.isnan(frame["qty"].iloc[1])


def test_facts_come_back_from_their_rows():
    fact = RateSeen(received_at=T0, account="DU1", currency="EUR", base="USD", rate=Decimal("1.0823"), at=T0)
    frame = stored(FACTS, *fact_columns([(12, fact)]))
    assert stored_facts(frame) == [(12, fact)]
    assert frame["kind"].tolist() == ["rate"]


def test_what_a_table_has_no_column_for_is_kept_in_extra_or_refused():
    columns = columns_of(BREAKS, [{"break_id": "DU1:1", "mood": "odd"}])
    assert json.loads(columns["extra"][0]) == {"mood": "odd"}
    with pytest.raises(ValueError, match="no column mood"):
        columns_of(FILLS, [{"mood": "odd"}])
    with pytest.raises(ValueError, match="no column mood"):
        build_frame(FILLS, {"mood": [1]}, times([T0]))
    with pytest.raises(ValueError, match="has 2 rows"):
        build_frame(FILLS, {"qty": [1.0, 2.0]}, times([T0]))
