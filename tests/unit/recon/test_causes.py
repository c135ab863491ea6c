from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import msgspec
import pytest
from recon_parts import (
    AAPL,
    CALL,
    DU,
    FUTURE,
    MSFT,
    START,
    D,
    at,
    evidence,
    execution,
    holding,
    loose,
    order,
    side,
)

from engine.core.events import AssignmentLeg, AssignmentMade
from engine.core.instrument import Instrument
from engine.core.statement import CorporateAction, OptionEvent, StatementTrade, Transfer
from engine.recon.causes.expiry import delivered, has_expired
from engine.recon.causes.ratios import plain_ratio
from engine.recon.causes.shares import split_pro_rata
from engine.recon.explain import explain

OLD = Instrument(con_id=11, symbol="GCM.OLD", currency="USD")
NEW = Instrument(con_id=12, symbol="GCM", currency="USD")
PUT = msgspec.structs.replace(CALL, con_id=13, right="P", strike=Decimal(90))


def top(given):
    told = explain(given)
    assert told.causes, "something is always said"
    assert sum(c.quantity for c in told.accepted) + told.residual == given.found.quantity
    return told.causes[0]


def legs(cause):
    return [(leg.strategy, leg.quantity, leg.price) for leg in cause.proposal.legs]


# --- executions that no strategy owns


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, "external_trade"),
        ({"order_id": -3}, "external_trade"),
        ({"order_id": 5, "client_id": 12}, "other_client"),
        ({"order_id": 5, "client_id": 40, "order_ref": "mystery"}, "unclaimed_execution"),
        ({"order_id": -1, "liquidation": True}, "liquidation"),
    ],
)
def test_f49_f51_f56_r5_r12_r20_the_orders_identity_says_who_traded(more, kind):
    record = loose(-50, **more)
    cause = top(evidence(side(AAPL, 50, holding("ALPHA", 100), unassigned=-50), unassigned=-50, fills=(record,)))
    assert (cause.kind, cause.quantity, cause.provisional) == (kind, -50, False)
    assert cause.evidence == (record.fill.exec_id,)
    assert cause.proposal.act == "move"


def test_executions_of_several_makers_are_all_accepted_and_leave_no_residual():
    records = (loose(60), loose(-10, order_id=5, client_id=12))
    told = explain(evidence(side(AAPL, 50, unassigned=50), unassigned=50, fills=records))
    assert {c.kind: c.quantity for c in told.accepted} == {"external_trade": 60, "other_client": -10}
    assert told.residual == 0


def test_what_earlier_assignments_took_out_is_not_explained_again():
    records = (
        loose(60, when=-7200.0),
        loose(40, order_id=5, client_id=12),
        loose(-30, source="assignment", when=-10.0),
    )
    told = explain(evidence(side(AAPL, 70, unassigned=70), unassigned=70, fills=records))
    assert {c.kind: c.quantity for c in told.accepted} == {"external_trade": 30, "other_client": 40}


# --- our own orders


def test_r23_f63_an_order_that_filled_more_than_we_hold_names_the_missing_execution():
    here = side(AAPL, 100, holding("ALPHA", 60))
    fills = (execution(60, perm_id=700),)
    cause = top(evidence(here, fills=fills, orders=(order(100, ours=60),)))
    assert (cause.kind, cause.quantity, cause.evidence) == ("missing_fill", 40, (f"P{DU}:700",))


def test_f21_a_gap_in_the_cumulative_quantity_names_the_missing_execution():
    fills = (execution(-60, perm_id=700, cum_quantity=D(100)),)
    here = side(AAPL, -100, holding("ALPHA", -60))
    cause = top(evidence(here, fills=fills, orders=(order(60, "SELL", ours=60),)))
    assert (cause.kind, cause.quantity) == ("missing_fill", -40)


def test_f22_fills_of_former_days_are_not_missing():
    fills = (execution(50, perm_id=700, cum_quantity=D(100)),)
    here = side(AAPL, 130, holding("ALPHA", 100))
    told = explain(evidence(here, fills=fills, orders=(order(100, ours=100),)))
    assert "missing_fill" not in {c.kind for c in told.causes}


def test_f68_r21_a_rejected_order_explains_nothing():
    here = side(AAPL, 100)
    told = explain(evidence(here, orders=(order(0, ours=0),)))
    assert [c.kind for c in told.causes] == ["external_trade"]
    assert told.residual == 100


