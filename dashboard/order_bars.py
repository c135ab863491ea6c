"""Pure: the status rows of orders -> the bars of the order timeline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import pandas as pd

from dashboard.frames import is_dead, rows_of
from dashboard.theme import quantity_text


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
        starts = state_starts(story)
        label, key, quantity = order_label(record), record["order_key"], record["qty"]
        states = zip(_column(story, "status"), _column(story, "filled"), _column(story, "message"), starts, strict=True)
        for (status, filled, message, left), following in zip(states, [*starts[1:], None], strict=True):
            right = following or (left if is_dead(status) else max(now, left))
            out["label"].append(label)
            out["status"].append(str(status))
            out["left"].append(left.astimezone(UTC).replace(tzinfo=None))
            out["right"].append(right.astimezone(UTC).replace(tzinfo=None))
            out["filled"].append(
                "—" if filled is None or pd.isna(filled) else f"{_plain(filled)} of {_plain(quantity)}"
            )
            out["text"].append(str(message or ""))
            out["order_key"].append(key)
    return out


def state_starts(story: pd.DataFrame) -> list[datetime]:
    """When each state began, never going back.

    The broker's times are whole seconds for some states and finer for others, so they can contradict the order in which
    the states came; the time we recorded a state at (column or index ``recorded_at``) is used where there is one.
    """
    if "recorded_at" not in story and story.index.name == "recorded_at":
        story = story.reset_index()
    name = "recorded_at" if "recorded_at" in story else "timestamp"
    moments = [m for m in _column(story, name) if isinstance(m, pd.Timestamp)]
    if len(moments) < len(story):  # rare: pandas fills the holes
        filled = pd.to_datetime(story[name], utc=True, cache=False, errors="coerce").ffill().bfill()
        moments = [m for m in filled.tolist() if not pd.isna(m)]
    return [at.to_pydatetime() for at in accumulate(moments, max)]


def _column(story: pd.DataFrame, name: str) -> list[Any]:
    values: list[Any] = story[name].tolist() if name in story else [None] * len(story)
    return values


def _plain(quantity: float) -> str:
    """All of a quantity's digits, without a plus sign."""
    return quantity_text(quantity).lstrip("+")


def order_label(record: Mapping[str, Any]) -> str:
    """What stands beside an order's bar; the key keeps it unique."""
    what = f"{record['side']} {_plain(record['qty'])} {record['instrument'][:14]}"
    return f"{record['strategy'][:14]} · {what} · {str(record['order_key']).rpartition(':')[2]}"
