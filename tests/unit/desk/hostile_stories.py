"""Fifteen hostile stories, each with its true cause, written from what IB is known to do and from what broke elsewhere.

They were put down before they were first played and without sight of the explaining code. Two things at once, evidence
that comes days later, the same quantity in two accounts, a statement's row instead of an execution, and one story in
which nothing at all happened to a position although the broker's rows look new.
"""

from __future__ import annotations

from datetime import date

import msgspec
from desk_parts import D
from quarterday_events import DAWN, EXPIRY, LATER, MORNING, SUNDAY, Event, moves, overnight, revised

from engine.core.instrument import BAG_CON_ID, Instrument
from engine.core.statement import CorporateAction, StatementTrade

LOST = {"heard_after": "never", "known_to_replay": False}
MONDAY_DAY = date(2026, 3, 23)
HOSTILE = []


def planted(function):
    """Collects a story; the function returns when it could be known, and the truth per (account, instrument)."""

    def plant(market):
        told, truth = function(market)
        named = {f"{account}:{i.con_id}": frozenset(kinds.split()) for (account, i), kinds in truth.items()}
        return Event(function.__name__, told, named)

    plant.__name__ = function.__name__
    HOSTILE.append(plant)
    return plant


@planted
def one_leg_of_a_vertical_spread_is_never_heard(market):
    """F74, F76, R30: the combination's row and its first leg arrive, the second leg does not."""
    under = market.share("VERT")
    near, far = market.option(under, LATER, "100", "C"), market.option(under, LATER, "110", "C")
    bag = Instrument(con_id=BAG_CON_ID, symbol="VERT", sec_type="BAG", currency="USD")

    def trade():
        own = {"perm_id": next(market.perm), "order_id": next(market.order_ids), "client_id": 40}
        own |= {"order_ref": f"DELTA-{own['order_id']}", "strategy": "DELTA"}
        stem = "0001f4e8.69c1aa07"
        legs = [(near, D(10), D("4.80"), "02"), (far, D(-10), D("6.05"), "03")]
        made = {}
        for leg, quantity, price, segment in legs:
            execution = market.execute("DU1", leg, quantity, price=price, shown_after=1, **LOST, **own)
            made[segment] = msgspec.structs.replace(execution.fill, exec_id=f"{stem}.{segment}.01")
        parent = msgspec.structs.replace(
            made["02"], exec_id=f"{stem}.01.01", instrument=bag, quantity=D(10), price=D("-1.25"), cum_quantity=D(10)
        )
        market.at(market.now + 0.4, market.tell, parent)
        market.at(market.now + 0.5, market.tell, made["02"])

    market.at(800, trade)
    return 801, {("DU1", far): "combo_incomplete missing_fill"}


@planted
def a_split_over_the_weekend_and_a_lost_buy_on_monday(market):
    """R44, R23: three for one, then a strategy buys and its execution is lost with only its status heard."""
    share = market.share("SPLT")
    market.hold("DU1", share, {"ALPHA": 90, "BETA": 30}, "120.00")
    market.at(SUNDAY, market.becomes, "DU1", share, 360, "40.00")
    market.at(MORNING + 2, market.place, "DU1", share, [25], "40.20", "GAMMA", lost=(0,))
    return MORNING + 5, {("DU1", share): "split"}


@planted
def a_merger_turns_a_short_of_the_buyer_into_a_long(market):
    """F105: 300 of the target become 150 of the buyer, of which another strategy was short 100."""
    target, buyer = market.share("MTGT"), market.share("MBUY")
    market.hold("DU2", target, {"ALPHA": 300}, "22.00")
    market.hold("DU2", buyer, {"BETA": -100}, "44.60")
    overnight(market, "DU2", target, 0)
    moves(market, "DU2", buyer, 150, "44.10")
    return DAWN, {("DU2", target): "merger", ("DU2", buyer): "merger"}


@planted
def a_hand_buys_in_one_account_what_is_lost_in_another(market):
    """R17, R42: +50 by hand in DU1, and in the same minute a strategy's -50 in DU2 that is never heard. No transfer."""
    twin = market.share("TWIN")
    market.hold("DU1", twin, {"ALPHA": 100}, "63.00")
    market.hold("DU2", twin, {"BETA": 200}, "63.00")
    market.at(1_500, market.outside, "DU1", twin, 50, "63.40", client_id=0)
    market.at(1_501, market.place, "DU2", twin, [-50], "63.40", "BETA", lost=(0,))
    return 1_506, {("DU1", twin): "external_trade", ("DU2", twin): "missing_fill"}


