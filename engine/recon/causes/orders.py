"""Executions that our own orders must have had and that never reached us, or that the broker counts no more.

Two counts of the broker know more than a lost message: the order's filled quantity, and the cumulative quantity that
every execution carries (F21). What they exceed our executions by is missing. A GTC order's count includes former days,
which is why the order record's own sum over all days is compared, never just today's (F22).

A count that fell *below* our executions is the other way round: the broker corrected or cancelled one of them, and
the message that says so is not documented to exist (F19) or was lost. The largest count ever reported cannot show
that; what the order has left to do can, in a sight that is newer than the executions.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from engine.core.events import AssignmentLeg
from engine.core.records import FillRecord, OrderRecord
from engine.recon.cause import ARITHMETIC, CIRCUMSTANCE, CORROBORATED, Cause, Proposal
from engine.recon.evidence import ZERO, Evidence


def causes(evidence: Evidence) -> Iterator[Cause]:
    """Orders that filled more than we have executions for, and working orders that could have filled by as much."""
    difference = evidence.found.difference
    if not difference:
        return
    yield from _shrunk(evidence)
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


def _by_order(evidence: Evidence) -> Iterator[tuple[OrderRecord, list[FillRecord]]]:
    by_order: dict[tuple[int, int, int], list[FillRecord]] = {}
    for record in evidence.fills:
        if record.state in {"active", "moved"} and record.fill.source != "assignment":
            by_order.setdefault(_order_of(record), []).append(record)
    for order in evidence.orders:
        update = order.update
        key = (update.perm_id, 0, 0) if update.perm_id else (0, update.client_id, update.order_id)
        yield order, by_order.get(key, [])


def _shrunk(evidence: Evidence) -> Iterator[Cause]:
    """Orders of which the broker now counts less than we hold, by exactly the difference."""
    difference = evidence.found.difference
    for order, fills in _by_order(evidence):
        update = order.update
        if not fills or order.filled is None or update.quantity is None or update.remaining is None:
            continue
        if update.received_at <= max(r.fill.received_at for r in fills):
            continue
        less = update.quantity - update.remaining - order.filled
        if less >= 0 or (less if update.side.upper().startswith("B") else -less) != difference:
            continue
        gone = next((r for r in reversed(fills) if r.state == "active" and r.quantity == -difference), None)
        yield _fewer(order, update.quantity - update.remaining, difference, gone, fills)


def _fewer(
    order: OrderRecord, counted: Decimal, difference: Decimal, gone: FillRecord | None, fills: list[FillRecord]
) -> Cause:
    record = gone or fills[-1]
    return Cause(
        kind="bust" if gone is not None else "correction",
        title="Busted execution: its order counts without it"
        if gone is not None
        else "Correction of a quantity that has not reached us",
        quantity=difference,
        arithmetic=f"order {order.order_key} of {order.strategy} counts {counted:f} now, we hold {order.filled:f}",
        evidence=(order.order_key, record.fill.exec_id),
        score=CORROBORATED,
        provisional=True,
        proposal=Proposal(act="request", text="ask for executions again; the statement confirms it")
        if gone is None
        else Proposal(
            act="legs",
            text="take the execution back in its own book at its own price; its fee stays",
            legs=(AssignmentLeg(strategy=gone.strategy, quantity=difference, price=gone.unit_price),),
        ),
    )


def _gaps(evidence: Evidence) -> Iterator[tuple[OrderRecord, Decimal]]:
    for order, fills in _by_order(evidence):
        update = order.update
        ours = sum((abs(r.fill.quantity) for r in fills if r.state == "active"), ZERO)
        # The order record knows executions of former days too; without any execution it only repeats the report.
        if fills and order.filled is not None:
            ours = max(ours, order.filled)
        counts = [update.filled or ZERO, *(r.fill.cum_quantity or ZERO for r in fills)]
        missing = max(counts) - ours
        if missing > 0:
            yield order, missing if update.side.upper().startswith("B") else -missing


def missing_of_orders(evidence: Evidence) -> Decimal:
    """Signed sum of what the broker counts on our orders here more than we have executions for."""
    return sum((missing for _, missing in _gaps(evidence)), ZERO)


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
