from decimal import Context, Decimal, localcontext

import pytest

from engine.core.exact import add, multiply
from engine.core.position import Position, apply_fill, step

ONE = Decimal(1)


def play(*trades, multiplier=1):
    position = Position()
    happened = []
    for quantity, price in trades:
        applied = apply_fill(position, Decimal(str(quantity)), Decimal(str(price)), Decimal(multiplier))
        position = applied.position
        happened.append(applied.happened)
    return position, happened


def test_selling_through_zero_opens_a_short_at_the_fill_price():
    """R31: +100 @ 10 and sell 150 @ 12 realizes 200 gross and leaves -50 @ 12."""
    position, happened = play((100, 10), (-150, 12))
    assert (position.quantity, position.realized_pnl, position.open_cost) == (-50, 200, -600)
    assert position.avg_cost(ONE) == 12
    assert happened == ["opened", "flipped"]


def test_a_flip_does_not_book_profit_on_the_whole_fill():
    """R51."""
    position, _ = play((10, 100), (-30, 110))
    assert position.realized_pnl == 100
    assert (position.quantity, position.avg_cost(ONE)) == (-20, 110)


def test_every_word_of_what_happened():
    _, happened = play((10, 1), (10, 1), (-5, 1), (-15, 1), (0, 1), (-3, 1), (3, 1))
    assert happened == ["opened", "increased", "reduced", "closed", "nothing", "opened", "closed"]


def test_flat_costs_exactly_nothing_after_a_close_that_could_not_be_divided():
    position, _ = play((3, 10), (-1, 11), (-1, 11), (-1, 11))
    assert (position.quantity, position.open_cost, position.realized_pnl) == (0, 0, 3)
    assert position.avg_cost(ONE) is None


def test_an_uneven_average_keeps_realized_equal_to_open_cost_plus_cash():
    position, _ = play((3, 10), (4, "10.01"), (-2, 12), (1, 9), (-5, "9.99"))
    assert position.realized_pnl == add(position.open_cost, position.cash)
    traded = [(3, 10), (4, "10.01"), (-2, 12), (1, 9), (-5, "9.99")]
    assert position.cash == -sum(Decimal(str(q)) * Decimal(str(p)) for q, p in traded)


def test_the_multiplier_counts_in_cost_and_profit():
    position, _ = play((2, "5000.25"), (-1, "5001.25"), multiplier=50)
    assert (position.open_cost, position.realized_pnl) == (Decimal("250012.5"), 50)
    assert position.avg_cost(Decimal(50)) == Decimal("5000.25")


def test_shorts_are_the_mirror_of_longs():
    long, _ = play((5, 10), (2, 13), (-4, 12), (-6, 9))
    short, _ = play((-5, 10), (-2, 13), (4, 12), (6, 9))
    assert short.quantity == -long.quantity
    assert short.open_cost == -long.open_cost
    assert short.realized_pnl == -long.realized_pnl


def test_ten_thousand_fills_of_a_tenth_are_exactly_a_thousand():
    """R29."""
    position, _ = play(*[("0.1", "10.1")] * 10_000)
    assert position.quantity == 1000
    assert position.open_cost == 10100


def test_fractions_of_a_share_are_exact():
    """R29: 1.0 and 0.1404 make 1.1404; F85: three buys of 0.1 and a sale of 0.3 are flat, not 5e-17."""
    assert play(("1.0", 5), ("0.1404", 5))[0].quantity == Decimal("1.1404")
    position, _ = play(*[("0.1", 3)] * 3, ("-0.3", 3))
    assert (position.quantity, position.open_cost) == (0, 0)


@pytest.mark.parametrize("precision", [3, 28, 60])
def test_the_calling_threads_precision_does_not_matter(precision):
    trades = [("1143.28313142", "30.3075"), ("0.00025289", "79012.345678"), ("-3", "31.1"), ("-100.5", "29.123456789")]
    expected, _ = play(*trades)
    with localcontext(Context(prec=precision)):
        found, _ = play(*trades)
    assert found == expected


def test_numbers_of_very_different_size_are_added_exactly():
    quantity, open_cost, _ = step(Decimal(0), Decimal(0), Decimal("1e18"), Decimal(1))
    quantity, open_cost, _ = step(quantity, open_cost, Decimal("1e-18"), Decimal("1e-12"))
    assert quantity == Decimal("1000000000000000000.000000000000000001")
    assert open_cost == add(multiply(Decimal("1e18"), ONE), Decimal("1e-30"))