def test_a_working_order_may_just_have_filled():
    here = side(AAPL, 100)
    cause = top(evidence(here, orders=(order(0, is_open=True, remaining=100),)))
    assert cause.kind == "position_before_fill"


@pytest.mark.parametrize(
    ("parts", "remaining", "kind", "quantity"),
    [((200,), 215, "correction", -15), ((150, 50), 250, "bust", -50), ((-200,), 215, "correction", 15)],
)
def test_f15_f18_an_order_that_counts_less_than_we_hold_tells_of_a_correction_or_bust(parts, remaining, kind, quantity):
    fills = tuple(execution(q, perm_id=700, when=-9000.0) for q in parts)
    word = "BUY" if parts[0] > 0 else "SELL"
    held = sum(parts)
    working = order(200, word, quantity=400, is_open=True, ours=200)
    working = msgspec.structs.replace(working, update=msgspec.structs.replace(working.update, remaining=D(remaining)))
    here = side(AAPL, held + quantity, holding("ALPHA", held))
    cause = top(evidence(here, fills=fills, orders=(working,)))
    assert (cause.kind, cause.quantity, cause.provisional) == (kind, quantity, True)
    before = tuple(execution(q, perm_id=700, when=-60.0) for q in parts)
    told = explain(evidence(here, fills=before, orders=(working,)))
    assert not any(working.order_key in c.evidence for c in told.causes), "a count of before says nothing"


# --- taken back, or booked twice


def test_f19_a_difference_opposite_to_one_fill_is_a_provisional_bust_that_names_it():
    record = execution(40, 99)
    here = side(AAPL, 60, holding("ALPHA", 100))
    cause = top(evidence(here, fills=(execution(60), record)))
    assert (cause.kind, cause.evidence, cause.provisional) == ("bust", (record.fill.exec_id,), True)
    assert legs(cause) == [("ALPHA", -40, 99)]


def test_f18_a_cancel_row_of_the_statement_confirms_the_bust():
    row = StatementTrade(
        account=DU,
        instrument=AAPL,
        kind="TradeCancel",
        quantity=D(-40),
        price=D(99),
        orig_trade_id="T1",
        transaction_id="9",
    )
    here = side(AAPL, 60, holding("ALPHA", 100))
    cause = top(evidence(here, fills=(execution(60), execution(40)), statement=(row,)))
    assert (cause.kind, cause.provisional) == ("bust", False)


def test_f17_a_small_difference_beside_one_large_fill_may_be_a_correction():
    here = side(AAPL, 190, holding("ALPHA", 200))
    told = explain(evidence(here, fills=(execution(200),)))
    assert "correction" in {c.kind for c in told.causes}
    assert told.residual == -10


@pytest.mark.parametrize(("first", "second"), [(-100, -80), (40, 55)])
def test_f16_a_correction_that_the_position_does_not_show_is_named(first, second):
    old = execution(first, exec_id="0000e0d5.00000abc.01.01", state="superseded")
    new = execution(second, exec_id="0000e0d5.00000abc.01.02")
    here = side(AAPL, first, holding("ALPHA", second))
    cause = top(evidence(here, fills=(new,), older=(old,)))
    assert (cause.kind, cause.quantity, cause.evidence) == ("correction", first - second, (new.fill.exec_id,))


def test_r13_an_execution_that_comes_after_its_assignment_asks_for_the_reversal():
    entry = AssignmentMade(
        received_at=at(-600),
        assignment_id="A-7",
        account=DU,
        instrument=AAPL,
        legs=(AssignmentLeg(strategy="ALPHA", quantity=D(40), price=D(100)),),
        operator="mary",
        reason="lost fill",
        effective_at=at(-600),
    )
    late = execution(40, when=-3600.0, received_at=at(-60))
    here = side(AAPL, 40, holding("ALPHA", 80))
    cause = top(evidence(here, fills=(late,), assignments=(entry,)))
    assert (cause.kind, cause.proposal.act, cause.proposal.assignment_id) == ("assignment_superseded", "reverse", "A-7")


# --- options and futures


