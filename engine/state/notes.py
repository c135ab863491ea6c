"""What is only kept as last said: rates, owners and notes of breaks, open quarantine, the link, operators' acts."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from engine.core.events import Audited, BreakNoted, ConnectionSeen, QuarantineClosed, Quarantined, RateSeen
from engine.state.changes import Changes

_KEPT: Final = 1000


class Notes:
    """Facts that change no book.

    Attributes:
        rates: (account, currency) -> latest rate by the broker's time; ``bases``: account -> base currency.
        break_notes: Break id -> owner and note in force.
        quarantine: Open quarantined messages by id.
        connections: Recent changes of the link; ``audit``: recent acts of operators.
    """

    def __init__(self) -> None:
        """Nothing heard yet."""
        self.rates: dict[tuple[str, str], RateSeen] = {}
        self.bases: dict[str, str] = {}
        self.break_notes: dict[str, BreakNoted] = {}
        self.quarantine: dict[str, Quarantined] = {}
        self.connections: deque[ConnectionSeen] = deque(maxlen=_KEPT)
        self.audit: deque[Audited] = deque(maxlen=_KEPT)

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

    def connection(self, fact: ConnectionSeen, _changes: Changes) -> None:
        """Remember a change of the link."""
        self.connections.append(fact)

    def quarantined(self, fact: Quarantined, _changes: Changes) -> None:
        """Open a quarantined message."""
        self.quarantine.setdefault(fact.quarantine_id, fact)

    def quarantine_closed(self, fact: QuarantineClosed, _changes: Changes) -> None:
        """Close a quarantined message."""
        self.quarantine.pop(fact.quarantine_id, None)

    def audited(self, fact: Audited, _changes: Changes) -> None:
        """Remember an operator's act."""
        self.audit.append(fact)
