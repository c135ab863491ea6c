"""Pure: equity samples and positions -> curves and today's profit per strategy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from dashboard.frames import chosen, net_pnl, number_column

Curves = dict[str, tuple[list[datetime], list[float]]]
"""Strategy -> moments (aware UTC) and values (base currency), of equal length."""


def equity_curves(equity: pd.DataFrame | None, *, account: str = "") -> Curves:
    """Net equity (realized + unrealized - fees, base currency) over time, per strategy, sorted by name.

    Accounts and currencies have a row when they changed: at any moment each is worth what its last row says, nothing before
    its first one. A moment at which one of them is unknown is left out.
    """
    frame = chosen(equity, account=account)
    if frame.empty:
        return {}
    work = pd.DataFrame(
        {
            "strategy": frame["strategy"].astype(str),
            "timestamp": pd.to_datetime(frame["timestamp"], utc=True, cache=False),
            "part": frame["account"].astype(str) + " " + (frame["currency"].astype(str) if "currency" in frame else ""),
            "total": number_column(frame, "realized_base")
            + number_column(frame, "unrealized_base")
            - number_column(frame, "fees_base"),
        }
    ).drop_duplicates(["strategy", "timestamp", "part"], keep="last")
    curves: Curves = {}
    for name, rows in work.groupby("strategy"):
        totals = rows["total"].to_numpy()
        numbered = rows.assign(place=np.arange(len(rows)))
        place = numbered.pivot_table(index="timestamp", columns="part", values="place", aggfunc="last").ffill()
        worth = np.where(place.isna(), 0.0, totals[place.fillna(0).to_numpy(dtype=int)]).sum(axis=1)
        known = ~np.isnan(worth)
        if known.any():  # a strategy of which no moment is known has no curve
            curves[str(name)] = (list(place.index[known].to_pydatetime()), worth[known].tolist())
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
