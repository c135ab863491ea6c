from __future__ import annotations

import msgspec
from recon_parts import AAPL, DU, MSFT, START, D, execution, holding, loose, order

from engine.core.events import AssignmentMade, ExecutionMove, RuleSet
from engine.recon.owners import suggest_owners
from engine.recon.rules import match_rule, try_rule


def suggest(quantity, **more):
    given = {"executions": (), "positions": (), "history": (), "orders": (), "con_id": AAPL.con_id, **more}
    return suggest_owners(D(quantity), **given)


def test_whoever_holds_what_a_closing_residual_closes_is_suggested_up_to_its_holding():
    found = suggest(-50, positions=[holding("ALPHA", 30), holding("BETA", 20), holding("GAMMA", -5)])
    assert [(s.strategy, s.quantity) for s in found] == [("ALPHA", -30), ("BETA", -20)]


def test_an_order_reference_that_names_a_strategy_weighs_most():
    found = suggest(
        10,
        executions=[loose(10, order_ref="BETA-9", client_id=41)],
        history=[execution(5, strategy="ALPHA", client_id=41)],
        strategy_of_reference=lambda ref: ref.split("-")[0],
    )
    assert [s.strategy for s in found] == ["BETA", "ALPHA"]
    assert "order reference" in found[0].reason


def test_a_working_order_of_just_this_quantity_is_a_reason():
    (found,) = suggest(100, orders=[order(0, is_open=True, remaining=100)])
    assert found.strategy == "ALPHA"
    assert "works for +100" in found.reason


def test_the_owner_of_the_parent_order_is_a_reason():
    parent = order(100, perm_id=700)
    child = msgspec.structs.replace(
        order(10, perm_id=701, strategy="UNASSIGNED"),
        update=msgspec.structs.replace(parent.update, perm_id=701, order_id=8, parent_id=7),
    )
    (found,) = suggest(10, executions=[loose(10, perm_id=701, client_id=0)], orders=[parent, child])
    assert (found.strategy, "parent order 7" in found.reason) == ("ALPHA", True)


def test_earlier_decisions_about_the_same_reference_are_a_reason():
    record = loose(10, order_ref="manual-desk", client_id=0)
    entry = AssignmentMade(
        received_at=START,
        assignment_id="A-1",
        account=DU,
        instrument=AAPL,
        moves=(ExecutionMove(exec_id="x", from_strategy="UNASSIGNED", to_strategy="GAMMA"),),
        operator="mary",
        reason="hers",
        effective_at=START,
    )
    found = suggest(10, executions=[record], decisions=[(entry, loose(1, order_ref="manual-desk", client_id=0))])
    assert [s.strategy for s in found] == ["GAMMA"]


def test_who_traded_the_instrument_last_is_a_weak_reason():
    history = [
        execution(1, strategy="ALPHA"),
        execution(1, strategy="BETA"),
        execution(1, strategy="GAMMA", instrument=MSFT),
    ]
    assert [s.strategy for s in suggest(10, history=history)] == ["BETA"]


def test_without_any_reason_nobody_is_suggested():
    assert suggest(10) == []


def rule(**more):
    return RuleSet(received_at=START, rule_id="r1", strategy="BETA", operator="mary", **more)


def test_a_rule_matches_only_when_all_its_conditions_hold():
    record = loose(10, order_ref="scalp-1", client_id=5)
    assert match_rule([rule(order_ref="scalp-*")], record).strategy == "BETA"
    assert match_rule([rule(order_ref="scalp-*", client_id=6)], record) is None
    assert match_rule([rule(order_ref="scalp-*", client_id=5, account=DU, con_id=AAPL.con_id)], record)
    assert match_rule([rule(account="DU9")], record) is None
    assert match_rule([rule(con_id=MSFT.con_id)], record) is None


def test_a_rule_that_is_off_or_has_no_condition_does_nothing():
    record = loose(10, order_ref="scalp-1")
    assert match_rule([rule(order_ref="scalp-*", enabled=False)], record) is None
    assert match_rule([rule()], record) is None


def test_a_rule_never_takes_what_a_strategy_owns():
    assert match_rule([rule(client_id=40)], execution(10)) is None


def test_a_trial_shows_what_the_rule_would_have_done_and_where_it_would_be_wrong():
    trials = try_rule(
        rule(client_id=40), [execution(1), execution(2, strategy="BETA"), loose(3, client_id=40), loose(4)]
    )
    assert [(t.actual, t.agrees, t.acts) for t in trials] == [
        ("ALPHA", False, False),
        ("BETA", True, False),
        ("UNASSIGNED", False, True),
    ]
