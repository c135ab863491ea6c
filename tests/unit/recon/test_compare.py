from __future__ import annotations

import pytest
from recon_parts import (
    AAPL,
    CALL,
    DU,
    EURUSD,
    MSFT,
    PENCE,
    D,
    answer,
    instrument_of,
    net,
    no_answer,
    row,
)

from engine.core.instrument import BAG_CON_ID, Instrument
from engine.recon.compare import compare, is_advisor_account, unit_mismatch

BAG = Instrument(con_id=BAG_CON_ID, symbol="SPX", sec_type="BAG")


def differences(books, *answers, **more):
    found = compare(books, answers, instrument_of=instrument_of, **more).found
    return {key: d.difference for key, d in found.items()}


def test_equal_books_have_no_difference():
    assert differences(net(AAPL=100), answer(row(AAPL, 100))) == {}


def test_r39_a_holding_that_the_broker_leaves_out_is_a_difference_of_minus_all():
    assert differences(net(AAPL=100), answer()) == {(DU, 1): -100}


def test_a_holding_that_the_books_do_not_know_is_a_difference_of_all():
    assert differences({}, answer(row(AAPL, 100))) == {(DU, 1): 100}


def test_r17_one_instrument_in_two_accounts_is_compared_twice():
    books = {("DU1", 1): D(10), ("DU2", 1): D(20)}
    assert differences(books, answer(row(AAPL, 10)), answer(row(AAPL, 25, account="DU2"), account="DU2")) == {
        ("DU2", 1): 5
    }


def test_r19_f121_opposite_strategies_net_to_what_the_broker_holds():
    assert differences(net(AAPL=5 - 3), answer(row(AAPL, 2))) == {}


@pytest.mark.parametrize("accounts", [1, 2, 60])
def test_r42_each_account_reconciles_alone(accounts):
    names = [f"DU{n}" for n in range(accounts)]
    books = {(name, 1): D(10) for name in names}
    answers = [answer(row(AAPL, 11 if n == 0 else 10, account=a), account=a) for n, a in enumerate(names)]
    assert differences(books, *answers) == {("DU0", 1): 1}


def test_r42_f124_an_account_without_an_answer_says_nothing():
    assert differences({("DU1", 1): D(10), ("DU2", 1): D(10)}, no_answer("DU1"), answer(account="DU2")) == {
        ("DU2", 1): -10
    }


def test_f119_the_last_row_of_an_instrument_wins():
    assert differences(net(AAPL=30), answer(row(AAPL, 10), row(AAPL, 20), row(AAPL, 30))) == {}


def test_f122_a_row_of_zero_creates_nothing():
    assert differences({}, answer(row(AAPL, 0))) == {}


def test_c1_f80_f81_virtual_currency_rows_are_excluded_with_a_reason():
    compared = compare({}, [answer(row(EURUSD, 165700))])
    assert compared.found == {}
    assert [(e.con_id, "F80" in e.reason) for e in compared.excluded] == [(5, True)]


def test_f80_a_currency_pair_that_only_the_books_have_is_not_missing_at_the_broker():
    assert differences(net(EURUSD=1000), answer()) == {}


def test_f74_a_combination_is_never_compared():
    compared = compare({(DU, BAG_CON_ID): D(1)}, [answer(row(BAG, 2))], instrument_of=lambda _: BAG)
    assert compared.found == {}
    assert compared.excluded[0].con_id == BAG_CON_ID


@pytest.mark.parametrize("account", ["F1234567", "DF1234567", "F1234567A", "U1234567A"])
def test_f79a_f79c_an_advisors_master_and_its_aggregates_are_excluded(account):
    assert is_advisor_account(account)
    compared = compare({}, [answer(row(AAPL, 10, account=account), account=account)])
    assert compared.found == {}
    assert len(compared.excluded) == 1


@pytest.mark.parametrize("account", ["U1234567", "DU1234567", "DU1"])
def test_an_ordinary_account_is_no_advisors(account):
    assert not is_advisor_account(account)


def test_the_tolerance_counts_as_equal_and_one_step_more_does_not():
    assert differences(net(AAPL=10), answer(row(AAPL, "10.5")), tolerance=D("0.5")) == {}
    assert differences(net(AAPL=10), answer(row(AAPL, "10.51")), tolerance=D("0.5")) == {(DU, 1): D("0.51")}


def test_an_unassigned_holding_is_found_although_the_sums_agree():
    found = compare(net(AAPL=50), [answer(row(AAPL, 50))], unassigned={(DU, 1): D(50)}).found[DU, 1]
    assert (found.kind, found.difference, found.quantity) == ("unassigned", 0, 50)


def test_what_can_be_assigned_is_broker_minus_strategies():
    found = compare(net(AAPL=80), [answer(row(AAPL, 100))], unassigned={(DU, 1): D(30)}).found[DU, 1]
    assert found.quantity == 50
    assert found.quantity == found.unassigned + found.difference


def test_r37_f94_the_key_is_the_con_id_never_the_symbol_or_the_exchange():
    renamed = Instrument(con_id=1, symbol="APPL2", currency="USD", exchange="CME")
    assert differences(net(AAPL=100), answer(row(renamed, 100))) == {}


def test_f93_a_cost_in_pence_against_pounds_is_a_break_of_its_own_kind():
    books = net(PENCE=10)
    found = compare(books, [answer(row(PENCE, 10, avg_cost="9.47"))], open_costs={(DU, 6): D(9470)}).found[DU, 6]
    assert found.kind == "cost"
    assert found.difference == 0


def test_f93_a_known_magnifier_is_no_mismatch():
    known = Instrument(con_id=6, symbol="VOD", currency="GBP", price_magnifier=100)
    assert unit_mismatch(known, D(10), D(9470), D("9.47")) is None


@pytest.mark.parametrize("broker", ["4.7", "9.5", "10.1", "94.7"])
def test_f90_f91_f92_ordinary_differences_of_cost_are_no_break(broker):
    assert unit_mismatch(PENCE, D(10), D(94), D(broker)) is None


def test_f90_the_multiplier_belongs_to_both_costs():
    gold = Instrument(con_id=7, symbol="GC", sec_type="FUT", currency="USD", multiplier=D(100))
    assert unit_mismatch(gold, D(1), D("147730.0"), D("147732.37")) is None


def test_an_option_known_only_to_the_books_is_compared():
    assert differences(net(CALL=-1), answer(row(MSFT, 0))) == {(DU, CALL.con_id): 1}
