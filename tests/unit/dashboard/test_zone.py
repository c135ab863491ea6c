"""Times in the zone that somebody chose: tables, files, axes, words and what is typed; storage and links stay UTC."""

import io
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from dashboard import charts, files, first, zone
from dashboard.app import SCREENS
from dashboard.grid import Column, Grid
from dashboard.model import SessionState, read_moment
from dashboard.theme import time_text

NEW_YORK = zone.find("America/New_York")
WINTER = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


def test_a_moment_is_written_with_its_zone():
    assert time_text(WINTER, NEW_YORK) == "2026-03-04 07:30:00 EST"
    assert time_text(datetime(2026, 7, 1, 12, 30, tzinfo=UTC), NEW_YORK, date=False) == "08:30:00 EDT"
    assert time_text(WINTER) == "2026-03-04 12:30:00 UTC"


def test_the_hour_that_comes_twice_says_which_one_it_is():
    texts = ["2026-11-01 05:30:00.000", "2026-11-01 06:30:00.000", "2026-11-01 07:30:00.000", ""]
    assert NEW_YORK.locals(texts) == [
        "2026-11-01 01:30:00.000 −04:00",
        "2026-11-01 01:30:00.000 −05:00",
        "2026-11-01 02:30:00.000",
        "",
    ]


@pytest.mark.parametrize(
    "text", ["2026-11-01 05:30:00", "2026-11-01 06:30:00", "2026-03-08 07:00:00", "2026-07-01 00:00:00"]
)
@pytest.mark.parametrize("name", ["America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", ""])
def test_what_is_typed_is_read_back_as_the_same_moment(text, name):
    chosen, moment = zone.find(name), datetime.fromisoformat(text).replace(tzinfo=UTC)
    assert read_moment(chosen.typed(moment), chosen) == moment


def test_a_moment_without_a_zone_is_of_the_zone_chosen_and_others_are_what_they_say():
    assert read_moment("2026-03-04 07:30", NEW_YORK) == WINTER
    assert read_moment("2026-03-04 12:30+00:00", NEW_YORK) == WINTER


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "America", "<img>", "x" * 5000, "utc "])
def test_a_name_that_is_no_zone_is_utc(name):
    assert zone.find(name) is None
    assert SessionState(zone=name).clock is zone.UTC_ZONE


def test_all_zones_that_are_offered_exist():
    assert all(zone.find(name) for name in zone.OFFERED)


def test_a_table_shows_local_times_and_keeps_its_own():
    columns = {"timestamp": Column("At ({zone})", "time"), "at": Column("{zone}", "clock")}
    grid = Grid("t", columns, zone=NEW_YORK, selectable=1)
    text = "2026-03-04 12:30:00.120"
    grid.offer(pd.DataFrame({"timestamp": [text, ""], "at": [text, ""]}))
    assert grid.table.titles == {"timestamp": "At (New York)", "at": "New York"}
    assert grid.table.value["timestamp"].tolist() == ["2026-03-04 07:30:00.120", ""]
    assert grid.table.value["at"].tolist() == ["07:30:00", ""]
    grid.table.selection = [0]
    assert grid.selected["timestamp"].tolist() == [text]


def test_a_file_says_the_zone_and_the_offset_of_each_moment():
    table = pd.DataFrame({"strategy": ["=A"], "timestamp": ["2026-03-04 12:30:00.120"], "recorded_at": [""]})
    read = pd.read_csv(io.StringIO(files.csv_of(table, NEW_YORK).getvalue()), keep_default_na=False)
    assert read.to_dict("records") == [
        {
            "strategy": "'=A",
            "timestamp (America/New_York)": "2026-03-04 07:30:00.120-05:00",
            "recorded_at (America/New_York)": "",
        }
    ]
    assert "timestamp (UTC)" in files.csv_of(table, zone.UTC_ZONE).getvalue()


def test_an_axis_has_one_offset_and_names_it():
    assert NEW_YORK.axis(WINTER) == "time (New York, UTC−05:00)"
    assert zone.UTC_ZONE.axis(WINTER) == "time (UTC)"
    columns = charts.equity_columns({"A": ([WINTER], [1.0])}, None, NEW_YORK.shift(WINTER))
    assert columns["xs"] == [[WINTER.replace(tzinfo=None) - timedelta(hours=5)]]
    plot = charts.residual_chart(
        pd.DataFrame({"recorded_at": [WINTER], "residual": [1.0], "state": ["confirmed"]}), WINTER, NEW_YORK
    )
    assert plot.xaxis[0].axis_label == NEW_YORK.axis(WINTER)


def test_the_first_sight_has_the_same_times(engine):
    picture = first.first_picture(engine, "fills", None)
    shown = first.first_html(
        "fills", {"fills": "Fills"}, picture, strategy="", account="", dark=False, zone=zone.find("Asia/Tokyo")
    )
    newest = picture.table("fills")["timestamp"].iloc[0] + timedelta(hours=9)
    assert "timestamp (Tokyo)" in shown
    assert newest.strftime("%Y-%m-%d %H:%M:%S") in shown


@pytest.mark.parametrize("view", [key for key in SCREENS if key not in {"rehearsal", "settings"}])
async def test_every_time_of_every_screen_follows_the_choice(view, open_shell, show):
    shell = open_shell()
    shell.doc = object()  # drawn once already
    utc = titles(show(shell, view))
    shell.side.zone.value = "Asia/Tokyo"
    assert shell.state.zone == "Asia/Tokyo"
    tokyo = titles(show(shell, view))
    assert not [title for title in tokyo if "UTC" in title]
    assert [title.replace("Tokyo", "UTC") for title in tokyo] == utc


def titles(screen):
    tables = screen.body.select(lambda part: hasattr(part, "titles"))
    return [title for table in tables for title in table.titles.values()]


async def test_the_browser_s_own_zone_is_offered_and_that_of_the_link_shown(open_shell):
    shell = open_shell()
    shell.pulse._handle_msg({"zone": "Africa/Johannesburg"})
    assert shell.side.zone.options["Africa/Johannesburg (this browser)"] == "Africa/Johannesburg"
    shell.pulse._handle_msg({"zone": "<img>"})
    assert not [name for name in shell.side.zone.options if "browser" in name]
    shell.state.zone = "Asia/Kathmandu"
    assert shell.side.zone.value == "Asia/Kathmandu"
    assert shell.side.as_of.label == "As of (Kathmandu)"
    shell.state.zone = "Mars/Olympus"
    assert shell.side.zone.value == "UTC"
    assert "no time zone" in shell.said[-1][1]
