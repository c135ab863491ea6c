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

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

import msgspec

from engine.core.snapshot import AccountSnapshot, Confirmed
from engine.recon.cause import Cause, Explanation
from engine.recon.compare import Difference, Key

BreakState = Literal["settling", "suspected", "confirmed", "explained", "assigned", "closed"]
OPEN_STATES: Final[frozenset[str]] = frozenset({"suspected", "confirmed", "explained"})

ZERO: Final = Decimal(0)
_PATIENCE: Final = 6
"""Graces after which activity no longer excuses a difference that has not changed."""


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """Broker minus strategies for one (account, con_id), with its history.

    Attributes:
        quantity: Broker minus strategies, signed: ``unassigned + difference``.
        difference: Broker minus all books; what no fact accounts for.
        unassigned: What UNASSIGNED holds.
        first_seen: Of this episode, broker's answer time, UTC. ``born_at``: of the first episode.
        last_changed: When the quantity last changed. ``last_seen``: latest good answer that showed it.
        runs: Equal good answers in a row.
        episode: How often it left the grace, 1 for a first break; 0 while it never did.
        opened_at: When this episode left its grace, ``None`` while it never did.
        confirmed_at: Of this episode, ``None`` while it was never confirmed.
        confirmed_quantity: The quantity that was confirmed last in this episode.
        value_at_risk_base: ``abs(quantity)`` valued in base currency; ``None`` when price or rate are unknown.
        explained: Sum of accepted causes. ``residual``: ``quantity - explained``.
        deferred: Why it may not be confirmed now, else empty.
        closed_by: What closed the last episode, in words.
    """

    break_id: str
    account: str
    con_id: int
    kind: str
    state: BreakState
    quantity: Decimal
    difference: Decimal
    unassigned: Decimal
    broker_quantity: Decimal
    books_quantity: Decimal
    first_seen: datetime
    born_at: datetime
    last_seen: datetime
    last_changed: datetime
    runs: int = 1
    episode: int = 0
    symbol: str = ""
    sec_type: str = ""
    currency: str = ""
    opened_at: datetime | None = None
    confirmed_at: datetime | None = None
    confirmed_quantity: Decimal | None = None
    closed_at: datetime | None = None
    closed_by: str = ""
    value_at_risk_base: Decimal | None = None
    base_currency: str = ""
    owner: str = ""
    note: str = ""
    urgent: bool = False
    deferred: str = ""
    assignment_id: str = ""
    causes: tuple[Cause, ...] = ()
    explained: Decimal = ZERO
    residual: Decimal = ZERO

    @property
    def is_open(self) -> bool:
        """True for what an operator should see: past its grace, not yet gone."""
        return self.state in OPEN_STATES

    @property
    def key(self) -> Key:
        """(account, con_id)."""
        return (self.account, self.con_id)

    def age_s(self, now: datetime) -> float:
        """Seconds since this episode was first seen (until it was closed)."""
        return max(0.0, ((self.closed_at or now) - self.first_seen).total_seconds())


class BreakChange(msgspec.Struct, frozen=True, kw_only=True):
    """One step in a break's life, for the append-only record and for alerts."""

    at: datetime
    before: str
    found: Break
    text: str


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the book of breaks is; see ``Settings.settle_s`` and ``Settings.confirm_runs``."""

    settle_s: float = 10.0
    confirm_runs: int = 2


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What a step knows besides the differences.

    Attributes:
        activity: Key -> when a fact last touched it here (UTC), ``None`` for never.
        in_flight: Key -> differences that fills still in flight would make (see :func:`lag_sums`).
        urgent: Keys whose UNASSIGNED executions cannot wait (liquidations).
        assigned: Key -> (id, time) of the latest assignment in force.
        value_at_risk: Key and quantity -> (amount, base currency); amount ``None`` when unknown.
        deferred: Why nothing may be confirmed or closed now (reset window), else empty.
        restored: Keys whose assignment was just taken back: what was confirmed before it is confirmed again.
    """

    activity: Callable[[Key], datetime | None] = lambda _: None
    in_flight: Callable[[Key], frozenset[Decimal]] = lambda _: frozenset()
    urgent: frozenset[Key] = frozenset()
    assigned: Mapping[Key, tuple[str, datetime]] = msgspec.field(default_factory=dict)
    value_at_risk: Callable[[Key, Decimal], tuple[Decimal | None, str]] = lambda _k, _q: (None, "")
    deferred: str = ""
    restored: frozenset[Key] = frozenset()


def break_id(account: str, con_id: int) -> str:
    """The one name of a difference, in every run and after every restart."""
    return f"{account}:{con_id}"


def lag_sums(quantities: Iterable[Decimal]) -> frozenset[Decimal]:
    """Differences that a lagging position stream would show.

    Args:
        quantities: Signed fills within the grace, oldest first.

    Returns:
        Minus the sum of every tail: the broker's answer may lack the last one, the last two, and so on.
    """
    sums: set[Decimal] = set()
    total = ZERO
    for quantity in reversed(list(quantities)):
        total += quantity
        sums.add(-total)
    sums.discard(ZERO)
    return frozenset(sums)


