"""Accounts, fees, contracts, prices and identities of the simulated gateway."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.simulator.config import GatewayConfig
from engine.simulator.contracts import Catalogue, Wanted, coming_expiries, standard, third_friday
from engine.simulator.fees import order_commission
from engine.simulator.market import Market
from engine.simulator.model import Execution, Instrument, Order, dump, load
from engine.simulator.world import World


class Clock:
    def __init__(self):
        self.moment = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)

    def now(self):
        return self.moment


@pytest.fixture
def world():
    return World(GatewayConfig(accounts=("DU1", "DU2")), Clock())


def trade(world, name, quantity, price, fee="0", account="DU1"):
    known = world.catalogue.named(name)
    return world.book(
        account=account, instrument=known, quantity=Decimal(quantity), price=Decimal(price), fee=Decimal(fee)
    )


def test_average_cost_has_multiplier_and_commission_in_it_F90(world):
    gold = next(known for known in world.catalogue.all() if known.symbol == "GC")
    trade(world, gold.local_symbol, 1, "1477.3", "2.37")
    assert world.accounts["DU1"].holding(gold.con_id).average_cost == Decimal("147732.37")


def test_a_sale_through_zero_closes_and_opens_at_the_new_price(world):
    trade(world, "AAPL", 10, 100)
    done = trade(world, "AAPL", -15, 110, "1.5")
    held = world.accounts["DU1"].holding(265598)
    assert held.quantity == -5
    assert held.average_cost == Decimal("109.9")
    assert done.realized == Decimal("99.0")


def test_pence_are_booked_in_pounds_F93(world):
    known = next(k for k in world.catalogue.all() if k.symbol == "VOD" and k.currency == "GBP")
    trade(world, str(known.con_id), 1000, "94.3")
    assert world.accounts["DU1"].cash["GBP"] == Decimal(-943)
    assert world.accounts["DU1"].holding(known.con_id).average_cost == Decimal("0.943")


def test_a_currency_trade_moves_two_balances_and_the_fee_is_in_base_currency_F80(world):
    done = world.book(
        account="DU1", instrument=world.catalogue.get(12087792), quantity=Decimal(-10000), price=Decimal("1.16")
    )
    assert done.commission_currency == "USD"
    assert world.accounts["DU1"].cash["EUR"] == -10000
    assert world.accounts["DU1"].cash["USD"] == 1_000_000 + 11600 - done.commission


trades = st.lists(
    st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 400), st.integers(0, 300)), min_size=1, max_size=30
)


@given(trades)
def test_cash_and_holdings_always_add_up_to_what_was_paid(steps):
    world = World(GatewayConfig(accounts=("DU1",)), Clock())
    paid = Decimal(0)
    for quantity, price, cents in steps:
        trade(world, "AAPL", quantity, price, Decimal(cents) / 100)
        paid += quantity * price + Decimal(cents) / 100
    held = world.accounts["DU1"].holding(265598)
    assert held.quantity == sum(quantity for quantity, _, _ in steps)
    assert world.accounts["DU1"].cash["USD"] == 1_000_000 - paid
    assert abs(held.cost - held.realized - paid) < Decimal("1e-15")


def test_the_minimum_fee_is_carried_by_the_first_part_of_an_order_F41(world):
    apple = world.catalogue.get(265598)
    assert [order_commission(apple, Decimal(q), Decimal(0)) for q in (1, 200, 400)] == [1, 1, 2]


def test_rates_come_from_the_pairs_in_either_direction(world):
    assert world.accounts.rate("USD") == 1
    assert world.accounts.rate("EUR") == Decimal("1.159")
    assert world.accounts.rate("JPY") == Decimal("0.0064020")


def test_account_values_hold_a_row_per_currency_and_a_sum_in_base(world):
    trade(world, "SAP", 10, 200)
    rows = {(key, currency): value for key, value, currency in world.accounts.values("DU1")}
    assert rows["CashBalance", "EUR"] == "-2000.00"
    assert rows["ExchangeRate", "EUR"] == "1.159"
    assert rows["CashBalance", "BASE"] == "997682.00"
    assert rows["StockMarketValue", "EUR"] == "2085.00"
    assert rows["NetLiquidation", "USD"] == "1000098.52"


def test_third_fridays_and_coming_expiries():
    assert third_friday(2026, 12) == date(2026, 12, 18)
    assert coming_expiries(date(2026, 12, 14), 2, (3, 6, 9, 12)) == [date(2027, 3, 19), date(2027, 6, 18)]


@given(st.dates(date(2024, 1, 1), date(2040, 1, 1)))
def test_every_day_has_every_kind_of_contract_with_ids_of_its_own(today):
    known = standard(today)
    assert len({one.con_id for one in known}) == len(known)
    assert {one.sec_type for one in known} == {"STK", "FUT", "OPT", "FOP", "CASH", "CRYPTO", "BAG"}
    assert all(one.expiry > f"{today:%Y%m%d}" for one in known if one.expiry)


def test_descriptions_find_contracts_as_far_as_they_go():
    catalogue = Catalogue(standard(date(2026, 11, 27)))

    def find(**said):
        return [known.con_id for known in catalogue.find(Wanted(**said))]

    assert find(con_id=265598) == find(symbol="AAPL", sec_type="STK") == [265598]
    assert find(symbol="VOD", sec_type="STK", currency="GBP") == find(symbol="VOD", exchange="LSE") == [152791428]
    assert len(find(symbol="VOD", sec_type="STK")) == 2
    assert find(symbol="EUR", sec_type="CASH", currency="USD", exchange="IDEALPRO") == [12087792]
    assert find(sec_id_type="ISIN", sec_id="US0378331005") == [265598]
    assert find() == find(symbol="NOSUCH") == find(symbol="AAPL", currency="EUR") == []
    assert len(find(symbol="ES", sec_type="FUT", expiry="202612")) == 1
    assert find(symbol="ES", sec_type="CONTFUT") == find(symbol="ES", sec_type="FUT", expiry="20261218")
    assert len(find(symbol="AAPL", sec_type="OPT", strike=Decimal(270), right="C")) == 2


def test_one_seed_gives_one_path_and_another_seed_another():
    apple = Catalogue(standard(date(2026, 11, 27))).get(265598)

    def path(seed):
        market = Market(seed)
        for _ in range(50):
            market.step(apple)
        return market.quote(apple).last

    assert path(7) == path(7)
    assert path(7) != path(8)
    assert path(7) % apple.min_tick == 0


def test_identities_rise_and_start_from_the_clock(world):
    first = [world.ids.exec_root() for _ in range(1000)]
    assert first == sorted(set(first))
    assert 0 < world.ids.perm_id() < 2**31
    later = Clock()
    later.moment += timedelta(milliseconds=1)
    assert World(GatewayConfig(), later).ids.exec_root() > first[-1]


def test_records_survive_their_text_form(world):
    done = trade(world, "AAPL", 10, "100.10", "0.35")
    assert load(Execution, dump(done)) == done
    order = Order(
        perm_id=1,
        client_id=2,
        order_id=3,
        con_id=4,
        account="DU1",
        action="BUY",
        quantity=Decimal("0.1"),
        order_type="LMT",
        limit=Decimal("1.10"),
        placed_at=world.clock.now(),
        raw={"a": "b"},
    )
    assert load(Order, dump(order)) == order
    known = world.catalogue.get(265598)
    assert load(Instrument, dump(known)) == known


@pytest.mark.parametrize(
    "wrong",
    [
        {"accounts": ()},
        {"accounts": ("A", "A")},
        {"accounts": ("A,B",)},
        {"port": -1},
        {"max_clients": 33},
        {"tick_s": -1},
        {"stream_s": 0},
        {"replay_commissions": "some"},
        {"day_zone": "Mars/Olympus"},
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GatewayConfig(**wrong)
