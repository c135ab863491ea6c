"""The two long messages, openOrder (5) and completedOrder (101), written from one table each.

A table names the fields in order; what a client sent in placeOrder is shown again under the same name, and everything
else has the text the real gateway sends. ``kind`` decides how a client's own text is cleaned before it is shown: a
float where an integer belongs would cost the whole message.
"""

from __future__ import annotations

from decimal import Decimal

from engine.simulator.answers import Message, fine, order_contract
from engine.simulator.model import Instrument, Order
from engine.simulator.wire import NO_DOUBLE, NO_INT, NO_LONG, BadField, Field, double, number, to_decimal

DURATION = 158
POST_TO_ATS = 160
AUTO_CANCEL = 162
PEG = 170

# name=default; a leading i, f or b gives the kind (integer, float, flag), s is text.
_OPEN_HEAD = """
s:tif=DAY s:ocaGroup s:account s:openClose i:origin=0 s:orderRef i:clientId=0 i:permId=0 b:outsideRth=0 b:hidden=0
f:discretionaryAmt=0 s:goodAfterTime s:sharesAllocation s:faGroup s:faMethod s:faPercentage s:faProfile s:modelCode
s:goodTillDate s:rule80A f:percentOffset s:settlingFirm i:shortSaleSlot=0 s:designatedLocation i:exemptCode=-1
i:auctionStrategy=0 f:startingPrice f:stockRefPrice f:delta f:stockRangeLower f:stockRangeUpper i:displaySize=0
b:blockOrder=0 b:sweepToFill=0 b:allOrNone=0 i:minQty i:ocaType=3 b:eTradeOnly=0 b:firmQuoteOnly=0 f:nbboPriceCap
i:parentId=0 i:triggerMethod=0 f:volatility i:volatilityType=0
"""
_DONE_HEAD = """
s:tif=DAY s:ocaGroup s:account s:openClose i:origin=0 s:orderRef i:permId=0 b:outsideRth=0 b:hidden=0
f:discretionaryAmt=0 s:goodAfterTime s:faGroup s:faMethod s:faPercentage s:faProfile s:modelCode s:goodTillDate
s:rule80A f:percentOffset s:settlingFirm i:shortSaleSlot=0 s:designatedLocation i:exemptCode=-1 f:startingPrice
f:stockRefPrice f:delta f:stockRangeLower f:stockRangeUpper i:displaySize=0 b:sweepToFill=0 b:allOrNone=0 i:minQty
i:ocaType=3 i:triggerMethod=0 f:volatility i:volatilityType=0
"""
_OPEN_NEUTRAL = """
s:deltaNeutralOrderType=None f:deltaNeutralAuxPrice i:deltaNeutralConId=0 s:deltaNeutralSettlingFirm
s:deltaNeutralClearingAccount s:deltaNeutralClearingIntent s:deltaNeutralOpenClose=? b:deltaNeutralShortSale=0
i:deltaNeutralShortSaleSlot=0 s:deltaNeutralDesignatedLocation
"""
_DONE_NEUTRAL = """
s:deltaNeutralOrderType=None f:deltaNeutralAuxPrice i:deltaNeutralConId=0 b:deltaNeutralShortSale=0
i:deltaNeutralShortSaleSlot=0 s:deltaNeutralDesignatedLocation
"""
_SCALE = """
f:scalePriceAdjustValue i:scalePriceAdjustInterval f:scaleProfitOffset b:scaleAutoReset=0 i:scaleInitPosition
i:scaleInitFillQty b:scaleRandomPercent=0
"""
_BENCH = """
i:referenceContractId=0 b:isPeggedChangeAmountDecrease=0 f:peggedChangeAmount=0 f:referenceChangeAmount=0
s:referenceExchangeId
"""
_ADJUSTED = """
s:adjustedOrderType=None f:triggerPrice=* f:trailStopPrice=* f:lmtPriceOffset=* f:adjustedStopPrice=*
f:adjustedStopLimitPrice=* f:adjustedTrailingAmount=* i:adjustableTrailingUnit=0 s:softDollarName s:softDollarValue
s:softDollarDisplay f:cashQty=0 b:dontUseAutoPriceForHedge=1 b:isOmsContainer=0 b:discretionaryUpToLimitPrice=0
b:usePriceMgmtAlgo=0
"""
_FIVE = "i:minTradeQty i:minCompeteSize f:competeAgainstBestOffset f:midOffsetAtWhole f:midOffsetAtHalf"


