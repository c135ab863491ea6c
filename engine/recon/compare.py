"""The books against the broker's answer: what differs, as values.

The comparison is the *union of both sides* by (account, con_id): a holding that the broker's list leaves out differs
just as one that the books do not know (R39). Only an account with a CONFIRMED answer is compared; for any other
nothing at all is said (F124-F128, R3, R42).

Some rows are classified instead of compared: a currency pair's row is virtual (F80, F81), a combination moves only its
legs (F74), and an advisor's master or aggregate account repeats its members (F79a, F79c).

For the operator a break has two parts, and the law ``strategies + UNASSIGNED + difference = broker`` joins them::

    quantity = broker - strategies            what no strategy holds; this is what can be assigned
             = unassigned + difference
    unassigned                                 executions that we know, but no strategy's
    difference = broker - all books            what no fact that we have accounts for

Worked example (R5): ALPHA holds +100 and somebody sells 100 in TWS. Before the execution reached us: unassigned 0,
difference -100. After it was replayed it is in UNASSIGNED: unassigned -100, difference 0. The break is -100 either
way, and it is the same break.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final, Literal

import msgspec

from engine.core.exact import add, multiply, quotient, subtract
from engine.core.instrument import BAG_CON_ID, Instrument
from engine.core.snapshot import AccountSnapshot, BrokerPosition, Confirmed
from engine.recon.grouped import STEPS, Breathe, Group, Groups, Key, groups_from, no_breath

__all__ = [
    "Comparer",
    "Comparison",
    "Difference",
    "Excluded",
    "Key",
    "compare",
    "compare_groups",
    "exclusion",
    "is_advisor_account",
    "unit_mismatch",
]

DifferenceKind = Literal["difference", "unassigned", "cost"]

ZERO: Final = Decimal(0)
_ADVISOR: Final = re.compile(r"^D?F\d+A?$|^D?[A-Z]+\d+A$")
_NOT_COMPARED: Final = frozenset({"CASH", "BAG"})
_UNIT_RATIO: Final = Decimal(100)
_UNIT_SHARE: Final = Decimal("0.01")
_NOTHING: Final = Group()
_NO_BOOKS: Final[Mapping[int, Group]] = {}
_RATIO_LOW: Final = Decimal("0.8")
_RATIO_HIGH: Final = Decimal("1.25")


class Difference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One (account, con_id) that needs attention at one comparison.

    Attributes:
        kind: ``difference`` when facts are missing or too many, ``unassigned`` when every fact is there but no strategy
            owns it, ``cost`` when quantities agree and only the unit of the cost does not.
        broker_quantity: Signed; 0 when a confirmed answer has no row.
        books_quantity: Signed, over all strategies and UNASSIGNED.
        unassigned: Signed, what UNASSIGNED holds.
        broker_avg_cost: As IB reports it (per contract, multiplier and commission included).
        cost_ratio: For kind ``cost``: IB's average cost over ours.
    """

    account: str
    con_id: int
    instrument: Instrument | None
    kind: DifferenceKind
    broker_quantity: Decimal
    books_quantity: Decimal
    unassigned: Decimal = ZERO
    broker_avg_cost: Decimal | None = None
    cost_ratio: Decimal | None = None

    @property
    def difference(self) -> Decimal:
        """Broker minus all books."""
        return subtract(self.broker_quantity, self.books_quantity)

    @property
    def quantity(self) -> Decimal:
        """Broker minus strategies: what can be assigned."""
        return add(self.unassigned, self.difference)


class Excluded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row that is classified, not compared, and why."""

    account: str
    con_id: int
    quantity: Decimal
    reason: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What one comparison found.

    Attributes:
        found: Only what needs attention; an instrument of a compared account that is not here is square.
        broker: account -> con_id -> the broker's row that was compared, flat ones included when reported.
        compared: Number of (account, con_id) compared.
    """

    found: dict[Key, Difference]
    broker: dict[str, dict[int, BrokerPosition]]
    excluded: tuple[Excluded, ...]
    compared: int

    def row(self, key: Key) -> BrokerPosition | None:
        """The broker's row of one key, ``None`` when its answer has none."""
        rows = self.broker.get(key[0])
        return None if rows is None else rows.get(key[1])


