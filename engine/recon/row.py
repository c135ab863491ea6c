"""One row of the reconciled table: a book beside what the broker holds, in float64 for the store and the screens."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from engine.core.exact import ZERO, add, multiply, subtract
from engine.core.ids import UNASSIGNED
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


class Rates:
    """Base currencies and rates of one run, each asked for once; written for speed, as all of this module."""

    def __init__(self, value: Valuation) -> None:
        """Take the marks and rates of the run."""
        self.marks = value.marks
        self._rate_of = value.rate
        self._base_of = value.base
        self.rates: dict[tuple[str, str], Rate] = {}
        self.bases: dict[str, str] = {}

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


class Standing(msgspec.Struct, gc=False):
    """One (account, con_id) beside what the broker holds: what its rows keep until one of the two changes.

    The rows themselves are made when somebody first asks for them: of a hundred thousand, most are never looked at.

    Attributes:
        records: Whose rows there are, in their order; ``None`` for a row without a book.
        reported: What the broker holds, ``None`` when that is not known or not compared.
        residual: Stands on the row of UNASSIGNED.
        made: The rows, once they were made.
    """

    key: Key
    instrument: Instrument | None
    records: tuple[PositionRecord | None, ...]
    row: BrokerPosition | None
    reported: Decimal | None
    residual: Decimal
    status: str
    base: str
    made: tuple[Row, ...] | None = None

    @property
    def symbol(self) -> str | None:
        """Under which the rows are stored; ``None`` when nothing is shown."""
        if not self.records:
            return None
        return "" if self.instrument is None else self.instrument.symbol

    @property
    def unpriced(self) -> bool:
        """True where the quote is no price in money (F88)."""
        return self.instrument is not None and self.instrument.is_percent_of_par

    def rows(self) -> tuple[Row, ...]:
        """The rows, each in the order of :data:`LASTING`."""
        made = self.made
        if made is None:
            made = self.made = tuple([self._row(record) for record in self.records])
        return made

    def _row(self, record: PositionRecord | None) -> Row:
        account, con_id = self.key
        strategy = UNASSIGNED if record is None else record.strategy
        fee, fee_currency = _fee(record)
        known = self.instrument or _NOWHERE
        average = None if record is None else record.avg_cost
        cost = None if self.row is None else self.row.broker_avg_cost
        reported = self.reported
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
            0.0
            if record is None
            else _NAN
            if known.is_percent_of_par and record.realized_pnl
            else float(record.realized_pnl),
            _NAN if reported is None else float(reported),
            _NAN if cost is None else float(cost),
            _NAN if reported is None else float(self.residual) if strategy == UNASSIGNED else 0.0,
            self.status,
            float(known.multiplier),
            fee,
            fee_currency,
            break_id(account, con_id) if self.status in _OPEN else "",
            self.base,
        )


class Worth(msgspec.Struct, gc=False):
    """What the rows of one key are worth at one moment; made when somebody first asks, as those are.

    Attributes:
        rates: Currency -> rate, of the instrument's currency and those in which fees were paid.
        made: The rows, once they were made.
    """

    standing: Standing
    mark: Mark | None
    rates: Mapping[str, Rate]
    made: tuple[Row, ...] | None = None

    def rows(self) -> tuple[Row, ...]:
        """One for each row of the standing, in the order of :data:`MARKET`."""
        made = self.made
        if made is None:
            known = self.standing.instrument or _NOWHERE
            rates, mark = self.rates, self.mark
            made = self.made = tuple(
                [
                    market_row(record, mark, rates, known.currency, known.multiplier, unpriced=self.standing.unpriced)
                    for record in self.standing.records
                ]
            )
        return made


def market_row(
    record: PositionRecord | None,
    mark: Mark | None,
    rates: Mapping[str, Rate],
    currency: str,
    multiplier: Decimal,
    *,
    unpriced: bool = False,
) -> Row:
    """What one row is worth, in the order of :data:`MARKET`.

    Args:
        rates: Must have ``currency`` and those of the record's fees.
        unpriced: The quote is no price in money (F88): what is open has no value, and what was made is not known.
    """
    rate, extra = rates[currency]
    price = None if mark is None else mark.price
    if record is None:
        zero = _NAN if rate is None else 0.0
        return (0.0, _number(price), 0.0, _number(rate), zero, zero, zero, 0.0, extra)
    worth: Decimal | None = ZERO
    if record.quantity:
        worth = None if price is None or unpriced else multiply(price, record.quantity)
        if worth is not None and multiplier != _ONE:
            worth = multiply(worth, multiplier)
    unrealized = None if worth is None else subtract(worth, record.open_cost)
    unknown = rate is None or (unpriced and bool(record.realized_pnl))
    return (
        _number(unrealized),
        _number(price),
        _number(worth),
        _number(rate),
        _NAN if rate is None or worth is None else float(multiply(worth, rate)),
        _NAN if unknown or rate is None else float(multiply(record.realized_pnl, rate)),
        _NAN if rate is None or unrealized is None else float(multiply(unrealized, rate)),
        _fee_base(record, rates),
        extra,
    )


def _fee_base(record: PositionRecord, rates: Mapping[str, Rate]) -> float:
    """Known fees in base currency; NaN when a rate is missing, or none is known and some are pending."""
    if not record.fees:
        return _NAN if record.fees_pending else 0.0
    base = ZERO
    for currency, amount in record.fees.items():
        rate, _ = rates[currency]
        if rate is None:
            return _NAN
        base = add(base, multiply(amount, rate))
    return float(base)


def currencies_of(currency: str, records: Iterable[PositionRecord | None]) -> tuple[str, ...]:
    """The instrument's currency first, then others in which fees were paid."""
    others: set[str] = set()
    for record in records:
        if record is not None and record.fees and (len(record.fees) > 1 or currency not in record.fees):
            others |= record.fees.keys() - {currency}
    return (currency, *sorted(others)) if others else (currency,)


_NOWHERE: Final = Instrument(con_id=0, symbol="", sec_type="")


def _fee(record: PositionRecord | None) -> tuple[float, str]:
    """Known fees in their one currency; NaN when there are several, or none known and some pending."""
    if record is None:
        return 0.0, ""
    if len(record.fees) == 1:
        ((currency, amount),) = record.fees.items()
        return float(amount), currency
    return (_NAN, "") if record.fees or record.fees_pending else (0.0, "")


def kept_exactly(record: PositionRecord | None, extra: str, *, unpriced: bool = False) -> str:
    """``extra`` for the store: what a row's market figures are made of, beyond what its float columns carry."""
    if record is None:
        return extra
    exact: dict[str, Any] = {"cost": str(record.open_cost)}
    if record.fees or record.fees_pending:
        exact["fees"] = {currency: str(amount) for currency, amount in record.fees.items()}
        exact["pending"] = record.fees_pending
    for name, amount in (("qty", record.quantity), ("realized", record.realized_pnl)):
        if Decimal(repr(float(amount))) != amount or (unpriced and name == "realized"):
            exact[name] = str(amount)
    return json.dumps((json.loads(extra) if extra else {}) | {"exact": exact})


def _number(value: Decimal | None) -> float:
    return _NAN if value is None else float(value)
