"""One row of the reconciled table: a book beside what the broker holds, in float64 for the store and the screens."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from engine.core.instrument import Instrument
from engine.core.records import PositionRecord
from engine.core.snapshot import BrokerPosition, Mark
from engine.recon.breaks import break_id
from engine.recon.compare import Key

COLUMNS: Final = (
    "symbol",
    "account",
    "con_id",
    "local_symbol",
    "sec_type",
    "currency",
    "strategy",
    "qty",
    "avg_cost",
    "realized_pnl",
    "unrealized_pnl",
    "broker_qty",
    "broker_avg_cost",
    "residual_qty",
    "status",
    "run_id",
    "timestamp",
    "multiplier",
    "market_price",
    "market_value",
    "commission",
    "commission_currency",
    "break_id",
    "base_currency",
    "rate",
    "market_value_base",
    "realized_pnl_base",
    "unrealized_pnl_base",
    "commission_base",
    "extra",
)
FIELDS: Final = tuple(c for c in COLUMNS if c not in {"run_id", "timestamp"})
"""What a row tuple holds: everything but what is the same for a whole run or account."""

_NAN: Final = math.nan
ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)
Row = tuple[Any, ...]
Rate = tuple[Decimal | None, str]


class Valuation(msgspec.Struct, frozen=True, kw_only=True):
    """What gives the rows their money columns.

    Attributes:
        marks: (account, con_id) -> mark.
        rate: (account, currency) -> (base units per unit, when IB said so), ``None`` when unknown.
        base: account -> base currency, ``None`` when unknown.
    """

    marks: Mapping[Key, Mark]
    rate: Callable[[str, str], tuple[Decimal, datetime | None] | None]
    base: Callable[[str], str | None]


class RowMaker:
    """Makes the rows of one run; written for speed, since a large account has a hundred thousand of them."""

    def __init__(self, value: Valuation) -> None:
        """Take the marks and rates of the run."""
        self._marks = value.marks
        self._rate_of = value.rate
        self._base_of = value.base
        self._rates: dict[tuple[str, str], Rate] = {}
        self._bases: dict[str, str] = {}

    def mark(self, key: Key) -> Mark | None:
        """The latest mark of an instrument."""
        return self._marks.get(key)

    def row(
        self,
        key: Key,
        instrument: Instrument | None,
        strategy: str,
        record: PositionRecord | None,
        row: BrokerPosition | None,
        reported: Decimal | None,
        residual: Decimal,
        status: str,
    ) -> Row:
        """One row in the order of :data:`FIELDS`."""
        account, con_id = key
        currency = "" if instrument is None else instrument.currency
        multiplier = _ONE if instrument is None else instrument.multiplier
        mark = self._marks.get(key)
        quantity = ZERO if record is None else record.quantity
        realized = ZERO if record is None else record.realized_pnl
        worth = ZERO if not quantity else None if mark is None else mark.price * quantity * multiplier
        unrealized = None if worth is None else worth - (ZERO if record is None else record.open_cost)
        fee, fee_currency, fee_base = self._fees(account, record)
        rate, extra = self.rate(account, currency)
        return (
            "" if instrument is None else instrument.symbol,
            account,
            con_id,
            "" if instrument is None else instrument.local_symbol,
            "" if instrument is None else instrument.sec_type,
            currency,
            strategy,
            float(quantity),
            _NAN if record is None or record.avg_cost is None else float(record.avg_cost),
            float(realized),
            _number(unrealized),
            _number(reported),
            _NAN if row is None or row.broker_avg_cost is None else float(row.broker_avg_cost),
            _NAN if reported is None else float(residual),
            status,
            float(multiplier),
            _NAN if mark is None else float(mark.price),
            _number(worth),
            fee,
            fee_currency,
            break_id(account, con_id) if status in {"suspected", "confirmed"} else "",
            self.base(account),
            _number(rate),
            _NAN if rate is None or worth is None else float(worth * rate),
            _NAN if rate is None else float(realized * rate),
            _NAN if rate is None or unrealized is None else float(unrealized * rate),
            fee_base,
            extra,
        )

    def _fees(self, account: str, record: PositionRecord | None) -> tuple[float, str, float]:
        """Known fees in their one currency (NaN when there are several, or none known), and in base currency."""
        if record is None or (not record.fees and not record.fees_pending):
            return 0.0, "", 0.0
        if not record.fees:
            return _NAN, "", _NAN
        base = ZERO
        known = True
        for currency, amount in record.fees.items():
            rate, _ = self.rate(account, currency)
            if rate is None:
                known = False
            else:
                base += amount * rate
        base_figure = float(base) if known else _NAN
        if len(record.fees) > 1:
            return _NAN, "", base_figure
        currency, amount = next(iter(record.fees.items()))
        return float(amount), currency, base_figure

    def rate(self, account: str, currency: str) -> tuple[Decimal | None, str]:
        """The rate, and the note of its time that is stored beside every figure made with it (F137)."""
        pair = (account, currency)
        cached = self._rates.get(pair)
        if cached is None:
            known = self._rate_of(account, currency) if currency else None
            at = None if known is None else known[1]
            note = "" if at is None else json.dumps({"rate_at": at.isoformat(), "rate_source": "broker"})
            cached = self._rates[pair] = (None if known is None else known[0], note)
        return cached

    def base(self, account: str) -> str:
        """The account's base currency, empty while unknown."""
        if account not in self._bases:
            self._bases[account] = self._base_of(account) or ""
        return self._bases[account]


def _number(value: Decimal | None) -> float:
    return _NAN if value is None else float(value)
