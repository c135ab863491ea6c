"""IB's messages by their fields, before a client library converts them, or drops them.

The libraries turn the wire's decimal texts into floats and its "not set" into 0.0, lose an execution whose time zone
this machine does not know (F29), and log and forget what they cannot decode (F9). So the messages that books are made
of are read here, from the texts. The layouts are those of protocol versions 157 to 178, which differ in these messages
by additional last fields only. A reading has the attributes that the libraries' objects have, so that one translation
serves both.
"""

from __future__ import annotations

from typing import Any, Final

from engine.broker.shapes import Shape
from engine.broker.values import whole_of
from engine.errors import Unreadable

ORDER_STATUS: Final = "3"
ERROR: Final = "4"
OPEN_ORDER: Final = "5"
ACCOUNT_VALUE: Final = "6"
PORTFOLIO: Final = "7"
CONTRACT_DETAILS: Final = "10"
EXECUTION: Final = "11"
MANAGED_ACCOUNTS: Final = "15"
BOND_DETAILS: Final = "18"
CURRENT_TIME: Final = "49"
DETAILS_END: Final = "52"
OPEN_ORDERS_END: Final = "53"
ACCOUNT_END: Final = "54"
EXECUTIONS_END: Final = "55"
COMMISSION: Final = "59"
POSITION: Final = "61"
POSITIONS_END: Final = "62"
ACCOUNT_MULTI: Final = "73"
ACCOUNT_MULTI_END: Final = "74"
COMPLETED_ORDER: Final = "101"
COMPLETED_END: Final = "102"

_CONTRACT: Final = (
    "conId",
    "symbol",
    "secType",
    "lastTradeDateOrContractMonth",
    "strike",
    "right",
    "multiplier",
    "exchange",
    "currency",
    "localSymbol",
    "tradingClass",
)
_EXECUTION: Final = (
    "execId",
    "time",
    "acctNumber",
    "exchange",
    "side",
    "shares",
    "price",
    "permId",
    "clientId",
    "liquidation",
    "cumQty",
    "avgPrice",
    "orderRef",
    "evRule",
    "evMultiplier",
    "modelCode",
    "lastLiquidity",
)
_STATUS: Final = (
    "orderId",
    "status",
    "filled",
    "remaining",
    "avgFillPrice",
    "permId",
    "parentId",
    "lastFillPrice",
    "clientId",
    "whyHeld",
)


def _need(fields: list[str], count: int, what: str) -> None:
    if len(fields) < count:
        raise Unreadable(f"{what} of {len(fields)} fields, {count} expected")


def request_id(fields: list[str], place: int) -> int:
    """The request that a message answers, -1 for none.

    Raises:
        Unreadable: It is missing or no number.
    """
    _need(fields, place + 1, "a message")
    return whole_of(fields[place])


def execution(fields: list[str]) -> tuple[int, Shape]:
    """Read message 11.

    Returns:
        Request id (-1 for a live execution), and ``contract`` and ``execution`` as a library's ``Fill`` has them.

    Raises:
        Unreadable: Fields are missing.
    """
    _need(fields, 31, "an execution")
    report: dict[str, Any] = dict(zip(_EXECUTION, fields[14:31], strict=True))
    report["orderId"] = fields[2]
    report["pendingPriceRevision"] = len(fields) > 31 and fields[31] == "1"
    contract = dict(zip(_CONTRACT, fields[3:14], strict=True))
    return whole_of(fields[1]), Shape({"contract": contract, "execution": report})


def execution_key(fields: list[str]) -> tuple[str, ...]:
    """What an execution is known by: message, account and id.

    Raises:
        Unreadable: Fields are missing.
    """
    _need(fields, 31, "an execution")
    return fields[0], fields[16], fields[14]


def traded(fields: list[str]) -> tuple[int, str]:
    """The permId and the account of an execution's order; 0 where the permId is none.

    Raises:
        Unreadable: The permId is no number.
    """
    return whole_of(fields[21]), fields[16]


def commission_key(fields: list[str]) -> tuple[str, ...]:
    """What a commission report is known by: message and execution's id.

    Raises:
        Unreadable: Fields are missing.
    """
    _need(fields, 6, "a commission report")
    return fields[0], fields[2]


def commission(fields: list[str]) -> Shape:
    """Read message 59.

    Raises:
        Unreadable: Fields are missing.
    """
    _need(fields, 6, "a commission report")
    return Shape({"execId": fields[2], "commission": fields[3], "currency": fields[4], "realizedPNL": fields[5]})


def position(fields: list[str]) -> tuple[str, Shape]:
    """Read message 61.

    Returns:
        Account, and ``contract``, ``position``, ``avgCost``.

    Raises:
        Unreadable: Fields are missing.
    """
    _need(fields, 16, "a position")
    contract = dict(zip(_CONTRACT, fields[3:14], strict=True))
    return fields[2], Shape({"contract": contract, "position": fields[14], "avgCost": fields[15]})


def portfolio(fields: list[str]) -> tuple[str, Shape]:
    """Read message 7.

    Returns:
        Account, and ``contract``, ``position``, ``marketPrice`` (in quoted units).

    Raises:
        Unreadable: Fields are missing.
    """
    _need(fields, 20, "a portfolio row")
    contract = dict(zip(_CONTRACT, fields[2:13], strict=True))
    return fields[19], Shape({"contract": contract, "position": fields[13], "marketPrice": fields[14]})


def order_status(fields: list[str]) -> Shape:
    """Read message 3.

    Raises:
        Unreadable: Fields are missing.
    """
    _need(fields, 11, "an order status")
    return Shape(dict(zip(_STATUS, fields[1:11], strict=True)))


def error(fields: list[str]) -> tuple[int, int, str]:
    """Read message 4: request or order id (-1 for none), code, text with what IB adds about a reject.

    Raises:
        Unreadable: Fields are missing or no numbers.
    """
    _need(fields, 5, "an error")
    text = fields[4]
    if len(fields) > 5 and fields[5]:
        text = f"{text} {fields[5]}"
    return whole_of(fields[2]), whole_of(fields[3]), text[:2000]
