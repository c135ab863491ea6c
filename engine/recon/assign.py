"""Giving a residual to strategies: entries that are planned and checked here, and booked by the ledger.

What can be assigned is ``broker - strategies``, which has two parts (see :mod:`engine.recon.compare`), taken in this
order:

1. *Executions in UNASSIGNED.* Whole ones are **moved**: they keep their price, time and fee, as if the strategy had
   made them. When the split cuts through one, its quantity is transferred by a pair of **legs** at the cost that
   UNASSIGNED carries it at, so that UNASSIGNED realizes nothing: after the moves, ``-q`` for UNASSIGNED and ``+q`` for
   the strategy, both at UNASSIGNED's average cost (which is the execution's own price when one is left). The fee of a
   cut execution stays in UNASSIGNED: a fee is the broker's figure for a whole execution, and is not divided by us.
2. *The rest, which no execution explains*: one leg for the strategy, at a price chosen by :mod:`engine.recon.pricing`.

When the operator types a price (or insists on mark or broker's cost), nothing is moved: the quantity is transferred at
that price on both sides, and what it differs from the executions' cost stays as profit or loss in UNASSIGNED. Every
entry leaves the sum of all books as it was, except for part 2, which adds exactly the quantity that the broker has.

Worked example: UNASSIGNED holds +30 at 10 and +20 at 11; split ALPHA 35, BETA 15. The 30 move to ALPHA; 20 at 11 is
cut: legs UNASSIGNED -20, ALPHA +5, BETA +15, all at 11. UNASSIGNED is flat and realized 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.events import AssignmentLeg, AssignmentMade, AssignmentReversed, ExecutionMove
from engine.core.ids import UNASSIGNED
from engine.core.instrument import Instrument
from engine.core.records import FillRecord
from engine.errors import AssignmentRefused
from engine.recon.chain import canonical, seal
from engine.recon.partition import average_cost, cut_in_order, exact_partition
from engine.recon.pricing import SOURCES, choose_price, implied_price

ZERO: Final = Decimal(0)


class Assignable(msgspec.Struct, frozen=True, kw_only=True):
    """What can be assigned of one (account, con_id), and what its price can be made of.

    Attributes:
        unassigned: Signed quantity in UNASSIGNED.
        difference: Broker minus all books at the latest good answer; ``None`` when there is none: then only executions
            can be assigned.
        records: UNASSIGNED's active records in fold order (executions and earlier legs).
        books_quantity: Signed, all books.
        books_open_cost: Signed, instrument currency, all books; ``None`` when unknown.
        broker_avg_cost: As reported, per contract with multiplier and commission.
        mark: Currency per unit.
    """

    account: str
    instrument: Instrument
    unassigned: Decimal
    difference: Decimal | None
    records: tuple[FillRecord, ...] = ()
    broker_quantity: Decimal | None = None
    broker_avg_cost: Decimal | None = None
    books_quantity: Decimal = ZERO
    books_open_cost: Decimal | None = None
    mark: Decimal | None = None

    @property
    def quantity(self) -> Decimal:
        """Signed: broker minus strategies, or UNASSIGNED alone while the broker's side is unknown."""
        return self.unassigned + (self.difference or ZERO)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator (or a rule) asks for.

    Attributes:
        split: Strategy -> signed quantity.
        price: Typed, instrument currency per unit; ``None`` to let the order of :mod:`engine.recon.pricing` choose.
        price_source: Insist on ``broker_cost``, ``mark`` or ``execution``; empty for no preference.
        request_id: Makes a repetition of the same request the same entry; empty for a request of its own.
    """

    split: Mapping[str, Decimal]
    operator: str
    reason: str
    price: Decimal | None = None
    price_source: str = ""
    request_id: str = ""
    rule_id: str = ""


def assignment_id_of(request_id: str) -> str:
    """The id of the entry that a request with this id makes; the same request makes the same entry."""
    return "A-" + hashlib.sha256(f"request:{request_id}".encode()).hexdigest()[:20]


def plan_assignment(what: Assignable, request: Request, *, now: datetime, previous_hash: str) -> AssignmentMade:
    """Make the signed journal entry for a request, changing nothing.

    Args:
        what: The present residual.
        request: Split, price, operator and reason.
        now: Time of the entry and of its legs, UTC.
        previous_hash: Head of the journal's chain, empty for the first entry.

    Raises:
        AssignmentRefused: The request does not fit the residual, no price can be had, or operator or reason are
            missing.
    """
    split = _checked_split(request)
    total = sum(split.values(), ZERO)
    from_books, from_rest = _two_parts(what, split, total)
    legs: list[AssignmentLeg] = []
    moves: list[ExecutionMove] = []
    sources: list[str] = []
    if from_books:
        if request.price is None and request.price_source in {"", "execution"}:
            moves, cut = _from_executions(what, from_books)
            legs += cut
            sources.append("execution")
        else:
            price, source = _price(what, request)
            legs += _transfer(from_books, price)
            sources.append(source)
    if from_rest:
        price, source = _price(what, request)
        legs += [AssignmentLeg(strategy=s, quantity=q, price=price) for s, q in from_rest.items()]
        sources.append(source)
    entry = AssignmentMade(
        received_at=now,
        assignment_id="",
        account=what.account,
        instrument=what.instrument,
        legs=_merged(legs),
        moves=tuple(moves),
        operator=request.operator.strip(),
        reason=request.reason.strip(),
        price_source="+".join(dict.fromkeys(sources)),
        effective_at=now,
        rule_id=request.rule_id,
        previous_hash=previous_hash,
    )
    return _named(entry, request.request_id, previous_hash)


def plan_moves(
    records: Sequence[FillRecord], to_strategy: str, request: Request, *, now: datetime, previous_hash: str
) -> AssignmentMade:
    """Make the entry that re-books whole executions, out of any book, to one strategy.

    Args:
        records: Active executions of one (account, con_id).
        to_strategy: Who gets them. ``UNASSIGNED`` takes them away from whom they were attributed to by mistake.
        request: Operator, reason, rule and request id; its split and price are not used.

    Raises:
        AssignmentRefused: Nothing to move, different instruments, an assignment's leg, or names missing.
    """
    _signed_by(request)
    if not to_strategy.strip():
        raise AssignmentRefused("name the strategy that gets the executions")
    if not records:
        raise AssignmentRefused("there is no execution to move")
    keys = {(r.fill.account, r.fill.instrument.con_id) for r in records}
    if len(keys) != 1:
        raise AssignmentRefused("one entry moves executions of one account and instrument")
    if any(r.state != "active" or r.fill.source == "assignment" for r in records):
        raise AssignmentRefused(
            "only active executions can be moved; an assignment's leg is taken back by its reversal"
        )
    if all(r.strategy == to_strategy for r in records):
        raise AssignmentRefused(f"the executions are in the book of {to_strategy} already")
    entry = AssignmentMade(
        received_at=now,
        assignment_id="",
        account=records[0].fill.account,
        instrument=records[0].fill.instrument,
        moves=tuple(
            ExecutionMove(exec_id=r.fill.exec_id, from_strategy=r.strategy, to_strategy=to_strategy)
            for r in records
            if r.strategy != to_strategy
        ),
        operator=request.operator.strip(),
        reason=request.reason.strip(),
        price_source="execution",
        effective_at=now,
        rule_id=request.rule_id,
        previous_hash=previous_hash,
    )
    return _named(entry, request.request_id, previous_hash)


def plan_legs(
    instrument: Instrument,
    account: str,
    legs: Iterable[AssignmentLeg],
    request: Request,
    *,
    now: datetime,
    previous_hash: str,
    price_source: str = "typed",
) -> AssignmentMade:
    """Make the entry that books a cause's own legs (an expiry at 0, a split pro rata), as the operator accepted them.

    Raises:
        AssignmentRefused: No legs, or names missing.
    """
    _signed_by(request)
    chosen = _merged(leg for leg in legs if leg.quantity)
    if not chosen:
        raise AssignmentRefused("there is nothing to book")
    entry = AssignmentMade(
        received_at=now,
        assignment_id="",
        account=account,
        instrument=instrument,
        legs=chosen,
        operator=request.operator.strip(),
        reason=request.reason.strip(),
        price_source=price_source,
        effective_at=now,
        rule_id=request.rule_id,
        previous_hash=previous_hash,
    )
    return _named(entry, request.request_id, previous_hash)


def plan_reversal(
    entry: AssignmentMade,
    *,
    later: Iterable[AssignmentMade],
    reversed_ids: Iterable[str],
    operator: str,
    reason: str,
    now: datetime,
    previous_hash: str,
) -> AssignmentReversed:
    """Make the entry that takes an assignment back; the books will be as if it had never been made.

    Args:
        entry: The assignment.
        later: Assignments made after it; one in force that moves the same executions has to be reversed first.
        reversed_ids: Ids of assignments that were reversed already.

    Raises:
        AssignmentRefused: Reversed already, a later entry builds on it, or operator or reason are missing.
    """
    _signed_by(Request(split={}, operator=operator, reason=reason))
    undone = set(reversed_ids)
    if entry.assignment_id in undone:
        raise AssignmentRefused(f"assignment {entry.assignment_id} was reversed already")
    moved = {m.exec_id for m in entry.moves}
    for other in later:
        if other.assignment_id not in undone and moved & {m.exec_id for m in other.moves}:
            raise AssignmentRefused(f"assignment {other.assignment_id} moves the same executions on: reverse it first")
    made = AssignmentReversed(
        received_at=now,
        reversal_id="R-" + hashlib.sha256(entry.assignment_id.encode()).hexdigest()[:20],
        assignment_id=entry.assignment_id,
        operator=operator.strip(),
        reason=reason.strip(),
    )
    return seal(made, previous_hash)


def _signed_by(request: Request) -> None:
    if not request.operator.strip():
        raise AssignmentRefused("an assignment needs the operator's name")
    if not request.reason.strip():
        raise AssignmentRefused("an assignment needs a reason")


def _checked_split(request: Request) -> dict[str, Decimal]:
    _signed_by(request)
    if request.price is not None and not request.price.is_finite():
        raise AssignmentRefused(f"the price {request.price} is not a number")
    if request.price_source and request.price_source not in SOURCES:
        raise AssignmentRefused(f"the price source {request.price_source!r} is none of {', '.join(SOURCES)}")
    split: dict[str, Decimal] = {}
    for strategy, quantity in request.split.items():
        name = strategy.strip()
        if not name or name == UNASSIGNED:
            raise AssignmentRefused(f"{strategy!r} is not a strategy that a residual can be given to")
        if not quantity.is_finite():
            raise AssignmentRefused(f"the quantity {quantity} for {name} is not a number")
        if quantity:
            split[name] = split.get(name, ZERO) + quantity
    if not split:
        raise AssignmentRefused("the split gives nothing to anybody")
    return split


def _two_parts(
    what: Assignable, split: Mapping[str, Decimal], total: Decimal
) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Check the split against the residual, and say what comes from UNASSIGNED and what from the unexplained rest."""
    residual = what.quantity
    where = f"{what.account} {what.instrument.symbol} ({what.instrument.con_id})"
    if not residual:
        raise AssignmentRefused(f"there is no residual to assign in {where}")
    if total * residual < 0 or any(q * residual < 0 for q in split.values()):
        raise AssignmentRefused(f"the split has the wrong sign: the residual in {where} is {residual:+f}")
    if abs(total) > abs(residual):
        raise AssignmentRefused(f"the split gives {total:+f}, but the residual in {where} is only {residual:+f}")
    room = what.unassigned if what.unassigned * residual > 0 else ZERO
    from_books: dict[str, Decimal] = {}
    from_rest: dict[str, Decimal] = {}
    for strategy, quantity in split.items():
        part = quantity if abs(quantity) <= abs(room) else room
        room -= part
        if part:
            from_books[strategy] = part
        if quantity != part:
            from_rest[strategy] = quantity - part
    return from_books, from_rest


