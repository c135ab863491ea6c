"""The ledger's whole state in one piece, for checkpoints: MessagePack with a version.

Only what cannot be derived is written. Books come back by putting every execution into its book and folding; since the
fold is the same code over the same lines, the loaded ledger continues exactly as the dumped one would have.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

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
from engine.state.attribution import Claim
from engine.state.books import Terms
from engine.state.executions import Execution
from engine.state.orders import Order

if TYPE_CHECKING:
    from engine.state.ledger import Ledger

VERSION: Final = 1


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
    by_order: dict[int, dict[int, list[Claim]]]
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


def dump(ledger: Ledger) -> bytes:
    """Write a ledger's state."""
    shelf, intake, assignments = ledger._shelf, ledger._intake, ledger._assignments  # noqa: SLF001 - the ledger's own other half
    names, rules, by_perm, by_order, by_ref = ledger._attribution.dump()  # noqa: SLF001
    return msgspec.msgpack.encode(
        State(
            version=VERSION,
            seq=ledger.seq,
            at=ledger.at,
            executions=list(ledger._index.all()),  # noqa: SLF001
            books=[(*key, book.seq) for key, book in shelf.books.items()],
            terms=list(shelf.terms.values()),
            orders=list(ledger._orders.by_key.values()),  # noqa: SLF001
            aliases=ledger._orders.aliases(),  # noqa: SLF001
            names=names,
            rules=rules,
            by_perm=by_perm,
            by_order=by_order,
            by_ref=by_ref,
            findings=list(ledger.findings.values()),
            orphans=list(intake.fees.orphans.values()),
            unbookable=list(intake.unbookable.values()),
            busts=[(*key, *bust) for key, bust in intake.amendments.busts.items()],
            activity=[(*key, at) for key, at in ledger._booking.activity.items()],
            rates=list(ledger.rates.values()),
            bases=ledger.bases,
            made=list(assignments.made.values()),
            reversals=list(assignments.reversed.values()),
            head=assignments.head,
            notes=list(ledger.break_notes.values()),
            quarantine=list(ledger.quarantine.values()),
            connections=list(ledger.connections),
            audit=list(ledger.audit),
        )
    )


def load(ledger: Ledger, blob: bytes) -> None:
    """Fill a fresh ledger with a dumped state.

    Raises:
        ValueError: It is of another version, or no dump.
    """
    try:
        _same_version(blob)
        state = msgspec.msgpack.decode(blob, type=State)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a checkpoint of the books: {error}") from error
    ledger.seq, ledger.at = state.seq, state.at
    _books(ledger, state)
    _rest(ledger, state)


def _same_version(blob: bytes) -> None:
    """Look at the version alone: it stands right behind the head of the outer array, a small number in one byte."""
    at = 1 if blob[:1] and blob[0] & 0xF0 == 0x90 else 3
    if len(blob) <= at or blob[at] != VERSION:
        raise ValueError(f"no checkpoint of version {VERSION}")


def _books(ledger: Ledger, state: State) -> None:
    booking = ledger._booking  # noqa: SLF001
    for terms in state.terms:
        terms.set(terms.instrument)
        booking.shelf.terms[terms.instrument.con_id] = terms
    for strategy, account, con_id, seq in state.books:
        booking.shelf.book(strategy, account, con_id).seq = seq
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
    for book in booking.shelf.books.values():
        book.lines.sort(key=lambda line: line.sort)
        assert not book.refold(), "a loaded book folds to what was dumped"


def _rest(ledger: Ledger, state: State) -> None:
    intake, assignments, orders = ledger._intake, ledger._assignments, ledger._orders  # noqa: SLF001
    for order in state.orders:
        orders.add(order)
    orders.aliases().update(state.aliases)
    ledger._attribution.load(state.names, state.rules, state.by_perm, state.by_order, state.by_ref)  # noqa: SLF001
    ledger._findings.load(state.findings)  # noqa: SLF001
    intake.fees.load(state.orphans)
    intake.unbookable.update({(f.account, f.exec_id): f for f in state.unbookable})
    intake.amendments.busts.update(
        {(account, root): (revision, reason) for account, root, revision, reason in state.busts}
    )
    ledger._booking.activity.update({(account, con_id): at for account, con_id, at in state.activity})
    ledger.rates.update({(r.account, r.currency): r for r in state.rates})
    ledger.bases.update(state.bases)
    assignments.made.update({a.assignment_id: a for a in state.made})
    assignments.reversed.update({r.assignment_id: r for r in state.reversals})
    assignments.head = state.head
    ledger.break_notes.update({n.break_id: n for n in state.notes})
    ledger.quarantine.update({q.quarantine_id: q for q in state.quarantine})
    ledger.connections.extend(state.connections)
    ledger.audit.extend(state.audit)
