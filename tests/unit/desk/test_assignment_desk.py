from __future__ import annotations

import asyncio

import pytest
from desk_parts import AAPL, DU, MSFT, D

from engine.core.events import RuleSet
from engine.core.instrument import Instrument
from engine.errors import AssignmentRefused, BadRequest
from engine.recon.assign import Request
from engine.recon.chain import verify_chain


def ask(split=None, **more):
    named = {"operator": "mary", "reason": "her trade", **more}
    return Request(split={s: D(q) for s, q in (split or {}).items()}, **named)


def figures(house):
    """Every stored figure of every book; flat books that never traded are left out, for they say nothing."""
    return {
        (p.strategy, p.account, p.instrument_key): (p.quantity, p.open_cost, p.realized_pnl, p.fees, p.cash, p.fills)
        for p in house.ledger.positions()
        if p.fills
    }


async def test_assigning_executions_moves_them_with_price_time_and_fee(house):
    first = house.manual(AAPL, 30, 10, moves_broker=True)
    second = house.manual(AAPL, 20, 11, moves_broker=True)
    house.fee(first, "0.35")
    await house.confirmed()
    entry = await house.desk.assign(DU, AAPL.con_id, ask({"ALPHA": 30, "BETA": 20}))
    assert {m.exec_id: m.to_strategy for m in entry.moves} == {first: "ALPHA", second: "BETA"}
    alpha = house.ledger.position("ALPHA", DU, AAPL.con_id)
    assert (alpha.quantity, alpha.open_cost, alpha.fees) == (30, 300, {"USD": D("0.35")})
    assert house.quantity("UNASSIGNED") == 0
    assert house.reconciler.breaks() == []
    assert (await house.run(after=11)).status == "square"


async def test_a_cut_execution_leaves_unassigned_flat_and_without_profit(house):
    house.manual(AAPL, 30, 10, moves_broker=True)
    house.manual(AAPL, 20, 11, moves_broker=True)
    await house.confirmed()
    await house.desk.assign(DU, AAPL.con_id, ask({"ALPHA": 35, "BETA": 15}))
    assert (house.quantity("ALPHA"), house.quantity("BETA"), house.quantity("UNASSIGNED")) == (35, 15, 0)
    assert house.ledger.position("UNASSIGNED", DU, AAPL.con_id).realized_pnl == 0
    assert house.ledger.position("ALPHA", DU, AAPL.con_id).open_cost == 355
    house.ledger.check()


async def test_a_residual_without_execution_is_booked_and_the_break_is_assigned_then_closed(house):
    house.fill(AAPL, 100, moves_broker=True)
    house.broker.move(AAPL, -50)
    await house.confirmed()
    await house.desk.assign(DU, AAPL.con_id, ask({"ALPHA": -50}, price=D(105)))
    assert house.ledger.position("ALPHA", DU, AAPL.con_id).realized_pnl == 250
    assert house.reconciler.found(f"{DU}:{AAPL.con_id}").state == "assigned"
    assert house.reconciler.breaks() == []
    assert (await house.run(after=11)).status == "square"
    assert house.reconciler.found(f"{DU}:{AAPL.con_id}").state == "closed"


async def test_part_of_a_residual_leaves_the_rest_open_at_once(house):
    house.broker.hold(AAPL, 50)
    await house.confirmed()
    await house.desk.assign(DU, AAPL.con_id, ask({"ALPHA": 30}, price=D(10)))
    (found,) = house.reconciler.breaks()
    assert (found.quantity, found.state) == (20, "confirmed")
    with pytest.raises(AssignmentRefused, match=r"only \+20"):
        await house.desk.assign(DU, AAPL.con_id, ask({"ALPHA": 30}, price=D(10)))
    await house.desk.assign(DU, AAPL.con_id, ask({"BETA": 20}, price=D(10)))
    assert house.reconciler.breaks() == []
    assert (await house.run(after=11)).status == "square"


async def test_r37_reversing_restores_the_exact_former_state_and_the_break(house):
    house.fill(AAPL, 100, 10, moves_broker=True)
    house.manual(AAPL, 30, 11, moves_broker=True)
    house.broker.move(AAPL, 7)
    house.broker.mark(AAPL, 12)
    await house.confirmed()
    before, (broken,) = figures(house), house.reconciler.breaks()
    entry = await house.desk.assign(DU, AAPL.con_id, ask({"ALPHA": 20, "BETA": 17}))
    assert figures(house) != before
    await house.run(after=30)
    await house.desk.reverse(entry.assignment_id, operator="mary", reason="wrong desk")
    assert figures(house) == before
    (again,) = house.reconciler.breaks()
    assert (again.break_id, again.quantity, again.state) == (broken.break_id, broken.quantity, "confirmed")
    with pytest.raises(AssignmentRefused, match="already"):
        await house.desk.reverse(entry.assignment_id, operator="mary", reason="again")
    house.ledger.check()


