"""Set a param, read a param: what the screens show and do, without a browser."""

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import panel as pn
import pytest
from fake_engine import ACCOUNTS, HOSTILE, FakeEngine

from dashboard.app import SCREENS, Shell
from dashboard.hub import Hub
from dashboard.model import SessionState, read_moment
from dashboard.pulse import broker_chip, square_badge, stale_after, strip
from dashboard.roles import is_loopback, role_of
from dashboard.side import ALL_STRATEGIES
from dashboard.views.assign_dialog import TYPED, AssignDialog, decimal_of, preview_html
from dashboard.views.assignments import journal_table
from engine.errors import BadRequest, BrokerUnavailable
from engine.settings import Settings

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
ALIVE = [key for key in SCREENS if key != "rehearsal"]


@pytest.mark.parametrize("view", ALIVE)
async def test_every_screen_draws_the_books(view, open_shell, show):
    screen = show(open_shell(), view)
    assert screen.errors.object == ""


@pytest.mark.parametrize("view", ALIVE)
async def test_every_screen_has_an_empty_state(view, engine, open_shell, show):
    books = engine.portfolio_manager
    books.rows, books.order_rows, books.books, books.residuals, books.held = [], [], {}, {}, []
    for name in ("positions", "portfolio", "orders", "breaks", "fills", "fees_pending", "equity", "findings", "locks"):
        setattr(books, name, lambda *_, **__: pd.DataFrame())
    books.fills_page = lambda **_: (pd.DataFrame(), 0)
    assert show(open_shell(), view).errors.object == ""


@pytest.mark.parametrize("view", ALIVE)
async def test_no_text_of_a_message_becomes_html(view, open_shell, show):
    screen = show(open_shell(), view)
    for pane in screen.body.select(lambda part: hasattr(part, "object") and isinstance(part.object, str)):
        assert "<img" not in pane.object
    for table in screen.body.select(lambda part: hasattr(part, "formatters")):
        texts = [name for name in table.value if table.value[name].dtype == object]
        assert all(table.formatters.get(name) == "plaintext" for name in texts)


@pytest.mark.parametrize("view", ALIVE)
async def test_every_field_and_button_has_a_name(view, open_shell, show):
    screen = show(open_shell(), view)
    for widget in screen.body.select(lambda part: hasattr(part, "label") and hasattr(part, "disabled")):
        assert widget.label or widget.name, widget


async def test_a_page_leaves_nothing_on_the_server_s_busy_flag(open_shell):
    def listeners():
        return len(pn.state.param.watchers.get("busy", {}).get("value", []))

    before = listeners()
    pages = [open_shell() for _ in range(3)]
    assert listeners() == before
    assert not any(shell.page.busy for shell in pages)


async def test_the_rehearsal_exists_only_with_the_simulated_gateway(open_shell, show):
    assert "rehearsal" not in open_shell().keys
    shell = Shell(FakeEngine(rehearsal=True), Hub(FakeEngine(rehearsal=True)))
    assert "rehearsal" in shell.keys
    real = open_shell()
    real.state.view = "rehearsal"
    assert real._key() == "overview"


async def test_a_fault_is_made_to_happen_with_what_was_typed():
    engine = FakeEngine(rehearsal=True)
    shell = Shell(engine, Hub(engine))
    shell.state.view = "rehearsal"
    screen = shell.screens["rehearsal"]
    screen._inputs["quantity"].value = "-25"
    await screen._inject(None)
    assert engine.gateway.faults.happened == [("manual_trade", {"symbol": "AAPL", "quantity": "-25"})]
    screen._inputs["symbol"].value = "NONE"
    await screen._inject(None)
    assert "no such symbol" in screen.outcome.object


def test_a_view_that_does_not_exist_is_the_overview():
    assert SessionState(view="<script>").shown == "overview"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "<b>"])
def test_a_moment_that_cannot_be_read_is_none(text):
    assert read_moment(text) is None


def test_a_moment_without_a_zone_is_utc():
    assert read_moment("2026-03-04 12:00") == NOW
    assert read_moment("2026-03-04T13:00+01:00") == NOW


