"""One execution in memory: the revision that counts, its chain, its fee, whose it is.

Identity is (account, root of the execution id); the highest revision known is the one that counts and takes the place in
the sequence that the lowest revision known has. What nearly no execution has (older revisions, a bust, moves between
strategies) lives in ``Extra``, so that the usual one stays small: a million of them fit in memory.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.book import Line
from engine.core.events import Fill
from engine.core.exact import ZERO
from engine.core.ids import split_exec_id
from engine.core.instrument import Instrument
from engine.core.records import FillRecord, FillState

FEE_BEARING: Final = frozenset({"active", "busted"})
"""States in which the fee belongs to the book: a busted execution keeps its fee (F18)."""


class Revision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A revision that does not count any more, or never did."""

    fill: Fill
    revision: int
    seq: int
    recorded_at: datetime


class Move(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One re-booking of an execution by an assignment that is in force."""

    assignment_id: str
    to_strategy: str


class Extra(msgspec.Struct, kw_only=True, gc=False):
    """What only a few executions have.

    Attributes:
        older: Revisions other than the one that counts, in order of arrival.
        bust_revision: Revisions up to this one are void; -1 for none.
        moves: Assignments in force that moved the execution, oldest first; the last one says where it is.
        reversed: True for an assignment's leg that was taken back.
    """

    older: list[Revision] = msgspec.field(default_factory=list)
    bust_revision: int = -1
    bust_reason: str = ""
    moves: list[Move] = msgspec.field(default_factory=list)
    reversed: bool = False


class Execution(Line, kw_only=True, gc=False):
    """The state of one (account, root).

    Attributes:
        fill: The revision that counts, as reported. ``quantity`` of the line equals ``fill.quantity``.
        base: Strategy by claim, registry, pattern or rule; moves by assignments lie over it.
        claimed: True when a message named ``base``; an inferred one gives way to a claim, a claim to nothing.
        strategy: Where it is booked now.
        fee_revision: Revision whose report gave ``commission``; -1 while pending.
        supersedes: The fill id that the latest record replaced.
    """

    fill: Fill
    revision: int
    state: FillState
    unit_price: Decimal
    base: str
    strategy: str
    claimed: bool
    seq: int
    recorded_at: datetime
    commission: Decimal | None = None
    commission_currency: str = ""
    ib_realized_pnl: Decimal | None = None
    fee_revision: int = -1
    supersedes: str = ""
    reason: str = ""
    extra: Extra | None = None

    @property
    def root(self) -> str:
        """The id without its revision."""
        return split_exec_id(self.fill.exec_id)[0]

    @property
    def counts(self) -> bool:
        """True when it is a line of its strategy's book."""
        return self.state == "active"

    @property
    def bears_fee(self) -> bool:
        """True when its fee belongs to the book."""
        return self.state in FEE_BEARING

    def more(self) -> Extra:
        """``extra``, made when there is none yet."""
        if self.extra is None:
            self.extra = Extra()
        return self.extra


def record_of(execution: Execution, terms: Instrument) -> FillRecord:
    """The record that says what the books make of an execution now.

    Args:
        terms: The instrument whose multiplier and magnifier count.
    """
    active = execution.state == "active"
    # In two steps: CPython makes a dictionary for a call with more than fifteen keywords, which takes four times as long.
    record = FillRecord(
        seq=execution.seq,
        recorded_at=execution.recorded_at,
        strategy=execution.strategy,
        fill=execution.fill,
        state=execution.state,
        quantity=execution.quantity if active else ZERO,
        unit_price=execution.unit_price,
        multiplier=terms.multiplier,
        magnifier=terms.price_magnifier,
        order_time=execution.sort[0],
        first_seq=execution.sort[2],
        commission=execution.commission,
        commission_currency=execution.commission_currency,
        commission_status="pending" if execution.commission is None else "final",
        realized_pnl=execution.realized if active else ZERO,
    )
    if not execution.supersedes and not execution.reason and execution.ib_realized_pnl is None:
        return record
    return msgspec.structs.replace(
        record,
        supersedes=execution.supersedes,
        ib_realized_pnl=execution.ib_realized_pnl,
        reason=execution.reason,
    )


def moved_record(execution: Execution, terms: Instrument, strategy: str, fill: Fill, reason: str) -> FillRecord:
    """The record left behind in ``strategy``, whose book the execution has left.

    Args:
        fill: The revision that counted there until now.
    """
    return msgspec.structs.replace(
        record_of(execution, terms),
        strategy=strategy,
        fill=fill,
        state="moved",
        quantity=ZERO,
        realized_pnl=ZERO,
        commission=None,
        commission_currency="",
        commission_status="final",
        supersedes=fill.exec_id,
        reason=reason,
    )


def superseded_record(execution: Execution, old: Revision, terms: Instrument, unit_price: Decimal) -> FillRecord:
    """The record of a revision that does not count."""
    return msgspec.structs.replace(
        record_of(execution, terms),
        seq=old.seq,
        recorded_at=old.recorded_at,
        fill=old.fill,
        state="superseded",
        quantity=ZERO,
        unit_price=unit_price,
        realized_pnl=ZERO,
        supersedes="",
        commission=None,
        commission_currency="",
        commission_status="final",
        ib_realized_pnl=None,
        reason=f"superseded by {execution.fill.exec_id}",
    )
