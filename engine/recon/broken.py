"""A break and what surrounds it, as values; their life is in :mod:`engine.recon.lifecycle`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

import msgspec

from engine.recon.cause import Cause
from engine.recon.compare import Key

BreakState = Literal["settling", "suspected", "confirmed", "explained", "assigned", "closed"]
OPEN_STATES: Final[frozenset[str]] = frozenset({"suspected", "confirmed", "explained"})

ZERO: Final = Decimal(0)


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
