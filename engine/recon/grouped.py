"""The books by account and instrument, kept from one comparison to the next.

Between two comparisons hardly any book changes, and the ledger gives the very same record for a book that did not. So a
group is made again only where a record is another one: a comparison of a hundred thousand books then costs what changed,
not what there is. Everything handed out is immutable in effect: an account's groups are copied before one is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.exact import ZERO, add, quotient
from engine.core.ids import UNASSIGNED
from engine.core.records import PositionRecord

Key = tuple[str, int]
"""(account, con_id)."""

Breathe = Callable[[], object]
"""Called every few hundred steps of long work, so that whoever runs it in a thread can let others go on."""

_TEN: Final = 10.0
_TENTH: Final = 0.1
STEPS: Final = 256
"""Steps between two breaths: well under a millisecond of work."""


def no_breath() -> None:
    """For callers that have nobody to let by."""


class Group(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Every book of one (account, con_id).

    Attributes:
        records: In the ledger's order.
        net: Signed quantity over all strategies, UNASSIGNED included.
        unassigned: Signed, what UNASSIGNED holds.
        cost: Net open cost, instrument currency; ``None`` when unknown.
        turned: (size, paid) over the books' sizes, where long and short books net to a cost that nobody paid.
    """

    records: tuple[PositionRecord, ...] = ()
    net: Decimal = ZERO
    unassigned: Decimal = ZERO
    cost: Decimal | None = None
    turned: tuple[Decimal, Decimal] | None = None

    @property
    def unit(self) -> Decimal | None:
        """What one unit of quantity cost on average, multiplier included; ``None`` when unknown or not above 0."""
        size, paid = self.turned or (self.net, self.cost)
        if not paid or not size:
            return None
        unit = quotient(paid, size)
        return unit if unit > 0 else None

    def like(self, broker_avg_cost: Decimal) -> bool:
        """True unless the broker's average cost is ten times ours, or a tenth of it; a look, not a judgement.

        Floats do for it: what is looked for is a factor of a hundred.
        """
        size, paid = self.turned or (self.net, self.cost)
        units = float(size)
        if not paid or not units:
            return True
        ours = float(paid) / units
        return ours <= 0 or _TENTH < float(broker_avg_cost) / ours < _TEN


Groups = Mapping[str, Mapping[int, Group]]
"""account -> con_id -> its books."""


def group_of(records: Sequence[PositionRecord]) -> Group:
    """Sum up the books of one key."""
    if len(records) == 1:
        only = records[0]
        return Group(
            records=(only,),
            net=only.quantity,
            unassigned=only.quantity if only.strategy == UNASSIGNED else ZERO,
            cost=only.open_cost,
        )
    net = loose = cost = ZERO
    for record in records:
        net, cost = add(net, record.quantity), add(cost, record.open_cost)
        if record.strategy == UNASSIGNED:
            loose = add(loose, record.quantity)
    turned = None
    if any(r.quantity > 0 for r in records) and any(r.quantity < 0 for r in records):
        size = paid = ZERO
        for record in records:
            size, paid = add(size, abs(record.quantity)), add(paid, abs(record.open_cost))
        turned = (size, paid)
    return Group(records=tuple(records), net=net, unassigned=loose, cost=cost, turned=turned)


def groups_from(
    net: Mapping[Key, Decimal],
    unassigned: Mapping[Key, Decimal] | None = None,
    open_costs: Mapping[Key, Decimal] | None = None,
) -> Groups:
    """Groups of sums that are known already, without their records."""
    made: dict[str, dict[int, Group]] = {}
    for (account, con_id), quantity in net.items():
        cost = (open_costs or {}).get((account, con_id))
        made.setdefault(account, {})[con_id] = Group(
            net=quantity,
            unassigned=(unassigned or {}).get((account, con_id), ZERO),
            cost=cost,
        )
    return made


class Grouping:
    """Groups the books of each comparison from those of the one before. One caller at a time."""

    def __init__(self) -> None:
        """Nothing is known before the first comparison."""
        self._seen: list[PositionRecord] = []
        self._places: dict[Key, tuple[int, ...]] = {}
        self._groups: dict[str, dict[int, Group]] = {}

    def take(self, positions: list[PositionRecord], breathe: Breathe = no_breath) -> Groups:
        """Group every book there is.

        Args:
            positions: As ``Ledger.positions`` gives them: the same record for a book that did not change.

        Returns:
            All groups; not changed by later calls.
        """
        changed = self._changed(positions)
        if changed is None:
            return self._anew(positions, breathe)
        new = self._place(positions, changed, breathe)
        fresh = {account: dict(self._groups.get(account, ())) for account in {key[0] for key in new}}
        for number, key in enumerate(new):
            fresh[key[0]][key[1]] = group_of([positions[i] for i in self._places[key]])
            if not number % STEPS:
                breathe()
        self._seen = positions
        self._groups = {**self._groups, **fresh}
        return self._groups

    def _anew(self, positions: list[PositionRecord], breathe: Breathe) -> Groups:
        """Group everything, as if nothing had been known."""
        places: dict[Key, tuple[int, ...]] = {}
        groups: dict[str, dict[int, Group]] = {}
        several: set[Key] = set()
        for i, record in enumerate(positions):
            key = (record.account, record.instrument_key)
            known = places.get(key)
            if known is None:
                places[key] = (i,)
                groups.setdefault(key[0], {})[key[1]] = group_of((record,))
            else:
                places[key] = (*known, i)
                several.add(key)
            if not i % STEPS:
                breathe()
        for number, key in enumerate(several):
            groups[key[0]][key[1]] = group_of([positions[i] for i in places[key]])
            if not number % STEPS:
                breathe()
        self._seen, self._places, self._groups = positions, places, groups
        return groups

    def _changed(self, positions: list[PositionRecord]) -> Iterable[int] | None:
        """Indices of records that are others than before; ``None`` when books do not stand where they stood."""
        seen = self._seen
        if not seen or len(positions) < len(seen):
            return None
        changed = [i for i, (new, old) in enumerate(zip(positions, seen, strict=False)) if new is not old]
        if any(_key(positions[i]) != _key(seen[i]) for i in changed):
            return None
        return [*changed, *range(len(seen), len(positions))]

    def _place(
        self, positions: list[PositionRecord], changed: Iterable[int], breathe: Breathe
    ) -> dict[Key, tuple[int, ...]]:
        """The keys of changed books, with every place where one of their books stands."""
        known = len(self._seen)
        touched: dict[Key, tuple[int, ...]] = {}
        for i in changed:
            record = positions[i]
            key = (record.account, record.instrument_key)
            if i >= known:
                self._places[key] = (*self._places.get(key, ()), i)
            touched[key] = self._places[key]
            if not i % STEPS:
                breathe()
        return touched


def _key(record: PositionRecord) -> tuple[str, str, int]:
    return record.strategy, record.account, record.instrument_key
