"""Planted stories of the night and of Monday: expiries, exercises, assignments, corporate actions, transfers."""

from __future__ import annotations

from datetime import date

import msgspec
from desk_parts import D
from weekend_fridays import story
from weekend_market import BEGIN, MONDAY, SATURDAY

from engine.core.statement import CorporateAction, OptionEvent, Transfer

NIGHT = SATURDAY[0] + 3
MORNING = MONDAY[0] - 900
SEEN = MONDAY[0]
FRIDAY_DAY = date(2026, 3, 20)
EXPIRING = "20260320"


def long_calls_of_two_strategies_expire_out_of_the_money(m):
    """F96, R43: the stock is held and closed at 47.1, under the strike of 50."""
    stock = m.share("HART")
    call = m.option(stock, EXPIRING, 50, "C")
    m.hold("DU1", stock, {"GAMMA": 100}, "47.3")
    m.hold("DU1", call, {"ALPHA": 3, "BETA": 2}, "0.35")
    m.bustle("DU1", stock, "47.1", (20,), at=3_000)
    m.at(NIGHT, m.becomes, "DU1", call, 0)
    return story("worthless calls", NIGHT, {("DU1", call): "option_expiry"})


def short_puts_expire_and_nothing_is_known_of_the_stock(m):
    """F96, F97: no stock, no mark."""
    stock = m.share("IVEL")
    put = m.option(stock, EXPIRING, "22.5", "P")
    m.hold("DU3", put, {"GAMMA": -7}, "0.12")
    m.at(NIGHT + 1, m.becomes, "DU3", put, 0)
    return story("worthless short puts", NIGHT + 1, {("DU3", put): "option_expiry"})


def two_calls_in_the_money_are_exercised_at_expiry(m):
    """F96: +200 at the strike on top of what another strategy holds."""
    stock = m.share("JADE")
    call = m.option(stock, EXPIRING, 90, "C")
    m.hold("DU1", stock, {"BETA": 150}, "103.0")
    m.hold("DU1", call, {"ALPHA": 2}, "13.8")
    m.bustle("DU1", stock, "104.1", (25, 40), at=2_800)
    m.at(NIGHT, m.becomes, "DU1", call, 0)
    m.at(NIGHT, m.changes, "DU1", stock, 200)
    return story("exercise at expiry", NIGHT, {("DU1", call): "option_exercise", ("DU1", stock): "option_exercise"})


def two_of_three_long_puts_are_exercised_early(m):
    """F102: four weeks before expiry, against a holding."""
    stock = m.share("KIRN")
    put = m.option(stock, "20260417", 60, "P")
    m.hold("DU2", stock, {"EPSILON": 300}, "41.0")
    m.hold("DU2", put, {"EPSILON": 3}, "18.9")
    m.at(NIGHT + 2, m.changes, "DU2", put, -2)
    m.at(NIGHT + 2, m.changes, "DU2", stock, -200)
    return story("early exercise", NIGHT + 2, {("DU2", put): "option_exercise", ("DU2", stock): "option_exercise"})


def a_short_put_is_assigned_at_expiry(m):
    """F96: the stock was never held before."""
    stock = m.share("LARK")
    put = m.option(stock, EXPIRING, 45, "P")
    m.hold("DU2", put, {"DELTA": -1}, "1.9")
    m.at(NIGHT, m.becomes, "DU2", put, 0)
    m.at(NIGHT + 4, m.becomes, "DU2", stock, 100, 45)
    return story("assigned put", NIGHT + 4, {("DU2", put): "option_assignment", ("DU2", stock): "option_assignment"})


