"""Pure: the engine's tables -> the tables on the screen. No Panel, no clock, no engine.

Every function takes and returns data frames, tolerates empty frames and missing optional columns (unknown is NaN or an
empty text), and leaves its input alone. Times become text in UTC, which sorts as it reads; the column titles say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import numpy as np
import pandas as pd

from dashboard.theme import quantity_text

DEAD = ("Filled", "Cancelled", "ApiCancelled", "Inactive", "Rejected", "Expired")
"""Order states after which nothing more is expected."""


def is_dead(status: object) -> bool:
    """True for a state after which nothing more is expected; ``Rejected, filled 20`` is a kind of ``Rejected``."""
    return str(status).partition(",")[0] in DEAD


def tidy(
    frame: pd.DataFrame | None, texts: Sequence[str] = (), numbers: Sequence[str] = (), times: Sequence[str] = ()
) -> pd.DataFrame:
    """Bring a table into exactly the asked columns: texts, then numbers as float64, then times as UTC text.

    Args:
        frame: Any table, or nothing at all.
        texts: Become ``str``; missing ones are empty.
        numbers: Become float64; missing or unreadable ones are NaN.
        times: Become text such as ``2026-01-31 14:05:09.120``, empty when unknown.

    Returns:
        A new table with a fresh 0..n-1 index.
    """
    source = pd.DataFrame() if frame is None else frame
    size = len(source)
    out: dict[str, Any] = {}
    for name in texts:
        out[name] = _texts(source[name]) if name in source else objects([""] * size)
    for name in numbers:
        out[name] = number_column(source, name).to_numpy()
    for name in times:
        out[name] = objects(clock(source[name]) if name in source else [""] * size)
    return pd.DataFrame(out, columns=[*texts, *numbers, *times])


def objects(values: list[Any]) -> Any:
    """A column of these values, whatever they are."""
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _texts(values: pd.Series[Any]) -> Any:
    return objects([v if type(v) is str else "" if _missing(v) else str(v) for v in values.tolist()])


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts by column name."""
    return cast("list[dict[str, Any]]", frame.to_dict("records"))


def _missing(value: object) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value))


def clock(values: pd.Series[Any]) -> list[str]:
    """Write moments as UTC text with milliseconds; empty when unknown."""
    moments = pd.to_datetime(values, utc=True, cache=False, errors="coerce").to_numpy(dtype="datetime64[ns]")
    words = np.datetime_as_string(moments.astype("datetime64[ms]"), unit="ms").tolist()
    return ["" if word == "NaT" else word.replace("T", " ") for word in words]


def chosen(frame: pd.DataFrame | None, *, strategy: str = "", account: str = "") -> pd.DataFrame:
    """Rows of one strategy and one account; empty words mean all."""
    if frame is None or frame.empty:
        return pd.DataFrame() if frame is None else frame
    if strategy and "strategy" in frame:
        frame = frame[frame["strategy"] == strategy]
    if account and "account" in frame:
        frame = frame[frame["account"] == account]
    return frame


def net_pnl(frame: pd.DataFrame) -> pd.Series[float]:
    """Realized plus unrealized minus fees in base currency, per row; NaN as soon as one of the three is unknown.

    A flat position has nothing unrealized, whatever its mark.
    """
    if frame.empty:
        return pd.Series(dtype="float64")
    realized = number_column(frame, "realized_pnl_base")
    unrealized = number_column(frame, "unrealized_pnl_base")
    flat = number_column(frame, "qty") == 0
    return realized + unrealized.where(~flat, 0.0) - number_column(frame, "commission_base")


def number_column(frame: pd.DataFrame, name: str) -> pd.Series[float]:
    """A column as float64; NaN where it is missing or no number."""
    if name not in frame:
        return pd.Series(np.nan, index=frame.index, dtype="float64")
    column = frame[name]
    return column if column.dtype == np.float64 else pd.to_numeric(column, errors="coerce").astype("float64")


def base_currency(positions: pd.DataFrame | None, configured: str) -> str:
    """The currency that base amounts are in: as configured, else the one all positions name, else the word ``base``."""
    if configured:
        return configured
    named = (
        set()
        if positions is None or "base_currency" not in positions
        else set(positions["base_currency"].dropna()) - {""}
    )
    return str(named.pop()) if len(named) == 1 else "base"


