"""The journal of assignments, previews and rules as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.tables.positions import number
from engine.tables.records import rows_frame, struct_rows

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

    import pandas as pd

    from engine.core.events import AssignmentMade, RuleSet
    from engine.core.instrument import Instrument
    from engine.core.records import PositionRecord
    from engine.state.ledger import Ledger

JOURNAL_COLUMNS = (
    "assignment_id",
    "account",
    "con_id",
    "symbol",
    "strategy",
    "qty",
    "price",
    "price_source",
    "exec_id",
    "operator",
    "reason",
    "rule_id",
    "state",
    "reverses",
    "recorded_at",
    "entry_hash",
)
PREVIEW_COLUMNS = (
    "strategy",
    "account",
    "con_id",
    "symbol",
    "qty_before",
    "qty_after",
    "avg_cost_before",
    "avg_cost_after",
    "realized_pnl_before",
    "realized_pnl_after",
    "fees_pending_after",
    "price_source",
)
RULE_COLUMNS = (
    "rule_id",
    "strategy",
    "order_ref",
    "client_id",
    "account",
    "con_id",
    "enabled",
    "operator",
    "reason",
    "received_at",
)


def assignments_frame(ledger: Ledger, as_of: datetime | None = None) -> pd.DataFrame:
    """One row per leg, moved execution and reversal, oldest first; ``state`` is made, reversed or reversal.

    Args:
        as_of: Aware; only what had been recorded by then.
    """
    undone = {k: back for k, back in ledger.reversed_ids.items() if as_of is None or back.received_at <= as_of}
    rows: list[dict[str, Any]] = []
    for entry in ledger.assignments():
        if as_of is not None and entry.received_at > as_of:
            continue
        state = "reversed" if entry.assignment_id in undone else "made"
        rows += [_entry(entry, state) | part for part in _parts(entry, ledger)]
        back = undone.get(entry.assignment_id)
        if back is not None:
            rows.append(
                _entry(entry, "reversal")
                | {
                    "assignment_id": back.reversal_id,
                    "reverses": entry.assignment_id,
                    "operator": back.operator,
                    "reason": back.reason,
                    "recorded_at": back.received_at,
                    "entry_hash": back.entry_hash,
                }
            )
    return rows_frame(rows, JOURNAL_COLUMNS)


def _entry(entry: AssignmentMade, state: str) -> dict[str, Any]:
    return {
        "assignment_id": entry.assignment_id,
        "account": entry.account,
        "con_id": entry.instrument.con_id,
        "symbol": entry.instrument.symbol,
        "strategy": "",
        "qty": number(None),
        "price": number(None),
        "price_source": entry.price_source,
        "exec_id": "",
        "operator": entry.operator,
        "reason": entry.reason,
        "rule_id": entry.rule_id,
        "state": state,
        "reverses": "",
        "recorded_at": entry.received_at,
        "entry_hash": entry.entry_hash,
    }


def _parts(entry: AssignmentMade, ledger: Ledger) -> Iterable[dict[str, Any]]:
    for leg in entry.legs:
        yield {"strategy": leg.strategy, "qty": number(leg.quantity), "price": number(leg.price)}
    for move in entry.moves:
        found = [r for r in ledger.chain_of(entry.account, move.exec_id) if r.fill.exec_id == move.exec_id]
        part: dict[str, Any] = {"strategy": move.to_strategy, "exec_id": move.exec_id}
        if found:
            part |= {"qty": number(found[-1].fill.quantity), "price": number(found[-1].unit_price)}
        yield part


def preview_frame(entry: AssignmentMade, pairs: Iterable[tuple[PositionRecord | None, PositionRecord]]) -> pd.DataFrame:
    """Every book that an assignment would touch, before and after; unknown is NaN, a new book was 0 before."""
    rows = [
        {
            "strategy": after.strategy,
            "account": after.account,
            "con_id": after.instrument_key,
            "symbol": entry.instrument.symbol,
            "qty_before": 0.0 if before is None else number(before.quantity),
            "qty_after": number(after.quantity),
            "avg_cost_before": number(None if before is None else before.avg_cost),
            "avg_cost_after": number(after.avg_cost),
            "realized_pnl_before": 0.0 if before is None else number(_earned(before, entry.instrument)),
            "realized_pnl_after": number(_earned(after, entry.instrument)),
            "fees_pending_after": after.fees_pending,
            "price_source": entry.price_source,
        }
        for before, after in pairs
    ]
    return rows_frame(rows, PREVIEW_COLUMNS)


def _earned(record: PositionRecord, instrument: Instrument) -> Decimal | None:
    """Realized P&L, ``None`` where the quote is no price in money (F88) and anything but 0 was made."""
    return None if instrument.is_percent_of_par and record.realized_pnl else record.realized_pnl


def rules_frame(rules: Iterable[RuleSet]) -> pd.DataFrame:
    """One row per rule."""
    return rows_frame(struct_rows(rules, *RULE_COLUMNS), RULE_COLUMNS)