async def test_choosing_a_strategy_filters_the_screen_and_stands_in_the_state(open_shell, show):
    shell = open_shell()
    screen = show(shell, "positions")
    shell.draw(shell.state.picture)
    shell.side.strategy.value = "BETA"
    assert shell.state.strategy == "BETA"
    assert set(screen.books.table.value["strategy"]) == {"BETA"}
    shell.side.strategy.value = ALL_STRATEGIES
    assert shell.state.strategy == ""


async def test_a_chosen_row_stays_chosen_when_others_come_and_go(engine, open_shell, show):
    shell, residuals = open_shell(), engine.portfolio_manager.residuals
    screen = show(shell, "reconciliation")
    screen.grid.table.selection = [1]
    chosen = screen.grid.selected.iloc[0]["break_id"]
    gone = screen.grid._shown.iloc[0]["break_id"]
    account, _, con_id = gone.partition(":")
    del residuals[account, int(con_id)]
    residuals[ACCOUNTS[2], 272093] = 900.0
    show(shell, "reconciliation")
    assert list(screen.grid.selected["break_id"]) == [chosen]
    assert list(screen.grid.table.value["instrument"]) == [screen.grid.selected.iloc[0]["instrument"]]
    assert "1 more rows wait" in screen.grid.note.object
    screen.grid.release()
    assert len(screen.grid.table.value) == 2
    assert not screen.grid.note.visible


async def test_a_chosen_row_shows_new_figures(engine, open_shell, show):
    shell, residuals = open_shell(), engine.portfolio_manager.residuals
    screen = show(shell, "reconciliation")
    screen.grid.table.selection = [0]
    account, _, con_id = screen.grid.selected.iloc[0]["break_id"].partition(":")
    residuals[account, int(con_id)] = 77.0
    show(shell, "reconciliation")
    assert screen.grid.selected.iloc[0]["quantity"] == 77.0
    assert not screen.grid.note.visible


async def test_a_table_says_when_the_chosen_row_is_gone(engine, open_shell, show):
    shell = open_shell()
    screen = show(shell, "reconciliation")
    screen.grid.table.selection = [0]
    assert not screen.assign.disabled
    name = screen.grid.selected.iloc[0]["break_id"]
    engine.portfolio_manager.residuals.clear()
    show(shell, "reconciliation")
    assert screen.grid.table.selection == []
    assert f"No longer here: {name}" in screen.grid.note.object
    assert screen.assign.disabled


async def test_a_table_is_sent_again_only_when_something_shown_changed(open_shell, show):
    shell = open_shell()
    screen = show(shell, "quarantine")
    before = screen.grid.table.value
    screen.forget()
    screen.draw(shell.state.picture)
    assert screen.grid.table.value is before


