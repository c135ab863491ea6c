"""The story of last resort: somebody traded where we do not see it, or the answer lags.

A difference that nothing local accounts for is, until something better is known, a trade by hand or by a client that
this connection is not told of (F50, F58). It is listed, with a low score, and explains nothing by itself: the quantity
stays the residual (R15).
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.recon.cause import ARITHMETIC, SHAPE, Cause, Proposal
from engine.recon.evidence import Evidence

_LAST_RESORT = SHAPE + 10


def causes(evidence: Evidence) -> Iterator[Cause]:
    """Lag where the latest fills make exactly the difference; always the external trade nobody told us of."""
    difference = evidence.found.difference
    if not difference:
        return
    if difference in evidence.lag:
        yield Cause(
            kind="settling_lag",
            title="The broker's positions lag behind our fills",
            quantity=difference,
            arithmetic=f"the latest fills here add up to {-difference:+f}; without them books and broker agree",
            evidence=("latest fills",),
            # More than a bust: the same quantity, but it was never seen in the broker's position.
            score=ARITHMETIC + 5,
            provisional=True,
            proposal=Proposal(act="wait", text="wait for the next answer"),
        )
    yield Cause(
        kind="external_trade",
        title="External trade that was not reported to this connection",
        quantity=difference,
        arithmetic=f"broker {evidence.here.broker_quantity:+f} - books {evidence.here.books_quantity:+f}"
        f" = {difference:+f}, and no order, execution or event that we know of accounts for it",
        evidence=(f"broker answer of {evidence.found.last_seen:%Y-%m-%d %H:%M:%S}Z",),
        score=_LAST_RESORT,
        provisional=True,
        proposal=Proposal(act="request", text="ask for executions again, or load the day's statement"),
    )