def exclusion(account: str, instrument: Instrument | None) -> str:
    """Why a row is not compared, or empty when it is."""
    if is_advisor_account(account):
        return "an advisor's master or aggregate account repeats its members (F79a, F79c)"
    if instrument is None:
        return ""
    if instrument.is_virtual_fx:
        return "virtual FX row: it trades cash and is documented not to equal it (F80)"
    if instrument.is_combo:
        return "combination: only its legs move positions (F74)"
    return ""


@functools.lru_cache(maxsize=4096)
def is_advisor_account(account: str) -> bool:
    """True for an advisor's master (``F123``, ``DF123``) and for aggregates (``F123A``, F79c)."""
    return _ADVISOR.match(account) is not None


def compare(
    net: Mapping[Key, Decimal],
    snapshots: Iterable[AccountSnapshot],
    *,
    tolerance: Decimal = ZERO,
    instrument_of: Callable[[int], Instrument | None] = lambda _: None,
    unassigned: Mapping[Key, Decimal] | None = None,
    open_costs: Mapping[Key, Decimal] | None = None,
) -> Comparison:
    """Compare sums of the books with the broker's answers; see :func:`compare_groups`.

    Args:
        net: Signed quantity per (account, con_id) over all books, UNASSIGNED included.
        unassigned: Signed quantity of UNASSIGNED per key; absent means 0.
        open_costs: Signed open cost per key over all books (instrument currency, multiplier included), to find a
            price-unit mismatch; ``None`` leaves costs alone.
    """
    groups = groups_from(net, unassigned, open_costs)
    return compare_groups(groups, snapshots, tolerance=tolerance, instrument_of=instrument_of)


def compare_groups(
    groups: Groups,
    snapshots: Iterable[AccountSnapshot],
    *,
    tolerance: Decimal = ZERO,
    instrument_of: Callable[[int], Instrument | None] = lambda _: None,
) -> Comparison:
    """Compare the books with the broker's answers, without any memory; see :class:`Comparer`."""
    return Comparer(tolerance, instrument_of).compare(groups, snapshots)


class Comparer:
    """Compares the books with the broker's answers; an account of which neither side changed is not compared again."""

    def __init__(
        self, tolerance: Decimal, instrument_of: Callable[[int], Instrument | None], breathe: Breathe = no_breath
    ) -> None:
        """Nothing is compared yet.

        Args:
            tolerance: Largest absolute difference in quantity that counts as equal.
            instrument_of: What the books know of a ``con_id``, for rows that the broker does not have.
            breathe: See :data:`engine.recon.grouped.Breathe`.
        """
        self._tolerance = tolerance
        self._instrument_of = instrument_of
        self._breathe = breathe
        self._known: dict[str, _Work] = {}

    def compare(self, groups: Groups, snapshots: Iterable[AccountSnapshot]) -> Comparison:
        """Compare.

        Args:
            groups: Every book, by account and instrument; the same mapping for an account whose books did not change.
            snapshots: One answer per account; UNKNOWN ones are passed over.

        Returns:
            Differences in the order of accounts and rows; linear in the number of rows.
        """
        found: dict[Key, Difference] = {}
        broker: dict[str, dict[int, BrokerPosition]] = {}
        excluded: list[Excluded] = []
        compared = 0
        for snapshot in snapshots:
            if not isinstance(snapshot, Confirmed):
                continue
            books = groups.get(snapshot.account, _NO_BOOKS)
            work = self._known.get(snapshot.account)
            if work is None or work.books is not books or work.snapshot.rows != snapshot.rows:
                work = _Work(snapshot, books, self._tolerance, self._instrument_of)
                work.run(self._breathe)
                self._known[snapshot.account] = work
            found |= work.found
            broker[snapshot.account] = work.broker
            excluded += work.excluded
            compared += work.compared
        return Comparison(found=found, broker=broker, excluded=tuple(excluded), compared=compared)


