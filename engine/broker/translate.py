"""IB's objects into facts: pure, duck-typed, and quick, since it runs in the strategy's own thread.

IB's clients mutate what they hand out: a fill's commission report is filled in later, an order's reference is
overwritten by the next message about it (F6, F12). So everything is read once, at once, into immutable facts. It works
on the objects of ib_insync, of ib_async, and on anything with the same attributes (dictionaries too); nothing of either
is imported. Measured on a small machine: 7 microseconds a message.

Four kinds of message give these facts::

    order              -> OrderUpdate
    status_change      -> OrderUpdate, with the status that the message names
    fill               -> Fill, and Commission when the fill already carries its report
    commission_report  -> Fill (the one it belongs to, which may be unknown until now: F3), Commission

Whatever else comes in ends as ``Unreadable`` with the reason; no other exception leaves ``message_facts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from engine.broker.shapes import parse_raw, raw_text, shaped
from engine.broker.values import decimal_of, name_of, parse_time, text_of, whole_of
from engine.core.events import AnyFact, Commission, Fill, FillSource, OrderSource, OrderUpdate
from engine.core.ids import UNASSIGNED
from engine.core.instrument import ONE, Instrument
from engine.errors import Unreadable

__all__ = [
    "commission_fact",
    "decimal_of",
    "facts_from_raw",
    "fill_fact",
    "instrument_of",
    "message_facts",
    "order_fact",
    "parse_time",
    "raw_text",
    "strategy_of",
]

_SIGNS: Final = {"BOT": 1, "SLD": -1, "BUY": 1, "SELL": -1, "SSHORT": -1}
_SIDES: Final = {"BUY": "BUY", "SELL": "SELL", "BOT": "BUY", "SLD": "SELL", "SSHORT": "SELL"}
_RIGHTS: Final = {"C": "C", "CALL": "C", "P": "P", "PUT": "P"}
_NOTHING: Final = (Decimal(0), Decimal(-1))
_CACHE_SIZE: Final = 4096
_instruments: dict[tuple[Any, ...], Instrument] = {}


def instrument_of(contract: Any, *, required: bool = True) -> Instrument:
    """Freeze a contract.

    The same contract gives the same object again, so that a busy day does not make one for every fill.

    Args:
        contract: Of the execution or position, never of the order where both exist (F11).
        required: Refuse a contract without an id, since nothing is booked by symbol. Orders may come without.

    Raises:
        Unreadable: The id is missing although required, or the multiplier is no positive number.
    """
    key = (
        getattr(contract, "conId", 0),
        getattr(contract, "symbol", ""),
        getattr(contract, "secType", ""),
        getattr(contract, "exchange", ""),
        getattr(contract, "currency", ""),
        getattr(contract, "multiplier", ""),
        getattr(contract, "localSymbol", ""),
        getattr(contract, "lastTradeDateOrContractMonth", ""),
        getattr(contract, "strike", 0),
        getattr(contract, "right", ""),
        getattr(contract, "tradingClass", ""),
        getattr(contract, "primaryExchange", ""),
    )
    try:
        found = _instruments.get(key)
    except TypeError:
        raise Unreadable("a field of the contract is a collection") from None
    if found is None:
        found = _instrument(key)
        if len(_instruments) >= _CACHE_SIZE:
            _instruments.clear()
        _instruments[key] = found
    if required and not found.con_id:
        raise Unreadable("contract.conId is 0: nothing is booked by symbol alone")
    return found


def _instrument(key: tuple[Any, ...]) -> Instrument:
    con_id, symbol, sec_type, exchange, currency, multiplier, local, expiry, strike, right, trading_class, primary = key
    number = whole_of(con_id)
    if number < 0:
        raise Unreadable(f"contract.conId is {number}")
    option = _RIGHTS.get(text_of(right).upper(), "")
    strike_price = decimal_of(strike)
    return Instrument(
        con_id=number,
        symbol=text_of(symbol, 200),
        sec_type=text_of(sec_type, 20).upper(),
        currency=text_of(currency, 20).upper(),
        local_symbol=text_of(local, 200),
        exchange=text_of(exchange, 50) or text_of(primary, 50),
        multiplier=multiplier_of(multiplier),
        # Contract details append a time of day and a zone to the date of the last trade.
        expiry=text_of(expiry, 50).partition(" ")[0],
        strike=strike_price if strike_price or option else None,
        right=option,
        trading_class=text_of(trading_class, 50),
    )


def multiplier_of(value: Any) -> Decimal:
    """Read a multiplier: empty and ``0``, which IB sends for what has none, count as 1 (F89).

    Raises:
        Unreadable: It is no number, or negative.
    """
    number = decimal_of(value)
    if not number:
        return ONE
    if number < 0:
        raise Unreadable(f"contract.multiplier is {number}")
    return number


def fill_fact(
    strategy: str | None,
    trade: Any,
    fill: Any,
    *,
    received_at: datetime,
    source: FillSource = "live",
    default_zone: str = "",
) -> Fill:
    """Freeze one execution.

    Args:
        strategy: Who the message says it belongs to; ``None`` when nobody said.
        trade: The order's, only asked for an order reference that the execution lacks; may be ``None``.
        fill: With ``contract``, ``execution`` and, as second best time, ``time``.
        default_zone: Zone of times that name none.

    Raises:
        Unreadable: Account, id, side, quantity, price or contract is missing or makes no sense.
    """
    execution = getattr(fill, "execution", None)
    contract = getattr(fill, "contract", None)
    if execution is None or contract is None:
        raise Unreadable(f"the fill has no {'execution' if execution is None else 'contract'}")
    instrument = instrument_of(contract)
    quantity = _required("execution.shares", getattr(execution, "shares", None))
    if quantity < 0:
        raise Unreadable(f"execution.shares is {quantity}: IB gives the direction in execution.side")
    executed_at, uncertain = parse_time(getattr(execution, "time", None), default_zone)
    time_text = ""
    if uncertain:
        time_text = text_of(str(getattr(execution, "time", "")), 100)
    elif executed_at is None:
        # When the packet arrived, which is the best there is (F30).
        executed_at = parse_time(getattr(fill, "time", None), default_zone)[0]
    order_ref = text_of(getattr(execution, "orderRef", ""))
    if not order_ref and trade is not None:
        order_ref = text_of(getattr(getattr(trade, "order", None), "orderRef", ""))
    return Fill(
        received_at=received_at,
        account=name_of(getattr(execution, "acctNumber", None), "execution.acctNumber", 50),
        exec_id=name_of(getattr(execution, "execId", None), "execution.execId"),
        instrument=instrument,
        quantity=quantity if _sign(getattr(execution, "side", None)) > 0 else -quantity,
        price=_required("execution.price", getattr(execution, "price", None)),
        executed_at=executed_at,
        time_text=time_text,
        strategy=strategy,
        order_ref=order_ref,
        perm_id=whole_of(getattr(execution, "permId", 0)),
        order_id=whole_of(getattr(execution, "orderId", 0)),
        client_id=whole_of(getattr(execution, "clientId", 0)),
        exchange=text_of(getattr(execution, "exchange", ""), 50),
        cum_quantity=decimal_of(getattr(execution, "cumQty", None)),
        avg_price=decimal_of(getattr(execution, "avgPrice", None)) or None,
        liquidation=whole_of(getattr(execution, "liquidation", 0)) != 0,
        provisional_price=bool(getattr(execution, "pendingPriceRevision", False)),
        source=source,
    )


def _required(what: str, value: Any) -> Decimal:
    try:
        number = decimal_of(value)
    except Unreadable as error:
        raise Unreadable(f"{what}: {error}") from None
    if number is None:
        raise Unreadable(f"{what} is not set")
    return number


def _sign(side: Any) -> int:
    sign = _SIGNS.get(side) if type(side) is str else None
    if sign is None:
        sign = _SIGNS.get(text_of(side, 20).strip().upper())
        if sign is None:
            raise Unreadable(f"execution.side is {text_of(side, 20)!r}, neither BOT nor SLD")
    return sign


def commission_fact(
    report: Any,
    *,
    received_at: datetime,
    source: FillSource = "live",
    exec_id: str = "",
    exact: bool = False,
) -> Commission | None:
    """Freeze a commission report.

    The unset amount comes as the largest double, NaN, ``None``, or -1 without a currency; all of them leave the fee
    pending (F36, R4). -1 *with* a currency may be a real rebate and is kept (F38), and so is a zero with one.

    Args:
        exec_id: The execution it hangs on, used only when the report itself names none but has an amount.
        exact: The report has IB's own sentinels. The client libraries turn an unset realized P&L into 0.0, so that from
            them a zero means nothing and is left unknown (F37, R28).

    Returns:
        ``None`` for an empty report: the one a fresh fill carries until the real one comes.

    Raises:
        Unreadable: A field makes no sense.
    """
    currency = text_of(getattr(report, "currency", ""), 20).upper()
    amount = decimal_of(getattr(report, "commission", None))
    if not currency and amount in _NOTHING:
        amount = None
    own_id = text_of(getattr(report, "execId", ""), 200)
    if not own_id:
        if amount is None:
            return None
        own_id = name_of(exec_id, "report.execId")
    pnl = decimal_of(getattr(report, "realizedPNL", None))
    return Commission(
        received_at=received_at,
        exec_id=own_id,
        amount=amount,
        currency=currency,
        ib_realized_pnl=pnl if pnl or exact else None,
        source=source,
    )


def order_fact(
    strategy: str | None,
    trade: Any,
    status: str | None = None,
    *,
    received_at: datetime,
    source: OrderSource = "live",
) -> OrderUpdate:
    """Freeze one sight of an order.

    Args:
        trade: With ``contract``, ``order``, ``orderStatus``, ``log``.
        status: The status to record; ``None`` takes the one the trade has.

    Raises:
        Unreadable: A field makes no sense.
    """
    order = getattr(trade, "order", None)
    seen = getattr(trade, "orderStatus", None)
    contract = getattr(trade, "contract", None)
    if order is None:
        raise Unreadable("the trade has no order")
    instrument = None if contract is None else instrument_of(contract, required=False)
    if instrument is not None and not instrument.con_id and not instrument.symbol:
        instrument = None
    perm_id = whole_of(getattr(order, "permId", 0)) or whole_of(getattr(seen, "permId", 0))
    word = text_of(getattr(seen, "status", "") if status is None else status, 50)
    message, error_code, status_at = _last_word(trade)
    filled = decimal_of(getattr(seen, "filled", None))
    remaining = decimal_of(getattr(seen, "remaining", None))
    if not filled and not remaining:  # a fresh status object has two zeros, which were never reported
        filled = remaining = None
    order_type = text_of(getattr(order, "orderType", ""), 50)
    limit = decimal_of(getattr(order, "lmtPrice", None))
    return OrderUpdate(
        received_at=received_at,
        account=text_of(getattr(order, "account", ""), 50) or _filled_account(trade),
        perm_id=perm_id,
        order_id=whole_of(getattr(order, "orderId", 0)) or whole_of(getattr(seen, "orderId", 0)),
        client_id=whole_of(getattr(order, "clientId", 0)) or whole_of(getattr(seen, "clientId", 0)),
        strategy=strategy,
        order_ref=text_of(getattr(order, "orderRef", "")),
        instrument=instrument,
        side=_SIDES.get(text_of(getattr(order, "action", ""), 20).upper(), ""),
        quantity=decimal_of(getattr(order, "totalQuantity", None)) or None,
        order_type=order_type,
        limit_price=limit if limit or "LMT" in order_type or "LIMIT" in order_type else None,
        stop_price=decimal_of(getattr(order, "auxPrice", None)) or None,
        tif=text_of(getattr(order, "tif", ""), 20),
        parent_id=whole_of(getattr(order, "parentId", 0)) or whole_of(getattr(seen, "parentId", 0)),
        oca_group=text_of(getattr(order, "ocaGroup", ""), 200),
        status=word,
        filled=filled,
        remaining=remaining,
        avg_fill_price=decimal_of(getattr(seen, "avgFillPrice", None)) or None,
        why_held=text_of(getattr(seen, "whyHeld", ""), 200),
        message=message,
        error_code=error_code,
        status_at=status_at,
        local=invented(word, perm_id, error_code),
        source="error" if error_code and source == "live" else source,
    )


def invented(status: str, perm_id: int, error_code: int) -> bool:
    """True when the client library made the status up, and IB has not said it.

    ``PendingSubmit`` stands in an order from the moment it is placed; ``Cancelled`` is set by almost any error that
    names the order, filled ones included (F66); ib_async has two words of its own (F61).
    """
    return (
        (status == "PendingSubmit" and not perm_id)
        or (status == "Cancelled" and error_code != 0)
        or status in {"ValidationError", "ApiUpdate"}
    )


def _last_word(trade: Any) -> tuple[str, int, datetime | None]:
    """Message, error code and time of the order's last log entry; a line about a fill is no message about the order."""
    log = getattr(trade, "log", None)
    if not log:
        return text_of(getattr(trade, "advancedError", "")), 0, None
    entry = log[-1]
    code = whole_of(getattr(entry, "errorCode", 0))
    message = text_of(getattr(entry, "message", ""))
    if not code and message.startswith("Fill "):
        message = ""
    return message or text_of(getattr(trade, "advancedError", "")), code, parse_time(getattr(entry, "time", None))[0]


