"""What cannot be read, was not compared or is of another moment is never shown as none, zero or well."""

import asyncio
import time

import pandas as pd
import pytest

from dashboard import first
from dashboard.accounts import ALL, accounts_table
from dashboard.parts import not_live
from dashboard.picture import READERS, read, read_past
from dashboard.views.dayclose import in_the_way
from dashboard.views.health import verdict
from dashboard.views.reconciliation import runs_table
from dashboard.zone import UTC_ZONE
from engine.errors import FillbookError

WHY = "the store does not answer"


def broken(engine, *names):
    def fails(*_, **__):
        raise FillbookError(WHY)

    for name in names:
        setattr(engine.portfolio_manager, name, fails)


def seen(engine):
    return read(engine, frozenset(READERS), None, {}, time.monotonic())


async def test_an_overview_without_its_parts_counts_nothing_and_calls_nothing_well(engine, open_shell, show):
    engine.square = lambda: {"ok": None}
    broken(engine, "breaks", "quarantine", "fees_pending")
    screen = show(open_shell(), "overview")
    assert screen.tiles.object.count("not known: cannot be read now") == 3
    assert ">0<" not in screen.tiles.object
    assert "unread" in screen.breaks.table.css_classes
    assert "unread" not in screen.strategies.table.css_classes
    assert screen._accounts(seen(engine))["breaks"].isna().all()


async def test_a_table_that_is_read_again_means_none_by_empty_again(engine, open_shell, show):
    books, shell = engine.portfolio_manager, open_shell()
    works = books.quarantine
    broken(engine, "quarantine")
    screen = show(shell, "quarantine")
    assert "unread" in screen.grid.table.css_classes
    books.quarantine = works
    screen.draw(seen(engine))
    assert "unread" not in screen.grid.table.css_classes
    assert screen.errors.object == ""


async def test_one_reason_is_told_once_with_all_that_it_keeps_back(engine, open_shell, show):
    broken(engine, "assignments", "rules", "expired_holdings")
    words = show(open_shell(), "assignments").errors.object
    assert words.count(WHY) == 1
    assert "assignments, expired holdings, rules" in words


async def test_no_break_is_not_praised_while_nothing_is_compared(engine, open_shell, show):
    engine.portfolio_manager.residuals = {}
    shell = open_shell()
    assert "none" in show(shell, "overview").tiles.object
    engine.square = lambda: {"ok": None}
    assert "not compared now" in show(shell, "overview").tiles.object


@pytest.mark.parametrize("part", ["breaks", "fees_pending"])
def test_a_day_whose_open_things_are_not_known_is_not_called_ready(part, engine):
    broken(engine, part)
    assert "Not known" in in_the_way(seen(engine), compared=True)


def test_a_day_is_ready_only_when_books_and_broker_are_compared(engine):
    engine.portfolio_manager.residuals = {}
    engine.portfolio_manager.fees_pending = pd.DataFrame
    assert "Nothing stands in the way" in in_the_way(seen(engine), compared=True)
    assert "may be breaks" in in_the_way(seen(engine), compared=False)


def test_a_problem_that_the_engine_can_live_with_is_told_all_the_same():
    assert "IB unavailable" in verdict({"ok": True, "problems": ["IB unavailable"]})
    assert "well" in verdict({"ok": True, "problems": []})
    assert "well" not in verdict({"ok": True, "problems": ["IB unavailable"]})


def test_an_answer_about_all_accounts_stands_under_their_name(picture):
    ages = [{"account": "*", "state": "unknown", "reason": "IB is away"}]
    table = accounts_table(ages, picture.table("positions"), picture.table("breaks"), picture.at)
    row = table[table["account"] == ALL].iloc[0]
    assert row["breaks"] == 2
    assert row["state"] == "unknown: IB is away"


