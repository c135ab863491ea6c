"""One execution through any number of doors, its corrections in any order, its busts."""

from decimal import Decimal
from itertools import permutations

import msgspec
import pytest

from engine.core.events import Fill
from tests.unit.state.kit import AAPL, BAG, EURCHF, MSFT, Desk, at


def test_the_same_execution_through_three_doors_is_booked_once():
    """R35, R51, F3, F30: live, replayed with another time, and from a statement."""
    desk = Desk()
    desk.fill("x.01.01", 10, 100, strategy="ALPHA")
    desk.fill("x.01.01", 10, 100, source="replay", t=7200)
    changes = desk.fill("x.01.01", 10, 100, source="flex")
    assert desk.quantity() == 10
    assert not changes
    assert [r.fill.source for r in desk.ledger.fills()] == ["live"]
    assert desk.ledger.fill("DU1", "x.01").order_time == at(0)


def test_the_same_id_with_other_content_keeps_the_first_and_is_reported():
    """F7."""
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fill("x.01", 12, 100, strategy="ALPHA")
    desk.fill("x.01", 10, 101, strategy="ALPHA")
    assert desk.quantity() == 10
    assert desk.kinds() == {"conflict"}


def test_one_execution_id_in_two_accounts_is_two_executions():
    """R17: identity is the account and the root."""
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fill("x.01", 4, 100, strategy="ALPHA", account="DU2")
    assert (desk.quantity(), desk.quantity(account="DU2")) == (10, 4)


def test_a_correction_replaces_and_both_stay_linked():
    """R6, F15, F10: .01 with 10 and .02 with 8 make 8, not 18."""
    desk = Desk()
    desk.fill("a.b.01.01", 10, 100, strategy="ALPHA")
    changes = desk.fill("a.b.01.02", 8, "100.5", strategy="ALPHA")
    assert desk.quantity() == 8
    assert desk.book().open_cost == 804
    assert [(r.fill.exec_id, r.supersedes, r.state) for r in changes.fills] == [("a.b.01.02", "a.b.01.01", "active")]
    assert [(r.fill.exec_id, r.state) for r in desk.ledger.chain("DU1", "a.b.01")] == [
        ("a.b.01.01", "superseded"),
        ("a.b.01.02", "active"),
    ]


def test_the_original_after_its_correction_changes_nothing_but_is_kept():
    """R6, F16."""
    desk = Desk()
    desk.fill("a.01.02", 8, 100, strategy="ALPHA")
    changes = desk.fill("a.01.01", 10, 99, strategy="ALPHA")
    assert desk.quantity() == 8
    assert [(r.fill.exec_id, r.state, r.quantity) for r in changes.fills] == [
        ("a.01.01", "superseded", 0),
        ("a.01.02", "active", 8),
    ]
    assert changes.fills[-1].supersedes == "a.01.01"


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_corrections_stand_where_the_original_stood_whatever_came_first(order):
    """F16: the books equal those of a history in which only the corrected execution happened."""
    facts = [
        ("0000e0d5.00000001.01.01", 100, 10, 0),
        ("0000e0d5.00000002.01.01", -60, 12, 10),
        ("0000e0d5.00000001.01.02", 120, 9, 99),
        ("0000e0d5.00000003.01.01", -70, 8, 20),
    ]
    desk, clean = Desk(), Desk()
    for place in order:
        exec_id, quantity, price, t = facts[place]
        desk.fill(exec_id, quantity, price, t=t, strategy="ALPHA")
    clean.fill(facts[2][0], 120, 9, t=0, strategy="ALPHA")
    for exec_id, quantity, price, t in (facts[1], facts[3]):
        clean.fill(exec_id, quantity, price, t=t, strategy="ALPHA")
    assert desk.figures() == clean.figures()
    desk.stored_rows_fold_to_the_books()


def test_five_segments_are_one_root_and_a_revision():
    """F13: combination legs have five groups; only the last one is stripped."""
    desk = Desk()
    desk.fill("a.b.02.01.01", 5, 10, strategy="ALPHA")
    desk.fill("a.b.03.01.01", -5, 11, strategy="ALPHA", instrument=MSFT)
    desk.fill("a.b.02.01.02", 6, 10, strategy="ALPHA")
    assert (desk.quantity(), desk.quantity(instrument=MSFT)) == (6, -5)