def two_of_five_short_calls_are_assigned_before_a_dividend(m):
    """F102: covered calls of two strategies, two months to go, the stock busy."""
    stock = m.share("MERE")
    call = m.option(stock, "20260515", 30, "C")
    m.hold("DU1", stock, {"ALPHA": 300, "ZETA": 200}, "38.5")
    m.hold("DU1", call, {"ALPHA": -3, "ZETA": -2}, "8.7")
    m.bustle("DU1", stock, "38.6", (50, 20, 100), at=2_000)
    m.at(NIGHT, m.changes, "DU1", call, 2)
    m.at(NIGHT, m.changes, "DU1", stock, -200)
    m.bustle("DU1", stock, "38.1", (30,), at=MONDAY[0] + 300)
    return story(
        "partly assigned calls", NIGHT, {("DU1", call): "option_assignment", ("DU1", stock): "option_assignment"}
    )


def index_futures_settle_in_cash(m):
    """F112: -3 and +1 in two books, third Friday of March."""
    future = m.future("NES", EXPIRING, 50)
    m.hold("DU1", future, {"ALPHA": -3, "BETA": 1}, "5712.5")
    m.at(NIGHT, m.becomes, "DU1", future, 0)
    return story("futures expiry", NIGHT, {("DU1", future): "futures_expiry"})


def futures_in_euro_settle_over_the_weekend(m):
    """F112: long, another currency; IB removes it on Monday only."""
    future = m.future("OCAC", EXPIRING, 10, "EUR")
    m.hold("DU2", future, {"GAMMA": 4}, "8010.5")
    m.at(MORNING, m.becomes, "DU2", future, 0)
    return story("futures expiry in euro", SEEN, {("DU2", future): "futures_expiry"})


def index(m, symbol):
    return msgspec.structs.replace(m.share(symbol), sec_type="IND")


def index_calls_in_the_money_are_settled_in_cash(m):
    """F100: no underlying can be delivered; the option just goes."""
    call = m.option(index(m, "SPQ"), EXPIRING, 5600, "C")
    m.hold("DU1", call, {"DELTA": 2, "EPSILON": 1}, "102.5")
    m.at(NIGHT, m.becomes, "DU1", call, 0)
    return story("cash-settled calls", NIGHT, {("DU1", call): "option_expiry option_exercise"})


def short_index_puts_are_settled_and_the_statement_tells(m):
    """F98, F100: assignment at price 0, with the cash in a row of its own."""
    put = m.option(index(m, "NDQ"), EXPIRING, 21000, "P")
    m.hold("DU3", put, {"ALPHA": -2}, "310")
    m.at(NIGHT, m.becomes, "DU3", put, 0)
    row = OptionEvent(
        account="DU3",
        kind="assignment",
        instrument=put,
        quantity=D(2),
        price=D(0),
        cash=D("-48220"),
        day=FRIDAY_DAY,
        sections=("Trades", "OptionEAE"),
    )
    m.at(MONDAY[0] + 600, m.house.statement.append, row)
    return story("cash-settled short puts", NIGHT, {("DU3", put): "option_expiry option_assignment"})


def a_share_splits_four_for_one(m):
    """R44: the same conId, 57 become 228, the price a quarter."""
    share = m.share("PIKE")
    m.hold("DU1", share, {"ALPHA": 37, "GAMMA": 20}, "402")
    m.at(MORNING, m.becomes, "DU1", share, 228, "100.5")
    m.at(MORNING + 1, m.quote, share, "100.9")
    return story("split 4:1", SEEN, {("DU1", share): "split"})


def a_share_splits_three_for_two_in_two_accounts(m):
    """R44, R17: long in one account, short in the other."""
    share = m.share("QUIN")
    m.hold("DU1", share, {"BETA": 100, "DELTA": 50}, "90")
    m.hold("DU3", share, {"ZETA": -90}, "90.3")
    m.at(MORNING, m.becomes, "DU1", share, 225, 60)
    m.at(MORNING, m.becomes, "DU3", share, -135, "60.2")
    m.at(MORNING + 1, m.quote, share, "60.4")
    return story("split 3:2, two accounts", SEEN, {("DU1", share): "split", ("DU3", share): "split"})


