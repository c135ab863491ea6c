"""Assignments in the books: legs as executions of their own, moves of whole executions, and taking both back.

A leg is booked like an execution at the entry's time, with the price that the entry says and no fee. A move lies *over*
an execution's attribution; taking it back uncovers what is beneath, so a claim that came meanwhile is not lost. After a
reversal the books are as if the entry had never been made.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.core.book import Book, Line
from engine.core.events import AssignmentLeg, AssignmentMade, AssignmentReversed, ExecutionMove, Fill
from engine.core.exact import ZERO, add, multiply
from engine.core.ids import leg_exec_id, split_exec_id
from engine.core.records import PositionRecord
from engine.recon.chain import in_order
from engine.state.booking import Booking
from engine.state.books import BookKey, Terms, last_time, position_record
from engine.state.changes import Changes
from engine.state.executions import Execution, Move, record_of


class Assignments:
    """The journal of assignments, and its effect.

    Attributes:
        made: Assignment id -> entry, in order.
        reversed: Assignment id -> what took it back.
        head: Hash of the last entry, empty for none.
    """

    def __init__(self, booking: Booking) -> None:
        """Wire the parts."""
        self._booking = booking
        self.made: dict[str, AssignmentMade] = {}
        self.reversed: dict[str, AssignmentReversed] = {}
        self.head = ""

    def make(self, entry: AssignmentMade, changes: Changes) -> None:
        """Book an entry; the same id again changes nothing."""
        if entry.assignment_id in self.made:
            return
        self.made[entry.assignment_id] = entry
        self.head = entry.entry_hash or self.head
        terms = self._booking.shelf.terms_of(entry.instrument)
        for number, leg in enumerate(entry.legs):
            self._book_leg(entry, leg, number, terms, changes)
        for move in entry.moves:
            self._move(entry, move, changes)

    def _book_leg(self, entry: AssignmentMade, leg: AssignmentLeg, number: int, terms: Terms, changes: Changes) -> None:
        seq = self._booking.seq
        exec_id = leg_exec_id(entry.assignment_id, number, leg.strategy)
        execution = Execution(
            sort=(entry.effective_at, number, seq),
            quantity=leg.quantity,
            value=terms.value(leg.price),
            fill=leg_fill(entry, leg, exec_id, terms),
            revision=0,
            state="active",
            unit_price=leg.price,
            base=leg.strategy,
            strategy=leg.strategy,
            claimed=True,
            seq=seq,
            recorded_at=self._booking.now(),
            commission=ZERO,
            commission_currency=terms.instrument.currency,
            fee_revision=0,
            reason="",
        )
        root = split_exec_id(exec_id)[0]
        if self._booking.index.find(entry.account, root) is not None:
            text = f"leg {number} of assignment {entry.assignment_id} has an id that is taken"
            self._booking.findings.about(changes, "unbookable", "critical", execution.fill, text, strategy=leg.strategy)
            return
        self._booking.index.add(entry.account, root, execution)
        changed = self._booking.shelf.put(execution)
        changes.dirty.add(leg.strategy)
        changes.fills.append(record_of(execution, terms.instrument))
        self._booking.again(changed or (), changes)
        self._booking.touch(execution.fill)

    def _move(self, entry: AssignmentMade, move: ExecutionMove, changes: Changes) -> None:
        execution = self._booking.index.find(entry.account, split_exec_id(move.exec_id)[0])
        if execution is None or execution.strategy != move.from_strategy:
            where = "unknown" if execution is None else f"in the book of {execution.strategy}"
            self._booking.findings.add(
                changes,
                "unbookable",
                "critical",
                f"{entry.assignment_id}:{move.exec_id}",
                f"assignment {entry.assignment_id} moves {move.exec_id} from {move.from_strategy}, but it is {where}",
                account=entry.account,
                con_id=entry.instrument.con_id,
                exec_id=move.exec_id,
                strategy=move.to_strategy,
            )
            return
        execution.more().moves.append(Move(assignment_id=entry.assignment_id, to_strategy=move.to_strategy))
        reason = f"assignment {entry.assignment_id} by {entry.operator}: {entry.reason}"
        self._booking.rebook(execution, move.to_strategy, reason, changes)

    def reverse(self, entry: AssignmentReversed, changes: Changes) -> None:
        """Take an entry back; unknown or taken back already changes nothing but the journal's head, a repeat not even it."""
        former = self.reversed.get(entry.assignment_id)
        if former is not None and former.entry_hash == entry.entry_hash:
            return
        self.head = entry.entry_hash or self.head
        made = self.made.get(entry.assignment_id)
        if made is None or former is not None:
            return
        self.reversed[entry.assignment_id] = entry
        reason = f"reversed by {entry.operator}: {entry.reason}"
        for move in reversed(made.moves):
            self._move_back(made, move, reason, changes)
        for number, leg in enumerate(made.legs):
            root = split_exec_id(leg_exec_id(made.assignment_id, number, leg.strategy))[0]
            execution = self._booking.index.find(made.account, root)
            if execution is not None and execution.state == "active":
                self._unbook_leg(execution, reason, changes)

    def relink(self) -> None:
        """Find the journal's order and head by its links, after entries came in the order in which a store had them."""
        entries = in_order([*self.made.values(), *self.reversed.values()])
        self.made = {e.assignment_id: e for e in entries if isinstance(e, AssignmentMade)}
        self.head = next((e.entry_hash for e in reversed(entries) if e.entry_hash), "")

    def _move_back(self, made: AssignmentMade, move: ExecutionMove, reason: str, changes: Changes) -> None:
        execution = self._booking.index.find(made.account, split_exec_id(move.exec_id)[0])
        if execution is None or execution.extra is None:
            return
        moves = execution.extra.moves
        kept = [m for m in moves if m.assignment_id != made.assignment_id]
        if len(kept) == len(moves):
            return
        execution.extra.moves = kept
        self._booking.rebook(execution, kept[-1].to_strategy if kept else execution.base, reason, changes)

    def _unbook_leg(self, execution: Execution, reason: str, changes: Changes) -> None:
        changed = self._booking.shelf.take(execution)
        # In no book, it is not folded again when the contract's details come: it keeps the terms it was taken back on.
        terms = self._booking.shelf.terms_for(execution)
        execution.fill = msgspec.structs.replace(execution.fill, instrument=terms)
        execution.state, execution.reason = "reversed", reason
        execution.realized = ZERO
        execution.supersedes = execution.fill.exec_id
        self._booking.shelf.put(execution)
        self._booking.again([execution, *changed], changes)
        self._booking.touch(execution.fill)

    def preview(self, entry: AssignmentMade) -> list[tuple[PositionRecord | None, PositionRecord]]:
        """Every book that an entry would touch, before and after; nothing is changed.

        Returns:
            One pair per book, in the order in which the entry names them; ``None`` before for a book that is new.
        """
        legs: dict[BookKey, list[Line]] = {}
        moved: dict[BookKey, list[tuple[Execution, int]]] = {}
        known = self._booking.shelf.terms.get(entry.instrument.con_id)
        terms = known if known is not None else _fresh(entry)
        con_id = entry.instrument.con_id
        for number, leg in enumerate(entry.legs):
            line = Line(
                sort=(entry.effective_at, number, self._booking.seq + 1),
                quantity=leg.quantity,
                value=terms.value(leg.price),
            )
            legs.setdefault((leg.strategy, entry.account, con_id), []).append(line)
        for move in entry.moves:
            execution = self._booking.index.find(entry.account, split_exec_id(move.exec_id)[0])
            if execution is not None and execution.strategy == move.from_strategy:
                own = execution.fill.instrument.con_id
                moved.setdefault((move.from_strategy, entry.account, own), []).append((execution, -1))
                moved.setdefault((move.to_strategy, entry.account, own), []).append((execution, 1))
        return [
            self._preview(key, legs.get(key, []), moved.get(key, []), terms) for key in dict.fromkeys([*legs, *moved])
        ]

    def _preview(
        self, key: BookKey, legs: list[Line], moved: list[tuple[Execution, int]], terms: Terms
    ) -> tuple[PositionRecord | None, PositionRecord]:
        book = self._booking.shelf.books.get(key)
        before = self._booking.shelf.record(book) if book is not None else None
        gone = {id(e) for e, sign in moved if sign < 0}
        come = [e for e, sign in moved if sign > 0]
        fees: dict[str, Decimal] = {terms.instrument.currency: ZERO} if legs else {}
        folded: Book[Line] = Book()
        if book is not None and book.cold:
            first = min(x.sort for x in (*legs, *come)) if legs or come else None
            if first is not None and book.edge is not None and first < book.edge:
                self._booking.shelf.recall(book, first)
            folded.begin_from(book.base, book.cold, book.edge)
            for currency, (total, _) in book.gone.items():
                fees[currency] = add(fees.get(currency, ZERO), total)
        bearers = [e for e in (book.bearers() if book is not None else ()) if id(e) not in gone] + come
        lines = [*legs, *(Line(sort=e.sort, quantity=e.quantity, value=e.value) for e in bearers if e.counts)]
        for line in sorted(lines, key=lambda x: x.sort):
            folded.put(line)
        for execution in bearers:
            if execution.commission is not None:
                currency = execution.commission_currency
                fees[currency] = add(fees.get(currency, ZERO), execution.commission)
        known = self._booking.shelf.terms.get(key[2], terms)
        after = position_record(
            key,
            known.instrument,
            (folded.quantity, folded.open_cost, folded.realized),
            fees=fees,
            pending=sum(e.commission is None for e in bearers),
            fills=folded.cold + len(folded.lines),
            last=last_time(folded),
            seq=self._booking.seq,
        )
        return before, after


def _fresh(entry: AssignmentMade) -> Terms:
    terms = Terms(instrument=entry.instrument)
    terms.set(entry.instrument)
    return terms


def leg_fill(entry: AssignmentMade, leg: AssignmentLeg, exec_id: str, terms: Terms) -> Fill:
    """The leg in the form of an execution; its price in quoted units, as every execution's."""
    return Fill(
        received_at=entry.received_at,
        account=entry.account,
        exec_id=exec_id,
        instrument=terms.instrument,
        quantity=leg.quantity,
        price=multiply(leg.price, Decimal(terms.instrument.price_magnifier or 1)),
        executed_at=entry.effective_at,
        strategy=leg.strategy,
        source="assignment",
    )
