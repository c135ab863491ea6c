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

import msgspec

from engine.broker import wire
from engine.broker.instruments import instrument_of
from engine.broker.orders import order_fact
from engine.broker.shapes import Attributes, parse_raw, raw_text, shaped
from engine.broker.values import USUAL, decimal_of, name_of, parse_time, plain, text_of, whole_of
from engine.core.events import AnyFact, Commission, Fill, FillSource
from engine.core.ids import UNASSIGNED
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
    "wire_facts",
]

_EXECUTION: Final = Attributes(
    acctNumber=None,
    side=None,
    exchange="",
    execId=None,
    orderRef="",
    permId=0,
    orderId=0,
    clientId=0,
    liquidation=0,
    shares=None,
    price=None,
    cumQty=None,
    avgPrice=None,
    time=None,
)
_REPORT: Final = Attributes(execId="", currency="", commission=None, realizedPNL=None)
_SIGNS: Final = {"BOT": 1, "SLD": -1, "BUY": 1, "SELL": -1, "SSHORT": -1}
_NOTHING: Final = (Decimal(0), Decimal(-1))
_LONGEST_EXCHANGE: Final = 50
_LONGEST_STRATEGY: Final = 4096
"""Longer than any name a person gives; a book is made for every name, and this bounds what a hostile one costs."""


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
    # fmt: off
    (account, side, exchange, exec_id, order_ref, perm_id, order_id, client_id, liquidation,
     shares, price, cum_quantity, avg_price, time) = _EXECUTION(execution)
    # fmt: on
    # What is as nearly always is asked for in one: a function call for each field is what a strategy would wait for.
    if not (
        type(exchange) is type(order_ref) is str
        and type(perm_id) is type(order_id) is type(client_id) is type(liquidation) is int
        and 0 <= perm_id | order_id | client_id | liquidation < USUAL
        and len(exchange) <= _LONGEST_EXCHANGE
        and plain(exchange + order_ref)
    ):
        exchange, order_ref = text_of(exchange, _LONGEST_EXCHANGE), text_of(order_ref)
        perm_id, order_id, client_id = whole_of(perm_id), whole_of(order_id), whole_of(client_id)
        liquidation = whole_of(liquidation)
    quantity = _required("execution.shares", shares)
    if quantity < 0:
        raise Unreadable(f"execution.shares is {quantity}: IB gives the direction in execution.side")
    executed_at, uncertain = parse_time(time, default_zone)
    time_text = ""
    if uncertain:
        time_text = text_of(str(time), 100)
    elif executed_at is None:
        # When the packet arrived, which is the best there is (F30).
        executed_at = parse_time(getattr(fill, "time", None), default_zone)[0]
    if not order_ref and trade is not None:
        order_ref = text_of(getattr(getattr(trade, "order", None), "orderRef", ""))
    # Not among the others: the client libraries' executions lack it, and would be asked for each attribute by itself.
    liquidated, provisional = liquidation != 0, bool(getattr(execution, "pendingPriceRevision", False))
    # In two steps: CPython makes a dictionary for a call with more than fifteen keywords, which takes four times as long.
    fact = Fill(
        received_at=received_at,
        account=name_of(account, "execution.acctNumber", 50),
        exec_id=name_of(exec_id, "execution.execId"),
        instrument=instrument,
        quantity=quantity if _sign(side) > 0 or not quantity else quantity.copy_negate(),
        price=_required("execution.price", price),
        executed_at=executed_at,
        strategy=strategy,
        order_ref=order_ref,
        perm_id=perm_id,
        order_id=order_id,
        client_id=client_id,
        exchange=exchange,
        cum_quantity=decimal_of(cum_quantity),
        avg_price=decimal_of(avg_price) or None,
    )
    if source == "live" and not (time_text or liquidated or provisional):
        return fact
    return msgspec.structs.replace(
        fact, time_text=time_text, liquidation=liquidated, provisional_price=provisional, source=source
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
    own_id, currency, amount, pnl = _REPORT(report)
    currency = text_of(currency, 20).upper()
    amount = decimal_of(amount)
    if not currency and amount in _NOTHING:
        amount = None
    own_id = text_of(own_id, 200)
    if not own_id:
        if amount is None:
            return None
        own_id = name_of(exec_id, "report.execId")
    pnl = decimal_of(pnl)
    return Commission(
        received_at=received_at,
        exec_id=own_id,
        amount=amount,
        currency=currency,
        ib_realized_pnl=pnl if pnl or exact else None,
        source=source,
    )


def strategy_of(value: Any) -> str | None:
    """Read the strategy of a message; the reserved name says no more than "nobody's" and gives ``None``.

    Raises:
        Unreadable: It is no text, or empty.
    """
    name = name_of(value, "strategy", _LONGEST_STRATEGY)
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
    if type(message) is not dict and not isinstance(message, Mapping):
        raise Unreadable(f"the message is a {type(message).__name__}, not a mapping")
    kind = message.get("type")
    parts = _KINDS.get(kind) if type(kind) is str else None
    if parts is None:
        shown = repr(text_of(kind, 50)) if isinstance(kind, str) else type(kind).__name__
        raise Unreadable(f"unknown message type {shown}" if kind is not None else "the message has no type")
    strategy = strategy_of(message.get("strategy"))
    for part in parts:
        if part not in message:
            raise Unreadable(f"a {kind} message needs {part!r}")
    trade = shaped(message["trade"])
    if kind == "status_change" or kind == "order":  # noqa: PLR1714 - a set is hashed into for every message
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
    message = parse_raw(raw)
    if isinstance(message, dict) and "wire" in message:
        return wire_facts(message["wire"], received_at, default_zone=default_zone)
    return message_facts(message, received_at, default_zone=default_zone)


def wire_facts(fields: Any, received_at: datetime, *, default_zone: str = "") -> list[AnyFact]:
    """Turn the wire's own execution (11) or commission report (59) into a fact, the numbers exact from their text.

    Args:
        fields: All fields of the message, texts.

    Raises:
        Unreadable: It is another message, or a field is missing or makes no sense.
    """
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        raise Unreadable("not the fields of a message")
    kind = fields[0] if fields else ""
    if kind == wire.EXECUTION:
        request, fill = wire.execution(fields)
        source: FillSource = "live" if request < 0 else "replay"
        return [fill_fact(None, None, fill, received_at=received_at, source=source, default_zone=default_zone)]
    if kind == wire.COMMISSION:
        found = commission_fact(wire.commission(fields), received_at=received_at, exact=True)
        if found is not None:
            return [found]
        raise Unreadable("the commission report names no execution")
    raise Unreadable(f"message {kind[:20]!r} cannot be read again")


_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "order": ("trade",),
    "status_change": ("trade", "status"),
    "fill": ("trade", "fill"),
    "commission_report": ("trade", "fill", "report"),
}


def _status(value: Any) -> str:
    return name_of(value if type(value) is str else getattr(value, "status", value), "status", 50)
