"""Every library, symbol, column, dtype and index that Fillbook stores.

The index of every table is ``recorded_at``: our clock, UTC, nanoseconds, never decreasing within one symbol (ArcticDB
refuses older rows; equal ones are fine). The broker's own time is the column ``timestamp``. Money and quantities are
float64, made from the shortest text of a Decimal and read back the same way; the rare Decimal that a float64 cannot
carry stands beside it as text in the column ``exact`` (JSON). Unknown is NaN, NaT or empty text, never 0; ids that the
broker numbers from 1 are whole numbers with 0 for unknown, as IB sends them.

``seq`` is the journal's sequence number of the fact that caused a row. A batch always holds all rows of a fact, so a
row at or below the ``seq`` in a symbol's metadata is known to be stored already.

Column kinds: ``text`` (str), ``number`` (float64), ``whole`` (int64), ``flag`` (bool), ``time`` (datetime64[ns], UTC;
ArcticDB drops the zone of a column, :meth:`ArcticStore.read` puts it back).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

Kind = Literal["text", "number", "whole", "flag", "time"]
INDEX: Final = "recorded_at"
DTYPES: Final[dict[Kind, str]] = {
    "text": "object",
    "number": "float64",
    "whole": "int64",
    "flag": "bool",
    "time": "datetime64[ns]",
}
EXTRA: Final = "extra"
"""Where :func:`columns_of` puts, as JSON, what a row carries beyond the table's columns."""


@dataclass(frozen=True, slots=True)
class Table:
    """The shape of a symbol.

    Attributes:
        columns: Name -> kind, in stored order.
        snapshot: True when each write replaces the rows (latest picture), False when rows are only ever appended.
    """

    name: str
    columns: Mapping[str, Kind]
    snapshot: bool = False


def _table(name: str, *, snapshot: bool = False, **kinds: str) -> Table:
    kind_of = {column: kind for kind, columns in kinds.items() if kind != "order" for column in columns.split()}
    order = kinds["order"].split()
    assert sorted(order) == sorted(kind_of), set(order) ^ set(kind_of)
    return Table(name, {column: kind_of[column] for column in order}, snapshot)  # type: ignore[misc]


FILLS: Final = _table(
    "fills",
    order=(
        "fill_id order_ref symbol qty price timestamp account con_id local_symbol sec_type currency"
        " multiplier exchange side perm_id order_id client_id commission commission_currency commission_status"
        " ib_realized_pnl realized_pnl source supersedes seq first_seq revision state reported_qty"
        " quoted_price magnifier order_time expiry strike right cum_qty avg_price liquidation provisional"
        " time_uncertain named contract_exchange trading_class received_at reason exact"
    ),
    text=(
        "fill_id order_ref symbol account local_symbol sec_type currency exchange side commission_currency"
        " commission_status source supersedes state expiry right contract_exchange trading_class reason exact"
    ),
    number=(
        "qty price multiplier commission ib_realized_pnl realized_pnl reported_qty quoted_price strike"
        " cum_qty avg_price"
    ),
    whole="con_id perm_id order_id client_id seq first_seq revision magnifier",
    flag="liquidation provisional time_uncertain named",
    time="timestamp order_time received_at",
)
"""One row per execution revision, and one more for each thing learnt of it (fee, correction, move).

``qty`` is what counts in the strategy's book (0 for a row that counts nothing), ``reported_qty`` what the broker said.
``price`` is instrument currency per unit, ``quoted_price`` what the broker quotes. ``named``: the message itself named
the strategy. ``supersedes``: the fill id that this row replaces.
"""

ORDERS: Final = _table(
    "orders",
    order=(
        "order_ref symbol side qty status timestamp account con_id perm_id order_id client_id order_type"
        " limit_price filled remaining avg_fill_price message seq order_key broker_status local_symbol"
        " sec_type currency multiplier exchange expiry strike right stop_price tif parent_id oca_group"
        " why_held error_code local source named received_at trading_class state is_open exact"
    ),
    text=(
        "order_ref symbol side status account order_type message order_key broker_status local_symbol"
        " sec_type currency exchange expiry right tif oca_group why_held source trading_class state exact"
    ),
    number="qty limit_price filled remaining avg_fill_price multiplier strike stop_price",
    whole="con_id perm_id order_id client_id seq parent_id error_code",
    flag="local named is_open",
    time="timestamp received_at",
)
"""One row per status transition. ``qty``, ``filled`` and ``remaining`` are unsigned beside ``side``; quoted prices.

``status`` is the word of the row, ``state`` what counts (``Cancelled, filled 5``), ``is_open`` whether it may still trade.
"""

