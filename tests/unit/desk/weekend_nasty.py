"""Twelve stories that rules of thumb get wrong: two causes at once, what nets to nothing, what comes late or in parts."""

from __future__ import annotations

import msgspec
from desk_parts import D
from weekend_fridays import story
from weekend_market import MONDAY, SATURDAY

from engine.core.events import Bust

NIGHT = SATURDAY[0] + 3
MORNING = MONDAY[0] - 900
SEEN = MONDAY[0]
EXPIRING = "20260320"


def a_split_is_followed_by_trades_before_anybody_looks(m):
    """R44: 120 become 240; then 20 are bought at the new price, and 260 of 140 is no plain ratio."""
    share = m.share("NAAB")
    m.hold("DU1", share, {"ALPHA": 80, "BETA": 40}, "100")
    m.at(MORNING, m.becomes, "DU1", share, 240, 50)
    m.at(MONDAY[0] + 1, m.place, "DU1", share, [20], "50.6", "GAMMA", shown_after=1)
    return story("split, then a trade", MONDAY[0] + 5, {("DU1", share): "split"})


def a_late_fill_hides_behind_a_manual_trade(m):
    """R13, F114: ALPHA's +60 is heard five minutes late, a manual -60 at once; the broker never moved."""
    share = m.share("OCHR")
    m.hold("DU2", share, {"BETA": 25}, "14")
    own = {"perm_id": 880_200_001, "order_id": 812, "client_id": 40, "order_ref": "ALPHA-812", "strategy": "ALPHA"}
    more = {"heard_after": 300, "known_to_replay": False, "shown_after": 1, "price": D("14.1")}
    m.at(900, lambda: m.execute("DU2", share, D(60), **more, **own))
    manual = {"client_id": 0, "order_id": 0, "perm_id": 880_200_002}
    m.at(903, lambda: m.outside("DU2", share, -60, "14.12", **manual))
    return story("late fill behind a manual trade", 908, {("DU2", share): "external_trade missing_fill"})


def only_the_price_is_corrected(m):
    """F15, F17: the same quantity at another price, even a hundredth of it, is no difference."""
    share = m.share("PERI")
    kept = {}

    def correct():
        first = kept["bought"].fill
        m.tell(msgspec.structs.replace(first, exec_id=first.exec_id[:-2] + "02", price=D("25.31")))
        m.costs["DU1", share.con_id] = D("25.31") * 90

    def buy():
        kept["bought"] = m.execute("DU1", share, D(90), price=D("25.13"), strategy="DELTA", shown_after=1)

    m.at(700, buy)
    m.at(1_700, correct)
    return story("price correction", 1_700, {})


def an_execution_is_busted_after_its_option_expired(m):
    """F18, F96: five calls expire; two of them turn out never to have been bought."""
    stock = m.share("QUAD")
    call = m.option(stock, EXPIRING, 80, "C")
    kept = {}
    m.at(500, m.place, "DU3", call, [3], "0.4", "ALPHA")

    def buy():
        kept["bought"] = m.execute("DU3", call, D(2), price=D("4.0"), strategy="ALPHA", shown_after=1)

    def bust():
        m.tell(Bust(received_at=m.clock.now(), account="DU3", exec_id=kept["bought"].fill.exec_id, reason="Ca"))

    m.at(800, buy)
    m.at(NIGHT, m.becomes, "DU3", call, 0)
    m.at(MONDAY[0] + 500, bust)
    return story("bust after expiry", NIGHT, {("DU3", call): "option_expiry"})


def an_assigned_call_takes_the_stock_of_another_strategy(m):
    """F96, F103: BETA wrote the call, ALPHA owns the hundred shares that leave."""
    stock = m.share("RAND")
    call = m.option(stock, "20260417", 20, "C")
    m.hold("DU2", stock, {"ALPHA": 100}, "27")
    m.hold("DU2", call, {"BETA": -1}, "7.4")
    m.at(NIGHT, m.becomes, "DU2", call, 0)
    m.at(NIGHT, m.becomes, "DU2", stock, 0)
    return story(
        "assigned out of another's stock",
        NIGHT,
        {("DU2", call): "option_assignment", ("DU2", stock): "option_assignment"},
    )


def a_holding_is_transferred_to_two_accounts(m):
    """F110: 400 leave one account, 150 and 250 arrive in two."""
    share = m.share("SARK")
    m.hold("DU1", share, {"GAMMA": 500}, "8.5")
    m.at(MONDAY[0] + 200, m.changes, "DU1", share, -400)
    m.at(MONDAY[0] + 201, m.becomes, "DU2", share, 150, "8.5")
    m.at(MONDAY[0] + 202, m.becomes, "DU3", share, 250, "8.5")
    return story("transfer in two parts", MONDAY[0] + 202, {(a, share): "transfer" for a in ("DU1", "DU2", "DU3")})


