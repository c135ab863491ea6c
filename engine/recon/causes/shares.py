"""Who gets which part of an event that the broker only tells for the net position.

The policy is pro rata over the strategies that hold the instrument in the direction of the net position, in whole
contracts where the event comes in whole contracts: each gets the floor of its share, and what is left goes to the
largest remainders, by name between equals. A proposal says so, and the operator may choose otherwise (F102).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_DOWN, Decimal
from typing import Final

from engine.core.events import AssignmentLeg
from engine.core.ids import UNASSIGNED
from engine.core.records import PositionRecord
from engine.recon.evidence import ZERO, Side

_ONE: Final = Decimal(1)


def split_pro_rata(quantity: Decimal, holdings: dict[str, Decimal]) -> dict[str, Decimal]:
    """Divide a signed quantity in proportion to unsigned weights.

    Args:
        quantity: What is to be divided.
        holdings: Name -> weight (its absolute value counts).

    Returns:
        Name -> part; the parts add up to ``quantity`` exactly, and are whole when it is.
    """
    weight = sum((abs(h) for h in holdings.values()), ZERO)
    if not weight:
        return {}
    whole = quantity == quantity.to_integral_value()
    step = _ONE if whole else Decimal("0.00000001")
    sign = 1 if quantity >= 0 else -1
    size = abs(quantity)
    exact = {name: size * abs(h) / weight for name, h in holdings.items()}
    parts = {name: e.quantize(step, rounding=ROUND_DOWN) for name, e in exact.items()}
    left = size - sum(parts.values(), ZERO)
    for name in sorted(parts, key=lambda n: (parts[n] - exact[n], n)):
        give = min(step, left)
        parts[name] += give
        left -= give
    if left:
        first = next(iter(parts))
        parts[first] += left
    return {name: part * sign for name, part in parts.items() if part}


def pro_rata(side: Side, quantity: Decimal, price: Decimal) -> tuple[AssignmentLeg, ...]:
    """Legs of an event over the strategies that hold the instrument; UNASSIGNED takes all when nobody does."""
    holdings = holders(side.books, side.books_quantity)
    if not holdings:
        return (AssignmentLeg(strategy=UNASSIGNED, quantity=quantity, price=price),)
    parts = split_pro_rata(quantity, holdings)
    return tuple(AssignmentLeg(strategy=s, quantity=q, price=price) for s, q in parts.items())


def holders(books: Iterable[PositionRecord], net: Decimal) -> dict[str, Decimal]:
    """Strategies that hold in the direction of the net position."""
    return {b.strategy: b.quantity for b in books if b.quantity * net > 0}
