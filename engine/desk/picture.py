"""What one reconciliation looks at: the books copied at one moment beside the broker's answers.

Copying is all that happens under the ledger's lock; comparing and explaining work on the copy, in a worker thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.events import AssignmentMade
from engine.core.ids import UNASSIGNED
from engine.core.records import FillRecord, PositionRecord
from engine.core.snapshot import AccountSnapshot, Confirmed
from engine.desk.books import Books
from engine.ports import Broker
from engine.recon.breaks import Circumstances, lag_sums
from engine.recon.compare import Comparison, Key, compare

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
Lock = AbstractContextManager[object]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The books at one moment, and how they compare.

    Attributes:
        answers: The broker's, one per account.
        positions: Every book, copied.
        costs: Net open cost per key, instrument currency.
        loose: Executions in UNASSIGNED, current state each; only where anything is unassigned.
        in_force: Ids of the assignments that the copied books contain.
    """

    answers: tuple[AccountSnapshot, ...]
    positions: list[PositionRecord]
    net: dict[Key, Decimal]
    costs: dict[Key, Decimal]
    comparison: Comparison
    loose: list[FillRecord]
    in_force: frozenset[str]


def take_picture(books: Books, lock: Lock, answers: Sequence[AccountSnapshot], tolerance: Decimal) -> Picture:
    """Copy the books under the lock, and compare the copy."""
    with lock:
        net = books.net()
        positions = books.positions()
        any_loose = any(p.quantity for p in books.positions(strategy=UNASSIGNED))
        unowned = books.fills(strategy=UNASSIGNED) if any_loose else []
        in_force = frozenset(a.assignment_id for a in in_force_of(books))
    costs: dict[Key, Decimal] = {}
    loose: dict[Key, Decimal] = {}
    two_sided: set[Key] = set()
    for record in positions:
        key = (record.account, record.instrument_key)
        cost = costs.get(key, ZERO)
        if cost * record.open_cost < 0:
            two_sided.add(key)
        costs[key] = cost + record.open_cost
        if record.strategy == UNASSIGNED and record.quantity:
            loose[key] = record.quantity
    comparison = compare(
        net,
        answers,
        tolerance=tolerance,
        instrument_of=books.instrument,
        unassigned=loose,
        open_costs={**costs, **_average_costs(positions, net, two_sided)} if two_sided else costs,
    )
    return Picture(
        answers=tuple(answers),
        positions=positions,
        net=net,
        costs=costs,
        comparison=comparison,
        loose=unowned,
        in_force=in_force,
    )


def _average_costs(
    positions: Iterable[PositionRecord], net: Mapping[Key, Decimal], keys: set[Key]
) -> dict[Key, Decimal]:
    """Net quantity at what the books paid on average, whatever their side, instrument currency.

    Long and short books of one instrument net to a cost that nobody paid; this one has at least their price's unit.
    """
    gross: dict[Key, tuple[Decimal, Decimal]] = {}
    for record in positions:
        key = (record.account, record.instrument_key)
        if key in keys:
            size, paid = gross.get(key, (ZERO, ZERO))
            gross[key] = (size + abs(record.quantity), paid + abs(record.open_cost))
    return {key: paid / size * net.get(key, ZERO) for key, (size, paid) in gross.items() if size}


def in_force_of(books: Books) -> list[AssignmentMade]:
    """Assignments that were not reversed, in order. The caller holds the lock."""
    undone = books.reversed_ids
    return [a for a in books.assignments() if a.assignment_id not in undone]


def circumstances(
    books: Books,
    lock: Lock,
    broker: Broker,
    picture: Picture,
    *,
    settle_s: float,
    deferred: str,
    restored: frozenset[Key] = frozenset(),
) -> Circumstances:
    """Collect what a step of the book of breaks needs to know besides the differences."""
    asked = [a.requested_at for a in picture.answers if isinstance(a, Confirmed)]
    # Twice the grace: a fill that was taken in just before it may still be what the positions lack.
    since = min(asked) - timedelta(seconds=2 * settle_s) if asked else None
    with lock:
        latest = books.fills(since=since) if since is not None and picture.comparison.found else []
        assigned = {(a.account, a.instrument.con_id): (a.assignment_id, a.received_at) for a in in_force_of(books)}
    flight: dict[Key, list[Decimal]] = {}
    for record in sorted(latest, key=lambda r: r.fill.received_at):
        if record.state == "active" and since is not None and record.fill.received_at >= since:
            flight.setdefault(key_of(record), []).append(record.quantity)

    def activity(key: Key) -> datetime | None:
        with lock:
            return books.activity(*key)

    return Circumstances(
        activity=activity,
        in_flight=lambda key: lag_sums(flight.get(key, ())),
        urgent=frozenset(key_of(r) for r in picture.loose if r.state == "active" and r.fill.liquidation),
        assigned=assigned,
        value_at_risk=valuer(books, broker, picture),
        deferred=deferred,
        restored=restored,
    )


def key_of(record: FillRecord) -> Key:
    """(account, con_id) of an execution."""
    return (record.fill.account, record.fill.instrument.con_id)


def valuer(books: Books, broker: Broker, picture: Picture) -> Callable[[Key, Decimal], tuple[Decimal | None, str]]:
    """How a break's quantity is valued in base currency: at the mark, else at broker's or our cost; else unknown."""
    marks = broker.marks()
    rows = picture.comparison.broker

    def unit_value(key: Key, multiplier: Decimal) -> Decimal | None:
        mark = marks.get(key)
        if mark is not None:
            return mark.price * multiplier
        row = rows.get(key)
        if row is not None and row.broker_avg_cost is not None:
            return row.broker_avg_cost
        held = picture.net.get(key)
        cost = picture.costs.get(key)
        return cost / held if held and cost else None

    def value(key: Key, quantity: Decimal) -> tuple[Decimal | None, str]:
        row = rows.get(key)
        instrument = row.instrument if row is not None else books.instrument(key[1])
        base = broker.base_currency(key[0]) or ""
        if instrument is None:
            return None, base
        unit = unit_value(key, instrument.multiplier)
        rate = rate_of(broker, key[0], instrument.currency)
        if unit is None or rate is None:
            return None, base
        return abs(quantity * unit * rate[0]), base

    return value


def rate_of(broker: Broker, account: str, currency: str) -> tuple[Decimal, datetime | None] | None:
    """Base units per unit of currency; 1 for the base currency itself, ``None`` when unknown."""
    known = broker.rate(account, currency)
    if known is not None:
        return known
    return (ONE, None) if currency and currency == broker.base_currency(account) else None


def since_copied(books: Books, key: Key, in_force: frozenset[str]) -> Decimal:
    """What assignments changed of all books of one key since a picture was taken. The caller holds the lock."""
    now = {a.assignment_id: a for a in books.assignments() if (a.account, a.instrument.con_id) == key}
    undone = books.reversed_ids
    total = ZERO
    for name, entry in now.items():
        counts, counted = name not in undone, name in in_force
        if counts != counted:
            net = sum((leg.quantity for leg in entry.legs), ZERO)
            total += net if counts else -net
    return total


def unknown_accounts(answers: Iterable[AccountSnapshot]) -> Mapping[str, str]:
    """Account -> why it gave no confirmed answer."""
    return {a.account: a.reason for a in answers if not isinstance(a, Confirmed)}
