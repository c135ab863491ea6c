"""Positions as typed answers: confirmed per account, or unknown with the reason; never a guess between the two.

An answer counts when its end marker came on the connection that was asked (F127). Rows of one instrument may come more
than once before it, and the last one counts (F119). An answer that lacks what the one before had may be true, or IB's
cache on a bad day (F120): such an answer is asked for once more, and the second one counts unless IB's portfolio rows,
asked for anew, still show what it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from engine.broker.instruments import instrument_of
from engine.broker.values import decimal_of
from engine.core.snapshot import AccountSnapshot, BrokerPosition, Confirmed, Unknown
from engine.errors import Unreadable

MOST_ACCOUNTS = 50
"""IB does not answer ``reqPositions`` for advisors with more sub-accounts than this (F118)."""

_NAMED = 5


def snapshots(
    rows: Sequence[tuple[str, Any]],
    accounts: Sequence[str],
    *,
    managed: Sequence[str],
    ready: Callable[[str], bool],
    requested_at: datetime,
    answered_at: datetime,
    epoch: int,
) -> list[AccountSnapshot]:
    """Sort a complete answer by account.

    Args:
        rows: (account, row) in the order of arrival, up to the end marker.
        accounts: Those asked about; one without a row is flat. Rows of others (masters, aggregates) are left out.
        managed: Those that IB manages and that count; nothing is known of any other.
        ready: False for an account that IB is resetting (F128).

    Returns:
        One per account, in order. A row that cannot be read makes its account unknown.
    """
    found: list[AccountSnapshot] = []
    for account in accounts:
        if account not in managed:
            reason = "IB does not manage this account, or it only repeats others (master, aggregate)"
            found.append(Unknown(account=account, reason=reason, requested_at=requested_at))
            continue
        if not ready(account):
            reason = "IB is resetting the account (AccountReady is false)"
            found.append(Unknown(account=account, reason=reason, requested_at=requested_at))
            continue
        last: dict[int, BrokerPosition] = {}
        try:
            for owner, row in rows:
                if owner == account:
                    position = _position(account, row)
                    last[position.instrument.con_id] = position
        except Unreadable as error:
            reason = f"a row of the answer cannot be read: {error}"
            found.append(Unknown(account=account, reason=reason, requested_at=requested_at))
            continue
        found.append(
            Confirmed(
                account=account,
                rows=tuple(last.values()),
                requested_at=requested_at,
                answered_at=answered_at,
                epoch=epoch,
            )
        )
    return found


def _position(account: str, row: Any) -> BrokerPosition:
    quantity = decimal_of(row.position)
    if quantity is None:
        raise Unreadable("a position without a quantity")
    return BrokerPosition(
        account=account,
        instrument=instrument_of(row.contract),
        quantity=quantity,
        broker_avg_cost=decimal_of(row.avgCost),
    )


class PositionMemory:
    """What the last confirmed answers said, to notice when something is suddenly missing."""

    def __init__(self) -> None:
        self._held: dict[str, frozenset[int]] = {}

    def suspicious(self, answer: Sequence[AccountSnapshot], holds: Callable[[str], bool]) -> bool:
        """True when the answer should be asked for again.

        Args:
            holds: True when something else of IB's (portfolio rows) shows a position in the account.

        Returns:
            True when an instrument that was held is not mentioned at all, or when nothing is held anywhere although
            it is the first answer or something else shows a position.
        """
        confirmed = [snapshot for snapshot in answer if isinstance(snapshot, Confirmed)]
        if any(self.lacking(snapshot) for snapshot in confirmed):
            return True
        if not confirmed or any(_held(snapshot) for snapshot in confirmed):
            return False
        return any(snapshot.account not in self._held or holds(snapshot.account) for snapshot in confirmed)

    def lacking(self, snapshot: AccountSnapshot) -> frozenset[int]:
        """Instruments that the account held and that its answer does not mention at all; none of an unknown one."""
        if not isinstance(snapshot, Confirmed):
            return frozenset()
        mentioned = {row.instrument.con_id for row in snapshot.rows}
        return self._held.get(snapshot.account, frozenset()) - mentioned

    def doubted(
        self, answer: Sequence[AccountSnapshot], shown: Callable[[str], frozenset[int]]
    ) -> list[AccountSnapshot]:
        """The second answer, without what another source of IB's contradicts.

        An account whose answer lacks what it held, while its portfolio rows still show that, is unknown, not flat (F120,
        R3): one of the two is wrong, and only the next answers can say which.

        Args:
            shown: Instruments of which the account's portfolio rows show a position.
        """
        found: list[AccountSnapshot] = []
        for snapshot in answer:
            missing = self.lacking(snapshot) & shown(snapshot.account)
            if missing:
                names = ", ".join(map(str, sorted(missing)[:_NAMED]))
                reason = (
                    f"IB answers twice without {len(missing)} of the positions held before, but its portfolio rows"
                    f" still show them ({names}{', …' if len(missing) > _NAMED else ''})"
                )
                found.append(Unknown(account=snapshot.account, reason=reason, requested_at=snapshot.requested_at))
            else:
                found.append(snapshot)
        return found

    def remember(self, answer: Sequence[AccountSnapshot]) -> None:
        """Keep what counts for the next comparison."""
        for snapshot in answer:
            if isinstance(snapshot, Confirmed):
                self._held[snapshot.account] = _held(snapshot)


def _held(snapshot: Confirmed) -> frozenset[int]:
    return frozenset(row.instrument.con_id for row in snapshot.rows if row.quantity)


def account_problem(managed: Sequence[str], expected: Sequence[str]) -> str:
    """Why the accounts of this login may not be compared with our books; empty when they may.

    Args:
        managed: Accounts that IB names, masters and aggregates left out.
        expected: Those configured; empty accepts what IB manages.
    """
    if len(managed) > MOST_ACCOUNTS:
        return (
            f"IB manages {len(managed)} accounts and answers for at most {MOST_ACCOUNTS} (F118): positions are unknown"
        )
    if not managed:
        return "IB names no account"
    if expected and set(expected) != set(managed):
        return f"this login manages {', '.join(managed)}, but {', '.join(expected)} is configured"
    return ""
