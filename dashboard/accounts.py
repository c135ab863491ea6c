"""Pure: one row per account: when the broker last told its positions and prices, and what is open there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from dashboard import frames
from dashboard.theme import duration_text

TEXTS = ("account", "state", "answered", "priced")
NUMBERS = ("instruments", "breaks", "net")


def accounts_table(
    ages: Iterable[Mapping[str, Any]], positions: pd.DataFrame, breaks: pd.DataFrame, now: datetime
) -> pd.DataFrame:
    """Sum up per account.

    Args:
        ages: ``account, state, age_s, reason`` of the latest confirmed answer about positions.
        positions: The engine's positions; ``market_at`` tells when a price was heard.
        breaks: Open breaks.
        now: Aware.

    Returns:
        ``account, state, answered, priced`` (ages in words, a dash when unknown), ``instruments`` (held now),
        ``breaks`` and ``net`` (P&L in base currency over the positions whose P&L is known, NaN where none is).
    """
    rows = []
    told = {str(age["account"]): age for age in ages}
    named = set(told) | ({str(a) for a in positions["account"]} if "account" in positions else set())
    for account in sorted(named):
        age = told.get(account, {})
        held = frames.chosen(positions, account=account)
        priced = pd.to_datetime(held["market_at"], utc=True, errors="coerce").max() if "market_at" in held else None
        open_here = frames.number_column(held, "qty") != 0
        reason = str(age.get("reason") or "")
        rows.append(
            {
                "account": account,
                "state": f"{age.get('state', 'unknown')}{': ' if reason else ''}{reason}",
                "answered": duration_text(age.get("age_s")),
                "priced": "—" if priced is None or pd.isna(priced) else duration_text((now - priced).total_seconds()),
                "instruments": held["con_id"][open_here].nunique() if "con_id" in held else 0,
                "breaks": len(frames.chosen(breaks, account=account)),
                "net": frames.net_pnl(held).sum(min_count=1) if len(held) else float("nan"),
            }
        )
    return frames.tidy(pd.DataFrame(rows), TEXTS, NUMBERS)


def ages_of(square: Mapping[str, Any] | None, broker: Any, now: datetime) -> list[dict[str, Any]]:
    """How old the broker's answer about each account is, from the last comparison."""
    at = None if square is None else square.get("checked_at")
    unknown = {} if square is None else square.get("unknown") or {}
    age = None if at is None else (now - at).total_seconds()
    return [
        {"account": str(name), "state": "unknown", "age_s": None, "reason": str(unknown[name])}
        if name in unknown
        else {"account": str(name), "state": "not asked yet" if at is None else "confirmed", "age_s": age, "reason": ""}
        for name in getattr(broker, "accounts", ()) or ()
    ]
