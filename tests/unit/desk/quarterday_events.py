"""Forty events around a quarter's expiry, each with its true cause, written from what IB is known to do.

They are the third set, and like the second were written without sight of the explaining code or of the sets before, and
put down before they were first played. A story says what really happened and what of it reached us; which breaks must
come of it, and what is the cause of each. Where one event moves two instruments or two accounts, both breaks belong to it.

A reverse split that comes under a new ``con_id`` counts as told when it is called either split or merger: the requirement
names them in one breath. A cash-settled option may be called an expiry, or an exercise or assignment by its side.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import msgspec
from desk_parts import D
from weekend_market import MONDAY, SATURDAY

from engine.core.instrument import Instrument
from engine.core.statement import CorporateAction, OptionEvent, Transfer

EXPIRY = "20260320"
LATER = "20260619"
DAWN, MORNING = SATURDAY[0], MONDAY[0]
CLOSED = 40_000.0  # Friday night: nothing is asked, nothing trades
SUNDAY = 200_000.0


class Event(NamedTuple):
    """What was planted: its true breaks, each with the kinds that are right, and when all of it could be known."""

    name: str
    told: float
    truth: dict[str, frozenset[str]]


QUARTERDAY = []


def planted(function):
    """Collects an event; what the function returns is when it could be known, and the truth per (account, instrument)."""

    def plant(market):
        told, truth = function(market)
        named = {f"{account}:{i.con_id}": frozenset(kinds.split()) for (account, i), kinds in truth.items()}
        return Event(function.__name__, told, named)

    plant.__name__ = function.__name__
    QUARTERDAY.append(plant)
    return plant


def overnight(market, account, instrument, quantity, avg_cost=None, *, at=CLOSED):
    market.at(at, market.becomes, account, instrument, quantity, avg_cost)


def moves(market, account, instrument, by, price=None, *, at=CLOSED):
    """The position changes by so much; what is taken in costs ``price`` a unit, what goes leaves the average as it is."""

    def go():
        held = market.positions.get((account, instrument.con_id), D(0))
        cost = market.costs.get((account, instrument.con_id), D(0))
        after = held + D(by)
        grows = held * D(by) >= 0
        if price is None:
            average = None
        elif grows:
            average = (cost + D(by) * D(price) * instrument.multiplier) / after
        else:
            average = None if after * held > 0 or not after else D(price)
        market.becomes(account, instrument, after, average)

    market.at(at, go)


# --- executions that did not reach us


@planted
def the_middle_of_three_fills_never_arrives(market):
    pump = market.share("PUMP")
    market.bustle("DU1", pump, "31.20", [40, 70], at=100)
    market.at(700, market.place, "DU1", pump, [120, 180, 100], D("31.40"), "GAMMA", lost=(1,))
    return 710, {("DU1", pump): "missing_fill"}


@planted
def a_short_sale_lacks_its_last_part_while_another_strategy_buys(market):
    kiln = market.share("KILN")
    market.hold("DU3", kiln, {"BETA": 260, "ZETA": -90}, "88.15")
    market.at(1_700, market.place, "DU3", kiln, [-55, -45, -60], D("87.90"), "ZETA", lost=(2,))
    market.at(1_712, market.place, "DU3", kiln, [30], D("87.95"), "BETA")
    return 1_716, {("DU3", kiln): "missing_fill"}


@planted
def one_contract_is_lost_and_a_hand_sells_four(market):
    wheat = market.future("ZW", "20260513", 50)
    market.hold("DU2", wheat, {"DELTA": -6}, "571.25")
    market.at(900, market.place, "DU2", wheat, [2, 1, 3], D("570.75"), "EPSILON", total=10, lost=(1,), tif="GTC")
    market.at(912, market.outside, "DU2", wheat, -4, "570.50", client_id=0)
    return 916, {("DU2", wheat): "missing_fill external_trade"}


# --- executions that are no strategy's


@planted
def half_of_a_holding_is_sold_by_hand(market):
    loom = market.share("LOOM")
    market.hold("DU1", loom, {"ALPHA": 320, "EPSILON": 80}, "14.60")
    market.at(1_000, market.outside, "DU1", loom, -200, "14.72", client_id=0)
    return 1_001, {("DU1", loom): "external_trade"}


@planted
def a_put_that_nobody_trades_is_bought_by_hand_in_two_orders(market):
    quay = market.share("QUAY")
    put = market.option(quay, LATER, "45", "P")
    market.hold("DU2", quay, {"BETA": 700}, "47.20")
    market.at(2_000, market.outside, "DU2", put, 4, "1.85", client_id=0)
    market.at(2_004, market.outside, "DU2", put, 3, "1.90", client_id=0)
    return 2_005, {("DU2", put): "external_trade"}


@planted
def the_broker_closes_part_of_a_future_before_delivery(market):
    beef = market.future("LE", "20260430", 400)
    market.hold("DU3", beef, {"ZETA": 9, "ALPHA": -2}, "203.00")
    market.at(2_400, market.outside, "DU3", beef, -5, "201.45", client_id=0, liquidation=True)
    return 2_401, {("DU3", beef): "liquidation"}


@planted
def a_screening_programme_of_another_client_goes_short(market):
    dune = market.share("DUNE")
    market.bustle("DU2", dune, "66.00", [90, 20, 50], at=600)
    market.at(1_100, market.outside, "DU2", dune, -75, "66.30", client_id=112, order_ref="screen/7", order_id=15)
    return 1_101, {("DU2", dune): "other_client"}


@planted
def another_client_rolls_a_future_that_a_strategy_holds(market):
    near, far = market.future("MGC", "20260428", 10), market.future("MGC", "20260626", 10)
    market.hold("DU1", near, {"DELTA": 5}, "3022.10")
    market.at(2_800, market.outside, "DU1", near, -2, "3020.50", client_id=9, order_ref="roller", order_id=3)
    market.at(2_801, market.outside, "DU1", far, 2, "3044.80", client_id=9, order_ref="roller", order_id=4)
    return 2_802, {("DU1", near): "other_client", ("DU1", far): "other_client"}


# --- executions that were something else


def revised(market, first, quantity, revision="02"):
    """A correction: all of the execution again, the part after the final period raised (F15)."""
    fill = msgspec.structs.replace(
        first.fill, exec_id=first.fill.exec_id.rpartition(".")[0] + "." + revision, quantity=D(quantity)
    )
    market.heard.add(fill.exec_id)
    market.tell(fill)


@planted
def a_sale_is_corrected_downwards_and_the_position_is_not_restated(market):
    fern = market.share("FERN")
    market.hold("DU1", fern, {"BETA": 900}, "9.40")

    def sale():
        first = market.execute("DU1", fern, D(-480), price=D("9.61"), strategy="BETA", shown_after=1, heard_after=1)
        market.at(market.now + 400, revised, market, first, -430)

    market.at(1_800, sale)
    return 2_200, {("DU1", fern): "correction"}


@planted
def a_fat_finger_is_corrected_to_a_tenth_of_it(market):
    opal = market.share("OPAL")
    market.hold("DU2", opal, {"ALPHA": 40, "GAMMA": -25}, "131.00")

    def purchase():
        first = market.execute("DU2", opal, D(350), price=D("131.20"), strategy="GAMMA", shown_after=1, heard_after=1)
        market.at(market.now + 300, revised, market, first, 35)

    market.at(2_450, purchase)
    return 2_750, {("DU2", opal): "correction"}


@planted
def one_of_many_buys_is_busted_without_a_word(market):
    myrr = market.share("MYRR")
    for number, size in enumerate((110, 65, 145, 20)):
        market.at(600 + 15 * number, market._one, "DU1", myrr, D(size), D("52.10") + D("0.01") * number, "DELTA")
    moves(market, "DU1", myrr, -65, at=1_250)
    return 1_250, {("DU1", myrr): "bust"}


@planted
def a_short_sale_of_a_future_is_busted(market):
    gas = market.future("NG", "20260528", 10_000)
    market.hold("DU3", gas, {"EPSILON": 4}, "3.912")
    market.at(1_900, market._one, "DU3", gas, D(-7), D("3.455"), "ALPHA")
    market.at(1_925, market._one, "DU3", gas, D(-2), D("3.905"), "BETA")
    moves(market, "DU3", gas, 7, at=2_500)
    return 2_500, {("DU3", gas): "bust"}


# --- options


@planted
def long_calls_far_out_of_the_money_expire(market):
    vale = market.share("VALX")
    calls = market.option(vale, EXPIRY, "30", "C")
    market.hold("DU1", calls, {"ALPHA": 12, "BETA": 8}, "0.07")
    market.hold("DU1", vale, {"GAMMA": 300}, "22.40")
    overnight(market, "DU1", calls, 0)
    return DAWN, {("DU1", calls): "option_expiry"}


@planted
def an_iron_condor_of_one_strategy_expires_whole(market):
    ridg = market.share("RIDG")
    legs = {
        market.option(ridg, EXPIRY, "90", "P"): (6, "0.12"),
        market.option(ridg, EXPIRY, "95", "P"): (-6, "0.41"),
        market.option(ridg, EXPIRY, "110", "C"): (-6, "0.38"),
        market.option(ridg, EXPIRY, "115", "C"): (6, "0.10"),
    }
    market.hold("DU2", ridg, {"DELTA": 35}, "102.30")
    for leg, (quantity, price) in legs.items():
        market.hold("DU2", leg, {"EPSILON": quantity}, price)
        overnight(market, "DU2", leg, 0)
    return DAWN, {("DU2", leg): "option_expiry" for leg in legs}


@planted
def a_custodian_takes_its_fee_in_shares(market):
    fund = market.share("FUND")
    market.hold("DU1", fund, {"GAMMA": "812.5", "DELTA": "40"}, "118.20")
    market.at(2_600, market.shows.__setitem__, ("DU1", fund.con_id), lambda held: held - D("0.0142"))
    return 2_600, {("DU1", fund): "drift"}


@planted
def calls_in_the_money_are_exercised_onto_a_holding(market):
    mast = market.share("MAST")
    calls = market.option(mast, EXPIRY, "50", "C")
    market.hold("DU1", calls, {"BETA": 3}, "7.90")
    market.hold("DU1", mast, {"ALPHA": 200}, "57.70")
    overnight(market, "DU1", calls, 0)
    moves(market, "DU1", mast, 300, "50")
    return DAWN, {("DU1", calls): "option_exercise", ("DU1", mast): "option_exercise"}


@planted
def puts_of_two_strategies_are_exercised_into_a_short(market):
    tarn = market.share("TARN")
    puts = market.option(tarn, EXPIRY, "80", "P")
    market.hold("DU3", puts, {"ZETA": 4, "DELTA": 1}, "11.20")
    overnight(market, "DU3", puts, 0)
    moves(market, "DU3", tarn, -500, "80")
    return DAWN, {("DU3", puts): "option_exercise", ("DU3", tarn): "option_exercise"}


@planted
def calls_are_exercised_early_for_a_dividend(market):
    coal = market.share("COAL")
    calls = market.option(coal, LATER, "20", "C")
    market.hold("DU2", calls, {"ALPHA": 10}, "9.05")
    market.hold("DU2", coal, {"GAMMA": -250}, "29.00")
    market.at(CLOSED, market.changes, "DU2", calls, -6)
    moves(market, "DU2", coal, 600, "20")
    return DAWN, {("DU2", calls): "option_exercise", ("DU2", coal): "option_exercise"}


@planted
def covered_calls_are_called_away(market):
    spar = market.share("SPAR")
    calls = market.option(spar, EXPIRY, "40", "C")
    market.hold("DU1", spar, {"DELTA": 500}, "43.10")
    market.hold("DU1", calls, {"DELTA": -5}, "3.30")
    overnight(market, "DU1", calls, 0)
    overnight(market, "DU1", spar, 0)
    return DAWN, {("DU1", calls): "option_assignment", ("DU1", spar): "option_assignment"}


@planted
def some_short_puts_are_assigned_months_early(market):
    hull = market.share("HULL")
    puts = market.option(hull, LATER, "65", "P")
    market.hold("DU2", puts, {"BETA": -5, "EPSILON": -3}, "14.75")
    market.at(CLOSED, market.changes, "DU2", puts, 2)
    moves(market, "DU2", hull, 200, "65")
    return DAWN, {("DU2", puts): "option_assignment", ("DU2", hull): "option_assignment"}


@planted
def a_spread_is_assigned_below_and_expires_above(market):
    weir = market.share("WEIR")
    low, high = market.option(weir, EXPIRY, "100", "C"), market.option(weir, EXPIRY, "105", "C")
    market.hold("DU1", weir, {"ALPHA": 30}, "102.60")
    market.hold("DU1", low, {"ZETA": -4}, "2.70")
    market.hold("DU1", high, {"ZETA": 4}, "0.20")
    overnight(market, "DU1", low, 0)
    overnight(market, "DU1", high, 0)
    moves(market, "DU1", weir, -400, "100")
    truth = {("DU1", low): "option_assignment", ("DU1", weir): "option_assignment"}
    return DAWN, truth | {("DU1", high): "option_expiry"}


@planted
def short_options_on_a_future_are_assigned_and_deliver_futures(market):
    euro = market.future("6E", "20260615", 125_000)
    put = Instrument(
        con_id=next(market.con_ids),
        symbol="EUR",
        sec_type="FOP",
        currency="USD",
        local_symbol="EUUH6 P1100",
        multiplier=D(125_000),
        expiry=EXPIRY,
        strike=D("1.10"),
        right="P",
        trading_class="EUU",
    )
    euro = msgspec.structs.replace(euro, symbol="EUR", local_symbol="6EM6")
    market.unders[put.con_id] = euro.con_id
    market.hold("DU2", put, {"DELTA": -3}, "0.0142")
    overnight(market, "DU2", put, 0)
    moves(market, "DU2", euro, 3, "1.10")
    return DAWN, {("DU2", put): "option_assignment", ("DU2", euro): "option_assignment"}


def index_option(market, strike, right):
    made = Instrument(
        con_id=next(market.con_ids),
        symbol="SPX",
        sec_type="OPT",
        currency="USD",
        local_symbol=f"SPXW  260320{right}{int(strike) * 1000:08d}",
        multiplier=D(100),
        expiry=EXPIRY,
        strike=D(strike),
        right=right,
        trading_class="SPXW",
    )
    market.unders[made.con_id] = 416_904
    return made


@planted
def index_calls_in_the_money_are_settled_in_cash(market):
    calls = index_option(market, "5600", "C")
    market.hold("DU1", calls, {"GAMMA": 2}, "61.40")
    overnight(market, "DU1", calls, 0)
    return DAWN, {("DU1", calls): "option_expiry option_exercise"}


@planted
def short_index_puts_are_settled_in_cash_and_the_statement_says_so(market):
    puts = index_option(market, "5750", "P")
    market.hold("DU3", puts, {"ALPHA": -3, "BETA": 1}, "92.00")
    overnight(market, "DU3", puts, 0)
    row = OptionEvent(
        account="DU3",
        kind="cash_settlement",
        instrument=puts,
        quantity=D(2),
        price=D(0),
        cash_pending=True,
        day=date(2026, 3, 20),
        trade_ids=("90211",),
        sections=("Trades", "OptionEAE"),
    )
    market.at(SUNDAY, market.house.statement.append, row)
    return DAWN, {("DU3", puts): "option_expiry option_assignment"}


# --- futures


@planted
def long_index_futures_expire(market):
    index = market.future("MNQ", EXPIRY, 2)
    market.hold("DU2", index, {"ALPHA": 5, "ZETA": -2}, "19810.25")
    overnight(market, "DU2", index, 0)
    return DAWN, {("DU2", index): "futures_expiry"}


@planted
def a_short_future_expires_in_two_accounts(market):
    dow = market.future("MYM", EXPIRY, "0.5")
    market.hold("DU1", dow, {"BETA": -4}, "41880")
    market.hold("DU3", dow, {"DELTA": -1}, "41885")
    overnight(market, "DU1", dow, 0)
    overnight(market, "DU3", dow, 0)
    return DAWN, {("DU1", dow): "futures_expiry", ("DU3", dow): "futures_expiry"}


# --- corporate actions


def split(market, account, instrument, quantity, ratio):
    """A split under the same ``con_id``: quantity times ratio, average cost and price divided by it."""

    def go():
        key = (account, instrument.con_id)
        market.becomes(account, instrument, quantity, market.costs[key] / market.positions[key] / D(ratio))

    market.at(SUNDAY, go)


@planted
def three_for_one_over_a_long_and_a_short_book(market):
    glen = market.share("GLEN3")
    market.hold("DU1", glen, {"ALPHA": 100, "BETA": -40}, "360.00")
    split(market, "DU1", glen, 180, 3)
    market.at(SUNDAY + 1, market.quote, glen, D("120.40"))
    market.at(MORNING + 700, market._one, "DU1", glen, D(10), D("120.35"), "GAMMA")
    return MORNING, {("DU1", glen): "split"}


@planted
def three_for_two_of_an_odd_number_in_the_account_without_marks(market):
    brae = market.share("BRAE")
    market.hold("DU3", brae, {"GAMMA": 55}, "75.30")
    split(market, "DU3", brae, 82, "1.5")
    return MORNING, {("DU3", brae): "split"}


@planted
def one_for_ten_under_a_new_contract(market):
    old, new = market.share("FADE"), market.share("FADE")
    market.hold("DU2", old, {"DELTA": 1_234, "EPSILON": 600}, "0.62")
    overnight(market, "DU2", old, 0, at=SUNDAY)
    overnight(market, "DU2", new, 183, "6.21", at=SUNDAY)
    market.at(SUNDAY + 1, market.quote, new, D("6.05"))
    return MORNING, {("DU2", old): "split merger", ("DU2", new): "split merger"}


@planted
def one_for_twenty_of_a_short(market):
    old, new = market.share("WILT"), market.share("WILT")
    market.hold("DU3", old, {"ZETA": -800}, "0.34")
    overnight(market, "DU3", old, 0, at=SUNDAY)
    overnight(market, "DU3", new, -40, "6.80", at=SUNDAY)
    return MORNING, {("DU3", old): "split merger", ("DU3", new): "split merger"}


@planted
def a_merger_into_a_share_that_another_strategy_holds(market):
    target, buyer = market.share("TRGT"), market.share("BUYR")
    market.hold("DU1", target, {"ALPHA": 400}, "60.40")
    market.hold("DU1", buyer, {"BETA": 50}, "90.10")
    overnight(market, "DU1", target, 0, at=SUNDAY)
    moves(market, "DU1", buyer, 269, "89.81", at=SUNDAY)  # 0.6725 for one
    market.at(SUNDAY + 1, market.quote, buyer, D("90.60"))
    return MORNING, {("DU1", target): "merger", ("DU1", buyer): "merger"}


@planted
def a_merger_of_a_short_with_the_statement_on_monday(market):
    target, buyer = market.share("PREY"), market.share("BOAR")
    market.hold("DU2", target, {"EPSILON": -1_000}, "18.20")
    overnight(market, "DU2", target, 0, at=SUNDAY)
    overnight(market, "DU2", buyer, -450, "40.44", at=SUNDAY)
    for leg, quantity in ((target, 1_000), (buyer, -450)):
        row = CorporateAction(
            account="DU2",
            kind="TC",
            instrument=leg,
            quantity=D(quantity),
            description="PREY MERGED INTO BOAR 0.45 FOR 1",
            action_id="77120",
            transaction_id=f"77120{leg.con_id}",
            report_date=date(2026, 3, 23),
        )
        market.at(MORNING + 600, market.house.statement.append, row)
    return MORNING, {("DU2", target): "merger", ("DU2", buyer): "merger"}


# --- transfers


@planted
def a_part_goes_to_another_account_of_ours(market):
    move = market.share("MOVE")
    market.hold("DU1", move, {"ALPHA": 400}, "27.00")
    market.bustle("DU2", move, "27.10", [30], at=500)
    moves(market, "DU1", move, -300, at=SUNDAY)
    moves(market, "DU2", move, 300, "27.01", at=SUNDAY)
    return MORNING, {("DU1", move): "transfer", ("DU2", move): "transfer"}


@planted
def a_short_leaves_for_another_broker_and_the_statement_says_so(market):
    exit_ = market.share("EXIT")
    market.hold("DU3", exit_, {"BETA": -220, "GAMMA": 40}, "48.00")
    moves(market, "DU3", exit_, 220, at=CLOSED)
    row = Transfer(
        account="DU3",
        kind="ACATS",
        instrument=exit_,
        quantity=D(220),
        direction="OUT",
        counterparty="0443",
        day=date(2026, 3, 20),
        transaction_id="551002",
    )
    market.at(SUNDAY, market.house.statement.append, row)
    return DAWN, {("DU3", exit_): "transfer"}


# --- figures


@planted
def a_fractional_holding_is_shown_without_its_fraction(market):
    frac = market.share("FRAC")
    market.shows["DU1", frac.con_id] = lambda held: D(int(held))
    market.hold("DU1", frac, {"DELTA": "31.4", "ALPHA": "0.35"}, "212.00", at=100)
    return 160, {("DU1", frac): "fractional_truncation"}


@planted
def a_fraction_is_cut_off_after_a_sale_in_two_accounts(market):
    part = market.share("PART")
    for account, held in (("DU2", "18.75"), ("DU3", "-4.2")):
        market.shows[account, part.con_id] = lambda quantity: D(int(quantity))
        market.hold(account, part, {"ZETA": held}, "77.00", at=200)
    return 250, {("DU2", part): "fractional_truncation", ("DU3", part): "fractional_truncation"}


@planted
def pence_are_taken_for_pounds(market):
    tate = market.share("TATX", "GBP")
    market.untold.add(tate.con_id)
    market.hundredths.add(tate.con_id)
    market.hold("DU1", tate, {"BETA": 2_000, "GAMMA": 500}, "642.5", at=300)
    return 360, {("DU1", tate): "price_unit"}


@planted
def cents_of_johannesburg_are_taken_for_rand_on_a_short(market):
    sasl = market.share("SASX", "ZAR")
    market.untold.add(sasl.con_id)
    market.hundredths.add(sasl.con_id)
    market.hold("DU2", sasl, {"EPSILON": -340}, "15120", at=400)
    return 440, {("DU2", sasl): "price_unit"}


@planted
def fees_taken_in_the_coin_wear_a_holding_away(market):
    coin = Instrument(
        con_id=next(market.con_ids), symbol="LTC", sec_type="CRYPTO", currency="USD", local_symbol="LTC.USD"
    )
    market.hold("DU3", coin, {"ALPHA": "14.80000000", "ZETA": "6.25000000"}, "91.30", at=450)
    market.at(800, market.shows.__setitem__, ("DU3", coin.con_id), lambda held: held - D("0.03789"))
    return 800, {("DU3", coin): "drift"}


# --- the broker's own trades, and several things at once


@planted
def the_broker_liquidates_a_short_while_a_hand_sells_beside(market):
    sink, calm = market.share("SINK"), market.share("CALM")
    market.hold("DU2", sink, {"ALPHA": -180, "BETA": 30}, "77.50")
    market.hold("DU2", calm, {"ALPHA": 60}, "12.00")
    market.at(3_000, market.outside, "DU2", sink, 150, "81.25", client_id=0, liquidation=True)
    market.at(3_001, market.outside, "DU2", calm, -60, "12.05", client_id=0)
    return 3_002, {("DU2", sink): "liquidation", ("DU2", calm): "external_trade"}
