"""Units: multiplier, magnifier, fractions, and whose word on them counts."""

from decimal import Decimal

import msgspec
import pytest

from tests.unit.state.kit import AAPL, BTC, ES, VOD, Desk


def test_the_brokers_contract_details_are_the_last_word_on_the_multiplier():
    """F23, F89: a contract that came without its multiplier is folded again, and its rows come again."""
    desk = Desk()
    bare = msgspec.structs.replace(ES, multiplier=Decimal(1))
    desk.fill("1.01", 2, 5000, instrument=bare, strategy="ALPHA")
    desk.fill("2.01", -1, 5010, t=1, instrument=bare, strategy="ALPHA")
    changes = desk.describe(msgspec.structs.replace(ES, price_magnifier=1))
    book = desk.book(instrument=ES)
    assert (book.open_cost, book.realized_pnl, book.avg_cost) == (250_000, 500, 5000)
    assert [(r.fill.exec_id, r.multiplier, r.realized_pnl) for r in changes.fills] == [
        ("1.01", 50, 0),
        ("2.01", 50, 500),
    ]
    assert desk.kinds() == {"instrument_changed"}
    desk.stored_rows_fold_to_the_books()


def test_details_that_only_confirm_make_no_rows():
    desk = Desk()
    known = msgspec.structs.replace(ES, price_magnifier=1)
    desk.describe(known)
    desk.fill("1.01", 2, 5000, instrument=ES, strategy="ALPHA")
    changes = desk.describe(msgspec.structs.replace(known, local_symbol="ESH6"))
    assert changes.fills == []
    assert desk.ledger.instrument(ES.con_id).local_symbol == "ESH6"


def test_a_magnifier_that_is_known_only_now_is_recorded_of_what_was_booked_before():
    """Unknown is not one: the rows say from then on that it is known, though no figure changes."""
    desk = Desk()
    desk.fill("1.01", 2, 5000, instrument=ES, strategy="ALPHA")
    assert [r.magnifier for r in desk.fills] == [None]
    changes = desk.describe(msgspec.structs.replace(ES, price_magnifier=1))
    assert [(r.fill.exec_id, r.magnifier, r.multiplier) for r in changes.fills] == [("1.01", 1, 50)]
    assert desk.ledger.fills() == changes.fills
    assert not desk.kinds()


def test_a_later_executions_own_contract_never_rescales_a_book():
    desk = Desk()
    desk.fill("1.01", 2, 5000, instrument=ES, strategy="ALPHA")
    desk.fill("2.01", -1, 5010, t=1, instrument=msgspec.structs.replace(ES, multiplier=Decimal(5)), strategy="ALPHA")
    assert desk.book(instrument=ES).realized_pnl == 500
    assert desk.kinds() == {"instrument_changed"}


def test_london_shares_are_counted_in_pounds():
    """F93."""
    desk = Desk()
    desk.describe(msgspec.structs.replace(VOD, price_magnifier=100))
    desk.fill("1.01", 100, 947, instrument=VOD, strategy="ALPHA")
    book = desk.book(instrument=VOD)
    assert (book.open_cost, book.avg_cost, book.cash) == (947, Decimal("9.47"), {"GBP": -947})


def test_one_instrument_whatever_its_text():
    """F94, F95: another exchange, another symbol, the same con_id."""
    desk = Desk()
    desk.fill("1.01", 1, 5000, instrument=ES, strategy="ALPHA")
    desk.fill("2.01", 1, 5000, instrument=msgspec.structs.replace(ES, exchange="CME", symbol="EZ"), strategy="ALPHA")
    assert [p.quantity for p in desk.ledger.positions()] == [2]


def test_a_calendar_spread_is_two_instruments():
    """R51, R37: the seed matched rows on the symbol."""
    desk = Desk()
    later = msgspec.structs.replace(ES, con_id=ES.con_id + 1, expiry="20260618")
    desk.fill("1.01", 1, 5000, instrument=ES, strategy="ALPHA")
    desk.fill("2.01", -1, 5050, instrument=later, strategy="ALPHA")
    assert [(p.instrument_key, p.quantity) for p in desk.ledger.positions()] == [(ES.con_id, 1), (later.con_id, -1)]


def test_crypto_amounts_are_exact():
    """F87, F85."""
    desk = Desk()
    desk.fill("1.01", "0.00025289", "79012.53", instrument=BTC, strategy="ALPHA")
    desk.fill("2.01", "-0.00025289", "79100.01", t=1, instrument=BTC, strategy="ALPHA")
    book = desk.book(instrument=BTC)
    assert (book.quantity, book.open_cost) == (0, 0)
    assert book.realized_pnl == Decimal("0.00025289") * (Decimal("79100.01") - Decimal("79012.53"))


def test_ten_thousand_tenths_through_the_ledger_are_a_thousand():
    """R29."""
    desk = Desk()
    for number in range(10_000):
        fill = desk.fills[0].fill if desk.fills else None
        if fill is None:
            desk.fill("0.01", "0.1", "10.1", strategy="ALPHA")
            continue
        fact = msgspec.structs.replace(fill, exec_id=f"{number}.01")
        desk.ledger.apply(number + 1, fact)
    assert desk.quantity() == 1000
    assert desk.book().open_cost == 10100


@pytest.mark.parametrize("sources", [("live", "replay"), ("replay", "live")])
def test_a_flat_book_is_kept(sources):
    desk = Desk()
    for number, source in enumerate(sources):
        desk.fill(f"{number}.01", (-1) ** number * 10, 100 + number, t=number, strategy="ALPHA", source=source)
    (book,) = desk.ledger.positions()
    assert (book.quantity, book.open_cost, book.avg_cost, book.realized_pnl) == (0, 0, None, 10)
    assert desk.ledger.net() == {("DU1", AAPL.con_id): 0}