@planted
def a_spin_off_reaches_two_accounts_and_the_statement_follows(market):
    """F106, F109: one for four of the parent, out of nothing; IB's rows come on Monday morning."""
    parent, child = market.share("PARE"), market.share("CHLD")
    market.hold("DU1", parent, {"ALPHA": 400, "GAMMA": 80}, "51.00")
    market.hold("DU3", parent, {"ZETA": 200}, "51.00")
    for account, quantity in (("DU1", 120), ("DU3", 50)):
        moves(market, account, child, quantity, "6.10", at=SUNDAY)
        row = CorporateAction(
            account=account,
            kind="SO",
            instrument=child,
            quantity=D(quantity),
            description="PARE(US7010001011) SPINOFF  1 FOR 4 (CHLD, CHILD CORP, US1600001011)",
            report_date=MONDAY_DAY,
            action_id="88120",
            transaction_id=f"8812{quantity}",
        )
        market.at(MORNING + 400, market.house.statement.append, row)
    return MORNING, {("DU1", child): "spin_off", ("DU3", child): "spin_off"}


@planted
def a_dividend_is_reinvested_and_only_the_statement_tells(market):
    """F57, F86, F111: a fraction more in the morning, no execution; the statement's trade has the note R."""
    divi = market.share("DIVI")
    market.hold("DU2", divi, {"EPSILON": 250}, "40.00")
    moves(market, "DU2", divi, "2.6042", "40.32", at=SUNDAY)
    row = StatementTrade(
        account="DU2",
        instrument=divi,
        kind="ExchTrade",
        quantity=D("2.6042"),
        price=D("40.32"),
        trade_date=date(2026, 3, 20),
        trade_id="7712201",
        transaction_id="27712201",
        notes=("R",),
    )
    market.at(MORNING + 300, market.house.statement.append, row)
    return MORNING, {("DU2", divi): "dividend_reinvestment"}


@planted
def the_broker_buys_a_short_in(market):
    """F57: a forced buy-in that no API session hears of; the statement's note is B."""
    short = market.share("SHRT")
    market.hold("DU1", short, {"GAMMA": -500}, "12.00")
    moves(market, "DU1", short, 200, at=MORNING - 60)
    row = StatementTrade(
        account="DU1",
        instrument=short,
        kind="ExchTrade",
        quantity=D(200),
        price=D("12.85"),
        trade_date=MONDAY_DAY,
        trade_id="7712202",
        transaction_id="27712202",
        notes=("B",),
    )
    market.at(MORNING + 500, market.house.statement.append, row)
    return MORNING, {("DU1", short): "statement_trade liquidation"}


@planted
def a_bill_matures(market):
    """F113, F88: 20 of a bill, in two books, are paid back on Saturday; the row comes on Monday."""
    bill = Instrument(
        con_id=next(market.con_ids), symbol="US-T", sec_type="BILL", currency="USD", local_symbol="IBCID5512"
    )
    market.hold("DU3", bill, {"DELTA": 15, "BETA": 5}, "99.72")
    overnight(market, "DU3", bill, 0)
    row = CorporateAction(
        account="DU3",
        kind="TM",
        instrument=bill,
        quantity=D(-20),
        description="(US912797AB01) TBILL MATURITY (B 0 03/20/26, US912797AB01)",
        cash=D(20_000),
        report_date=MONDAY_DAY,
        action_id="88131",
        transaction_id="881311",
    )
    market.at(MORNING + 200, market.house.statement.append, row)
    return DAWN, {("DU3", bill): "maturity"}


@planted
def the_rest_of_an_order_fills_before_we_look_on_monday(market):
    """F22, F25, R8: half on Friday; the rest at Monday's opening, of which only the order's own count is heard."""
    gtcx = market.share("GTCX")

    def rest():
        own = {key: about[key] for key in ("perm_id", "order_id", "client_id", "order_ref")}
        market.execute("DU2", gtcx, D(-130), price=D("18.22"), strategy="ALPHA", shown_after=1, **LOST, **own)
        market.at(market.now + 62, market.status, about, D(-300), "Filled", D(300), source="open")

    about = {}

    def work():
        about.update(market.place("DU2", gtcx, [-100, -70], "18.40", "ALPHA", total=-300, tif="GTC"))

    market.hold("DU2", gtcx, {"BETA": 300}, "18.00")
    market.at(1_600, work)
    market.at(MORNING - 60, rest)
    return MORNING + 3, {("DU2", gtcx): "missing_fill"}


