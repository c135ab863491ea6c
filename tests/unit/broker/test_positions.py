"""Positions: confirmed or unknown, and when an answer is asked for again."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from engine.broker.positions import PositionMemory, account_problem, snapshots
from engine.broker.shapes import Shape
from engine.core.snapshot import Confirmed, Unknown

ASKED = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)
ANSWERED = ASKED + timedelta(seconds=1)


def row(account, con_id, quantity, **contract):
    fields = {
        "conId": str(con_id),
        "symbol": f"S{con_id}",
        "secType": "STK",
        "currency": "USD",
        "exchange": "",
    } | contract
    return account, Shape({"contract": fields, "position": str(quantity), "avgCost": "10.5"})


def read(rows, accounts=("DU1", "DU2"), managed=("DU1", "DU2"), ready=lambda _: True):
    return snapshots(rows, accounts, managed=managed, ready=ready, requested_at=ASKED, answered_at=ANSWERED, epoch=3)


def quantities(snapshot):
    assert isinstance(snapshot, Confirmed)
    return {position.instrument.con_id: position.quantity for position in snapshot.rows}


def test_each_account_gets_its_own_answer_r17_r42():
    one, two = read([row("DU1", 1, 5), row("DU2", 1, -3), row("DU1", 2, "0.1404")])
    assert quantities(one) == {1: Decimal(5), 2: Decimal("0.1404")}
    assert quantities(two) == {1: Decimal(-3)}
    assert (one.requested_at, one.answered_at, one.epoch) == (ASKED, ANSWERED, 3)


def test_the_last_row_of_an_instrument_counts_f119():
    (one,) = read([row("DU1", 1, 5), row("DU1", 1, 7), row("DU1", 1, 6, exchange="CME")], accounts=("DU1",))
    assert quantities(one) == {1: Decimal(6)}


def test_a_row_of_zero_is_kept_as_the_news_it_is_f97():
    (one,) = read([row("DU1", 1, 0)], accounts=("DU1",))
    assert quantities(one) == {1: Decimal(0)}


def test_an_account_without_a_row_is_flat_in_a_complete_answer_f126():
    _, two = read([row("DU1", 1, 5)])
    assert quantities(two) == {}


def test_rows_of_masters_and_aggregates_are_left_out_f79a_f79c():
    one, two = read([row("F1", 1, 20), row("F1A", 1, 20), row("DU1", 1, 12), row("DU2", 1, 8)])
    assert (quantities(one), quantities(two)) == ({1: Decimal(12)}, {1: Decimal(8)})


def test_an_account_that_ib_does_not_manage_is_unknown_never_flat_r42():
    (one,) = read([row("DU1", 1, 5)], accounts=("DU9",))
    assert isinstance(one, Unknown)


def test_an_account_that_is_not_ready_is_unknown_alone_f128():
    one, two = read([row("DU1", 1, 5)], ready=lambda account: account != "DU1")
    assert isinstance(one, Unknown)
    assert "AccountReady" in one.reason
    assert isinstance(two, Confirmed)


@pytest.mark.parametrize(
    "bad", [row("DU1", 0, 5), row("DU1", 1, "many"), row("DU1", 1, ""), row("DU1", 1, 5, multiplier="x")]
)
def test_a_row_that_cannot_be_read_makes_its_account_unknown(bad):
    one, two = read([bad, row("DU2", 1, 5)])
    assert isinstance(one, Unknown)
    assert isinstance(two, Confirmed)


def nothing(_):
    return False


def test_the_first_answer_without_any_position_is_asked_for_again_f120():
    memory = PositionMemory()
    assert memory.suspicious(read([]), nothing) is True
    memory.remember(read([]))
    assert memory.suspicious(read([]), nothing) is False


def test_an_empty_answer_after_one_with_positions_is_asked_for_again_f120_r3():
    memory = PositionMemory()
    memory.remember(read([row("DU1", 1, 5)]))
    assert memory.suspicious(read([]), nothing) is True


def test_an_instrument_that_is_suddenly_not_mentioned_is_asked_for_again():
    memory = PositionMemory()
    memory.remember(read([row("DU1", 1, 5), row("DU1", 2, 5)]))
    assert memory.suspicious(read([row("DU1", 1, 5)]), nothing) is True
    assert memory.suspicious(read([row("DU1", 1, 5), row("DU1", 2, 0)]), nothing) is False


def test_an_empty_answer_that_the_portfolio_contradicts_is_asked_for_again_f117():
    memory = PositionMemory()
    memory.remember(read([]))
    assert memory.suspicious(read([]), lambda account: account == "DU2") is True


def test_an_answer_with_positions_is_believed():
    memory = PositionMemory()
    assert memory.suspicious(read([row("DU1", 1, 5)]), nothing) is False


def test_an_answer_that_lacks_twice_what_the_portfolio_still_shows_is_unknown_f120_r3():
    memory = PositionMemory()
    memory.remember(read([row("DU1", 1, 5), row("DU1", 2, 5), row("DU2", 1, 5)]))
    second = read([row("DU1", 1, 5)])
    one, two = memory.doubted(second, {"DU1": frozenset({1, 2}), "DU2": frozenset()}.__getitem__)
    assert isinstance(one, Unknown)
    assert "(2)" in one.reason
    assert isinstance(two, Confirmed)  # sold out, and the portfolio says so too
    one, two = memory.doubted(second, {"DU1": frozenset({1}), "DU2": frozenset({3})}.__getitem__)
    assert isinstance(one, Confirmed)
    assert isinstance(two, Confirmed)  # what was never among its positions does not count


@pytest.mark.parametrize(
    ("managed", "expected", "problem"),
    [
        (("DU1", "DU2"), (), ""),
        (("DU1", "DU2"), ("DU2", "DU1"), ""),
        (("U1",), ("DU1",), "configured"),
        (("DU1", "DU2"), ("DU1",), "configured"),
        ((), (), "no account"),
        (tuple(f"U{i}" for i in range(60)), (), "F118"),
        (tuple(f"U{i}" for i in range(50)), (), ""),
    ],
)
def test_a_login_with_other_or_too_many_accounts_is_refused_loudly_f118_f135_r42(managed, expected, problem):
    found = account_problem(managed, expected)
    assert (problem in found) if problem else found == ""
