"""Pure: equity samples and positions -> curves and today's profit per strategy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pandas as pd

from dashboard.frames import chosen, net_pnl, number_column

Curves = dict[str, tuple[list[datetime], list[float]]]
"""Strategy -> moments (aware UTC) and values (base currency), of equal length."""


def equity_curves(equity: pd.DataFrame | None, *, account: str = "") -> Curves:
    """Net equity (realized + unrealized - fees, base currency) over time, per strategy, sorted by name.

    Accounts and currencies are sampled at the same moments; a moment of which one part is unknown is left out.
    """
    frame = chosen(equity, account=account)
    if frame.empty:
        return {}
    work = frame.assign(
        total=number_column(frame, "realized_base")
        + number_column(frame, "unrealized_base")
        - number_column(frame, "fees_base").fillna(0.0),
        timestamp=pd.to_datetime(frame["timestamp"], utc=True),
    )
    grouped = work.assign(unknown=work["total"].isna()).groupby(["strategy", "timestamp"])
    sums = grouped["total"].sum()[~grouped["unknown"].any()]
    curves: Curves = {}
    for name in sorted({str(key[0]) for key in sums.index}):
        part = sums[name]
        curves[name] = ([moment.to_pydatetime() for moment in part.index], [float(v) for v in part])
    return curves


def pnl_today(
    positions: pd.DataFrame | None, curves: Mapping[str, tuple[list[datetime], list[float]]], day_start: datetime
) -> dict[str, float]:
    """Net P&L since ``day_start`` per strategy, in base currency.

    Args:
        positions: Gives the present net P&L.
        curves: From :func:`equity_curves`; the last value before the day began is what is taken off. A strategy without
            one began today: its whole P&L is today's.
        day_start: Aware.

    Returns:
        Strategy -> amount over the positions whose P&L is known, NaN where none is.
    """
    frame = chosen(positions)
    if frame.empty:
        return {}
    totals = net_pnl(frame).groupby(frame["strategy"].astype(str)).sum(min_count=1)
    out = {}
    for name, total in totals.items():
        times, values = curves.get(str(name), ([], []))
        before = [value for moment, value in zip(times, values, strict=True) if moment < day_start]
        out[str(name)] = float(total) - (before[-1] if before else 0.0)
    return out