def _from_executions(
    what: Assignable, wanted: Mapping[str, Decimal]
) -> tuple[list[ExecutionMove], list[AssignmentLeg]]:
    plain = all(r.fill.source != "assignment" for r in what.records)
    chosen: dict[str, list[FillRecord]] | None = exact_partition(what.records, wanted) if plain else None
    open_part: dict[str, Decimal] = {}
    if chosen is None:
        one_way = plain and all(r.quantity * what.unassigned > 0 for r in what.records)
        # With earlier legs, or with executions both ways, moving a single one would change what the others realized.
        chosen, open_part = cut_in_order(what.records, wanted) if one_way else ({}, dict(wanted))
    moved = {id(r) for records in chosen.values() for r in records}
    moves = [
        ExecutionMove(exec_id=r.fill.exec_id, from_strategy=r.strategy, to_strategy=strategy)
        for strategy, records in chosen.items()
        for r in records
    ]
    if not open_part:
        return moves, []
    cost = average_cost([r for r in what.records if id(r) not in moved])
    if cost is None:
        raise AssignmentRefused("UNASSIGNED holds no execution to take this from; type a price")
    return moves, _transfer(open_part, cost)


def _transfer(wanted: Mapping[str, Decimal], price: Decimal) -> list[AssignmentLeg]:
    """Legs out of UNASSIGNED and into strategies at one price: the sum of all books does not change."""
    out = AssignmentLeg(strategy=UNASSIGNED, quantity=-sum(wanted.values(), ZERO), price=price)
    return [out, *(AssignmentLeg(strategy=s, quantity=q, price=price) for s, q in wanted.items())]