async def test_r38_with_manual_assignments_alone_all_views_agree(house):
    house.broker.hold(AAPL, 50, avg_cost=10)
    await house.confirmed()
    await house.desk.assign(DU, AAPL.con_id, ask({"ALPHA": 30, "BETA": 20}))
    result = await house.run(after=11)
    rows = dict(zip(result.columns["strategy"], result.columns["qty"], strict=True))
    assert rows == {"ALPHA": 30, "BETA": 20, **({"UNASSIGNED": 0} if "UNASSIGNED" in rows else {})}
    assert {s: house.quantity(s) for s in ("ALPHA", "BETA")} == {"ALPHA": 30, "BETA": 20}
    assert sum(house.ledger.net().values()) == 50
    assert result.square


async def test_r18_a_strategys_reducing_fill_and_then_the_assignment_net_correctly(house):
    house.manual(AAPL, 50, 10, moves_broker=True)
    await house.confirmed()
    house.fill(AAPL, -20, 12, moves_broker=True)
    (found,) = (await house.run(after=11)).breaks
    assert found.quantity == 50
    assert house.quantity("ALPHA") == -20
    await house.desk.assign(DU, AAPL.con_id, ask({"ALPHA": 50}))
    assert house.quantity("ALPHA") == 30
    assert house.ledger.position("ALPHA", DU, AAPL.con_id).realized_pnl == 40
    assert (await house.run(after=11)).square


async def test_r13_a_fill_that_comes_after_its_assignment_asks_for_the_reversal(house):
    house.broker.hold(AAPL, 40)
    start = house.clock.now()
    await house.confirmed()
    entry = await house.desk.assign(DU, AAPL.con_id, ask({"ALPHA": 40}, price=D(100)))
    assert (await house.run(after=11)).square
    house.fill(AAPL, 40, executed_at=start)
    (found,) = (await house.confirmed()).breaks
    assert (found.quantity, found.causes[0].kind) == (-40, "assignment_superseded")
    await house.desk.reverse(entry.assignment_id, operator="mary", reason="the fill came")
    assert (await house.run(after=30)).square
    assert house.quantity("ALPHA") == 40


async def test_r13_a_fill_that_comes_before_the_assignment_shrinks_the_residual(house):
    house.broker.hold(AAPL, 100)
    await house.confirmed()
    house.fill(AAPL, 60)
    (found,) = (await house.run(after=11)).breaks
    assert found.quantity == 40
    assert house.quantity("ALPHA") + found.quantity == 100


async def test_the_same_request_twice_is_booked_once(house):
    house.manual(AAPL, 50, 10, moves_broker=True)
    await house.confirmed()
    request = ask({"ALPHA": 20}, request_id="click-1")
    first, second = await asyncio.gather(
        house.desk.assign(DU, AAPL.con_id, request), house.desk.assign(DU, AAPL.con_id, request)
    )
    assert first == second
    assert house.quantity("ALPHA") == 20
    assert len(house.ledger.assignments()) == 1
    with pytest.raises(BadRequest, match="another split"):
        await house.desk.assign(DU, AAPL.con_id, ask({"BETA": 20}, request_id="click-1"))
    await house.desk.reverse(first.assignment_id, operator="mary", reason="oops")
    with pytest.raises(BadRequest, match="new request"):
        await house.desk.assign(DU, AAPL.con_id, request)


async def test_twenty_operators_at_once_never_give_more_than_there_is(house):
    house.manual(AAPL, 50, 10, moves_broker=True)
    await house.confirmed()
    tries = [house.desk.assign(DU, AAPL.con_id, ask({"ALPHA": 10})) for _ in range(20)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(d, Exception) for d in done) == 5
    assert all(isinstance(d, AssignmentRefused) for d in done if isinstance(d, Exception))
    assert (house.quantity("ALPHA"), house.quantity("UNASSIGNED")) == (50, 0)
    assert verify_chain(house.ledger.assignments(), house.ledger.assignment_head) is None


async def test_a_preview_shows_every_book_before_and_after_and_changes_nothing(house):
    house.fill(AAPL, 100, 10, moves_broker=True)
    house.manual(AAPL, 50, 11, moves_broker=True)
    await house.confirmed()
    dump = house.ledger.dump()
    _, books = house.desk.preview(DU, AAPL.con_id, {"ALPHA": D(30), "BETA": D(20)})
    after = {a.strategy: a.quantity for _, a in books}
    before = {b.strategy: b.quantity for b, _ in books if b is not None}
    assert after == {"ALPHA": 130, "BETA": 20, "UNASSIGNED": 0}
    assert before["ALPHA"] == 100
    assert house.ledger.dump() == dump


async def test_a_cause_that_proposes_legs_is_booked_as_proposed(house):
    option = Instrument(
        con_id=77,
        symbol="XYZ",
        sec_type="OPT",
        currency="USD",
        multiplier=D(100),
        expiry="20260310",
        strike=D(150),
        right="P",
    )
    house.fill(option, 3, 2, moves_broker=True)
    house.broker.hold(option, 0)
    (found,) = (await house.confirmed()).breaks
    assert found.causes[0].kind == "option_expiry"
    entry = await house.desk.accept(found, found.causes[0], ask())
    assert entry.price_source == "option_expiry"
    assert house.ledger.position("ALPHA", DU, 77).realized_pnl == -600
    assert (await house.run(after=11)).square
    with pytest.raises(AssignmentRefused, match="has changed"):
        await house.desk.accept(found, found.causes[0], ask())