def _rows(table: str) -> list[tuple[str, str, str]]:
    rows = []
    for word in table.split():
        kind, _, rest = word.partition(":")
        name, _, default = rest.partition("=")
        rows.append((kind, name, NO_DOUBLE if default == "*" else default))
    return rows


_ROWS = {table: _rows(table) for table in (_OPEN_HEAD, _DONE_HEAD, _OPEN_NEUTRAL, _DONE_NEUTRAL, _SCALE, _BENCH)}
_ROWS |= {table: _rows(table) for table in (_ADJUSTED, _FIVE)}


def _clean(kind: str, said: str, default: str) -> str:
    if kind == "s":
        return said
    try:
        value = to_decimal(said)
    except BadField:
        return default
    if value is None:
        return default
    return number(value) if kind == "f" else str(int(value))


def _write(table: str, said: dict[str, str]) -> Message:
    return [_clean(kind, said[name], default) if said.get(name) else default for kind, name, default in _ROWS[table]]


def _known(order: Order) -> dict[str, str]:
    """Everything to be shown under the names of the tables."""
    said = dict(order.raw)
    said.update(
        tif=order.tif,
        ocaGroup=order.oca_group,
        account=order.account,
        orderRef=order.order_ref,
        clientId=str(order.client_id),
        permId=str(order.perm_id),
        parentId=str(order.parent_id),
    )
    if said.get("deltaNeutralOrderType") in ("", None):
        said.pop("deltaNeutralOrderType", None)
    return said


def _legs(order: Order, said: dict[str, str]) -> Message:
    described = ",".join(f"{leg.con_id}|{leg.ratio if leg.action == 'BUY' else -leg.ratio}" for leg in order.legs)
    fields: Message = [described, len(order.legs)]
    for leg in order.legs:
        fields += [leg.con_id, leg.ratio, leg.action, leg.exchange, leg.open_close, leg.short_sale_slot]
        fields += [leg.designated_location, leg.exempt_code]
    prices = said.get("legPrices", "").split("|") if said.get("legPrices") else []
    fields.append(len(prices))
    fields += [_clean("f", price, "") for price in prices]
    return fields + _pairs(said.get("routing", ""))


