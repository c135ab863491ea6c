"""What books are worth now: marks and rates applied to positions. Pure; unknown stays unknown.

A missing mark leaves unrealized P&L unknown, a missing rate leaves every base figure unknown (never a rate of 1); both
carry the time of what they were made with, so that staleness shows.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from engine.core.instrument import Instrument
    from engine.core.records import PositionRecord
    from engine.core.snapshot import Mark

    RateOf = Callable[[str, str], tuple[Decimal, datetime | None] | None]

_EXACT = Context(prec=60)
_CONVERTED = Context(prec=28)
_ZERO = Decimal(0)
_ONE = Decimal(1)


class Valued(msgspec.Struct, frozen=True, kw_only=True):
    """One position with its market figures.

    Attributes:
        market_price: Currency per unit; ``None`` without a mark.
        market_at: The broker's time of the mark.
        market_value: Signed, instrument currency; 0 when flat.
        unrealized_pnl: Instrument currency, profit positive, before commission; 0 when flat, ``None`` without a mark.
        realized_pnl: Instrument currency, gross; ``None`` where the quote is no price in money (bonds, F88), unless 0.
        open_cost: Likewise.
        commission: Sum of the known fees in instrument currency, cost positive; ``None`` when none is known while some are
            pending, or a rate for a fee's currency is missing.
        fx_rate: Base units per unit of instrument currency; ``None`` when unknown.
        fx_at: When the broker gave the rate; ``None`` for the base currency itself.
    """

    position: PositionRecord
    base_currency: str
    market_price: Decimal | None
    market_at: datetime | None
    market_value: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal | None
    open_cost: Decimal | None
    commission: Decimal | None
    fx_rate: Decimal | None
    fx_at: datetime | None
    realized_pnl_base: Decimal | None
    unrealized_pnl_base: Decimal | None
    market_value_base: Decimal | None
    commission_base: Decimal | None


class RateTable:
    """Rates of the ledger, read as "base per unit of currency for an account"."""

    def __init__(self, rates: Mapping[tuple[str, str], object], bases: Mapping[str, str], configured_base: str) -> None:
        """Take the ledger's rates as they are; nothing is copied.

        Args:
            rates: (account, currency) -> ``RateSeen``.
            bases: Account -> base currency as the broker's values say.
            configured_base: ``Settings.base_currency``, used where it is set.
        """
        self._rates = rates
        self._bases = bases
        self._configured = configured_base

    def base(self, account: str) -> str:
        """The account's base currency, empty while unknown."""
        return self._configured or self._bases.get(account, "")

    def rate(self, account: str, currency: str) -> tuple[Decimal, datetime | None] | None:
        """Base units per unit of ``currency`` and the rate's time; ``None`` when unknown."""
        base = self.base(account)
        if not base or not currency:
            return None
        if currency == base:
            return _ONE, None
        seen = self._rates.get((account, currency))
        if seen is not None and seen.base == base:  # type: ignore[attr-defined]
            return seen.rate, seen.at  # type: ignore[attr-defined]
        return self._through(account, currency, base)

    def _through(self, account: str, currency: str, base: str) -> tuple[Decimal, datetime | None] | None:
        """Cross over the broker's base where the operator configured another one and both rates are known."""
        mine, other = self._rates.get((account, currency)), self._rates.get((account, base))
        native = self._bases.get(account, "")
        if other is None or not native or other.base != native:  # type: ignore[attr-defined]
            return None
        if currency == native:
            return _CONVERTED.divide(_ONE, other.rate), other.at  # type: ignore[attr-defined]
        if mine is None or mine.base != native:  # type: ignore[attr-defined]
            return None
        return _CONVERTED.divide(mine.rate, other.rate), min(mine.at, other.at)  # type: ignore[attr-defined]


def value(position: PositionRecord, instrument: Instrument, mark: Mark | None, rates: RateTable) -> Valued:
    """Value one position.

    Args:
        position: From the books.
        instrument: Its instrument (currency, multiplier).
        mark: The broker's latest price for (account, con_id), ``None`` when it never gave one.
        rates: The account's rates.

    Returns:
        Market figures in instrument and base currency, each ``None`` where something needed is unknown.
    """
    flat = position.quantity == 0
    price = mark.price if mark is not None else None
    market: Decimal | None = _ZERO
    unrealized: Decimal | None = _ZERO
    # A bond's quote is percent of par: times quantity it is an amount in no known unit, and so is what the books sum up.
    unpriced = instrument.is_percent_of_par
    realized = None if unpriced and position.realized_pnl else position.realized_pnl
    if not flat:
        market = (
            None
            if price is None or unpriced
            else _EXACT.multiply(_EXACT.multiply(position.quantity, price), instrument.multiplier)
        )
        unrealized = None if market is None else _EXACT.subtract(market, position.open_cost)
    found = rates.rate(position.account, instrument.currency)
    rate, rate_at = found if found is not None else (None, None)
    commission = _fees_in(position, instrument.currency, rates)
    return Valued(
        position=position,
        base_currency=rates.base(position.account),
        market_price=price,
        market_at=mark.at if mark is not None else None,
        market_value=market,
        unrealized_pnl=unrealized,
        realized_pnl=realized,
        open_cost=None if unpriced and position.open_cost else position.open_cost,
        commission=commission,
        fx_rate=rate,
        fx_at=rate_at,
        realized_pnl_base=_times(realized, rate),
        unrealized_pnl_base=_times(unrealized, rate),
        market_value_base=_times(market, rate),
        commission_base=_fees_in(position, rates.base(position.account), rates),
    )


def _times(amount: Decimal | None, rate: Decimal | None) -> Decimal | None:
    if amount is None:
        return None
    if amount == 0:
        return _ZERO
    return None if rate is None else _EXACT.multiply(amount, rate)


def _fees_in(position: PositionRecord, currency: str, rates: RateTable) -> Decimal | None:
    if not position.fees:
        return None if position.fees_pending else _ZERO
    total = _ZERO
    for fee_currency, amount in position.fees.items():
        if fee_currency == currency or amount == 0:
            total = _EXACT.add(total, amount)
            continue
        source, target = rates.rate(position.account, fee_currency), rates.rate(position.account, currency)
        if source is None or target is None:
            return None
        total = _EXACT.add(total, _CONVERTED.divide(_EXACT.multiply(amount, source[0]), target[0]))
    return total
