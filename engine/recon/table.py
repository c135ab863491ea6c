"""The reconciled table: books and broker side by side, one row per (account, con_id, strategy).

Columns are those of the stored ``portfolio`` symbols. The UNASSIGNED row carries ``residual_qty`` (broker minus all
books); every other row carries 0 there, so that per (account, con_id)::

    sum(qty) + sum(residual_qty) = broker_qty

An account without a confirmed answer has status ``unavailable`` and no broker figures; what is classified instead of
compared (currency pairs, combinations) has status ``excluded``. Unknown is NaN, never 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from engine.core.ids import UNASSIGNED
from engine.core.instrument import Instrument
from engine.core.records import PositionRecord
from engine.core.snapshot import AccountSnapshot, BrokerPosition, Confirmed, Mark
from engine.recon.breaks import Break, break_id
from engine.recon.compare import Comparison, Key, exclusion

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
_NAN: Final = math.nan
_STATE_TO_STATUS: Final = {
    "settling": "settling",
    "suspected": "suspected",
    "confirmed": "confirmed",
    "explained": "confirmed",
    "assigned": "matched",
    "closed": "matched",
}
ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)
Row = tuple[Any, ...]


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


def reconciled_rows(
    *,
    run_id: str,
    at: datetime,
    positions: Iterable[PositionRecord],
    comparison: Comparison,
    answers: Iterable[AccountSnapshot],
    breaks: Mapping[str, Break],
    instrument_of: Callable[[int], Instrument | None],
    value: Valuation,
) -> list[Row]:
    """Build the table of one run.

    Args:
        run_id: Of the run.
        at: Timestamp for rows of accounts without a confirmed answer, UTC.
        positions: Every book.
        comparison: What was compared.
        answers: One per account.
        breaks: The book of breaks after the run, by id.
        instrument_of: What the books know of a ``con_id``.
        value: Marks and rates.

    Returns:
        Tuples in the order of :data:`COLUMNS`, by account, con_id and strategy.
    """
    maker = _Maker(run_id=run_id, at=at, comparison=comparison, answers=answers, breaks=breaks, value=value)
    by_key: dict[Key, list[PositionRecord]] = {}
    for record in positions:
        by_key.setdefault((record.account, record.instrument_key), []).append(record)
    rows: list[Row] = []
    for key in sorted(by_key.keys() | comparison.broker.keys()):
        row = comparison.broker.get(key)
        instrument = row.instrument if row is not None else instrument_of(key[1])
        rows.extend(maker.rows(key, instrument, row, by_key.get(key, [])))
    return rows


def columns_of(rows: Iterable[Row]) -> dict[str, list[Any]]:
    """Turn rows into columns, empty ones included."""
    columns = [list(c) for c in zip(*rows, strict=True)]
    return dict(zip(COLUMNS, columns or [[] for _ in COLUMNS], strict=True))


class _Maker:
    """Makes rows; written for speed, since a large account has a hundred thousand of them."""

    def __init__(
        self,
        *,
        run_id: str,
        at: datetime,
        comparison: Comparison,
        answers: Iterable[AccountSnapshot],
        breaks: Mapping[str, Break],
        value: Valuation,
    ) -> None:
        self.run_id = run_id
        self.at = at
        self.comparison = comparison
        self.answered = {a.account: a.answered_at for a in answers if isinstance(a, Confirmed)}
        self.breaks = breaks
        self.value = value
        self._rates: dict[tuple[str, str], tuple[Decimal | None, str]] = {}
        self._bases: dict[str, str] = {}

    def rows(
        self, key: Key, instrument: Instrument | None, row: BrokerPosition | None, records: list[PositionRecord]
    ) -> list[Row]:
        account, con_id = key
        answered = self.answered.get(account)
        difference = self.comparison.found.get(key)
        found = self.breaks.get(break_id(account, con_id)) if difference is not None else None
        residual = ZERO if difference is None else difference.difference
        if answered is None:
            status, reported = "unavailable", None
        elif exclusion(account, instrument):
            status, reported = "excluded", None
        else:
            status = "matched" if difference is None else _status(found)
            reported = ZERO if row is None else row.quantity
        kept = [r for r in records if r.quantity or r.realized_pnl or difference is not None]
        holders = {r.strategy for r in kept}
        out: list[Row] = []
        for record in sorted(kept, key=_by_strategy):
            part = residual if record.strategy == UNASSIGNED else ZERO
            out.append(self._row(key, instrument, record.strategy, record, row, reported, part, status, answered))
        if UNASSIGNED not in holders and (residual or (reported and not kept)):
            out.append(self._row(key, instrument, UNASSIGNED, None, row, reported, residual, status, answered))
        return out

    def _row(
        self,
        key: Key,
        instrument: Instrument | None,
        strategy: str,
        record: PositionRecord | None,
        row: BrokerPosition | None,
        reported: Decimal | None,
        residual: Decimal,
        status: str,
        answered: datetime | None,
    ) -> Row:
        account, con_id = key
        currency = "" if instrument is None else instrument.currency
        multiplier = _ONE if instrument is None else instrument.multiplier
        mark = self.value.marks.get(key)
        quantity = ZERO if record is None else record.quantity
        realized = ZERO if record is None else record.realized_pnl
        worth = ZERO if not quantity else None if mark is None else mark.price * quantity * multiplier
        unrealized = None if worth is None else worth - (ZERO if record is None else record.open_cost)
        fee, fee_currency, fee_base = self._fees(account, record)
        rate, extra = self._rate(account, currency)
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
            self.run_id,
            answered or self.at,
            float(multiplier),
            _NAN if mark is None else float(mark.price),
            _number(worth),
            fee,
            fee_currency,
            break_id(account, con_id) if status in {"suspected", "confirmed"} else "",
            self._base(account),
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
            rate, _ = self._rate(account, currency)
            if rate is None:
                known = False
            else:
                base += amount * rate
        base_figure = float(base) if known else _NAN
        if len(record.fees) > 1:
            return _NAN, "", base_figure
        currency, amount = next(iter(record.fees.items()))
        return float(amount), currency, base_figure

    def _rate(self, account: str, currency: str) -> tuple[Decimal | None, str]:
        """The rate, and the note of its time that is stored beside every figure made with it (F137)."""
        pair = (account, currency)
        cached = self._rates.get(pair)
        if cached is None:
            known = self.value.rate(account, currency) if currency else None
            at = None if known is None else known[1]
            note = "" if at is None else json.dumps({"rate_at": at.isoformat(), "rate_source": "broker"})
            cached = self._rates[pair] = (None if known is None else known[0], note)
        return cached

    def _base(self, account: str) -> str:
        if account not in self._bases:
            self._bases[account] = self.value.base(account) or ""
        return self._bases[account]


def _status(found: Break | None) -> str:
    return "settling" if found is None else _STATE_TO_STATUS[found.state]


def _by_strategy(record: PositionRecord) -> tuple[bool, str]:
    return (record.strategy == UNASSIGNED, record.strategy)


def _number(value: Decimal | None) -> float:
    return _NAN if value is None else float(value)
