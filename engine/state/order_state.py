"""Which state an order is in, from the broker's words and the executions. Pure.

IB's words alone do not say it: duplicates are normal and words go missing (F62), a client library invents ``Cancelled``
from nearly any error (F66), stale lists show finished orders (F53), and executions come after every final word (R9, F65).
So executions count where there are any, the broker's final words stick, and invented ones only make the state unknown.

========================  ==============================================================================================
state                     when
========================  ==============================================================================================
PendingSubmit, Submitted  and every other word of the broker, unknown ones too (F61), while nothing is executed
PartiallyFilled           something is executed, not everything, nothing final was said
Filled                    the broker said so, or the executions make up the quantity (F62)
Cancelled                 the broker said so, nothing is executed
Cancelled, filled 5       the broker said so, something is executed, before or after (R9, F65a)
Inactive                  held or refused for now; may revive (F69, R32); never final
Rejected                  refused for good: error 201 on an order that never worked (R21, F68); executions still count
Unknown                   the client library invented a cancellation, IB has not confirmed it (F66)
========================  ==============================================================================================
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from engine.core.events import OrderUpdate

CANCELLED: Final = frozenset({"Cancelled", "ApiCancelled"})
WORKING: Final = frozenset({"PreSubmitted", "Submitted"})
_PENDING_CANCEL: Final = frozenset({"PendingCancel", "PreCancelled"})
_PLACEHOLDERS: Final = frozenset({"PendingSubmit", "ApiPending", "ApiUpdate"})
REJECTED_CODE: Final = 201
DATA_CODES: Final = frozenset(
    {162, 165, 200, 300, 310, 317, 322, 354, 366, 10089, 10090, 10092, 10167, 10168, 10186, 10189, 10197}
)
"""Errors of data requests, whose numbers share one space with order ids: they say nothing about an order (F73)."""


def accepts(word: str, local: bool, update: OrderUpdate) -> bool:
    """Whether a sight's word replaces the one in force.

    Args:
        word: In force, empty for none.
        local: The word in force was invented by the client library.
    """
    new = update.status
    if not new:
        return False
    if update.local and new in CANCELLED and update.error_code in DATA_CODES:
        return False
    if not word or local:
        return not (update.local and new in _PLACEHOLDERS and word in CANCELLED)
    if word == "Filled":
        return False
    if word in CANCELLED:
        return new == "Filled"
    return not (update.local and new in _PLACEHOLDERS)


def derive(word: str, *, local: bool, rejected: bool, executed: Decimal, total: Decimal | None) -> tuple[str, bool]:
    """The state and whether the order may still trade.

    Args:
        word: In force.
        local: The client library invented it.
        rejected: Error 201 came and the order had never worked.
        executed: Unsigned, from executions.
        total: Unsigned, the broker's latest; ``None`` when unknown.
    """
    complete = total is not None and 0 < total <= executed
    if word == "Filled":
        return "Filled", False
    if rejected:
        return (f"Rejected, filled {plain(executed)}", not complete) if executed else ("Rejected", False)
    if word in CANCELLED:
        if executed:
            return f"Cancelled, filled {plain(executed)}", local and not complete
        return ("Unknown", True) if local else ("Cancelled", False)
    if complete:
        return "Filled", False
    if word in _PENDING_CANCEL:
        return "PendingCancel", True
    if executed:
        return "PartiallyFilled", True
    return ("Unknown", True) if word in {"", "ValidationError"} else (word, True)


def plain(number: Decimal) -> str:
    """A quantity as people write it: no exponent, no trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