class _Work:
    """One account's comparison. The loops are written for speed: a hundred thousand rows in well under a second."""

    def __init__(
        self,
        snapshot: Confirmed,
        books: Mapping[int, Group],
        tolerance: Decimal,
        instrument_of: Callable[[int], Instrument | None],
    ) -> None:
        self.snapshot = snapshot
        self.books = books
        self.tolerance = tolerance
        self.instrument_of = instrument_of
        self.found: dict[Key, Difference] = {}
        self.broker: dict[int, BrokerPosition] = {}
        self.excluded: list[Excluded] = []
        self.compared = 0

    def run(self, breathe: Breathe) -> None:
        """Compare the broker's rows, then what only the books have."""
        # The last row of a con_id wins: live updates are appended to the answer (F119).
        rows = {row.instrument.con_id: row for row in self.snapshot.rows}
        account, books = self.snapshot.account, self.books
        if is_advisor_account(account):
            for row in rows.values():
                self._exclude(account, row)
            return
        for number, (con_id, row) in enumerate(rows.items()):
            if not number % STEPS:
                breathe()
            if row.instrument.sec_type in _NOT_COMPARED or con_id == BAG_CON_ID:
                self._exclude(account, row)
                continue
            self.broker[con_id] = row
            group = books.get(con_id, _NOTHING)
            cost = row.broker_avg_cost
            if row.quantity != group.net or group.unassigned or (cost is not None and not group.like(cost)):
                self._judge((account, con_id), row.instrument, row, group)
        self.compared += len(self.broker)
        for con_id, group in books.items():
            if con_id not in rows and (group.net or group.unassigned):
                instrument = self.instrument_of(con_id)
                if not exclusion(account, instrument):
                    self.compared += 1
                    self._judge((account, con_id), instrument, None, group)

    def _exclude(self, account: str, row: BrokerPosition) -> None:
        reason = exclusion(account, row.instrument)
        con_id = row.instrument.con_id
        self.excluded.append(Excluded(account=account, con_id=con_id, quantity=row.quantity, reason=reason))

    def _judge(self, key: Key, instrument: Instrument | None, row: BrokerPosition | None, group: Group) -> None:
        reported = ZERO if row is None else row.quantity
        kind: DifferenceKind
        ratio = None
        if abs(subtract(reported, group.net)) > self.tolerance:
            kind = "difference"
        elif group.unassigned:
            kind = "unassigned"
        else:
            if row is None or not group.net or not row.broker_avg_cost or group.unit is None:
                return
            ratio = unit_mismatch(row.instrument, group.net, multiply(group.unit, group.net), row.broker_avg_cost)
            if ratio is None:
                return
            kind = "cost"
        self.found[key] = Difference(
            account=key[0],
            con_id=key[1],
            instrument=instrument,
            kind=kind,
            broker_quantity=reported,
            books_quantity=group.net,
            unassigned=group.unassigned,
            broker_avg_cost=None if row is None else row.broker_avg_cost,
            cost_ratio=ratio,
        )


def unit_mismatch(
    instrument: Instrument, quantity: Decimal, open_cost: Decimal | None, broker_avg_cost: Decimal
) -> Decimal | None:
    """Tell a price unit that differs between books and broker from ordinary differences of cost.

    Costs differ all the time for good reasons (commission, FIFO against average, wash sales, a transient half,
    F90-F92); a factor near 100 has one reason only, pence against pounds. A known magnifier is not a mismatch: then
    the unit of IB's figure is merely inferred (F93).

    Returns:
        IB's average cost over ours when it is about 100 or 1/100, else ``None``.
    """
    if not open_cost or (instrument.price_magnifier or 1) != 1 or instrument.is_percent_of_par:
        return None  # a bond's cost is in no known unit on either side (F88)
    ours = quotient(open_cost, quantity)
    if ours <= 0 or broker_avg_cost <= 0:
        return None
    ratio = quotient(broker_avg_cost, ours)
    for unit in (_UNIT_RATIO, _UNIT_SHARE):
        if _RATIO_LOW < quotient(ratio, unit) < _RATIO_HIGH:
            return ratio
    return None
