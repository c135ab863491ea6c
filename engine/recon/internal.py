"""Contracts that expired between our own strategies (F103).

IB knows the net position only. When ALPHA is long 5 and BETA short 5 of an option, IB holds nothing, so nothing is
exercised and nothing expires there, and books and broker never differ. After the last day both books have to be closed
by us: at one price, the option's intrinsic value, so that what one gains the other loses and the sum stays 0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.instrument import Instrument
from engine.core.records import PositionRecord
from engine.recon.causes.expiry import last_day
from engine.recon.compare import Key

ZERO: Final = Decimal(0)


class InternalExpiry(msgspec.Struct, frozen=True, kw_only=True):
    """One expired contract that only our own books still know.

    Attributes:
        holdings: Strategy -> signed quantity; they add up to 0.
        price: Intrinsic value, currency per unit; ``None`` when the underlying has no mark.
    """

    account: str
    instrument: Instrument
    holdings: dict[str, Decimal]
    price: Decimal | None

    @property
    def key(self) -> Key:
        """(account, con_id)."""
        return (self.account, self.instrument.con_id)


def internal_expiries(
    positions: Iterable[PositionRecord],
    answered: Collection[str],
    instrument_of: Callable[[int], Instrument | None],
    marks: Mapping[Key, Decimal],
    now: datetime,
) -> list[InternalExpiry]:
    """Find contracts past their last day that offsetting books hold.

    Args:
        positions: Every book.
        answered: Accounts with a confirmed answer; of the others nothing is concluded.
        instrument_of: What the books know of a ``con_id``.
        marks: (account, con_id) -> currency per unit.
        now: Aware.

    Returns:
        In the order of accounts and ids. The day after the last day counts: on the day itself it may still trade.
    """
    held: dict[Key, dict[str, Decimal]] = {}
    for book in positions:
        if book.quantity and book.account in answered:
            held.setdefault((book.account, book.instrument_key), {})[book.strategy] = book.quantity
    found = []
    for (account, con_id), holdings in sorted(held.items()):
        instrument = instrument_of(con_id)
        if instrument is None or sum(holdings.values(), ZERO):
            continue
        last = last_day(instrument)
        if last is not None and now.date() > last:
            price = _settlement(instrument, account, marks)
            found.append(InternalExpiry(account=account, instrument=instrument, holdings=holdings, price=price))
    return found


def _settlement(instrument: Instrument, account: str, marks: Mapping[Key, Decimal]) -> Decimal | None:
    if not instrument.right:
        return marks.get((account, instrument.con_id))
    underlying = marks.get((account, instrument.under_con_id))
    if underlying is None or instrument.strike is None:
        return None
    call = instrument.right.upper().startswith("C")
    return max(ZERO, underlying - instrument.strike if call else instrument.strike - underlying)
