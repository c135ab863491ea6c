"""Whose execution is it: never guessed, never dropped."""

from decimal import Decimal

import pytest

from engine.core.events import RuleSet
from tests.unit.state.kit import AAPL, UNASSIGNED, Desk, at


def owner(desk, root, account="DU1"):
    return desk.ledger.fill(account, root).strategy


def test_the_messages_own_word_counts():
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    assert owner(desk, "x") == "ALPHA"
    assert desk.ledger.strategies() == ["ALPHA"]


@pytest.mark.parametrize("reference", ["", "somebody else's", "x" * 200, "ÄÖÜ-注文-🦉", "[", "\x00"])
def test_a_foreign_reference_books_as_unassigned_and_raises_nothing(reference):
    """R12."""
    desk = Desk(patterns={"ALPHA": "", "BETA": "beta*"})
    desk.fill("x.01", 10, 100, order_ref=reference)
    assert owner(desk, "x") == UNASSIGNED


def test_an_unknown_execution_is_booked_as_unassigned():
    """F1, F9: another client's or a manual trade counts in the net."""
    desk = Desk()
    desk.fill("x.01", 10, 100, perm_id=77, source="replay")
    assert desk.ledger.net() == {("DU1", AAPL.con_id): 10}
    assert owner(desk, "x") == UNASSIGNED


def test_the_permid_of_a_claimed_order_decides():
    desk = Desk()
    desk.order("Submitted", perm_id=5, strategy="ALPHA", order_id=7, client_id=1)
    desk.fill("x.01", 10, 100, perm_id=5)
    assert owner(desk, "x") == "ALPHA"


def test_an_order_id_used_again_after_a_restart_does_not_mislead():
    """R10: two orders with one order id and different permIds go by permId and account."""
    desk = Desk()
    desk.order("Filled", perm_id=5, strategy="ALPHA", order_id=7, client_id=1)
    desk.order("Submitted", perm_id=6, strategy="BETA", order_id=7, client_id=1)
    desk.fill("x.01", 10, 100, perm_id=5, order_id=7, client_id=1)
    desk.fill("y.01", 10, 100, perm_id=6, order_id=7, client_id=1)
    desk.fill("z.01", 10, 100, perm_id=8, order_id=7, client_id=1)
    assert [owner(desk, root) for root in "xyz"] == ["ALPHA", "BETA", UNASSIGNED]


def test_one_permid_in_another_account_is_another_order():
    """R10, R17."""
    desk = Desk()
    desk.order("Submitted", perm_id=5, strategy="ALPHA")
    desk.fill("x.01", 10, 100, perm_id=5, account="DU2")
    assert owner(desk, "x", "DU2") == UNASSIGNED


def test_order_ids_repeat_over_clients():
    """F45."""
    desk = Desk()
    desk.order("PendingSubmit", perm_id=0, strategy="ALPHA", order_id=7, client_id=1, local=True)
    desk.order("PendingSubmit", perm_id=0, strategy="BETA", order_id=7, client_id=2, local=True)
    desk.fill("x.01", 10, 100, perm_id=51, order_id=7, client_id=1)
    desk.fill("y.01", 10, 100, perm_id=52, order_id=7, client_id=2)
    assert (owner(desk, "x"), owner(desk, "y")) == ("ALPHA", "BETA")


def test_a_claim_made_before_the_permid_is_bound_to_the_first_permid_that_comes():
    """F46: upgraded once; the next permId under the same number is another order."""
    desk = Desk()
    desk.order("PendingSubmit", perm_id=0, strategy="ALPHA", order_id=7, client_id=1, local=True)
    desk.fill("x.01", 10, 100, perm_id=51, order_id=7, client_id=1)
    desk.fill("y.01", 10, 100, perm_id=99, order_id=7, client_id=1)
    assert (owner(desk, "x"), owner(desk, "y")) == ("ALPHA", UNASSIGNED)
    assert desk.ledger.order("ODU1:1:7").order_key == "PDU1:51"


@pytest.mark.parametrize("order_id", [0, -1, -7])
def test_manual_orders_never_go_to_a_strategy_by_their_number(order_id):
    """R11, F47, F49, F56."""
    desk = Desk()
    desk.order("Submitted", perm_id=0, strategy="ALPHA", order_id=order_id, client_id=0)
    desk.order("Submitted", perm_id=31, order_id=order_id, client_id=0)
    desk.order("Submitted", perm_id=32, order_id=order_id, client_id=0)
    desk.fill("x.01", 10, 100, perm_id=31, order_id=order_id, client_id=0)
    desk.fill("y.01", 10, 100, perm_id=0, order_id=order_id, client_id=0)
    assert (owner(desk, "x"), owner(desk, "y")) == (UNASSIGNED, UNASSIGNED)
    assert [o.order_key for o in desk.ledger.orders()] == ["PDU1:31", "PDU1:32"]


