"""The ledger: facts in, books and records out.

``apply`` takes the journal's facts in their order and returns what changed. Nothing else changes a book, nothing in here
reads a clock or does any input or output, and nothing that is wrong with the *data* raises: it becomes a finding. Replaying
the same facts gives the same books and the same records. Not safe for several threads at once: callers hold one lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.core.events import (
    AnyFact,
    AssignmentMade,
    AssignmentReversed,
    Audited,
    BreakNoted,
    Bust,
    Commission,
    ConnectionSeen,
    Fill,
    InstrumentDescribed,
    OrderUpdate,
    QuarantineClosed,
    Quarantined,
    RateSeen,
    RuleSet,
    StrategiesNamed,
)
from engine.core.ids import UNASSIGNED, split_exec_id
from engine.core.instrument import Instrument
from engine.core.records import FillRecord, Finding, OrderRecord, PositionRecord
from engine.ports import Archive
from engine.state import queries
from engine.state.assignments import Assignments
from engine.state.attribution import Attribution
from engine.state.away import Away
from engine.state.booking import Booking
from engine.state.changes import BEFORE, Changes
from engine.state.dump import Parts, dump_state, load_state
from engine.state.executions import Execution
from engine.state.intake import Homes, Intake
from engine.state.near import Near
from engine.state.notes import Notes
from engine.state.order import Order
from engine.state.orders import Orders
from engine.state.putaway import Keep, PutAway
from engine.state.walk import walker

EVERYDAY = Keep()


class Ledger:
    """Everything the engine knows, as of one sequence.

    Attributes:
        rates: (account, currency) -> latest rate; ``bases``: account -> base currency.
        break_notes: Break id -> owner and note in force.
        quarantine: Open quarantined messages by id.
        connections: Recent changes of the link; ``audit``: recent acts of operators.
        near: Answers about some instruments at the cost of these. ``alone``: (now) -> facts as ``Changes.alone`` has them.
        walk: (lock, heard) -> all executions or orders for a caller who does not hold the lock, see ``state.walk``.
    """

    def __init__(
        self,
        *,
        fa_masters: Iterable[str] = (),
        archive: Archive | None = None,
    ) -> None:
        """Start with empty books.

        Args:
            fa_masters: Accounts whose executions are repeated per sub-account, beside those that look like an advisor's.
            archive: Where what is settled goes when :meth:`put_away` is called; without one everything stays in memory.
        """
        self._booking = booking = Booking()
        self._moment, self._findings = booking.moment, booking.findings
        self._shelf, self._index = booking.shelf, booking.index
        self._orders, self._attribution = Orders(self._moment), Attribution()
        self._intake = Intake(self._booking, self._orders, self._attribution, fa_masters)
        self._assignments, self.alone = Assignments(booking), self._intake.alone
        parts = (booking, self._orders, self._attribution, self._assignments)
        self._away = None if archive is None else Away(archive, *parts)
        self.near = Near(self._shelf, self._away, self._orders, self._attribution)
        self.walk = walker(self._shelf, self._index, self._away, self._orders)
        self._notes = notes = Notes(self._findings)
        self.rates, self.bases, self.break_notes = notes.rates, notes.bases, notes.break_notes
        self.quarantine, self.connections, self.audit = notes.quarantine, notes.connections, notes.audit
        self._handlers: dict[type, Callable[[Any, Changes], None]] = {
            Fill: self._intake.fill,
            Commission: self._intake.fees.report,
            Bust: self._intake.amendments.bust,
            OrderUpdate: self._order,
            InstrumentDescribed: self._described,
            RateSeen: notes.rate,
            AssignmentMade: self._assignments.make,
            AssignmentReversed: self._assignments.reverse,
            RuleSet: self._attribution.rule,
            StrategiesNamed: self._attribution.named,
            BreakNoted: notes.note,
            ConnectionSeen: notes.connection,
            Quarantined: notes.quarantined,
            QuarantineClosed: notes.quarantine_closed,
            Audited: notes.audited,
        }

    def apply(self, seq: int, fact: AnyFact, changes: Changes | None = None) -> Changes:
        """Take in the next fact.

        Args:
            seq: Its journal sequence, above every one before.
            changes: Where to note what it changed, behind what former facts did; a new list by default.

        Returns:
            What it changed.
        """
        moment = self._moment
        assert seq > moment.seq, f"facts come in order: {seq} after {moment.seq}"
        moment.at = max(moment.at, fact.received_at)
        moment.seq = seq
        if changes is None:
            changes = Changes()
        if self._away is None or not self._away.idle(fact):
            self._handlers[type(fact)](fact, changes)
        return changes

    @property
    def seq(self) -> int:
        """Sequence of the last fact applied, 0 for none."""
        return self._moment.seq

    @property
    def at(self) -> datetime | None:
        """Our time of it, never going back: the recorded time of records; ``None`` before the first."""
        return self._moment.at if self._moment.at is not BEFORE else None

    def put_away(self, keep: Keep = EVERYDAY) -> Iterator[int]:
        """Give what is settled to the archive, a block with each step; see ``state.putaway``.

        The ledger may be used between two steps. Nothing that can be asked or told changes by it.

        Yields:
            How many executions or orders went.
        """
        if self._away is not None:
            yield from PutAway(self._away, self._booking, self._orders, self._attribution).run(keep)

    # ------------------------------------------------------------------------------------------------------- facts

    def _order(self, update: OrderUpdate, changes: Changes) -> None:
        named = update.strategy
        if named is None or named == UNASSIGNED:
            claimed, strategy = False, self._attribution.infer(update).strategy
        else:
            claimed, strategy = True, named
            first = self._attribution.claim(named, update)
            if first is not None:
                text = f"order {update.order_id} (permId {update.perm_id}) is claimed by {named}, it stays with {first}"
                self._findings.add(
                    changes,
                    "conflict",
                    "warning",
                    f"order:{update.account}:{update.perm_id}:{update.order_id}:{named}",
                    text,
                    account=update.account,
                    strategy=first,
                )
                strategy = first
        taken = self._orders.sight(update, strategy, claimed=claimed)
        if taken is None:
            return
        order, record = taken
        if record is not None:
            changes.orders.append(record)
        self._intake.progress.checked(order, changes)
        if claimed:
            self._intake.adopt(update, strategy, changes)

    def _described(self, fact: InstrumentDescribed, changes: Changes) -> None:
        instrument = fact.instrument
        known = self._shelf.terms.get(instrument.con_id)
        old = known.instrument if known is not None else None
        touched = self._shelf.describe(instrument)
        if not touched or old is None:
            return
        self._booking.again(touched, changes)
        if (old.multiplier, old.price_magnifier or 1) == (instrument.multiplier, instrument.price_magnifier or 1):
            return  # known now, and what was taken for it until now
        text = (
            f"con_id {instrument.con_id} {instrument.symbol}: multiplier {old.multiplier} is {instrument.multiplier}, "
            f"magnifier {old.price_magnifier} is {instrument.price_magnifier}; {len(touched)} executions folded again"
        )
        self._findings.add(
            changes, "instrument_changed", "info", str(instrument.con_id), text, con_id=instrument.con_id
        )

    # ----------------------------------------------------------------------------------------------------- questions

    def positions(self, strategy: str | None = None, account: str | None = None) -> list[PositionRecord]:
        """One per (strategy, account, con_id) traded, flat ones kept."""
        return self._shelf.records(strategy, account)

    def position(self, strategy: str, account: str, con_id: int) -> PositionRecord | None:
        """One book, ``None`` when it never traded."""
        book = self._shelf.books.get((strategy, account, con_id))
        return self._shelf.record(book) if book is not None else None

    def net(self) -> dict[tuple[str, int], Decimal]:
        """Signed quantity per (account, con_id) over all strategies and UNASSIGNED; currency pairs left out (F80)."""
        return self._shelf.net()

    def instrument(self, con_id: int) -> Instrument | None:
        """An instrument as the broker's contract details, else its first execution, gave it."""
        terms = self._shelf.terms.get(con_id)
        return terms.instrument if terms is not None else None

    def instruments(self) -> list[Instrument]:
        """Every instrument that was traded or described."""
        return [terms.instrument for terms in self._shelf.terms.values()]

    def fill(self, account: str, root: str) -> FillRecord | None:
        """The present state of an execution."""
        execution = self._found(account, root)
        return queries.record(self._shelf, execution) if execution is not None else None

    def _found(self, account: str, root: str) -> Execution | None:
        execution = self._index.find(account, root)
        return self._away.look(account, root) if execution is None and self._away is not None else execution

    def fills(self, strategy: str | None = None, since: datetime | None = None) -> list[FillRecord]:
        """The present state of every execution, in order of first sight.

        Args:
            since: Only those that happened at or after this moment (place in the books' order).
        """
        return queries.fills(self._shelf, self._index, self._away, strategy, since)

    def page(
        self, strategy: str | None = None, account: str | None = None, *, skip: int = 0, limit: int = 50
    ) -> tuple[list[FillRecord], int]:
        """The present state of some executions, newest first, at the cost of the page and not of the history.

        Args:
            skip: Executions before the page.
            limit: Executions of the page.

        Returns:
            The page in falling place of the books' order, and how many executions there are.
        """
        return queries.page(self._shelf, self._away, strategy, account, skip, limit)

    def chain(self, account: str, root: str) -> list[FillRecord]:
        """Every revision of an execution, lowest first; the one that counts is the last."""
        execution = self._found(account, root)
        return queries.chain(self._shelf, execution) if execution is not None else []

    def chains(self, strategy: str) -> Iterator[list[FillRecord]]:
        """:meth:`chain` of every execution of a strategy, in no order."""
        return queries.chains(self._shelf, self._away, strategy)

    def chain_of(self, account: str, exec_id: str) -> list[FillRecord]:
        """:meth:`chain` of the execution that any of its ids names."""
        return self.chain(account, split_exec_id(exec_id)[0])

    def orders(self, strategy: str | None = None, *, open_only: bool = False) -> list[OrderRecord]:
        """The latest record of every order, in order of first sight."""
        return queries.orders(self._orders, self._away, strategy, open_only=open_only)

    def newest_order_rows(self) -> dict[str, int]:
        """Strategy -> sequence of the latest row that any of its orders made."""
        return dict(self._orders.newest)

    def latest_orders(self) -> list[OrderRecord]:
        """Open orders and the latest few hundred of each strategy, in no order."""
        return queries.latest_orders(self._orders)

    def order(self, key: str) -> OrderRecord | None:
        """The latest record of one order."""
        known = self._order_named(key)
        return self._orders.latest(known) if known is not None and known.timeline else None

    def timeline(self, key: str) -> list[OrderRecord]:
        """Every record of one order."""
        known = self._order_named(key)
        return list(known.timeline) if known is not None else []

    def timelines(self, strategy: str) -> Iterator[OrderRecord]:
        """Every row of every order of a strategy, in no order."""
        return queries.timelines(self._orders, self._away, strategy)

    def _order_named(self, key: str) -> Order | None:
        known = self._orders.get(key)
        return self._away.order(key) if known is None and self._away is not None else known

    def assignments(self) -> list[AssignmentMade]:
        """The journal's entries, oldest first."""
        return list(self._assignments.made.values())

    @property
    def reversed_ids(self) -> dict[str, AssignmentReversed]:
        """Assignment id -> what took it back."""
        return self._assignments.reversed

    @property
    def assignment_head(self) -> str:
        """Hash of the journal's last entry, empty for none."""
        return self._assignments.head

    def preview(self, assignment: AssignmentMade) -> list[tuple[PositionRecord | None, PositionRecord]]:
        """Books that an entry would touch, before and after; nothing is changed."""
        if self._away is not None:
            self._away.for_entry(assignment)
        return self._assignments.preview(assignment)

    def rules(self) -> list[RuleSet]:
        """Every rule, switched off ones included."""
        return list(self._attribution.rules.values())

    def strategies(self) -> list[str]:
        """Names known by configuration, from messages or from books."""
        return list(dict.fromkeys([*self._attribution.names, *(key[0] for key in self._shelf.books)]))

    def activity(self, account: str, con_id: int) -> datetime | None:
        """Our time of the last fact about an instrument in an account."""
        return self._booking.activity.get((account, con_id))

    def fees_pending(self, older_than: datetime) -> list[FillRecord]:
        """Executions heard of at or before a moment whose fee is still unknown (R8)."""
        return queries.fees_pending(self._booking, older_than)

    @property
    def findings(self) -> dict[str, Finding]:
        """Open findings by key."""
        return self._findings.open

    @property
    def orphan_commissions(self) -> dict[str, Commission]:
        """Fees whose execution is not known, by execution id."""
        return self._intake.fees.orphans

    @property
    def unbookable(self) -> list[Fill]:
        """Executions that could not be booked, kept for the health screen."""
        return list(self._intake.unbookable.values())

    @property
    def patterns(self) -> Mapping[str, str]:
        """The settings' strategies in force, with the patterns of their order references."""
        return self._attribution.patterns

    @property
    def execution_count(self) -> int:
        """Number of executions known."""
        return self._index.count

    @property
    def in_memory(self) -> int:
        """Number of executions and orders that are here and not put away, roughly."""
        return self._index.here + len(self._orders.by_key)

    def restore(self, facts: Iterable[tuple[int, AnyFact]], homes: Homes) -> None:
        """Book what a store tells: facts in order, and whose everything was."""
        self._intake.owners = homes.first
        for seq, fact in facts:
            self.apply(seq, fact)
        self._intake.owners = {}
        self._assignments.relink()
        self._intake.bring_home(homes, Changes())

    def dump(self) -> bytes:
        """The whole state, versioned; :meth:`load` continues from it identically."""
        return dump_state(self._parts())

    @classmethod
    def load(cls, blob: bytes, *, fa_masters: Iterable[str] = (), archive: Archive | None = None) -> Ledger:
        """Bring back what :meth:`dump` gave.

        Args:
            archive: With what was put away until then, no more and no less.

        Raises:
            ValueError: It is of another version, no dump, or the archive does not belong to it.
        """
        ledger = cls(fa_masters=fa_masters, archive=archive)
        load_state(ledger._parts(), blob)
        return ledger

    def _parts(self) -> Parts:
        archive = self._away.archive if self._away is not None else None
        return Parts(
            self, self._booking, self._intake, self._orders, self._attribution, self._assignments, self._notes, archive
        )

    def check(self) -> None:
        """Assert the books' invariants: what is wrong here is wrong with us."""
        queries.check(self._shelf, self._index)
