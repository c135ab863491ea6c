"""Makes one event of the many rows in which IB tells an exercise, an assignment or an expiry.

The same assignment comes as a ``BookTrade`` of the option at 0, a ``BookTrade`` of the shares at the strike, an
``OptionEAE`` row "Assignment" and an ``OptionEAE`` row "Buy" or "Sell" (F98). First each ``OptionEAE`` row is laid over
the ``BookTrade`` it repeats, then the underlying's leg is laid beside its option's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.instrument import Instrument
from engine.core.statement import OptionEvent, OptionEventKind

OPTION_TYPES: Final = frozenset({"OPT", "FOP", "WAR", "IOPT"})
CASH_SETTLEMENT: Final = "Cash Settlement"
_ACTIONS: Final[dict[str, OptionEventKind]] = {
    "Assignment": "assignment",
    "Exercise": "exercise",
    "Expiration": "expiration",
    CASH_SETTLEMENT: "cash_settlement",
}
_NOTES: Final[dict[str, OptionEventKind]] = {
    "A": "assignment",
    "Ex": "exercise",
    "AEx": "exercise",
    "MEx": "exercise",
    "Ep": "expiration",
}
BOOK_NOTES: Final = frozenset(_NOTES)


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One row of either section.

    Attributes:
        quantity: Signed change of the position.
        fee: Cost positive; ``None`` when not told.
        action: The ``OptionEAE`` row's word, empty for a ``BookTrade``.
        cash: ``OptionEAE`` proceeds, received positive; ``None`` when not told.
    """

    section: str
    account: str
    instrument: Instrument
    quantity: Decimal
    price: Decimal | None
    fee: Decimal | None
    fee_currency: str = ""
    day: date | None = None
    happened_at: datetime | None = None
    trade_id: str = ""
    notes: tuple[str, ...] = ()
    action: str = ""
    cash: Decimal | None = None

    @property
    def is_option(self) -> bool:
        """True for the leg that ceases, False for the one that is delivered."""
        return self.instrument.sec_type in OPTION_TYPES

    @property
    def kind(self) -> OptionEventKind:
        """From IB's word where there is one, else from the notes."""
        if self.action in _ACTIONS:
            return _ACTIONS[self.action]
        return next((_NOTES[note] for note in self.notes if note in _NOTES), "book_entry")


def option_events(booked: Iterable[Leg], told: Iterable[Leg]) -> tuple[OptionEvent, ...]:
    """Merge both sections into events, each position change exactly once.

    Args:
        booked: From section ``Trades``, kind ``BookTrade``.
        told: From section ``OptionEAE``.

    Returns:
        In order of day and ``con_id``.
    """
    told = list(told)
    cash = [leg for leg in told if leg.action == CASH_SETTLEMENT]
    legs = _overlay(list(booked), [leg for leg in told if leg.action != CASH_SETTLEMENT])
    options = [leg for leg in legs if leg.is_option]
    others = [leg for leg in legs if not leg.is_option]
    events = []
    for option in options:
        found = _delivery(option, others)
        if found is not None:
            others.remove(found)
        events.append(_event(option, found, _take_cash(option, cash)))
    events.extend([_event(leg, None, _take_cash(leg, cash)) for leg in others])
    events.extend(_cash_only(row) for row in cash)
    return tuple(sorted(events, key=lambda e: (e.day or date.min, e.instrument.con_id, e.quantity, e.trade_ids)))


def _overlay(booked: list[Leg], told: list[Leg]) -> list[Leg]:
    """Lay each ``OptionEAE`` row over the ``BookTrade`` it repeats; each book trade is used once."""
    free = list(booked)
    merged: list[Leg] = []
    for row in told:
        twin = _twin(row, free)
        if twin is None:
            merged.append(row)
            continue
        free.remove(twin)
        merged.append(
            msgspec.structs.replace(
                twin,
                section=f"{twin.section}+{row.section}",
                action=row.action,
                fee=twin.fee if twin.fee is not None else row.fee,
                fee_currency=twin.fee_currency or row.fee_currency,
                cash=row.cash,
                trade_id=twin.trade_id or row.trade_id,
            )
        )
    return merged + free


def _twin(row: Leg, free: Sequence[Leg]) -> Leg | None:
    same = [b for b in free if b.instrument.con_id == row.instrument.con_id and b.quantity == row.quantity]
    by_id = [b for b in same if row.trade_id and b.trade_id == row.trade_id]
    by_day = [b for b in same if b.day == row.day and not (row.trade_id and b.trade_id)]
    return next(iter(by_id or by_day), None)


def _delivery(option: Leg, others: Sequence[Leg]) -> Leg | None:
    """The underlying's leg of one option: that day, quantity by the multiplier, at the strike."""
    if option.kind == "expiration":
        return None
    for leg in others:
        same = leg.instrument.con_id == option.instrument.under_con_id
        if not option.instrument.under_con_id:
            same = leg.instrument.symbol == option.instrument.symbol
        deliverable = {abs(option.quantity * option.instrument.multiplier), abs(option.quantity)}
        strike = option.instrument.strike
        at_strike = strike is None or leg.price is None or leg.price == strike
        if same and leg.day == option.day and abs(leg.quantity) in deliverable and at_strike:
            return leg
    return None


def _take_cash(leg: Leg, cash: list[Leg]) -> Leg | None:
    for row in cash:
        if row.instrument.con_id == leg.instrument.con_id:
            cash.remove(row)
            return row
    return None


def _event(leg: Leg, delivered: Leg | None, settled: Leg | None) -> OptionEvent:
    fees = [part.fee for part in (leg, delivered) if part is not None and part.fee is not None]
    parts = [part for part in (leg, delivered, settled) if part is not None]
    amount = settled.cash if settled is not None else None
    in_the_money = leg.is_option and leg.kind in {"assignment", "exercise"}
    return OptionEvent(
        account=leg.account,
        kind=leg.kind,
        instrument=leg.instrument,
        quantity=leg.quantity,
        price=leg.price,
        underlying=delivered.instrument if delivered else None,
        underlying_quantity=delivered.quantity if delivered else None,
        underlying_price=delivered.price if delivered else None,
        cash=amount,
        cash_pending=delivered is None and amount is None and (settled is not None or in_the_money),
        fee=sum(fees, Decimal(0)) if fees else None,
        fee_currency=next((part.fee_currency for part in parts if part.fee_currency), ""),
        day=leg.day,
        happened_at=leg.happened_at,
        trade_ids=tuple(part.trade_id for part in parts if part.trade_id),
        sections=tuple(dict.fromkeys(name for part in parts for name in part.section.split("+"))),
        notes=leg.notes,
    )


def _cash_only(row: Leg) -> OptionEvent:
    return OptionEvent(
        account=row.account,
        kind="cash_settlement",
        instrument=row.instrument,
        quantity=Decimal(0),
        cash=row.cash,
        cash_pending=row.cash is None,
        day=row.day,
        happened_at=row.happened_at,
        trade_ids=(row.trade_id,) if row.trade_id else (),
        sections=(row.section,),
    )