def _filled_account(trade: Any) -> str:
    """Orders placed on a login with one account mostly name none; their executions do."""
    fills = getattr(trade, "fills", None)
    return text_of(getattr(getattr(fills[-1], "execution", None), "acctNumber", ""), 50) if fills else ""


def strategy_of(value: Any) -> str | None:
    """Read the strategy of a message; the reserved name says no more than "nobody's" and gives ``None``.

    Raises:
        Unreadable: It is no text, or empty.
    """
    name = name_of(value, "strategy")
    return None if name == UNASSIGNED else name


def message_facts(message: Any, received_at: datetime, *, default_zone: str = "") -> list[AnyFact]:
    """Turn a strategy's message into facts, freezing what it carries.

    Args:
        message: As the contract has it: ``type``, ``strategy``, ``trade`` and by type ``fill``, ``report``, ``status``.
        default_zone: Zone of times that name none.

    Returns:
        One or two facts, the fill before its commission.

    Raises:
        Unreadable: Anything else than that; the reason names the field. Nothing else is raised, whatever the message.
    """
    try:
        return _message_facts(message, received_at, default_zone)
    except Unreadable:
        raise
    except Exception as error:
        # The attributes of a foreign object may raise what they like; the strategy's thread must not see it.
        raise Unreadable(f"reading it raised {type(error).__name__}") from error


