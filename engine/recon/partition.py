"""Which whole executions make up a split, and what is left to be cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from engine.core.records import FillRecord

ZERO: Final = Decimal(0)
_LOOKS: Final = 20_000
_STEP: Final = Decimal("0.000000000001")


def exact_partition(records: Sequence[FillRecord], wanted: Mapping[str, Decimal]) -> dict[str, list[FillRecord]] | None:
    """Find whole executions whose sums are exactly what each strategy is to get.

    Args:
        records: In fold order; the oldest are preferred.
        wanted: Strategy -> signed quantity.

    Returns:
        Strategy -> executions, or ``None`` when there is no such choice or it is too long a search (20,000 looks, which
        any split that a person thinks of stays far below).
    """
    budget = [_LOOKS]
    left = list(records)
    chosen: dict[str, list[FillRecord]] = {}
    if sum((r.quantity for r in left), ZERO) == sum(wanted.values(), ZERO) and len(wanted) == 1:
        return {next(iter(wanted)): left}
    for strategy, quantity in sorted(wanted.items(), key=lambda item: abs(item[1])):
        # Smallest first: they have the fewest choices. A later strategy never takes back an earlier one's choice, so an
        # exotic split may be cut although a partition exists; it is then still booked exactly.
        found = _subset(left, quantity, budget)
        if found is None:
            return None
        taken = {id(r) for r in found}
        left = [r for r in left if id(r) not in taken]
        chosen[strategy] = found
    return chosen


def _subset(records: Sequence[FillRecord], target: Decimal, budget: list[int]) -> list[FillRecord] | None:
    ahead = [ZERO] * (len(records) + 1)
    for i in range(len(records) - 1, -1, -1):
        ahead[i] = ahead[i + 1] + abs(records[i].quantity)

    def look(start: int, rest: Decimal) -> list[FillRecord] | None:
        if not rest:
            return []
        if start == len(records) or abs(rest) > ahead[start]:
            return None
        budget[0] -= 1
        if budget[0] < 0:
            return None
        found = look(start + 1, rest - records[start].quantity)
        if found is not None:
            return [records[start], *found]
        return look(start + 1, rest)

    # The depth of the search is the number of executions; a longer list is cut in order instead.
    return look(0, target) if len(records) <= 200 else None


def cut_in_order(
    records: Sequence[FillRecord], wanted: Mapping[str, Decimal]
) -> tuple[dict[str, list[FillRecord]], dict[str, Decimal]]:
    """Serve strategies in the order named from executions of one direction, oldest first, whole where they fit.

    Returns:
        Strategy -> whole executions, and strategy -> signed quantity that has to be cut out of what is left.
    """
    left = list(records)
    chosen: dict[str, list[FillRecord]] = {}
    cut: dict[str, Decimal] = {}
    for strategy, quantity in wanted.items():
        rest = quantity
        kept: list[FillRecord] = []
        for record in left:
            if rest and abs(record.quantity) <= abs(rest):
                chosen.setdefault(strategy, []).append(record)
                rest -= record.quantity
            else:
                kept.append(record)
        left = kept
        if rest:
            cut[strategy] = rest
    return chosen, cut


def average_cost(records: Iterable[FillRecord]) -> Decimal | None:
    """Cost per unit that a book of these records carries, in their order, by average cost.

    Returns:
        Instrument currency per unit, rounded to 12 places where it does not divide; ``None`` when flat.
    """
    quantity = cost = ZERO
    for record in records:
        step = record.quantity
        if quantity * step >= 0:
            cost += step * record.unit_price
        elif abs(step) <= abs(quantity):
            cost += cost * step / quantity
        else:
            cost = (quantity + step) * record.unit_price
        quantity += step
    if not quantity:
        return None
    unit = cost / quantity
    rounded = unit.quantize(_STEP)
    return rounded if rounded != unit else unit
