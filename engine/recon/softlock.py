"""Advice not to trade where books and broker disagree, released by itself.

A strategy may read it before it sends an order; nobody is forced. A break advises from its confirmation until it is
closed or its quantity is gone, whatever state it passes through between.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from engine.recon.breaks import Break


class Lockout(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of advice: do not trade this.

    Attributes:
        since: When the break was confirmed, UTC.
    """

    account: str
    con_id: int
    symbol: str
    break_id: str
    reason: str
    since: datetime


def lockouts(breaks: Iterable[Break]) -> list[Lockout]:
    """Advice from the present breaks, oldest first."""
    made = [
        Lockout(
            account=b.account,
            con_id=b.con_id,
            symbol=b.symbol,
            break_id=b.break_id,
            reason=_why(b),
            since=b.confirmed_at,
        )
        for b in breaks
        if b.confirmed_at is not None and b.state not in {"closed", "assigned"} and (b.quantity or b.difference)
    ]
    return sorted(made, key=lambda lock: (lock.since, lock.break_id))


def is_locked(breaks: Iterable[Break], account: str, con_id: int) -> bool:
    """True when there is advice not to trade the instrument in this account."""
    return any((lock.account, lock.con_id) == (account, con_id) for lock in lockouts(breaks))


def _why(found: Break) -> str:
    if found.kind == "unassigned":
        return f"{found.quantity:+f} executed here belong to no strategy yet"
    return f"broker and books differ by {found.difference:+f}"
