"""Stored rows as columns of exact numbers: the same that a record of each row says."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.events import Fill
from engine.core.instrument import Instrument
from engine.core.records import FillRecord
from engine.errors import StoreDamaged
from engine.state.fold import current, fold, last_words, recount
from engine.storage.lines import COLUMNS, FillLines, fill_lines
from engine.storage.rows import fill_columns
from engine.storage.schema import FILLS, build_frame, localize
from engine.storage.unrows import fill_records

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
STOCK = Instrument(con_id=1, symbol="VOD", currency="GBP")
PAIR = Instrument(con_id=2, symbol="EUR", sec_type="CASH", currency="CHF")
OPTION = Instrument(con_id=3, symbol="SPX", sec_type="OPT", currency="USD", multiplier=Decimal(100), strike=Decimal(7))
BOND = Instrument(con_id=4, symbol="T", sec_type="BOND", currency="USD")

WHOLE = st.integers(-(10**6), 10**6).map(Decimal)
CENTS = st.decimals("-99999", "99999", places=2)
FINE = st.decimals("-5000", "5000", places=13)  # more digits after the point than a column is tried with
LONG = st.builds(lambda n, e: Decimal(n).scaleb(-e), st.integers(-(10**34), 10**34), st.integers(0, 40))
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: Decimal(repr(value)))
NUMBERS = st.one_of(WHOLE, CENTS, CENTS, FINE, LONG, FLOATS)


def record(n, quantity, price, **rest):
    instrument = rest.pop("instrument", STOCK)
    reported = rest.pop("reported", (quantity, price))
    fill = Fill(
        received_at=T0,
        account=rest.pop("account", "DU1"),
        exec_id=rest.pop("exec_id", f"0000e0d5.{n:08x}.01.01"),
        instrument=instrument,
        quantity=reported[0],
        price=reported[1],
        executed_at=T0,
        source=rest.pop("source", "live"),
    )
    facts = {"state": "active", "multiplier": instrument.multiplier, "magnifier": None, "order_time": T0}
    facts |= {"realized_pnl": Decimal(0), "seq": n, "first_seq": n, "recorded_at": T0}
    return FillRecord(**facts | {"strategy": "S", "fill": fill, "quantity": quantity, "unit_price": price} | rest)


def stored(records):
    return localize(build_frame(FILLS, *fill_columns(records))).copy()  # some columns are one array


def numbers(column):
    return [None if whole is None else Fraction(whole, 10**column.places) for whole in column.whole]


@st.composite
def histories(draw):
    found = []
    for n in range(draw(st.integers(1, 12))):
        quantity, price = draw(NUMBERS), draw(NUMBERS)
        rest = {
            "instrument": draw(st.sampled_from((STOCK, PAIR, OPTION, BOND))),
            "account": draw(st.sampled_from(("DU1", "DU2"))),
            "state": draw(st.sampled_from(("active", "active", "busted", "superseded", "moved"))),
            "magnifier": draw(st.sampled_from((None, 1, 100, 7))),
            "source": draw(st.sampled_from(("live", "flex"))),
            "commission": draw(st.none() | NUMBERS),
            "commission_currency": draw(st.sampled_from(("USD", "EUR"))),
            "realized_pnl": draw(NUMBERS),
            "order_time": T0
            + timedelta(days=draw(st.sampled_from((0, 0, 1, 10**6))), microseconds=draw(st.integers(0, 2))),
            "exec_id": f"0000e0d5.{draw(st.integers(1, 6)):08x}.01.0{draw(st.integers(1, 3))}",
            "multiplier": draw(st.sampled_from((Decimal(1), Decimal("0.1"), Decimal(100), Decimal(10) / 7))),
        }
        if draw(st.booleans()):
            rest["reported"] = draw(NUMBERS), draw(NUMBERS)
        found.append(record(n, quantity, price, **rest))
    return found


@given(histories())
def test_every_number_and_time_is_the_one_that_a_record_of_the_row_has(records):
    frame = stored(records)
    (found,) = fill_lines(frame[list(COLUMNS)], "S")
    lines = found.lines
    told = sorted(current(fill_records(frame, "S")), key=lambda r: lines.seq.index(r.seq))
    assert list(lines.seq) == [r.seq for r in told]
    for column, wanted in (
        (lines.quantity, [r.quantity for r in told]),
        (lines.unit_price, [r.unit_price for r in told]),
        (lines.multiplier, [r.multiplier for r in told]),
        (lines.commission, [r.commission for r in told]),
        (found.realized, [r.realized_pnl for r in told]),
    ):
        assert numbers(column) == [None if value is None else Fraction(value) for value in wanted]
    since = datetime(1970, 1, 1, tzinfo=UTC)
    assert [since + timedelta(microseconds=us) for us in lines.order_us] == [r.order_time for r in told]


@given(histories())
def test_the_books_are_those_that_records_of_the_rows_make(records):
    frame = stored(records)
    for at_once in (1, 4, 10_000):
        found = {}
        for piece in fill_lines(frame, "S", at_once):
            books = recount(piece.lines)
            assert not books.keys() & found.keys(), "a book stands in two pieces"
            assert len(piece.lines.seq) <= at_once or len(set(piece.lines.keys())) == 1
            found |= books
        assert found == fold(fill_records(frame, "S"))


@given(histories())
def test_what_counts_otherwise_than_it_was_reported_is_told_and_nothing_else(records):
    (found,) = fill_lines(stored(records), "S")
    told = {found.lines.seq[row]: (reported, counts) for row, reported, counts in found.misreported()}
    odd = {}
    for r in current(records):
        counts = {"qty": r.quantity, "price": Fraction(r.unit_price) * (r.magnifier or 1)}
        reported = {"qty": r.fill.quantity, "price": r.fill.price}
        if r.state == "active" and counts != reported:
            odd[r.seq] = (reported, counts)
    assert told == odd


@pytest.mark.parametrize(("source", "magnifier"), [("live", 100), ("flex", 100), ("live", None), ("flex", 0)])
def test_pence_that_count_as_they_were_quoted_are_not_told(source, magnifier):
    pence = [
        record(n, Decimal(5), Decimal(n) / 100, magnifier=magnifier, reported=(Decimal(5), price), source=source)
        for n, price in enumerate([Decimal(0), Decimal(1), Decimal(2), Decimal(4)])
    ]
    half = record(4, Decimal("4.5"), Decimal("0.04"), magnifier=100, reported=(Decimal(5), Decimal(4)), source=source)
    (found,) = fill_lines(stored([*pence, half]), "S")
    assert [row for row, *_ in found.misreported()] == ([3, 4] if magnifier == 100 else [1, 2, 3, 4])


def test_a_magnifier_that_a_text_tells_goes_before_the_columns():
    frame = stored([record(0, Decimal(5), Decimal("0.01"), magnifier=100, reported=(Decimal(5), Decimal(1)))])
    for text, told in (("", [0]), ('{"magnifiers":[100,null]}', [])):
        (found,) = fill_lines(frame.assign(magnifier=10, exact=text), "S")
        assert [row for row, *_ in found.misreported()] == told


@pytest.mark.parametrize("row", [0, 1])  # of which the second replaced the first
@pytest.mark.parametrize("column", ["qty", "price", "multiplier", "realized_pnl", "reported_qty", "quoted_price"])
def test_a_row_without_a_number_that_no_execution_is_without_is_refused(column, row):
    frame = stored([record(n, Decimal(1), Decimal(1), exec_id=f"a.{n // 2}.0{n}") for n in range(4)])
    frame.iloc[row, frame.columns.get_loc(column)] = np.nan
    with pytest.raises(StoreDamaged, match=f"no {column}"):
        list(fill_lines(frame, "S"))


def test_a_row_without_a_time_is_refused():
    frame = stored([record(n, Decimal(1), Decimal(1)) for n in range(3)])
    frame.iloc[1, frame.columns.get_loc("order_time")] = pd.NaT
    with pytest.raises(StoreDamaged, match="no order_time"):
        list(fill_lines(frame, "S"))


def test_rows_of_nothing_are_no_lines():
    assert list(fill_lines(stored([record(0, Decimal(1), Decimal(1))]).iloc[:0], "S")) == []


def test_of_records_of_one_number_the_last_in_order_is_the_last_word():
    assert last_words("AAB", ["x.01", "x.01", "x.01"], [5, 5, 5]) == [1, 2]
    assert last_words("AAA", ["x.02", "x.01", "y.01"], [5, 6, 7]) == [0, 2]
    assert last_words("ABAA", ["x.01", "y.01", "x.02", "x.03"], range(4)) == [3, 1], "in the order of first appearance"


def test_an_amount_in_no_known_unit_is_the_one_that_its_text_tells():
    made = record(0, Decimal(1), Decimal(1), instrument=BOND, realized_pnl=Decimal("3.3"))
    frame = stored([made, record(1, Decimal(1), Decimal(1))])
    assert np.isnan(frame["realized_pnl"].iloc[0])
    assert numbers(FillLines(frame, "S").realized) == [Fraction("3.3"), 0]