POSITIONS: Final = _table(
    "positions",
    snapshot=True,
    order=(
        "symbol qty avg_cost realized_pnl unrealized_pnl account con_id local_symbol sec_type currency"
        " multiplier commission market_price timestamp seq open_cost commission_currency fees fees_pending"
        " cash fills exchange expiry strike right exact"
    ),
    text=("symbol account local_symbol sec_type currency commission_currency fees cash exchange expiry right exact"),
    number=("qty avg_cost realized_pnl unrealized_pnl multiplier commission market_price open_cost strike"),
    whole="con_id seq fees_pending fills",
    time="timestamp",
)
"""The latest books of one strategy, flat ones kept. ``fees`` and ``cash`` are JSON: currency -> amount as text."""

_RECONCILED: Final[dict[str, Any]] = {
    "order": (
        "symbol account con_id local_symbol sec_type currency strategy qty avg_cost realized_pnl"
        " unrealized_pnl broker_qty broker_avg_cost residual_qty status run_id timestamp seq multiplier"
        " market_price market_value commission commission_currency break_id base_currency rate"
        " market_value_base realized_pnl_base unrealized_pnl_base commission_base extra"
    ),
    "text": (
        "symbol account local_symbol sec_type currency strategy status run_id commission_currency break_id"
        " base_currency extra"
    ),
    "number": (
        "qty avg_cost realized_pnl unrealized_pnl broker_qty broker_avg_cost residual_qty multiplier"
        " market_price market_value commission rate market_value_base realized_pnl_base unrealized_pnl_base"
        " commission_base"
    ),
    "whole": "con_id seq",
    "time": "timestamp",
}
PORTFOLIO: Final = _table("portfolio", **_RECONCILED)
AGGREGATED: Final = _table("aggregated", snapshot=True, **_RECONCILED)

RUNS: Final = _table(
    "runs",
    order=("run_id status accounts positions breaks duration_ms reason seq timestamp account_names trigger extra"),
    text="run_id status reason account_names trigger extra",
    number="duration_ms",
    whole="accounts positions breaks seq",
    time="timestamp",
)
BREAKS: Final = _table(
    "breaks",
    order=(
        "break_id account con_id symbol local_symbol sec_type currency state broker_qty books_qty qty"
        " explained_qty residual_qty first_seen last_changed runs owner note value_at_risk_base base_currency"
        " causes run_id reason seq timestamp extra"
    ),
    text=(
        "break_id account symbol local_symbol sec_type currency state owner note base_currency causes run_id reason"
        " extra"
    ),
    number="broker_qty books_qty qty explained_qty residual_qty value_at_risk_base",
    whole="con_id runs seq",
    time="first_seen last_changed timestamp",
)
MARKS: Final = _table(
    "marks",
    order="account con_id price exact number timestamp seq",
    text="account exact",
    number="price",
    whole="con_id number seq",
    time="timestamp",
)
"""One row per mark that a table, a sample or a run showed for the first time; without a price: not known any more."""
CLOSES: Final = _table(
    "closes",
    order="close_id date account status operator reason statement seq timestamp extra",
    text="close_id date account status operator reason statement extra",
    whole="seq",
    time="timestamp",
)
STATEMENTS: Final = _table(
    "statements",
    order="kind account con_id qty timestamp seq extra",
    text="kind account extra",
    number="qty",
    whole="con_id seq",
    time="timestamp",
)
"""What imported statements told of positions, one row per event: evidence for the causes of breaks."""
ASSIGNMENTS: Final = _table(
    "journal",
    order=(
        "assignment_id account con_id strategy qty price operator reason reverses seq kind symbol"
        " local_symbol sec_type currency multiplier exec_id from_strategy price_source rule_id effective_at"
        " timestamp previous_hash entry_hash exact"
    ),
    text=(
        "assignment_id account strategy operator reason reverses kind symbol local_symbol sec_type currency"
        " exec_id from_strategy price_source rule_id previous_hash entry_hash exact"
    ),
    number="qty price multiplier",
    whole="con_id seq",
    time="effective_at timestamp",
)
"""One row per leg or moved execution of an entry, and one per reversal (``kind``: leg, move, reversal)."""

EQUITY: Final = _table(
    "equity",
    order=(
        "timestamp account currency cash fees realized unrealized base_currency cash_base fees_base"
        " realized_base unrealized_base seq extra"
    ),
    text="account currency base_currency extra",
    number="cash fees realized unrealized cash_base fees_base realized_base unrealized_base",
    whole="seq",
    time="timestamp",
)
FACTS: Final = _table("facts", order="seq kind received_at fact", text="kind fact", whole="seq", time="received_at")
"""Low-rate facts (instruments, rates, rules, notes …) as JSON, so that the store alone can rebuild."""