def test_f96_an_assigned_short_call_links_both_legs_with_the_strike():
    option = side(CALL, 0, holding("ALPHA", -1, 2, instrument=CALL))
    stock = side(AAPL, -100)
    for here, beside, expected in ((option, stock, [("ALPHA", 1, 0)]), (stock, option, [("ALPHA", -100, 150)])):
        cause = top(evidence(here, beside=(beside,)))
        assert (cause.kind, cause.linked) == ("option_assignment", (beside.break_id,))
        assert legs(cause) == expected


@pytest.mark.parametrize(
    ("option", "held", "stock"), [(CALL, 2, 200), (CALL, -2, -200), (PUT, 2, -200), (PUT, -2, 200)]
)
def test_f96_what_an_exercise_delivers(option, held, stock):
    assert delivered(option, D(held)) == stock


def test_f101_an_exercised_futures_option_explains_the_future():
    fop = Instrument(
        con_id=20,
        symbol="EUR",
        sec_type="FOP",
        currency="USD",
        multiplier=D(1),
        strike=D("1.265"),
        right="C",
        under_con_id=4,
    )
    option = side(fop, 0, holding("ALPHA", 1, instrument=fop))
    assert top(evidence(side(FUTURE, 1), beside=(option,), now=START - timedelta(days=9))).kind == "option_exercise"


def test_f102_a_partial_early_assignment_is_split_pro_rata_over_the_holders():
    early = msgspec.structs.replace(CALL, expiry="20261218")
    option = side(early, -3, holding("ALPHA", -4, instrument=early), holding("BETA", -1, instrument=early))
    cause = top(evidence(option, beside=(side(AAPL, -200),)))
    assert cause.kind == "option_assignment"
    assert sum(q for _, q, _ in legs(cause)) == 2
    assert {s for s, _, _ in legs(cause)} <= {"ALPHA", "BETA"}


def test_two_options_that_deliver_into_one_stock_explain_it_together():
    call = side(CALL, 0, holding("ALPHA", 1, instrument=CALL))
    put = side(PUT, 0, holding("BETA", -2, instrument=PUT))
    told = explain(evidence(side(AAPL, 300), beside=(call, put)))
    assert told.residual == 0
    assert sorted(c.quantity for c in told.accepted) == [100, 200]


def test_r43_f97_an_expired_option_is_offered_for_booking_at_zero():
    here = side(CALL, 0, holding("ALPHA", 3, instrument=CALL), holding("BETA", 1, instrument=CALL))
    cause = top(evidence(here, underlying=side(AAPL, 0, mark=140)))
    assert cause.kind == "option_expiry"
    assert legs(cause) == [("ALPHA", -3, 0), ("BETA", -1, 0)]


def test_r43_f100_an_option_that_expires_in_the_money_without_delivery_is_offered_at_intrinsic_value():
    here = side(CALL, 0, holding("ALPHA", 1, instrument=CALL))
    told = explain(evidence(here, underlying=side(AAPL, 0, mark=163)))
    assert told.causes[0].kind == "option_expiry"
    assert legs(told.causes[0]) == [("ALPHA", -1, 13)]


def test_f100_an_option_that_is_settled_in_cash_was_not_busted():
    here = side(CALL, 0, holding("ALPHA", 2, instrument=CALL))
    bought = execution(2, instrument=CALL)
    told = explain(evidence(here, underlying=side(AAPL, 0, mark=163), fills=(bought,)))
    assert [c.kind for c in told.causes[:2]] == ["option_expiry", "bust"]


def test_f96_both_legs_of_a_spread_in_the_money_leave_the_stock_where_it_was():
    high = msgspec.structs.replace(CALL, con_id=33, strike=D(155))
    long, short = (
        side(CALL, 0, holding("ALPHA", 2, 10, instrument=CALL)),
        side(high, 0, holding("BETA", -2, 6, instrument=high)),
    )
    stock = side(AAPL, 60, holding("GAMMA", 60), mark=162)
    bought, sold = (
        top(evidence(long, beside=(short,), underlying=stock)),
        top(evidence(short, beside=(long,), underlying=stock)),
    )
    assert (bought.kind, bought.linked, legs(bought)) == ("option_exercise", (short.break_id,), [("ALPHA", -2, 12)])
    assert (sold.kind, sold.linked, legs(sold)) == ("option_assignment", (long.break_id,), [("BETA", 2, 7)])
    below = side(AAPL, 60, holding("GAMMA", 60), mark=153)
    assert top(evidence(long, beside=(short,), underlying=below)).kind == "option_expiry", "only one leg is worth it"