def twelve_thousand_become_four_hundred_and_eighty(m):
    """F105: reverse split 1:25 under a new conId with the same symbol."""
    old, new = m.share("RILL"), m.share("RILL")
    m.hold("DU2", old, {"BETA": 7000, "ZETA": 5000}, "0.41")
    m.at(MORNING, m.becomes, "DU2", old, 0)
    m.at(MORNING, m.becomes, "DU2", new, 480, "10.25")
    return story("reverse split 1:25", SEEN, {("DU2", old): "split merger", ("DU2", new): "split merger"})


def a_reverse_split_leaves_cash_in_lieu(m):
    """F105: 1:10 of 1005 is 100, and five old shares are paid out."""
    old, new = m.share("SAGE"), m.share("SAGE")
    m.hold("DU3", old, {"DELTA": 1005}, "0.88")
    m.at(MORNING, m.becomes, "DU3", old, 0)
    m.at(MORNING, m.becomes, "DU3", new, 100, "8.8")
    return story("reverse split 1:10, remainder", SEEN, {("DU3", old): "split merger", ("DU3", new): "split merger"})


def shares_of_a_target_become_shares_of_its_buyer(m):
    """F105: 0.65 each, two strategies, the buyer never held."""
    old, new = m.share("TEAL"), m.share("UPAS")
    m.hold("DU1", old, {"ALPHA": 240, "EPSILON": 160}, "33.0")
    m.at(MORNING, m.becomes, "DU1", old, 0)
    m.at(MORNING, m.becomes, "DU1", new, 260, "50.77")
    return story("merger 0.65", SEEN, {("DU1", old): "merger", ("DU1", new): "merger"})


def action(account, kind, instrument, quantity, text, action_id):
    return CorporateAction(
        account=account,
        kind=kind,
        instrument=instrument,
        quantity=D(quantity),
        description=text,
        happened_at=BEGIN.replace(hour=23, minute=25),
        report_date=date(2026, 3, 23),
        action_id=action_id,
        transaction_id=f"{action_id}-{instrument.con_id}",
    )


def a_merger_into_a_share_that_trades_here_with_the_statement(m):
    """F105, F108: 0.2 each; the buyer's shares are held and traded by others."""
    old, new = m.share("VALE"), m.share("WREN")
    m.hold("DU2", old, {"GAMMA": 500}, "12.2")
    m.hold("DU2", new, {"ALPHA": 150}, "60.5")
    m.bustle("DU2", new, "60.9", (30, 10), at=2_000)
    m.at(MORNING, m.becomes, "DU2", old, 0)
    m.at(MORNING, m.changes, "DU2", new, 100)
    m.bustle("DU2", new, "61.2", (20,), at=MONDAY[0] + 400)
    text = "VALE(US0000000001) MERGED(Acquisition)  FOR US0000000002 1 FOR 5 ({})"
    for instrument, quantity in ((old, -500), (new, 100)):
        row = action("DU2", "TC", instrument, quantity, text.format(instrument.symbol), "A77")
        m.at(MONDAY[0] + 900, m.house.statement.append, row)
    return story("merger with statement", SEEN, {("DU2", old): "merger", ("DU2", new): "merger"})


def a_parent_spins_off_one_for_four(m):
    """F109: the new holding comes from nothing; the statement names the parent."""
    parent, child = m.share("XENO"), m.share("YEWS")
    m.hold("DU1", parent, {"BETA": 200, "GAMMA": 100}, "84")
    m.at(MORNING, m.becomes, "DU1", child, 75, "22.1")
    m.at(MORNING, m.becomes, "DU1", parent, 300, "78.5")
    text = "XENO(US0000000003) SPINOFF  1 FOR 4 (YEWS, YEWS INC, US0000000004)"
    m.at(MONDAY[0] + 700, m.house.statement.append, action("DU1", "SO", child, 75, text, "A81"))
    return story("spin-off 1:4", SEEN, {("DU1", child): "spin_off"})


