"""Samples of each strategy's cash, fees and P&L over time, for equity curves and for what was earned today.

One sample per (strategy, account, currency) whenever something of it changed since the last one, at most every few
seconds; the first of a day, and the first after a start, is of all of them. A part without a row at some moment is worth
what its last row says. Stored in ``equity/<STRATEGY>``. What the screens need of it is in memory: yesterday and today, the
older half of it in larger steps.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from engine.core.exact import ZERO, add, multiply
from engine.state.valuation import RateTable
from engine.tables.positions import number, valued_positions
from engine.tables.records import rows_frame

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from engine.pipeline.room import BookRoom
    from engine.ports import Clock
    from engine.storage import ArcticStore

Row = dict[str, Any]
Key = tuple[str, str, str]

_KEPT = 8_000
_DAY = timedelta(days=1)
_FARTHEST = timedelta(days=1000)
_STEPS_S = (60, 300, 900, 3600)  # each divides a day, so that the last moment of a day is always one of those kept
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
        """Start with what is stored of yesterday and today, or of the last day before that anything is stored of."""
        self._room = room
        self._clock = clock
        self._last: dict[Key, tuple[Any, ...]] = {}
        self._day: date | None = None
        self._rows = stored_rows(room.store, clock.now())
        for row in self._rows:
            self._last[_key(row)] = ()

    def sample(self) -> int:
        """Take a sample now; returns how many rows changed. Runs off the event loop."""
        room = self._room
        marks = room.marks()
        now = self._clock.now()
        with room.lock:
            valued = valued_positions(room.ledger, room.ledger.positions(), marks, room.settings.base_currency)
            rates = RateTable(dict(room.ledger.rates), dict(room.ledger.bases), room.settings.base_currency)
        sums: dict[Key, dict[str, Decimal | None]] = {}
        for v, instrument in valued:
            p = v.position
            _count(sums, (p.strategy, p.account, instrument.currency), "realized", v.realized_pnl)
            _count(sums, (p.strategy, p.account, instrument.currency), "unrealized", v.unrealized_pnl)
            for currency, amount in p.cash.items():
                _count(
                    sums,
                    (p.strategy, p.account, currency),
                    "cash",
                    None if instrument.is_percent_of_par and amount else amount,
                )
            for currency, amount in p.fees.items():
                _count(sums, (p.strategy, p.account, currency), "fees", amount)
        for key in self._last.keys() - sums.keys():  # a book that is gone, since another took its executions over
            sums[key] = dict.fromkeys(_FIELDS, ZERO)
        whole, self._day = self._day != now.date(), now.date()
        changed: dict[str, list[Row]] = {}
        for key, figures in sums.items():
            mark = tuple(figures[name] for name in _FIELDS)
            if self._last.get(key) == mark and not whole:
                continue
            self._last[key] = mark
            row = _row(now, key, figures, rates)
            changed.setdefault(key[0], []).append(row)
            self._rows.append(row)
        if len(self._rows) > _KEPT:
            self._rows = thinned(self._rows, _KEPT, since=_midnight(now) - _DAY)
        for strategy, rows in changed.items():
            columns = {name: [row[name] for row in rows] for name in COLUMNS if name != "strategy"}
            room.frames.add("equity", strategy, columns, [now] * len(rows))
        return sum(len(rows) for rows in changed.values())

    def frame(self, strategy: str | None = None, *, as_of: datetime | None = None) -> pd.DataFrame:
        """The samples of the day and of the one before, oldest first.

        Args:
            as_of: Those that were there at a past moment, from the store.
        """
        rows = list(self._rows) if as_of is None else stored_rows(self._room.store, as_of)
        return rows_frame((row for row in rows if strategy is None or row["strategy"] == strategy), COLUMNS)


def stored_rows(store: ArcticStore, moment: datetime) -> list[Row]:
    """What is stored of the moment's day and of the one before, oldest first, not very many.

    When nothing is stored of the day before, the latest earlier day that something is stored of stands for it: without it
    nobody could say what was earned since the moment's day began.
    """
    midnight, back = _midnight(moment), _DAY
    while True:
        frame = store.equity(as_of=moment, since=midnight - back)
        times = pd.DatetimeIndex(frame.index)
        before = times[times < pd.Timestamp(midnight)]
        if len(before) or back > _FARTHEST:
            break
        back *= 4
    if back > _DAY and len(before):
        frame = frame[times >= before.max().floor("D")]
    if len(frame) > _KEPT:  # before it becomes rows: a day may have half a million
        parts = [frame[name] for name in ("strategy", "account", "currency")]
        frame = frame.groupby([*parts, pd.DatetimeIndex(frame.index).floor(f"{_STEPS_S[0]}s")], sort=False).tail(1)
    frame = frame.assign(timestamp=frame.index)
    rows: list[Any] = frame[list(COLUMNS)].to_dict("records")
    return thinned(rows, _KEPT, since=midnight - _DAY) if len(rows) > _KEPT else rows


def thinned(rows: list[Row], most: int, *, since: datetime) -> list[Row]:
    """Tell the older half in larger steps; at the end of a step every part has a row, with what it was worth then.

    Args:
        rows: Oldest first.
        most: Twice as many rows as stay about.
        since: Of what is older, only the last moment stays.
    """
    old, young = rows[: -most // 2], rows[-most // 2 :]
    for step_s in _STEPS_S:
        told = _told_in_steps(old, step_s)
        early = [moment for moment in told if moment[0]["timestamp"] < since]
        told = told[max(0, len(early) - 1) :]
        if sum(map(len, told)) <= most // 2:
            break
    return [row for moment in told for row in moment] + young


def _told_in_steps(rows: Iterable[Row], step_s: int) -> list[list[Row]]:
    told: list[list[Row]] = []
    standing: dict[Key, Row] = {}
    step, at = -1, None
    for row in rows:
        its = int(row["timestamp"].timestamp()) // step_s
        if its != step and standing:
            told.append([part | {"timestamp": at} for part in standing.values()])
        step, at = its, row["timestamp"]
        standing[_key(row)] = row
    if standing:
        told.append([part | {"timestamp": at} for part in standing.values()])
    return told


def _key(row: Row) -> Key:
    return row["strategy"], row["account"], row["currency"]


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _count(
    sums: dict[Key, dict[str, Decimal | None]],
    key: Key,
    name: str,
    amount: Decimal | None,
) -> None:
    figures = sums.setdefault(key, dict.fromkeys(_FIELDS, ZERO))
    known = figures[name]
    figures[name] = None if known is None or amount is None else add(known, amount)


def _row(now: datetime, key: Key, figures: dict[str, Decimal | None], rates: RateTable) -> Row:
    strategy, account, currency = key
    found = rates.rate(account, currency)
    row: Row = {
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