async def test_the_present_is_never_shown_under_the_sign_of_the_past(engine, open_shell, show, monkeypatch):
    shell = open_shell()
    show(shell, "positions")
    shell._draw_screen(shell.state.picture)
    assert shell.body[:] == [shell.screens["positions"]._page]
    monkeypatch.setattr("panel.state.execute", lambda _: None)
    shell.state.as_of = "2026-03-04T12:00+00:00"
    shell._draw_screen(seen(engine))
    assert shell.body[:] == [shell.loading]
    await shell._read_past()
    assert shell.body[:] == [shell.screens["positions"]._page]
    shell.state.as_of = "2026-03-05T12:00+00:00"
    assert shell.body[:] == [shell.loading]
    shell.state.as_of = ""
    assert shell.body[:] == [shell.loading]
    shell._draw_screen(seen(engine))
    assert shell.body[:] == [shell.screens["positions"]._page]


async def test_a_screen_of_the_present_is_not_on_a_page_of_the_past(engine, open_shell, show):
    shell = open_shell()
    show(shell, "dayclose")
    shell.state.as_of = "2026-03-04T12:00+00:00"
    shell._draw_screen(await asyncio.to_thread(read_past, engine, shell.state.moment))
    assert shell.body[:] == [shell.present_only]


async def test_a_screen_of_the_present_comes_back_when_the_past_is_left(engine, open_shell, show, monkeypatch):
    monkeypatch.setattr("panel.state.execute", lambda _: None)
    shell = open_shell()
    show(shell, "dayclose")
    shell.state.as_of = "2026-03-04T12:00+00:00"
    await shell._read_past()
    assert shell.body[:] == [shell.present_only]
    shell.state.as_of = ""
    shell.state.view = "assignments"  # before anything of the present came
    assert shell.body[:] == [shell.loading]
    shell._draw_screen(seen(engine))
    assert shell.body[:] == [shell.screens["assignments"]._page]


async def test_a_screen_opened_while_another_moment_is_read_does_not_show_the_former(
    engine, open_shell, show, monkeypatch
):
    monkeypatch.setattr("panel.state.execute", lambda _: None)
    shell = open_shell()
    show(shell, "positions")
    shell.state.as_of = "2026-03-04T12:00+00:00"
    await shell._read_past()
    shell.state.as_of = "2026-03-05T12:00+00:00"
    shell.state.view = "orders"
    assert shell.body[:] == [shell.loading]
    shell.state.account = "DU1"
    assert shell.body[:] == [shell.loading]
    await shell._read_past()
    assert shell.body[:] == [shell.screens["orders"]._page]


async def test_words_in_place_of_a_screen_give_way_to_it(engine, open_shell, show):
    shell = open_shell()
    show(shell, "dayclose")
    shell._draw_screen(await asyncio.to_thread(read_past, engine, seen(engine).at))
    assert shell.body[:] == [shell.present_only]
    shell._draw_screen(seen(engine))
    assert shell.body[:] == [shell.screens["dayclose"]._page]


async def test_what_is_told_for_the_present_only_is_not_called_empty_in_the_past(engine, open_shell, show):
    shell = open_shell()
    screen = show(shell, "reconciliation")
    screen.draw(read_past(engine, seen(engine).at))
    assert "live-only" in screen.runs.table.css_classes
    assert "live-only" not in screen.grid.table.css_classes
    screen.draw(seen(engine))
    assert "live-only" not in screen.runs.table.css_classes


def test_a_page_that_comes_before_the_engine_says_what_it_waits_for(engine):
    plain = {"strategy": "", "account": "", "dark": False}
    assert first.STARTING in first.first_html("fills", {"fills": "Fills"}, None, running=False, **plain)
    broken(engine, "fills_page")
    html = first.first_html("fills", {"fills": "Fills"}, seen(engine), **plain)
    assert "Nothing here" not in html
    assert "as of" not in html


def test_a_run_without_an_answer_has_counted_nothing():
    runs = pd.DataFrame(
        {"status": ["unavailable", "square"], "accounts": [0, 2], "positions": [0, 0], "breaks": [0, 0]}
    )
    table = runs_table(runs.assign(recorded_at=pd.to_datetime(["2026-03-04T12:00Z", "2026-03-04T11:00Z"])))
    assert table.iloc[0][["accounts", "positions", "breaks"]].isna().all()
    assert table.iloc[1]["positions"] == 0


def test_the_sign_of_the_past_says_that_the_bar_above_it_is_of_the_present(picture):
    assert "stays live" in not_live(picture.at, UTC_ZONE, "")
