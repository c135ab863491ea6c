"""Something booked that the broker took back, or that is booked twice.

A bust has no documented message in the API (F19): it shows as a difference equal and opposite to one recent fill, and
stays provisional until the statement's cancel row confirms it (F18). The same shape comes from an assignment whose
missing execution arrived after all (R13): then the entry is to be reversed, never the fill.

A correction that we hold may itself be taken back, or may never have reached the positions: then what differs is
exactly what the correction changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Final

from engine.core.events import AssignmentLeg, AssignmentMade
from engine.core.ids import split_exec_id
from engine.core.records import FillRecord
from engine.recon.cause import ARITHMETIC, CORROBORATED, SHAPE, Cause, Proposal
from engine.recon.evidence import ZERO, Evidence

_RECENT: Final = timedelta(days=5)
_SHOWN: Final = 3
_CORRECTION_SHARE: Final = Decimal("0.1")
_PENALTY: Final = 5


def causes(evidence: Evidence) -> Iterator[Cause]:
    """Busts, corrections that we have not seen, and assignments that a late fill made superfluous."""
    difference = evidence.found.difference
    if not difference:
        return
    yield from _superseded(evidence, difference)
    recent = [
        r
        for r in evidence.fills
        if r.state == "active" and r.fill.source != "assignment" and evidence.now - r.order_time <= _RECENT
    ]
    twins = [r for r in recent if r.quantity == -difference]
    for place, record in enumerate(reversed(twins[-_SHOWN:])):
        yield _bust(record, difference, ARITHMETIC - _PENALTY * (len(twins) > 1) - place)
    undone = list(_undone(evidence, recent, difference))
    yield from undone
    if not twins and not undone:
        yield from _correction(recent, difference)


def _bust(record: FillRecord, difference: Decimal, score: int) -> Cause:
    return Cause(
        kind="bust",
        title="Busted execution: the exchange cancelled a trade we hold",
        quantity=difference,
        arithmetic=f"execution {record.fill.exec_id} of {record.quantity:+f} taken back is {difference:+f}",
        evidence=(record.fill.exec_id,),
        score=score,
        provisional=True,
        proposal=Proposal(
            act="legs",
            text="take the execution back in its own book at its own price; its fee stays",
            legs=(AssignmentLeg(strategy=record.strategy, quantity=difference, price=record.unit_price),),
        ),
    )


def _undone(evidence: Evidence, recent: list[FillRecord], difference: Decimal) -> Iterator[Cause]:
    """Corrections that we hold and the broker's position does not have, or has no more (F15, F16)."""
    for record in recent:
        root = split_exec_id(record.fill.exec_id)[0]
        for old in evidence.older:
            if split_exec_id(old.fill.exec_id)[0] != root or old.fill.quantity - record.quantity != difference:
                continue
            yield Cause(
                kind="correction",
                title="A correction that the broker's position does not show",
                quantity=difference,
                arithmetic=f"execution {record.fill.exec_id} of {record.quantity:+f} as {old.fill.exec_id}"
                f" had it, {old.fill.quantity:+f}, is {difference:+f}",
                evidence=(record.fill.exec_id,),
                score=ARITHMETIC,
                provisional=True,
                proposal=Proposal(act="request", text="ask for executions again; the statement confirms corrections"),
            )
            break


def _correction(recent: list[FillRecord], difference: Decimal) -> Iterator[Cause]:
    near = [r for r in recent if r.quantity and abs(difference) <= _CORRECTION_SHARE * abs(r.quantity)]
    if len(near) != 1:
        return
    record = near[0]
    yield Cause(
        kind="correction",
        title="Correction of a quantity that has not reached us",
        quantity=difference,
        arithmetic=f"execution {record.fill.exec_id} of {record.quantity:+f} would become"
        f" {record.quantity + difference:+f}",
        evidence=(record.fill.exec_id,),
        score=SHAPE + 5,
        provisional=True,
        proposal=Proposal(act="request", text="ask for executions again; the statement confirms corrections"),
    )


def _superseded(evidence: Evidence, difference: Decimal) -> Iterator[Cause]:
    for entry in evidence.assignments:
        booked = sum((leg.quantity for leg in entry.legs), ZERO)
        if not booked or booked * difference >= 0:
            continue
        late = _late_fills(evidence, entry)
        arrived = sum((r.quantity for r in late), ZERO)
        if not late or booked != -difference or arrived * booked <= 0:
            continue
        yield Cause(
            kind="assignment_superseded",
            title="The missing execution arrived after its quantity had been assigned",
            quantity=difference,
            arithmetic=f"assignment {entry.assignment_id} booked {booked:+f}; executions of {arrived:+f} came later",
            evidence=(entry.assignment_id, *(r.fill.exec_id for r in late)),
            score=CORROBORATED + _PENALTY,
            provisional=True,
            proposal=Proposal(act="reverse", text="reverse the assignment", assignment_id=entry.assignment_id),
        )


def _late_fills(evidence: Evidence, entry: AssignmentMade) -> list[FillRecord]:
    return [
        r
        for r in evidence.fills
        if r.state == "active"
        and r.fill.source != "assignment"
        and r.fill.received_at > entry.received_at
        and r.order_time <= entry.effective_at
    ]
