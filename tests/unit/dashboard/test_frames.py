import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from dashboard import earnings, files, frames, order_bars
from dashboard.charts import total_curve

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def position(**changes):
    row = {
        "strategy": "ALPHA",
        "account": "DU1",
        "con_id": 1,
        "symbol": "AAPL",
        "local_symbol": "AAPL",
        "sec_type": "STK",
        "currency": "USD",
        "qty": 10.0,
        "avg_cost": 100.0,
        "realized_pnl": 5.0,
        "unrealized_pnl": 20.0,
        "commission": 1.0,
        "realized_pnl_base": 5.0,
        "unrealized_pnl_base": 20.0,
        "commission_base": 1.0,
    }
    return row | changes


def test_a_missing_column_is_unknown_and_never_zero():
    out = frames.tidy(pd.DataFrame({"a": ["x"]}), texts=("a", "b"), numbers=("n",), times=("t",))
    assert out.loc[0, "b"] == ""
    assert math.isnan(out.loc[0, "n"])
    assert out.loc[0, "t"] == ""


def test_an_empty_table_has_all_columns_and_text_columns_are_text():
    out = frames.tidy(None, texts=("a",), numbers=("n",), times=("t",))
    assert list(out) == ["a", "n", "t"]
    assert out["t"].str[:2].tolist() == []


def test_times_are_written_in_utc_whatever_their_zone():
    new_york = pd.Timestamp("2026-03-04 07:00:00.250", tz="America/New_York")
    assert frames.clock(pd.Series([new_york, pd.NaT])) == ["2026-03-04 12:00:00.250", ""]


def test_net_pnl_is_realized_plus_unrealized_minus_fees():
    assert frames.net_pnl(pd.DataFrame([position()])).tolist() == [24.0]


def test_net_pnl_is_unknown_as_soon_as_a_mark_is_missing():
    assert math.isnan(frames.net_pnl(pd.DataFrame([position(unrealized_pnl_base=math.nan)])).iloc[0])


def test_a_flat_position_needs_no_mark():
    flat = position(qty=0.0, unrealized_pnl_base=math.nan)
    assert frames.net_pnl(pd.DataFrame([flat])).tolist() == [4.0]


def test_flat_positions_are_shown_only_when_asked_for():
    table = pd.DataFrame([position(), position(con_id=2, qty=0.0)])
    assert len(frames.positions_table(table)) == 1
    assert len(frames.positions_table(table, flat=True)) == 2


def test_the_total_counts_what_is_known_and_says_how_much_is_not():
    table = pd.DataFrame([position(), position(strategy="BETA", unrealized_pnl_base=math.nan)])
    out = frames.per_strategy(table, {"ALPHA": 3.0}).set_index("strategy")
    assert out.loc["Total", "net"] == 24.0
    assert out.loc["Total", "unknown"] == 1.0
    assert math.isnan(out.loc["BETA", "net"])


def test_by_instrument_shows_who_is_long_who_is_short_and_what_is_left():
    positions = pd.DataFrame([position(qty=10.0), position(strategy="BETA", qty=-4.0)])
    portfolio = pd.DataFrame([position(broker_qty=9.0, residual_qty=3.0, status="confirmed")])
    row = frames.by_instrument(positions, portfolio).iloc[0]
    assert (row["long"], row["short"]) == ("ALPHA +10", "BETA −4")
    assert (row["books_qty"], row["broker_qty"], row["residual_qty"], row["status"]) == (6.0, 9.0, 3.0, "confirmed")


def test_what_only_the_broker_holds_is_shown_too():
    portfolio = pd.DataFrame(
        [position(con_id=9, local_symbol="ESZ6", broker_qty=2.0, residual_qty=2.0, status="suspected")]
    )
    row = frames.by_instrument(pd.DataFrame(), portfolio).iloc[0]
    assert (row["instrument"], row["books_qty"], row["residual_qty"]) == ("ESZ6", 0.0, 2.0)


def test_todays_pnl_takes_off_what_was_there_when_the_day_began():
    midnight = NOON.replace(hour=0)
    curves = {"ALPHA": ([midnight - timedelta(hours=1), midnight + timedelta(hours=1)], [10.0, 99.0])}
    assert earnings.pnl_today(pd.DataFrame([position()]), curves, midnight) == {"ALPHA": 14.0}


