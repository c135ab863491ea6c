"""Immutable pictures: the broker's, as typed answers that cannot be mistaken for one another.

"No answer", "no positions" and "flat" are three different things: an account's picture is CONFIRMED (rows, time,
connection epoch), where no row for an instrument means flat, or UNKNOWN (reason), which says nothing at all. Only a
CONFIRMED picture may open or close a break (F124-F128, R3).

They come by the hundred thousand and cannot form cycles, so the garbage collector does not look at them (``gc=False``).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from engine.core.instrument import Instrument


class BrokerPosition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the broker's answer.

    Attributes:
        quantity: Signed.
        broker_avg_cost: As reported: per contract, *with* multiplier and commission, in instrument currency; ``None``
            when unset.
    """

    account: str
    instrument: Instrument
    quantity: Decimal
    broker_avg_cost: Decimal | None = None


class Confirmed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A complete answer for one account.

    Attributes:
        rows: One per ``con_id``, the last one seen before the end marker; flat instruments may be absent.
        requested_at: When we asked; every fill we had by then could be in it.
        answered_at: When the end marker came.
        epoch: Number of the connection that answered.
    """

    account: str
    rows: tuple[BrokerPosition, ...]
    requested_at: datetime
    answered_at: datetime
    epoch: int = 0
    state: Literal["confirmed"] = "confirmed"


class Unknown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """No complete answer for one account, and why."""

    account: str
    reason: str
    requested_at: datetime
    state: Literal["unknown"] = "unknown"


AccountSnapshot = Confirmed | Unknown


class Mark(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The broker's price of one instrument.

    Attributes:
        price: Currency per unit (already divided by the price magnifier).
        at: When the broker said it.
    """

    account: str
    con_id: int
    price: Decimal
    at: datetime


class AccountValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One account value of the broker, e.g. CashBalance in EUR. ``value`` is the broker's text."""

    account: str
    key: str
    value: str
    currency: str = ""
    at: datetime
