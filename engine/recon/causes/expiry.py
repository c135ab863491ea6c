"""Options and futures that ended without an execution (F96, F97, F101, F102, F112, R43).

What ceased is ``-difference`` contracts ``c`` (signed as they were held). An exercise or assignment delivers
``c * multiplier`` of the underlying for a call, ``-c * multiplier`` for a put, at the strike; an option on a future
delivers one future, whose own multiplier it shares (F101). Worked example: short one
100-share call, assigned: ``c = -1``, so the stock changes by -100 at the strike. When the stock differs by exactly
that, the two differences have one cause, and each names the other.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from engine.core.instrument import Instrument
from engine.recon.cause import ARITHMETIC, CIRCUMSTANCE, CORROBORATED, Cause, CauseKind, Proposal
from engine.recon.causes.shares import pro_rata
from engine.recon.evidence import ZERO, Evidence, Side

_OPTIONS: Final = frozenset({"OPT", "FOP", "WAR"})
_AT_ONCE: Final = timedelta(hours=6)
_EXCHANGE_DAY: Final = ZoneInfo("America/New_York")
_WHOLE_AND_DATED: Final = ARITHMETIC + 10


def causes(evidence: Evidence) -> Iterator[Cause]:
    """Expiry, exercise and assignment, seen from the option, from its underlying, or from a future."""
    here = evidence.here
    if not evidence.found.difference or here.instrument is None:
        return
    if here.instrument.sec_type in _OPTIONS:
        yield from _option_side(evidence, here.instrument)
    elif here.instrument.sec_type == "FUT":
        yield from _future_side(evidence, here.instrument)
    yield from _underlying_side(evidence, here.instrument)


def last_day(instrument: Instrument) -> date | None:
    """Last trade day of a contract; the month's last day where only a month is known, ``None`` for what never ends."""
    text = instrument.expiry
    try:
        if len(text) == 8:
            return date(int(text[:4]), int(text[4:6]), int(text[6:]))
        if len(text) == 6:
            year, month = int(text[:4]), int(text[4:])
            return date(year, month, calendar.monthrange(year, month)[1])
    except ValueError:
        return None  # not a date: then nothing is concluded from it
    return None


def has_expired(instrument: Instrument, now: datetime) -> bool:
    """True from the last trade day on, by the calendar of New York."""
    last = last_day(instrument)
    return last is not None and now.astimezone(_EXCHANGE_DAY).date() >= last


def delivered(option: Instrument, ceased: Decimal) -> Decimal:
    """Change of the underlying when ``ceased`` contracts (signed as held) are exercised or assigned."""
    size = Decimal(1) if option.sec_type == "FOP" else option.multiplier
    return ceased * size * (1 if option.right.upper().startswith("C") else -1)


def delivers(option: Instrument, underlying: Instrument | None) -> bool:
    """Whether an option is on an underlying: by its ``con_id`` where known, else by symbol and kind."""
    if underlying is None or underlying.con_id == option.con_id:
        return False
    if option.under_con_id:
        return option.under_con_id == underlying.con_id
    wanted = "FUT" if option.sec_type == "FOP" else "STK"
    return underlying.sec_type == wanted and underlying.symbol == option.symbol


def _option_side(evidence: Evidence, option: Instrument) -> Iterator[Cause]:
    here, difference = evidence.here, evidence.found.difference
    ceased = -difference
    if here.books_quantity * ceased <= 0 or abs(ceased) > abs(here.books_quantity):
        return
    stock = next((s for s in evidence.beside if delivers(option, s.instrument) and s.difference), None)
    if stock is not None:
        expected = delivered(option, ceased)
        siblings = [s for s in evidence.beside if _ceases(s, stock)]
        together = expected + sum((delivered(_of(s), -s.difference) for s in siblings), ZERO)
        if stock.difference in {expected, together}:
            more = "" if stock.difference == expected else f" ({together:+f} with its sibling options)"
            yield _exercise(here, option, difference, stock, f"{expected:+f}{more}", CORROBORATED)
            return
        if expected * stock.difference > 0 and abs(expected) <= abs(stock.difference):
            yield _exercise(here, option, difference, stock, f"{expected:+f} of its {stock.difference:+f}", ARITHMETIC)
        elif is_adjusted(option) and expected * stock.difference > 0 and _together(here, stock):
            share = f"{stock.difference:+f}, by its adjusted terms"
            yield _exercise(here, option, difference, stock, share, ARITHMETIC + 5)
    elif (netted := _netted(evidence, option, ceased)) is not None:
        yield netted
    if has_expired(option, evidence.now):
        yield _expiry(evidence, option, ceased)