async def drawn(screen):
    """The stories of orders are read in a thread; wait until their bars are there."""
    deadline = time.monotonic() + 60
    while not screen.source.data["label"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_selecting_an_order_lights_its_bars_and_shows_its_story(open_shell, show):
    screen = show(open_shell(), "orders")
    await drawn(screen)
    screen.grid.table.selection = [0]
    key = screen.grid.selected.iloc[0]["order_key"]
    lit = {screen.source.data["order_key"][i] for i in screen.source.selected.indices}
    assert lit == {key}
    assert screen.story_box.visible
    assert len(screen.story.table.value) >= 2


async def test_tapping_a_bar_selects_its_order_in_the_table(open_shell, show):
    screen = show(open_shell(), "orders")
    await drawn(screen)
    screen.source.selected.indices = [3]
    assert screen.grid.selected.iloc[0]["order_key"] == screen.source.data["order_key"][3]


async def test_a_screen_that_cannot_be_drawn_says_so_and_the_strip_goes_on(open_shell, show, monkeypatch):
    shell = open_shell()
    screen = show(shell, "overview")
    monkeypatch.setattr(screen, "refresh", lambda _: 1 / 0)
    shell.draw(shell.state.picture)
    assert "cannot be drawn" in screen.errors.object


async def test_reconcile_now_says_how_it_went(engine, open_shell, show):
    screen = show(open_shell(), "reconciliation")
    await screen._reconcile(None)
    assert engine.portfolio_manager.acts == [("reconcile", {"operator": "local operator"})]
    assert "2 open breaks" in screen.result.object


async def test_reconcile_now_says_that_nothing_was_changed_when_ib_is_away(engine, open_shell, show):
    async def away(operator):
        raise BrokerUnavailable("IB gave no complete answer: timed out")

    engine.portfolio_manager.reconcile_positions = away
    screen = show(open_shell(), "reconciliation")
    await screen._reconcile(None)
    assert "nothing was changed" in screen.result.object
    assert not screen.now.disabled


def choose(screen, row=0):
    screen.grid.table.selection = [row]
    screen._assign(None)
    return screen.dialog


async def test_a_residual_is_assigned_after_a_preview_and_with_a_reason(engine, open_shell, show):
    dialog = choose(show(open_shell(), "reconciliation"))
    assert dialog.dialog.open
    assert dialog.strategies[0].value == "ALPHA"
    assert dialog.quantities[0].value == "50"
    assert dialog.confirm.disabled
    await dialog._preview(None)
    assert "Before and after" in dialog.preview.object
    assert not dialog.confirm.disabled
    await dialog._confirm(None)
    assert "reason is needed" in dialog.outcome.object
    assert engine.portfolio_manager.acts == []
    dialog.reason.value = "bought by hand"
    await dialog._confirm(None)
    act, what = engine.portfolio_manager.acts[0]
    assert act == "assign"
    assert what["split"] == {"ALPHA": decimal_of("50")}
    assert what["reason"] == "bought by hand"
    assert (what["price"], what["price_source"]) == (None, "")
    assert not dialog.dialog.open


async def test_a_typed_price_is_taken_as_it_was_typed(engine, open_shell, show):
    dialog = choose(show(open_shell(), "reconciliation"))
    assert not dialog.price.visible
    dialog.source.value = TYPED
    assert dialog.price.visible
    dialog.price.value = "1,189.505"
    await dialog._preview(None)
    dialog.reason.value = "x"
    await dialog._confirm(None)
    what = engine.portfolio_manager.acts[0][1]
    assert (str(what["price"]), what["price_source"]) == ("1189.505", "typed")


async def test_changing_the_split_asks_for_a_new_preview(open_shell, show):
    dialog = choose(show(open_shell(), "reconciliation"))
    await dialog._preview(None)
    dialog.quantities[0].value = "30"
    assert dialog.confirm.disabled
    assert "left over +20" in dialog.sum.object


async def test_a_residual_that_changed_in_the_meantime_is_not_assigned(engine, open_shell, show):
    dialog = choose(show(open_shell(), "reconciliation"))
    await dialog._preview(None)
    dialog.reason.value = "x"
    engine.portfolio_manager.residuals[(ACCOUNTS[0], 265598)] = 60.0
    await dialog._confirm(None)
    assert "has changed" in dialog.outcome.object
    assert engine.portfolio_manager.acts == []


async def test_several_residuals_are_taken_one_after_the_other(engine, open_shell, show):
    screen = show(open_shell(), "reconciliation")
    screen.grid.table.selection = [0, 1]
    screen._assign(None)
    for _ in range(2):
        await screen.dialog._preview(None)
        screen.dialog.reason.value = "both by hand"
        await screen.dialog._confirm(None)
    assert [act for act, _ in engine.portfolio_manager.acts] == ["assign", "assign"]
    assert engine.portfolio_manager.residuals == {}


@pytest.mark.parametrize(
    ("strategies", "quantities", "words"),
    [
        (["ALPHA", "ALPHA"], ["1", "2"], "named twice"),
        (["ALPHA"], [""], "belong together"),
        (["ALPHA"], ["many"], "not a number"),
        (["ALPHA"], ["NaN"], "not a number"),
    ],
)
async def test_a_split_that_makes_no_sense_is_refused_in_words(open_shell, strategies, quantities, words):
    dialog = AssignDialog(open_shell().desk, on_done=lambda: None)
    for widget, value in zip(dialog.strategies, strategies, strict=False):
        widget.param.update(options=["(nobody)", "ALPHA"], value=value)
    for widget, value in zip(dialog.quantities, quantities, strict=False):
        widget.value = value
    with pytest.raises(BadRequest, match=words):
        dialog.split()


async def test_a_viewer_sees_no_acts_and_cannot_act(engine, open_shell, show):
    shell = open_shell("bob", viewers="bob")
    screen = show(shell, "reconciliation")
    assert not screen.now.visible
    assert not screen.assign.visible
    await screen._reconcile(None)
    assert engine.portfolio_manager.acts == []
    assert "may look, not act" in shell.said[0][1]


async def test_nobody_acts_on_the_past(engine, open_shell, show):
    shell = open_shell()
    screen = show(shell, "reconciliation")
    shell.state.as_of = "2026-03-04T12:00+00:00"
    assert "NOT LIVE" in shell.banner.object
    assert shell.side.live.visible
    await screen._reconcile(None)
    assert engine.portfolio_manager.acts == []
    assert "shows the past" in shell.said[-1][1]


async def test_an_assignment_is_reversed_with_a_reason(engine, open_shell, show):
    shell = open_shell()
    await engine.portfolio_manager.assign_residual(ACCOUNTS[0], 265598, {"ALPHA": 50}, operator="ann", reason="r")
    screen = show(shell, "assignments")
    screen.journal.table.selection = [0]
    assert not screen.reverse.disabled
    await screen._reverse(None)
    assert "reason is needed" in shell.said[-1][1]
    screen.why.value = "wrong strategy"
    await screen._reverse(None)
    assert engine.portfolio_manager.acts[-1][0] == "reverse"
    assert engine.portfolio_manager.residuals[(ACCOUNTS[0], 265598)] == 50.0


async def test_expired_holdings_are_closed_with_a_reason_and_go(engine, open_shell, show):
    shell = open_shell()
    screen = show(shell, "assignments")
    expired = screen.expired
    assert expired.close.disabled
    assert expired.grid.table.value["expiry"].tolist() == ["2026-03-10"]
    expired.grid.table.selection = [0]
    assert not expired.close.disabled
    await expired._close(None)
    assert "reason is needed" in shell.said[-1][1]
    expired.why.value, expired.price.value = "Settled between us", "12.5"
    await expired._close(None)
    name, told = engine.portfolio_manager.acts[-1]
    assert (name, told["con_id"], told["price"], told["reason"]) == ("close expired", 78, "12.5", "Settled between us")
    screen.forget()
    assert len(show(shell, "assignments").expired.grid.table.value) == 0


def test_a_viewer_sees_expired_holdings_and_cannot_close_them(open_shell, show):
    expired = show(open_shell("bob", viewers="bob"), "assignments").expired
    assert len(expired.grid.table.value) == 1
    assert not any(widget.visible for widget in (expired.price, expired.why, expired.close))


def test_an_entry_that_another_one_reverses_is_shown_as_reversed():
    rows = [
        {"assignment_id": "a", "reverses": "", "recorded_at": NOW},
        {"assignment_id": "b", "reverses": "a", "recorded_at": NOW + timedelta(1)},
    ]
    out = journal_table(pd.DataFrame(rows)).set_index("assignment_id")
    assert out["state"].to_dict() == {"b": "reversal", "a": "reversed"}


async def test_a_quarantined_message_is_shown_whole_and_dismissed(engine, open_shell, show):
    screen = show(open_shell(), "quarantine")
    screen.grid.table.selection = [0]
    assert "&lt;img" in screen.raw.object
    await screen._replay(None)
    assert "Still unreadable" in screen.outcome.object
    await screen._dismiss(None)
    assert engine.portfolio_manager.held
    assert "Press again" in screen.outcome.object
    await screen._dismiss(None)
    assert engine.portfolio_manager.held == []


async def test_a_day_with_open_breaks_is_closed_only_with_a_reason(engine, open_shell, show):
    screen = show(open_shell(), "dayclose")
    assert "2 breaks" in screen.ready.object
    await screen._close(None)
    assert "is not closed" in screen.closed.object
    screen.overrule.value = "known corporate action"
    await screen._close(None)
    assert "is closed" in screen.closed.object
    assert len(engine.portfolio_manager.closed) == 1


async def test_a_statement_that_was_dropped_is_imported_and_reported(engine, open_shell, show):
    screen = show(open_shell(), "dayclose")
    assert screen.load.disabled
    screen.flex.param.update(filename="day.xml", value=b"<FlexQueryResponse/>")
    assert not screen.load.disabled
    await screen._import(None)
    assert "3 of them new" in screen.read.object
    assert engine.portfolio_manager.acts[-1] == ("import-flex", {"operator": "local operator", "size": 20})


def test_the_badge_says_in_words_whether_all_is_square(engine):
    assert square_badge(None, NOW)["text"].startswith("?")
    assert square_badge({"ok": True, "checked_at": NOW}, NOW)["text"] == "✓ Square"
    assert square_badge(engine.square(), NOW)["text"] == "✗ 2 not square"
    waiting = engine.square()["rows"].assign(unassigned_qty=engine.square()["rows"]["quantity"])
    assert square_badge({"ok": False, "rows": waiting, "checked_at": NOW}, NOW)["text"] == "! 2 unassigned"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("square", "✓ Square"),
        ("unassigned", "! 2 unassigned"),
        ("settling", "… 3 settling"),
        ("breaks", "✗ 0 not square"),
        ("unknown", "? Not known"),
    ],
)
def test_the_badge_follows_the_state_that_the_engine_names(state, text, engine):
    waiting = engine.square()["rows"].assign(unassigned_qty=engine.square()["rows"]["quantity"])
    square = {"ok": state != "breaks", "state": state, "settling": 3, "rows": waiting, "checked_at": NOW}
    assert square_badge(square, NOW)["text"] == text