def test_f105_an_adjusted_option_delivers_by_its_own_terms():
    call = msgspec.structs.replace(CALL, expiry="20261218", trading_class="AAPL1")
    option, stock = side(call, 0, holding("ALPHA", 2, instrument=call)), side(AAPL, 66)
    bought = execution(2, instrument=call)
    gone, come = top(evidence(option, beside=(stock,), fills=(bought,))), top(evidence(stock, beside=(option,)))
    assert (gone.kind, gone.quantity, gone.linked) == ("option_exercise", -2, (stock.break_id,))
    assert (come.kind, come.quantity, come.linked) == ("option_exercise", 66, (option.break_id,))
    plain = msgspec.structs.replace(call, trading_class="AAPL")
    option = side(plain, 0, holding("ALPHA", 2, instrument=plain))
    assert top(evidence(stock, beside=(option,))).kind == "external_trade"


def test_an_option_that_vanishes_before_its_time_did_not_expire():
    early = msgspec.structs.replace(CALL, expiry="20261218")
    told = explain(evidence(side(early, 0, holding("ALPHA", 1, instrument=early))))
    assert "option_expiry" not in {c.kind for c in told.causes}


def test_f112_a_future_past_its_last_day_is_closed_by_expiry():
    here = side(FUTURE, 0, holding("ALPHA", -2, 5000, instrument=FUTURE), mark=5010)
    cause = top(evidence(here))
    assert cause.kind == "futures_expiry"
    assert legs(cause) == [("ALPHA", 2, 5010)]


@pytest.mark.parametrize(
    ("text", "expired"),
    [("20260310", True), ("20260311", False), ("202602", True), ("202603", False), ("", False), ("soon", False)],
)
def test_an_expiry_is_a_day_of_new_york(text, expired):
    assert has_expired(msgspec.structs.replace(FUTURE, expiry=text), START) is expired


def test_f98_f99_f101_statement_rows_explain_both_legs_of_an_event_for_sure():
    event = OptionEvent(
        account=DU,
        kind="assignment",
        instrument=CALL,
        quantity=D(1),
        price=D(0),
        underlying=AAPL,
        underlying_quantity=D(-100),
        underlying_price=D(150),
        trade_ids=("1", "2"),
    )
    for here in (side(CALL, 0, holding("ALPHA", -1, instrument=CALL)), side(AAPL, -100)):
        cause = top(evidence(here, statement=(event,)))
        assert (cause.kind, cause.provisional) == ("option_assignment", False)


# --- corporate actions


def test_f105_a_reverse_split_into_a_new_con_id_migrates_every_strategy_by_the_ratio():
    old = side(OLD, 0, holding("ALPHA", 10000, "0.4", instrument=OLD), holding("BETA", 2000, "0.5", instrument=OLD))
    new = side(NEW, 480, avg_cost="10.4167")
    gone, come = top(evidence(old, beside=(new,))), top(evidence(new, beside=(old,)))
    assert gone.kind == come.kind == "split"
    assert "1:25" in gone.title
    assert legs(gone) == [("ALPHA", -10000, D("0.4")), ("BETA", -2000, D("0.5"))]
    assert legs(come) == [("ALPHA", 400, 10), ("BETA", 80, D("12.5"))]


def test_f105_the_fractional_remainder_goes_to_cash_in_lieu():
    old = side(OLD, 0, holding("ALPHA", 12010, "0.4", instrument=OLD))
    come = top(evidence(side(NEW, 480, avg_cost=10), beside=(old,)))
    assert legs(come) == [("ALPHA", 480, 10)]
    assert "cash in lieu" in come.proposal.text


def test_f105_f107_a_merger_is_told_by_the_cost_that_went_along():
    target = Instrument(con_id=14, symbol="BIGCO", currency="USD")
    old = side(OLD, 0, holding("ALPHA", 200, 30, instrument=OLD))
    cause = top(evidence(side(target, 100, avg_cost=60), beside=(old,)))
    assert (cause.kind, cause.linked) == ("merger", (old.break_id,))


