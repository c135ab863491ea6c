"""Records into columns: the way into the store. Fills and orders, which are many, are in ``hot_rows``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from engine.core.events import AnyFact, AssignmentMade, AssignmentReversed
from engine.core.instrument import Instrument
from engine.core.records import FillRecord, PositionRecord
from engine.storage.hot_rows import Columns, fill_columns, order_columns, survives
from engine.storage.schema import ASSIGNMENTS, EXTRA, POSITIONS, Table, typed

__all__ = [
    "Columns",
    "assignment_columns",
    "columns_of",
    "fact_columns",
    "fill_columns",
    "order_columns",
    "position_columns",
    "position_row",
    "survives",
]

_NOWHERE: Final = Instrument(con_id=0, symbol="", sec_type="")


def position_row(
    record: PositionRecord,
    instrument: Instrument | None,
    *,
    market_price: Decimal | None = None,
    unrealized_pnl: Decimal | None = None,
) -> dict[str, Any]:
    """One book as a row of ``positions/<STRATEGY>``.

    Args:
        market_price: Instrument currency per unit; ``None`` when no mark is known.
        unrealized_pnl: Instrument currency; ``None`` when it cannot be computed.
    """
    traded = instrument or _NOWHERE
    commission, currency = _one_fee(record, traded.currency)
    unpriced = traded.is_percent_of_par  # what the books sum up of its quotes is in no known unit (F88)
    row: dict[str, Any] = {
        "symbol": traded.symbol,
        "qty": record.quantity,
        "avg_cost": record.avg_cost,
        "realized_pnl": None if unpriced and record.realized_pnl else record.realized_pnl,
        "unrealized_pnl": unrealized_pnl,
        "account": record.account,
        "con_id": record.instrument_key,
        "local_symbol": traded.local_symbol,
        "sec_type": traded.sec_type,
        "currency": traded.currency,
        "multiplier": traded.multiplier,
        "commission": commission,
        "market_price": market_price,
        "timestamp": record.last_fill_at,
        "seq": record.seq,
        "open_cost": None if unpriced and record.open_cost else record.open_cost,
        "commission_currency": currency,
        "fees": _amounts(record.fees),
        "fees_pending": record.fees_pending,
        "cash": "{}" if unpriced else _amounts(record.cash),
        "fills": record.fills,
        "exchange": traded.exchange,
        "expiry": traded.expiry,
        "strike": traded.strike,
        "right": traded.right,
    }
    left = {k: str(v) for k, v in row.items() if isinstance(v, Decimal) and not survives(v)}
    row["exact"] = json.dumps(left, separators=(",", ":")) if left else ""
    return row


def _one_fee(record: PositionRecord, currency: str) -> tuple[Decimal | None, str]:
    """The fee in one figure: the only currency there is, else the instrument's part (the rest stands in ``fees``)."""
    if len(record.fees) == 1:
        ((only, amount),) = record.fees.items()
        return amount, only
    if currency in record.fees:
        return record.fees[currency], currency
    if record.fees or record.fees_pending:
        return None, ""
    return Decimal(0), currency


def _amounts(amounts: Mapping[str, Decimal]) -> str:
    return json.dumps({k: str(v) for k, v in sorted(amounts.items())}, separators=(",", ":")) if amounts else ""


def position_columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Rows of :func:`position_row` as columns."""
    return columns_of(POSITIONS, rows)


def columns_of(table: Table, rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Rows given as mappings, as the table's columns; for tables of a low rate.

    What a row carries beyond the table's columns is kept as JSON text in ``extra`` where the table has it.

    Raises:
        ValueError: A row carries what the table has no place for.
    """
    columns: Columns = {
        name: typed(kind, [row.get(name) for row in rows]) for name, kind in table.columns.items() if name != EXTRA
    }
    rest = [{k: v for k, v in row.items() if k not in columns and k != EXTRA} for row in rows]
    if EXTRA in table.columns:
        columns[EXTRA] = typed("text", [json.dumps(left, default=str, sort_keys=True) if left else "" for left in rest])
    elif any(rest):
        raise ValueError(f"table {table.name} has no column {', '.join(sorted({k for left in rest for k in left}))}")
    return columns


def assignment_columns(
    entries: Sequence[tuple[int, AssignmentMade | AssignmentReversed]],
    find: Callable[[str], AssignmentMade | None],
    executed: Callable[[str, str], FillRecord | None] = lambda _account, _exec_id: None,
) -> tuple[Columns, list[datetime]]:
    """The assignment journal's rows: one per leg, moved execution and reversal.

    Args:
        entries: (seq, fact) in order.
        find: Gives the entry that a reversal takes back, ``None`` when unknown.
        executed: Account and execution id -> the execution, for quantity and price of what was moved.
    """
    rows: list[dict[str, Any]] = []
    for seq, fact in entries:
        made = fact if isinstance(fact, AssignmentMade) else find(fact.assignment_id)
        row: dict[str, Any] = {"seq": seq, "timestamp": fact.received_at, "operator": fact.operator}
        row |= {"reason": fact.reason, "previous_hash": fact.previous_hash, "entry_hash": fact.entry_hash}
        if made is not None:
            row |= {"account": made.account, "con_id": made.instrument.con_id, "effective_at": made.effective_at}
            row |= {k: getattr(made.instrument, k) for k in ("symbol", "local_symbol", "sec_type", "currency")}
            row |= {
                "multiplier": made.instrument.multiplier,
                "price_source": made.price_source,
                "rule_id": made.rule_id,
            }
        if isinstance(fact, AssignmentReversed):
            rows.append(row | {"assignment_id": fact.reversal_id, "kind": "reversal", "reverses": fact.assignment_id})
            continue
        row["assignment_id"] = fact.assignment_id
        whole = msgspec.json.encode(fact).decode()
        rows += [
            row | {"kind": "leg", "strategy": leg.strategy, "qty": leg.quantity, "price": leg.price}
            for leg in fact.legs
        ]
        for move in fact.moves:
            moved: dict[str, Any] = {"kind": "move", "strategy": move.to_strategy, "from_strategy": move.from_strategy}
            held = executed(fact.account, move.exec_id)
            if held is not None:
                moved |= {"qty": held.fill.quantity, "price": held.unit_price}
            rows.append(row | moved | {"exec_id": move.exec_id})
        if fact.legs or fact.moves:
            rows[-1]["exact"] = whole
    return columns_of(ASSIGNMENTS, rows), [row["timestamp"] for row in rows]


def fact_columns(facts: Sequence[tuple[int, AnyFact]]) -> tuple[Columns, list[datetime]]:
    """Facts in their wire form as JSON, for ``facts/<kind>``."""
    columns: Columns = {
        "seq": typed("whole", [seq for seq, _ in facts]),
        "kind": typed("text", [str(type(fact).__struct_config__.tag) for _, fact in facts]),
        "received_at": typed("time", [fact.received_at for _, fact in facts]),
        "fact": typed("text", [msgspec.json.encode(fact).decode() for _, fact in facts]),
    }
    return columns, [fact.received_at.astimezone(UTC) for _, fact in facts]
