"""New executions into the books: whose they are, whether they can be booked, what is remarkable about them.

The usual execution is new and the last of its book: that way is short. Nothing is ever dropped; what cannot be booked
(no instrument, numbers that are none) is kept and shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from engine.core.events import Bust, Commission, Fill, OrderUpdate
from engine.core.exact import multiply
from engine.core.ids import UNASSIGNED, split_exec_id, venue_sequence
from engine.core.records import FillState
from engine.state.amend import Amendments
from engine.state.attribution import Attribution
from engine.state.booking import Booking
from engine.state.books import Terms
from engine.state.changes import Changes
from engine.state.executions import Execution, record_of
from engine.state.fees import Fees
from engine.state.orders import Orders
from engine.state.progress import Progress

_MASTER: Final = re.compile(r"D?F\d+A?|[A-Z]+\d+A|All", re.ASCII)
"""Accounts of advisors (F…, DF…), aggregates (…A), TWS's own ``All``: their executions come again per sub-account (F79a)."""


class Homes(NamedTuple):
    """Whose everything was, as stored rows tell it.

    Attributes:
        first: (account, root of the execution id) -> the strategy found for it when it came.
        last: The same -> the strategy in whose book it was last.
        orders: Key of an order -> its strategy.
    """

    first: Mapping[tuple[str, str], str]
    last: Mapping[tuple[str, str], str]
    orders: Mapping[str, str]


