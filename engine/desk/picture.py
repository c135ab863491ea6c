"""What one reconciliation looks at: the books copied at one moment beside the broker's answers.

Copying is all that happens under the ledger's lock; comparing and explaining work on the copy, in a worker thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.events import AssignmentMade
from engine.core.exact import ZERO, add, multiply, quotient, subtract
from engine.core.ids import UNASSIGNED
from engine.core.records import FillRecord
from engine.core.snapshot import AccountSnapshot, Confirmed
from engine.desk.books import Books
from engine.ports import Broker
from engine.recon.breaks import Circumstances, lag_sums
from engine.recon.compare import Comparer, Comparison, Difference, Key, exclusion
from engine.recon.grouped import Group, Grouping, Groups

ONE: Final = Decimal(1)
Lock = AbstractContextManager[object]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The books at one moment, and how they compare.

    Attributes:
        answers: The broker's, one per account.
        groups: Every book, by account and instrument.
        loose: Executions in UNASSIGNED, current state each; only where anything is unassigned.
        in_force: Ids of the assignments that the copied books contain.
        seq: Journal sequence of the last fact in the copied books.
    """

    answers: tuple[AccountSnapshot, ...]
    groups: Groups
    comparison: Comparison
    loose: list[FillRecord]
    in_force: frozenset[str]
    seq: int = 0

    def group(self, key: Key) -> Group:
        """The books of one key; an empty group when there are none."""
        return self.groups.get(key[0], {}).get(key[1], _NO_BOOKS)


_NO_BOOKS: Final = Group()


def breathe() -> None:
    """Let other threads go on: the loop waits for the interpreter no longer than a few hundred steps of our work."""
    time.sleep(0)


class PictureTaker:
    """Copies the books under the lock, and compares the copy; remembers how the books were grouped."""

    def __init__(self, books: Books, lock: Lock, tolerance: Decimal) -> None:
        """Take the books and what counts as equal."""
        self._books = books
        self._lock = lock
        self._grouping = Grouping()
        self._comparer = Comparer(tolerance, books.instrument, breathe)

    def take(self, answers: Sequence[AccountSnapshot]) -> Picture:
        """Take a picture; one at a time, in a worker thread."""
        books = self._books
        with self._lock:
            seq, positions = books.seq, books.positions()
            keys = [(p.account, p.instrument_key) for p in positions if p.strategy == UNASSIGNED and p.quantity]
            unowned = books.near.fills(keys, strategy=UNASSIGNED) if keys else []
            in_force = frozenset(a.assignment_id for a in in_force_of(books))
        groups = self._grouping.take(positions, breathe)
        comparison = self._comparer.compare(groups, answers)
        return Picture(
            answers=tuple(answers), groups=groups, comparison=comparison, loose=unowned, in_force=in_force, seq=seq
        )


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
        latest = books.near.fills(picture.comparison.found, since=since) if since is not None else []
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
    row_of = picture.comparison.row

    def unit_value(key: Key, multiplier: Decimal) -> Decimal | None:
        mark = marks.get(key)
        if mark is not None:
            return multiply(mark.price, multiplier)
        row = row_of(key)
        if row is not None and row.broker_avg_cost is not None:
            return row.broker_avg_cost
        group = picture.group(key)
        return quotient(group.cost, group.net) if group.net and group.cost else None

    def value(key: Key, quantity: Decimal) -> tuple[Decimal | None, str]:
        row = row_of(key)
        instrument = row.instrument if row is not None else books.instrument(key[1])
        base = broker.base_currency(key[0]) or ""
        if instrument is None or instrument.is_percent_of_par:
            return None, base  # a bond's quote, and IB's average of it, is an amount in no known unit (F88)
        unit = unit_value(key, instrument.multiplier)
        rate = rate_of(broker, key[0], instrument.currency)
        if unit is None or rate is None:
            return None, base
        return abs(multiply(multiply(quantity, unit), rate[0])), base

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
            for leg in entry.legs:
                total = add(total, leg.quantity) if counts else subtract(total, leg.quantity)
    return total


def difference_now(books: Books, lock: Lock, picture: Picture, key: Key, tolerance: Decimal) -> Difference:
    """What differs in one key, by the picture and the assignments since it was taken."""
    row = picture.comparison.row(key)
    with lock:
        moved = since_copied(books, key, picture.in_force)
        loose = books.position(UNASSIGNED, *key)
        instrument = row.instrument if row is not None else books.instrument(key[1])
    held = picture.group(key).net
    reported = ZERO if row is None else row.quantity
    if exclusion(key[0], instrument):
        reported = held  # classified, not compared: nothing can differ
    now_held = add(held, moved)
    return Difference(
        account=key[0],
        con_id=key[1],
        instrument=instrument,
        kind="difference" if abs(subtract(reported, now_held)) > tolerance else "unassigned",
        broker_quantity=reported,
        books_quantity=now_held,
        unassigned=ZERO if loose is None else loose.quantity,
        broker_avg_cost=None if row is None else row.broker_avg_cost,
    )


def let_go(answers: list[AccountSnapshot]) -> None:
    """Free the rows of former answers account by account: a hundred thousand in one go would hold the interpreter."""
    while answers:
        answers.pop()
        breathe()


def unknown_accounts(answers: Iterable[AccountSnapshot]) -> Mapping[str, str]:
    """Account -> why it gave no confirmed answer."""
    return {a.account: a.reason for a in answers if not isinstance(a, Confirmed)}