def a_share_splits_while_orders_work(m):
    """R44: the buy order that works has room for what came, and IB has not adjusted it yet."""
    share = m.share("TOFT")
    m.hold("DU3", share, {"EPSILON": 120}, "66")
    m.at(2_000, m.place, "DU3", share, [10], "60", "ZETA", total=400, tif="GTC")
    m.at(MORNING, m.becomes, "DU3", share, 260, "32.8")
    return story("split while orders work", SEEN, {("DU3", share): "split"})


def another_client_uses_a_reference_like_ours(m):
    """R12, F45: client 9 writes ALPHABET-77 on its order; its number is one of ours as well."""
    share = m.share("UVIC")
    m.hold("DU1", share, {"ALPHA": 45}, "120")
    more = {"client_id": 9, "order_id": 304, "perm_id": 880_200_009, "order_ref": "ALPHABET-77"}
    m.at(1_100, lambda: m.outside("DU1", share, 35, "120.2", **more))
    return story("another client, our kind of reference", 1_100, {("DU1", share): "other_client"})


def positions_lag_far_behind_a_fill(m):
    """F114, R27: the answers show a fill after 75 seconds; a break, but one that should be told as lag."""
    share = m.share("VANE")
    m.hold("DU1", share, {"BETA": 30}, "19")
    m.at(1_600, m.place, "DU1", share, [70], "19.2", "DELTA", shown_after=75)
    return story("positions lag", 1_602, {("DU1", share): "settling_lag"})


def an_adjusted_option_is_exercised_early(m):
    """F102, F105: after a merger one contract delivers 33 shares and cash, not 100 shares."""
    stock = m.share("WICK")
    plain = m.option(stock, "20260618", 10, "C")
    call = msgspec.structs.replace(plain, local_symbol=f"{'WICK1':<6}260618C00010000", trading_class="WICK1")
    m.hold("DU2", call, {"GAMMA": 2}, "4.1")
    m.at(NIGHT, m.becomes, "DU2", call, 0)
    m.at(NIGHT, m.becomes, "DU2", stock, 66, "30.3")
    return story(
        "adjusted option exercised", NIGHT, {("DU2", call): "option_exercise", ("DU2", stock): "option_exercise"}
    )


def both_legs_of_a_spread_are_in_the_money(m):
    """F96: +200 from the long calls and -200 from the short ones: the stock does not move at all."""
    stock = m.share("XEBE")
    low, high = m.option(stock, EXPIRING, 40, "C"), m.option(stock, EXPIRING, 45, "C")
    m.hold("DU1", stock, {"ZETA": 60}, "52")
    m.hold("DU1", low, {"ALPHA": 2}, "12.1")
    m.hold("DU1", high, {"ALPHA": -2}, "7.2")
    m.bustle("DU1", stock, "52.3", (10,), at=3_000)
    m.at(NIGHT, m.becomes, "DU1", low, 0)
    m.at(NIGHT, m.becomes, "DU1", high, 0)
    return story("spread in the money", NIGHT, {("DU1", low): "option_exercise", ("DU1", high): "option_assignment"})


def a_split_and_a_lost_execution_make_one_difference(m):
    """Two causes at once: 90 become 270, and 40 of an order that says Filled were never heard."""
    share = m.share("YARE")
    m.hold("DU2", share, {"ALPHA": 90}, "210")
    m.at(MORNING, m.becomes, "DU2", share, 270, 70)
    m.at(MONDAY[0] + 100, m.place, "DU2", share, [20, 40], "70.2", "DELTA", lost=(1,))
    return story("split and lost execution", MONDAY[0] + 105, {("DU2", share): "split missing_fill"})


NASTY = (
    a_split_is_followed_by_trades_before_anybody_looks,
    a_late_fill_hides_behind_a_manual_trade,
    only_the_price_is_corrected,
    an_execution_is_busted_after_its_option_expired,
    an_assigned_call_takes_the_stock_of_another_strategy,
    a_holding_is_transferred_to_two_accounts,
    a_share_splits_while_orders_work,
    another_client_uses_a_reference_like_ours,
    positions_lag_far_behind_a_fill,
    an_adjusted_option_is_exercised_early,
    both_legs_of_a_spread_are_in_the_money,
    a_split_and_a_lost_execution_make_one_difference,
)
