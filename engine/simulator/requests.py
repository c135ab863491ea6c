"""Reading what clients ask: contracts and orders, field by field.

placeOrder has no version number of its own and its layout depends on what is in it (legs, a scale, a hedge, an
algorithm, conditions), so it is walked from start to end; ``whatIf`` lies near the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.simulator.contracts import Wanted
from engine.simulator.model import Leg
from engine.simulator.wire import BadField, Fields, to_decimal

_LIMIT_OF_COUNT = 200
_PEG_BENCH = ("PEG BENCH", "PEGBENCH")
_PEG_BEST = ("PEG BEST", "PEGBEST")
_PEG_MID = ("PEG MID", "PEGMID")

_AFTER_LEGS = (
    "sharesAllocation discretionaryAmt goodAfterTime goodTillDate faGroup faMethod faPercentage faProfile modelCode "
    "shortSaleSlot designatedLocation exemptCode ocaType rule80A settlingFirm allOrNone minQty percentOffset "
    "eTradeOnly firmQuoteOnly nbboPriceCap auctionStrategy startingPrice stockRefPrice delta stockRangeLower "
    "stockRangeUpper overridePercentageConstraints volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice"
).split()
_NEUTRAL = (
    "deltaNeutralConId deltaNeutralSettlingFirm deltaNeutralClearingAccount deltaNeutralClearingIntent "
    "deltaNeutralOpenClose deltaNeutralShortSale deltaNeutralShortSaleSlot deltaNeutralDesignatedLocation"
).split()
_BEFORE_SCALE = (
    "continuousUpdate referencePriceType trailStopPrice trailingPercent scaleInitLevelSize scaleSubsLevelSize "
    "scalePriceIncrement"
).split()
_SCALE = (
    "scalePriceAdjustValue scalePriceAdjustInterval scaleProfitOffset scaleAutoReset scaleInitPosition "
    "scaleInitFillQty scaleRandomPercent"
).split()
_BENCH = (
    "referenceContractId isPeggedChangeAmountDecrease peggedChangeAmount referenceChangeAmount referenceExchangeId"
).split()
_ADJUSTED = (
    "adjustedOrderType triggerPrice lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice adjustedTrailingAmount "
    "adjustableTrailingUnit extOperator softDollarName softDollarValue cashQty mifid2DecisionMaker mifid2DecisionAlgo "
    "mifid2ExecutionTrader mifid2ExecutionAlgo dontUseAutoPriceForHedge isOmsContainer discretionaryUpToLimitPrice "
    "usePriceMgmtAlgo"
).split()
_GATED = (
    (158, "duration"),
    (160, "postToAts"),
    (162, "autoCancelParent"),
    (166, "advancedErrorOverride"),
    (169, "manualOrderTime"),
)
_PEG_FIELDS = 170
# How many fields follow the type of a condition: price, time, margin, execution, volume, percent change.
_CONDITION = {1: 6, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5}


@dataclass(slots=True, kw_only=True)
class Placed:
    """A placeOrder request as read. Prices are in the quoted unit; unset ones are ``None``."""

    order_id: int
    wanted: Wanted
    action: str
    quantity: Decimal | None
    order_type: str
    limit: Decimal | None
    aux: Decimal | None
    tif: str
    oca_group: str
    account: str
    order_ref: str
    transmit: bool
    parent_id: int
    what_if: bool = False
    legs: tuple[Leg, ...] = ()
    raw: dict[str, str] = field(default_factory=dict)


def contract(fields: Fields) -> Wanted:
    """The twelve contract fields that open most requests."""
    return Wanted(
        con_id=fields.integer(),
        symbol=fields.text(),
        sec_type=fields.text(),
        expiry=fields.text(),
        strike=fields.decimal(),
        right=_right(fields.text()),
        multiplier=_multiplier(fields.text()),
        exchange=fields.text(),
        primary_exchange=fields.text(),
        currency=fields.text(),
        local_symbol=fields.text(),
        trading_class=fields.text(),
    )


def contract_without_primary(fields: Fields) -> Wanted:
    """The eleven contract fields of the requests that leave out the primary exchange."""
    return Wanted(
        con_id=fields.integer(),
        symbol=fields.text(),
        sec_type=fields.text(),
        expiry=fields.text(),
        strike=fields.decimal(),
        right=_right(fields.text()),
        multiplier=_multiplier(fields.text()),
        exchange=fields.text(),
        currency=fields.text(),
        local_symbol=fields.text(),
        trading_class=fields.text(),
    )


def _right(text: str) -> str:
    return "" if text in ("?", "0") else text.upper()


def _multiplier(text: str) -> str:
    if text:
        value = to_decimal(text)
        return "" if value is None else text
    return text


def place_order(fields: Fields, order_id: int, version: int) -> Placed:
    """A placeOrder request after its id.

    Raises:
        BadField: It cannot be read.
    """
    wanted = contract(fields)
    wanted.sec_id_type, wanted.sec_id = fields.text(), fields.text()
    placed = Placed(
        order_id=order_id,
        wanted=wanted,
        action=fields.text().upper(),
        quantity=fields.decimal(),
        order_type=fields.text().upper(),
        limit=fields.decimal(),
        aux=fields.decimal(),
        tif=fields.text() or "DAY",
        oca_group=fields.text(),
        account=fields.text(),
        order_ref="",
        transmit=True,
        parent_id=0,
    )
    raw = placed.raw
    raw["openClose"], raw["origin"] = fields.text(), fields.text()
    placed.order_ref = fields.text()
    placed.transmit = fields.flag()
    placed.parent_id = fields.integer()
    for name in ("blockOrder", "sweepToFill", "displaySize", "triggerMethod", "outsideRth", "hidden"):
        raw[name] = fields.text()
    if wanted.sec_type == "BAG":
        placed.legs = _legs(fields, raw)
    _middle(fields, raw)
    raw["algoId"] = fields.text()
    placed.what_if = fields.flag()
    for name in ("orderMiscOptions", "solicited", "randomizeSize", "randomizePrice"):
        raw[name] = fields.text()
    if placed.order_type in _PEG_BENCH:
        _take(fields, raw, _BENCH)
    _conditions(fields, raw)
    _take(fields, raw, _ADJUSTED)
    _gated(fields, raw, version, placed)
    return placed


def _take(fields: Fields, raw: dict[str, str], names: list[str]) -> None:
    for name in names:
        raw[name] = fields.text()


def _count(fields: Fields, what: str) -> int:
    count = fields.integer()
    if not 0 <= count <= _LIMIT_OF_COUNT:
        message = f"{count} {what}"
        raise BadField(message)
    return count


def _legs(fields: Fields, raw: dict[str, str]) -> tuple[Leg, ...]:
    legs = tuple(
        Leg(
            con_id=fields.integer(),
            ratio=fields.integer(1),
            action=fields.text().upper(),
            exchange=fields.text(),
            open_close=fields.integer(),
            short_sale_slot=fields.integer(),
            designated_location=fields.text(),
            exempt_code=fields.integer(-1),
        )
        for _ in range(_count(fields, "legs"))
    )
    raw["legPrices"] = "|".join(fields.text() for _ in range(_count(fields, "leg prices")))
    raw["routing"] = _tags(fields)
    return legs


def _tags(fields: Fields) -> str:
    return "\x1f".join(fields.text() for _ in range(2 * _count(fields, "tag values")))


def _middle(fields: Fields, raw: dict[str, str]) -> None:
    """From the end of the legs to the algorithm."""
    _take(fields, raw, _AFTER_LEGS)
    if raw["deltaNeutralOrderType"]:
        _take(fields, raw, _NEUTRAL)
    _take(fields, raw, _BEFORE_SCALE)
    increment = to_decimal(raw["scalePriceIncrement"])
    if increment is not None and increment > 0:
        _take(fields, raw, _SCALE)
    _take(fields, raw, ["scaleTable", "activeStartTime", "activeStopTime", "hedgeType"])
    if raw["hedgeType"]:
        raw["hedgeParam"] = fields.text()
    _take(fields, raw, ["optOutSmartRouting", "clearingAccount", "clearingIntent", "notHeld"])
    if fields.flag():
        _take(fields, raw, ["neutralConId", "neutralDelta", "neutralPrice"])
    raw["algoStrategy"] = fields.text()
    if raw["algoStrategy"]:
        raw["algoParams"] = _tags(fields)


def _conditions(fields: Fields, raw: dict[str, str]) -> None:
    count = _count(fields, "conditions")
    raw["conditionCount"] = str(count)
    words: list[str] = []
    for _ in range(count):
        kind = fields.integer()
        if kind not in _CONDITION:
            message = f"condition of unknown type {kind}"
            raise BadField(message)
        words += [str(kind), *(fields.text() for _ in range(_CONDITION[kind]))]
    raw["conditions"] = "\x1f".join(words)
    if count:
        _take(fields, raw, ["conditionsIgnoreRth", "conditionsCancelOrder"])


def _gated(fields: Fields, raw: dict[str, str], version: int, placed: Placed) -> None:
    """The fields that later protocol versions added at the end."""
    for first, name in _GATED:
        if version >= first:
            raw[name] = fields.text()
    if version < _PEG_FIELDS:
        return
    offsets = placed.order_type in _PEG_MID
    if placed.wanted.exchange == "IBKRATS":
        raw["minTradeQty"] = fields.text()
    if placed.order_type in _PEG_BEST:
        _take(fields, raw, ["minCompeteSize", "competeAgainstBestOffset"])
        offsets = raw["competeAgainstBestOffset"] in ("Infinite", "Infinity", "inf")
    if offsets:
        _take(fields, raw, ["midOffsetAtWhole", "midOffsetAtHalf"])
