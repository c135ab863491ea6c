"""What operators and scripts type, as exact numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

Quantity = Decimal | int | float | str


def split_of(split: Mapping[str, Quantity]) -> dict[str, Decimal]:
    """Strategy -> signed quantity, exact.

    Raises:
        BadRequest: A quantity is missing or no number.
    """
    return {name: _needed(quantity, f"quantity for {name}") for name, quantity in split.items()}


def _needed(value: Quantity, what: str) -> Decimal:
    number = decimal_or_none(value, what)
    if number is None:
        raise BadRequest(f"{what} is missing")
    return number


def decimal_or_none(value: Quantity | None, what: str) -> Decimal | None:
    """The shortest text of a number, exact; ``None`` stays unknown.

    Raises:
        BadRequest: It is no finite number; the text names ``what``.
    """
    if value is None or isinstance(value, Decimal):
        return value
    try:
        number = Decimal(repr(float(value)) if isinstance(value, float) else str(value).strip())
    except ArithmeticError as error:
        raise BadRequest(f"{what} {value!r} is not a number") from error
    if not number.is_finite():
        raise BadRequest(f"{what} {value!r} is not a finite number")
    return number