# --- positions --------------------------------------------------------------------------------------------------------

POSITION_TEXTS = ("strategy", "account", "instrument", "sec_type", "currency", "symbol")
POSITION_NUMBERS = (
    "qty",
    "avg_cost",
    "market_price",
    "unrealized_pnl",
    "realized_pnl",
    "commission",
    "unrealized_pnl_base",
    "realized_pnl_base",
    "con_id",
)


def with_instrument(frame: pd.DataFrame) -> pd.DataFrame:
    """Add ``instrument``: the local symbol, the symbol where there is none, else the ``con_id``."""
    if frame.empty:
        return frame
    blank = [""] * len(frame)
    local, symbol, con_id = (
        frame[name].tolist() if name in frame else blank for name in ("local_symbol", "symbol", "con_id")
    )
    names = [str(one or two or f"con_id {three or '?'}") for one, two, three in zip(local, symbol, con_id, strict=True)]
    return frame.assign(instrument=objects(names))


def positions_table(
    frame: pd.DataFrame | None, *, strategy: str = "", account: str = "", flat: bool = False
) -> pd.DataFrame:
    """One row per strategy, account and instrument, in that order; flat ones only when asked for."""
    frame = chosen(frame, strategy=strategy, account=account)
    if not frame.empty and not flat:
        frame = frame[number_column(frame, "qty") != 0]
    out = tidy(with_instrument(frame), POSITION_TEXTS, POSITION_NUMBERS)
    return out.sort_values(["strategy", "account", "instrument"], kind="stable", ignore_index=True)


def by_instrument(positions: pd.DataFrame | None, portfolio: pd.DataFrame | None, *, account: str = "") -> pd.DataFrame:
    """Who is long, who is short, what the broker holds, what is left over; one row per account and instrument.

    Args:
        positions: ``strategy, account, con_id, qty`` and names.
        portfolio: The reconciled table with ``broker_qty``, ``residual_qty``, ``status`` per (account, con_id).
        account: Only this account, empty for all.

    Returns:
        ``account, instrument, currency, long, short`` (texts), ``books_qty, broker_qty,
        residual_qty, con_id`` (numbers), ``status``.
    """
    frame = chosen(positions, account=account)
    texts, numbers = (
        ("account", "instrument", "currency", "long", "short", "status"),
        ("books_qty", "broker_qty", "residual_qty", "con_id"),
    )
    broker = _broker_side(chosen(portfolio, account=account))
    if frame.empty and not broker:
        return tidy(None, texts, numbers)
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for row in with_instrument(frame).to_dict("records") if not frame.empty else []:
        key = (str(row["account"]), int(row["con_id"]))
        entry = rows.setdefault(
            key,
            {"account": key[0], "con_id": key[1], "instrument": row["instrument"], "currency": row.get("currency", ""),
             "long": [], "short": [], "books_qty": 0.0},
        )  # fmt: skip
        qty = float(row["qty"])
        if qty:
            entry["long" if qty > 0 else "short"].append(f"{row['strategy']} {quantity_text(qty)}")
        entry["books_qty"] += qty
    for key, seen in broker.items():
        entry = rows.setdefault(
            key,
            {"account": key[0], "con_id": key[1], "instrument": seen["instrument"],
             "currency": seen.get("currency", ""),
             "long": [], "short": [], "books_qty": 0.0},
        )  # fmt: skip
        entry.update(broker_qty=seen["broker_qty"], residual_qty=seen["residual_qty"], status=seen["status"])
    for entry in rows.values():
        entry["long"], entry["short"] = ", ".join(entry["long"]), ", ".join(entry["short"])
    out = tidy(pd.DataFrame(rows.values()), texts, numbers)
    return out.sort_values(["instrument", "account"], kind="stable", ignore_index=True)


def _broker_side(portfolio: pd.DataFrame) -> dict[tuple[str, int], dict[str, Any]]:
    if portfolio.empty or "con_id" not in portfolio:
        return {}
    wanted = with_instrument(portfolio).drop_duplicates(["account", "con_id"], keep="last")
    out = {}
    for row in rows_of(wanted):
        key = (str(row["account"]), int(row["con_id"]))
        out[key] = {name: row.get(name) for name in ("instrument", "currency", "broker_qty", "residual_qty", "status")}
    return out


