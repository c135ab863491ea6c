"""One row of the reconciled table: a book beside what the broker holds, in float64 for the store and the screens."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from engine.core.exact import ZERO, add, multiply, subtract
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
MARKET: Final = (
    "unrealized_pnl",
    "market_price",
    "market_value",
    "rate",
    "market_value_base",
    "realized_pnl_base",
    "unrealized_pnl_base",
    "commission_base",
    "extra",
)
"""What moves with the market alone: a symbol of which only these changed is not stored again."""
LASTING: Final = tuple(c for c in COLUMNS if c not in {*MARKET, "run_id", "timestamp"})
"""Everything else, but what is the same for a whole run or account."""
GONE: Final = "gone"
"""In ``extra`` of a stored row: the key is no longer shown since then; the row itself says that it is flat."""

_NAN: Final = math.nan
_ONE: Final = Decimal(1)
_OPEN: Final = frozenset({"suspected", "confirmed"})
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
        self.marks = value.marks
        self._rate_of = value.rate
        self._base_of = value.base
        self.rates: dict[tuple[str, str], Rate] = {}
        self.bases: dict[str, str] = {}

    def lasting(
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
        """What one row keeps until a book or the broker's holding changes, in the order of :data:`LASTING`."""
        account, con_id = key
        fee, fee_currency = _fee(record)
        known = instrument or _NOWHERE
        average = None if record is None else record.avg_cost
        cost = None if row is None else row.broker_avg_cost
        return (
            known.symbol,
            account,
            con_id,
            known.local_symbol,
            known.sec_type,
            known.currency,
            strategy,
            0.0 if record is None else float(record.quantity),
            _NAN if average is None else float(average),
            0.0 if record is None else float(record.realized_pnl),
            _NAN if reported is None else float(reported),
            _NAN if cost is None else float(cost),
            _NAN if reported is None else float(residual),
            status,
            float(known.multiplier),
            fee,
            fee_currency,
            break_id(account, con_id) if status in _OPEN else "",
            self.base(account),
        )

    def market(self, key: Key, currency: str, multiplier: Decimal, record: PositionRecord | None) -> Row:
        """What one row is worth now, in the order of :data:`MARKET`."""
        rate, extra = self.rate(key[0], currency)
        mark = self.marks.get(key)
        price = None if mark is None else mark.price
        if record is None:
            zero = _NAN if rate is None else 0.0
            return (0.0, _number(price), 0.0, _number(rate), zero, zero, zero, 0.0, extra)
        worth: Decimal | None = ZERO
        if record.quantity:
            worth = None if price is None else multiply(price, record.quantity)
            if worth is not None and multiplier != _ONE:
                worth = multiply(worth, multiplier)
        unrealized = None if worth is None else subtract(worth, record.open_cost)
        return (
            _number(unrealized),
            _number(price),
            _number(worth),
            _number(rate),
            _NAN if rate is None or worth is None else float(multiply(worth, rate)),
            _NAN if rate is None else float(multiply(record.realized_pnl, rate)),
            _NAN if rate is None or unrealized is None else float(multiply(unrealized, rate)),
            self._fee_base(key[0], record),
            extra,
        )

    def _fee_base(self, account: str, record: PositionRecord) -> float:
        """Known fees in base currency; NaN when a rate is missing, or none is known and some are pending."""
        if not record.fees:
            return _NAN if record.fees_pending else 0.0
        base = ZERO
        for currency, amount in record.fees.items():
            rate, _ = self.rate(account, currency)
            if rate is None:
                return _NAN
            base = add(base, multiply(amount, rate))
        return float(base)

    def rate(self, account: str, currency: str) -> Rate:
        """The rate, and the note of its time that is stored beside every figure made with it (F137)."""
        pair = (account, currency)
        cached = self.rates.get(pair)
        if cached is None:
            known = self._rate_of(account, currency) if currency else None
            at = None if known is None else known[1]
            note = "" if at is None else json.dumps({"rate_at": at.isoformat(), "rate_source": "broker"})
            cached = self.rates[pair] = (None if known is None else known[0], note)
        return cached

    def base(self, account: str) -> str:
        """The account's base currency, empty while unknown."""
        known = self.bases.get(account)
        if known is None:
            known = self.bases[account] = self._base_of(account) or ""
        return known


_NOWHERE: Final = Instrument(con_id=0, symbol="", sec_type="")


def _fee(record: PositionRecord | None) -> tuple[float, str]:
    """Known fees in their one currency; NaN when there are several, or none known and some pending."""
    if record is None:
        return 0.0, ""
    if len(record.fees) == 1:
        ((currency, amount),) = record.fees.items()
        return float(amount), currency
    return (_NAN, "") if record.fees or record.fees_pending else (0.0, "")


def kept_exactly(record: PositionRecord | None, extra: str) -> str:
    """``extra`` for the store: what a row's market figures are made of, beyond what its float columns carry."""
    if record is None:
        return extra
    exact: dict[str, Any] = {"cost": str(record.open_cost)}
    if record.fees or record.fees_pending:
        exact["fees"] = {currency: str(amount) for currency, amount in record.fees.items()}
        exact["pending"] = record.fees_pending
    for name, amount in (("qty", record.quantity), ("realized", record.realized_pnl)):
        if Decimal(repr(float(amount))) != amount:
            exact[name] = str(amount)
    return json.dumps((json.loads(extra) if extra else {}) | {"exact": exact})


def _number(value: Decimal | None) -> float:
    return _NAN if value is None else float(value)