def test_a_second_permid_of_one_order_goes_to_its_strategy_and_is_reported():
    """F48, R33: a modification during an outage left two live orders."""
    desk = Desk()
    desk.order("Submitted", perm_id=5, strategy="ALPHA", order_id=7, client_id=1, order_ref="grid-1")
    desk.fill("x.01", 10, 100, perm_id=6, order_id=7, client_id=1, order_ref="grid-1")
    assert owner(desk, "x") == "ALPHA"
    assert desk.kinds() == {"secondary_perm_id"}
    assert [o.order_key for o in desk.ledger.orders("ALPHA")] == ["PDU1:5", "PDU1:6"]


def test_the_first_reference_seen_counts():
    """F12: an open order message blanks or changes it."""
    desk = Desk()
    desk.order("Submitted", perm_id=5, strategy="ALPHA", order_ref="A")
    desk.order("Submitted", perm_id=5, order_ref="")
    desk.order("Submitted", perm_id=5, order_ref="BETA:1", source="open")
    desk.fill("x.01", 10, 100, perm_id=5, order_ref="BETA:1")
    assert owner(desk, "x") == "ALPHA"
    assert desk.ledger.order("PDU1:5").update.order_ref == "A"


def test_a_reference_that_a_strategy_used_is_its_own():
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA", order_ref="tag-77", perm_id=1)
    desk.fill("y.01", 10, 100, order_ref="tag-77", perm_id=2)
    assert owner(desk, "y") == "ALPHA"


def test_a_reference_that_two_strategies_used_says_nothing():
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA", order_ref="shared", perm_id=1)
    desk.fill("y.01", 10, 100, strategy="BETA", order_ref="shared", perm_id=2)
    desk.fill("z.01", 10, 100, order_ref="shared", perm_id=3)
    assert owner(desk, "z") == UNASSIGNED


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("ALPHA", "ALPHA"),
        ("ALPHA:entry", "ALPHA"),
        ("ALPHA-2", "ALPHA-2"),
        ("ALPHA-2/exit", "ALPHA-2"),
        ("ALPHABET", UNASSIGNED),
        ("alpha", UNASSIGNED),
        ("mr/1", "REVERT"),
        ("REVERT:1", UNASSIGNED),
    ],
)
def test_references_follow_the_settings_patterns(reference, expected):
    desk = Desk(patterns={"ALPHA": "", "ALPHA-2": "", "REVERT": "mr/*"})
    desk.fill("x.01", 10, 100, order_ref=reference)
    assert owner(desk, "x") == expected


def test_two_patterns_that_both_match_decide_nothing():
    desk = Desk(patterns={"ONE": "a*", "TWO": "*b"})
    desk.fill("x.01", 10, 100, order_ref="ab")
    assert owner(desk, "x") == UNASSIGNED


def test_a_name_known_only_from_messages_works_as_a_prefix_too():
    desk = Desk()
    desk.fill("x.01", 10, 100, order_ref="NEW|1")
    desk.fill("y.01", 10, 100, strategy="NEW")
    desk.fill("z.01", 10, 100, order_ref="NEW|2")
    assert (owner(desk, "x"), owner(desk, "z")) == (UNASSIGNED, "NEW")


def rule(desk, **what):
    desk.apply(RuleSet(received_at=desk.clock, rule_id="r1", operator="op", **what))


def test_an_operators_rule_attributes_what_comes_from_now_on_until_it_is_switched_off():
    desk = Desk()
    desk.fill("w.01", 10, 100, client_id=9)
    rule(desk, strategy="MANUAL", client_id=9, account="DU1", con_id=AAPL.con_id)
    desk.fill("x.01", 10, 100, client_id=9)
    rule(desk, strategy="MANUAL", client_id=9, enabled=False)
    desk.fill("y.01", 10, 100, client_id=9)
    assert [owner(desk, root) for root in "wxy"] == [UNASSIGNED, "MANUAL", UNASSIGNED]
    assert [r.enabled for r in desk.ledger.rules()] == [False]


def test_a_rule_that_names_nothing_matches_nothing():
    desk = Desk()
    rule(desk, strategy="GREEDY")
    desk.fill("x.01", 10, 100)
    assert owner(desk, "x") == UNASSIGNED


