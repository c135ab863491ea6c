"""What a quantity that no execution explains is booked at.

The choice, in this order unless the operator names one: *typed*; the broker's *implied cost*; the latest *mark*; else
the entry is refused and a price is asked for. A price is never guessed and never 0 by default.

Implied cost: IB's average cost is per contract, with multiplier and commission. When the broker holds more than the
books in the same direction, what it paid for the rest follows::

    (broker_avg_cost * broker_quantity - open_cost of all books) / (difference * multiplier)

Worked example: the books hold 100 at cost 1,000; IB says 150 at 11.00. Then 50 cost 1,650 - 1,000 = 650, or 13.00 each.
A closing trade leaves IB's average as it was, so it implies no price; neither does a result that is not positive.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal

from engine.errors import AssignmentRefused

PriceSource = Literal["typed", "broker_cost", "mark", "execution"]
SOURCES: Final = ("typed", "broker_cost", "mark", "execution")
_STEP: Final = Decimal("0.00000001")


def implied_price(
    *,
    broker_quantity: Decimal,
    broker_avg_cost: Decimal | None,
    books_quantity: Decimal,
    books_open_cost: Decimal | None,
    multiplier: Decimal,
) -> Decimal | None:
    """The price per unit that the broker's average cost implies for what the books lack.

    Returns:
        Instrument currency per unit, rounded to 8 places (with IB's commission in it), or ``None`` when the figures
        imply nothing.
    """
    difference = broker_quantity - books_quantity
    if broker_avg_cost is None or books_open_cost is None or not difference:
        return None
    if difference * broker_quantity <= 0 or books_quantity * broker_quantity < 0:
        return None
    price = (broker_avg_cost * broker_quantity - books_open_cost) / (difference * multiplier)
    if price <= 0:
        return None
    rounded = price.quantize(_STEP)
    if not rounded:
        return None
    return price if rounded == price else rounded


def choose_price(
    *, price: Decimal | None, wanted: str, implied: Decimal | None, mark: Decimal | None
) -> tuple[Decimal, PriceSource]:
    """Choose the price of a leg that no execution explains.

    Args:
        price: Typed by the operator, instrument currency per unit.
        wanted: One of :data:`SOURCES` that the operator insists on, or empty.
        implied: See :func:`implied_price`.
        mark: Latest mark, instrument currency per unit.

    Raises:
        AssignmentRefused: No price can be had, or not the wanted one.
    """
    if price is not None:
        return price, "typed"
    if wanted == "typed":
        raise AssignmentRefused("the price was to be typed, but none was given")
    if wanted in {"", "broker_cost"} and implied is not None:
        return implied, "broker_cost"
    if wanted in {"", "mark"} and mark is not None:
        return mark, "mark"
    if wanted:
        raise AssignmentRefused(
            f"there is no price of the kind {wanted!r} for this residual; type one or choose another"
        )
    raise AssignmentRefused("no execution, no implied cost and no mark gives a price for this residual: type one")
