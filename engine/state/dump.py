"""The ledger's whole state in one piece, for checkpoints: MessagePack with a version.

Only what cannot be derived is written. Books come back by putting every execution into its book and folding; since the
fold is the same code over the same lines, the loaded ledger continues exactly as the dumped one would have.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from engine.core.book import SortKey
from engine.core.events import (
    AssignmentMade,
    AssignmentReversed,
    Audited,
    BreakNoted,
    Commission,
    ConnectionSeen,
    Fill,
    Quarantined,
    RateSeen,
    RuleSet,
)
from engine.core.ids import UNASSIGNED
from engine.core.instrument import Instrument
from engine.core.records import Finding
from engine.ports import Archive
from engine.state.assignments import Assignments
from engine.state.attribution import Attribution, Claims
from engine.state.booking import Booking
from engine.state.books import Terms
from engine.state.changes import BEFORE
from engine.state.executions import Execution
from engine.state.intake import Intake
from engine.state.notes import Notes
from engine.state.order import Order
from engine.state.orders import Orders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.state.ledger import Ledger

VERSION: Final = 2
_READABLE: Final = (1, VERSION)
"""Version 1 had everything in memory; what it lacks is empty."""

_PIECE: Final = 256
_encode: Final = msgspec.msgpack.Encoder().encode


class Parts(NamedTuple):
    """The rooms of a ledger, handed over by itself."""

    ledger: Ledger
    booking: Booking
    intake: Intake
    orders: Orders
    attribution: Attribution
    assignments: Assignments
    notes: Notes
    archive: Archive | None


class Past(msgspec.Struct, kw_only=True, array_like=True):
    """What a book keeps of the lines that were put away; see ``core.book.Book`` and ``state.books.Holding``."""

    key: tuple[str, str, int]
    base: tuple[Decimal, Decimal, Decimal]
    cold: int
    edge: SortKey
    block: int
    gone: dict[str, tuple[Decimal, int]]


class State(msgspec.Struct, kw_only=True, array_like=True):
    """What a dump contains; ``books`` are their keys with the sequence that last touched each, in order."""

    version: int
    seq: int
    at: datetime | None
    executions: list[Execution]
    books: list[tuple[str, str, int, int]]
    terms: list[Terms]
    orders: list[Order]
    aliases: dict[str, str]
    names: list[str]
    rules: list[RuleSet]
    by_perm: dict[str, dict[int, str]]
    by_order: dict[int, dict[int, Claims]]
    by_ref: dict[str, str]
    findings: list[Finding]
    orphans: list[Commission]
    unbookable: list[Fill]
    busts: list[tuple[str, str, int, str]]
    activity: list[tuple[str, int, datetime]]
    rates: list[RateSeen]
    bases: dict[str, str]
    made: list[AssignmentMade]
    reversals: list[AssignmentReversed]
    head: str
    notes: list[BreakNoted]
    quarantine: list[Quarantined]
    connections: list[ConnectionSeen]
    audit: list[Audited]
    past: list[Past] = []
    newest_orders: dict[str, int] = {}
    epoch: int = 0
    blocks: int = 0
    patterns: dict[str, str] = {}


def in_pieces(items: Iterable[Any]) -> msgspec.Raw:
    """The wire form of a list, made a piece at a time.

    One call over all of it would hold the interpreter for some twenty milliseconds, and the server's loop with it.
    """
    left, count, written = iter(items), 0, bytearray()
    while piece := list(islice(left, _PIECE)):
        count += len(piece)
        written += memoryview(_encode(piece))[len(_head(len(piece))) :]
    return msgspec.Raw(_head(count) + written)


def _head(count: int) -> bytes:
    """How MessagePack begins a list of so many."""
    if count < 1 << 4:
        return bytes((0x90 | count,))
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def dump_state(parts: Parts) -> bytes:
    """Write a ledger's state."""
    ledger, booking, intake, assignments = parts.ledger, parts.booking, parts.intake, parts.assignments
    names, rules, by_perm, by_order, by_ref = parts.attribution.dump()
    return _encode(
        State(
            version=VERSION,
            seq=ledger.seq,
            at=ledger.at,
            executions=in_pieces(booking.index.all()),  # type: ignore[arg-type]
            books=[(*key, book.seq) for key, book in booking.shelf.books.items()],
            terms=list(booking.shelf.terms.values()),
            orders=in_pieces(parts.orders.by_key.values()),  # type: ignore[arg-type]
            aliases=parts.orders.aliases(),
            names=names,
            rules=rules,
            by_perm=by_perm,
            by_order=by_order,
            by_ref=by_ref,
            findings=list(booking.findings.open.values()),
            orphans=list(intake.fees.orphans.values()),
            unbookable=list(intake.unbookable.values()),
            busts=[(*key, *bust) for key, bust in intake.amendments.busts.items()],
            activity=[(*key, at) for key, at in booking.activity.items()],
            rates=list(parts.notes.rates.values()),
            bases=parts.notes.bases,
            made=list(assignments.made.values()),
            reversals=list(assignments.reversed.values()),
            head=assignments.head,
            notes=list(parts.notes.break_notes.values()),
            quarantine=list(parts.notes.quarantine.values()),
            connections=list(parts.notes.connections),
            audit=list(parts.notes.audit),
            past=[
                Past(key=key, base=b.base, cold=b.cold, edge=b.edge, block=b.block, gone=b.gone)
                for key, b in booking.shelf.books.items()
                if b.edge is not None
            ],
            newest_orders=parts.orders.newest,
            epoch=parts.archive.epoch if parts.archive is not None else 0,
            blocks=parts.archive.count if parts.archive is not None else 0,
            patterns=dict(parts.attribution.patterns),
        )
    )


