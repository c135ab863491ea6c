"""Splits and mergers, found by arithmetic before the statement tells of them (F105, F106, R44).

*Same instrument*: quantity jumped by a plain ratio r and the broker's average cost by 1/r. *New instrument*: the old
holding vanished, another one appeared in the same account at once, and the symbols are kin (``GCM`` and ``GCM.OLD``)
or the cost went along: in total, or as what the old holding was worth. A merger's ratio may be any number; the cost
that went along to within one per cent makes up for that. A plain ratio alone is a coincidence one can buy: it scores
low, and below the external trade where the broker's cost speaks against it.

When strategies traded between the split and our look, the quantities are in no plain ratio any more. No trade leaves
the total cost where it was while the quantity changes, and none moves the price by a plain ratio; so then the latest
executions are set aside, one by one, until a plain ratio shows.

An execution that was lost beside a split hides its ratio, too. What our orders counted more than we hold is then set aside,
as if it had come after the split, or before it.

A merger may also add to a holding of the new instrument. What came is then the difference, at what the broker's total
cost exceeds that of the books; it must be what the old holding cost, to one per cent. Where it came to a holding of the
other side, the broker's cost tells of it only when it turned the holding over; else the mark has to do.

The holding of every strategy migrates by the ratio, at its own cost: legs out at the strategy's average cost a, in at
a / r, so that nothing is realized and open cost is carried. What the ratio leaves beyond what the broker holds is paid
as cash in lieu. Worked example (1:25): 12,000 at 0.40 become 480 at 10; of 12,010 the broker holds 480 and pays for
0.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from engine.core.events import AssignmentLeg
from engine.core.records import FillRecord
from engine.recon.cause import ARITHMETIC, CIRCUMSTANCE, CORROBORATED, SHAPE, Cause, CauseKind, Proposal
from engine.recon.causes.orders import missing_of_orders
from engine.recon.causes.ratios import in_words, plain_ratio, plainness, scaled
from engine.recon.causes.shares import holders, split_pro_rata
from engine.recon.evidence import ZERO, Evidence, Side

_STOCKS: Final = frozenset({"STK", "FUND"})
_NEAR: Final = Decimal("0.05")
_SAME_COST: Final = Decimal("0.01")
_AT_ONCE: Final = timedelta(hours=6)
_UNPAID: Final = Decimal("0.1")
_SET_ASIDE: Final = 20
_STEP: Final = Decimal("0.000000000001")


def causes(evidence: Evidence) -> Iterator[Cause]:
    """Split with the same instrument, and migration from or to another one."""
    here = evidence.here
    if not evidence.found.difference or here.instrument is None or here.instrument.sec_type not in _STOCKS:
        return
    yield from _same(evidence)
    for other in evidence.beside:
        if other.instrument is None or other.instrument.sec_type not in _STOCKS:
            continue
        if _vanished(here) and (new := _what_came(here, other)) is not None:
            yield from _migration(here, new, seen_from_old=True)
        elif _vanished(other) and (new := _what_came(other, here)) is not None:
            yield from _migration(other, new, seen_from_old=False)


def _same(evidence: Evidence) -> Iterator[Cause]:
    here = evidence.here
    ratio = plain_ratio(here.books_quantity, here.broker_quantity)
    ours, theirs = here.unit_cost, here.broker_unit_cost
    fits = ratio is not None and (_inverse(ours, theirs, ratio) or _inverse(here.last_price, here.mark, ratio))
    if not fits and (jump := _jump(evidence)) is not None:
        yield _before_trades(evidence, *jump, "the price moved against it")
        return
    if not fits and _cost_stayed(here):
        yield _before_trades(evidence, *_plainest(evidence), "the total cost stayed")
        return
    if not fits and (beside := _beside_lost(evidence)) is not None:
        yield beside
        return
    if ratio is None:
        return
    score = CORROBORATED if fits else SHAPE if _unchanged(ours, theirs, ratio) else CIRCUMSTANCE - 5
    word = in_words(ratio)
    proof = "" if ours is None or theirs is None else f"; cost per unit {ours:.4f} -> {theirs:.4f}"
    yield Cause(
        kind="split",
        title=f"Split {word}",
        quantity=evidence.found.difference,
        arithmetic=f"{here.books_quantity:f} x {word} = {here.broker_quantity:f}{proof}",
        evidence=(here.break_id, f"ratio {word}"),
        score=score,
        provisional=True,
        proposal=_conversion(here, here, ratio),
    )


def _beside_lost(evidence: Evidence) -> Cause | None:
    """A split whose ratio shows, in quantities and cost, once what our orders filled more than we hold is set aside."""
    here, lost = evidence.here, missing_of_orders(evidence)
    if not lost or here.broker_avg_cost is None or here.unit_cost is None:
        return None
    after = msgspec.structs.replace(here, broker_quantity=here.broker_quantity - lost)
    before = msgspec.structs.replace(here, books_quantity=here.books_quantity + lost)
    for side, when in ((after, "since"), (before, "before")):
        ratio = plain_ratio(side.books_quantity, side.broker_quantity)
        # The lost part's own price is not known; next to the holding it moves the average cost by little.
        if ratio is None or not _inverse(here.unit_cost, here.broker_unit_cost, ratio):
            continue
        word = in_words(ratio)
        return Cause(
            kind="split",
            title=f"Split {word}, and an execution that was lost {when}",
            quantity=side.broker_quantity - side.books_quantity,
            arithmetic=f"{side.books_quantity:f} x {word} = {side.broker_quantity:f}, and {lost:+f} that never reached us"
            f" {when}; cost per unit {here.unit_cost:.4f} -> {here.broker_unit_cost or ZERO:.4f}",
            evidence=(here.break_id, f"ratio {word}"),
            score=CORROBORATED,
            provisional=True,
            proposal=_conversion(side, side, ratio)
            if when == "since"
            else Proposal(
                act="request", text="ask for executions again first: the split goes by what was held with it"
            ),
        )
    return None


def _cost_stayed(here: Side) -> bool:
    """Whether the quantity changed and its total cost did not: by one per cent, and a tenth of what a trade costs."""
    ours, theirs = here.unit_cost, here.broker_unit_cost
    if ours is None or theirs is None or here.books_quantity * here.broker_quantity <= 0:
        return False
    before, after = ours * here.books_quantity, theirs * here.broker_quantity
    return abs(after - before) <= min(_SAME_COST * abs(before), _UNPAID * abs(ours * here.difference))


def _set_aside(evidence: Evidence) -> Iterator[tuple[Fraction, int]]:
    """Plain ratios that show when so many of the latest executions are set aside, fewest first."""
    here, traded = evidence.here, ZERO
    for count, record in enumerate(_active(evidence)[: -_SET_ASIDE - 1 : -1], start=1):
        traded += record.quantity
        found = plain_ratio(here.books_quantity - traded, here.broker_quantity - traded)
        if found is not None:
            yield found, count


def _active(evidence: Evidence) -> list[FillRecord]:
    return [r for r in evidence.fills if r.state == "active"]


def _jump(evidence: Evidence) -> tuple[Fraction, int] | None:
    """The ratio by which the price moved between two executions while it shows in the quantities before the later."""
    fills = _active(evidence)
    jumps = {
        later
        for later in range(1, min(len(fills) - 1, _SET_ASIDE) + 1)
        if not _inverse(fills[-later - 1].unit_price, fills[-later].unit_price, Fraction(1))
    }
    if not jumps:
        return None  # most often; the quantities need not be looked at
    for ratio, later in _set_aside(evidence):
        if later in jumps and _inverse(fills[-later - 1].unit_price, fills[-later].unit_price, ratio):
            return ratio, later
    return None


def _plainest(evidence: Evidence) -> tuple[Fraction | None, int]:
    return min(_set_aside(evidence), key=lambda found: plainness(found[0]), default=(None, 0))


def _before_trades(evidence: Evidence, plain: Fraction | None, later: int, proof: str) -> Cause:
    """A split that the latest executions followed; at whatever ratio where setting them aside shows no plain one."""
    here = evidence.here
    ratio = Fraction(here.broker_quantity) / Fraction(here.books_quantity) if plain is None else plain
    then = _without(here, _active(evidence)[-later:] if later else [])
    word = in_words(ratio)
    return Cause(
        kind="split",
        title=f"Split {word}" + (f" before the latest {later} executions" if later else ""),
        quantity=evidence.found.difference,
        arithmetic=f"{then.books_quantity:f} x {word} = {then.broker_quantity:f}"
        + (f", and {here.books_quantity - then.books_quantity:+f} traded since" if later else "")
        + f"; {proof}",
        evidence=(here.break_id, f"ratio {word}"),
        score=ARITHMETIC + 5 if plain is None else CORROBORATED,
        provisional=True,
        proposal=_conversion(then, then, ratio),
    )


def _without(side: Side, later: Sequence[FillRecord]) -> Side:
    """Books and broker as they were before the latest executions."""
    books = []
    for book in side.books:
        own = [r for r in later if r.strategy == book.strategy]
        traded = sum((r.quantity for r in own), ZERO)
        paid = sum((r.quantity * r.unit_price * r.multiplier for r in own), ZERO)
        held = book.quantity - traded
        books.append(msgspec.structs.replace(book, quantity=held, open_cost=book.open_cost - paid if held else ZERO))
    traded = sum((r.quantity for r in later), ZERO)
    return msgspec.structs.replace(
        side,
        books=tuple(books),
        books_quantity=side.books_quantity - traded,
        broker_quantity=side.broker_quantity - traded,
    )


def _vanished(side: Side) -> bool:
    return bool(side.books_quantity) and not side.broker_quantity


def _what_came(old: Side, new: Side) -> Side | None:
    """What the broker has of the new instrument beyond the books: all of it, or what was added to a holding.

    Added to a holding it must bring the old one's cost, or nothing tells it from a purchase.
    """
    if not new.books_quantity:
        return new if new.broker_quantity else None
    if not new.difference:
        return None
    came = msgspec.structs.replace(
        new, books=(), books_quantity=ZERO, broker_quantity=new.difference, broker_avg_cost=_cost_of_what_came(new)
    )
    if came.broker_avg_cost is None:
        return None
    if new.books_quantity * new.difference > 0:
        return came if _any_ratio(old, came) is not None else None
    # Against a holding of the other side the cost is a weaker witness: the ratio must be plain, and nothing hours apart.
    ratio = Fraction(1) if old.books_quantity == new.difference else plain_ratio(old.books_quantity, new.difference)
    prices = (old.unit_cost, old.mark, old.last_price)
    fits = ratio is not None and any(_inverse(price, came.broker_unit_cost, ratio) for price in prices)
    return came if fits and not _apart(old, new) else None


def _cost_of_what_came(new: Side) -> Decimal | None:
    """The broker's cost per contract of what was added to a holding, as far as its figures tell."""
    if new.books_quantity * new.difference > 0:
        if new.broker_avg_cost is None:
            return None
        held = sum((b.open_cost for b in new.books), ZERO)
        return (new.broker_avg_cost * new.broker_quantity - held) / new.difference
    if new.broker_quantity * new.difference > 0:
        return new.broker_avg_cost  # the holding was turned over: what is left of it cost what came
    price = new.mark or new.last_price
    return None if price is None else price * new.multiplier