def is_adjusted(option: Instrument) -> bool:
    """True where a corporate action changed what is delivered: the class gets a digit (``LCID1``, F105)."""
    adjusted = option.trading_class or option.symbol
    return adjusted != option.symbol and adjusted.rstrip("0123456789") != adjusted


def _together(one: Side, other: Side) -> bool:
    """Whether two differences may have come at once; unknown counts as so."""
    return one.since is None or other.since is None or abs(one.since - other.since) <= _AT_ONCE


def _netted(evidence: Evidence, option: Instrument, ceased: Decimal) -> Cause | None:
    """Options in the money whose deliveries cancel each other: a spread leaves the underlying where it was."""
    stock = evidence.underlying
    if stock is None or stock.mark is None or stock.difference or not intrinsic_value(option, stock.mark):
        return None
    siblings = [s for s in evidence.beside if _ceases(s, stock) and intrinsic_value(_of(s), stock.mark)]
    expected = delivered(option, ceased)
    if not siblings or expected + sum((delivered(_of(s), -s.difference) for s in siblings), ZERO):
        return None
    made = _exercise(
        evidence.here, option, -ceased, stock, f"{expected:+f}, which its siblings take back", CORROBORATED
    )
    worth = intrinsic_value(option, stock.mark)
    return msgspec.structs.replace(
        made,
        linked=tuple(s.break_id for s in siblings),
        proposal=Proposal(
            act="legs",
            text=f"close all of them at their value with {option.symbol} at {stock.mark:f}: the deliveries cancel",
            legs=pro_rata(evidence.here, -ceased, worth),
        ),
    )


def intrinsic_value(option: Instrument, price: Decimal) -> Decimal:
    """What exercise is worth per unit with the underlying at ``price``; 0 out of the money or without a strike."""
    if option.strike is None:
        return ZERO
    value = price - option.strike if option.right.upper().startswith("C") else option.strike - price
    return max(ZERO, value)


def _ceases(side: Side, stock: Side) -> bool:
    option = side.instrument
    if option is None or option.sec_type not in _OPTIONS or not delivers(option, stock.instrument):
        return False
    return side.difference * side.books_quantity < 0


def _of(side: Side) -> Instrument:
    assert side.instrument is not None
    return side.instrument


def _kind(ceased: Decimal) -> CauseKind:
    return "option_exercise" if ceased > 0 else "option_assignment"


def _exercise(here: Side, option: Instrument, difference: Decimal, stock: Side, share: str, score: int) -> Cause:
    kind = _kind(-difference)
    word = "exercised" if kind == "option_exercise" else "assigned"
    return Cause(
        kind=kind,
        title=f"Option {word}: {option.local_symbol or option.symbol}",
        quantity=difference,
        arithmetic=f"{abs(difference):f} {word} at strike {_strike(option)}: {option.symbol} changes by {share}",
        evidence=(here.break_id, stock.break_id),
        score=score,
        provisional=True,
        proposal=Proposal(
            act="legs",
            text="close the option at 0; the underlying's break books the delivery at the strike",
            legs=pro_rata(here, difference, ZERO),
        ),
        linked=(stock.break_id,),
    )


