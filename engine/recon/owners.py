"""Who a residual probably belongs to, with the reasons; a suggestion, never a decision.

Every reason adds points to a strategy: the order reference names it (50), the parent order is its own (45), its order
is working for just this (40), an earlier assignment of the same reference or client went to it (30), its client id made
the execution (25), it holds what a closing residual closes (20), it traded the instrument last (15).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.events import AssignmentMade
from engine.core.ids import UNASSIGNED
from engine.core.records import FillRecord, OrderRecord, PositionRecord

ZERO: Final = Decimal(0)


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy that may own it.

    Attributes:
        quantity: Signed part suggested.
        score: Sum of the points of its reasons.
        reason: All of them, in words.
    """

    strategy: str
    quantity: Decimal
    score: int
    reason: str


def suggest_owners(
    quantity: Decimal,
    *,
    con_id: int,
    executions: Sequence[FillRecord],
    positions: Iterable[PositionRecord],
    history: Sequence[FillRecord],
    orders: Sequence[OrderRecord],
    decisions: Iterable[tuple[AssignmentMade, FillRecord]] = (),
    strategy_of_reference: Callable[[str], str | None] = lambda _: None,
) -> list[Suggestion]:
    """Suggest owners of a residual in one (account, con_id).

    Args:
        quantity: The residual, signed.
        executions: What UNASSIGNED holds of it.
        positions: Books of this key.
        con_id: Its instrument.
        history: Executions of this account, any instrument, current state, oldest first.
        orders: Orders of this key.
        decisions: Earlier assignments in force with one execution that they moved.
        strategy_of_reference: The settings' rule from an order reference to a strategy.

    Returns:
        Best first; strategies without any reason are left out.
    """
    tally = _Tally()
    references = {r.fill.order_ref for r in executions if r.fill.order_ref}
    clients = {r.fill.client_id for r in executions if r.fill.client_id}
    for reference in sorted(references):
        tally.add(strategy_of_reference(reference), 50, f"order reference {reference!r} names it")
    for record in history:
        if record.fill.order_ref in references:
            tally.add(record.strategy, 30, f"owns other executions of reference {record.fill.order_ref!r}")
        if record.fill.client_id in clients:
            tally.add(record.strategy, 25, f"trades with client id {record.fill.client_id}")
    _from_orders(quantity, executions, orders, tally)
    _from_decisions(decisions, references, clients, tally)
    closing = {p.strategy: p.quantity for p in positions if p.quantity * quantity < 0}
    for strategy, held in sorted(closing.items()):
        tally.add(strategy, 20, f"holds {held:+f}, which this closes")
    owned = [
        r for r in history if r.fill.instrument.con_id == con_id and r.strategy != UNASSIGNED and r.state == "active"
    ]
    if owned:
        tally.add(owned[-1].strategy, 15, "traded this instrument last")
    parts = _parts(quantity, tally.points, closing)
    return [
        Suggestion(strategy=s, quantity=parts.get(s, quantity), score=p, reason="; ".join(tally.reasons[s]))
        for s, p in sorted(tally.points.items(), key=lambda item: (-item[1], item[0]))
    ]


class _Tally:
    """Points and reasons per strategy; a reason counts once."""

    def __init__(self) -> None:
        self.points: Counter[str] = Counter()
        self.reasons: dict[str, list[str]] = {}

    def add(self, strategy: str | None, score: int, reason: str) -> None:
        if strategy and strategy != UNASSIGNED and reason not in self.reasons.setdefault(strategy, []):
            self.points[strategy] += score
            self.reasons[strategy].append(reason)


def _from_decisions(
    decisions: Iterable[tuple[AssignmentMade, FillRecord]], references: set[str], clients: set[int], tally: _Tally
) -> None:
    for entry, record in decisions:
        if record.fill.order_ref in references or record.fill.client_id in clients:
            for move in entry.moves:
                tally.add(move.to_strategy, 30, f"got executions like these in assignment {entry.assignment_id}")


def _from_orders(
    quantity: Decimal,
    executions: Sequence[FillRecord],
    orders: Sequence[OrderRecord],
    tally: _Tally,
) -> None:
    own = {(o.update.client_id, o.update.order_id): o.strategy for o in orders if o.update.order_id > 0}
    perms = {r.fill.perm_id for r in executions if r.fill.perm_id}
    for order in orders:
        update = order.update
        if update.perm_id in perms and update.parent_id:
            owner = own.get((update.client_id, update.parent_id))
            tally.add(owner, 45, f"parent order {update.parent_id} is its own")
        wanted = 1 if update.side.upper().startswith("B") else -1
        if order.remaining and wanted * quantity > 0 and order.remaining >= abs(quantity) and order.is_open:
            tally.add(order.strategy, 40, f"order {order.order_key} works for {order.remaining * wanted:+f}")


def _parts(quantity: Decimal, points: Mapping[str, int], closing: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """A closing residual is suggested up to what each holds; anything else whole, to be chosen from."""
    parts: dict[str, Decimal] = {}
    if not closing:
        return parts
    left = quantity
    for strategy in sorted(closing, key=lambda s: (-points[s], s)):
        held = -closing[strategy]
        parts[strategy] = held if abs(held) <= abs(left) else left
        left -= parts[strategy]
    return parts
