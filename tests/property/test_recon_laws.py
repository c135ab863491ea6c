# ruff: noqa: E402 -- the parts of the unit tests are found by their folders
from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

UNIT = Path(__file__).parents[1] / "unit"
sys.path[:0] = [str(UNIT / "desk"), str(UNIT / "recon")]

from desk_parts import AAPL, DU, House
from recon_parts import AAPL as STOCK
from recon_parts import (
    CALL,
    FUTURE,
    MSFT,
    Story,
    answer,
    evidence,
    execution,
    holding,
    instrument_of,
    loose,
    order,
    row,
    side,
)

from engine.core.instrument import Instrument
from engine.errors import AssignmentRefused
from engine.recon.assign import Request
from engine.recon.chain import verify_chain
from engine.recon.compare import compare
from engine.recon.explain import explain

WHOLE = st.integers(-200, 200).filter(bool)
PRICES = st.sampled_from([Decimal("9.5"), Decimal(10), Decimal("10.01"), Decimal("33.333")])


def figures(house):
    return sorted(
        (p.strategy, p.quantity, p.open_cost, p.realized_pnl, sorted(p.fees.items()), sorted(p.cash.items()))
        for p in house.ledger.positions()
        if p.fills
    )


def law(house):
    """strategies + UNASSIGNED + residual = broker, from the table and from the books."""
    columns = house.reconciler.last.columns
    total = sum(map(Decimal, map(repr, columns["qty"]))) + sum(map(Decimal, map(repr, columns["residual_qty"])))
    broker = sum((r.quantity for r in house.broker.rows.values()), Decimal(0))
    return total == broker