class BreakBook(msgspec.Struct, frozen=True, kw_only=True):
    """All breaks by id, closed ones included. Immutable; every act returns a new book."""

    breaks: dict[str, Break] = msgspec.field(default_factory=dict)

    def step(
        self,
        now: datetime,
        found: Mapping[Key, Difference],
        answers: Iterable[AccountSnapshot],
        about: Circumstances,
        policy: Policy,
        *,
        only: Key | None = None,
    ) -> tuple[BreakBook, list[BreakChange]]:
        """Advance by one comparison.

        Args:
            now: Our time, UTC.
            found: What :func:`engine.recon.compare.compare` found.
            answers: The broker's answers that were compared; accounts that are UNKNOWN or absent do not move.
            about: What else is known.
            policy: Patience.
            only: The one key that ``found`` speaks of, when an assignment changed just that one; absent means all keys.

        Returns:
            The new book, and its changes in order. Work is proportional to differences and known breaks only.
        """
        good = {a.account: a for a in answers if isinstance(a, Confirmed)}
        breaks = dict(self.breaks)
        changes: list[BreakChange] = []
        gone = [b.key for b in breaks.values() if b.state != "closed" and b.account in good and b.key not in found]
        for key in (*found, *gone) if only is None else (only,):
            answer = good.get(key[0])
            if answer is None:
                continue
            name = break_id(*key)
            old = breaks.get(name)
            moment = _Moment(now=now, answer=answer, about=about, policy=policy, key=key)
            seen = found.get(key)
            new = _fade(old, moment) if seen is None else _observe(old, seen, moment)
            if new is None:
                breaks.pop(name, None)
            else:
                breaks[name] = new
                changes.extend(_told(old, new, now))
        return BreakBook(breaks=breaks), changes

    def explain(self, now: datetime, explanations: Mapping[str, Explanation]) -> tuple[BreakBook, list[BreakChange]]:
        """Attach causes; a confirmed break whose causes are confirmed and leave nothing becomes *explained*."""
        breaks = dict(self.breaks)
        changes: list[BreakChange] = []
        for name, explanation in explanations.items():
            old = breaks.get(name)
            if old is None:
                continue
            sure = bool(explanation.accepted) and not any(c.provisional for c in explanation.accepted)
            state = old.state
            if state in {"confirmed", "explained"}:
                state = "explained" if sure and explanation.residual == 0 else "confirmed"
            new = msgspec.structs.replace(
                old,
                state=state,
                causes=explanation.causes,
                explained=explanation.explained,
                residual=explanation.residual,
            )
            breaks[name] = new
            changes.extend(_told(old, new, now))
        return BreakBook(breaks=breaks), changes

    def note(self, name: str, owner: str, note: str) -> BreakBook:
        """Set owner and note; an unknown name changes nothing (the note waits among the facts)."""
        old = self.breaks.get(name)
        if old is None or (old.owner, old.note) == (owner, note):
            return self
        return BreakBook(breaks={**self.breaks, name: msgspec.structs.replace(old, owner=owner, note=note)})

    def listed(self, *, open_only: bool = True) -> list[Break]:
        """Breaks for display: urgent ones first, then confirmed before suspected, then by value at risk, then by age.

        Args:
            open_only: Leaves out what is settling, assigned or closed.
        """
        chosen = [b for b in self.breaks.values() if b.is_open or not open_only]
        rank = {"confirmed": 0, "explained": 1, "suspected": 2, "settling": 3, "assigned": 4, "closed": 5}
        return sorted(
            chosen,
            key=lambda b: (
                not b.urgent,
                rank[b.state],
                b.value_at_risk_base is not None,  # unknown value first: it may be anything
                -(b.value_at_risk_base or ZERO),
                b.first_seen,
                b.break_id,
            ),
        )

    def dump(self) -> bytes:
        """The whole book as JSON, for a checkpoint."""
        return msgspec.json.encode(self)

    @classmethod
    def load(cls, blob: bytes) -> BreakBook:
        """Read what :meth:`dump` wrote.

        Raises:
            msgspec.DecodeError: The blob is no book of breaks.
        """
        return msgspec.json.decode(blob, type=cls)

    @classmethod
    def from_rows(cls, texts: Iterable[str]) -> BreakBook:
        """Rebuild from the stored changes (one break as JSON each, oldest first); the last sight of a name counts."""
        decoder = msgspec.json.Decoder(Break)
        latest = {b.break_id: b for b in (decoder.decode(t) for t in texts)}
        return cls(breaks={name: b for name, b in latest.items() if not _was_never(b)})


def _was_never(found: Break) -> bool:
    return found.episode == 0 and found.state in {"settling", "closed"}


class _Moment(msgspec.Struct, frozen=True, kw_only=True):
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
        return max(0.0, (self.answer.requested_at - then).total_seconds())


def _observe(old: Break | None, seen: Difference, moment: _Moment) -> Break:
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


def _begin(old: Break | None, seen: Difference, moment: _Moment) -> Break:
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


def _placed(old: Break, new: Break, moment: _Moment) -> Break:
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


def _state(old: Break, new: Break, moment: _Moment, *, urgent: bool, deferred: bool) -> BreakState:
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


def _fade(old: Break | None, moment: _Moment) -> Break | None:
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


def _emptied(old: Break, moment: _Moment) -> Break:
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


def _told(old: Break | None, new: Break, now: datetime) -> list[BreakChange]:
    before = "" if old is None else old.state
    if old is not None and (old.state, old.quantity, old.explained) == (new.state, new.quantity, new.explained):
        return []
    if new.opened_at is None:
        return []  # it has not left its grace (this time): nothing is recorded of what is not a break yet
    return [BreakChange(at=now, before=before, found=new, text=f"{before or 'new'} -> {new.state}, {new.quantity:+f}")]


def grace_ends(found: Break, policy: Policy, activity: datetime | None) -> datetime:
    """When a settling difference may leave its grace at the earliest, for whoever plans the next run."""
    latest = found.last_changed if activity is None else max(found.last_changed, activity)
    return latest + timedelta(seconds=policy.settle_s)
