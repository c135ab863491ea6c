"""Samples of each strategy's cash, fees and P&L over time, for equity curves.

One sample per (strategy, account, currency) whenever something of it changed since the last one, at most every few seconds.
Stored in ``equity/<STRATEGY>``; the latest are kept in memory for the screens.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.core.exact import ZERO, add, multiply
from engine.state.valuation import RateTable
from engine.storage.schema import INDEX
from engine.tables.positions import number, valued_positions
from engine.tables.records import rows_frame

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from engine.pipeline.room import BookRoom
    from engine.ports import Clock

_KEPT = 20_000
_RECENT = timedelta(days=2)
_FIELDS = ("cash", "fees", "realized", "unrealized")
COLUMNS = (
    "timestamp",
    "strategy",
    "account",
    "currency",
    "cash",
    "fees",
    "realized",
    "unrealized",
    "base_currency",
    "cash_base",
    "fees_base",
    "realized_base",
    "unrealized_base",
)


class EquityLog:
    """Takes samples and keeps the latest."""

    def __init__(self, room: BookRoom, clock: Clock) -> None:
        """Start with what the last two days have stored."""
        self._room = room
        self._clock = clock
        self._rows: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._last: dict[tuple[str, str, str], tuple[Any, ...]] = {}
        stored = room.store.equity(since=clock.now() - _RECENT)
        if len(stored):
            frame = stored.reset_index().sort_values(INDEX).tail(_KEPT)
            self._rows.extend({c: row.get(c) for c in COLUMNS} for row in frame.to_dict("records"))
            self._last = {(row["strategy"], row["account"], row["currency"]): () for row in self._rows}

    def sample(self) -> int:
        """Take a sample now; returns how many rows changed. Runs off the event loop."""
        room = self._room
        marks = room.marks()
        now = self._clock.now()
        with room.lock:
            valued = valued_positions(room.ledger, room.ledger.positions(), marks, room.settings.base_currency)
            rates = RateTable(dict(room.ledger.rates), dict(room.ledger.bases), room.settings.base_currency)
        sums: dict[tuple[str, str, str], dict[str, Decimal | None]] = {}
        for v, instrument in valued:
            p = v.position
            _count(sums, (p.strategy, p.account, instrument.currency), "realized", p.realized_pnl)
            _count(sums, (p.strategy, p.account, instrument.currency), "unrealized", v.unrealized_pnl)
            for currency, amount in p.cash.items():
                _count(sums, (p.strategy, p.account, currency), "cash", amount)
            for currency, amount in p.fees.items():
                _count(sums, (p.strategy, p.account, currency), "fees", amount)
        for key in self._last.keys() - sums.keys():  # a book that is gone, since another took its executions over
            sums[key] = dict.fromkeys(_FIELDS, ZERO)
        changed: dict[str, list[dict[str, Any]]] = {}
        for key, figures in sums.items():
            mark = tuple(figures[name] for name in _FIELDS)
            if self._last.get(key) == mark:
                continue
            self._last[key] = mark
            row = _row(now, key, figures, rates)
            changed.setdefault(key[0], []).append(row)
            self._rows.append(row)
        for strategy, rows in changed.items():
            columns = {name: [row[name] for row in rows] for name in COLUMNS if name != "strategy"}
            room.frames.add("equity", strategy, columns, [now] * len(rows))
        return sum(len(rows) for rows in changed.values())

    def frame(self, strategy: str | None = None) -> pd.DataFrame:
        """The kept samples, oldest first."""
        rows = [row for row in list(self._rows) if strategy is None or row["strategy"] == strategy]
        return rows_frame(rows, COLUMNS)


def _count(
    sums: dict[tuple[str, str, str], dict[str, Decimal | None]],
    key: tuple[str, str, str],
    name: str,
    amount: Decimal | None,
) -> None:
    figures = sums.setdefault(key, dict.fromkeys(_FIELDS, ZERO))
    known = figures[name]
    figures[name] = None if known is None or amount is None else add(known, amount)


def _row(
    now: datetime, key: tuple[str, str, str], figures: dict[str, Decimal | None], rates: RateTable
) -> dict[str, Any]:
    strategy, account, currency = key
    found = rates.rate(account, currency)
    row: dict[str, Any] = {
        "timestamp": now,
        "strategy": strategy,
        "account": account,
        "currency": currency,
        "base_currency": rates.base(account),
    }
    for name in _FIELDS:
        amount = figures[name]
        row[name] = number(amount)
        base = ZERO if amount == 0 else None if amount is None or found is None else multiply(amount, found[0])
        row[f"{name}_base"] = number(base)
    return row
