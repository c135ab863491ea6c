"""What the books say about facts: the records that become stored rows.

A fact says what was reported; a record says what the books made of it (strategy, state in its correction chain, realized
P&L, fee so far). Records are append-only: the current state of an execution is its highest revision's latest record.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from engine.core.events import Fill, OrderUpdate

FillState = Literal["active", "superseded", "busted", "moved", "reversed", "group"]
"""``active`` counts in its strategy's book; every other state counts nothing there:

- ``superseded``: a lower revision that arrived late (or was replaced);
- ``busted``: the exchange cancelled it; ``moved``: re-booked to another strategy; ``reversed``: an assignment taken back;
- ``group``: a combination's parent or an advisor's master row, kept for display, never a position.
"""

CommissionStatus = Literal["pending", "final"]


class FillRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of ``fills/<STRATEGY>``.

    Attributes:
        seq: Journal sequence of the fact that caused the record.
        recorded_at: Our time of that fact, UTC; never decreasing within one strategy.
        strategy: Whose symbol the row goes to.
        fill: The execution (or the assignment's leg in the form of one).
        quantity: Signed quantity that counts in this strategy's book: ``fill.quantity`` when active, 0 otherwise.
        unit_price: Instrument currency per unit (``fill.price`` over the magnifier).
        order_time: Sort time in the book's fold: that of the lowest revision known (UTC).
        first_seq: Sequence at which the execution's root was first seen; decides between equal times.
        supersedes: The fill id this record replaces (an earlier revision, or its own id for busts and moves), else empty.
        commission: Cost positive, in ``commission_currency``; ``None`` while pending.
        realized_pnl: Gross, of this execution in this book, instrument currency; 0 for one that only opened.
        reason: Why the state is not ``active``, in words, else empty.
    """

    seq: int
    recorded_at: datetime
    strategy: str
    fill: Fill
    state: FillState
    quantity: Decimal
    unit_price: Decimal
    multiplier: Decimal
    magnifier: int | None
    order_time: datetime
    first_seq: int
    supersedes: str = ""
    commission: Decimal | None = None
    commission_currency: str = ""
    commission_status: CommissionStatus = "pending"
    ib_realized_pnl: Decimal | None = None
    realized_pnl: Decimal
    reason: str = ""


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of ``orders/<STRATEGY>``: one status transition.

    Attributes:
        update: The sight that caused it, with what is known of the order filled in from earlier sights.
        status: The word of this row: the broker's own where a sight of the order caused it, the derived state where an
            execution did.
        state: The derived state (see ``state.order_state``), which is what counts: ``PartiallyFilled``,
            ``Cancelled, filled 5``, ``Unknown`` …
        is_open: True while the order may still trade.
        filled: Unsigned, from executions where they are known, else as reported; ``None`` when unknown.
        remaining: Unsigned; ``None`` when unknown.
        avg_fill_price: Quoted units, from executions; ``None`` when nothing is known.
    """

    seq: int
    recorded_at: datetime
    strategy: str
    order_key: str
    update: OrderUpdate
    status: str
    filled: Decimal | None
    remaining: Decimal | None
    avg_fill_price: Decimal | None
    message: str = ""
    state: str = ""
    is_open: bool = True


class ComboRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What executed of a combination's order: of itself, and of each leg.

    Attributes:
        order: The order's latest record.
        done: Unsigned number of combinations that executed, as far as known; 0 for unknown.
        legs: con_id -> signed quantity executed, legs without any left out.
    """

    order: OrderRecord
    done: Decimal
    legs: dict[int, Decimal]


FindingKind = Literal[
    "conflict",
    "execution_gap",
    "orphan_commission",
    "cancelled_filled",
    "rejected_filled",
    "overfill",
    "oca_overfill",
    "secondary_perm_id",
    "liquidation",
    "time_uncertain",
    "instrument_changed",
    "negative_fee_sentinel",
    "unbookable",
    "combo_incomplete",
    "coverage_gap",
]


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something odd in the data that an operator should see.

    Attributes:
        key: Stable identity, so that one oddity is shown once.
        severity: ``info``, ``warning`` or ``critical``.
    """

    key: str
    kind: FindingKind
    severity: Literal["info", "warning", "critical"]
    text: str
    account: str = ""
    con_id: int = 0
    exec_id: str = ""
    strategy: str = ""
    seen_at: datetime


class PositionRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One book: what one strategy holds of one instrument in one account.

    Attributes:
        quantity: Signed.
        open_cost: Signed total paid for what is open, instrument currency, multiplier included, without commission.
        avg_cost: ``open_cost / (quantity * multiplier)``; ``None`` when flat.
        realized_pnl: Gross, instrument currency, profit positive, exact.
        fees: Per currency, cost positive; only what is known.
        fees_pending: Number of executions whose fee is not known yet.
        cash: Per currency what the executions moved, fees not included (a buy is negative). Currency pairs move both.
        fills: Number of executions that count.
        last_fill_at: Order time of the last execution in the fold, ``None`` for none.
    """

    strategy: str
    account: str
    instrument_key: int
    quantity: Decimal
    open_cost: Decimal
    avg_cost: Decimal | None
    realized_pnl: Decimal
    fees: dict[str, Decimal]
    fees_pending: int
    cash: dict[str, Decimal]
    fills: int
    last_fill_at: datetime | None
    seq: int