def test_the_first_segments_are_opaque():
    """F14: nothing is derived from them."""
    desk = Desk()
    desk.fill("FXSMLCUS.6389b516.01.01", 5, 10, t=7, strategy="ALPHA")
    assert desk.ledger.fill("DU1", "FXSMLCUS.6389b516.01").order_time == at(7)


@pytest.mark.parametrize("order", list(permutations(("fill", "cancel", "again"))))
def test_a_cancelled_and_restated_trade_ends_restated_in_any_order(order):
    """F17, F18: sell 1143.283 is cancelled next day and becomes 1145.929445 under the same id."""
    desk = Desk()
    desk.fill("open.01", 2000, 30, t=-10, strategy="ALPHA")
    for what in order:
        if what == "fill":
            desk.fill("r.01.01", "-1143.283", "30.3075", strategy="ALPHA")
        elif what == "cancel":
            desk.bust("r.01.01")
        else:
            desk.fill("r.01.02", "-1145.929445", "30.2375", t=0, strategy="ALPHA", received_at=at(86400), source="flex")
    assert desk.quantity() == Decimal(2000) - Decimal("1145.929445")
    record = desk.ledger.fill("DU1", "r.01")
    assert record.order_time == at(0)
    assert record.recorded_at >= at(86400)
    desk.stored_rows_fold_to_the_books()


def test_a_bust_reverses_the_quantity_and_keeps_the_fee():
    """F18."""
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fee("x.01", "1.25")
    desk.bust("x.01")
    assert desk.quantity() == 0
    assert desk.book().fees == {"USD": Decimal("1.25")}
    record = desk.ledger.fill("DU1", "x")
    assert (record.state, record.quantity, record.reason) == ("busted", 0, "clearly erroneous")
    desk.stored_rows_fold_to_the_books()


def test_a_bust_heard_before_its_execution_still_voids_it():
    desk = Desk()
    desk.bust("x.01")
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    assert desk.quantity() == 0
    assert desk.ledger.fill("DU1", "x").state == "busted"


def test_a_late_bust_in_the_middle_refolds_what_followed():
    desk = Desk()
    desk.fill("1.01", 10, 100, t=0, strategy="ALPHA")
    desk.fill("2.01", 10, 120, t=1, strategy="ALPHA")
    desk.fill("3.01", -10, 130, t=2, strategy="ALPHA")
    assert desk.book().realized_pnl == 200
    changes = desk.bust("1.01")
    assert desk.book().realized_pnl == 100
    assert {r.fill.exec_id: r.realized_pnl for r in changes.fills} == {"1.01": 0, "3.01": 100}
    desk.stored_rows_fold_to_the_books()


def test_two_fills_of_one_moment_go_by_the_venues_sequence_then_by_arrival():
    """R41, F32."""
    forward, backward = Desk(), Desk()
    one = ("0000e0d5.00000001.01.01", 10, 100)
    two = ("0000e0d5.00000002.01.01", -15, 110)
    for desk, story in ((forward, (one, two)), (backward, (two, one))):
        for exec_id, quantity, price in story:
            desk.fill(exec_id, quantity, price, strategy="ALPHA")
    assert forward.figures() == backward.figures()
    assert forward.book().realized_pnl == 100


def test_unknown_times_are_ordered_by_arrival_reported_and_settled_by_a_replay():
    """F29, F30."""
    desk = Desk()
    desk.fill("x.01", 10, 100, t=None, time_text="20260302 09:30:00 XYZ", strategy="ALPHA", received_at=at(50))
    assert desk.kinds() == {"time_uncertain"}
    assert desk.ledger.fill("DU1", "x").order_time == at(50)
    desk.fill("x.01", 10, 100, t=0, source="replay")
    assert desk.kinds() == set()
    record = desk.ledger.fill("DU1", "x")
    assert (record.order_time, record.fill.received_at) == (at(0), at(50))


def test_a_late_fill_changes_the_profit_of_those_after_it_and_their_rows_come_again():
    desk = Desk()
    desk.fill("1.01", 10, 100, t=0, strategy="ALPHA")
    desk.fill("3.01", -10, 130, t=20, strategy="ALPHA")
    changes = desk.fill("2.01", 10, 110, t=10, strategy="ALPHA")
    assert [(r.fill.exec_id, r.realized_pnl) for r in changes.fills] == [("2.01", 0), ("3.01", 250)]
    desk.stored_rows_fold_to_the_books()