LIBRARIES: Final[dict[str, Table | dict[str, Table]]] = {
    "fills": FILLS,
    "orders": ORDERS,
    "positions": POSITIONS,
    "portfolio": {"aggregated": AGGREGATED, "": PORTFOLIO},
    "reconciliations": {"runs": RUNS, "breaks": BREAKS, "marks": MARKS, "closes": CLOSES, "statements": STATEMENTS},
    "assignments": {"journal": ASSIGNMENTS},
    "equity": EQUITY,
    "facts": FACTS,
}
"""Library -> the table of all its symbols, or of each by name (the empty name stands for any other)."""


def table_for(library: str, symbol: str) -> Table:
    """The shape of one symbol.

    Raises:
        KeyError: Fillbook stores nothing of that name.
    """
    found = LIBRARIES[library]
    if isinstance(found, Table):
        return found
    table = found.get(symbol) or found.get("")
    if table is None:
        raise KeyError(f"{library}/{symbol}")
    return table


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAT: Final = np.iinfo(np.int64).min
FAR_S: Final = 4_000_000_000.0
"""Up to here (year 2096) the float seconds of a datetime still tell microseconds apart."""
EARLIEST: Final = datetime(1678, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2262, 1, 1, tzinfo=UTC)
"""What datetime64[ns] can hold; a time outside it is stored as NaT."""


def numbers(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Decimals (or numbers) as float64, ``None`` as NaN."""
    return np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)


def times(values: Sequence[datetime | None]) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    """Aware datetimes as datetime64[ns] in UTC, exact to the microsecond; ``None`` as NaT."""
    if not values:
        return np.array([], dtype="datetime64[ns]")
    seconds = np.array([np.nan if v is None else v.timestamp() for v in values], dtype=np.float64)
    unknown = np.isnan(seconds)
    if bool(np.any(np.abs(seconds[~unknown]) > FAR_S)):
        micros = np.array([_exact_micros(v) for v in values], dtype=np.int64)
        unknown |= micros == _NAT
    else:
        micros = np.rint(np.where(unknown, 0.0, seconds) * 1e6).astype(np.int64)
    nanos = np.where(unknown, _NAT, micros * 1000)
    return nanos.astype(np.int64).view("datetime64[ns]")


def _exact_micros(value: datetime | None) -> int:
    if value is None or not EARLIEST <= value < LATEST:
        return int(_NAT)
    return (value - _EPOCH) // timedelta(microseconds=1)


def typed(kind: Kind, values: Any) -> np.ndarray[Any, Any]:
    """A sequence as a column in its stored dtype; ``None`` becomes NaN, NaT, empty text, 0 or False by kind.

    An array that already has the dtype is passed through.
    """
    if isinstance(values, np.ndarray) and values.dtype == DTYPES[kind]:
        return values
    if kind == "text":
        return np.array(["" if v is None else str(v) for v in values], dtype=object)
    if kind == "number":
        return numbers(values)
    if kind == "time":
        return times(values)
    if kind == "whole":
        return np.array([0 if v is None else int(v) for v in values], dtype=np.int64)
    return np.array([bool(v) for v in values], dtype=np.bool_)


def build_frame(
    table: Table, columns: Mapping[str, Sequence[Any]], index: np.ndarray[Any, np.dtype[np.datetime64]]
) -> pd.DataFrame:
    """Rows exactly in the table's shape.

    Args:
        columns: By name; those of the table that are missing are filled with unknown.
        index: ``recorded_at`` as datetime64[ns], UTC, not decreasing.

    Raises:
        ValueError: A column that the table does not have, or of another length.
    """
    strangers = columns.keys() - table.columns.keys()
    if strangers:
        raise ValueError(f"table {table.name} has no column {', '.join(sorted(strangers))}")
    count = len(index)
    made = {}
    for name, kind in table.columns.items():
        made[name] = typed(kind, columns[name]) if name in columns else typed(kind, [None] * count)
        if len(made[name]) != count:
            raise ValueError(f"column {name} of {table.name} has {len(made[name])} rows, the index {count}")
    return pd.DataFrame(made, index=pd.DatetimeIndex(index, tz="UTC", name=INDEX), copy=False)


def empty_frame(table: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """No rows, with the table's columns and dtypes as a read gives them (times with their zone)."""
    frame = localize(build_frame(table, {}, np.array([], dtype="datetime64[ns]")))
    return frame if columns is None else frame[list(columns)]


def localize(frame: pd.DataFrame) -> pd.DataFrame:
    """Put UTC on every time column; ArcticDB keeps the zone of the index only."""
    for name, dtype in frame.dtypes.items():
        if dtype.kind == "M" and getattr(dtype, "tz", None) is None:
            frame[name] = frame[name].dt.tz_localize("UTC")
    return frame