def _pairs(joined: str) -> Message:
    """A count and then tag, value, tag, value, as they were sent."""
    items = joined.split("\x1f") if joined else []
    return [len(items) // 2, *items]


def _scale(said: dict[str, str]) -> Message:
    increment = said.get("scalePriceIncrement", "")
    fields: Message = [
        _clean("i", said.get("scaleInitLevelSize", ""), NO_INT),
        _clean("i", said.get("scaleSubsLevelSize", ""), NO_INT),
        _clean("f", increment, NO_DOUBLE),
    ]
    given = to_decimal(increment) if increment else None
    if given is not None and given > 0:
        fields += _write(_SCALE, said)
    return fields


def _hedge(said: dict[str, str]) -> Message:
    hedge = said.get("hedgeType", "")
    return [hedge, said.get("hedgeParam", "")] if hedge else [""]


def _tail_of_contract(said: dict[str, str]) -> Message:
    """Clearing, delta-neutral contract and algorithm."""
    fields: Message = [said.get("clearingAccount", ""), said.get("clearingIntent", "") or "IB"]
    fields.append(_clean("b", said.get("notHeld", ""), "0"))
    fields.append(0)
    algorithm = said.get("algoStrategy", "")
    fields.append(algorithm)
    return fields + _pairs(said.get("algoParams", "")) if algorithm else fields


def _conditions(said: dict[str, str]) -> Message:
    count = int(said.get("conditionCount", "0"))
    if not count:
        return [0]
    fields: Message = [count, *said.get("conditions", "").split("\x1f")]
    fields.append(_clean("b", said.get("conditionsIgnoreRth", ""), "0"))
    fields.append(_clean("b", said.get("conditionsCancelOrder", ""), "0"))
    return fields


def _prices(order: Order) -> Message:
    return [order.order_type, order.limit or Decimal(0), order.aux or Decimal(0)]


def open_order(known: Instrument, order: Order, version: int, margin: Message | None = None) -> Message:
    """An order in work (or just finished), with its commission when that is known.

    Args:
        known: The order's contract.
        order: The order.
        version: Protocol version of the connection.
        margin: Nine margin texts of a what-if answer.
    """
    said = _known(order)
    fields: Message = [5, order.order_id, *order_contract(known, order.exchange), order.action, order.quantity]
    fields += [*_prices(order), *_write(_OPEN_HEAD, said), *_write(_OPEN_NEUTRAL, said)]
    fields += [0, 0, _shown(said, "trailStopPrice"), _shown(said, "trailingPercent"), NO_DOUBLE, NO_INT]
    fields += [*_legs(order, said), *_scale(said), *_hedge(said)]
    fields += [_clean("b", said.get("optOutSmartRouting", ""), "0"), *_tail_of_contract(said)]
    fields.append(_clean("b", said.get("solicited", ""), "0"))
    fields += _state(order, margin)
    fields += [_clean("b", said.get("randomizeSize", ""), "0"), _clean("b", said.get("randomizePrice", ""), "0")]
    if order.order_type in ("PEG BENCH", "PEGBENCH"):
        fields += _write(_BENCH, said)
    fields += [*_conditions(said), *_write(_ADJUSTED, said)]
    if version >= DURATION:
        fields.append(_clean("i", said.get("duration", ""), NO_INT))
    if version >= POST_TO_ATS:
        fields.append(_clean("i", said.get("postToAts", ""), NO_INT))
    if version >= AUTO_CANCEL:
        fields.append(_clean("b", said.get("autoCancelParent", ""), "0"))
    if version >= PEG:
        fields += _write(_FIVE, said)
    return fields


def _shown(said: dict[str, str], name: str) -> str:
    return _clean("f", said.get(name, ""), NO_DOUBLE)


def _state(order: Order, margin: Message | None) -> Message:
    """What-if flag, status, nine margin figures, three commissions, their currency and a warning."""
    fields: Message = [1 if margin else 0, order.status]
    fields += margin or [NO_DOUBLE] * 9
    fields += [double(order.commission), NO_DOUBLE, NO_DOUBLE, order.commission_currency, ""]
    return fields


def completed_order(known: Instrument, order: Order, version: int) -> Message:
    """A finished order, lossy as IB's is: quantity 0, no order id, no client; the filled number stands near the end."""
    said = _known(order)
    fields: Message = [101, *order_contract(known, order.exchange), order.action, 0]
    fields += [*_prices(order), *_write(_DONE_HEAD, said), *_write(_DONE_NEUTRAL, said)]
    fields += [0, 0, _shown(said, "trailStopPrice"), _shown(said, "trailingPercent")]
    fields += [*_legs(order, said), *_scale(said), *_hedge(said), *_tail_of_contract(said)]
    status = "Cancelled" if order.status == "Inactive" else order.status
    fields += [_clean("b", said.get("solicited", ""), "0"), status]
    fields += [_clean("b", said.get("randomizeSize", ""), "0"), _clean("b", said.get("randomizePrice", ""), "0")]
    if order.order_type in ("PEG BENCH", "PEGBENCH"):
        fields += _write(_BENCH, said)
    fields += [*_conditions(said), NO_DOUBLE, NO_DOUBLE, 0, 1, 0, ""]
    when: Field = ""
    if order.completed_at is not None:
        when = order.completed_at.strftime("%Y%m%d %H:%M:%S UTC")
    said_done = "Filled Size: " if status == "Filled" else "Cancelled by Trader, Filled Size: "
    fields += [fine(order.filled), NO_INT, 0, "Not an insider or substantial shareholder", 0, 0, NO_LONG, when]
    fields.append(said_done + number(order.filled))
    if version >= PEG:
        fields += _write(_FIVE, said)
    return fields
