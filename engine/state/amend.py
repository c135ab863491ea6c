"""A known execution again: the same through another door, a correction, an older revision that is late, a bust.

Nothing guarantees an order of arrival (F16), so each of these leads to the same books whichever comes first.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.core.events import Bust, Fill
from engine.core.exact import ZERO
from engine.core.ids import UNASSIGNED, split_exec_id
from engine.state.booking import Booking, resort
from engine.state.changes import Changes
from engine.state.executions import Execution, Revision, superseded_record
from engine.state.fees import Fees
from engine.state.progress import Progress

_LEARNT: Final = ("executed_at", "perm_id", "order_ref", "exchange")
_INHERITED: Final = ("perm_id", "order_id", "client_id", "order_ref", "executed_at", "strategy")


class Amendments:
    """Changes what is booked already.

    Attributes:
        busts: (account, root) -> (highest void revision, reason), kept for executions that are not known yet, too.
    """

    def __init__(self, booking: Booking, fees: Fees, progress: Progress) -> None:
        """Wire the parts."""
        self._booking = booking
        self._fees = fees
        self._progress = progress
        self.busts: dict[tuple[str, str], tuple[int, str]] = {}

    def again(self, execution: Execution, fill: Fill, revision: int, changes: Changes) -> None:
        """Take in a sight of a known execution."""
        if revision == execution.revision:
            self._repeated(execution, fill, changes)
        elif revision > execution.revision:
            self._corrected(execution, fill, revision, changes)
        else:
            self._late_revision(execution, fill, revision, changes)

    def early(self, execution: Execution, root: str, changes: Changes) -> None:
        """Lay the bust and the fee over a new execution that came before it."""
        fill = execution.fill
        bust = self.busts.get((fill.account, root))
        if bust is not None:
            extra = execution.more()
            extra.bust_revision, extra.bust_reason = bust
            if execution.state == "active" and execution.revision <= bust[0]:
                execution.state, execution.reason = "busted", bust[1]
        self._fees.adopt(execution, root, changes)

    def _repeated(self, execution: Execution, fill: Fill, changes: Changes) -> None:
        """The same revision through another door: nothing is booked, but what was unknown may be known now."""
        had = execution.fill
        if fill.quantity != had.quantity or fill.price != had.price or fill.instrument.con_id != had.instrument.con_id:
            where = "" if fill.instrument.con_id == had.instrument.con_id else " in another instrument"
            text = (
                f"{fill.exec_id} was reported as {had.quantity} @ {had.price} and again as {fill.quantity} @ {fill.price}"
                f"{where}: the first one is booked"
            )
            self._booking.findings.about(changes, "conflict", "critical", fill, text, strategy=execution.strategy)
            return
        news: dict[str, Any] = {
            name: getattr(fill, name) for name in _LEARNT if not getattr(had, name) and getattr(fill, name)
        }
        if not news:
            return
        if "executed_at" in news:
            news["time_text"] = ""
            self._booking.findings.settle(changes, "time_uncertain", f"{fill.account}:{fill.exec_id}")
        self._booking.index.unstray(execution)
        changed = self._booking.shelf.take(execution)
        execution.fill = msgspec.structs.replace(had, **news)
        resort(execution)
        self._booking.put_back(execution, changed, changes)
        self._booking.index.stray(execution)

    def _corrected(self, execution: Execution, fill: Fill, revision: int, changes: Changes) -> None:
        booking, had = self._booking, execution.fill
        self._progress.undo(execution)
        changed = booking.shelf.take(execution)
        extra = execution.more()
        extra.older.append(
            Revision(fill=had, revision=execution.revision, seq=execution.seq, recorded_at=execution.recorded_at)
        )
        execution.fill = _completed(fill, had)
        execution.revision = revision
        execution.quantity = fill.quantity
        execution.supersedes = had.exec_id
        execution.realized = ZERO
        terms = booking.shelf.terms_of(fill.instrument)
        execution.unit_price = terms.unit_price(fill.price)
        execution.value = terms.value(execution.unit_price)
        if execution.bears_fee:
            busted = revision <= extra.bust_revision
            execution.state, execution.reason = ("busted", extra.bust_reason) if busted else ("active", "")
        self._fees.adopt(execution, execution.root, changes)
        resort(execution)
        booking.put_back(execution, changed, changes)
        self._progress.redo(execution, changes)

    def _late_revision(self, execution: Execution, fill: Fill, revision: int, changes: Changes) -> None:
        """A lower revision that comes after a higher one is kept in the chain and gives its place, nothing else."""
        extra = execution.more()
        for place, old in enumerate(extra.older):
            if old.revision == revision:
                self._older_again(execution, fill, place, changes)
                return
        old = Revision(fill=fill, revision=revision, seq=self._booking.seq, recorded_at=self._booking.now())
        changed = self._booking.shelf.take(execution)
        extra.older.append(old)
        self._fees.adopt(execution, execution.root, changes)
        resort(execution)
        if not execution.supersedes:
            execution.supersedes = fill.exec_id
        terms = self._booking.shelf.terms_of(fill.instrument)
        changes.fills.append(superseded_record(execution, old, terms.instrument, terms.unit_price(fill.price)))
        self._booking.put_back(execution, changed, changes)

    def _older_again(self, execution: Execution, fill: Fill, place: int, changes: Changes) -> None:
        """A superseded revision once more: it can only tell the time that it did not know."""
        assert execution.extra is not None, "there are older revisions"
        older = execution.extra.older
        had = older[place].fill
        if (fill.quantity, fill.price) != (had.quantity, had.price):
            text = f"{fill.exec_id}, superseded already, was reported with two contents"
            self._booking.findings.about(changes, "conflict", "warning", fill, text, strategy=execution.strategy)
        elif had.executed_at is None and fill.executed_at is not None:
            changed = self._booking.shelf.take(execution)
            timed = msgspec.structs.replace(had, executed_at=fill.executed_at, time_text="")
            old = msgspec.structs.replace(
                older[place], fill=timed, seq=self._booking.seq, recorded_at=self._booking.now()
            )
            older[place] = old
            self._booking.findings.settle(changes, "time_uncertain", f"{fill.account}:{fill.exec_id}")
            resort(execution)
            terms = self._booking.shelf.terms_of(timed.instrument)
            changes.fills.append(superseded_record(execution, old, terms.instrument, terms.unit_price(timed.price)))
            self._booking.put_back(execution, changed, changes)

    def bust(self, bust: Bust, changes: Changes) -> None:
        """Void an execution up to the named revision; a higher one, whenever it comes, counts again (F17).

        A statement cancels revision .01 and then shows .02: whether the API's .02 came before or after it, .02 stays.
        """
        root, revision = split_exec_id(bust.exec_id)
        if self.busts.get((bust.account, root), (-1, ""))[0] >= revision:
            return
        self.busts[bust.account, root] = (revision, bust.reason)
        changes.alone.append(bust)
        execution = self._booking.index.find(bust.account, root)
        if execution is None:
            return
        extra = execution.more()
        extra.bust_revision, extra.bust_reason = revision, bust.reason
        if execution.state != "active" or execution.revision > revision:
            return
        self._progress.undo(execution)
        changed = self._booking.shelf.take(execution)
        execution.state, execution.reason = "busted", bust.reason
        execution.supersedes = execution.fill.exec_id
        self._booking.put_back(execution, changed, changes)
        self._progress.redo(execution, changes)


def says_nothing_new(execution: Execution, fill: Fill, revision: int) -> bool:
    """True when a sight of a known execution changes nothing at all: no claim, no content, no news."""
    had, named = execution.fill, fill.strategy
    return (
        revision == execution.revision
        and (named is None or named == UNASSIGNED or (execution.claimed and named == execution.base))
        and (fill.quantity, fill.price, fill.instrument.con_id) == (had.quantity, had.price, had.instrument.con_id)
        and not any(getattr(fill, name) and not getattr(had, name) for name in _LEARNT)
    )


def _completed(fill: Fill, had: Fill) -> Fill:
    """A correction with what it leaves out taken from the revision before it."""
    missing = {name: getattr(had, name) for name in _INHERITED if getattr(had, name) and not getattr(fill, name)}
    return msgspec.structs.replace(fill, **missing) if missing else fill