async def test_r44_a_split_is_booked_pro_rata_and_costs_are_carried(house):
    house.fill(AAPL, 60, 100, moves_broker=True)
    house.fill(AAPL, 40, 200, strategy="BETA", order_ref="BETA-1", perm_id=701, order_id=8, moves_broker=True)
    house.broker.hold(AAPL, 400, avg_cost=35)
    (found,) = (await house.confirmed()).breaks
    assert found.causes[0].kind == "split"
    await house.desk.accept(found, found.causes[0], ask())
    alpha, beta = (house.ledger.position(s, DU, AAPL.con_id) for s in ("ALPHA", "BETA"))
    assert (alpha.quantity, alpha.open_cost, alpha.realized_pnl) == (240, 6000, 0)
    assert (beta.quantity, beta.open_cost, beta.realized_pnl) == (160, 8000, 0)
    assert (await house.run(after=11)).square


async def test_executions_can_be_moved_between_strategies_and_back(house):
    exec_id = house.fill(AAPL, 10, moves_broker=True)
    before = figures(house)
    entry = await house.desk.move(DU, [exec_id], "BETA", ask())
    assert (house.quantity("ALPHA"), house.quantity("BETA")) == (0, 10)
    await house.desk.reverse(entry.assignment_id, operator="mary", reason="no")
    assert figures(house) == before
    with pytest.raises(AssignmentRefused, match="not known"):
        await house.desk.move(DU, ["nonsense"], "BETA", ask())


async def test_a_rule_in_force_assigns_by_itself_signed_and_reversible(house):
    house.manual(AAPL, 10, order_ref="desk-mary-1", moves_broker=True)
    house.manual(MSFT, 5, order_ref="desk-john-1", moves_broker=True)
    rule = RuleSet(
        received_at=house.clock.now(),
        rule_id="r1",
        strategy="BETA",
        order_ref="desk-mary-*",
        operator="mary",
        enabled=False,
    )
    assert [(t.proposed, t.acts) for t in house.desk.try_rule(rule)] == [("BETA", True)]
    house.book(rule)
    assert await house.desk.apply_rules() == []
    house.book(
        RuleSet(received_at=house.clock.now(), rule_id="r1", strategy="BETA", order_ref="desk-mary-*", operator="mary")
    )
    made = await house.desk.apply_rules()
    if made:
        assert (made[0].operator, made[0].rule_id) == ("rule r1", "r1")
    assert house.quantity("BETA") == 10
    assert house.quantity("UNASSIGNED", MSFT) == 5


async def test_owners_are_suggested_with_reasons(house):
    house.fill(AAPL, 30, moves_broker=True)
    house.fill(AAPL, 20, strategy="BETA", order_ref="BETA-1", perm_id=701, order_id=8, moves_broker=True)
    house.manual(AAPL, -50, moves_broker=True)
    await house.confirmed()
    found = house.desk.suggest_owners(DU, AAPL.con_id)
    assert {s.strategy: s.quantity for s in found} == {"ALPHA": -30, "BETA": -20}
    assert all("closes" in s.reason for s in found)


async def test_an_instrument_nobody_knows_cannot_be_assigned(house):
    with pytest.raises(AssignmentRefused, match="known neither"):
        await house.desk.assign(DU, 999, ask({"ALPHA": 1}))


async def test_reversing_what_was_never_made_is_refused(house):
    with pytest.raises(AssignmentRefused, match="no assignment"):
        await house.desk.reverse("A-nothing", operator="mary", reason="x")


async def test_f103_offsetting_strategies_are_both_closed_at_intrinsic_value_after_the_expiry(house):
    option = Instrument(
        con_id=78,
        symbol="AAPL",
        sec_type="OPT",
        currency="USD",
        multiplier=D(100),
        expiry="20260310",
        strike=D(150),
        right="C",
        under_con_id=AAPL.con_id,
    )
    house.fill(option, 5, 2, moves_broker=True)
    house.fill(option, -5, 3, strategy="BETA", order_ref="BETA-1", perm_id=701, order_id=8, moves_broker=True)
    house.broker.mark(AAPL, 163)
    assert (await house.run(after=11)).square
    assert house.desk.internal_expiries() == [], "on the last day it may still trade"
    await house.run(after=86_400)
    (found,) = house.desk.internal_expiries()
    assert (found.holdings, found.price) == ({"ALPHA": 5, "BETA": -5}, 13)
    await house.desk.expire(found, ask())
    alpha, beta = (house.ledger.position(s, DU, 78) for s in ("ALPHA", "BETA"))
    assert (alpha.quantity, beta.quantity) == (0, 0)
    assert (alpha.realized_pnl, beta.realized_pnl) == (5500, -5000)
    assert house.desk.internal_expiries() == []
    assert (await house.run(after=11)).square
    with pytest.raises(AssignmentRefused, match="have changed"):
        await house.desk.expire(found, ask())