def _expiry(evidence: Evidence, option: Instrument, ceased: Decimal) -> Cause:
    here = evidence.here
    price = None if evidence.underlying is None else evidence.underlying.mark
    intrinsic = ZERO if price is None else intrinsic_value(option, price)
    # In the money it would have been delivered, unless it is settled in cash.
    score = CIRCUMSTANCE + 5
    if not here.broker_quantity:
        score = _WHOLE_AND_DATED - 5 if intrinsic else _WHOLE_AND_DATED
    known = "" if price is None else f", underlying at {price:f}: intrinsic value {intrinsic:f}"
    return Cause(
        kind="option_expiry",
        title=f"Option expired{' or was settled in cash' if intrinsic else ' worthless'}",
        quantity=-ceased,
        arithmetic=f"last day {option.expiry}, strike {_strike(option)}{known}; {ceased:+f} contracts are gone",
        evidence=(f"last day {option.expiry}", here.break_id),
        score=score,
        provisional=True,
        proposal=Proposal(
            act="legs",
            text=f"close at {'the intrinsic value' if intrinsic else '0'}",
            legs=pro_rata(here, -ceased, intrinsic),
        ),
    )


def _underlying_side(evidence: Evidence, underlying: Instrument) -> Iterator[Cause]:
    difference = evidence.found.difference
    options = [s for s in evidence.beside if _ceases(s, evidence.here)]
    parts = [(s, delivered(_of(s), -s.difference)) for s in options]
    total = sum((p for _, p in parts), ZERO)
    for side, part in parts:
        option = _of(side)
        adjusted = is_adjusted(option) and len(parts) == 1 and _together(side, evidence.here)
        if part * difference <= 0 or (abs(part) > abs(difference) and not adjusted):
            continue
        exact = difference in {part, total}
        if adjusted and not exact:
            yield _adjusted_delivery(evidence, side)
            continue
        kind = _kind(-side.difference)
        yield Cause(
            kind=kind,
            title=f"Delivery of {underlying.symbol} at the strike of {option.local_symbol or option.symbol}",
            quantity=part,
            arithmetic=f"{-side.difference:+f} contracts at strike {_strike(option)} deliver {part:+f}",
            evidence=(side.break_id,),
            score=CORROBORATED if exact else ARITHMETIC,
            provisional=True,
            proposal=_delivery(side, part, option),
            linked=(side.break_id,),
        )


def _adjusted_delivery(evidence: Evidence, side: Side) -> Cause:
    option, difference = _of(side), evidence.found.difference
    return Cause(
        kind=_kind(-side.difference),
        title=f"Delivery by the adjusted terms of {option.local_symbol or option.symbol}",
        quantity=difference,
        arithmetic=f"{-side.difference:+f} contracts of the adjusted class {option.trading_class} delivered"
        f" {difference:+f}, and probably cash",
        evidence=(side.break_id,),
        score=ARITHMETIC + 5,
        provisional=True,
        proposal=Proposal(act="none", text="the statement gives shares, price and cash of an adjusted contract"),
        linked=(side.break_id,),
    )


def _delivery(side: Side, part: Decimal, option: Instrument) -> Proposal:
    if option.strike is None:
        return Proposal(act="none", text="the strike is not known; the statement gives it")
    # Whoever held the option gets the delivery, not whoever holds the stock.
    return Proposal(
        act="legs",
        text="book the delivery at the strike to the option's holders",
        legs=pro_rata(side, part, option.strike),
    )


def _future_side(evidence: Evidence, future: Instrument) -> Iterator[Cause]:
    here, difference = evidence.here, evidence.found.difference
    if not has_expired(future, evidence.now) or here.broker_quantity or difference != -here.books_quantity:
        return
    price = here.mark or here.last_price
    text = "close at the settlement price; the statement confirms it"
    yield Cause(
        kind="futures_expiry",
        title=f"Future expired: {future.local_symbol or future.symbol}",
        quantity=difference,
        arithmetic=f"last day {future.expiry}; {here.books_quantity:+f} contracts are gone",
        evidence=(f"last day {future.expiry}", here.break_id),
        score=_WHOLE_AND_DATED,
        provisional=True,
        proposal=Proposal(act="none", text=text)
        if price is None
        else Proposal(act="legs", text=f"{text} (latest price {price:f})", legs=pro_rata(here, difference, price)),
    )


def _strike(option: Instrument) -> str:
    return "unknown" if option.strike is None else f"{option.strike:f}"
