"""Positions that moved between accounts without a trade (F110)."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.events import AssignmentLeg
from engine.core.ids import UNASSIGNED
from engine.recon.cause import CORROBORATED, Cause, Proposal
from engine.recon.evidence import ZERO, Evidence


def causes(evidence: Evidence) -> Iterator[Cause]:
    """A difference whose opposite stands in another account of ours; statement rows are another family's."""
    difference = evidence.found.difference
    if not difference:
        return
    for other in evidence.elsewhere:
        if other.difference == -difference:
            yield Cause(
                kind="transfer",
                title=f"Transfer between {evidence.here.account} and {other.account}",
                quantity=difference,
                arithmetic=f"{difference:+f} here and {other.difference:+f} in {other.account} add up to 0",
                evidence=(other.break_id,),
                score=CORROBORATED,
                provisional=True,
                proposal=_held(evidence),
                linked=(other.break_id,),
            )
            return
    # One account's holding may go to several, or come from several (in parts): then all of them add up to nothing.
    others = [s for s in evidence.elsewhere if s.difference]
    if len(others) > 1 and not difference + sum((s.difference for s in others), ZERO):
        shown = ", ".join(f"{s.difference:+f} in {s.account}" for s in others)
        names = tuple(s.break_id for s in others)
        yield Cause(
            kind="transfer",
            title=f"Transfer between {evidence.here.account} and {', '.join(s.account for s in others)}",
            quantity=difference,
            arithmetic=f"{difference:+f} here and {shown} add up to 0",
            evidence=names,
            score=CORROBORATED - 5,
            provisional=True,
            proposal=_held(evidence),
            linked=names,
        )


def _held(evidence: Evidence) -> Proposal:
    cost = evidence.here.broker_unit_cost or evidence.here.unit_cost
    if cost is None:
        return Proposal(act="none", text="hold it until the statement's transfer row gives its price")
    return Proposal(
        act="legs",
        text="hold it in UNASSIGNED at the cost it is carried at, until it is clear whose it is",
        legs=(AssignmentLeg(strategy=UNASSIGNED, quantity=evidence.found.difference, price=cost),),
    )
