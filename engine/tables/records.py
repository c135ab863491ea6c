"""Records as DataFrames: the same columns as stored, with ``strategy`` and ``recorded_at`` beside them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from engine.storage.rows import fill_columns, order_columns
from engine.storage.schema import FILLS, INDEX, ORDERS, build_frame, localize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import msgspec

    from engine.core.records import FillRecord, OrderRecord
    from engine.storage.schema import Table

SIGHT_LASTS: Final = timedelta(minutes=15)
"""How long what a list said of another client's order is gone by (F52)."""


def fills_frame(records: Sequence[FillRecord]) -> pd.DataFrame:
    """Executions as a table: columns of ``fills/<STRATEGY>``, ``strategy`` and ``recorded_at``; one row per record."""
    columns, index = fill_columns(records)
    return _frame(FILLS, columns, index, [r.strategy for r in records])


def orders_frame(records: Sequence[OrderRecord]) -> pd.DataFrame:
    """Orders or their transitions: columns of ``orders/<STRATEGY>``, ``strategy`` and ``recorded_at``."""
    columns, index = order_columns(records)
    return _frame(ORDERS, columns, index, [r.strategy for r in records])


def _frame(table: Table, columns: Any, index: Any, strategies: list[str]) -> pd.DataFrame:
    frame = localize(build_frame(table, columns, index)).reset_index()
    frame.insert(0, "strategy", pd.Series(strategies, dtype="object"))
    return frame


def rows_frame(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Plain rows as a table that has its columns even when it is empty; times as UTC timestamps."""
    return typed_frame(pd.DataFrame(list(rows), columns=list(columns)))


def typed_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Give every column the dtype that its values have, also where there are no rows.

    Returns:
        The frame; times as UTC timestamps, those that a timestamp cannot hold (before 1678, after 2261) as NaT.
    """
    for name in frame.columns:
        if name in _TIMES:
            frame[name] = pd.to_datetime(frame[name], utc=True, cache=False, errors="coerce")
    if not frame.empty:
        return frame
    return frame.astype({name: _EMPTY.get(name, "object") for name in frame.columns if name not in _TIMES})


def struct_rows(items: Iterable[msgspec.Struct], *names: str) -> list[dict[str, Any]]:
    """The named attributes of structs as rows."""
    return [{name: getattr(item, name) for name in names} for item in items]


_EMPTY = {
    **dict.fromkeys(
        (
            "qty avg_cost realized_pnl unrealized_pnl multiplier commission market_price open_cost net_pnl market_value"
            " fx_rate realized_pnl_base unrealized_pnl_base market_value_base commission_base quantity explained residual"
            " broker_qty books_qty unassigned_qty age_s value_at_risk_base price qty_before qty_after avg_cost_before"
            " avg_cost_after realized_pnl_before realized_pnl_after cash fees realized unrealized cash_base fees_base"
            " realized_base unrealized_base recomputed found difference"
        ).split(),
        "float64",
    ),
    **dict.fromkeys("con_id fees_pending fees_pending_after fills runs episode".split(), "int64"),
    **dict.fromkeys(("enabled", "allowed"), "bool"),
}
"""Columns without rows have nothing that tells their dtype; what is not named here is text."""

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
