"""One book: the executions of one strategy in one instrument and account, in order, folded at average cost.

Average cost depends on the order, and executions come late, are corrected, voided and moved. So the book keeps its lines
sorted by when they happened and folds again from the place of a change. Appending at the end, which is nearly every fill,
costs one step; every 32 lines the state is kept, so a change in the middle of a long day repeats only what follows it.

The oldest lines can be put away: the book then begins with the state after the last of them. Whoever keeps them brings
them back before anything changes among them.
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

_EVERY: Final = 32
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


State = tuple[Decimal, Decimal, Decimal]
"""(quantity, open cost, realized P&L)"""

_EMPTY: Final[State] = (ZERO, ZERO, ZERO)


class Book(Generic[L]):
    """Lines in order and the state after the last one.

    Attributes:
        base: State before the first line that is here.
        cold: Number of lines that are put away before it.
        edge: Place of the last of those; everything here lies behind it.
    """

    __slots__ = ("_kept", "base", "cold", "edge", "lines", "open_cost", "quantity", "realized")

    def __init__(self) -> None:
        """Make an empty book."""
        self.lines: list[L] = []
        self.base = _EMPTY
        self.cold = 0
        self.edge: SortKey | None = None
        self.quantity = ZERO
        self.open_cost = ZERO
        self.realized = ZERO
        self._kept: list[State] = []

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
        last = lines[-1].sort if lines else self.edge
        if last is None or line.sort > last:
            if not len(lines) % _EVERY:
                self._kept.append((self.quantity, self.open_cost, self.realized))
            lines.append(line)
            self.quantity, self.open_cost, realized = step(self.quantity, self.open_cost, line.quantity, line.value)
            line.realized = realized
            if realized:
                self.realized = add(self.realized, realized)
            return None
        assert self.edge is None or line.sort > self.edge, "what lies before is brought back first"
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
        quantity, open_cost, total = self._kept[block] if self._kept else self.base
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

    def begin_from(self, base: State, cold: int, edge: SortKey | None) -> None:
        """Begin an empty book with what was put away before."""
        assert not self.lines, "a book begins once"
        self.base, self.cold, self.edge = base, cold, edge
        self.quantity, self.open_cost, self.realized = base

    def put_away(self, count: int) -> list[L]:
        """Let go of the first lines; the figures stay as they are.

        Returns:
            Those lines, in order.
        """
        gone, rest = self.lines[:count], self.lines[count:]
        if not gone:
            return gone
        block = min(count // _EVERY, len(self._kept) - 1)
        quantity, open_cost, total = self._kept[block]
        for line in gone[block * _EVERY :]:
            quantity, open_cost, realized = step(quantity, open_cost, line.quantity, line.value)
            total = add(total, realized) if realized else total
        self.base = (quantity, open_cost, total)
        self.cold += count
        self.edge = gone[-1].sort
        self.lines, self._kept = rest, []
        changed = self.refold()
        assert not changed, "putting away changes nothing"
        return gone

    def bring_back(self, lines: list[L], base: State, edge: SortKey | None) -> None:
        """Take the last lines that were put away back.

        Args:
            base: State before the first of them.
            edge: Place of the line before that, ``None`` when there is none.
        """
        self.lines = lines + self.lines
        self.cold -= len(lines)
        self.base, self.edge, self._kept = base, edge, []
        changed = self.refold()
        assert not changed, "bringing back changes nothing"