@given(
    manual=st.lists(st.tuples(WHOLE, PRICES), max_size=4),
    own=st.lists(st.tuples(WHOLE, PRICES), max_size=2),
    hidden=st.integers(-50, 50),
    parts=st.lists(st.tuples(st.sampled_from(["ALPHA", "BETA", "GAMMA"]), st.integers(1, 100)), min_size=1, max_size=3),
    typed=st.none() | PRICES,
)
def test_assign_then_reverse_is_the_identity_and_every_state_between_obeys_the_law(manual, own, hidden, parts, typed):
    async def play():
        house = House()
        house.broker.mark(AAPL, 10)
        for quantity, price in own:
            house.fill(AAPL, quantity, price, moves_broker=True)
        for quantity, price in manual:
            house.fee(house.manual(AAPL, quantity, price, moves_broker=True), "0.35")
        house.broker.move(AAPL, hidden)
        await house.confirmed()
        assert law(house)
        before = figures(house)
        residual = sum(q for q, _ in manual) + hidden
        sign = 1 if residual > 0 else -1
        split = {}
        for strategy, share in parts:
            split[strategy] = Decimal(sign * max(1, abs(residual) * share // 300))
        assume(residual and abs(sum(split.values())) <= abs(residual))
        request = Request(split=split, operator="mary", reason="test", price=typed)
        held = {s: house.quantity(s) for s in split}
        entry = await house.desk.assign(DU, AAPL.con_id, request)
        house.ledger.check()
        assert {s: house.quantity(s) - held[s] for s in split} == split
        left = sum((b.quantity for b in house.reconciler.breaks()), Decimal(0))
        assert left == residual - sum(split.values())
        await house.run(after=11)
        assert law(house)
        await house.desk.reverse(entry.assignment_id, operator="mary", reason="test")
        house.ledger.check()
        assert figures(house) == before
        assert sum((b.quantity for b in house.reconciler.breaks()), Decimal(0)) == residual
        await house.run(after=11)
        assert law(house)
        assert verify_chain([entry], entry.entry_hash) is None

    asyncio.run(play())


@given(
    manual=st.lists(st.tuples(st.integers(1, 99), PRICES), min_size=1, max_size=5),
    asks=st.lists(st.tuples(st.sampled_from(["ALPHA", "BETA"]), st.integers(1, 120)), max_size=6),
)
def test_however_it_is_asked_no_more_is_given_than_there_is_and_unassigned_realizes_nothing(manual, asks):
    async def play():
        house = House()
        for quantity, price in manual:
            house.manual(AAPL, quantity, price, moves_broker=True)
        await house.confirmed()
        residual = Decimal(sum(q for q, _ in manual))
        for strategy, wanted in asks:
            try:
                await house.desk.assign(
                    DU, AAPL.con_id, Request(split={strategy: Decimal(wanted)}, operator="mary", reason="test")
                )
            except AssignmentRefused:
                assert wanted > residual
            else:
                residual -= wanted
            assert house.quantity("UNASSIGNED") == residual
        unassigned = house.ledger.position("UNASSIGNED", DU, AAPL.con_id)
        assert unassigned is None or abs(unassigned.realized_pnl) < Decimal("0.000001")
        assert sum((p.cash.get("USD", Decimal(0)) for p in house.ledger.positions()), Decimal(0)) == -sum(
            (q * p for q, p in manual), Decimal(0)
        )

    asyncio.run(play())


SIDES = st.builds(
    lambda instrument, broker, held, other, cost: side(
        instrument,
        broker,
        *([holding("ALPHA", held, instrument=instrument)] if held else []),
        *([holding("BETA", other, instrument=instrument)] if other else []),
        avg_cost=cost,
        mark=99,
    ),
    st.sampled_from([STOCK, MSFT, CALL, FUTURE]),
    st.integers(-300, 300),
    st.integers(-300, 300),
    st.integers(-3, 3),
    st.none() | st.integers(1, 20_000),
)


@given(
    here=SIDES,
    beside=st.lists(SIDES, max_size=3),
    fills=st.lists(st.builds(execution, WHOLE), max_size=5),
    unassigned=st.lists(
        st.builds(loose, WHOLE, order_id=st.integers(-1, 3), client_id=st.sampled_from([0, 12, 40])), max_size=4
    ),
    counts=st.lists(st.integers(0, 300), max_size=2),
    reset=st.booleans(),
)
def test_a_break_is_always_the_sum_of_its_accepted_causes_and_the_residual(
    here, beside, fills, unassigned, counts, reset
):
    held = sum((r.quantity for r in unassigned), Decimal(0))
    told = explain(
        evidence(
            here,
            unassigned=held,
            beside=tuple(s for s in beside if s.con_id != here.con_id and s.difference),
            fills=(*fills, *unassigned),
            orders=tuple(order(c, ours=0, perm_id=800 + n) for n, c in enumerate(counts)),
            after_reset=reset,
        )
    )
    total = here.difference + held
    assert sum((c.quantity for c in told.accepted), Decimal(0)) + told.residual == total
    assert [c.score for c in told.causes] == sorted((c.score for c in told.causes), reverse=True)
    assert all(c.arithmetic and c.evidence for c in told.causes)
    assert bool(told.causes) or not here.difference


@given(
    books=st.dictionaries(st.integers(1, 30), st.integers(-5, 5), max_size=15),
    broker=st.dictionaries(st.integers(1, 30), st.integers(-5, 5), max_size=15),
)
def test_the_comparison_is_the_union_of_both_sides(books, broker):
    rows = [row(Instrument(con_id=100 + c, symbol=f"S{c}", currency="USD"), q) for c, q in broker.items()]
    found = compare({(DU, 100 + c): Decimal(q) for c, q in books.items()}, [answer(*rows)], instrument_of=instrument_of)
    expected = {
        (DU, 100 + c): broker.get(c, 0) - books.get(c, 0)
        for c in books.keys() | broker.keys()
        if broker.get(c, 0) != books.get(c, 0)
    }
    assert {k: d.difference for k, d in found.found.items()} == expected


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([90, 95, 100]), st.integers(1, 15), st.booleans(), st.integers(0, 3)), max_size=25
    )
)
def test_r3_unknown_answers_between_good_ones_change_nothing(steps):
    plain, disturbed = Story(), Story()
    when = 0
    for broker, wait, active, unknown in steps:
        when += wait
        if active:
            plain.active = disturbed.active = when - 1
        for n in range(unknown):
            disturbed.hear_nothing(when - 0.9 + n * 0.1)
        plain.see(when, broker, 100)
        disturbed.see(when, broker, 100)
        assert plain.book == disturbed.book
        disturbed.reopen_from_disk()
    assert plain.changes == disturbed.changes


@given(
    steps=st.lists(st.tuples(st.sampled_from([90, 95, 100, 110]), st.integers(1, 15), st.booleans()), max_size=30),
)
def test_a_break_is_open_only_after_its_grace_and_shows_what_the_answer_shows(steps):
    story, when = Story(), 0
    for broker, wait, active in steps:
        when += wait
        if active:
            story.active = when - 0.5
        found = story.see(when, broker, 100)
        if broker != 100:
            assert found.quantity == broker - 100
        elif found is not None:
            assert not found.is_open
        if found is not None and found.is_open:
            assert found.opened_at is not None
            assert (found.opened_at - found.first_seen).total_seconds() >= story.policy.settle_s
        if found is not None and found.state == "confirmed" and found.confirmed_quantity == found.quantity:
            assert found.confirmed_at is not None
