"""The assignments desk: residuals given to strategies and taken back, each act one signed and chained journal entry.

Entries are made one at a time, in turn with the reconciler's comparisons, so that no residual is given twice and every
entry is linked to the one before. The same request (same ``request_id``) is booked once, however often it is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal

from engine.core.events import AnyFact, AssignmentLeg, AssignmentMade, AssignmentReversed, RuleSet
from engine.core.exact import undisturbed
from engine.core.ids import UNASSIGNED, split_exec_id
from engine.core.records import FillRecord, PositionRecord
from engine.desk.books import Books, Everything
from engine.desk.picture import Lock, in_force_of, key_of
from engine.desk.reconciler import Reconciler
from engine.errors import AssignmentRefused, BadRequest
from engine.ports import Broker, Clock
from engine.recon.assign import (
    Assignable,
    Request,
    assignment_id_of,
    plan_assignment,
    plan_legs,
    plan_moves,
    plan_reversal,
)
from engine.recon.breaks import Break
from engine.recon.cause import Cause
from engine.recon.internal import InternalExpiry, internal_expiries
from engine.recon.owners import Suggestion, suggest_owners
from engine.recon.rules import Trial, match_rule, try_rule

Submit = Callable[[Sequence[AnyFact]], Awaitable[object]]
"""Journals facts; resolves when they are durable *and applied* to the ledger."""


class AssignmentDesk:
    """Plans, books and reverses assignments."""

    def __init__(
        self,
        *,
        ledger: Books,
        lock: Lock,
        broker: Broker,
        reconciler: Reconciler,
        submit: Submit,
        clock: Clock,
        everything: Everything,
        strategy_of_reference: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """Take the parts.

        Args:
            submit: See :data:`Submit`.
            everything: Asked without the lock.
            strategy_of_reference: The settings' rule from an order reference to a strategy.
        """
        self._ledger = ledger
        self._lock = lock
        self._broker = broker
        self._reconciler = reconciler
        self._submit = submit
        self._clock = clock
        self._everything = everything
        self._strategy_of_reference = strategy_of_reference

    # --- looking --------------------------------------------------------------------------------------------------

    def assignable(self, account: str, con_id: int) -> Assignable:
        """What can be assigned now.

        Raises:
            AssignmentRefused: Neither books nor broker know the instrument.
        """
        live = self._reconciler.live(account, con_id)
        with self._lock:
            instrument = self._ledger.instrument(con_id)
            loose = self._ledger.position(UNASSIGNED, account, con_id)
            records = self._loose_records(account, con_id)
            books = [p for p in self._ledger.positions(account=account) if p.instrument_key == con_id]
        difference = None if live is None else live[1]
        if instrument is None and difference is not None:
            instrument = difference.instrument
        if instrument is None:
            raise AssignmentRefused(f"instrument {con_id} is known neither to the books nor to the broker")
        mark = self._broker.marks().get((account, con_id))
        costs = difference is not None and not instrument.is_percent_of_par  # a bond's is in no known unit (F88)
        return Assignable(
            account=account,
            instrument=instrument,
            unassigned=Decimal(0) if loose is None else loose.quantity,
            difference=None if difference is None else difference.difference,
            records=tuple(records),
            broker_quantity=None if difference is None else difference.broker_quantity,
            broker_avg_cost=difference.broker_avg_cost if difference is not None and costs else None,
            books_quantity=sum((p.quantity for p in books), Decimal(0)),
            books_open_cost=sum((p.open_cost for p in books), Decimal(0)),
            mark=None if mark is None else mark.price,
        )

    def preview(
        self,
        account: str,
        con_id: int,
        split: Mapping[str, Decimal],
        *,
        price: Decimal | None = None,
        price_source: str = "",
    ) -> tuple[AssignmentMade, list[tuple[PositionRecord | None, PositionRecord]]]:
        """The entry that would be made, and every book it would touch, before and after; nothing is changed.

        Raises:
            AssignmentRefused: The request does not fit.
        """
        request = Request(split=split, operator="preview", reason="preview", price=price, price_source=price_source)
        head = self._ledger.assignment_head
        with undisturbed():
            entry = plan_assignment(
                self.assignable(account, con_id), request, now=self._clock.now(), previous_hash=head
            )
        with self._lock:
            return entry, self._ledger.preview(entry)

    def suggest_owners(self, account: str, con_id: int) -> list[Suggestion]:
        """Who the residual probably belongs to, best first, with reasons."""
        what = self.assignable(account, con_id)
        history = [r for r in self._everything.fills() if r.fill.account == account]
        orders = [
            o
            for o in self._everything.orders()
            if o.update.account == account and o.update.instrument and o.update.instrument.con_id == con_id
        ]
        with self._lock:
            books = [p for p in self._ledger.positions(account=account) if p.instrument_key == con_id]
            decisions = [
                (entry, record)
                for entry in in_force_of(self._ledger)
                for move in entry.moves[:1]
                if (record := self._ledger.fill(entry.account, split_exec_id(move.exec_id)[0])) is not None
            ]
        return suggest_owners(
            what.quantity,
            con_id=con_id,
            executions=what.records,
            positions=books,
            history=history,
            orders=orders,
            decisions=decisions,
            strategy_of_reference=self._strategy_of_reference,
        )

    def try_rule(self, rule: RuleSet) -> list[Trial]:
        """What a rule would have done with every execution we know; nothing is changed."""
        return try_rule(rule, self._everything.fills())

    # --- acting ---------------------------------------------------------------------------------------------------

    async def assign(self, account: str, con_id: int, request: Request) -> AssignmentMade:
        """Give the residual, or part of it, to strategies.

        Returns:
            The entry, durable and applied; the former one when the ``request_id`` was booked before.

        Raises:
            AssignmentRefused: The request does not fit; nothing was changed.
        """
        return await self._make(
            request,
            lambda head: plan_assignment(
                self.assignable(account, con_id), request, now=self._clock.now(), previous_hash=head
            ),
        )

    async def move(self, account: str, exec_ids: Sequence[str], to_strategy: str, request: Request) -> AssignmentMade:
        """Re-book whole executions, out of whatever book they are in.

        Raises:
            AssignmentRefused: An execution is unknown or cannot be moved; nothing was changed.
        """

        def plan(head: str) -> AssignmentMade:
            records = []
            for exec_id in exec_ids:
                record = self._ledger.fill(account, split_exec_id(exec_id)[0])
                if record is None:
                    raise AssignmentRefused(f"execution {exec_id} is not known in {account}")
                records.append(record)
            return plan_moves(records, to_strategy, request, now=self._clock.now(), previous_hash=head)

        return await self._make(request, plan)

    async def accept(self, found: Break, cause: Cause, request: Request) -> AssignmentMade:
        """Book the legs that a cause proposes (an expiry, a split), as proposed.

        Raises:
            AssignmentRefused: The cause proposes no legs, or the break has changed since it was explained.
        """

        def plan(head: str) -> AssignmentMade:
            if cause.proposal.act != "legs":
                raise AssignmentRefused(f"the cause {cause.title!r} proposes nothing to book: {cause.proposal.text}")
            what = self.assignable(found.account, found.con_id)
            if what.difference != found.difference:
                raise AssignmentRefused("the break has changed since it was explained: reconcile and look again")
            return plan_legs(
                what.instrument,
                found.account,
                cause.proposal.legs,
                request,
                now=self._clock.now(),
                previous_hash=head,
                price_source=cause.kind,
            )

        return await self._make(request, plan)

    def internal_expiries(self) -> list[InternalExpiry]:
        """Expired contracts that offsetting strategies still hold although the broker has none (F103)."""
        with self._lock:
            positions = self._ledger.positions()
        answered = {a for a in {p.account for p in positions} if self._reconciler.live(a, 0) is not None}
        marks = {key: mark.price for key, mark in self._broker.marks().items()}
        return internal_expiries(positions, answered, self._ledger.instrument, marks, self._clock.now())

    async def expire(self, found: InternalExpiry, request: Request) -> AssignmentMade:
        """Close every book of an internally expired contract at one price; the sum of all books stays 0.

        Args:
            request: Its ``price`` is used, else the intrinsic value.

        Raises:
            AssignmentRefused: Neither is known, or the books have changed.
        """

        def plan(head: str) -> AssignmentMade:
            if found.holdings not in [e.holdings for e in self.internal_expiries() if e.key == found.key]:
                raise AssignmentRefused("the books have changed since the expiry was found: look again")
            price = request.price if request.price is not None else found.price
            if price is None:
                raise AssignmentRefused("the underlying has no mark, so the intrinsic value is unknown: type a price")
            legs = [AssignmentLeg(strategy=s, quantity=-q, price=price) for s, q in found.holdings.items()]
            source = "internal expiry"
            now = self._clock.now()
            return plan_legs(
                found.instrument, found.account, legs, request, now=now, previous_hash=head, price_source=source
            )

        return await self._make(request, plan)

    async def reverse(self, assignment_id: str, *, operator: str, reason: str) -> AssignmentReversed:
        """Take an assignment back; every book is as if it had never been made.

        Raises:
            AssignmentRefused: Unknown, reversed already, or a later entry builds on it; nothing was changed.
        """
        async with self._reconciler.turn:
            with self._lock:
                made = self._ledger.assignments()
                entry = next((a for a in made if a.assignment_id == assignment_id), None)
                undone = set(self._ledger.reversed_ids)
                head = self._ledger.assignment_head
            if entry is None:
                raise AssignmentRefused(f"there is no assignment {assignment_id}")
            reversal = plan_reversal(
                entry,
                later=made[made.index(entry) + 1 :],
                reversed_ids=undone,
                operator=operator,
                reason=reason,
                now=self._clock.now(),
                previous_hash=head,
            )
            await self._submit([reversal])
            await asyncio.to_thread(self._reconciler.touch, entry.account, entry.instrument.con_id, restored=True)
            await self._reconciler.tell()
            return reversal

    async def apply_rules(self) -> list[AssignmentMade]:
        """Let the rules in force assign what they match in UNASSIGNED; one entry per rule, account and instrument."""
        with self._lock:
            rules = [r for r in self._ledger.rules() if r.enabled]
        loose = self._everything.fills(UNASSIGNED) if rules else []
        groups: dict[tuple[str, str, int], list[FillRecord]] = {}
        chosen: dict[str, RuleSet] = {}
        for record in loose:
            rule = match_rule(rules, record)
            if rule is not None:
                chosen[rule.rule_id] = rule
                groups.setdefault((rule.rule_id, *key_of(record)), []).append(record)
        made = []
        for (rule_id, account, _), records in groups.items():
            rule = chosen[rule_id]
            request = Request(
                split={},
                operator=f"rule {rule_id}",
                reason=rule.reason or f"rule {rule_id} of {rule.operator}",
                rule_id=rule_id,
            )
            exec_ids = [r.fill.exec_id for r in records]
            made.append(await self.move(account, exec_ids, rule.strategy, request))
        return made

    async def _make(self, request: Request, plan: Callable[[str], AssignmentMade]) -> AssignmentMade:
        async with self._reconciler.turn:
            # In a worker thread: planning looks through the executions, and the loop has other things to do.
            former, entry = await asyncio.to_thread(self._planned, request, plan)
            if former:
                return entry
            await self._submit([entry])
            with self._lock:
                applied = any(a.assignment_id == entry.assignment_id for a in self._ledger.assignments())
            assert applied, "submit resolves when the fact is applied"
            await asyncio.to_thread(self._reconciler.touch, entry.account, entry.instrument.con_id)
            await self._reconciler.tell()
            return entry

    def _planned(self, request: Request, plan: Callable[[str], AssignmentMade]) -> tuple[bool, AssignmentMade]:
        with self._lock, undisturbed():
            former = self._former(request)
            return (True, former) if former is not None else (False, plan(self._ledger.assignment_head))

    def _former(self, request: Request) -> AssignmentMade | None:
        if not request.request_id:
            return None
        name = assignment_id_of(request.request_id)
        former = next((a for a in self._ledger.assignments() if a.assignment_id == name), None)
        if former is None:
            return None
        if name in self._ledger.reversed_ids:
            raise BadRequest(f"request {request.request_id} was booked and reversed: make a new request")
        wanted = {s.strip() for s, q in request.split.items() if q}
        gets = {leg.strategy for leg in former.legs} | {m.to_strategy for m in former.moves}
        if wanted and not wanted <= gets:
            raise BadRequest(f"request {request.request_id} was booked with another split")
        return former

    def _loose_records(self, account: str, con_id: int) -> list[FillRecord]:
        records = [
            r
            for r in self._ledger.near.fills([(account, con_id)], strategy=UNASSIGNED)
            if r.state == "active" and r.quantity
        ]
        return sorted(records, key=lambda r: (r.order_time, r.first_seq))
