"""Planted stories of the Friday session: what happens to executions, orders, units and fractions."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from desk_parts import D


class Story(NamedTuple):
    """What was planted.

    ``truth``: the breaks it must become, each with the kinds of cause that are right. ``told``: when the last message
    or position change that makes it was there; the grace runs from then.
    """

    name: str
    told: float
    truth: dict[str, frozenset[str]]


def story(name, told, truth):
    """``truth``: ``{(account, instrument): "kind or kinds"}``."""
    return Story(name, told, {f"{a}:{i.con_id}": frozenset(kinds.split()) for (a, i), kinds in truth.items()})


def second_of_three_partials_could_not_be_decoded(m):
    """F9, F21: live and replayed the message breaks the decoder; cumQty jumps and the order says Filled 300."""
    share = m.share("KNOT")
    m.bustle("DU1", share, "41.20", (60, 25), at=300)
    m.at(900, m.place, "DU1", share, [100, 100, 100], "41.35", "ALPHA", lost=(1,))
    m.bustle("DU1", share, "41.60", (40,), at=1_900)
    return story("missing fill, cumQty gap", 912, {("DU1", share): "missing_fill"})


def gtc_order_went_on_filling_while_the_gateway_was_down(m):
    """F22, F24: 200 of 500 were heard; 200 more filled at the close, and Monday's replay has no Friday in it."""
    share = m.share("OAKM")
    m.hold("DU2", share, {"GAMMA": 150}, "18.05")
    ids = {}

    def begin():
        ids.update(m.place("DU2", share, [-120, -80], "18.4", "BETA", total=-500, tif="GTC"))

    def unseen():
        lost = {"heard_after": "never", "known_to_replay": False, "shown_after": 1}
        own = {k: ids[k] for k in ("perm_id", "order_id", "client_id", "order_ref")}
        for part, done in ((-150, 350), (-50, 400)):
            m.execute("DU2", share, D(part), price=D("18.4"), strategy="BETA", cum_quantity=D(done), **lost, **own)

    m.at(2_200, begin)
    m.at(3_900, unseen)
    m.at(49_195, lambda: m.status(ids, -500, "Submitted", 400, source="open"))
    return story("missing fill, gateway was down", 49_200, {("DU2", share): "missing_fill"})


def an_order_typed_into_tws_fills_in_two_parts(m):
    """F49: bound to client 0 with a negative order id, no reference."""
    share = m.share("PLUM")
    m.hold("DU1", share, {"BETA": 150, "DELTA": -20}, "77.0")
    m.bustle("DU1", share, "77.4", (30, 10), at=500)
    for number, (part, done) in enumerate(((-50, 50), (-40, 90))):
        more = {"perm_id": 880_123_001, "order_id": -4, "client_id": 0, "cum_quantity": D(done), "exchange": "ARCA"}
        m.at(1_000 + 6 * number, lambda p=part, k=more: m.outside("DU1", share, p, "77.52", **k))
    m.bustle("DU1", share, "77.9", (10,), at=2_400)
    return story("manual, two parts", 1_006, {("DU1", share): "external_trade"})


def a_holding_is_closed_at_the_broker_and_no_execution_ever_comes(m):
    """R5, F58: built in three trades, closed in one from a platform whose executions we never see."""
    share = m.share("QUAY")
    for at, quantity in ((100, 40), (400, 25), (650, 35)):
        m.at(at, m.place, "DU3", share, [quantity], D("12.6") + D(at) / 1000, "GAMMA")
    m.at(1_700, m.becomes, "DU3", share, 0)
    return story("manual, never heard", 1_700, {("DU3", share): "external_trade"})


def client_seven_buys_twice(m):
    """F51: another program; the replay brings it, the live stream does not."""
    share = m.share("RUSH")
    m.bustle("DU2", share, "230.1", (15, 35), at=250)
    for number, part in enumerate((30, 20)):
        more = {"client_id": 7, "order_id": 12, "perm_id": 880_123_077, "cum_quantity": D(30 + 20 * number)}
        m.at(1_150 + 5 * number, lambda p=part, k=more: m.outside("DU2", share, p, "230.7", **k))
    return story("another client, two parts", 1_155, {("DU2", share): "other_client"})


def a_rebalancer_with_its_own_references_sells_through_zero(m):
    """F45, R12: client 3, order id 7 (which strategies use as well), a reference that nobody here knows."""
    share = m.share("SEDG")
    m.hold("DU3", share, {"ZETA": 40}, "9.10")
    m.at(
        1_260,
        lambda: m.outside(
            "DU3", share, -75, "9.24", client_id=3, order_id=7, perm_id=880_123_090, order_ref="Rebal/2026-03"
        ),
    )
    m.bustle("DU3", share, "9.3", (50,), at=2_900)
    return story("another client, through zero", 1_260, {("DU3", share): "other_client"})


