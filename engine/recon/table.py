"""The reconciled table: books and broker side by side, one row per (account, con_id, strategy).

Columns are those of the stored ``portfolio`` symbols. The UNASSIGNED row carries ``residual_qty`` (broker minus all
books); every other row carries 0 there, so that per (account, con_id)::

    sum(qty) + sum(residual_qty) = broker_qty

An account without a confirmed answer has status ``unavailable`` and no broker figures; what is classified instead of
compared (currency pairs, combinations) has status ``excluded``. Unknown is NaN, never 0.

Between two runs of a large account hardly anything changes, so rows are kept and made again only where a book, the
broker's row, the mark, a rate or the status is another. Everything is done in small steps: one long call into C would
hold the interpreter, and with it the loop of the screens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from engine.core.ids import UNASSIGNED
from engine.core.instrument import Instrument
from engine.core.records import PositionRecord
from engine.core.snapshot import AccountSnapshot, BrokerPosition, Confirmed
from engine.recon.breaks import Break, break_id
from engine.recon.compare import Comparison, Key, exclusion
from engine.recon.row import COLUMNS, FIELDS, Row, RowMaker, Valuation

_STATE_TO_STATUS: Final = {
    "settling": "settling",
    "suspected": "suspected",
    "confirmed": "confirmed",
    "explained": "confirmed",
    "assigned": "matched",
    "closed": "matched",
}
_CHUNK: Final = 1000
_SYMBOL: Final = FIELDS.index("symbol")
_PASSING: Final = frozenset(
    {
        "market_price",
        "market_value",
        "unrealized_pnl",
        "rate",
        "extra",
        "market_value_base",
        "unrealized_pnl_base",
        "realized_pnl_base",
        "commission_base",
    }
)
"""What moves with the market alone: a symbol of which only these changed is not stored again."""
_LASTING: Final = tuple(i for i, name in enumerate(FIELDS) if name not in _PASSING)
ZERO: Final = Decimal(0)


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """The table of one run.

    Attributes:
        columns: :data:`engine.recon.row.COLUMNS`, rows by account, con_id and strategy.
        changed: (account, symbol) -> its rows, where anything but the market changed since the last run; see
            :meth:`symbol_columns`.
        times: account -> timestamp of its rows.
    """

    run_id: str
    columns: dict[str, list[Any]]
    changed: dict[tuple[str, str], list[Row]]
    times: dict[str, datetime]

    def symbol_columns(self, account: str, symbol: str) -> dict[str, list[Any]]:
        """The rows of one changed symbol as columns."""
        columns: dict[str, list[Any]] = {column: [] for column in COLUMNS}
        _append(columns, self.changed[account, symbol], self.run_id, self.times[account])
        return columns


class _Kept(msgspec.Struct, gc=False):
    stamp: tuple[object, ...]
    rows: list[Row]


class ReconciledTable:
    """Builds the table of each run from the one before. One run at a time."""

    def __init__(self) -> None:
        """Nothing is known before the first run."""
        self._kept: dict[str, dict[int, _Kept]] = {}
        self._order: dict[str, list[int]] = {}

    def build(
        self,
        *,
        run_id: str,
        at: datetime,
        positions: Iterable[PositionRecord],
        comparison: Comparison,
        answers: Iterable[AccountSnapshot],
        breaks: Mapping[str, Break],
        instrument_of: Callable[[int], Instrument | None],
        value: Valuation,
    ) -> Built:
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
        """
        answered = {a.account: a.answered_at for a in answers if isinstance(a, Confirmed)}
        books: dict[str, dict[int, list[PositionRecord]]] = {}
        for record in positions:
            books.setdefault(record.account, {}).setdefault(record.instrument_key, []).append(record)
        reported: dict[str, dict[int, BrokerPosition]] = {}
        for (account, con_id), row in comparison.broker.items():
            reported.setdefault(account, {})[con_id] = row
        work = _Work(RowMaker(value), comparison, breaks, instrument_of)
        columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        changed: set[tuple[str, str]] = set()
        for account in sorted(books.keys() | reported.keys()):
            held, rows = books.get(account, {}), reported.get(account, {})
            kept = self._kept.setdefault(account, {})
            made: list[Row] = []
            for con_id in self._sorted(account, held, rows):
                entry = kept.get(con_id)
                new = work.rows((account, con_id), held.get(con_id, []), rows.get(con_id), account in answered, entry)
                if new is not entry:
                    kept[con_id] = new
                    if new.rows and (entry is None or _lasting(entry.rows) != _lasting(new.rows)):
                        changed.add((account, new.rows[0][_SYMBOL]))
                made += new.rows
            _append(columns, made, run_id, answered.get(account, at))
        times = {account: answered.get(account, at) for account in self._kept}
        return Built(run_id=run_id, columns=columns, changed=self._symbols(changed), times=times)

    def _sorted(self, account: str, *sides: Mapping[int, object]) -> list[int]:
        known = self._order.get(account, [])
        con_ids = set().union(*sides)
        if len(known) != len(con_ids) or not con_ids.issuperset(known):
            known = self._order[account] = sorted(con_ids)
        return known

    def _symbols(self, changed: AbstractSet[tuple[str, str]]) -> dict[tuple[str, str], list[Row]]:
        """All rows of each changed symbol, those of its other contracts included."""
        made: dict[tuple[str, str], list[Row]] = {}
        for account, kept in self._kept.items():
            for con_id in self._order[account] if changed else ():
                rows = kept[con_id].rows
                if rows and (account, rows[0][_SYMBOL]) in changed:
                    made.setdefault((account, rows[0][_SYMBOL]), []).extend(rows)
        return made


