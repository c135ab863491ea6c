"""Causes that stand beside each other in one holding, and what was executed of a combination."""

from __future__ import annotations

import msgspec
from recon_parts import AAPL, CALL, DU, D, evidence, holding, order, side

from engine.core.instrument import BAG_CON_ID, Instrument
from engine.core.records import ComboRecord
from engine.recon.explain import explain

OLD = Instrument(con_id=21, symbol="TGT", currency="USD")
NEW = Instrument(con_id=22, symbol="BUY", currency="USD")


def told_of(given):
    told = explain(given)
    assert sum(c.quantity for c in told.accepted) + told.residual == given.found.quantity
    return told


def test_r44_a_split_and_a_buy_that_was_lost_since_are_both_found():
    here = side(AAPL, 385, holding("ALPHA", 90, 120), holding("BETA", 30, 120), avg_cost="40.01")
    told = told_of(evidence(here, orders=(order(25, ours=0),)))
    assert [(c.kind, c.quantity) for c in told.accepted] == [("split", 240), ("missing_fill", 25)]
    assert told.residual == 0
    legs = {(leg.strategy, leg.quantity) for leg in told.accepted[0].proposal.legs}
    assert legs == {("ALPHA", -90), ("ALPHA", 270), ("BETA", -30), ("BETA", 90)}


def test_r44_a_sale_that_was_lost_before_a_split_does_not_hide_its_ratio():
    here = side(AAPL, 300, holding("ALPHA", 120, 120), avg_cost="40.01")
    told = told_of(evidence(here, orders=(order(20, "SELL", ours=0),)))
    assert (told.causes[0].kind, told.causes[0].quantity) == ("split", 200)
    assert told.causes[0].proposal.act == "request"


def test_a_lost_buy_beside_a_plain_quantity_at_the_old_cost_is_no_split():
    here = side(AAPL, 265, holding("ALPHA", 120, 120), avg_cost="120.2")
    told = told_of(evidence(here, orders=(order(25, ours=0),)))
    assert "split" not in {c.kind for c in told.causes}


def test_f105_a_merger_into_a_larger_short_is_seen_by_the_mark():
    old = side(OLD, 0, holding("ALPHA", 300, 22, instrument=OLD))
    new = side(NEW, -50, holding("BETA", -200, 40, instrument=NEW), avg_cost=40, mark="43.5")
    assert told_of(evidence(old, beside=(new,))).causes[0].kind == "merger"
    cause = told_of(evidence(new, beside=(old,))).causes[0]
    assert (cause.kind, cause.quantity, cause.linked) == ("merger", 150, (old.break_id,))


def test_f105_a_cover_at_another_price_is_no_merger():
    old = side(OLD, 0, holding("ALPHA", 300, 22, instrument=OLD))
    new = side(NEW, -50, holding("BETA", -200, 40, instrument=NEW), avg_cost=40, mark=71)
    assert "merger" not in {c.kind for c in told_of(evidence(new, beside=(old,))).causes}


def combo(done, **legs):
    bag = Instrument(con_id=BAG_CON_ID, symbol=AAPL.symbol, sec_type="BAG", currency="USD")
    seen = order(done, quantity=done)
    about = msgspec.structs.replace(seen, update=msgspec.structs.replace(seen.update, instrument=bag))
    return ComboRecord(order=about, done=D(done), legs={int(k[1:]): D(q) for k, q in legs.items()})


def test_f76_the_leg_of_a_combination_that_did_not_come_is_named():
    told = told_of(evidence(side(CALL, -10), combos=(combo(10, c7=10),)))
    assert (told.causes[0].kind, told.causes[0].quantity, told.causes[0].score) == ("combo_incomplete", -10, 80)
    assert told.causes[0].evidence == (f"P{DU}:700",)
    assert told.residual == 0


def test_f76_half_a_leg_in_a_ratio_is_named_and_what_cannot_be_a_leg_is_not():
    half = combo(10, **{"c7": 10, f"c{CALL.con_id}": -15})
    assert told_of(evidence(side(CALL, -20, holding("ALPHA", -15, instrument=CALL)), combos=(half,))).causes[
        0
    ].kind == ("combo_incomplete")
    for broker, given in ((-7, combo(10, c7=10)), (-10, combo(0, c7=10)), (-200, combo(10, c7=10))):
        told = told_of(evidence(side(CALL, broker), combos=(given,)))
        assert "combo_incomplete" not in {c.kind for c in told.causes}, broker