def test_f105_a_merger_at_any_ratio_is_told_by_the_total_cost_that_went_along():
    target = Instrument(con_id=14, symbol="BIGCO", currency="USD")
    old = side(OLD, 0, holding("ALPHA", 240, 33, instrument=OLD), holding("BETA", 160, 33, instrument=OLD))
    gone = top(evidence(old, beside=(side(target, 260, avg_cost="50.78"),)))
    assert (gone.kind, "13:20" in gone.title) == ("merger", True)
    come = top(evidence(side(target, 260, avg_cost="50.78"), beside=(old,)))
    assert [(s, q) for s, q, _ in legs(come)] == [("ALPHA", 156), ("BETA", 104)]
    assert top(evidence(old, beside=(side(target, 260, avg_cost="52"),))).kind == "external_trade"


def test_a_ratio_between_differences_of_two_days_is_a_coincidence():
    other = Instrument(con_id=15, symbol="ZZZ", currency="USD")
    old = side(OLD, 0, holding("ALPHA", 200, 30, instrument=OLD))
    old = msgspec.structs.replace(old, since=at(-200_000))
    new = msgspec.structs.replace(side(other, 100), since=at(-60))
    assert top(evidence(old, beside=(new,))).kind == "external_trade"
    assert top(evidence(old, beside=(msgspec.structs.replace(new, since=at(-200_060)),))).kind == "merger"


def test_two_unrelated_trades_in_a_plain_ratio_score_below_a_bust():
    other = Instrument(con_id=15, symbol="ZZZ", currency="USD")
    old = side(OLD, 0, holding("ALPHA", 200, 30, instrument=OLD))
    told = explain(evidence(old, beside=(side(other, 100, avg_cost=7),), fills=(execution(200, 30, instrument=OLD),)))
    assert told.causes[0].kind == "bust"


def test_r44_a_proportional_jump_with_an_inverse_price_is_a_split_applied_pro_rata():
    here = side(AAPL, 400, holding("ALPHA", 60, 100), holding("BETA", 40, 200), avg_cost=35)
    cause = top(evidence(here))
    assert (cause.kind, cause.title, cause.quantity) == ("split", "Split 4:1", 300)
    assert legs(cause) == [("ALPHA", -60, 100), ("BETA", -40, 200), ("ALPHA", 240, 25), ("BETA", 160, 50)]


def test_r44_trades_after_a_split_are_set_aside():
    books = (holding("ALPHA", 80, 100), holding("BETA", 40, 100), holding("GAMMA", 20, 51))
    fills = (execution(80), execution(40, strategy="BETA"), execution(20, 51, strategy="GAMMA", when=-60.0))
    here = side(AAPL, 260, *books, avg_cost="50.1")
    cause = top(evidence(here, fills=fills))
    assert (cause.kind, cause.quantity) == ("split", 120)
    assert cause.title == "Split 2:1 before the latest 1 executions"
    assert legs(cause) == [("ALPHA", -80, 100), ("BETA", -40, 100), ("ALPHA", 160, 50), ("BETA", 80, 50)]


def test_r44_a_stock_dividend_leaves_the_total_cost_and_so_tells_its_odd_ratio():
    cause = top(evidence(side(AAPL, 210, holding("ALPHA", 200, 100), avg_cost="95.25")))
    assert (cause.kind, cause.title, cause.quantity) == ("split", "Split 21:20", 10)
    assert top(evidence(side(AAPL, 210, holding("ALPHA", 200, 100), avg_cost=100))).kind == "external_trade"


def test_a_jump_without_a_price_to_match_is_no_split():
    told = explain(evidence(side(AAPL, 200, holding("ALPHA", 100), avg_cost=101)))
    assert told.residual == 100
    assert next(c for c in told.causes if c.kind == "split").score < 40
    assert told.causes[0].kind == "external_trade", "a cost that stayed speaks against it"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(100, 300, "3/1"), (100, 150, "3/2"), (12010, 480, "1/25"), (100, 101, None), (100, -100, None), (100, 100, None)],
)
def test_plain_ratios(before, after, words):
    found = plain_ratio(D(before), D(after))
    assert (None if found is None else f"{found.numerator}/{found.denominator}") == words


@pytest.mark.parametrize(
    ("code", "kind"),
    [("SO", "spin_off"), ("RI", "spin_off"), ("TM", "maturity"), ("RS", "split"), ("TC", "merger"), ("??", "merger")],
)
def test_f106_f109_f113_a_corporate_action_row_confirms(code, kind):
    row = CorporateAction(account=DU, kind=code, instrument=AAPL, quantity=D(10), transaction_id="5")
    cause = top(evidence(side(AAPL, 10), statement=(row,)))
    assert (cause.kind, cause.provisional, cause.quantity) == (kind, False, 10)


