"""Pure: the status rows of orders -> the bars of the order timeline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from dashboard.frames import is_dead, rows_of


def order_segments(timelines: Mapping[str, pd.DataFrame], shown: pd.DataFrame, now: datetime) -> dict[str, list[Any]]:
    """Bars of the order timeline: one per state interval of every order shown.

    Args:
        timelines: Order key -> its status rows, any order.
        shown: Rows of :func:`dashboard.frames.orders_table`, top to bottom.
        now: Where the bar of an open order ends; aware.

    Returns:
        Columns for a Bokeh source: ``row, label, status, left, right, filled, text, order_key``. ``left`` and ``right``
        are naive UTC datetimes, since Bokeh draws a naive time as it is. A state that ended at once still gets a width.
    """
    out: dict[str, list[Any]] = {n: [] for n in ("label", "status", "left", "right", "filled", "text", "order_key")}
    for record in rows_of(shown):
        story = timelines.get(str(record["order_key"]))
        if story is None or story.empty:
            continue
        rows = rows_of(story)
        starts = state_starts(story)
        for here, left, following in zip(rows, starts, [*starts[1:], None], strict=True):
            dead = is_dead(here["status"])
            right = following or (left if dead else max(now, left))
            filled = here.get("filled")
            out["label"].append(order_label(record))
            out["status"].append(str(here["status"]))
            out["left"].append(left.astimezone(UTC).replace(tzinfo=None))
            out["right"].append(right.astimezone(UTC).replace(tzinfo=None))
            out["filled"].append("—" if filled is None or pd.isna(filled) else f"{filled:g} of {record['qty']:g}")
            out["text"].append(str(here.get("message") or ""))
            out["order_key"].append(record["order_key"])
    return out


def state_starts(story: pd.DataFrame) -> list[datetime]:
    """When each state began, never going back.

    The broker's times are whole seconds for some states and finer for others, so they can contradict the order in which
    the states came; the time we recorded a state at (column or index ``recorded_at``) is used where there is one.
    """
    if "recorded_at" not in story and story.index.name == "recorded_at":
        story = story.reset_index()
    name = "recorded_at" if "recorded_at" in story else "timestamp"
    moments = pd.to_datetime(story[name], utc=True, errors="coerce").ffill().bfill().cummax()
    return [moment.to_pydatetime() for moment in moments if not pd.isna(moment)]


def order_label(record: Mapping[str, Any]) -> str:
    """What stands beside an order's bar; the key keeps it unique."""
    what = f"{record['side']} {record['qty']:g} {record['instrument'][:14]}"
    return f"{record['strategy'][:14]} · {what} · {str(record['order_key']).rpartition(':')[2]}"
