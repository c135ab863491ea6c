import math
from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest

from dashboard import theme


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "+1,234.50 USD"),
        (-0.004, "0.00 USD"),
        (-7.0, "−7.00 USD"),
        (0.0, "0.00 USD"),
        (None, "—"),
        (math.nan, "—"),
    ],
)
def test_money_is_signed_and_unknown_is_a_dash(value, text):
    assert theme.money_text(value, "USD") == text


@pytest.mark.parametrize(
    ("value", "text"), [(50.0, "+50"), (-0.25, "−0.25"), (0.0, "0"), (1e6, "+1,000,000"), (None, "—")]
)
def test_a_quantity_has_the_decimals_it_needs(value, text):
    assert theme.quantity_text(value) == text


def test_a_sum_with_unknown_parts_says_so():
    total, unknown = theme.partial_sum([1.0, math.nan, 2.5])
    assert (total, unknown) == (3.5, 1)
    assert theme.partial_text(total, unknown) == "+3.50 + ?"
    assert theme.partial_text(*theme.partial_sum([])) == "—"


def test_a_time_is_written_in_utc_and_says_so():
    at = datetime(2026, 3, 4, 7, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert theme.time_text(at) == "2026-03-04 12:30:00 UTC"
    assert theme.time_text(None) == theme.time_text(pd.NaT) == "—"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.061, "61 ms"), (12, "12 s"), (150, "2 min 30 s"), (5400, "1 h 30 min"), (None, "—")]
)
def test_durations_read_well(seconds, text):
    assert theme.duration_text(seconds) == text


def test_texts_are_escaped_for_html():
    assert theme.escape("<img src=x onerror='x'>&\"") == "&lt;img src=x onerror=&#x27;x&#x27;&gt;&amp;&quot;"
