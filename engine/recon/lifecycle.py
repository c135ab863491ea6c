"""The life of a break: a pure state machine over comparisons.

One difference is one break, named ``<account>:<con_id>``, for ever: it is reopened under the same name after it was
closed and after a restart (R15, R16). Its states::

    settling ──> suspected ──> confirmed ──> explained ──> assigned ──> closed
        └── gone: was never a break                  └── (a late fill) ──┘

- *settling*: seen, but it may be lag. Positions and fills come in no order (F114), so a difference waits until
  ``settle_s`` passed both since it was first seen (a position that came before its fill) and since anything last
  touched the instrument here (a fill that came before its position). A settling difference is not a break yet (R14,
  R27); if it goes away, nothing remains of it.
- *suspected*: it outlived the grace. *confirmed*: ``confirm_runs`` equal good answers in a row said so.
- *explained*: confirmed, and confirmed causes account for all of it. *assigned*: an operator gave it away.
- *closed*: a good answer shows nothing left.

Only a CONFIRMED answer moves anything; an UNKNOWN one neither opens nor closes nor counts (R3). An answer requested
before the latest fill says nothing about equality, so it does not count either. Within IB's reset window a difference
stops at *suspected* and nothing closes (F130).

Two things keep the grace from hiding a break for ever in an instrument that trades all day: a difference that stayed
equal for six graces counts in spite of activity, unless it is exactly what the latest fills in flight would make; and a
break that was confirmed stays visible while its quantity changes.

Executions in UNASSIGNED are a certainty, not a suspicion: once settled they are confirmed in one run, and a liquidation
at once (R20).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.snapshot import Confirmed
from engine.recon.broken import Break, BreakChange, BreakState, Circumstances, Policy, break_id
from engine.recon.compare import Difference, Key

ZERO: Final = Decimal(0)
_PATIENCE: Final = 6
"""Graces after which activity no longer excuses a difference that has not changed."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One key at one comparison: the answer it was compared with, and what else is known."""

    now: datetime
    answer: Confirmed
    about: Circumstances
    policy: Policy
    key: Key

    @property
    def stale(self) -> bool:
        """True when something happened here after the broker was asked: the answer cannot know it."""
        active = self.about.activity(self.key)
        return active is not None and active >= self.answer.requested_at

    @property
    def fresh(self) -> bool:
        """True while local activity is recent enough for the answer to lag behind it."""
        active = self.about.activity(self.key)
        if active is None:
            return False
        return active >= self.answer.requested_at or self.seconds_since(active) < self.policy.settle_s

    def seconds_since(self, then: datetime) -> float:
        """Seconds from then to the question, by which the answer's age is counted; never negative."""
        return max(0.0, (self.answer.requested_at - then).total_seconds())


def observe(old: Break | None, seen: Difference, moment: Moment) -> Break:
    """A comparison that shows something."""
    if old is None or old.state == "closed":
        old = _begin(old, seen, moment)
        return _placed(old, old, moment)
    same = (old.kind, old.difference, old.unassigned) == (seen.kind, seen.difference, seen.unassigned)
    # An answer that is older than the latest fact may agree by accident; it is not another witness.
    runs = old.runs + (0 if moment.stale else 1) if same else 1
    new = msgspec.structs.replace(
        old,
        kind=seen.kind,
        quantity=seen.quantity,
        difference=seen.difference,
        unassigned=seen.unassigned,
        broker_quantity=seen.broker_quantity,
        books_quantity=seen.books_quantity,
        last_seen=moment.answer.answered_at,
        last_changed=old.last_changed if same else moment.answer.answered_at,
        runs=runs,
        residual=old.residual if same else seen.quantity,
        explained=old.explained if same else ZERO,
        causes=old.causes if same else (),
    )
    return _placed(old, new, moment)


def _begin(old: Break | None, seen: Difference, moment: Moment) -> Break:
    at = moment.answer.answered_at
    instrument = seen.instrument
    return Break(
        break_id=break_id(*moment.key),
        account=seen.account,
        con_id=seen.con_id,
        kind=seen.kind,
        state="settling",
        quantity=seen.quantity,
        difference=seen.difference,
        unassigned=seen.unassigned,
        broker_quantity=seen.broker_quantity,
        books_quantity=seen.books_quantity,
        first_seen=at,
        born_at=at if old is None else old.born_at,
        last_seen=at,
        last_changed=at,
        episode=0 if old is None else old.episode,
        symbol="" if instrument is None else instrument.symbol,
        sec_type="" if instrument is None else instrument.sec_type,
        currency="" if instrument is None else instrument.currency,
        owner="" if old is None else old.owner,
        note="" if old is None else old.note,
        residual=seen.quantity,
        confirmed_quantity=old.confirmed_quantity if old is not None and moment.key in moment.about.restored else None,
    )