def _migration(old: Side, new: Side, *, seen_from_old: bool) -> Iterator[Cause]:
    if old.instrument is None or new.instrument is None or old.instrument.currency != new.instrument.currency:
        return
    same = old.books_quantity == new.broker_quantity
    ratio = Fraction(1) if same else plain_ratio(old.books_quantity, new.broker_quantity)
    plain = ratio is not None
    ratio = ratio or _any_ratio(old, new)
    if ratio is None:
        return
    kin = _root(old.instrument.symbol) == _root(new.instrument.symbol)
    paid = new.broker_unit_cost
    carried = any(_inverse(price, paid, ratio) for price in (old.unit_cost, old.mark, old.last_price))
    denied = old.unit_cost is not None and paid is not None and not carried
    if kin or (carried and plain):
        score = CORROBORATED
    elif carried:
        score = ARITHMETIC + 5
    else:
        score = SHAPE if denied or _apart(old, new) else ARITHMETIC - 15
    kind: CauseKind = "split" if kin and ratio != 1 else "merger"
    word = in_words(ratio)
    what = "Split" if kind == "split" else "Exchange" if kin else "Merger"
    here, other = (old, new) if seen_from_old else (new, old)
    proof = " at the same total cost" if carried else ""
    yield Cause(
        kind=kind,
        title=f"{what} {word}: {old.instrument.symbol} became {new.instrument.symbol}",
        quantity=here.difference,
        arithmetic=f"{old.books_quantity:f} {old.instrument.symbol} x {word} = {new.broker_quantity:f}"
        f" {new.instrument.symbol}{proof}",
        evidence=(here.break_id, other.break_id),
        score=score + 5 * (kin and carried),
        provisional=True,
        proposal=_conversion(old, new, ratio, out=seen_from_old),
        linked=(other.break_id,),
    )


