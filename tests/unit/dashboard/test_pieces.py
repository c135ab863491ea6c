"""Pure pieces of the screens: accounts, charts, sums per account, and where a click leads."""

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import panel as pn
import pytest
from bokeh.document import Document
from fake_engine import ACCOUNTS

from dashboard import charts
from dashboard.accounts import accounts_table
from dashboard.order_bars import order_label
from dashboard.picture import known_by
from dashboard.table import Table
from dashboard.views.orders import first_shown
from dashboard.views.positions import per_account
from dashboard.views.reconciliation import evidence

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def positions(*rows):
    names = ("strategy", "account", "con_id", "qty", "realized_pnl_base", "unrealized_pnl_base", "commission_base")
    return pd.DataFrame([dict(zip(names, row, strict=True)) for row in rows])


def age(account, state="confirmed", seconds=30, reason=""):
    return {"account": account, "state": state, "reason": reason, "answered_at": NOW - timedelta(seconds=seconds)}


def test_an_account_whose_answer_was_incomplete_says_why_and_how_old_the_last_good_one_is():
    ages = [age("DU1"), age("DU2", "unknown", 300, "timed out")]
    first, second = accounts_table(ages, pd.DataFrame(), pd.DataFrame(), NOW).to_dict("records")
    assert (first["account"], first["state"], first["answered"]) == ("DU1", "confirmed", "30 s")
    assert (second["account"], second["state"], second["answered"]) == ("DU2", "unknown: timed out", "5 min 0 s")


def test_before_the_first_comparison_no_account_is_confirmed():
    past = accounts_table([], pd.DataFrame(), pd.DataFrame(), NOW, ("DU1",), "—")
    assert past["state"].tolist() == ["—"]  # what was told then is not known, and nobody is about to ask
    table = accounts_table([], pd.DataFrame(), pd.DataFrame(), NOW, ("DU1", "DU2"))
    assert list(table["state"]) == ["not asked yet", "not asked yet"]
    assert list(table["answered"]) == ["—", "—"]


def test_an_account_sums_what_is_known_and_says_nothing_where_nothing_is():
    held = positions(("A", "DU1", 1, 10.0, 5.0, 2.0, 1.0), ("B", "DU2", 1, 10.0, 5.0, math.nan, 1.0))
    table = accounts_table([age("DU1"), age("DU2")], held, pd.DataFrame(), NOW).set_index("account")
    assert table.loc["DU1", "net"] == 6.0
    assert math.isnan(table.loc["DU2", "net"])
    assert list(table["instruments"]) == [1.0, 1.0]


def test_each_account_has_its_strategies_and_its_total():
    held = positions(
        ("A", "DU1", 1, 10.0, 5.0, 2.0, 1.0), ("B", "DU1", 2, 0.0, 1.0, 0.0, 0.0), ("A", "DU2", 1, 1.0, 1, 1, 0)
    )
    table = per_account(held)
    assert list(zip(table["account"], table["strategy"], strict=True)) == [
        ("DU1", "A"),
        ("DU1", "B"),
        ("DU1", "Total"),
        ("DU2", "A"),
        ("DU2", "Total"),
    ]
    assert list(table["held"]) == [1.0, 0.0, 1.0, 1.0, 1.0]
    assert list(table["net"]) == [6.0, 1.0, 7.0, 2.0, 2.0]
    assert per_account(pd.DataFrame()).empty


def test_the_total_leaves_out_who_had_no_book_yet_and_is_unknown_while_one_is():
    second, third = NOW + timedelta(seconds=5), NOW + timedelta(seconds=10)
    curves = {"A": ([NOW, second, third], [1.0, 2.0, 3.0]), "B": ([third], [10.0])}
    sampled = pd.DataFrame({"strategy": ["A", "A", "A", "B", "B"], "timestamp": [NOW, second, third, second, third]})
    assert charts.total_curve(curves, sampled) == ([NOW, third], [1.0, 13.0])
    assert charts.total_curve({}, sampled) is None
    columns = charts.equity_columns(curves, charts.total_curve(curves, sampled))
    assert columns["strategy"] == ["A", "B", "Total"]
    assert columns["xs"][0][0] == NOW.replace(tzinfo=None)


def test_the_equity_chart_takes_new_columns_without_being_drawn_again():
    plot, source = charts.equity_chart()
    source.data = charts.equity_columns({"A": ([NOW], [1.0])})
    charts.fit_ranges(plot, source.data)
    assert plot.x_range.start == NOW.replace(tzinfo=None)
    assert plot.renderers[0].glyph.line_color == "colour"


def test_a_residual_stands_until_its_next_change():
    history = pd.DataFrame({"recorded_at": ["2026-03-04 11:00:00"], "residual": [5.0], "state": ["confirmed"]})
    plot = charts.residual_chart(history, NOW)
    line = next(r for r in plot.renderers if type(r.glyph).__name__ == "Line").data_source.data
    assert set(line["residual"]) == {5.0}


