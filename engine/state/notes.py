"""What is only kept as last said: rates, owners and notes of breaks, open quarantine, the link, operators' acts."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from engine.core.events import Audited, BreakNoted, ConnectionSeen, QuarantineClosed, Quarantined, RateSeen
from engine.core.records import Finding
from engine.state.changes import Changes
from engine.state.findings import Findings

_KEPT: Final = 1000
_GOOD: Final = frozenset({"connected", "restored"})
_SHORT: Final = timedelta(hours=1)
"""IB's own daily reset is shorter, and lies around midnight."""


def heard_until(connections: Sequence[ConnectionSeen], at: datetime | None) -> datetime | None:
    """When IB was last heard, for a process that starts.

    Args:
        connections: Changes of the link, oldest first.
        at: When the last fact of any kind came.

    Returns:
        ``None`` when there never was a link.
    """
    for last in reversed(connections):
        if last.state in _GOOD:
            return at
        if last.state != "covered":
            return last.heard_until
    return None


class Notes:
    """Facts that change no book.

    Attributes:
        rates: (account, currency) -> latest rate by the broker's time; ``bases``: account -> base currency.
        break_notes: Break id -> owner and note in force.
        quarantine: Open quarantined messages by id.
        connections: Recent changes of the link; ``audit``: recent acts of operators.
    """

    def __init__(self, findings: Findings | None = None) -> None:
        """Nothing heard yet.

        Args:
            findings: Where to name what no replay covers; without it nothing is named.
        """
        self.rates: dict[tuple[str, str], RateSeen] = {}
        self.bases: dict[str, str] = {}
        self.break_notes: dict[str, BreakNoted] = {}
        self.quarantine: dict[str, Quarantined] = {}
        self.connections: deque[ConnectionSeen] = deque(maxlen=_KEPT)
        self.audit: deque[Audited] = deque(maxlen=_KEPT)
        self._findings = findings

    def rate(self, fact: RateSeen, _changes: Changes) -> None:
        """Keep a rate unless a newer one is known."""
        self.bases[fact.account] = fact.base
        known = self.rates.get((fact.account, fact.currency))
        if known is None or fact.at >= known.at:
            self.rates[fact.account, fact.currency] = fact

    def note(self, fact: BreakNoted, _changes: Changes) -> None:
        """Keep owner and note of a break; what the fact leaves empty stays."""
        known = self.break_notes.get(fact.break_id)
        if known is not None:
            fact = msgspec.structs.replace(fact, owner=fact.owner or known.owner, note=fact.note or known.note)
        self.break_notes[fact.break_id] = fact

    def connection(self, fact: ConnectionSeen, changes: Changes) -> None:
        """Remember a change of the link, and name the time that no replay covers (F24)."""
        self.connections.append(fact)
        begin, end = fact.heard_until, fact.replayed_from
        if self._findings is None or begin is None or end is None or begin >= end:
            return
        if fact.state == "covered":
            for account, gap_begin, gap_end in gaps(self._findings.open):
                if account in fact.accounts and begin <= gap_begin and gap_end <= end:
                    self._findings.settle(changes, "coverage_gap", _gap(account, gap_begin, gap_end))
            return
        for account in fact.accounts:
            self._findings.add(
                changes,
                "coverage_gap",
                "info" if end - begin <= _SHORT else "warning",
                _gap(account, begin, end),
                f"nothing was heard of {account} from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, and IB tells "
                "executions again only since then: import a Flex statement of that time",
                account=account,
            )

    def quarantined(self, fact: Quarantined, _changes: Changes) -> None:
        """Open a quarantined message."""
        self.quarantine.setdefault(fact.quarantine_id, fact)

    def quarantine_closed(self, fact: QuarantineClosed, _changes: Changes) -> None:
        """Close a quarantined message."""
        self.quarantine.pop(fact.quarantine_id, None)

    def audited(self, fact: Audited, _changes: Changes) -> None:
        """Remember an operator's act."""
        self.audit.append(fact)


def _gap(account: str, begin: datetime, end: datetime) -> str:
    return f"{account}|{begin.isoformat()}|{end.isoformat()}"


def gaps(findings: Mapping[str, Finding]) -> list[tuple[str, datetime, datetime]]:
    """Times that no replay covered and no statement has shown yet: account, begin and end, UTC."""
    found = []
    for key, finding in findings.items():
        if finding.kind == "coverage_gap":
            account, begin, end = key.partition(":")[2].rsplit("|", 2)
            found.append((account, datetime.fromisoformat(begin), datetime.fromisoformat(end)))
    return found