def test_what_has_no_instrument_is_listed_not_lost_and_booked_when_it_is_known():
    """R40: nothing is booked by symbol."""
    desk = Desk()
    nameless = msgspec.structs.replace(AAPL, con_id=0)
    desk.fill("x.01", 10, 100, strategy="ALPHA", instrument=nameless)
    assert desk.ledger.positions() == []
    assert [f.exec_id for f in desk.ledger.unbookable] == ["x.01"]
    assert desk.kinds() == {"unbookable"}
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    assert desk.quantity() == 10
    assert desk.ledger.unbookable == []
    assert desk.kinds() == set()


@pytest.mark.parametrize(("quantity", "price"), [("NaN", 1), (1, "Infinity"), ("-Infinity", 1)])
def test_impossible_numbers_never_raise_and_never_book(quantity, price):
    desk = Desk()
    desk.fill("x.01", quantity, price, strategy="ALPHA")
    assert desk.ledger.positions() == []
    assert desk.kinds() == {"unbookable"}


def test_recorded_times_never_go_back():
    desk = Desk()
    desk.fill("1.01", 1, 1, strategy="ALPHA", received_at=at(100))
    desk.fill("2.01", 1, 1, strategy="ALPHA", received_at=at(90))
    assert [r.recorded_at for r in desk.fills] == [at(100), at(100)]
    assert desk.fills[1].fill.received_at == at(90)


def test_a_combinations_parent_is_a_group_and_only_legs_move_positions():
    """R30, F74, F77: a parent with a negative price, then its legs."""
    desk = Desk()
    desk.fill("c.1.01.01", 1, "-1.25", strategy="ALPHA", instrument=BAG)
    desk.fill("c.1.02.01", 1, 10, strategy="ALPHA", instrument=AAPL)
    desk.fill("c.1.03.01", -1, "11.25", strategy="ALPHA", instrument=MSFT)
    assert {(p.instrument_key, p.quantity) for p in desk.ledger.positions()} == {(AAPL.con_id, 1), (MSFT.con_id, -1)}
    parent = desk.ledger.fill("DU1", "c.1.01")
    assert (parent.state, parent.quantity, parent.unit_price) == ("group", 0, Decimal("-1.25"))
    assert set(desk.ledger.net()) == {("DU1", AAPL.con_id), ("DU1", MSFT.con_id)}


def test_two_combinations_are_not_merged():
    """F74: every combination has the same con_id."""
    desk = Desk()
    desk.fill("c.1.01.01", 1, 5, strategy="ALPHA", instrument=BAG)
    desk.fill("c.2.01.01", 1, 7, strategy="BETA", instrument=BAG)
    assert desk.ledger.positions() == []
    assert [r.strategy for r in desk.ledger.fills()] == ["ALPHA", "BETA"]


def test_legs_filled_in_other_chunks_show_an_unbalanced_strategy():
    """F76."""
    desk = Desk()
    desk.fill("c.1.02.01", 200, 10, strategy="ALPHA")
    desk.fill("c.1.03.01", -100, 11, strategy="ALPHA", instrument=MSFT)
    assert (desk.quantity(), desk.quantity(instrument=MSFT)) == (200, -100)


def incomplete(desk):
    return [(f.severity, f.strategy) for f in desk.ledger.findings.values() if f.kind == "combo_incomplete"]


def test_a_combination_of_which_one_leg_came_is_noted_as_incomplete_until_the_other_comes_f76():
    desk = Desk()
    desk.fill("c.1.01.01", 200, "-1.25", strategy="ALPHA", instrument=BAG, perm_id=901)
    desk.fill("c.1.02.01", 200, 10, strategy="ALPHA", perm_id=901)
    assert incomplete(desk) == [("info", "ALPHA")]
    assert desk.quantity() == 200, "the leg is booked all the same"
    desk.fill("c.1.03.01", -100, 11, strategy="ALPHA", instrument=MSFT, perm_id=901)
    assert incomplete(desk) == [("info", "ALPHA")], "half of the second leg is still away"
    desk.fill("c.1.03.02.01", -100, 11, strategy="ALPHA", instrument=MSFT, perm_id=901)
    assert incomplete(desk) == []