class _Work:
    def __init__(
        self,
        maker: RowMaker,
        comparison: Comparison,
        breaks: Mapping[str, Break],
        instrument_of: Callable[[int], Instrument | None],
    ) -> None:
        self.maker = maker
        self.comparison = comparison
        self.breaks = breaks
        self.instrument_of = instrument_of

    def rows(
        self, key: Key, records: list[PositionRecord], row: BrokerPosition | None, answered: bool, kept: _Kept | None
    ) -> _Kept:
        account, con_id = key
        instrument = row.instrument if row is not None else self.instrument_of(con_id)
        difference = self.comparison.found.get(key)
        reported: Decimal | None = None
        if not answered:
            status = "unavailable"
        elif exclusion(account, instrument):
            status = "excluded"
        else:
            status = "matched" if difference is None else self._status(key)
            reported = ZERO if row is None else row.quantity
        residual = ZERO if difference is None else difference.difference
        currency = "" if instrument is None else instrument.currency
        stamp = (
            status,
            reported,
            residual,
            None if row is None else row.broker_avg_cost,
            self.maker.mark(key),
            self.maker.rate(account, currency),
            self.maker.base(account),
            *records,
            instrument,
        )
        if kept is not None and kept.stamp == stamp:
            return kept
        shown = [r for r in records if r.quantity or r.realized_pnl or difference is not None]
        out = [
            self.maker.row(
                key, instrument, r.strategy, r, row, reported, residual if r.strategy == UNASSIGNED else ZERO, status
            )
            for r in sorted(shown, key=_by_strategy)
        ]
        if (residual or (reported and not shown)) and all(r.strategy != UNASSIGNED for r in shown):
            out.append(self.maker.row(key, instrument, UNASSIGNED, None, row, reported, residual, status))
        return _Kept(stamp, out)

    def _status(self, key: Key) -> str:
        found = self.breaks.get(break_id(*key))
        return "settling" if found is None else _STATE_TO_STATUS[found.state]


def _append(columns: dict[str, list[Any]], rows: list[Row], run_id: str, at: datetime) -> None:
    for start in range(0, len(rows), _CHUNK):
        for name, values in zip(FIELDS, zip(*rows[start : start + _CHUNK], strict=True), strict=True):
            columns[name] += values
    columns["run_id"] += [run_id] * len(rows)
    columns["timestamp"] += [at] * len(rows)


def _lasting(rows: list[Row]) -> str:
    # As text, because NaN differs from itself.
    return repr([[row[i] for i in _LASTING] for row in rows])


def _by_strategy(record: PositionRecord) -> tuple[bool, str]:
    return (record.strategy == UNASSIGNED, record.strategy)
