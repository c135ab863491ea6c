from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engine.recon.calendar import after_reset, in_reset_window, region_of, reset_window

NEW_YORK = ZoneInfo("America/New_York")


def new_york(day, hour, minute=0):
    return datetime(2026, 3, day, hour, minute, tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("region", "moment", "inside"),
    [
        ("america", new_york(10, 23, 44), False),
        ("america", new_york(10, 23, 45), True),
        ("america", new_york(11, 0, 44), True),
        ("america", new_york(11, 0, 45), False),
        ("europe", datetime(2026, 3, 11, 5, 50, tzinfo=ZoneInfo("Europe/Zurich")), True),
        ("america", datetime(2026, 3, 11, 5, 30, tzinfo=ZoneInfo("Europe/Zurich")), True),
        ("europe", datetime(2026, 3, 11, 5, 30, tzinfo=ZoneInfo("Europe/Zurich")), False),
        ("asia", datetime(2026, 3, 11, 20, 30, tzinfo=ZoneInfo("Asia/Hong_Kong")), True),
        ("asia", new_york(11, 16, 40), True),
    ],
)
def test_f130_daily_reset_windows_per_region(region, moment, inside):
    assert in_reset_window(moment.astimezone(UTC), region) is inside


def test_f130_the_weekend_window_lasts_from_friday_night_to_saturday_morning():
    assert in_reset_window(new_york(13, 23, 0))  # a Friday
    assert in_reset_window(new_york(14, 2, 59))
    assert not in_reset_window(new_york(14, 3, 0))
    assert in_reset_window(new_york(13, 23, 30), "asia")


def test_f130_the_window_follows_daylight_saving():
    winter = datetime(2026, 1, 13, 23, 50, tzinfo=NEW_YORK)
    summer = datetime(2026, 7, 14, 23, 50, tzinfo=NEW_YORK)
    assert winter.astimezone(UTC).hour != summer.astimezone(UTC).hour
    assert in_reset_window(winter.astimezone(UTC))
    assert in_reset_window(summer.astimezone(UTC))


def test_a_window_tells_when_it_ends():
    begin, end = reset_window(new_york(10, 23, 50).astimezone(UTC))
    assert end - begin == timedelta(hours=1)


def test_f131_three_hours_after_a_reset_are_known_as_such():
    assert after_reset(new_york(11, 3, 30))
    assert not after_reset(new_york(11, 12, 0))


@pytest.mark.parametrize(
    ("zone", "region"),
    [
        ("", "america"),
        ("America/Chicago", "america"),
        ("Europe/Berlin", "europe"),
        ("Asia/Tokyo", "asia"),
        ("MET", "america"),
    ],
)
def test_the_region_is_taken_from_the_login_zone(zone, region):
    assert region_of(zone) == region


def test_a_named_region_counts_before_the_zone_and_a_gateway_that_is_not_ibs_never_resets():
    saturday = datetime(2026, 11, 28, 1, 30, tzinfo=ZoneInfo("America/New_York"))
    assert region_of("America/Chicago", "asia") == "asia"
    assert reset_window(saturday, region_of("", "europe")) is not None
    assert region_of("Europe/Berlin", "none") is None
    assert reset_window(saturday, region_of("", "none")) is None
    assert not after_reset(saturday, None)