def _placed(old: Break, new: Break, moment: Moment) -> Break:
    """Give an observed break its state, its price tag and its marks of time."""
    urgent = moment.key in moment.about.urgent and new.unassigned != 0
    deferred = "" if urgent else moment.about.deferred
    value, base = moment.about.value_at_risk(moment.key, new.quantity)
    state = _state(old, new, moment, urgent=urgent, deferred=bool(deferred))
    confirmed = state in {"confirmed", "explained"}
    opens = new.opened_at is None and state != "settling"
    assigned = moment.about.assigned.get(moment.key)
    return msgspec.structs.replace(
        new,
        state=state,
        episode=new.episode + (1 if opens else 0),
        opened_at=moment.now if opens else new.opened_at,
        confirmed_at=(new.confirmed_at or moment.now) if confirmed else new.confirmed_at,
        confirmed_quantity=new.quantity if confirmed else new.confirmed_quantity,
        closed_at=None,
        value_at_risk_base=value,
        base_currency=base,
        urgent=urgent,
        deferred=deferred,
        assignment_id=assigned[0] if assigned is not None and assigned[1] >= new.first_seen else "",
    )


def _state(old: Break, new: Break, moment: Moment, *, urgent: bool, deferred: bool) -> BreakState:
    if urgent:
        return "confirmed"
    if new.confirmed_quantity is not None and _within(new.quantity, new.confirmed_quantity):
        # Confirmed once, and no larger since: what a late fill or an assignment left of it needs no second trial.
        return "explained" if old.state == "explained" and new.runs > 1 else "confirmed"
    visible: BreakState = "settling" if new.opened_at is None else "suspected"
    lasted = moment.seconds_since(new.last_changed)
    if moment.fresh:
        in_flight = new.difference in moment.about.in_flight(moment.key)
        patient = lasted < _PATIENCE * moment.policy.settle_s or new.runs <= moment.policy.confirm_runs
        if moment.stale or patient or in_flight:
            return visible
    elif new.kind == "unassigned":
        return "suspected" if deferred else "confirmed"
    if lasted < moment.policy.settle_s:
        return visible
    return "confirmed" if new.runs >= moment.policy.confirm_runs and not deferred else "suspected"


def _within(quantity: Decimal, confirmed: Decimal) -> bool:
    return abs(quantity) <= abs(confirmed) and (quantity >= 0) == (confirmed >= 0)


def fade(old: Break | None, moment: Moment) -> Break | None:
    """A good answer that shows nothing for a break we knew."""
    if old is None:
        return None
    at = moment.answer.answered_at
    if old.opened_at is None:
        if old.episode == 0:
            return None
        return msgspec.structs.replace(_emptied(old, moment), state="closed", closed_at=at)
    empty = _emptied(old, moment)
    assigned = moment.about.assigned.get(moment.key)
    if old.state != "assigned" and assigned is not None and assigned[1] >= old.first_seen:
        by = f"assignment {assigned[0]}"
        return msgspec.structs.replace(empty, state="assigned", assignment_id=assigned[0], closed_by=by)
    if moment.stale or moment.about.deferred or (moment.fresh and old.state != "assigned"):
        # The square answer may be an accident of lag: no quantity is left, yet the case is not closed.
        return msgspec.structs.replace(empty, state="assigned" if old.state == "assigned" else "settling")
    by = old.closed_by if old.state == "assigned" else "books and broker agree"
    return msgspec.structs.replace(empty, state="closed", closed_at=at, closed_by=by)


def _emptied(old: Break, moment: Moment) -> Break:
    return msgspec.structs.replace(
        old,
        quantity=ZERO,
        difference=ZERO,
        unassigned=ZERO,
        last_seen=moment.answer.answered_at,
        last_changed=old.last_changed if old.quantity == 0 else moment.answer.answered_at,
        explained=ZERO,
        residual=ZERO,
        value_at_risk_base=None,
        urgent=False,
        deferred="",
    )


def told(old: Break | None, new: Break, now: datetime) -> list[BreakChange]:
    """The step to record, if it is one."""
    before = "" if old is None else old.state
    if old is not None and _shown(old) == _shown(new):
        return []
    if new.opened_at is None:
        return []  # it has not left its grace (this time): nothing is recorded of what is not a break yet
    return [BreakChange(at=now, before=before, found=new, text=f"{before or 'new'} -> {new.state}, {new.quantity:+f}")]


def _shown(found: Break) -> tuple[object, ...]:
    """What a screen shows of a break, but for what may move with every run: how often seen, value, first cause."""
    return (
        found.state,
        found.kind,
        found.quantity,
        found.difference,
        found.explained,
        found.broker_quantity,
        found.books_quantity,
        found.first_seen,
        found.episode,
        found.deferred,
        found.closed_by,
    )


def grace_ends(found: Break, policy: Policy, activity: datetime | None) -> datetime:
    """When a settling difference may leave its grace at the earliest, for whoever plans the next run."""
    latest = found.last_changed if activity is None else max(found.last_changed, activity)
    return latest + timedelta(seconds=policy.settle_s)