def test_f86_f109_a_fraction_that_an_action_pays_out_is_no_part_of_the_difference():
    row = CorporateAction(account=DU, kind="SO", instrument=AAPL, quantity=D("47.5714"), transaction_id="5")
    cause = top(evidence(side(AAPL, 47), statement=(row,)))
    assert (cause.kind, cause.quantity, cause.provisional) == ("spin_off", 47, False)
    assert "+0.5714" in cause.arithmetic
    exact = top(evidence(side(AAPL, "47.5714"), statement=(row,)))
    assert exact.quantity == D("47.5714")


# --- transfers


def test_f110_a_transfer_row_explains_and_holds_in_unassigned():
    row = Transfer(account=DU, kind="ACATS", instrument=AAPL, quantity=D(30), price=D(12), transaction_id="6")
    cause = top(evidence(side(AAPL, 30), statement=(row,)))
    assert (cause.kind, cause.provisional) == ("transfer", False)
    assert legs(cause) == [("UNASSIGNED", 30, 12)]


def test_f110_opposite_differences_in_two_accounts_are_a_transfer():
    other = side(AAPL, 100, account="DU2")
    cause = top(evidence(side(AAPL, 0, holding("ALPHA", 100)), elsewhere=(other,)))
    assert (cause.kind, cause.linked) == ("transfer", (other.break_id,))


def test_f110_a_holding_may_go_to_several_accounts():
    here = side(AAPL, 130, holding("ALPHA", 530))
    others = (side(AAPL, 150, account="DU2"), side(AAPL, 250, account="DU3"))
    cause = top(evidence(here, elsewhere=others))
    assert (cause.kind, cause.quantity, cause.linked) == ("transfer", -400, tuple(o.break_id for o in others))
    back = top(evidence(others[0], elsewhere=(here, others[1])))
    assert (back.kind, back.quantity) == ("transfer", 150)
    assert top(evidence(here, elsewhere=others[:1])).kind == "external_trade", "250 went elsewhere"


# --- small things


def test_f86_a_fraction_left_out_by_the_brokers_list_is_truncation():
    cause = top(evidence(side(AAPL, 1, holding("ALPHA", "1.4"))))
    assert (cause.kind, cause.quantity) == ("fractional_truncation", D("-0.4"))


def test_r46_a_small_drift_is_a_class_of_its_own_and_is_not_repaired():
    coin = Instrument(con_id=30, symbol="BTC", sec_type="CRYPTO", currency="USD")
    cause = top(evidence(side(coin, "0.999", holding("ALPHA", 1, instrument=coin))))
    assert (cause.kind, cause.proposal.act) == ("drift", "none")


def test_r46_a_large_difference_is_never_a_drift():
    told = explain(evidence(side(AAPL, 90, holding("ALPHA", 100))))
    assert "drift" not in {c.kind for c in told.causes}
    assert told.residual == -10


def test_f111_a_small_growth_of_a_stock_holding_looks_like_a_reinvested_dividend():
    assert top(evidence(side(AAPL, "100.37", holding("ALPHA", 100)))).kind == "dividend_reinvestment"


def test_f111_nothing_is_reinvested_on_shares_that_were_bought_just_before():
    bought = execution(100, when=-600.0)
    here = side(AAPL, "100.05", holding("ALPHA", 100))
    assert top(evidence(here, fills=(bought,))).kind == "drift"
    assert top(evidence(here, fills=(execution(100, when=-90_000.0),))).kind == "dividend_reinvestment"


def test_f57_a_reinvestment_on_the_statement_is_never_taken_for_a_strategys_trade():
    row = StatementTrade(
        account=DU,
        instrument=AAPL,
        kind="ExchTrade",
        quantity=D("0.37"),
        price=D(100),
        transaction_id="8",
        notes=("R",),
    )
    cause = top(evidence(side(AAPL, "100.37", holding("ALPHA", 100)), statement=(row,)))
    assert (cause.kind, cause.provisional) == ("dividend_reinvestment", False)