def a_spin_off_leaves_a_fraction_that_is_paid_out(m):
    """F109, F86: one for seven of 333 is 47.5714; 47 stay."""
    parent, child = m.share("ZEAL"), m.share("ABEL")
    m.hold("DU3", parent, {"ZETA": 333}, "29")
    m.at(MORNING, m.becomes, "DU3", child, 47, "5.1")
    text = "ZEAL(US0000000005) SPINOFF  1 FOR 7 (ABEL, ABEL CORP, US0000000006)"
    m.at(MONDAY[0] + 700, m.house.statement.append, action("DU3", "SO", child, "47.5714", text, "A82"))
    return story("spin-off with a fraction", SEEN, {("DU3", child): "spin_off"})


def shares_come_in_from_another_broker(m):
    """F110: ACATS; told by the statement of the day."""
    share = m.share("BRAE")
    m.at(MONDAY[0] + 200, m.becomes, "DU2", share, 500, "17.4")
    row = Transfer(
        account="DU2",
        kind="ACATS",
        instrument=share,
        quantity=D(500),
        direction="IN",
        counterparty="0226",
        day=date(2026, 3, 23),
        transaction_id="T900",
    )
    m.at(MONDAY[0] + 1_200, m.house.statement.append, row)
    return story("transfer in", MONDAY[0] + 200, {("DU2", share): "transfer"})


def shares_move_between_two_of_our_accounts(m):
    """F110: INTERNAL; the same conId leaves one account and arrives in the other."""
    share = m.share("CRAG")
    m.hold("DU1", share, {"ALPHA": 300, "DELTA": 100}, "26")
    m.hold("DU3", share, {"DELTA": 30}, "26.2")
    m.bustle("DU1", share, "26.1", (40,), at=1_800)
    m.at(MONDAY[0] + 310, m.changes, "DU1", share, -250)
    m.at(MONDAY[0] + 312, m.changes, "DU3", share, 250)
    return story("transfer between accounts", MONDAY[0] + 312, {("DU1", share): "transfer", ("DU3", share): "transfer"})


def an_assigned_put_is_sold_by_hand_before_we_look(m):
    """Two causes: +200 from the assignment and, on Monday, -150 typed into TWS."""
    stock = m.share("DUNE")
    put = m.option(stock, EXPIRING, 70, "P")
    m.hold("DU1", put, {"BETA": -2}, "2.4")
    m.at(MORNING, m.becomes, "DU1", put, 0)
    m.at(MORNING, m.becomes, "DU1", stock, 200, 70)
    more = {"client_id": 0, "order_id": 0, "perm_id": 880_123_777}
    m.at(MONDAY[0] + 5, lambda: m.outside("DU1", stock, -150, "68.3", **more))
    return story(
        "mixture: assignment and manual",
        MONDAY[0] + 10,
        {("DU1", put): "option_assignment", ("DU1", stock): "option_assignment external_trade"},
    )


OVERNIGHT = (
    long_calls_of_two_strategies_expire_out_of_the_money,
    short_puts_expire_and_nothing_is_known_of_the_stock,
    two_calls_in_the_money_are_exercised_at_expiry,
    two_of_three_long_puts_are_exercised_early,
    a_short_put_is_assigned_at_expiry,
    two_of_five_short_calls_are_assigned_before_a_dividend,
    index_futures_settle_in_cash,
    futures_in_euro_settle_over_the_weekend,
    index_calls_in_the_money_are_settled_in_cash,
    short_index_puts_are_settled_and_the_statement_tells,
    a_share_splits_four_for_one,
    a_share_splits_three_for_two_in_two_accounts,
    twelve_thousand_become_four_hundred_and_eighty,
    a_reverse_split_leaves_cash_in_lieu,
    shares_of_a_target_become_shares_of_its_buyer,
    a_merger_into_a_share_that_trades_here_with_the_statement,
    a_parent_spins_off_one_for_four,
    a_spin_off_leaves_a_fraction_that_is_paid_out,
    shares_come_in_from_another_broker,
    shares_move_between_two_of_our_accounts,
    an_assigned_put_is_sold_by_hand_before_we_look,
)
