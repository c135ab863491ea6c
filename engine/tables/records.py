"""Records as DataFrames: the same columns as stored, with ``strategy`` and ``recorded_at`` beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from engine.storage.rows import fill_columns, order_columns
from engine.storage.schema import FILLS, INDEX, ORDERS, build_frame, localize, times

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    import msgspec

    from engine.core.records import FillRecord, OrderRecord
    from engine.storage.schema import Table


def fills_frame(records: Sequence[FillRecord]) -> pd.DataFrame:
    """Executions as a table: columns of ``fills/<STRATEGY>``, ``strategy`` and ``recorded_at``; one row per record."""
    columns, index = fill_columns(records)
    return _frame(FILLS, columns, index, [r.strategy for r in records])


def orders_frame(records: Sequence[OrderRecord]) -> pd.DataFrame:
    """Orders or their transitions: columns of ``orders/<STRATEGY>``, ``state`` and ``is_open``."""
    columns, index = order_columns(records)
    frame = _frame(ORDERS, columns, index, [r.strategy for r in records])
    frame["state"] = [r.state for r in records]
    frame["is_open"] = [r.is_open for r in records]
    return frame


def _frame(table: Table, columns: Any, index: list[datetime], strategies: list[str]) -> pd.DataFrame:
    frame = localize(build_frame(table, columns, times(index))).reset_index()
    frame.insert(0, "strategy", strategies)
    return frame


def rows_frame(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Plain rows as a table that has its columns even when it is empty; times as UTC timestamps."""
    frame = pd.DataFrame(list(rows), columns=list(columns))
    for name in frame.columns:
        if name in _TIMES:
            frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def struct_rows(items: Iterable[msgspec.Struct], *names: str) -> list[dict[str, Any]]:
    """The named attributes of structs as rows."""
    return [{name: getattr(item, name) for name in names} for item in items]


_TIMES = frozenset(
    {
        INDEX,
        "seen_at",
        "received_at",
        "first_seen",
        "last_changed",
        "since",
        "closed_at",
        "at",
        "timestamp",
        "market_at",
        "fx_at",
        "as_of",
    }
)
