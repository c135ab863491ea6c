"""Small differences with a shape of their own: truncation, reinvested dividends, drift by fees, and wrong price units.

Small means at most half a per cent of the holding, or less than one share of a fractional holding. Drift is a class of
its own (R46): it is named and counted, and it is never repaired by itself, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Final

from engine.recon.cause import ARITHMETIC, CIRCUMSTANCE, CORROBORATED, Cause, CauseKind, Proposal
from engine.recon.evidence import ZERO, Evidence

SMALL_SHARE: Final = Decimal("0.005")
_ONE: Final = Decimal(1)
_NIGHT: Final = timedelta(hours=12)
_REINVESTING: Final = frozenset({"STK", "FUND"})


def causes(evidence: Evidence) -> Iterator[Cause]:
    """At most one cause per shape."""
    if evidence.found.kind == "cost":
        yield _price_unit(evidence)
    difference, held = evidence.found.difference, evidence.here.books_quantity
    if not difference or not held:
        return
    reported = evidence.here.broker_quantity
    if _is_truncation(held, reported):
        text = f"{held:f} without its fraction is {reported:f}"
        yield _small(evidence, "fractional_truncation", "Fraction of a share left out by the broker's list", text, 60)
        return
    if abs(difference) > SMALL_SHARE * abs(held):
        return
    share = difference / held * 100
    text = f"{difference:+f} is {share:+.3f} % of {held:f}"
    alike = [s for s in evidence.beside if _drifts_alike(s.difference, s.books_quantity, difference * held)]
    if _could_be_dividend(evidence) and not alike:
        yield _small(evidence, "dividend_reinvestment", "Reinvested dividend", text, CIRCUMSTANCE + 5)
    score = CIRCUMSTANCE + 10 if alike else CIRCUMSTANCE
    more = f"; {len(alike)} other instruments drift the same way" if alike else ""
    yield _small(evidence, "drift", "Small drift, such as fees taken in kind", text + more, score)


def _is_truncation(held: Decimal, reported: Decimal) -> bool:
    whole = held.to_integral_value(rounding=ROUND_DOWN)
    return held != whole and reported in {whole, whole + (1 if held > 0 else -1)} and reported * held >= 0


def _drifts_alike(difference: Decimal, held: Decimal, direction: Decimal) -> bool:
    return (
        bool(held)
        and bool(difference)
        and abs(difference) <= SMALL_SHARE * abs(held)
        and (difference * held * direction > 0)
    )


def _could_be_dividend(evidence: Evidence) -> bool:
    instrument = evidence.here.instrument
    grows = evidence.found.difference > 0 and evidence.here.books_quantity > 0
    return grows and instrument is not None and instrument.sec_type in _REINVESTING and _held_overnight(evidence)


def _held_overnight(evidence: Evidence) -> bool:
    """Whether anything was held long enough before the difference showed; a dividend is paid on what was held before."""
    since = evidence.found.first_seen - _NIGHT
    later = sum((r.quantity for r in evidence.fills if r.state == "active" and r.order_time >= since), ZERO)
    return evidence.here.books_quantity - later > 0


def _small(evidence: Evidence, kind: CauseKind, title: str, arithmetic: str, score: int) -> Cause:
    return Cause(
        kind=kind,
        title=title,
        quantity=evidence.found.difference,
        arithmetic=arithmetic,
        evidence=(evidence.here.break_id,),
        score=score,
        provisional=True,
        proposal=Proposal(act="none", text="the statement tells; nothing is repaired by itself"),
    )


def _price_unit(evidence: Evidence) -> Cause:
    ours, theirs = evidence.here.unit_cost or ZERO, evidence.here.broker_unit_cost or ZERO
    factor = theirs / ours if ours else ZERO
    return Cause(
        kind="price_unit",
        title="Price unit differs: books and broker count in hundredths of each other",
        quantity=ZERO,
        arithmetic=f"cost per unit {ours:.4f} in the books, {theirs:.4f} at the broker: a factor of {factor:.4g}",
        evidence=(evidence.here.break_id,),
        score=CORROBORATED if abs(factor) >= _ONE else ARITHMETIC + 10,
        provisional=True,
        proposal=Proposal(act="request", text="ask for the contract's details again: they give the price magnifier"),
    )