def _any_ratio(old: Side, new: Side) -> Fraction | None:
    """The ratio of two quantities, whatever it is, where both changed at once and the total cost went along."""
    before, after = old.unit_cost, new.broker_unit_cost
    if before is None or after is None or old.books_quantity * new.broker_quantity <= 0 or _apart(old, new):
        return None
    left, come = before * old.books_quantity, after * new.broker_quantity
    if abs(come - left) > _SAME_COST * abs(left):
        return None
    return Fraction(new.broker_quantity) / Fraction(old.books_quantity)


def _apart(old: Side, new: Side) -> bool:
    """Whether the two differences are known to have come hours apart: then nothing but arithmetic joins them."""
    return old.since is not None and new.since is not None and abs(old.since - new.since) > _AT_ONCE


def _conversion(old: Side, new: Side, ratio: Fraction, *, out: bool | None = None) -> Proposal:
    """Legs that migrate every strategy by the ratio.

    Args:
        out: For two instruments, ``True`` gives the legs of the old one, ``False`` of the new; ``None`` both in one.
    """
    legs: list[AssignmentLeg] = []
    made: dict[str, Decimal] = {}
    costs: dict[str, Decimal] = {}
    for book in old.books:
        if not book.quantity:
            continue
        cost = book.open_cost / (book.quantity * old.multiplier)
        if out is not False:
            legs.append(AssignmentLeg(strategy=book.strategy, quantity=-book.quantity, price=_tidy(cost)))
        made[book.strategy] = scaled(book.quantity, ratio)
        costs[book.strategy] = cost * ratio.denominator / ratio.numerator
    remainder = sum(made.values(), ZERO) - new.broker_quantity
    if remainder:
        # The broker holds whole shares: what is cut off is taken from the holders pro rata, and paid in cash.
        for strategy, part in split_pro_rata(remainder, holders(old.books, old.books_quantity)).items():
            made[strategy] -= part
    if out is not True:
        legs += [AssignmentLeg(strategy=s, quantity=q, price=_tidy(costs[s])) for s, q in made.items() if q]
    note = f"; {remainder:+f} is paid as cash in lieu" if remainder else ""
    return Proposal(
        act="legs", text=f"migrate every strategy by {in_words(ratio)} at its own cost{note}", legs=tuple(legs)
    )


def _tidy(price: Decimal) -> Decimal:
    rounded = price.quantize(_STEP)
    return rounded if rounded != price else price


def _inverse(before: Decimal | None, after: Decimal | None, ratio: Fraction) -> bool:
    """Whether a price moved against the ratio, within 5 per cent (commission, market)."""
    if not before or not after:
        return False
    expected = before * ratio.denominator / ratio.numerator
    return abs(after - expected) <= _NEAR * abs(expected)


def _unchanged(before: Decimal | None, after: Decimal | None, ratio: Fraction) -> bool:
    """Whether a cost stayed nearer to what it was than to what the ratio would make of it."""
    if not before or not after:
        return False
    expected = before * ratio.denominator / ratio.numerator
    return abs(after - before) < abs(after - expected)


def _root(symbol: str) -> str:
    """A symbol without what IB adds to old and interim lines (``.OLD``, ``.NEW``, ``.TEN2``; F105, F107)."""
    return symbol.upper().split(".")[0].strip()
