"""Is it square, as an operator means it: what the badge says, and how old each account's answer is.

Three things must not be mixed up. A *difference* means that a fact is missing or too many: the law ``strategies +
UNASSIGNED + difference = broker`` has a difference that is not 0. Executions that *wait in UNASSIGNED* break no law; they
wait for an owner. And what is still *settling* is probably lag, so nothing can be said yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.core.snapshot import Confirmed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from engine.core.snapshot import AccountSnapshot
    from engine.recon.breaks import Break


def square_of(
    breaks: Iterable[Break], *, checked_at: datetime | None, unknown: Mapping[str, str], available: bool
) -> dict[str, Any]:
    """Say whether strategies + UNASSIGNED = broker for every account and instrument.

    Args:
        breaks: All that are known, settling ones included.
        checked_at: When the last good comparison was; ``None`` when there never was one.
        unknown: Accounts that gave no complete answer then, and why.
        available: False while IB is away: then nothing is certain any more.

    Returns:
        ``state`` (``unknown``, ``breaks``, ``settling``, ``unassigned``, ``square``), ``ok`` (``None`` while unknown, True
        where the law holds, executions waiting in UNASSIGNED included), ``breaks``, ``settling`` and ``unassigned``
        (numbers of instruments), ``text`` (one line), ``checked_at``, ``unknown``.
    """
    differing = settling = waiting = 0
    for found in breaks:
        if found.is_open and (found.difference or found.kind == "cost"):
            differing += 1
        elif found.state == "settling" and found.difference:
            settling += 1
        elif found.unassigned:
            waiting += 1
    if checked_at is None or not available:
        state = "unknown"
    elif differing:
        state = "breaks"
    elif unknown:
        state = "unknown"
    elif settling:
        state = "settling"
    else:
        state = "unassigned" if waiting else "square"
    parts = {
        "unknown": "not known: " + ("; ".join(f"{a}: {why}" for a, why in unknown.items()) or "no complete answer"),
        "breaks": f"{differing} not square",
        "settling": f"{settling} settling",
        "unassigned": "square",
        "square": "square",
    }
    return {
        "state": state,
        "ok": None if state == "unknown" else state in {"square", "unassigned"},
        "breaks": differing,
        "settling": settling,
        "unassigned": waiting,
        "text": parts[state] + (f", {waiting} unassigned" if waiting else ""),
        "checked_at": checked_at,
        "unknown": dict(unknown),
    }


def ages_of(answers: Iterable[AccountSnapshot], good: Mapping[str, Confirmed], now: datetime) -> list[dict[str, Any]]:
    """How old each account's picture is.

    Args:
        answers: Latest of every account. ``good``: latest confirmed one.

    Returns:
        One row per account: ``account, state`` (of the latest answer), ``reason, answered_at, age_s`` (of the latest
        confirmed one, ``None`` when there never was one).
    """
    rows = []
    latest = {a.account: a for a in answers}
    for account in sorted(latest.keys() | good.keys()):
        last, known = latest.get(account), good.get(account)
        rows.append(
            {
                "account": account,
                "state": "unknown" if last is None else last.state,
                "reason": "" if last is None or isinstance(last, Confirmed) else last.reason,
                "answered_at": None if known is None else known.answered_at,
                "age_s": None if known is None else max(0.0, (now - known.answered_at).total_seconds()),
            }
        )
    return rows