@planted
def a_ticker_is_renamed_and_a_virtual_currency_row_appears(market):
    """F81, F95: the holding's row has another symbol since Monday and EUR.USD shows a row: nothing happened."""
    old = market.share("OLDN")
    market.hold("DU1", old, {"ALPHA": 75, "ZETA": -20}, "33.00")
    pair = Instrument(con_id=12087792, symbol="EUR", sec_type="CASH", currency="USD", local_symbol="EUR.USD")

    def rename():
        market.instruments[old.con_id] = msgspec.structs.replace(old, symbol="NEWN", local_symbol="NEWN")
        market.becomes("DU1", pair, "21612.04", "1.0822")

    market.at(SUNDAY, rename)
    return MORNING, {}


@planted
def shares_are_tendered_under_an_interim_contract(market):
    """F107: what two strategies hold becomes the same number of SYMBOL.TEN under another con_id."""
    share = market.share("UUUX")
    interim = Instrument(con_id=next(market.con_ids), symbol="UUUX.TEN", currency="USD", local_symbol="UUUX.TEN")
    market.hold("DU1", share, {"BETA": 140, "EPSILON": 60}, "9.90")
    overnight(market, "DU1", share, 0)
    moves(market, "DU1", interim, 200, "9.90")
    return DAWN, {("DU1", share): "merger", ("DU1", interim): "merger"}


@planted
def a_corrected_buy_is_busted_afterwards(market):
    """F15, F19: 140 corrected to 95, and the 95 are taken back without a word; another strategy traded beside."""
    share = market.share("TWOX")
    market.hold("DU3", share, {"GAMMA": 60}, "71.00")

    def buy():
        first = market.execute("DU3", share, D(140), price=D("71.20"), strategy="ZETA", shown_after=1, heard_after=1)
        market.at(market.now + 200, revised, market, first, 95)
        market.at(market.now + 200, market.changes, "DU3", share, -45)

    market.at(1_000, buy)
    market.at(1_500, market._one, "DU3", share, D(30), D("71.55"), "GAMMA")
    moves(market, "DU3", share, -95, at=2_100)
    return 2_100, {("DU3", share): "bust"}


@planted
def of_a_liquidation_in_two_parts_one_is_never_heard(market):
    """R20, F56: IB closes 9 of 12 short puts by two executions of one order; the second is lost."""
    under = market.share("LIQX")
    puts = market.option(under, LATER, "35", "P")
    market.hold("DU2", puts, {"BETA": -8, "ALPHA": -4}, "2.10")

    def closes():
        broker = {"client_id": 0, "order_id": -1, "perm_id": next(market.perm), "liquidation": True}
        market.outside("DU2", puts, 5, "6.40", cum_quantity=D(5), **broker)
        market.execute("DU2", puts, D(4), price=D("6.55"), shown_after=1, cum_quantity=D(9), **LOST, **broker)

    market.at(2_900, closes)
    return 2_904, {("DU2", puts): "liquidation"}


@planted
def assigned_shares_are_sold_by_hand_before_we_look(market):
    """F96, F102: three short puts are assigned at the weekend; a hand sells the 300 shares before the books look."""
    under = market.share("ASGN")
    puts = market.option(under, EXPIRY, "50", "P")
    market.hold("DU1", puts, {"EPSILON": -3}, "4.40")
    market.hold("DU1", under, {"DELTA": 40}, "45.90")
    overnight(market, "DU1", puts, 0)
    moves(market, "DU1", under, 300, "50")
    market.at(MORNING + 8, market.outside, "DU1", under, -300, "45.20", client_id=0)
    return DAWN, {("DU1", puts): "option_assignment", ("DU1", under): "option_assignment external_trade"}


@planted
def a_future_expires_after_one_sale_of_it_was_lost(market):
    """F112, R23: a strategy sells one of four and is not heard; in the night the three that are left settle."""
    metal = market.future("SIX", EXPIRY, 1_000)
    market.hold("DU3", metal, {"ALPHA": 4}, "31.10")
    market.at(1_300, market.place, "DU3", metal, [-1], "31.25", "ALPHA", lost=(0,))
    overnight(market, "DU3", metal, 0)
    return 1_303, {("DU3", metal): "futures_expiry missing_fill"}
