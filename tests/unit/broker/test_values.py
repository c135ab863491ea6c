"""Numbers, times and texts as IB means them."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, FloatOperation, Inexact, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.broker.values import decimal_of, name_of, parse_time, text_of, whole_of
from engine.errors import Unreadable

THE_INSTANT = datetime(2023, 12, 14, 20, 57, 37, tzinfo=UTC)


class FloatOfAnotherLibrary(float):
    """numpy's floats are a subclass, too."""


class IntegerOfAnotherLibrary:
    def __init__(self, number):
        self.number = number

    def __index__(self):
        return self.number


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "0.1"),
        (100.0, "100"),
        (-0.0, "0"),
        (1e16, "10000000000000000"),
        (1.1404, "1.1404"),
        (7, "7"),
        (Decimal("0.30"), "0.30"),
        ("187.25", "187.25"),
        (" -1143.28313142 ", "-1143.28313142"),
        (FloatOfAnotherLibrary(0.1), "0.1"),
        (IntegerOfAnotherLibrary(5), "5"),
    ],
)
def test_a_number_is_read_by_its_shortest_text(value, expected):
    assert decimal_of(value) == Decimal(expected)


@pytest.mark.parametrize(
    "unset",
    [
        None,
        "",
        "  ",
        1.7976931348623157e308,
        "1.7976931348623157E308",
        -1.7976931348623157e308,
        1e300,
        float("nan"),
        float("inf"),
        float("-inf"),
        "nan",
        "Infinity",
        2147483647,
        9223372036854775807,
        "2147483647",
        "9223372036854775807",
        "170141183460469231731687303715884105727",
        1.7014118346046923e38,
        9.223372036854775807e18,
        Decimal("NaN"),
        Decimal("1E+301"),
    ],
)
def test_what_ib_sends_for_not_set_is_none_never_a_number_f36_r28(unset):
    assert decimal_of(unset) is None


@pytest.mark.parametrize("wrong", ["abc", "1,000", "1" * 65, True, [], {}, object(), 1e-40, "1e-40", 2**64])
def test_what_is_no_number_is_unreadable(wrong):
    with pytest.raises(Unreadable):
        decimal_of(wrong)


@given(st.floats(min_value=-1e12, max_value=1e12).filter(lambda f: f == 0 or abs(f) > 1e-20))
def test_every_float_comes_back_exactly_from_its_decimal_f85(number):
    assert float(decimal_of(number)) == number


def test_ten_thousand_fills_of_a_tenth_are_a_thousand_f85_r29():
    assert sum((decimal_of(0.1) for _ in range(10_000)), Decimal(0)) == Decimal(1000)


@pytest.mark.parametrize(
    ("value", "expected"), [(7, 7), ("7", 7), (7.0, 7), ("", 0), (None, 0), (2147483647, 0), (-1, -1)]
)
def test_an_id_that_is_not_set_is_zero(value, expected):
    assert whole_of(value) == expected


@pytest.mark.parametrize("wrong", ["x", 7.5, 2**70, "9" * 30])
def test_what_is_no_id_is_unreadable(wrong):
    with pytest.raises(Unreadable):
        whole_of(wrong)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("20231214-20:57:37", "America/New_York"),
        ("20231214-20:57:37", ""),
        ("20231214 15:57:37 US/Eastern", ""),
        ("20231214 15:57:37 America/New_York", "Asia/Tokyo"),
        ("20231214  15:57:37", "America/New_York"),
        ("20231214 15:57:37", "America/New_York"),
        ("20231214 21:57:37 MET", ""),
        ("2023-12-14T20:57:37Z", ""),
        ("2023-12-14T15:57:37-05:00", ""),
        (datetime(2023, 12, 14, 20, 57, 37, tzinfo=UTC), ""),
        (datetime(2023, 12, 14, 15, 57, 37, tzinfo=timezone(timedelta(hours=-5))), ""),
        (datetime(2023, 12, 14, 15, 57, 37), "America/New_York"),  # noqa: DTZ001 - a time without a zone
    ],
)
def test_each_form_of_a_time_gives_the_same_instant_f27_f28(text, zone):
    assert parse_time(text, zone) == (THE_INSTANT, False)


def test_an_unknown_zone_gives_no_time_but_says_that_it_is_uncertain_f29():
    assert parse_time("20231214 20:57:37 XYZ", "America/New_York") == (None, True)
    assert parse_time("20231214 20:57:37 PST") == (None, True)
    assert parse_time("20231214 20:57:37 ../../etc/passwd") == (None, True)
    assert parse_time("20231214 20:57:37 America") == (None, True)


def test_a_time_without_zone_is_uncertain_while_no_zone_is_configured_f31():
    assert parse_time("20231214 20:57:37") == (THE_INSTANT, True)


@pytest.mark.parametrize("nothing", [None, "", datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1)])  # noqa: DTZ001
def test_no_time_and_the_default_of_the_libraries_are_unknown(nothing):
    assert parse_time(nothing) == (None, False)


@pytest.mark.parametrize(
    "wrong",
    ["yesterday", "20231399 20:57:37", "2" * 200, 20231214, datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))],
)
def test_a_time_that_makes_no_sense_is_uncertain(wrong):
    assert parse_time(wrong) == (None, True)


def test_a_text_is_cut_and_half_characters_are_written_out():
    assert text_of("a" * 2000) == "a" * 1024
    assert text_of("gr\u00fcn \ud800") == "gr\u00fcn \\ud800"
    assert text_of(None) == ""
    assert text_of(12) == "12"
    with pytest.raises(Unreadable):
        text_of([])


@pytest.mark.parametrize("wrong", ["", "   ", None, 7, "x" * 201])
def test_a_name_must_be_there_and_is_never_cut(wrong):
    with pytest.raises(Unreadable, match="strategy"):
        name_of(wrong, "strategy")


def test_an_amount_that_a_float_may_be_does_not_make_the_unset_whole_number_one():
    assert decimal_of(float(2**31 - 1)) == 2**31 - 1
    assert decimal_of(2**31 - 1) is None
    assert decimal_of(float(2**31 - 1)) == 2**31 - 1


def test_a_number_read_before_is_the_same_number_whatever_its_type():
    for value in (0.0, -0.0, 5.0, 1e14, 0.1, 2.5):
        assert decimal_of(value) == Decimal(repr(value))
        assert decimal_of(value) is decimal_of(value)
    assert (decimal_of(5), decimal_of(5.0), decimal_of(-5), decimal_of(10**15)) == (5, 5, -5, 10**15)


@pytest.mark.parametrize(
    ("text", "instant", "uncertain"),
    [
        ("20261101 00:59:59 US/Eastern", (4, 59), False),
        ("20261101 01:30:00 US/Eastern", (5, 30), True),
        ("20261101 02:00:00 US/Eastern", (7, 0), False),
        ("20260308 02:30:00 US/Eastern", (7, 30), True),
    ],
)
def test_the_hour_that_comes_twice_or_never_is_uncertain_f27_f31(text, instant, uncertain):
    for found in (parse_time(text), parse_time(text.removesuffix(" US/Eastern"), "US/Eastern")):
        assert (found[0].hour, found[0].minute) == instant
        assert found[1] is uncertain


def test_a_callers_context_that_forbids_rounding_forbids_no_number_f85():
    with localcontext() as context:
        context.prec = 4
        context.traps[Inexact] = context.traps[FloatOperation] = True
        assert decimal_of("1143.28313142") == Decimal("1143.28313142")
        assert decimal_of(1143.25) == Decimal("1143.25")