def an_execution_is_corrected_and_only_the_orders_count_says_so(m):
    """F15, F19: 200 became 185; X.02 is lost in the night, but the order still works and is told again."""
    share = m.share("TARN")
    m.hold("DU1", share, {"DELTA": 75}, "55")
    ids = {}
    m.at(1_000, lambda: ids.update(m.place("DU1", share, [200], "55.4", "ALPHA", total=400, tif="GTC")))
    m.bustle("DU1", share, "55.6", (20, 45), at=1_300)
    m.at(2_000, m.changes, "DU1", share, -15)
    m.at(2_003, lambda: m.status(ids, 400, "Submitted", 185, source="open"))
    return story("correction, order counts less", 2_003, {("DU1", share): "correction"})


def a_correction_is_itself_taken_back(m):
    """F15, F16: we hold X.02 (80 instead of 100); the broker went back to 100 and X.03 never came."""
    share = m.share("ULNA")
    m.hold("DU2", share, {"EPSILON": -60}, "31")
    kept = {}

    def sell():
        kept["sold"] = m.execute(
            "DU2", share, D(-100), price=D("31.4"), strategy="ALPHA", shown_after=1, heard_after=0.5
        )

    def correct():
        first = kept["sold"].fill
        second = msgspec.structs.replace(first, exec_id=first.exec_id[:-2] + "02", quantity=D(-80))
        m.tell(second)
        m.changes("DU2", share, 20)

    m.at(900, sell)
    m.at(1_502, correct)
    m.at(2_100, m.changes, "DU2", share, -20)
    m.bustle("DU2", share, "31.3", (5,), at=2_600)
    return story("correction, taken back", 2_100, {("DU2", share): "correction"})


def a_fat_finger_trade_is_busted(m):
    """F18, F19: no message; the position goes back by what one execution moved."""
    share = m.share("VELD")
    m.hold("DU3", share, {"BETA": 80, "GAMMA": -35}, "64.0")
    m.at(1_100, m.place, "DU3", share, [120], "59.0", "DELTA")
    m.bustle("DU3", share, "64.1", (10, 30), at=1_400)
    m.at(2_300, m.changes, "DU3", share, -120)
    m.bustle("DU3", share, "64.3", (70,), at=3_000)
    return story("bust of one trade", 2_300, {("DU3", share): "bust"})


def one_of_two_partials_is_busted(m):
    """F18: -60 and -35 of one order; the second is void."""
    share = m.share("WOLD")
    m.bustle("DU1", share, "150", (35, 20), at=300)
    m.at(1_050, m.place, "DU1", share, [-60, -35], "151.2", "ZETA")
    m.at(2_500, m.changes, "DU1", share, 35)
    return story("bust of a partial", 2_500, {("DU1", share): "bust"})


def margin_takes_part_of_a_holding(m):
    """R20, F56: 231 of 314 shares in two executions, client 0, order id -1, an unknown permId."""
    share = m.share("XYST")
    m.hold("DU1", share, {"ALPHA": 200, "BETA": 114}, "164")
    for number, part in enumerate((-131, -100)):
        more = {"client_id": 0, "order_id": -1, "perm_id": 1_999_001, "liquidation": True, "exchange": "IBKRATS"}
        m.at(1_200 + 2 * number, lambda p=part, k=more: m.outside("DU1", share, p, "163.8", **k))
    m.bustle("DU1", share, "163.1", (14,), at=2_200)
    return story("liquidation of a holding", 1_202, {("DU1", share): "liquidation"})


def margin_buys_back_short_futures(m):
    """F56, F57: three of four contracts, one execution."""
    future = m.future("ZYG", "20260618", 50)
    m.hold("DU3", future, {"GAMMA": -3, "EPSILON": -1}, "4105.25")
    more = {"client_id": 0, "order_id": -1, "perm_id": 1_999_044, "liquidation": True, "exchange": "CME"}
    m.at(1_320, lambda: m.outside("DU3", future, 3, "4166.5", **more))
    return story("liquidation of futures", 1_320, {("DU3", future): "liquidation"})


def london_shares_are_quoted_in_pence_and_no_details_came(m):
    """F93: executions in pence, average cost in pounds."""
    share = m.share("AVON", "GBP")
    m.untold.add(share.con_id)
    m.hundredths.add(share.con_id)
    m.at(1_000, m.place, "DU1", share, [1200, 1800], "71.32", "BETA")
    m.at(1_090, m.place, "DU1", share, [-500], "71.4", "ALPHA")
    return story("pence", 1_096, {("DU1", share): "price_unit"})


