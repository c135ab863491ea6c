"""A column is the same whether its rows share their objects or each has its own."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.storage.columns import Numbers, Times

LONG = Decimal("0.12345678901234567890")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = [None, Decimal(0), Decimal("-12.5"), Decimal("1E+3"), LONG, Decimal("1e400")]
ANYTIME = st.datetimes(
    EPOCH.replace(year=1700, tzinfo=None), EPOCH.replace(year=2261, tzinfo=None), timezones=st.just(UTC)
)


@given(st.lists(st.sampled_from(EXACT), min_size=1))
def test_numbers_of_their_own_are_converted_as_shared_ones_are(values):
    shared, own = Numbers(), Numbers()
    one = shared.column([*values, *values, *values])[: len(values)]
    other = own.column([None if value is None else Decimal(str(value)) for value in values])
    assert np.array_equal(one, other, equal_nan=True)
    odd = {row for row, value in enumerate(values) if value in {LONG, Decimal("1e400")}}
    assert {row for row in shared.odd if row < len(values)} == own.odd == odd


@given(st.lists(st.none() | ANYTIME, min_size=1))
def test_times_far_and_near_are_exact_and_unknown_ones_stay_unknown(values):
    moments = Times()
    made = moments.column(values)
    for value, found in zip(values, made, strict=True):
        assert (
            np.isnat(found) if value is None else EPOCH + timedelta(microseconds=int(found.view("i8")) // 1000) == value
        )
    assert moments.column(list(values)) is made
    assert not moments.odd


def test_a_time_that_the_store_cannot_hold_is_noted_in_its_row():
    moments = Times()
    near, far = datetime(2026, 3, 2, 15, 0, 0, 1, tzinfo=UTC), datetime(1500, 1, 1, tzinfo=UTC)
    assert np.isnat(moments.column([near, far, None])).tolist() == [False, True, True]
    assert np.isnat(moments.column([near, near, near])).tolist() == [False] * 3
    assert moments.odd == {1}
