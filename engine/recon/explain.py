"""From a break to its ranked causes: a pure function of what was known.

Each family of causes is a module in :mod:`engine.recon.causes` with a function ``causes(evidence)``. They do not know
of each other; ranking and choosing happen here. Candidates are alternatives. The accepted ones are chosen greedily by
rank: a cause is accepted when its quantity has the sign of what is left and is no larger, when it rests on evidence
that no accepted one uses, and when its score is at least that of a circumstance (40). So always::

    quantity of the break = sum of accepted quantities + residual
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

import msgspec

from engine.recon.cause import CIRCUMSTANCE, CONFIRMED_FROM, OVERNIGHT, Cause, Explanation
from engine.recon.causes import (
    combos,
    corporate,
    drift,
    executions,
    expiry,
    external,
    orders,
    reversals,
    statements,
    transfers,
)
from engine.recon.evidence import Evidence

ZERO: Final = Decimal(0)
FAMILIES: Final[tuple[Callable[[Evidence], Iterable[Cause]], ...]] = (
    executions.causes,
    statements.causes,
    orders.causes,
    combos.causes,
    reversals.causes,
    expiry.causes,
    corporate.causes,
    transfers.causes,
    drift.causes,
    external.causes,
)
_EXECUTION_KINDS: Final = frozenset({"external_trade", "other_client", "unclaimed_execution", "liquidation"})
_RESET_SHIFT: Final = 5


def explain(evidence: Evidence) -> Explanation:
    """Explain one break.

    Args:
        evidence: What is known; the break's own figures are in ``evidence.found``.

    Returns:
        Causes best first, the accepted ones, and the residual.
    """
    found = [_after_reset(c, evidence) for family in FAMILIES for c in family(evidence)]
    ranked = sorted(found, key=lambda c: (-c.score, -abs(c.quantity), c.kind, c.evidence))
    accepted = _accepted(ranked, evidence.found.unassigned, evidence.found.difference)
    explained = sum((c.quantity for c in accepted), ZERO)
    return Explanation(
        causes=tuple(ranked),
        accepted=tuple(accepted),
        explained=explained,
        residual=evidence.found.quantity - explained,
    )


def _after_reset(cause: Cause, evidence: Evidence) -> Cause:
    """After a reset, what happens overnight is the likelier story (F131); what is on record is not a matter of odds."""
    if not evidence.after_reset or cause.score >= CONFIRMED_FROM or cause.kind in OVERNIGHT:
        return cause
    return msgspec.structs.replace(cause, score=max(0, cause.score - _RESET_SHIFT))


def _accepted(ranked: Iterable[Cause], unassigned: Decimal, difference: Decimal) -> list[Cause]:
    # Executions that we hold are certain, all of them: together they are what UNASSIGNED holds.
    accepted = [c for c in ranked if c.kind in _EXECUTION_KINDS and not c.provisional] if unassigned else []
    used = {reference for cause in accepted for reference in cause.evidence}
    left = difference
    for cause in ranked:
        if cause in accepted or cause.score < CIRCUMSTANCE or cause.quantity * left <= 0:
            continue
        # Causes may rest on the same thing (one fill, one statement row); nothing is counted twice.
        if abs(cause.quantity) > abs(left) or used & set(cause.evidence):
            continue
        left -= cause.quantity
        used.update(cause.evidence)
        accepted.append(cause)
    return accepted
