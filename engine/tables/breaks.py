"""Breaks and what belongs to them as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.tables.positions import number
from engine.tables.records import rows_frame

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import pandas as pd

    from engine.recon.breaks import Break
    from engine.recon.softlock import Lockout

BREAK_COLUMNS = (
    "break_id",
    "account",
    "con_id",
    "symbol",
    "sec_type",
    "currency",
    "kind",
    "state",
    "quantity",
    "explained",
    "residual",
    "broker_qty",
    "books_qty",
    "unassigned_qty",
    "first_seen",
    "last_changed",
    "age_s",
    "runs",
    "episode",
    "owner",
    "note",
    "value_at_risk_base",
    "base_currency",
    "cause",
    "deferred",
    "closed_by",
)
LOCK_COLUMNS = ("account", "con_id", "symbol", "break_id", "reason", "since")


def breaks_frame(breaks: Iterable[Break], now: datetime) -> pd.DataFrame:
    """One row per break, in the order given; quantities signed, value at risk in base currency."""
    return rows_frame((_row(b, now) for b in breaks), BREAK_COLUMNS)


def _row(found: Break, now: datetime) -> dict[str, Any]:
    return {
        "break_id": found.break_id,
        "account": found.account,
        "con_id": found.con_id,
        "symbol": found.symbol,
        "sec_type": found.sec_type,
        "currency": found.currency,
        "kind": found.kind,
        "state": found.state,
        "quantity": number(found.quantity),
        "explained": number(found.explained),
        "residual": number(found.residual),
        "broker_qty": number(found.broker_quantity),
        "books_qty": number(found.books_quantity),
        "unassigned_qty": number(found.unassigned),
        "first_seen": found.first_seen,
        "last_changed": found.last_changed,
        "age_s": found.age_s(now),
        "runs": found.runs,
        "episode": found.episode,
        "owner": found.owner,
        "note": found.note,
        "value_at_risk_base": number(found.value_at_risk_base),
        "base_currency": found.base_currency,
        "cause": found.causes[0].title if found.causes else "",
        "deferred": found.deferred,
        "closed_by": found.closed_by,
    }


def cause_rows(found: Break) -> list[dict[str, Any]]:
    """Ranked causes as rows: kind, title, quantity, confidence (0 to 1), text, arithmetic, evidence, provisional, act."""
    return [
        {
            "kind": cause.kind,
            "title": cause.title,
            "quantity": number(cause.quantity),
            "confidence": cause.score / 100,
            "text": cause.title,
            "arithmetic": cause.arithmetic,
            "evidence": list(cause.evidence),
            "provisional": cause.provisional,
            "act": cause.proposal.act,
            "proposal": cause.proposal.text,
        }
        for cause in found.causes
    ]


def locks_frame(locks: Iterable[Lockout]) -> pd.DataFrame:
    """Advice not to trade as a table."""
    return rows_frame(({name: getattr(lock, name) for name in LOCK_COLUMNS} for lock in locks), LOCK_COLUMNS)
