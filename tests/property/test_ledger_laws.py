"""The laws of the books, exact: replaying, repeating, splitting, mirroring, taking back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.core.events import AssignmentLeg, AssignmentMade, AssignmentReversed, Fill
from engine.core.exact import add, multiply
from engine.core.instrument import Instrument
from engine.state.books import same_figures
from engine.state.fold import decimal, fold
from engine.state.ledger import Ledger

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
STOCK = Instrument(con_id=1, symbol="AAPL", currency="USD")
FUTURE = Instrument(con_id=2, symbol="ES", currency="USD", multiplier=Decimal(50))
NUMBERS = st.decimals("-5000", "5000", allow_nan=False, allow_infinity=False, places=4).filter(bool)
PRICES = st.decimals("-50", "5000", allow_nan=False, allow_infinity=False, places=3)
TRADES = st.lists(
    st.tuples(NUMBERS, PRICES, st.integers(0, 30), st.sampled_from((STOCK, FUTURE)), st.sampled_from(("A", "B", None))),
    min_size=1,
    max_size=14,
)


def facts_of(trades, prefix="t"):
    return [
        Fill(
            received_at=START + timedelta(seconds=100 + n),
            account="DU1",
            exec_id=f"{prefix}{n}.01",
            instrument=instrument,
            quantity=quantity,
            price=price,
            executed_at=START + timedelta(seconds=second),
            strategy=strategy,
        )
        for n, (quantity, price, second, instrument, strategy) in enumerate(trades)
    ]


def play(facts, ledger=None):
    ledger = ledger or Ledger()
    records = []
    for fact in facts:
        records += ledger.apply(ledger.seq + 1, fact).fills
    ledger.check()
    return ledger, records


def bare(ledger):
    return {
        (p.strategy, p.instrument_key): (p.quantity, p.open_cost, p.realized_pnl, p.cash) for p in ledger.positions()
    }


@given(TRADES, st.integers(0, 14))
def test_replaying_is_the_same_as_continuing(trades, cut):
    facts = facts_of(trades)
    straight, records = play(facts)
    first, before = play(facts[:cut])
    continued, after = play(facts[cut:], Ledger.load(first.dump()))
    assert continued.positions() == straight.positions()
    assert before + after == records


@given(TRADES, st.randoms(use_true_random=False))
def test_fills_delivered_any_number_of_times_change_nothing(trades, random):
    facts = facts_of(trades)
    once, _ = play(facts)
    doubled = [fact for fact in facts for _ in range(random.randint(1, 3))]
    again, _ = play(doubled + random.sample(facts, len(facts)))
    assert bare(again) == bare(once)


@given(TRADES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter_where_times_differ(trades, random):
    trades = [(q, p, n, i, s) for n, (q, p, _, i, s) in enumerate(trades)]
    facts = facts_of(trades)
    shuffled = random.sample(facts, len(facts))
    straight, _ = play(facts)
    mixed, records = play(shuffled)
    assert bare(mixed) == bare(straight)
    assert {k: (v.quantity, v.cash) for k, v in fold(records).items()} == {
        (p.strategy, p.account, p.instrument_key): (p.quantity, p.cash) for p in mixed.positions()
    }


@given(TRADES)
def test_mirrored_fills_mirror_the_book(trades):
    plain, _ = play(facts_of(trades))
    mirrored, _ = play(facts_of([(q.copy_negate(), p, t, i, s) for q, p, t, i, s in trades]))
    assert bare(mirrored) == {
        key: (q.copy_negate(), c.copy_negate(), r.copy_negate(), {k: v.copy_negate() for k, v in cash.items()})
        for key, (q, c, r, cash) in bare(plain).items()
    }


@given(TRADES, st.integers(0, 13), st.decimals("0.01", "0.99", places=2))
def test_splitting_a_fill_at_one_price_changes_nothing_beyond_a_rounding_unit(trades, which, part):
    which %= len(trades)
    quantity, price, second, instrument, strategy = trades[which]
    first = multiply(quantity, part)
    parts = [
        (first, price, second, instrument, strategy),
        (add(quantity, first.copy_negate()), price, second, instrument, strategy),
    ]
    whole, _ = play(facts_of(trades))
    split, _ = play(facts_of([*trades[:which], *parts, *trades[which + 1 :]]))
    for key, (quantity, cost, realized, cash) in bare(whole).items():
        other = bare(split)[key]
        assert (quantity, cash) == (other[0], other[3])
        assert abs(cost - other[1]) <= Decimal("1e-20")
        assert abs(realized - other[2]) <= Decimal("1e-20")


@given(TRADES)
def test_realized_is_open_cost_plus_cash_and_flat_costs_nothing_exactly(trades):
    ledger, _ = play(facts_of(trades))
    moved = {}
    for quantity, price, _, instrument, strategy in trades:
        key = (strategy or "UNASSIGNED", instrument.con_id)
        amount = multiply(multiply(quantity, price), instrument.multiplier)
        moved[key] = add(moved.get(key, Decimal(0)), amount.copy_negate())
    for position in ledger.positions():
        cash = moved[position.strategy, position.instrument_key]
        assert position.cash == {"USD": cash}
        assert position.realized_pnl == add(position.open_cost, cash)
        assert position.quantity or position.open_cost == 0


@given(TRADES, st.sampled_from((1, 6, 28, 50)))
def test_the_callers_decimal_context_changes_nothing(trades, precision):
    plain, records = play(facts_of(trades))
    with localcontext(Context(prec=precision)):
        narrow, again = play(facts_of(trades))
    assert bare(narrow) == bare(plain)
    assert again == records


@given(TRADES)
def test_the_sum_over_strategies_is_the_accounts(trades):
    ledger, _ = play(facts_of(trades))
    for (_, con_id), quantity in ledger.net().items():
        total = Decimal(0)
        for traded, _, _, instrument, _ in trades:
            if instrument.con_id == con_id:
                total = add(total, traded)
        assert quantity == total


@given(TRADES, st.lists(st.tuples(st.sampled_from(("A", "B", "C")), NUMBERS, PRICES), min_size=1, max_size=3), TRADES)
def test_assign_then_reverse_restores_the_exact_state_whatever_comes_between(before, legs, after):
    entry = AssignmentMade(
        received_at=START + timedelta(seconds=200),
        assignment_id="A1",
        account="DU1",
        instrument=STOCK,
        legs=tuple(AssignmentLeg(strategy=s, quantity=q, price=p) for s, q, p in legs),
        operator="op",
        reason="law",
        effective_at=START + timedelta(seconds=15),
    )
    back = AssignmentReversed(
        received_at=START + timedelta(seconds=300), reversal_id="R1", assignment_id="A1", operator="op", reason="law"
    )
    untouched, _ = play([*facts_of(before), *facts_of(after, "u")])
    restored, records = play([*facts_of(before), entry, *facts_of(after, "u"), back])
    assert same_figures(restored.positions(), untouched.positions())
    assert fold(records).keys() == {(p.strategy, p.account, p.instrument_key) for p in restored.positions()}


@given(TRADES)
def test_a_preview_is_what_the_entry_then_does(trades):
    ledger, _ = play(facts_of(trades))
    entry = AssignmentMade(
        received_at=START + timedelta(seconds=200),
        assignment_id="A1",
        account="DU1",
        instrument=STOCK,
        legs=(AssignmentLeg(strategy="A", quantity=Decimal(7), price=Decimal("3.3")),),
        operator="op",
        reason="law",
        effective_at=START + timedelta(seconds=15),
    )
    ((_, expected),) = ledger.preview(entry)
    ledger.apply(ledger.seq + 1, entry)
    assert same_figures([ledger.position("A", "DU1", 1)], [expected])


@given(st.fractions(max_denominator=10**6))
def test_the_recounts_decimals_are_exact_where_they_can_be(number):
    found = decimal(number)
    scale = 10**30
    assert abs(number - type(number)(found)) * scale <= max(1, abs(number)) * 1000
    if set(_primes(number.denominator)) <= {2, 5}:
        assert type(number)(found) == number


def _primes(number):
    factor = 2
    while number > 1:
        if number % factor:
            factor += 1
        else:
            yield factor
            number //= factor


@given(TRADES)
def test_every_record_survives_its_wire_form(trades):
    _, records = play(facts_of(trades))
    blob = msgspec.msgpack.encode(records)
    assert msgspec.msgpack.decode(blob, type=list[type(records[0])]) == records