@pytest.mark.parametrize(("span", "first"), [(-1, 0), (0, 50), (30, 70)])
def test_an_order_that_waits_for_hours_does_not_squeeze_the_timeline(span, first):
    start = NOW.replace(tzinfo=None)
    data = {
        "left": [start, start + timedelta(seconds=50)],
        "right": [start + timedelta(seconds=100), start + timedelta(seconds=60)],
        "order_key": ["waiting", "done"],
        "mark": ["dot", "diamond"],
    }
    assert first_shown(data, span) == start + timedelta(seconds=first)


async def test_a_click_on_a_figure_of_all_strategies_shows_all_strategies(open_shell):
    shell = open_shell()
    shell.state.param.update(strategy="ALPHA", account=ACCOUNTS[0])
    shell._follow("fills", "pending")
    assert (shell.state.view, shell.state.strategy, shell.state.account) == ("fills", "", ACCOUNTS[0])
    assert shell.state.focus == {"pending": True}
    shell._follow("reconciliation", "all")
    assert (shell.state.view, shell.state.account) == ("reconciliation", "")


async def test_a_drill_down_is_followed_once_and_a_choice_made_since_is_kept(open_shell, show):
    shell = open_shell()
    shell._follow("fills", "pending")
    screen = show(shell, "fills")
    deadline = time.monotonic() + 60
    while not len(screen.grid.table.value):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    screen.grid.table.selection = [0]
    screen.forget()  # as when a page of it is asked for while another one is being read
    screen.draw(shell.state.picture)
    assert screen.grid.table.selection == [0]
    shell._follow("fills", "pending")
    screen.draw(shell.state.picture)
    assert screen.grid.table.selection == []


async def test_a_screen_that_cannot_read_says_so_and_recovers(engine, open_shell, show, monkeypatch):
    shell = open_shell()
    screen = show(shell, "fills")

    async def until(condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
            screen.draw(shell.state.picture)

    await until(lambda: screen.grid._shown is not None)
    with monkeypatch.context() as patched:
        patched.setattr(engine.portfolio_manager, "fills_page", lambda **_: 1 / 0)
        screen.search.value = "AAPL"
        await until(lambda: "Cannot be read now" in screen.errors.object)
    screen.search.value = "MSFT"
    await until(lambda: screen.errors.object == "")


async def test_a_part_read_long_ago_is_not_shown_as_if_it_were_now(open_shell):
    shell = open_shell()
    old = SimpleNamespace(live=True, current=frozenset({"positions"}), at=NOW)
    shell.state.view = "orders"
    shell._moved(None)
    shell._draw_screen(old)
    assert shell._on_show is None


def test_in_the_past_only_what_was_recorded_by_then_is_told():
    column = pd.DataFrame(
        {"recorded_at": [NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)], "status": ["a", "b"]}
    )
    assert list(known_by(column, NOW)["status"]) == ["a"]
    assert list(known_by(column.set_index("recorded_at"), NOW)["status"]) == ["a"]
    assert known_by(column, None) is column


async def test_causes_of_now_are_not_shown_for_a_past_moment(open_shell, show):
    shell = open_shell()
    screen = show(shell, "reconciliation")
    screen.grid.table.selection = [0]
    assert "explains +50" in screen.evidence.object
    assert "live only" in evidence(screen.grid.selected.iloc[0], None)


@pytest.mark.parametrize("rows", [0, 3, 40])
def test_rows_written_the_quick_way_leave_the_table_as_panel_would_have_left_it(rows):
    frame = pd.DataFrame({"name": [f"row {n}" for n in range(rows)], "qty": [n / 3 for n in range(rows)]})
    start = pd.DataFrame({"name": ["old"], "qty": [1.0]})
    quick, panels = (kind(start, pagination="local", page_size=8) for kind in (Table, pn.widgets.Tabulator))
    document = Document()
    model, other = quick.get_root(document), panels.get_root(Document())
    quick.put(frame)
    panels.value = frame
    pd.testing.assert_frame_equal(quick.value, panels.value)
    pd.testing.assert_frame_equal(quick._processed, panels._processed)
    assert quick._index_mapping == panels._index_mapping
    assert quick.param.page.bounds == panels.param.page.bounds
    assert model.max_page == other.max_page
    assert model.source.data.keys() == {*other.source.data, "put"}
    for name in other.source.data:
        assert list(model.source.data[name]) == list(other.source.data[name])
    if rows:
        quick.selection = [rows - 1]
        assert model.source.selected.indices == [rows - 1]


@pytest.mark.parametrize(
    ("quantity", "words"), [(12_500_000.0, "12,500,000"), (0.00001234, "0.00001234"), (1234567.5, "1,234,567.5")]
)
def test_an_order_in_the_timeline_shows_all_digits_of_its_quantity(quantity, words):
    record = {"side": "BUY", "qty": quantity, "instrument": "EUR.USD", "strategy": "CARRY", "order_key": "PDU1:9001"}
    assert order_label(record) == f"CARRY · BUY {words} EUR.USD · 9001"