def a_short_in_johannesburg_is_quoted_in_cents(m):
    """F93: the same for cents of a rand, and short."""
    share = m.share("BOSJ", "ZAR")
    m.untold.add(share.con_id)
    m.hundredths.add(share.con_id)
    m.at(1_500, m.place, "DU2", share, [-500], "15432", "ZETA")
    return story("cents", 1_506, {("DU2", share): "price_unit"})


def fractions_are_cut_off(m):
    """F86: 3.4 + 7.1 + 0.25 are held, positions says 10."""
    share = m.share("COMB")
    m.shows["DU1", share.con_id] = lambda held: D(int(held))
    for at, quantity, strategy in ((500, "3.4", "ALPHA"), (560, "7.1", "GAMMA"), (1_330, "0.25", "ALPHA")):
        m.at(at, m.place, "DU1", share, [quantity], "303.1", strategy)
    return story("fraction of one book pair", 1_336, {("DU1", share): "fractional_truncation"})


def fractions_of_two_books_are_cut_off_together(m):
    """F86: 5.5 and 12.125 show as 17."""
    share = m.share("DENE")
    m.shows["DU2", share.con_id] = lambda held: D(int(held))
    m.at(700, m.place, "DU2", share, ["5.5"], "88", "BETA")
    m.at(1_900, m.place, "DU2", share, ["12", "0.125"], "88.4", "ZETA")
    return story("fraction of two books", 1_909, {("DU2", share): "fractional_truncation"})


def coins_arrive_less_a_tenth_of_a_percent(m):
    """R46: each purchase is short by a fee taken in kind."""
    coin = msgspec.structs.replace(m.share("ETHX"), sec_type="CRYPTO", exchange="PAXOS")
    m.shows["DU1", coin.con_id] = lambda held: held * D("0.999")
    for number in range(12):
        m.at(300 + 90 * number, m.place, "DU1", coin, [D("0.5")], D(2_000 + number), "ALPHA" if number % 3 else "BETA")
    return story("drift, fees in kind", 1_298, {("DU1", coin): "drift"})


def a_fund_grows_by_five_hundredths_of_a_percent(m):
    """R46: the broker has a little more than was ever bought."""
    fund = m.share("FUNX")
    m.shows["DU3", fund.con_id] = lambda held: held * D("1.0005")
    m.at(200, m.place, "DU3", fund, [D("150.25"), D("50")], "10.2", "EPSILON")
    m.at(1_700, m.place, "DU3", fund, [D("49.75")], "10.21", "GAMMA")
    return story("drift upwards", 1_706, {("DU3", fund): "drift"})


def a_manual_sale_and_a_lost_partial_in_one_instrument(m):
    """Two causes: -60 typed into TWS and known; +40 of an order that says Filled and was never heard."""
    share = m.share("GILL")
    m.hold("DU2", share, {"BETA": 90}, "47")
    m.at(1_200, m.place, "DU2", share, [60, 40], "47.3", "ALPHA", lost=(1,))
    more = {"client_id": 0, "order_id": 0, "perm_id": 880_123_555}
    m.at(1_212, lambda: m.outside("DU2", share, -60, "47.25", **more))
    return story("mixture: manual and missing", 1_216, {("DU2", share): "external_trade missing_fill"})


FRIDAYS = (
    second_of_three_partials_could_not_be_decoded,
    gtc_order_went_on_filling_while_the_gateway_was_down,
    an_order_typed_into_tws_fills_in_two_parts,
    a_holding_is_closed_at_the_broker_and_no_execution_ever_comes,
    client_seven_buys_twice,
    a_rebalancer_with_its_own_references_sells_through_zero,
    an_execution_is_corrected_and_only_the_orders_count_says_so,
    a_correction_is_itself_taken_back,
    a_fat_finger_trade_is_busted,
    one_of_two_partials_is_busted,
    margin_takes_part_of_a_holding,
    margin_buys_back_short_futures,
    london_shares_are_quoted_in_pence_and_no_details_came,
    a_short_in_johannesburg_is_quoted_in_cents,
    fractions_are_cut_off,
    fractions_of_two_books_are_cut_off_together,
    coins_arrive_less_a_tenth_of_a_percent,
    a_fund_grows_by_five_hundredths_of_a_percent,
    a_manual_sale_and_a_lost_partial_in_one_instrument,
)