def _message_facts(message: Any, received_at: datetime, zone: str) -> list[AnyFact]:
    if not isinstance(message, Mapping):
        raise Unreadable(f"the message is a {type(message).__name__}, not a mapping")
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _KINDS:
        shown = repr(text_of(kind, 50)) if isinstance(kind, str) else type(kind).__name__
        raise Unreadable(f"unknown message type {shown}" if kind is not None else "the message has no type")
    strategy = strategy_of(message.get("strategy"))
    for part in _KINDS[kind]:
        if part not in message:
            raise Unreadable(f"a {kind} message needs {part!r}")
    trade = shaped(message["trade"])
    if kind in {"order", "status_change"}:
        status = _status(message["status"]) if kind == "status_change" else None
        return [order_fact(strategy, trade, status, received_at=received_at)]
    fill = shaped(message["fill"])
    if kind == "fill":
        facts: list[AnyFact] = [fill_fact(strategy, trade, fill, received_at=received_at, default_zone=zone)]
        report = getattr(fill, "commissionReport", None)
        known = ""
    else:
        facts = []
        if fill is not None:
            facts.append(fill_fact(strategy, trade, fill, received_at=received_at, default_zone=zone))
        report = shaped(message["report"])
        if report is None:
            raise Unreadable("the message has no commission report")
        known = getattr(facts[0], "exec_id", "") if facts else ""
    commission = None if report is None else commission_fact(report, received_at=received_at, exec_id=known)
    if commission is not None:
        facts.append(commission)
    if not facts:
        raise Unreadable("the commission report names no execution")
    return facts


def facts_from_raw(raw: str, received_at: datetime, *, default_zone: str = "") -> list[AnyFact]:
    """Read a quarantined message again, after a fix or by an operator's wish.

    Args:
        raw: As :func:`raw_text` wrote it.

    Raises:
        Unreadable: It still cannot be read, or what was written down of it is not whole.
    """
    return message_facts(parse_raw(raw), received_at, default_zone=default_zone)


_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "order": ("trade",),
    "status_change": ("trade", "status"),
    "fill": ("trade", "fill"),
    "commission_report": ("trade", "fill", "report"),
}


def _status(value: Any) -> str:
    word = getattr(value, "status", value)
    return name_of(word, "status", 50)