def test_a_liquidation_is_booked_unassigned_at_once_and_alarms():
    """R20, F56: no reference, no rule and no order id makes it a strategy's."""
    desk = Desk(patterns={"ALPHA": ""})
    rule(desk, strategy="ALPHA", account="DU1")
    desk.fill("a.01", 314, 100, strategy="ALPHA")
    desk.fill("liq.01", -231, 90, liquidation=True, order_id=-1, perm_id=999, order_ref="ALPHA")
    assert owner(desk, "liq") == UNASSIGNED
    assert (desk.quantity(), desk.quantity(UNASSIGNED)) == (314, -231)
    found = [f for f in desk.ledger.findings.values() if f.kind == "liquidation"]
    assert [f.severity for f in found] == ["critical"]
    assert desk.ledger.net() == {("DU1", AAPL.con_id): 83}


def test_a_message_that_comes_after_the_tap_brings_the_execution_home():
    desk = Desk()
    desk.fill("x.01", 10, 100)
    changes = desk.fill("x.01", 10, 100, strategy="ALPHA")
    assert (desk.quantity(UNASSIGNED), desk.quantity()) == (0, 10)
    assert [(r.strategy, r.state, r.quantity) for r in changes.fills] == [
        (UNASSIGNED, "moved", 0),
        ("ALPHA", "active", 10),
    ]
    assert changes.dirty == {UNASSIGNED, "ALPHA"}
    desk.stored_rows_fold_to_the_books()


def test_an_order_claimed_late_brings_its_executions_home():
    desk = Desk()
    desk.fill("x.01", 10, 100, perm_id=5)
    desk.fill("y.01", 10, 100, perm_id=6)
    desk.order("Filled", perm_id=5, strategy="ALPHA")
    assert (owner(desk, "x"), owner(desk, "y")) == ("ALPHA", UNASSIGNED)


def test_a_new_order_does_not_take_an_old_execution_of_the_same_number():
    """R10."""
    desk = Desk()
    desk.fill("x.01", 10, 100, perm_id=5, order_id=7, client_id=1)
    desk.order("PendingSubmit", perm_id=0, order_id=7, client_id=1, strategy="ALPHA", local=True)
    assert owner(desk, "x") == UNASSIGNED


def test_a_claim_beats_a_pattern():
    desk = Desk(patterns={"ALPHA": "", "BETA": ""})
    desk.fill("x.01", 10, 100, order_ref="ALPHA:1")
    desk.fill("x.01", 10, 100, order_ref="ALPHA:1", strategy="BETA")
    assert owner(desk, "x") == "BETA"


def test_a_second_claim_that_differs_keeps_the_first_and_is_reported():
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fill("x.01", 10, 100, strategy="BETA")
    assert owner(desk, "x") == "ALPHA"
    assert desk.kinds() == {"conflict"}
    assert desk.ledger.strategies() == ["ALPHA"]


def test_two_strategies_that_claim_one_order_are_reported():
    desk = Desk()
    desk.order("Submitted", perm_id=5, strategy="ALPHA")
    desk.order("Submitted", perm_id=5, strategy="BETA")
    desk.fill("x.01", 10, 100, perm_id=5)
    assert owner(desk, "x") == "ALPHA"
    assert desk.kinds() == {"conflict"}


def test_strategies_may_hold_opposite_positions_in_one_contract():
    """R19: A long 5, B short 3, the account +2."""
    desk = Desk()
    desk.fill("a.01", 5, 100, strategy="A")
    desk.fill("b.01", -3, 100, strategy="B")
    assert (desk.quantity("A"), desk.quantity("B")) == (5, -3)
    assert desk.ledger.net() == {("DU1", AAPL.con_id): 2}


def test_an_unassigned_holding_is_left_alone_by_a_strategys_reducing_fill():
    """R18."""
    desk = Desk()
    desk.fill("u.01", 10, 100)
    desk.fill("x.01", -4, 110, strategy="ALPHA")
    assert (desk.quantity(UNASSIGNED), desk.quantity()) == (10, -4)
    desk.assign("A1", moves=[("u.01", UNASSIGNED, "ALPHA")])
    assert (desk.quantity(UNASSIGNED), desk.quantity()) == (0, 6)
    assert desk.book().realized_pnl == Decimal(40)


def test_a_completed_order_only_maps_its_permid():
    """F59: it sets no quantity."""
    desk = Desk(patterns={"ALPHA": ""})
    desk.order("Filled", perm_id=5, quantity=None, source="completed", order_ref="ALPHA:9", filled=Decimal(0))
    desk.fill("x.01", 10, 100, perm_id=5, order_ref="ALPHA:9")
    assert owner(desk, "x") == "ALPHA"
    record = desk.ledger.order("PDU1:5")
    assert (record.update.quantity, record.filled, record.state) == (None, 10, "Filled")


def test_activity_tells_when_an_instrument_was_last_heard_of():
    desk = Desk()
    desk.fill("x.01", 10, 100, received_at=at(5))
    assert desk.ledger.activity("DU1", AAPL.con_id) == at(5)
    assert desk.ledger.activity("DU2", AAPL.con_id) is None
