"""Exact decimal arithmetic that does not depend on who calls.

The operators of ``Decimal`` round to the precision of the *calling thread's* context (28 digits unless somebody changed
it), so the same fill booked from another thread could differ in its last digit. The books therefore add and multiply
through contexts of their own: sums and products here are always exact, whatever the magnitudes; only a quotient can need
rounding, and there is one rounding unit for each of the two places that divide.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Final

_TRAPS = [InvalidOperation, DivisionByZero, Overflow]
EXACT: Final = Context(prec=20_000, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
"""Precision beyond any sum or product of numbers that came as doubles; digits cost only where they exist."""

_SHARE: Final = Context(prec=34, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
_SHOWN: Final = Context(prec=28, rounding=ROUND_HALF_EVEN, traps=_TRAPS)

ZERO: Final = Decimal(0)

add: Final = EXACT.add
subtract: Final = EXACT.subtract
multiply: Final = EXACT.multiply
remainder: Final = EXACT.remainder

share: Final = _SHARE.divide
"""Quotient of 34 digits: the part of a cost that a partial close takes along; the rest stays by subtraction, exactly."""

quotient: Final = _SHOWN.divide
"""Quotient of 28 digits for what is derived and never summed again: average costs and prices."""


def unsigned(number: Decimal) -> Decimal:
    """The number without its sign; itself when it has none, for a further object of a hundred bytes would be kept."""
    return number.copy_abs() if number.is_signed() else number


def undisturbed() -> AbstractContextManager[Context]:
    """Whatever precision and traps the caller has set, acts of ours work with the usual ones meanwhile."""
    return localcontext(Context(prec=28, rounding=ROUND_HALF_EVEN, traps=_TRAPS))