def _price(what: Assignable, request: Request) -> tuple[Decimal, str]:
    implied = None
    if what.broker_quantity is not None:
        implied = implied_price(
            broker_quantity=what.broker_quantity,
            broker_avg_cost=what.broker_avg_cost,
            books_quantity=what.books_quantity,
            books_open_cost=what.books_open_cost,
            multiplier=what.instrument.multiplier,
        )
    wanted = "" if request.price_source == "execution" else request.price_source
    return choose_price(price=request.price, wanted=wanted, implied=implied, mark=what.mark)


def _merged(legs: Iterable[AssignmentLeg]) -> tuple[AssignmentLeg, ...]:
    sums: dict[tuple[str, Decimal], Decimal] = {}
    for leg in legs:
        key = (leg.strategy, leg.price)
        sums[key] = sums.get(key, ZERO) + leg.quantity
    return tuple(AssignmentLeg(strategy=s, quantity=q, price=p) for (s, p), q in sums.items() if q)


def _named(entry: AssignmentMade, request_id: str, previous_hash: str) -> AssignmentMade:
    if request_id:
        name = assignment_id_of(request_id)
    else:
        # The chain's head is part of it: the same words said again after an entry are another entry.
        digest = hashlib.sha256(f"{previous_hash}\n{canonical(entry)}".encode()).hexdigest()
        name = f"A-{digest[:20]}"
    return seal(msgspec.structs.replace(entry, assignment_id=name), previous_hash)
