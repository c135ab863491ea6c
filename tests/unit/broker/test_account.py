"""What IB reports about accounts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from engine.broker.account import AccountBook, is_aggregate, is_master
from engine.errors import Unreadable

NOW = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)


def book(**rates):
    accounts = AccountBook()
    for currency, rate in rates.items():
        accounts.value("DU1", "ExchangeRate", rate, currency, NOW)
    return accounts


def test_the_base_currency_is_the_one_whose_rate_is_one_f136():
    assert book(BASE="1.00", EUR="1.0850", USD="1.00", CHF="1.13").base("DU1") == "USD"


def test_two_currencies_at_one_are_ambiguous_until_one_is_configured_f136():
    assert book(USD="1.00", USDC="1.00").base("DU1") is None
    configured = AccountBook(configured_base="USD")
    for currency in ("USD", "USDC"):
        configured.value("DU1", "ExchangeRate", "1.00", currency, NOW)
    assert configured.base("DU1") == "USD"
    foreign = AccountBook(configured_base="EUR")
    for currency in ("USD", "USDC"):
        foreign.value("DU1", "ExchangeRate", "1.00", currency, NOW)
    assert foreign.base("DU1") is None


def test_an_account_without_rates_has_no_base_and_no_rate_of_one():
    assert book().base("DU1") is None
    assert book().rate("DU1", "EUR") is None
    assert book(USD="1.00").base("DU2") is None


def test_a_rate_comes_with_its_time_f137():
    assert book(EUR="1.0850").rate("DU1", "EUR") == (Decimal("1.0850"), NOW)


def test_rows_of_a_model_and_the_pseudo_currency_are_left_out_f138_f139():
    accounts = book(USD="1.00", BASE="1.00")
    accounts.value("DU1", "ExchangeRate", "9.99", "EUR", NOW, model="growth")
    accounts.value("DU1", "NetLiquidation", "5", "USD", NOW, model="growth")
    assert accounts.rate("DU1", "EUR") is None
    assert accounts.rate("DU1", "BASE") is None
    assert [value.key for value in accounts.values("DU1")] == ["ExchangeRate", "ExchangeRate"]


def test_an_unreadable_rate_is_said_and_a_nonsensical_one_is_not_taken():
    with pytest.raises(Unreadable, match="EUR"):
        book(EUR="much")
    assert book(EUR="0").rate("DU1", "EUR") is None
    assert book(EUR="-1").rate("DU1", "EUR") is None


def test_a_rate_is_told_on_change_only_and_not_too_often():
    accounts = book(USD="1.00", EUR="1.08")
    assert {fact.currency for fact in accounts.rates_due(NOW)} == {"USD", "EUR"}
    assert accounts.rates_due(NOW + timedelta(minutes=5)) == []
    later = NOW + timedelta(minutes=6)
    accounts.value("DU1", "ExchangeRate", "1.09", "EUR", later)
    (fact,) = accounts.rates_due(later)
    assert (fact.base, fact.currency, fact.rate, fact.at) == ("USD", "EUR", Decimal("1.09"), later)
    accounts.value("DU1", "ExchangeRate", "1.10", "EUR", later)
    assert accounts.rates_due(later + timedelta(seconds=30)) == []
    assert len(accounts.rates_due(later + timedelta(seconds=61))) == 1


def test_an_unchanged_rate_that_ib_repeats_is_told_hourly_so_that_its_age_stays_true():
    accounts = book(USD="1.00")
    accounts.rates_due(NOW)
    assert accounts.rates_due(NOW + timedelta(hours=2)) == []
    accounts.value("DU1", "ExchangeRate", "1.00", "USD", NOW + timedelta(hours=2))
    assert len(accounts.rates_due(NOW + timedelta(hours=2))) == 1


def test_a_rate_whose_base_is_unknown_is_not_told():
    assert book(EUR="1.08").rates_due(NOW) == []


def test_account_ready_false_is_known_until_it_is_true_again_f128():
    accounts = book()
    assert accounts.ready("DU1") is True
    accounts.value("DU1", "AccountReady", "false", "", NOW)
    assert accounts.ready("DU1") is False
    assert accounts.ready("DU2") is True
    accounts.value("DU1", "AccountReady", "true", "", NOW)
    assert accounts.ready("DU1") is True


def test_a_london_mark_is_in_pounds_and_unknown_before_the_magnifier_is_f93():
    accounts = book()
    accounts.portfolio("DU1", 77, Decimal(10), Decimal(947), NOW)
    assert accounts.marks() == {}
    accounts.described(77, 100)
    mark = accounts.marks()["DU1", 77]
    assert (mark.price, mark.at) == (Decimal("9.47"), NOW)


def test_what_a_whole_portfolio_leaves_out_is_not_held_any_more_f120():
    """It was closed while another account was listened to (F116): no row of zero will ever tell."""
    accounts = book()
    for con_id in (77, 78):
        accounts.portfolio("DU1", con_id, Decimal(5), None, NOW)
    accounts.portfolio("DU2", 77, Decimal(5), None, NOW)
    accounts.portfolio_begins("DU1")
    assert accounts.shown("DU1") == {77, 78}  # nothing is forgotten before the end
    accounts.portfolio("DU1", 78, Decimal(4), None, NOW)
    accounts.portfolio_ends("DU1")
    assert (accounts.shown("DU1"), accounts.shown("DU2")) == ({78}, {77})


def test_a_portfolio_row_of_zero_creates_no_mark_f122():
    accounts = book()
    accounts.described(77, 1)
    accounts.portfolio("DU1", 77, Decimal(0), Decimal(947), NOW)
    accounts.portfolio("DU1", 78, Decimal(5), None, NOW)
    assert accounts.marks() == {}
    assert accounts.holds("DU1") is True
    accounts.portfolio("DU1", 78, Decimal(0), None, NOW)
    assert accounts.holds("DU1") is False


@pytest.mark.parametrize(
    ("account", "master", "aggregate"),
    [
        ("F123456", True, False),
        ("DF123456", True, False),
        ("F123456A", False, True),
        ("DF123456A", False, True),
        ("All", False, True),
        ("U123456", False, False),
        ("DU1234567", False, False),
        ("FOO", False, False),
        ("UA", False, False),
        ("", False, False),
    ],
)
def test_masters_and_aggregates_are_recognised_by_their_names_f79a_f79c(account, master, aggregate):
    assert (is_master(account), is_aggregate(account)) == (master, aggregate)
