"""Pure: one row per account: when the broker last told its positions and prices, and what is open there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from dashboard import frames
from dashboard.theme import duration_text

TEXTS = ("account", "state", "answered", "priced")
ALL = "all accounts"
NUMBERS = ("instruments", "breaks", "net")


def accounts_table(
    ages: Iterable[Mapping[str, Any]],
    positions: pd.DataFrame,
    breaks: pd.DataFrame | None,
    now: datetime,
    accounts: Iterable[str] = (),
    silent: str = "not asked yet",
) -> pd.DataFrame:
    """Sum up per account.

    Args:
        ages: ``account``, ``state`` and ``reason`` of the latest answer about positions, and when the latest complete
            one came (``answered_at``), as the engine gives them.
        positions: The engine's positions; ``market_at`` tells when a price was heard.
        breaks: Open breaks; ``None`` when they are not known.
        now: Aware.
        silent: State of an account whose positions were not told.
        accounts: Those that the connection has named; they stand in the table even before any answer.

    Returns:
        ``account, state, answered, priced`` (ages in words, a dash when unknown), ``instruments`` (held now),
        ``breaks`` and ``net`` (P&L in base currency over the positions whose P&L is known, NaN where none is).
    """
    rows = []
    told = {str(age["account"]): age for age in ages}
    named = set(told) | set(accounts) | ({str(a) for a in positions["account"]} if "account" in positions else set())
    for account in sorted(named):
        age = told.get(account, {})
        # IB's answer is about all accounts as long as it has named none.
        one = "" if account == "*" else account
        held = frames.chosen(positions, account=one)
        seen = held.get("market_at")
        priced = None if seen is None else pd.to_datetime(seen, utc=True, cache=False, errors="coerce").max()
        open_here = frames.number_column(held, "qty") != 0
        reason, answered = str(age.get("reason") or ""), age.get("answered_at")
        rows.append(
            {
                "account": one or ALL,
                "state": f"{age.get('state', silent)}{': ' if reason else ''}{reason}",
                "answered": "—" if answered is None else duration_text((now - answered).total_seconds()),
                "priced": "—" if priced is None or pd.isna(priced) else duration_text((now - priced).total_seconds()),
                "instruments": held["con_id"][open_here].nunique() if "con_id" in held else 0,
                "breaks": float("nan") if breaks is None else len(frames.chosen(breaks, account=one)),
                "net": frames.net_pnl(held).sum(min_count=1) if len(held) else float("nan"),
            }
        )
    return frames.tidy(pd.DataFrame(rows), TEXTS, NUMBERS)