def test_f93_a_price_unit_mismatch_is_named_with_its_factor():
    here = side(AAPL, 10, holding("ALPHA", 10, 947), avg_cost="9.47")
    told = explain(evidence(here, kind="cost"))
    assert told.causes[0].kind == "price_unit"
    assert "0.01" in told.causes[0].arithmetic
    assert told.residual == 0


def test_f114_lag_is_told_where_the_latest_fills_make_exactly_the_difference():
    here = side(AAPL, 60, holding("ALPHA", 100))
    told = explain(evidence(here, fills=(execution(60), execution(40)), lag=frozenset({D(-40)})))
    assert [c.kind for c in told.causes[:2]] == ["settling_lag", "bust"]


def test_r15_what_nothing_explains_stays_the_residual_and_is_said_so():
    told = explain(evidence(side(AAPL, 93, holding("ALPHA", 100))))
    assert told.accepted == ()
    assert told.residual == -7
    assert told.causes[-1].kind == "external_trade"
    assert told.causes[-1].provisional


def test_f131_after_a_reset_overnight_causes_come_before_a_missed_fill():
    option = side(CALL, 0, holding("ALPHA", -1, instrument=CALL))
    stock = side(AAPL, -100)
    given = {"beside": (option,), "orders": (order(100, "SELL", ours=0),)}
    assert explain(evidence(stock, after_reset=True, **given)).causes[0].kind == "option_assignment"
    missed = next(c for c in explain(evidence(stock, after_reset=True, **given)).causes if c.kind == "missing_fill")
    assert (
        missed.score == next(c for c in explain(evidence(stock, **given)).causes if c.kind == "missing_fill").score - 5
    )


def test_f24_f150_a_statement_trade_that_the_books_lack_is_named_and_one_they_have_is_not():
    held = execution(40, exec_id="0000aaaa.00000001.01.01")
    rows = [
        StatementTrade(
            account=DU,
            instrument=AAPL,
            kind="ExchTrade",
            quantity=D(q),
            price=D(9),
            exec_id=e,
            trade_date=date(2026, 3, 9),
        )
        for q, e in ((40, "0000aaaa.00000001.01.01"), (25, "0000aaaa.00000002.01.01"))
    ]
    cause = top(evidence(side(AAPL, 65, holding("ALPHA", 40)), fills=(held,), statement=tuple(rows)))
    assert (cause.kind, cause.quantity) == ("statement_trade", 25)


def test_shares_of_a_whole_quantity_are_whole_and_add_up():
    assert split_pro_rata(D(10), {"A": D(1), "B": D(1), "C": D(1)}) == {"A": 4, "B": 3, "C": 3}
    assert sum(split_pro_rata(D("-0.1"), {"A": D(1), "B": D(2)}).values()) == D("-0.1")
    assert split_pro_rata(D(5), {}) == {}


def test_a_cause_in_another_currency_or_kind_is_no_merger():
    foreign = Instrument(con_id=16, symbol="GCM", currency="EUR")
    old = side(OLD, 0, holding("ALPHA", 200, 30, instrument=OLD))
    told = explain(evidence(old, beside=(side(foreign, 100, avg_cost=60), side(MSFT, 77))))
    assert not {"merger", "split"} & {c.kind for c in told.causes}


@pytest.mark.parametrize("interim", ["UUU.TEN2", "UUU.TEN", "UUU.NEW"])
def test_f107_an_interim_line_of_a_tender_maps_to_its_parent_per_strategy(interim):
    parent = Instrument(con_id=17, symbol="UUU", currency="USD")
    line = Instrument(con_id=18, symbol=interim, currency="USD")
    old = side(parent, 0, holding("ALPHA", 60, 8, instrument=parent), holding("BETA", 40, 9, instrument=parent))
    cause = top(evidence(side(line, 100), beside=(old,)))
    assert (cause.kind, legs(cause)) == ("merger", [("ALPHA", 60, 8), ("BETA", 40, 9)])


def test_f106_an_explanation_is_provisional_until_the_statement_comes():
    old = side(OLD, 0, holding("ALPHA", 12000, "0.4", instrument=OLD))
    given = {"beside": (side(NEW, 480, avg_cost=10),)}
    assert top(evidence(old, **given)).provisional
    row = CorporateAction(account=DU, kind="RS", instrument=OLD, quantity=D(-12000), transaction_id="31")
    cause = top(evidence(old, statement=(row,), **given))
    assert (cause.kind, cause.provisional) == ("split", False)
