"""Legs of a combination that never reached us (F76).

A combination is executed as a whole, and each of its legs is a message of its own. When one leg's is lost, the
strategy is unbalanced, and the broker shows a holding that no order of its instrument accounts for: the order was for
the combination.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.core.exact import quotient, remainder
from engine.core.records import ComboRecord
from engine.recon.cause import ARITHMETIC, CORROBORATED, Cause, Proposal
from engine.recon.evidence import ZERO, Evidence

_MOST: Final = 10
"""Contracts of one leg in one combination that are still believed."""


def causes(evidence: Evidence) -> Iterator[Cause]:
    """One cause per combination whose missing leg this difference could be."""
    difference, instrument = evidence.found.difference, evidence.here.instrument
    if not difference or instrument is None:
        return
    for combo in evidence.combos:
        parts = _parts(combo, evidence)
        about = combo.order.update.instrument
        if not parts or about is None or instrument.symbol not in about.symbol.split(","):
            continue
        yield Cause(
            kind="combo_incomplete",
            title="A leg of our own combination never reached us",
            quantity=difference,
            arithmetic=f"order {combo.order.order_key} of {combo.order.strategy} executed {combo.done:f} combinations;"
            f" {parts} x {combo.done:f} = {abs(difference):f} of this leg did not come",
            evidence=(combo.order.order_key,),
            score=CORROBORATED if parts == 1 else ARITHMETIC,
            provisional=True,
            proposal=Proposal(
                act="request",
                text="ask for the day's executions again; for a former day the statement brings the leg",
            ),
        )


def _parts(combo: ComboRecord, evidence: Evidence) -> int:
    """How many of the leg belong to one combination if the difference is what lacks of it; 0 when it cannot be."""
    difference = evidence.found.difference
    held = combo.legs.get(evidence.here.con_id, ZERO)
    whole = held + difference
    if not combo.done or held * difference < 0 or remainder(whole, combo.done):
        return 0
    if held and not remainder(held, combo.done):
        return 0
    parts = quotient(abs(whole), combo.done)
    return int(parts) if parts <= _MOST else 0
