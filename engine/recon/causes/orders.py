"""Executions that our own orders must have had, but that never reached us.

Two counts of the broker know more than a lost message: the order's filled quantity, and the cumulative quantity that
every execution carries (F21). What they exceed our executions by is missing. A GTC order's count includes former days,
which is why the order record's own sum over all days is compared, never just today's (F22).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from engine.core.records import FillRecord, OrderRecord
from engine.recon.cause import ARITHMETIC, CIRCUMSTANCE, CORROBORATED, Cause, Proposal
from engine.recon.evidence import ZERO, Evidence


def causes(evidence: Evidence) -> Iterator[Cause]:
    """Orders that filled more than we have executions for, and working orders that could have filled by as much."""
    difference = evidence.found.difference
    if not difference:
        return
    sure = False
    for order, missing in _gaps(evidence):
        if missing * difference <= 0 or abs(missing) > abs(difference):
            continue
        sure = True
        exact = missing == difference
        yield _missing(order, missing, CORROBORATED if exact else ARITHMETIC)
    if sure:
        return
    for order in evidence.orders:
        room = _working(order)
        if room is not None and room * difference > 0 and abs(room) >= abs(difference):
            yield Cause(
                kind="position_before_fill",
                title="A working order may just have filled",
                quantity=difference,
                arithmetic=f"order {order.order_key} is working for {room:+f}; {difference:+f} fits in it",
                evidence=(order.order_key,),
                score=CIRCUMSTANCE,
                provisional=True,
                proposal=Proposal(act="request", text="ask for executions again"),
            )


def _gaps(evidence: Evidence) -> Iterator[tuple[OrderRecord, Decimal]]:
    by_order: dict[tuple[int, int, int], list[FillRecord]] = {}
    for record in evidence.fills:
        if record.state in {"active", "moved"} and record.fill.source != "assignment":
            by_order.setdefault(_order_of(record), []).append(record)
    for order in evidence.orders:
        update = order.update
        fills = by_order.get((update.perm_id, 0, 0) if update.perm_id else (0, update.client_id, update.order_id), [])
        ours = sum((abs(r.fill.quantity) for r in fills if r.state == "active"), ZERO)
        # The order record knows executions of former days too; without any execution it only repeats the report.
        if fills and order.filled is not None:
            ours = max(ours, order.filled)
        counts = [update.filled or ZERO, *(r.fill.cum_quantity or ZERO for r in fills)]
        missing = max(counts) - ours
        if missing > 0:
            yield order, missing if update.side.upper().startswith("B") else -missing


def _order_of(record: FillRecord) -> tuple[int, int, int]:
    fill = record.fill
    return (fill.perm_id, 0, 0) if fill.perm_id else (0, fill.client_id, fill.order_id)


def _working(order: OrderRecord) -> Decimal | None:
    if not order.is_open or not order.remaining:
        return None
    return order.remaining if order.update.side.upper().startswith("B") else -order.remaining


def _missing(order: OrderRecord, missing: Decimal, score: int) -> Cause:
    return Cause(
        kind="missing_fill",
        title="An execution of our own order never reached us",
        quantity=missing,
        arithmetic=f"order {order.order_key} of {order.strategy} filled {abs(missing):f} more than we hold",
        evidence=(order.order_key,),
        score=score,
        provisional=True,
        proposal=Proposal(
            act="request",
            text="ask for the day's executions again; for a former day the statement brings it",
        ),
    )
