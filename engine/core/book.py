"""One book: the executions of one strategy in one instrument and account, in order, folded at average cost.

Average cost depends on the order, and executions come late, are corrected, voided and moved. So the book keeps its lines
sorted by when they happened and folds again from the place of a change. Appending at the end, which is nearly every fill,
costs one step; every 256 lines the state is kept, so a change in the middle of a long day repeats only what follows it.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Final, Generic, TypeVar

import msgspec

from engine.core.exact import ZERO, add
from engine.core.position import Position, step

SortKey = tuple[datetime, int, int]
"""(order time, sequence in the broker's id, our first sequence): unique, since the last part is."""

_EVERY: Final = 256
_sort: Final = attrgetter("sort")


class Line(msgspec.Struct, kw_only=True, gc=False):
    """What the fold needs of one execution.

    Attributes:
        sort: Place in the order.
        quantity: Signed.
        value: Currency per unit of quantity: unit price times multiplier.
        realized: Result of the fold: gross realized P&L of this line, instrument currency.
    """

    sort: SortKey
    quantity: Decimal
    value: Decimal
    realized: Decimal = ZERO


L = TypeVar("L", bound=Line)


class Book(Generic[L]):
    """Lines in order and the state after the last one."""

    __slots__ = ("_kept", "lines", "open_cost", "quantity", "realized")

    def __init__(self) -> None:
        """Make an empty book."""
        self.lines: list[L] = []
        self.quantity = ZERO
        self.open_cost = ZERO
        self.realized = ZERO
        self._kept: list[tuple[Decimal, Decimal, Decimal]] = []

    @property
    def position(self) -> Position:
        """State after the last line."""
        return Position(quantity=self.quantity, open_cost=self.open_cost, realized_pnl=self.realized)

    def put(self, line: L) -> list[L] | None:
        """Insert a line at its place.

        Returns:
            Other lines whose realized P&L changed by it, in order; ``None`` for the usual append at the end.
        """
        lines = self.lines
        if not lines or line.sort > lines[-1].sort:
            if not len(lines) % _EVERY:
                self._kept.append((self.quantity, self.open_cost, self.realized))
            lines.append(line)
            self.quantity, self.open_cost, realized = step(self.quantity, self.open_cost, line.quantity, line.value)
            line.realized = realized
            if realized:
                self.realized = add(self.realized, realized)
            return None
        place = bisect_left(lines, line.sort, key=_sort)
        lines.insert(place, line)
        return [other for other in self.refold(place) if other is not line]

    def take(self, line: L) -> list[L]:
        """Remove a line.

        Returns:
            Other lines whose realized P&L changed by it, in order.
        """
        place = bisect_left(self.lines, line.sort, key=_sort)
        assert place < len(self.lines), "a line is taken from the book it is in"
        assert self.lines[place] is line, "a line is taken from the book it is in"
        del self.lines[place]
        return self.refold(place)

    def refold(self, place: int = 0) -> list[L]:
        """Fold again from ``place`` on.

        Returns:
            Lines whose realized P&L changed, in order.
        """
        block = min(place // _EVERY, max(len(self._kept) - 1, 0))
        quantity, open_cost, total = self._kept[block] if self._kept else (ZERO, ZERO, ZERO)
        del self._kept[block:]
        changed = []
        for index in range(block * _EVERY, len(self.lines)):
            if not index % _EVERY:
                self._kept.append((quantity, open_cost, total))
            line = self.lines[index]
            quantity, open_cost, realized = step(quantity, open_cost, line.quantity, line.value)
            if realized:
                total = add(total, realized)
            if realized != line.realized:
                changed.append(line)
            line.realized = realized
        self.quantity, self.open_cost, self.realized = quantity, open_cost, total
        return changed