def per_strategy(positions: pd.DataFrame | None, today: Mapping[str, float], *, account: str = "") -> pd.DataFrame:
    """P&L per strategy in base currency.

    Args:
        positions: The positions table of the engine.
        today: Strategy -> net P&L since the day began (see :func:`dashboard.earnings.pnl_today`).
        account: Only this account, empty for all.

    Returns:
        ``strategy, today, net, realized, unrealized, fees``, sums in base currency over the positions that are known
        (NaN where none is), and ``unknown``, the number of positions whose net P&L is not. Last row: ``Total``.
    """
    frame = chosen(positions, account=account)
    columns = ("today", "net", "realized", "unrealized", "fees", "unknown")
    if frame.empty:
        return tidy(None, ("strategy",), columns)
    net = net_pnl(frame)
    work = pd.DataFrame(
        {
            "strategy": frame["strategy"].astype(str),
            "net": net,
            "realized": number_column(frame, "realized_pnl_base"),
            "unrealized": number_column(frame, "unrealized_pnl_base").where(number_column(frame, "qty") != 0, 0.0),
            "fees": number_column(frame, "commission_base"),
            "unknown": net.isna().astype("float64"),
        }
    )
    grouped = work.groupby("strategy", sort=True).sum(min_count=1).reset_index()
    grouped["today"] = [today.get(name, np.nan) for name in grouped["strategy"]]
    total = {name: grouped[name].sum(min_count=1) for name in columns}
    return tidy(pd.concat([grouped, pd.DataFrame([{"strategy": "Total", **total}])]), ("strategy",), columns)


# --- fills and orders -------------------------------------------------------------------------------------------------

FILL_TEXTS = (
    "strategy",
    "account",
    "instrument",
    "side",
    "currency",
    "commission_status",
    "state",
    "source",
    "order_ref",
    "fill_id",
)
FILL_NUMBERS = ("qty", "price", "commission", "realized_pnl", "perm_id")
FILL_TIMES = ("timestamp", "recorded_at")


def fills_table(frame: pd.DataFrame | None, more: tuple[str, ...] = ()) -> pd.DataFrame:
    """The blotter's rows, in the order they came in; ``more`` names further text columns."""
    source = pd.DataFrame() if frame is None else frame
    if not source.empty and "recorded_at" not in source and source.index.name == "recorded_at":
        source = source.reset_index()
    return tidy(with_instrument(source), (*FILL_TEXTS, *more), FILL_NUMBERS, FILL_TIMES)


ORDER_TEXTS = ("strategy", "account", "instrument", "side", "order_type", "status", "order_ref", "message", "order_key")
ORDER_NUMBERS = ("qty", "filled", "remaining", "limit_price", "avg_fill_price")
ORDER_TIMES = ("timestamp",)


def orders_table(
    frame: pd.DataFrame | None, *, strategy: str = "", account: str = "", limit: int = 200
) -> pd.DataFrame:
    """Open orders first, then the others; both newest first; at most ``limit`` rows. One last seen long ago says so."""
    source = chosen(frame, strategy=strategy, account=account)
    if source.empty:
        return tidy(None, ORDER_TEXTS, ORDER_NUMBERS, ORDER_TIMES)
    at = pd.to_datetime(source["timestamp"], utc=True, cache=False, errors="coerce")
    if "recorded_at" in source:  # not every state comes with the broker's time
        at = at.fillna(pd.to_datetime(source["recorded_at"], utc=True, cache=False, errors="coerce"))
    source = source.assign(_closed=source["status"].map(is_dead), _at=at)
    source = source.sort_values(["_closed", "_at"], ascending=[True, False], kind="stable").head(limit)
    if "stale" in source:
        source["status"] = source["status"].where(~source["stale"], source["status"] + " (stale)")
    return tidy(with_instrument(keyed(source)), ORDER_TEXTS, ORDER_NUMBERS, ORDER_TIMES)