class Intake:
    """Books executions; ``fees`` and ``amendments`` (busts, corrections) are its parts.

    Attributes:
        unbookable: Executions that cannot be booked, by (account, execution id).
        owners: (account, root) -> strategy, found out before the books were lost, of executions that no message claims.
    """

    def __init__(self, booking: Booking, orders: Orders, attribution: Attribution, masters: Iterable[str]) -> None:
        """Wire the parts.

        Args:
            masters: Accounts whose executions are repeated per sub-account, beside those that look like an advisor's.
        """
        self._booking = booking
        self._attribution = attribution
        self._masters = dict.fromkeys(masters, True)
        self.progress = Progress(orders, booking.findings)
        self.fees = Fees(booking)
        self.amendments = Amendments(booking, self.fees, self.progress)
        self.unbookable: dict[tuple[str, str], Fill] = {}
        self.owners: Mapping[tuple[str, str], str] = {}

    def fill(self, fill: Fill, changes: Changes) -> None:
        """Take in an execution that came through any door; the same one is booked once."""
        root, revision = split_exec_id(fill.exec_id)
        index = self._booking.index
        known = index.find(fill.account, root) if root in index.roots else None
        if known is None:
            if self._bookable(fill, changes):
                self._new(fill, root, revision, changes)
        elif known.fill.source != "assignment":
            if fill.strategy is not None and fill.strategy != UNASSIGNED:
                self._claim(known, fill, fill.strategy, changes)
            if revision <= known.revision or self._bookable(fill, changes):
                self.amendments.again(known, fill, revision, changes)

    def alone(self, at: datetime) -> list[Fill | Commission | Bust]:
        """What the books remember of facts that no row tells of; ``at`` dates those whose own time they do not keep."""
        return [
            *self.fees.orphans.values(),
            *self.unbookable.values(),
            *(
                Bust(
                    account=account,
                    exec_id=f"{root}.{revision:02d}" if revision else root,
                    reason=reason,
                    received_at=at,
                )
                for (account, root), (revision, reason) in self.amendments.busts.items()
            ),
        ]

    def _new(self, fill: Fill, root: str, revision: int, changes: Changes) -> None:
        booking = self._booking
        moment, shelf = booking.moment, booking.shelf
        instrument, account, price, quantity = fill.instrument, fill.account, fill.price, fill.quantity
        terms = shelf.terms_of(instrument)
        named = fill.strategy
        if named is None or named == UNASSIGNED:
            claimed, strategy = False, self._inferred(fill, changes)
        else:
            claimed, strategy = True, named
            first = self._attribution.claim(named, fill)
            if first is not None:
                self._contradiction(fill, first, named, changes)
        state, unit_price, value = self._worth(fill, terms)
        seq = moment.seq
        execution = Execution(
            sort=(fill.executed_at or fill.received_at, venue_sequence(root), seq),
            quantity=quantity,
            value=value,
            fill=fill,
            revision=revision,
            state=state,
            unit_price=unit_price,
            base=strategy,
            strategy=strategy,
            claimed=claimed,
            seq=seq,
            recorded_at=moment.at,
        )
        if self.amendments.busts or self.fees.early:
            self.amendments.early(execution, root, changes)
        booking.index.add(account, root, execution)
        changed = shelf.put(execution)
        changes.dirty.add(strategy)
        booking.activity[account, instrument.con_id] = fill.received_at
        changes.fills.append(record_of(execution, terms.instrument if state != "group" else instrument))
        if changed:
            booking.again(changed, changes)
        if execution.commission is None and state != "group":
            booking.pending[seq] = execution
        if fill.perm_id or fill.order_id > 0:
            self.progress.executed(execution, quantity, multiply(quantity, price), changes)
        if not claimed:
            if strategy == UNASSIGNED:
                booking.index.stray(execution)
        elif booking.index.has_strays:
            self.adopt(fill, strategy, changes)
        other = instrument is not terms.instrument and instrument.multiplier != terms.instrument.multiplier
        if other or fill.liquidation or fill.executed_at is None:
            self._remarkable(execution, changes)

    def _worth(self, fill: Fill, terms: Terms) -> tuple[FillState, Decimal, Decimal]:
        """State of a new execution, its price in currency per unit, and the currency that one unit of quantity costs."""
        instrument, account, price = fill.instrument, fill.account, fill.price
        combo = terms.combo if instrument is terms.instrument else instrument.is_combo
        if combo or (self._masters.get(account, True) and self._is_master(account)):
            price = instrument.unit_price(price)
            return "group", price, price
        if terms.plain:
            return "active", price, price
        price = terms.unit_price(price)
        return "active", price, terms.value(price)

    def _inferred(self, fill: Fill, changes: Changes) -> str:
        if self.owners:
            owner = self.owners.get((fill.account, split_exec_id(fill.exec_id)[0]))
            if owner is not None:
                return owner
        answer = self._attribution.infer(fill)
        if answer.secondary:
            text = (
                f"order {fill.order_id} of client {fill.client_id} ({fill.order_ref}) trades under a second permId "
                f"{fill.perm_id}: a modification during an outage may have left two live orders"
            )
            self._booking.findings.about(
                changes,
                "secondary_perm_id",
                "warning",
                fill,
                text,
                strategy=answer.strategy,
                subject=f"{fill.account}:{fill.perm_id}",
            )
        return answer.strategy

    def _claim(self, execution: Execution, fill: Fill, named: str, changes: Changes) -> None:
        """A message names the strategy of a known execution: an inferred one gives way, a claimed one stays."""
        if execution.claimed:
            if named != execution.base:
                self._contradiction(execution.fill, execution.base, named, changes)
            return
        self._attribution.claim(named, fill)
        execution.claimed = True
        if execution.fill.strategy is None:  # its rows say from now on who claimed it: the store alone must tell, too
            execution.fill = msgspec.structs.replace(execution.fill, strategy=named)
        self._rebase(execution, named, changes)
        self.adopt(fill, named, changes)
        self.progress.claimed(execution.fill, named, changes)

    def adopt(self, sight: Fill | OrderUpdate, strategy: str, changes: Changes) -> None:
        """Bring executions of an order home that nobody was known for until now."""
        for stray in self._booking.index.strays(sight):
            self._rebase(stray, strategy, changes)

    def _rebase(self, execution: Execution, strategy: str, changes: Changes) -> None:
        """Attribute an execution anew; an assignment that moved it still lies over that."""
        self._booking.index.unstray(execution)
        execution.base = strategy
        if execution.extra is not None and execution.extra.moves:
            if execution.strategy != strategy:
                self._contradiction(execution.fill, execution.strategy, strategy, changes)
            self._booking.again((execution,), changes)
            return
        self._booking.rebook(execution, strategy, f"belongs to {strategy}", changes)

    def bring_home(self, homes: Homes, changes: Changes) -> None:
        """Rebook executions and orders that stand elsewhere; a move that put them there was refused once."""
        for key, strategy in homes.orders.items():
            self.progress.belongs(key, strategy, changes)
        for (account, root), strategy in homes.last.items():
            execution = self._booking.index.find(account, root)
            if execution is None or execution.strategy == strategy or execution.fill.source == "assignment":
                continue
            if execution.extra is not None:
                execution.extra.moves.clear()
            self._rebase(execution, strategy, changes)

    def _contradiction(self, fill: Fill, first: str, named: str, changes: Changes) -> None:
        self._booking.findings.about(
            changes,
            "conflict",
            "warning",
            fill,
            f"{fill.exec_id} is claimed by {named}, it or its order by {first} before",
            strategy=first,
            subject=f"claim:{fill.account}:{fill.exec_id}",
        )

    def _is_master(self, account: str) -> bool:
        known = self._masters.get(account)
        if known is None:
            known = self._masters[account] = _MASTER.fullmatch(account) is not None
        return known

    def _bookable(self, fill: Fill, changes: Changes) -> bool:
        if not fill.account:
            what = "no account"
        elif fill.instrument.con_id <= 0:
            what = "no con_id, and nothing is booked by symbol"
        elif not fill.exec_id:
            what = "no execution id"
        elif not (fill.quantity.is_finite() and fill.price.is_finite()):
            what = "a quantity or price that is no number"
        else:
            if self.unbookable and self.unbookable.pop((fill.account, fill.exec_id), None) is not None:
                self._booking.findings.settle(changes, "unbookable", f"{fill.account}:{fill.exec_id}")
            return True
        self.unbookable[fill.account, fill.exec_id] = fill
        changes.alone.append(fill)
        text = f"execution {fill.exec_id} cannot be booked: it has {what}"
        self._booking.findings.about(changes, "unbookable", "critical", fill, text)
        return False

    def _remarkable(self, execution: Execution, changes: Changes) -> None:
        fill, findings = execution.fill, self._booking.findings
        if fill.executed_at is None:
            text = f"the time of {fill.exec_id} could not be read ({fill.time_text or 'none'}): ordered by arrival"
            findings.about(changes, "time_uncertain", "warning", fill, text, strategy=execution.strategy)
        if fill.liquidation:
            text = f"IB liquidated {fill.quantity} {fill.instrument.symbol} in {fill.account} at {fill.price}"
            findings.about(changes, "liquidation", "critical", fill, text, strategy=execution.strategy)
        known = self._booking.shelf.terms_of(fill.instrument).instrument
        if execution.state == "active" and fill.instrument.multiplier != known.multiplier:
            text = (
                f"{fill.exec_id} has multiplier {fill.instrument.multiplier}, con_id {known.con_id} is booked with "
                f"{known.multiplier}: the books keep theirs until the broker's contract details say otherwise"
            )
            subject = f"{known.con_id}:{fill.instrument.multiplier}"
            findings.about(changes, "instrument_changed", "warning", fill, text, subject=subject)
