"""Results of reconciliations as columns for the store (shapes: ``reconciliations`` and ``portfolio``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from engine.core.snapshot import AccountSnapshot, Confirmed
from engine.recon.breaks import BreakChange

Columns = dict[str, list[Any]]
StoreRows = Callable[[str, str, Columns, list[datetime]], object]
"""``(library, symbol, columns, recorded_at of each row)``; appends, or replaces when the symbol is a snapshot."""


def run_columns(
    *,
    run_id: str,
    status: str,
    answers: Sequence[AccountSnapshot],
    positions: int,
    breaks: int,
    duration_ms: float,
    trigger: str,
    detail: str,
) -> Columns:
    """One run as one row; request and answer times of every account are kept in ``extra`` (R25)."""
    good = [a for a in answers if isinstance(a, Confirmed)]
    times = {
        a.account: {
            "state": a.state,
            "requested_at": a.requested_at.isoformat(),
            **({"answered_at": a.answered_at.isoformat(), "epoch": a.epoch} if isinstance(a, Confirmed) else {}),
            **({} if isinstance(a, Confirmed) else {"reason": a.reason}),
        }
        for a in answers
    }
    return {
        "run_id": [run_id],
        "status": [status],
        "accounts": [len(good)],
        "positions": [positions],
        "breaks": [breaks],
        "duration_ms": [duration_ms],
        "reason": [detail or trigger],
        "timestamp": [max((a.answered_at for a in good), default=None)],
        "account_names": [",".join(a.account for a in answers)],
        "trigger": [trigger],
        "extra": [json.dumps({"answers": times})],
    }


def break_columns(changes: Sequence[BreakChange], run_id: str) -> Columns:
    """Steps of breaks as rows; ``extra`` holds the whole break, from which the book of breaks can be rebuilt."""
    found = [c.found for c in changes]
    return {
        "break_id": [b.break_id for b in found],
        "account": [b.account for b in found],
        "con_id": [b.con_id for b in found],
        "symbol": [b.symbol for b in found],
        "sec_type": [b.sec_type for b in found],
        "currency": [b.currency for b in found],
        "state": [b.state for b in found],
        "broker_qty": [float(b.broker_quantity) for b in found],
        "books_qty": [float(b.books_quantity) for b in found],
        "qty": [float(b.quantity) for b in found],
        "explained_qty": [float(b.explained) for b in found],
        "residual_qty": [float(b.residual) for b in found],
        "first_seen": [b.first_seen for b in found],
        "last_changed": [b.last_changed for b in found],
        "runs": [b.runs for b in found],
        "owner": [b.owner for b in found],
        "note": [b.note for b in found],
        "value_at_risk_base": [None if b.value_at_risk_base is None else float(b.value_at_risk_base) for b in found],
        "base_currency": [b.base_currency for b in found],
        "causes": [json.dumps([{"kind": c.kind, "title": c.title, "score": c.score} for c in b.causes]) for b in found],
        "run_id": [run_id] * len(found),
        "reason": [c.text for c in changes],
        "timestamp": [c.at for c in changes],
        "extra": [msgspec.json.encode(b).decode() for b in found],
    }
