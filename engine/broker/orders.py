"""Orders into sights of orders. What the client library made up is marked, so that the books can doubt it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from engine.broker.instruments import instrument_of
from engine.broker.shapes import Attributes
from engine.broker.values import USUAL, decimal_of, parse_time, plain, text_of, whole_of
from engine.core.events import OrderSource, OrderUpdate
from engine.errors import Unreadable

_ORDER: Final = Attributes(
    account="",
    orderType="",
    orderRef="",
    action="",
    tif="",
    ocaGroup="",
    permId=0,
    orderId=0,
    clientId=0,
    parentId=0,
    totalQuantity=None,
    lmtPrice=None,
    auxPrice=None,
)
_STATUS: Final = Attributes(
    status="", whyHeld="", permId=0, orderId=0, clientId=0, parentId=0, filled=None, remaining=None, avgFillPrice=None
)
_LONGEST_WORD: Final = 50
_LONGEST_TIF: Final = 20
_SIDES: Final = {"BUY": "BUY", "SELL": "SELL", "BOT": "BUY", "SLD": "SELL", "SSHORT": "SELL"}


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
    # fmt: off
    (account, kind, reference, action, tif, group, perm, number, client, parent,
     total, limit, aux) = _ORDER(order)
    (seen_word, held, seen_perm, seen_number, seen_client, seen_parent,
     filled, remaining, average) = _STATUS(seen)
    # fmt: on
    word = seen_word if status is None else status
    # What is as nearly always is asked for in one: a function call for each field is what a strategy would wait for.
    if not (
        type(account) is type(kind) is type(reference) is type(tif) is type(group) is type(word) is type(held) is str
        and type(perm) is type(number) is type(client) is type(parent) is int
        and type(seen_perm) is type(seen_number) is type(seen_client) is type(seen_parent) is int
        and 0 <= perm | number | client | parent | seen_perm | seen_number | seen_client | seen_parent < USUAL
        and plain(f"{account}{kind}{tif}{word}")
        and len(account) <= _LONGEST_WORD >= len(kind)
        and len(word) <= _LONGEST_WORD
        and len(tif) <= _LONGEST_TIF
        and plain(f"{reference}{group}{held}")
    ):
        account, kind, word = (text_of(text, _LONGEST_WORD) for text in (account, kind, word))
        reference, tif, group, held = (
            text_of(reference),
            text_of(tif, _LONGEST_TIF),
            text_of(group, 200),
            text_of(held, 200),
        )
        perm, number, client, parent = map(whole_of, (perm, number, client, parent))
        seen_perm, seen_number, seen_client, seen_parent = map(
            whole_of, (seen_perm, seen_number, seen_client, seen_parent)
        )
    perm = perm or seen_perm
    message, error_code, status_at = _last_word(trade)
    filled, remaining = decimal_of(filled), decimal_of(remaining)
    if not filled and not remaining:  # a fresh status object has two zeros, which were never reported
        filled = remaining = None
    limit = decimal_of(limit)
    # In two steps: CPython makes a dictionary for a call with more than fifteen keywords, which takes four times as long.
    seen_now = OrderUpdate(
        received_at=received_at,
        account=account or _filled_account(trade),
        perm_id=perm,
        order_id=number or seen_number,
        client_id=client or seen_client,
        strategy=strategy,
        order_ref=reference,
        instrument=instrument,
        side=_side(action),
        quantity=decimal_of(total) or None,
        order_type=kind,
        status=word,
        filled=filled,
        remaining=remaining,
        avg_fill_price=decimal_of(average) or None,
    )
    return msgspec.structs.replace(
        seen_now,
        limit_price=limit if limit or "LMT" in kind or "LIMIT" in kind else None,
        stop_price=decimal_of(aux) or None,
        tif=tif,
        parent_id=parent or seen_parent,
        oca_group=group,
        why_held=held,
        message=message,
        error_code=error_code,
        status_at=status_at,
        local=invented(word, perm, error_code),
        source="error" if error_code and source == "live" else source,
    )


def _side(action: Any) -> str:
    side = _SIDES.get(action) if type(action) is str else None
    return _SIDES.get(text_of(action, 20).upper(), "") if side is None else side


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