def test_a_ratio_spread_is_complete_and_an_ordinary_order_never_incomplete_f76():
    desk = Desk()
    desk.fill("c.1.01.01", 5, 1, strategy="ALPHA", instrument=BAG, perm_id=901)
    desk.fill("c.1.02.01", 5, 10, strategy="ALPHA", perm_id=901)
    desk.fill("c.1.03.01", -10, 11, strategy="ALPHA", instrument=MSFT, perm_id=901)
    desk.fill("d.1.01.01", 7, 10, strategy="BETA", perm_id=902)
    assert incomplete(desk) == []


@pytest.mark.parametrize("account", ["F1", "F7654321", "DF12345", "F123456A", "U7654321A", "All", "HOUSE"])
def test_an_advisors_own_rows_are_groups_and_only_sub_accounts_count(account):
    """F79a, F79c: F1 10, U1 6, U2 4 is 10, not 20."""
    desk = Desk(fa_masters=("HOUSE",))
    desk.fill("m.01", 10, 100, strategy="ALPHA", account=account, perm_id=9)
    desk.fill("s1.01", 6, 100, strategy="ALPHA", account="U1", perm_id=9)
    desk.fill("s2.01", 4, 100, strategy="ALPHA", account="U2", perm_id=9)
    assert desk.ledger.net() == {("U1", AAPL.con_id): 6, ("U2", AAPL.con_id): 4}
    assert "overfill" not in desk.kinds()


@pytest.mark.parametrize("account", ["U1", "DU1234567", "I123", "FOO", "DUA"])
def test_ordinary_accounts_are_no_groups(account):
    desk = Desk()
    desk.fill("m.01", 10, 100, strategy="ALPHA", account=account)
    assert desk.quantity(account=account) == 10


def test_currency_pairs_move_two_currencies_and_stay_out_of_the_net_comparison():
    """F80, F83: EUR.CHF -21612.04 @ 0.92541."""
    desk = Desk()
    desk.fill("fx.01", "-21612.04", "0.92541", strategy="ALPHA", instrument=EURCHF)
    book = desk.book(instrument=EURCHF)
    assert book.cash == {"EUR": Decimal("-21612.04"), "CHF": Decimal("19999.9979364")}
    assert desk.ledger.net() == {}
    desk.stored_rows_fold_to_the_books()


def test_the_ledger_refuses_facts_out_of_order():
    desk = Desk()
    desk.fill("1.01", 1, 1)
    fill = Fill(
        received_at=at(0), account="DU1", exec_id="2.01", instrument=AAPL, quantity=Decimal(1), price=Decimal(1)
    )
    with pytest.raises(AssertionError):
        desk.ledger.apply(1, fill)


def test_a_price_still_to_be_revised_is_marked_until_its_correction():
    """F20."""
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA", provisional_price=True)
    assert desk.ledger.fill("DU1", "x").fill.provisional_price
    desk.fill("x.02", 10, 101, strategy="ALPHA")
    assert not desk.ledger.fill("DU1", "x").fill.provisional_price
    assert desk.book().open_cost == 1010


def test_a_statement_that_has_only_the_legs_matches_leg_by_leg():
    """F75: the parent's row is expected to be missing there."""
    desk = Desk()
    desk.fill("c.1.01.01", 1, "-1.25", strategy="ALPHA", instrument=BAG)
    desk.fill("c.1.02.01", 1, 10, strategy="ALPHA")
    desk.fill("c.1.03.01", -1, "11.25", strategy="ALPHA", instrument=MSFT)
    before = desk.figures()
    desk.fill("c.1.02.01", 1, 10, source="flex")
    desk.fill("c.1.03.01", -1, "11.25", source="flex", instrument=MSFT)
    assert desk.figures() == before
    assert desk.kinds() == set()


def test_replays_of_other_clients_count_though_nothing_live_told_of_them():
    """F2, F51, R1, R23: a silent loss is booked by the next replay, once."""
    desk = Desk(patterns={"ALPHA": ""})
    for _ in range(2):
        for client in (1, 2):
            ref = "ALPHA" if client == 1 else ""
            desk.fill(
                f"{client}.01", 10, 100, source="replay", client_id=client, order_id=7, perm_id=client, order_ref=ref
            )
    assert desk.ledger.net() == {("DU1", AAPL.con_id): 20}
    assert desk.quantity() == 10
