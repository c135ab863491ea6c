"""The recount's whole numbers make what plain fractions make, to the last digit, however long a book is never flat."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.events import Fill
from engine.core.instrument import Instrument
from engine.core.records import FillRecord
from engine.state import fold as counting
from engine.state.fold import decimal, fold

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
STOCK = Instrument(con_id=1, symbol="AAPL", currency="USD")
PAIR = Instrument(con_id=1, symbol="EUR", sec_type="CASH", currency="CHF")
OPTION = Instrument(con_id=1, symbol="SPX", sec_type="OPT", currency="USD", multiplier=Decimal(100))
SMALL = st.builds(lambda n, e: Decimal(n).scaleb(-e), st.integers(-300, 300), st.integers(0, 4))
LONG = st.builds(lambda n, e: Decimal(n).scaleb(-e), st.integers(-(10**30), 10**30), st.integers(0, 40))


def plain(records):
    """The definition, step by step: average cost per unit."""
    held = average = realized = paid = Fraction(0)
    fees = {}
    for r in sorted(records, key=lambda r: (r.order_time, r.first_seq)):
        if r.commission is not None:
            fees[r.commission_currency] = fees.get(r.commission_currency, 0) + Fraction(r.commission)
        if r.state != "active":
            continue
        traded, price = Fraction(r.quantity), Fraction(r.unit_price) * Fraction(r.multiplier)
        paid += traded * price
        after = held + traded
        if held * traded >= 0:
            average = (held * average + traded * price) / after if after else Fraction(0)
        else:
            closed = traded if abs(traded) <= abs(held) else -held
            realized -= closed * (price - average)
            average = average if held * after > 0 else price if after else Fraction(0)
        held = after
    return held, average, realized, -paid, fees


def assert_plain(records):
    (found,) = fold(records).values()
    held, average, realized, moved, fees = plain(records)
    last = max(records, key=lambda r: (r.order_time, r.first_seq))
    assert found.quantity == decimal(held)
    assert found.open_cost == decimal(held * average)
    assert found.avg_cost == (decimal(average / Fraction(last.multiplier)) if held else None)
    assert found.realized_pnl == decimal(realized)
    assert found.fees == {currency: decimal(amount) for currency, amount in fees.items()}
    assert found.fees_pending == sum(r.commission is None for r in records)
    active = [r for r in records if r.state == "active"]
    assert found.fills == len(active)
    assert found.last_fill_at == max((r.order_time for r in active), default=None)
    instrument = last.fill.instrument
    both = {instrument.symbol: decimal(held)} if instrument is PAIR and active else {}
    assert found.cash == {instrument.currency: decimal(moved), **both}


def record(n, quantity, price, instrument=STOCK, at=0, **rest):
    exec_id = f"0000e0d5.{n:08x}.01.01"
    fill = Fill(received_at=T0, account="DU1", exec_id=exec_id, instrument=instrument, quantity=quantity, price=price)
    facts = {"seq": n, "first_seq": n, "recorded_at": T0, "order_time": T0 + timedelta(seconds=at), "state": "active"}
    facts |= {"multiplier": instrument.multiplier, "magnifier": None, "realized_pnl": Decimal(0), "strategy": "S"}
    return FillRecord(**facts | {"fill": fill, "quantity": quantity, "unit_price": price} | rest)


@st.composite
def books(draw, numbers):
    instrument = draw(st.sampled_from((STOCK, PAIR, OPTION)))
    return [
        record(
            n,
            draw(numbers),
            draw(numbers),
            instrument,
            draw(st.integers(0, 5)),
            state=draw(st.sampled_from(("active", "active", "active", "busted"))),
            commission=draw(st.none() | numbers),
            commission_currency=draw(st.sampled_from(("USD", "EUR"))),
            multiplier=draw(st.sampled_from((instrument.multiplier, Decimal("0.25"), Decimal(7)))),
        )
        for n in range(1, draw(st.integers(2, 14)))
    ]


@pytest.mark.parametrize("stretch", [0, 8, 2048])
@given(st.one_of(books(SMALL), books(LONG), books(st.one_of(SMALL, LONG))))
def test_any_book_is_the_one_that_fractions_make(stretch, records):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_STRETCH_BITS", stretch)
        assert_plain(records)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("places", [0, 4])
def test_a_long_book_that_is_never_flat_is_the_one_that_fractions_make(sign, places):
    chance = random.Random(places)
    unit, held, found = 10**places, 0, []
    for n in range(1500):
        quantity = chance.randint(1, 200 * unit) * chance.choice((1, -1))
        if held + quantity <= 0:
            quantity = abs(quantity)
        held += quantity
        price = Decimal(chance.randint(9000, 11000)).scaleb(-2)
        found.append(record(n, Decimal(sign * quantity).scaleb(-places), price, at=n))
    _, _, divisor, _ = counting._traded(range(1500), counting._lines(found))
    assert divisor.bit_length() > 2 * counting._STRETCH_BITS, "nothing ever went into the long numbers"
    assert_plain(found)


def test_a_pair_of_which_nothing_counts_moved_nothing_of_its_first_currency():
    (found,) = fold([record(1, Decimal(5), Decimal(1), PAIR, state="busted")]).values()
    assert found.cash == {"CHF": 0}