def load_state(parts: Parts, blob: bytes) -> None:
    """Fill a fresh ledger with a dumped state.

    Raises:
        ValueError: It is of another version, or no dump.
    """
    try:
        _same_version(blob)
        state = msgspec.msgpack.decode(blob, type=State)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a checkpoint of the books: {error}") from error
    parts.booking.moment.seq, parts.booking.moment.at = state.seq, state.at or BEFORE
    there = parts.archive.go_back(state.epoch) if parts.archive is not None else 0
    if there != state.blocks:
        raise ValueError(f"{state.blocks} blocks of the books' past belong to it, {there} are there")
    _books(parts.booking, state)
    _rest(parts, state)


def _same_version(blob: bytes) -> None:
    """Look at the version alone: it stands right behind the head of the outer array, a small number in one byte."""
    at = 1 if blob[:1] and blob[0] & 0xF0 == 0x90 else 3
    if len(blob) <= at or blob[at] not in _READABLE:
        raise ValueError(f"no checkpoint of version {VERSION}")


def _books(booking: Booking, state: State) -> None:
    for terms in state.terms:
        terms.set(terms.instrument)
        booking.shelf.terms[terms.instrument.con_id] = terms
    for strategy, account, con_id, seq in state.books:
        booking.shelf.book(strategy, account, con_id).seq = seq
    for past in state.past:
        book = booking.shelf.books[past.key]
        book.begin_from(past.base, past.cold, past.edge)
        book.paid_before(past.gone)
        book.block = past.block
        booking.index.count += past.cold
    seen: dict[Instrument, Instrument] = {}
    for execution in state.executions:
        fill = execution.fill
        msgspec.structs.force_setattr(fill, "instrument", seen.setdefault(fill.instrument, fill.instrument))
        booking.index.add(fill.account, execution.root, execution)
        if execution.base == UNASSIGNED:
            booking.index.stray(execution)
        if execution.bears_fee:
            book = booking.shelf.book(execution.strategy, fill.account, fill.instrument.con_id)
            book.charge(execution)
            (book.lines if execution.counts else book.voided).append(execution)
            if execution.commission is None:
                booking.pending[execution.sort[2]] = execution
        else:
            booking.shelf.loose[execution.sort[1:]] = execution
    for book in booking.shelf.books.values():
        book.lines.sort(key=lambda line: line.sort)
        assert not book.refold(), "a loaded book folds to what was dumped"


def _rest(parts: Parts, state: State) -> None:
    booking, intake, assignments = parts.booking, parts.intake, parts.assignments
    for order in state.orders:
        parts.orders.add(order)
        if order.timeline:
            newest = parts.orders.newest
            newest[order.strategy] = max(order.timeline[-1].seq, newest.get(order.strategy, 0))
    parts.orders.newest.update(state.newest_orders)
    parts.orders.called(state.aliases.items())
    parts.attribution.patterns = state.patterns
    parts.attribution.load(state.names, state.rules, state.by_perm, state.by_order, state.by_ref)
    booking.findings.load(state.findings)
    intake.fees.load(state.orphans)
    intake.unbookable.update({(f.account, f.exec_id): f for f in state.unbookable})
    intake.amendments.busts.update(
        {(account, root): (revision, reason) for account, root, revision, reason in state.busts}
    )
    booking.activity.update({(account, con_id): at for account, con_id, at in state.activity})
    notes = parts.notes
    notes.rates.update({(r.account, r.currency): r for r in state.rates})
    notes.bases.update(state.bases)
    notes.break_notes.update({n.break_id: n for n in state.notes})
    notes.quarantine.update({q.quarantine_id: q for q in state.quarantine})
    notes.connections.extend(state.connections)
    notes.audit.extend(state.audit)
    assignments.made.update({a.assignment_id: a for a in state.made})
    assignments.reversed.update({r.assignment_id: r for r in state.reversals})
    assignments.head = state.head