def test_a_strategy_that_began_today_earned_all_of_it_today():
    assert earnings.pnl_today(pd.DataFrame([position()]), {}, NOON.replace(hour=0)) == {"ALPHA": 24.0}


def equity_rows(*rows):
    names = ("timestamp", "strategy", "account", "currency", "realized_base", "unrealized_base", "fees_base")
    return pd.DataFrame([dict(zip(names, (NOON + timedelta(minutes=m), *rest), strict=True)) for m, *rest in rows])


def test_a_part_without_a_row_is_worth_what_its_last_row_says():
    equity = equity_rows(
        (0, "ALPHA", "DU1", "USD", 1.0, 1.0, 0.5),
        (0, "ALPHA", "DU1", "EUR", 10.0, 0.0, 0.0),
        (1, "ALPHA", "DU1", "USD", 2.0, 1.0, 0.5),
        (2, "ALPHA", "DU2", "USD", 100.0, 0.0, 0.0),
    )
    times, values = earnings.equity_curves(equity)["ALPHA"]
    assert times == [NOON, NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)]
    assert values == [11.5, 12.5, 112.5]
    assert earnings.equity_curves(equity, account="DU2") == {"ALPHA": ([NOON + timedelta(minutes=2)], [100.0])}


def test_equity_leaves_out_a_moment_of_which_a_part_is_unknown():
    equity = equity_rows(
        (0, "ALPHA", "DU1", "USD", 1.0, 1.0, 0.5),
        (0, "ALPHA", "DU2", "USD", 2.0, math.nan, 0.5),
        (1, "ALPHA", "DU1", "USD", 1.0, 1.0, 0.25),
        (2, "ALPHA", "DU2", "USD", 2.0, 0.0, 0.5),
        (3, "ALPHA", "DU2", "USD", 2.0, 0.0, math.nan),
    )
    assert earnings.equity_curves(equity) == {"ALPHA": ([NOON + timedelta(minutes=2)], [3.25])}


def test_a_strategy_that_was_never_known_has_no_curve_and_leaves_the_total_unknown():
    equity = equity_rows(
        (0, "ALPHA", "DU1", "USD", 1.0, 1.0, 0.5),
        (0, "BETA", "DU1", "USD", 1.0, math.nan, 0.5),
    )
    curves = earnings.equity_curves(equity)
    assert curves == {"ALPHA": ([NOON], [1.5])}
    assert total_curve(curves, equity) is None


def order(key, status, minute, **more):
    return {
        "order_key": key, "strategy": "ALPHA", "account": "DU1", "symbol": "AAPL", "side": "BUY", "qty": 10.0,
        "status": status, "filled": 0.0, "timestamp": NOON + timedelta(minutes=minute), **more,
    }  # fmt: skip


def test_open_orders_come_first_and_then_the_newest():
    table = pd.DataFrame(
        [
            order("P:1", "Filled", 5),
            order("P:2", "Submitted", 1),
            order("P:3", "Submitted", 2),
            order("P:4", "Filled", 9),
        ]
    )
    assert frames.orders_table(table)["order_key"].tolist() == ["P:3", "P:2", "P:4", "P:1"]


def test_an_order_that_was_last_seen_long_ago_says_so_f52():
    table = pd.DataFrame([order("P:1", "Submitted", 2), order("P:2", "Submitted", 1)]).assign(stale=[True, False])
    assert frames.orders_table(table)["status"].tolist() == ["Submitted (stale)", "Submitted"]


def test_an_order_key_is_made_from_the_perm_id_or_else_from_client_and_order_id():
    table = pd.DataFrame(
        [
            {"account": "DU1", "perm_id": 7, "order_id": 1, "client_id": 2},
            {"account": "DU1", "perm_id": 0, "order_id": 1, "client_id": 2},
        ]
    )
    assert frames.keyed(table)["order_key"].tolist() == ["PDU1:7", "ODU1:2:1"]