def test_square_of_long_ago_is_not_shown_as_square_now():
    square = {"ok": True, "checked_at": NOW}
    limit = stale_after(Settings(reconcile_every_s=30))
    assert square_badge(square, NOW + timedelta(seconds=119), limit)["state"] == "good"
    late = square_badge(square, NOW + timedelta(seconds=121), limit)
    assert (late["text"], late["state"]) == ("? Not checked lately", "unknown")
    assert stale_after(Settings(reconcile_every_s=0)) is None


def test_the_strip_says_since_when_ib_is_away():
    broker = SimpleNamespace(state="unavailable", since=NOW - timedelta(minutes=12), reason="connection refused")
    chip = broker_chip(broker, NOW)
    assert chip == {"text": "unavailable 12 min", "state": "bad", "title": "since 11:48:00 UTC connection refused"}


def test_the_strip_says_that_the_store_refuses(picture):
    picture.parts["health"]["store"].update(state="full", reason="LMDB map is full")
    chip = strip(picture, {}, NOW, "USD")["chips"]["store"]
    assert (chip["text"], chip["state"], chip["title"]) == ("FULL", "bad", "LMDB map is full")


def test_the_strip_says_that_some_positions_are_not_in_todays_sum(picture):
    """A strategy's sum is over what can be valued; the header must not show it as if it were all."""
    whole = picture.parts["positions"] = picture.table("positions").assign(
        realized_pnl_base=1.0, unrealized_pnl_base=1.0, commission_base=1.0
    )
    assert strip(picture, {"ALPHA": -606.0}, NOW, "USD")["chips"]["pnl"]["text"] == "−606 USD"
    picture.parts["positions"] = whole.assign(realized_pnl_base=[math.nan, *[1.0] * (len(whole) - 1)])
    chip = strip(picture, {"ALPHA": -606.0}, NOW, "USD")["chips"]["pnl"]
    assert (chip["text"], chip["state"]) == ("−606 USD + ?", "warn")
    assert chip["title"].endswith("not known for 1 positions")


@pytest.mark.parametrize(
    ("operators", "viewers", "user", "role"),
    [
        ("", "", "local operator", "operator"),
        ("", "bob", "bob", "viewer"),
        ("ann", "", "ann", "operator"),
        ("ann", "", "bob", "viewer"),
        ("ann", "", "local operator", "viewer"),
        ("ann", "ann", "ann", "viewer"),
    ],
)
def test_who_may_act(operators, viewers, user, role):
    assert role_of(Settings(operators=operators, viewers=viewers), user) == role


def test_only_this_machine_is_loopback():
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.7")
    assert not is_loopback("nonsense")


def test_a_preview_is_a_table_with_everything_escaped():
    html = preview_html([{"strategy": HOSTILE, "qty_before": 1.0, "qty_after": 51.0}])
    assert "<img" not in html
    assert "+51" in html


def test_a_preview_writes_its_figures_as_the_screens_do():
    row = {
        "strategy": "A",
        "con_id": 265598.0,
        "qty_after": 12_500_000.0,
        "avg_cost_after": 189.5,
        "realized_pnl_after": -7.0,
    }
    html = preview_html([row])
    for words in ("Quantity after", "+12,500,000", ">189.5<", "−7.00", ">265598<"):
        assert words in html
