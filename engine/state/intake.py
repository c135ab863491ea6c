"""Executions, fees and busts into the books.

The usual execution is new and the last of its book: that way is short. Everything else (another sight of a known
execution, a correction in whatever order, a bust, a late fee) takes the execution out of its book, changes it, and puts it
back; the book folds again from there, and every execution whose figures changed is handed out as a record again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.events import Bust, Commission, Fill, OrderUpdate
from engine.core.exact import ZERO, multiply
from engine.core.ids import UNASSIGNED, split_exec_id, venue_sequence
from engine.core.instrument import Instrument
from engine.core.records import FillState
from engine.state.attribution import Attribution
from engine.state.books import Shelf
from engine.state.changes import Changes
from engine.state.executions import Execution, Revision, moved_record, record_of, superseded_record
from engine.state.findings import Findings
from engine.state.index import Index
from engine.state.orders import Orders
from engine.state.progress import Progress

_MASTER: Final = re.compile(r"D?F\d+A?|[A-Z]+\d+A|All", re.ASCII)
"""Accounts of advisors (F…, DF…), their aggregates (…A) and TWS's own ``All``: their executions come again per sub-account."""


class Intake:
    """Books executions.

    Attributes:
        orphans: Fees whose execution is not known yet, by execution id.
        unbookable: Executions that cannot be booked (no instrument, impossible numbers), by (account, execution id).
        pending: Executions whose fee is not known, by their first sequence.
        activity: (account, con_id) -> our time of the last fact that touched it.
    """

    def __init__(
        self,
        shelf: Shelf,
        index: Index,
        orders: Orders,
        attribution: Attribution,
        findings: Findings,
        masters: Iterable[str],
    ) -> None:
        """Wire the parts.

        Args:
            masters: Accounts whose executions are repeated per sub-account, beside those that look like an advisor's.
        """
        self._shelf = shelf
        self._index = index
        self._attribution = attribution
        self._findings = findings
        self.progress = Progress(orders, findings)
        self._masters = {account: True for account in masters}
        self.orphans: dict[str, Commission] = {}
        self.unbookable: dict[tuple[str, str], Fill] = {}
        self.busts: dict[tuple[str, str], tuple[int, str]] = {}
        self.activity: dict[tuple[str, int], datetime] = {}
        self.pending: dict[int, Execution] = {}
        self.seq = 0
        self.at: datetime | None = None

    def fill(self, fill: Fill, changes: Changes) -> None:
        """Book an execution that came through any door."""
        root, revision = split_exec_id(fill.exec_id)
        known = self._index.find(fill.account, root)
        if known is not None:
            self._known(known, fill, revision, changes)
            return
        if not self._bookable(fill, changes):
            return
        self._new(fill, root, revision, changes)

    def _new(self, fill: Fill, root: str, revision: int, changes: Changes) -> None:
        assert self.at is not None, "the ledger sets the time before it applies"
        shelf, seq = self._shelf, self.seq
        instrument = fill.instrument
        terms = shelf.terms_of(instrument)
        strategy, claimed = self._whose(fill, changes)
        state: FillState = "active"
        if instrument.is_combo or self._is_master(fill.account):
            state = "group"
            unit_price = instrument.unit_price(fill.price)
        else:
            unit_price = terms.unit_price(fill.price)
        execution = Execution(
            sort=(fill.executed_at or fill.received_at, venue_sequence(root), seq),
            quantity=fill.quantity,
            value=terms.value(unit_price),
            fill=fill,
            revision=revision,
            state=state,
            unit_price=unit_price,
            base=strategy,
            strategy=strategy,
            claimed=claimed,
            seq=seq,
            recorded_at=self.at,
        )
        if self.busts or self.orphans:
            self._early(execution, root, changes)
        self._index.add(fill.account, root, execution)
        changed = shelf.put(execution)
        if strategy == UNASSIGNED:
            self._index.stray(execution)
        changes.dirty.add(strategy)
        self.activity[fill.account, instrument.con_id] = fill.received_at
        changes.fills.append(record_of(execution, terms.instrument if state != "group" else instrument))
        if changed:
            self._again(changed, changes)
        self.progress.executed(execution, fill.quantity, multiply(fill.quantity, fill.price), changes)
        if execution.commission is None and state != "group":
            self.pending[seq] = execution
        if claimed:
            self.adopt(fill, strategy, changes)
        if fill.executed_at is None or fill.liquidation or instrument.multiplier != terms.instrument.multiplier:
            self._remarkable(execution, changes)

    def adopt(self, sight: Fill | OrderUpdate, strategy: str, changes: Changes) -> None:
        """Bring unassigned executions of an order home whose strategy is now known."""
        for stray in self._index.strays(sight):
            self.rebase(stray, strategy, changes)

    def _whose(self, fill: Fill, changes: Changes) -> tuple[str, bool]:
        named = fill.strategy
        if named is not None and named != UNASSIGNED:
            first = self._attribution.claim(named, fill)
            if first is not None:
                self._contradiction(fill, first, named, changes)
            return named, True
        answer = self._attribution.infer(fill)
        if answer.secondary:
            self._findings.about(
                changes,
                "secondary_perm_id",
                "warning",
                fill,
                f"order {fill.order_id} of client {fill.client_id} ({fill.order_ref}) trades under a second permId {fill.perm_id}: "
                f"a modification during an outage may have left two live orders",
                strategy=answer.strategy,
                subject=f"{fill.account}:{fill.perm_id}",
            )
        return answer.strategy, False

    def _contradiction(self, fill: Fill, first: str, named: str, changes: Changes) -> None:
        self._findings.about(
            changes,
            "conflict",
            "warning",
            fill,
            f"{fill.exec_id} is claimed by {named}, its order by {first}",
            strategy=first,
            subject=f"claim:{fill.account}:{fill.exec_id}",
        )

    def _is_master(self, account: str) -> bool:
        known = self._masters.get(account)
        if known is None:
            known = self._masters[account] = _MASTER.fullmatch(account) is not None
        return known

    def _bookable(self, fill: Fill, changes: Changes) -> bool:
        if (
            fill.instrument.con_id > 0
            and fill.quantity.is_finite()
            and fill.price.is_finite()
            and fill.account
            and fill.exec_id
        ):
            if self.unbookable and self.unbookable.pop((fill.account, fill.exec_id), None) is not None:
                self._findings.settle(changes, "unbookable", f"{fill.account}:{fill.exec_id}")
            return True
        what = (
            "no account"
            if not fill.account
            else "no con_id"
            if fill.instrument.con_id <= 0
            else "no execution id or a number that is none"
        )
        self.unbookable[fill.account, fill.exec_id] = fill
        self._findings.about(
            changes, "unbookable", "critical", fill, f"execution {fill.exec_id} cannot be booked: it has {what}"
        )
        return False

    def _early(self, execution: Execution, root: str, changes: Changes) -> None:
        """Lay the bust and the fee over it that came before the execution."""
        fill = execution.fill
        bust = self.busts.get((fill.account, root))
        if bust is not None:
            extra = execution.more()
            extra.bust_revision, extra.bust_reason = bust
            if execution.state == "active" and execution.revision <= bust[0]:
                execution.state, execution.reason = "busted", bust[1]
        self._adopt_fee(execution, fill.exec_id, changes)

    def _adopt_fee(self, execution: Execution, exec_id: str, changes: Changes) -> None:
        orphan = self.orphans.pop(exec_id, None)
        if orphan is None:
            return
        self._findings.settle(changes, "orphan_commission", exec_id)
        revision = split_exec_id(exec_id)[1]
        if orphan.amount is None or revision < execution.fee_revision:
            return
        execution.commission, execution.commission_currency = orphan.amount, orphan.currency
        execution.ib_realized_pnl, execution.fee_revision = orphan.ib_realized_pnl, revision
        self.pending.pop(execution.sort[2], None)
        self._odd_fee(execution, orphan.amount, changes)

    def _remarkable(self, execution: Execution, changes: Changes) -> None:
        fill, findings = execution.fill, self._findings
        if fill.executed_at is None:
            text = (
                f"the time of {fill.exec_id} could not be read ({fill.time_text or 'none given'}): ordered by arrival"
            )
            findings.about(changes, "time_uncertain", "warning", fill, text, strategy=execution.strategy)
        if fill.liquidation:
            text = f"IB liquidated {fill.quantity} {fill.instrument.symbol} in {fill.account} at {fill.price}"
            findings.about(changes, "liquidation", "critical", fill, text, strategy=execution.strategy)
        known = self._shelf.terms[fill.instrument.con_id].instrument
        if execution.state == "active" and fill.instrument.multiplier != known.multiplier:
            text = (
                f"{fill.exec_id} has multiplier {fill.instrument.multiplier}, con_id {known.con_id} is booked with "
                f"{known.multiplier}: the books keep theirs until the broker's contract details say otherwise"
            )
            findings.about(
                changes,
                "instrument_changed",
                "warning",
                fill,
                text,
                subject=f"{known.con_id}:{fill.instrument.multiplier}",
            )

    # ------------------------------------------------------------------------------------------- a known execution again

    def _known(self, execution: Execution, fill: Fill, revision: int, changes: Changes) -> None:
        if execution.fill.source == "assignment":
            return
        if fill.strategy is not None and fill.strategy != UNASSIGNED:
            self.claim(execution, fill, changes)
        if revision == execution.revision:
            self._repeated(execution, fill, changes)
        elif revision > execution.revision:
            if self._bookable(fill, changes):
                self._corrected(execution, fill, revision, changes)
        else:
            self._late_revision(execution, fill, revision, changes)

    def claim(self, execution: Execution, fill: Fill, changes: Changes) -> None:
        """A message names the strategy of an execution: an inferred attribution gives way, a claimed one stays."""
        named = fill.strategy
        assert named is not None, "called with a named strategy"
        if execution.claimed:
            if named != execution.base:
                self._contradiction(execution.fill, execution.base, named, changes)
            return
        self._attribution.claim(named, fill)
        execution.claimed = True
        self.rebase(execution, named, changes)
        self.adopt(fill, named, changes)

    def rebase(self, execution: Execution, strategy: str, changes: Changes) -> None:
        """Attribute an execution anew; an assignment that moved it still lies over that."""
        self._index.unstray(execution)
        execution.base = strategy
        if execution.extra is not None and execution.extra.moves:
            if execution.strategy != strategy:
                self._contradiction(execution.fill, execution.strategy, strategy, changes)
            return
        self.rebook(execution, strategy, f"belongs to {strategy}", changes)

    def rebook(self, execution: Execution, strategy: str, reason: str, changes: Changes) -> None:
        """Take an execution over into another strategy's book, whole."""
        old = execution.strategy
        if old == strategy:
            return
        changed = self._shelf.take(execution)
        execution.strategy = strategy
        execution.seq, execution.recorded_at = self.seq, self._now()
        terms = self._shelf.terms[execution.fill.instrument.con_id].instrument
        changes.fills.append(moved_record(execution, terms, old, execution.fill, reason))
        changes.dirty.update((old, strategy))
        self._put_back(execution, changed, changes)

    def _put_back(self, execution: Execution, changed: list[Execution], changes: Changes) -> None:
        others = self._shelf.put(execution) or []
        self.touch(execution.fill)
        seen = {id(execution)}
        again = [execution]
        for other in (*changed, *others):
            if id(other) not in seen:
                seen.add(id(other))
                again.append(other)
        self._again(again, changes)

    def _again(self, executions: Iterable[Execution], changes: Changes) -> None:
        """Hand out the records of executions whose figures changed."""
        for execution in executions:
            execution.seq, execution.recorded_at = self.seq, self._now()
            changes.dirty.add(execution.strategy)
            changes.fills.append(record_of(execution, self._terms_for(execution)))

    def again(self, executions: Iterable[Execution], changes: Changes) -> None:
        """Hand out records again; for refolds that start elsewhere."""
        self._again(executions, changes)

    def _terms_for(self, execution: Execution) -> Instrument:
        if execution.state == "group":
            return execution.fill.instrument
        return self._shelf.terms[execution.fill.instrument.con_id].instrument

    def _repeated(self, execution: Execution, fill: Fill, changes: Changes) -> None:
        """The same revision through another door: nothing is booked, but what was unknown may be known now."""
        had = execution.fill
        if fill.quantity != had.quantity or fill.price != had.price or fill.instrument.con_id != had.instrument.con_id:
            text = (
                f"{fill.exec_id} was reported as {had.quantity} @ {had.price} and again as {fill.quantity} @ {fill.price}"
                f"{'' if fill.instrument.con_id == had.instrument.con_id else ' in another instrument'}: the first one is booked"
            )
            self._findings.about(changes, "conflict", "critical", fill, text, strategy=execution.strategy)
            return
        news = {
            name: getattr(fill, name)
            for name in ("executed_at", "perm_id", "order_ref", "exchange")
            if getattr(fill, name) and not getattr(had, name)
        }
        if not news:
            return
        if "executed_at" in news:
            news["time_text"] = ""
            self._findings.settle(changes, "time_uncertain", f"{fill.account}:{fill.exec_id}")
        changed = self._shelf.take(execution)
        execution.fill = msgspec.structs.replace(had, **news)
        self._resort(execution)
        self._put_back(execution, changed, changes)

    def _corrected(self, execution: Execution, fill: Fill, revision: int, changes: Changes) -> None:
        had = execution.fill
        self.progress.undo(execution, changes)
        changed = self._shelf.take(execution)
        extra = execution.more()
        extra.older.append(
            Revision(fill=had, revision=execution.revision, seq=execution.seq, recorded_at=execution.recorded_at)
        )
        execution.fill = _completed(fill, had)
        execution.revision = revision
        execution.quantity = fill.quantity
        execution.supersedes = had.exec_id
        execution.reason = ""
        terms = self._shelf.terms_of(fill.instrument)
        execution.unit_price = terms.unit_price(fill.price)
        execution.value = terms.value(execution.unit_price)
        if execution.state in {"active", "busted"}:
            busted = revision <= extra.bust_revision
            execution.state, execution.reason = ("busted", extra.bust_reason) if busted else ("active", "")
        self._adopt_fee(execution, fill.exec_id, changes)
        self._resort(execution)
        execution.realized = ZERO
        self._put_back(execution, changed, changes)
        self.progress.redo(execution, changes)

    def _late_revision(self, execution: Execution, fill: Fill, revision: int, changes: Changes) -> None:
        """A lower revision that comes after a higher one is kept in the chain and gives its place, nothing else."""
        extra = execution.more()
        for old in extra.older:
            if old.revision == revision:
                if (fill.quantity, fill.price) != (old.fill.quantity, old.fill.price):
                    text = f"{fill.exec_id}, superseded already, was reported with two contents"
                    self._findings.about(changes, "conflict", "warning", fill, text, strategy=execution.strategy)
                return
        old = Revision(fill=fill, revision=revision, seq=self.seq, recorded_at=self._now())
        changed = self._shelf.take(execution)
        extra.older.append(old)
        self._adopt_fee(execution, fill.exec_id, changes)
        self._resort(execution)
        if not execution.supersedes:
            execution.supersedes = fill.exec_id
        terms = self._shelf.terms_of(fill.instrument)
        changes.fills.append(superseded_record(execution, old, terms.instrument, terms.unit_price(fill.price)))
        self._put_back(execution, changed, changes)

    def _resort(self, execution: Execution) -> None:
        """An execution stands where its lowest known revision stands."""
        lowest, revision = execution.fill, execution.revision
        for old in execution.extra.older if execution.extra is not None else ():
            if old.revision < revision:
                lowest, revision = old.fill, old.revision
        execution.sort = (lowest.executed_at or lowest.received_at, execution.sort[1], execution.sort[2])

    # -------------------------------------------------------------------------------------------------- fees and busts

    def commission(self, report: Commission, changes: Changes) -> None:
        """Join a fee to its execution by execution id only (R45); keep it as an orphan until there is one (R2)."""
        root, revision = split_exec_id(report.exec_id)
        execution = self._index.by_root(root)
        if execution is None or revision > execution.revision:
            self._orphan(report, changes)
            return
        if report.amount is None or revision < execution.fee_revision:
            return
        same = (report.amount, report.currency) == (execution.commission, execution.commission_currency)
        if same and execution.ib_realized_pnl == report.ib_realized_pnl:
            execution.fee_revision = revision
            return
        execution.ib_realized_pnl = report.ib_realized_pnl
        execution.fee_revision = revision
        self._shelf.refee(execution, report.amount, report.currency)
        self.pending.pop(execution.sort[2], None)
        changes.dirty.add(execution.strategy)
        self.touch(execution.fill, report.received_at)
        self._again((execution,), changes)
        self._odd_fee(execution, report.amount, changes)

    def _odd_fee(self, execution: Execution, amount: Decimal, changes: Changes) -> None:
        if amount == -1:
            text = f"the fee of {execution.fill.exec_id} is -1, a rebate or IB's sign for unset: check it with the statement"
            self._findings.about(
                changes, "negative_fee_sentinel", "warning", execution.fill, text, strategy=execution.strategy
            )

    def _orphan(self, report: Commission, changes: Changes) -> None:
        had = self.orphans.get(report.exec_id)
        if report.amount is None and had is not None and had.amount is not None:
            return
        self.orphans[report.exec_id] = report
        changes.requests.add("executions")
        self._findings.add(
            changes,
            "orphan_commission",
            "warning",
            report.exec_id,
            f"a fee came for {report.exec_id}, whose execution never did",
            exec_id=report.exec_id,
        )

    def bust(self, bust: Bust, changes: Changes) -> None:
        """Void an execution up to the named revision; a higher revision, whenever it comes, counts again (F17)."""
        root, revision = split_exec_id(bust.exec_id)
        before = self.busts.get((bust.account, root), (-1, ""))
        if before[0] >= revision:
            return
        self.busts[bust.account, root] = (revision, bust.reason)
        execution = self._index.find(bust.account, root)
        if execution is None:
            return
        extra = execution.more()
        extra.bust_revision, extra.bust_reason = revision, bust.reason
        if execution.state != "active" or execution.revision > revision:
            return
        self.progress.undo(execution, changes)
        changed = self._shelf.take(execution)
        execution.state, execution.reason = "busted", bust.reason
        execution.supersedes = execution.fill.exec_id
        self._put_back(execution, changed, changes)
        self.progress.redo(execution, changes)

    def touch(self, fill: Fill, at: datetime | None = None) -> None:
        """Note that something about an instrument in an account was heard."""
        key = (fill.account, fill.instrument.con_id)
        moment = at or self._now()
        self.activity[key] = max(moment, self.activity.get(key, moment))

    def _now(self) -> datetime:
        assert self.at is not None, "the ledger sets the time before it applies"
        return self.at


def _completed(fill: Fill, had: Fill) -> Fill:
    """A correction with what it leaves out taken from the revision before it."""
    missing = {
        name: getattr(had, name)
        for name in ("perm_id", "order_id", "client_id", "order_ref", "executed_at", "strategy")
        if getattr(had, name) and not getattr(fill, name)
    }
    return msgspec.structs.replace(fill, **missing) if missing else fill