def keyed(frame: pd.DataFrame) -> pd.DataFrame:
    """Add ``order_key`` where the table has none: by ``perm_id`` when there is one, else by client and order id."""
    if "order_key" in frame:
        return frame
    keys = []
    for row in rows_of(frame):
        perm, account = int(row.get("perm_id") or 0), row.get("account", "")
        keys.append(f"P{account}:{perm}" if perm else f"O{account}:{row.get('client_id', 0)}:{row.get('order_id', 0)}")
    return frame.assign(order_key=keys)


# --- breaks and the rest ----------------------------------------------------------------------------------------------

BREAK_TEXTS = ("state", "account", "instrument", "owner", "note", "break_id")
BREAK_NAMES = {"status": "state", "qty": "quantity", "explained_qty": "explained", "residual_qty": "residual"}
"""Stored column names -> the names on the screen."""
BREAK_NUMBERS = (
    "residual",
    "quantity",
    "unassigned_qty",
    "explained",
    "value_at_risk_base",
    "runs",
    "age_s",
    "con_id",
)


def breaks_table(frame: pd.DataFrame | None, *, account: str = "", now: datetime) -> pd.DataFrame:
    """Open breaks, the largest value at risk first; ``age_min`` in minutes since first seen."""
    source = chosen(frame, account=account)
    if source.empty:
        return tidy(None, BREAK_TEXTS, (*BREAK_NUMBERS, "age_min"), ("first_seen", "last_changed"))
    source = with_instrument(source)
    source = source.rename(columns={old: new for old, new in BREAK_NAMES.items() if new not in source})
    if "break_id" not in source:
        source = source.assign(break_id=[f"{a}:{c}" for a, c in zip(source["account"], source["con_id"], strict=True)])
    if "first_seen" in source:
        seen = pd.to_datetime(source["first_seen"], utc=True, cache=False, errors="coerce")
        source = source.assign(age_min=((pd.Timestamp(now) - seen).dt.total_seconds() / 60).round(1))
    out = tidy(source, BREAK_TEXTS, (*BREAK_NUMBERS, "age_min"), ("first_seen", "last_changed"))
    return out.sort_values("value_at_risk_base", ascending=False, kind="stable", na_position="first", ignore_index=True)


def unbalanced(breaks: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part breaks by the invariant strategies + UNASSIGNED = broker.

    Args:
        breaks: The engine's breaks: ``quantity`` (broker minus strategies) and, where given, ``unassigned_qty``.

    Returns:
        (breaks for which it fails, breaks that only wait in UNASSIGNED for an owner); both carry ``missing``, the
        broker's quantity minus all books, UNASSIGNED included.
    """
    source = pd.DataFrame() if breaks is None else breaks
    if source.empty:
        return source, source
    source = source.rename(columns={old: new for old, new in BREAK_NAMES.items() if new not in source})
    source = source.assign(
        missing=number_column(source, "quantity") - number_column(source, "unassigned_qty").fillna(0.0)
    )
    fails = source["missing"] != 0  # an unknown quantity (NaN) fails too
    return source[fails], source[~fails]


def preview_table(before_after: pd.DataFrame | Sequence[Mapping[str, Any]] | None) -> pd.DataFrame:
    """Before and after of every book that an assignment touches, as the engine gives it, texts first."""
    source = before_after if isinstance(before_after, pd.DataFrame) else pd.DataFrame(list(before_after or []))
    if source.empty:
        return source
    texts = [str(name) for name in source if source[name].dtype == object and not _numeric(source[name])]
    return tidy(source, texts, [str(name) for name in source if name not in texts])


def _numeric(column: pd.Series[Any]) -> bool:
    return bool(len(column)) and bool(pd.to_numeric(column, errors="coerce").notna().all())


def same(left: pd.DataFrame | None, right: pd.DataFrame | None) -> bool:
    """True when nothing that is shown would change."""
    if left is None or right is None:
        return left is right
    return left.equals(right)


def matching(frame: pd.DataFrame, words: str) -> pd.DataFrame:
    """Rows of which any text column contains ``words``, whatever the case; all rows for no words."""
    if not words or frame.empty:
        return frame
    hit = pd.Series(data=False, index=frame.index)
    for name in frame.select_dtypes(include=["object", "string"]):
        hit |= frame[name].astype(str).str.contains(words, case=False, regex=False)
    return frame[hit]
