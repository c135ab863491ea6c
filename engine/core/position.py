"""Average cost, one fill at a time.

Kept is the signed total paid for what is open (``open_cost``), never the average: with ``cash`` for what the fills
moved, ``realized = open_cost + cash`` then holds exactly, whatever is rounded inside. Worked example (multiplier 1)::

    +100 @ 10   quantity 100   open_cost 1000   realized   0   cash -1000
    -150 @ 12   quantity -50   open_cost -600   realized 200   cash   800     closes 100, opens 50 short at the fill price

A partial close takes ``open_cost * closed / quantity`` along. That quotient may need rounding (34 digits); what stays is
the exact difference, so no rounding is ever lost: the last close takes everything that is left and flat costs exactly 0.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from engine.core.exact import ZERO, add, multiply, quotient, share, subtract

Happened = Literal["opened", "increased", "reduced", "closed", "flipped", "nothing"]


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What is held and what it cost.

    Attributes:
        quantity: Signed, in contracts or shares.
        open_cost: Signed total paid for what is open, instrument currency, multiplier included, without commission.
        realized_pnl: Profit positive, instrument currency, before commission.
    """

    quantity: Decimal = ZERO
    open_cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO

    @property
    def cash(self) -> Decimal:
        """What the fills moved, instrument currency (a buy is negative), without commission."""
        return subtract(self.realized_pnl, self.open_cost)

    def avg_cost(self, multiplier: Decimal) -> Decimal | None:
        """Average price of what is open, currency per unit, without commission; ``None`` when flat."""
        return average(self.quantity, self.open_cost, multiplier)


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What one fill did.

    Attributes:
        position: Afterwards.
        realized_pnl: Of this fill alone, instrument currency, before commission.
        happened: In one word.
    """

    position: Position
    realized_pnl: Decimal
    happened: Happened


def step(quantity: Decimal, open_cost: Decimal, traded: Decimal, value: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Book one fill on bare numbers; the inner loop of every fold.

    Args:
        quantity: Signed, before.
        open_cost: Signed, before, instrument currency.
        traded: Signed quantity of the fill.
        value: Currency that one unit of quantity costs: unit price times multiplier.

    Returns:
        Quantity and open cost afterwards, and the realized P&L of this fill.
    """
    after = add(quantity, traded)
    if not quantity or quantity.is_signed() == traded.is_signed() or not traded:
        return after, add(open_cost, multiply(traded, value)), ZERO
    if not after:
        return ZERO, ZERO, subtract(multiply(quantity, value), open_cost)
    if after.is_signed() == quantity.is_signed():
        moved = share(multiply(open_cost, traded), quantity)
        return after, add(open_cost, moved), subtract(moved, multiply(traded, value))
    return after, multiply(after, value), subtract(multiply(quantity, value), open_cost)


def average(quantity: Decimal, open_cost: Decimal, multiplier: Decimal) -> Decimal | None:
    """Average cost per unit, ``open_cost / (quantity * multiplier)``; ``None`` when flat."""
    if not quantity or not multiplier:
        return None
    return quotient(open_cost, multiply(quantity, multiplier))


def apply_fill(position: Position, traded: Decimal, unit_price: Decimal, multiplier: Decimal) -> Applied:
    """Book one fill at average cost.

    A fill that crosses zero is split there: the first part closes, the rest opens at the fill price.

    Args:
        position: Of the same ``con_id``.
        traded: Signed, in contracts or shares.
        unit_price: Currency per unit, without commission.
        multiplier: Units per contract.

    Returns:
        The new position, the realized P&L (instrument currency, profit positive), and what happened.
    """
    quantity, open_cost, realized = step(
        position.quantity, position.open_cost, traded, multiply(unit_price, multiplier)
    )
    after = Position(quantity=quantity, open_cost=open_cost, realized_pnl=add(position.realized_pnl, realized))
    return Applied(position=after, realized_pnl=realized, happened=_happened(position.quantity, quantity, traded))


def _happened(before: Decimal, after: Decimal, traded: Decimal) -> Happened:
    if not traded:
        return "nothing"
    if not before:
        return "opened"
    if not after:
        return "closed"
    if before.is_signed() != after.is_signed():
        return "flipped"
    return "increased" if before.is_signed() == traded.is_signed() else "reduced"
