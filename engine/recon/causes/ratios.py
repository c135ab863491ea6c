"""Plain ratios: what splits and mergers make of quantities, fractions of a share being paid in cash."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from typing import Final

_LARGEST: Final = 100
_PLAIN: Final = tuple(
    sorted(
        {Fraction(n, d) for d in range(1, 11) for n in range(1, 11) if n != d}
        | {Fraction(1, n) for n in range(11, _LARGEST + 1)}
        | {Fraction(n) for n in range(11, _LARGEST + 1)}
    )
)
_VALUES: Final = tuple(Decimal(f.numerator) / f.denominator for f in _PLAIN)
_ROUNDING: Final = Decimal("0.00000001")


def plain_ratio(before: Decimal, after: Decimal) -> Fraction | None:
    """The simplest ratio that makes ``after`` of ``before``, fractions of a share being paid in cash.

    Args:
        before: Quantity held. ``after``: quantity the broker shows; same sign.

    Returns:
        E.g. ``Fraction(1, 25)``; ``None`` when no plain one fits, and never 1.
    """
    if before * after <= 0:
        return None
    # Only ratios that make ``after`` or up to one share more can fit; every pair of differences comes by here.
    least = bisect_left(_VALUES, (abs(after) - _ROUNDING) / abs(before))
    most = bisect_right(_VALUES, (abs(after) + 1) / abs(before))
    for ratio in sorted(_PLAIN[least:most], key=plainness):
        made = scaled(before, ratio)
        if made == after or made.to_integral_value(rounding=ROUND_DOWN) == after:
            return ratio
    return None


def scaled(quantity: Decimal, ratio: Fraction) -> Decimal:
    """A quantity times a ratio, to 8 places."""
    exact = quantity * ratio.numerator / ratio.denominator
    rounded = exact.quantize(_ROUNDING)
    return rounded if rounded != exact else exact


def plainness(ratio: Fraction) -> int:
    """How plain a ratio is; the least is the plainest."""
    return ratio.numerator + ratio.denominator


def in_words(ratio: Fraction) -> str:
    """A ratio as people write it, ``1:25``."""
    return f"{ratio.numerator}:{ratio.denominator}"