def test_each_state_of_an_order_is_a_bar_until_the_next_one():
    story = pd.DataFrame([order("P:1", "Submitted", 0), order("P:1", "Filled", 3, filled=10.0)])
    bars = order_bars.order_segments({"P:1": story}, frames.orders_table(story.tail(1)), NOON + timedelta(hours=1))
    assert bars["status"] == ["Submitted", "Filled"]
    assert bars["right"][0] == bars["left"][1] == bars["right"][1] == datetime(2026, 3, 4, 12, 3)  # noqa: DTZ001
    assert bars["filled"] == ["0 of 10", "10 of 10"]


def test_the_bar_of_an_open_order_reaches_to_now():
    story = pd.DataFrame([order("P:1", "Submitted", 0)])
    bars = order_bars.order_segments({"P:1": story}, frames.orders_table(story), NOON + timedelta(hours=1))
    assert bars["right"] == [datetime(2026, 3, 4, 13, 0)]  # noqa: DTZ001


def test_breaks_of_the_store_and_of_the_engine_look_the_same():
    row = {
        "account": "DU1",
        "con_id": 1,
        "symbol": "AAPL",
        "state": "confirmed",
        "first_seen": NOON - timedelta(minutes=30),
    }
    stored = pd.DataFrame([row | {"qty": 5.0, "residual_qty": 3.0, "explained_qty": 2.0, "value_at_risk_base": 10.0}])
    row = frames.breaks_table(stored, now=NOON).iloc[0]
    assert (row["break_id"], row["residual"], row["explained"], row["age_min"]) == ("DU1:1", 3.0, 2.0, 30.0)


def test_a_break_of_unknown_value_comes_before_all_others():
    rows = [
        {"account": "DU1", "con_id": n, "residual": 1.0, "value_at_risk_base": v}
        for n, v in ((1, 5.0), (2, math.nan), (3, 9.0))
    ]
    assert frames.breaks_table(pd.DataFrame(rows), now=NOON)["con_id"].tolist() == [2.0, 3.0, 1.0]


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\tx"])
def test_a_formula_in_a_text_does_nothing_in_a_spreadsheet(text):
    out = files.harmless(pd.DataFrame({"order_ref": [text], "qty": [-2.0]}))
    assert out.loc[0, "order_ref"] == f"'{text}"
    assert out.loc[0, "qty"] == -2.0


def test_the_search_takes_words_literally():
    table = pd.DataFrame({"order_ref": ["a.*b", "acb"], "qty": [1.0, 2.0]})
    assert frames.matching(table, ".*")["order_ref"].tolist() == ["a.*b"]


def test_the_base_currency_is_named_only_when_all_agree():
    assert frames.base_currency(pd.DataFrame({"base_currency": ["USD", "USD"]}), "") == "USD"
    assert frames.base_currency(pd.DataFrame({"base_currency": ["USD", "EUR"]}), "") == "base"
    assert frames.base_currency(None, "CHF") == "CHF"


def test_what_waits_in_unassigned_breaks_no_invariant():
    rows = [
        {"account": "DU1", "con_id": 1, "quantity": 70.0, "unassigned_qty": 70.0},
        {"account": "DU1", "con_id": 2, "quantity": 5.0, "unassigned_qty": 2.0},
    ]
    fails, waits = frames.unbalanced(pd.DataFrame(rows))
    assert fails[["con_id", "missing"]].to_numpy().tolist() == [[2.0, 3.0]]
    assert waits["con_id"].tolist() == [1]


def test_a_difference_of_unknown_size_breaks_the_invariant():
    fails, waits = frames.unbalanced(pd.DataFrame([{"account": "DU1", "con_id": 1, "quantity": math.nan}]))
    assert (len(fails), len(waits)) == (1, 0)


def test_an_order_without_the_broker_s_time_stands_where_we_heard_of_it():
    rows = pd.DataFrame(
        {
            "order_key": ["early", "unknown", "late"],
            "status": "Filled",
            "timestamp": [NOON, None, NOON + timedelta(seconds=9)],
            "recorded_at": [NOON + timedelta(seconds=second) for second in (1, 5, 10)],
        }
    )
    assert list(frames.orders_table(rows)["order_key"]) == ["late", "unknown", "early"]
