"""Executions that we hold but that no strategy owns: who made them.

The order's identity says it. IB's own liquidations carry a flag (F56); a manual order in TWS has order id 0 or below
and no reference (F49); another client's order has a positive id and a client id that none of our strategies uses
(F51); the rest is our own client trading under a reference that names no strategy (R12).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from engine.core.events import ExecutionMove
from engine.core.ids import UNASSIGNED
from engine.core.records import FillRecord
from engine.recon.cause import RECORDED, Cause, CauseKind, Proposal
from engine.recon.evidence import ZERO, Evidence

_TITLES: dict[CauseKind, str] = {
    "liquidation": "Liquidation by IB",
    "external_trade": "External trade: manual order in TWS",
    "other_client": "External trade: another client's order",
    "unclaimed_execution": "Execution whose order names no strategy",
}


def causes(evidence: Evidence) -> Iterator[Cause]:
    """One cause per kind of order that UNASSIGNED's executions came from; together they are all it holds."""
    loose = [r for r in evidence.fills if r.strategy == UNASSIGNED and r.state == "active"]
    taken = sum((r.quantity for r in loose if r.fill.source == "assignment"), ZERO)
    groups: dict[CauseKind, list[FillRecord]] = {}
    for record in loose:
        if record.fill.source != "assignment":
            groups.setdefault(kind_of(record, evidence.own_clients), []).append(record)
    for kind, records in sorted(groups.items(), key=lambda item: item[1][0].order_time):
        total = sum((r.quantity for r in records), ZERO)
        # Earlier assignments took their part out by legs: the oldest executions of that direction gave it.
        given = _towards_zero(total, taken)
        taken -= given
        if total + given:
            yield _cause(kind, records, total, total + given)


def _towards_zero(total: Decimal, taken: Decimal) -> Decimal:
    if total * taken >= 0:
        return ZERO
    return taken if abs(taken) <= abs(total) else -total


def kind_of(record: FillRecord, own_clients: Iterable[int]) -> CauseKind:
    """Who made an execution that no strategy claims."""
    fill = record.fill
    if fill.liquidation:
        return "liquidation"
    if fill.order_id <= 0 and not fill.order_ref:
        return "external_trade"
    if fill.client_id not in set(own_clients):
        return "other_client"
    return "unclaimed_execution"


def _cause(kind: CauseKind, records: list[FillRecord], total: Decimal, part: Decimal) -> Cause:
    shown = ", ".join(f"{r.quantity:+f} at {r.unit_price:f} ({r.fill.exec_id})" for r in records[:5])
    more = f" and {len(records) - 5} more" if len(records) > 5 else ""
    less = "" if part == total else f"; {part - total:+f} of it was assigned already"
    return Cause(
        kind=kind,
        title=_title(kind, records),
        quantity=part,
        arithmetic=f"executions {shown}{more} = {total:+f}{less}",
        evidence=tuple(r.fill.exec_id for r in records),
        score=RECORDED,
        provisional=False,
        proposal=Proposal(
            act="move",
            text="assign the executions themselves: they keep price, time and fee",
            moves=tuple(
                ExecutionMove(exec_id=r.fill.exec_id, from_strategy=UNASSIGNED, to_strategy="") for r in records
            ),
        ),
    )


def _title(kind: CauseKind, records: list[FillRecord]) -> str:
    clients = sorted({r.fill.client_id for r in records})
    references = sorted({r.fill.order_ref for r in records if r.fill.order_ref})
    if kind == "other_client":
        return f"{_TITLES[kind]} (client {', '.join(map(str, clients))})"
    if kind == "unclaimed_execution" and references:
        return f"{_TITLES[kind]} ({', '.join(references[:3])})"
    return _TITLES[kind]
