"""Which rows of a section count.

A query can ask for several levels of detail at once, and IB mixes them in one section: executions with their orders,
lots and sums; positions with their lots; actions with their summaries. Taking all counts everything two to four times
(F142, F108).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from engine.broker import flex_rows
from engine.broker.flex_xml import Problems, Row
from engine.core.statement import StatementPosition

_SUM_TAGS: Final = frozenset({"Order", "SymbolSummary", "AssetSummary", "Lot", "WashSale"})
_SUM_LEVELS: Final = frozenset({"ORDER", "CLOSED_LOT", "LOT", "SYMBOL_SUMMARY", "ASSET_SUMMARY", "WASH_SALE"})


def every(rows: list[Row]) -> list[Row]:
    """All rows: the section has one level only."""
    return rows


def executions(rows: list[Row]) -> list[Row]:
    """Of section ``Trades``: executions, corrections and cancellations. An unknown element is lost (R40)."""
    return [row for row in rows if _is_execution_level(row) and flex_rows.trade_kind(row) != flex_rows.BOOK_TRADE]


def book_entries(rows: list[Row]) -> list[Row]:
    """Of section ``Trades``: what moved a position without an execution."""
    return [row for row in rows if _is_execution_level(row) and flex_rows.trade_kind(row) == flex_rows.BOOK_TRADE]


def _is_execution_level(row: Row) -> bool:
    level = row.text("levelOfDetail").upper()
    if row.tag == "Trade" and level in {"", "EXECUTION"}:
        return True
    if row.tag not in _SUM_TAGS and not (row.tag == "Trade" and level in _SUM_LEVELS):
        row.report(f"level {level[:40]!r} is not known: not booked", lost=True)
    return False


def details(rows: list[Row]) -> list[Row]:
    """The DETAIL rows; SUMMARY rows only where the whole section has nothing else."""
    exact = [row for row in rows if row.text("levelOfDetail").upper() != "SUMMARY"]
    return exact or rows


def closing_positions(rows: list[Row], account: str, problems: Problems) -> tuple[StatementPosition, ...]:
    """The SUMMARY rows, one per instrument; the sum of its lots for an instrument that has only those.

    An instrument that comes once per model portfolio is summed over the models; a row that repeats an earlier one
    replaces it.
    """
    sums: dict[int, dict[str, StatementPosition]] = {}
    lots: dict[int, list[StatementPosition]] = {}
    for row in rows:
        level = row.text("levelOfDetail").upper()
        if row.tag != "OpenPosition" or level not in {"", "SUMMARY", "LOT"}:
            row.report(f"level {level[:40]!r} is not known: not read", lost=True)
            continue
        found = flex_rows.position(row, account)
        if found is None:
            continue
        if level == "LOT":
            lots.setdefault(found.instrument.con_id, []).append(found)
            continue
        models = sums.setdefault(found.instrument.con_id, {})
        model = row.text("model")
        if model in models:
            problems.add("OpenPositions", f"{found.instrument.symbol} is listed more than once; the last row counts")
        models[model] = found
    closing = [_total(models.values()) for models in sums.values()]
    alone = [parts for con_id, parts in lots.items() if con_id not in sums]
    if alone:
        problems.add("OpenPositions", "only lots, no summary: positions are their sums")
    return tuple(closing + [_total(parts) for parts in alone])


def _total(parts: Iterable[StatementPosition]) -> StatementPosition:
    held = list(parts)
    total = sum((part.quantity for part in held), Decimal(0))
    return held[0] if len(held) == 1 else msgspec.structs.replace(held[0], quantity=total, cost_price=None)
