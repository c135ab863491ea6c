"""The book of breaks: every break by its name, moved on by comparisons and nothing else.

How a single break lives is told in :mod:`engine.recon.lifecycle`; what it consists of in :mod:`engine.recon.broken`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.snapshot import AccountSnapshot, Confirmed
from engine.recon.broken import (
    OPEN_STATES,
    Break,
    BreakChange,
    BreakState,
    Circumstances,
    Policy,
    break_id,
    lag_sums,
)
from engine.recon.cause import Explanation
from engine.recon.compare import Difference, Key
from engine.recon.lifecycle import Moment, fade, grace_ends, observe, told

__all__ = [
    "OPEN_STATES",
    "Break",
    "BreakBook",
    "BreakChange",
    "BreakState",
    "Circumstances",
    "Policy",
    "break_id",
    "grace_ends",
    "lag_sums",
]

ZERO: Final = Decimal(0)


class BreakBook(msgspec.Struct, frozen=True, kw_only=True):
    """All breaks by id, closed ones included. Immutable; every act returns a new book."""

    breaks: dict[str, Break] = msgspec.field(default_factory=dict)

    def step(
        self,
        now: datetime,
        found: Mapping[Key, Difference],
        answers: Iterable[AccountSnapshot],
        about: Circumstances,
        policy: Policy,
        *,
        only: Key | None = None,
    ) -> tuple[BreakBook, list[BreakChange]]:
        """Advance by one comparison.

        Args:
            now: Our time, UTC.
            found: What :func:`engine.recon.compare.compare` found.
            answers: The broker's answers that were compared; accounts that are UNKNOWN or absent do not move.
            about: What else is known.
            policy: Patience.
            only: The one key that ``found`` speaks of, when an assignment changed just that one; absent means all keys.

        Returns:
            The new book, and its changes in order. Work is proportional to differences and known breaks only.
        """
        good = {a.account: a for a in answers if isinstance(a, Confirmed)}
        breaks = dict(self.breaks)
        changes: list[BreakChange] = []
        gone = [b.key for b in breaks.values() if b.state != "closed" and b.account in good and b.key not in found]
        for key in (*found, *gone) if only is None else (only,):
            answer = good.get(key[0])
            if answer is None:
                continue
            name = break_id(*key)
            old = breaks.get(name)
            moment = Moment(now=now, answer=answer, about=about, policy=policy, key=key)
            seen = found.get(key)
            new = fade(old, moment) if seen is None else observe(old, seen, moment)
            if new is None:
                breaks.pop(name, None)
            else:
                breaks[name] = new
                changes.extend(told(old, new, now))
        return BreakBook(breaks=breaks), changes

    def explain(self, now: datetime, explanations: Mapping[str, Explanation]) -> tuple[BreakBook, list[BreakChange]]:
        """Attach causes; a confirmed break whose causes are confirmed and leave nothing becomes *explained*."""
        breaks = dict(self.breaks)
        changes: list[BreakChange] = []
        for name, explanation in explanations.items():
            old = breaks.get(name)
            if old is None:
                continue
            sure = bool(explanation.accepted) and not any(c.provisional for c in explanation.accepted)
            state = old.state
            if state in {"confirmed", "explained"}:
                state = "explained" if sure and explanation.residual == 0 else "confirmed"
            new = msgspec.structs.replace(
                old,
                state=state,
                causes=explanation.causes,
                explained=explanation.explained,
                residual=explanation.residual,
            )
            breaks[name] = new
            changes.extend(told(old, new, now))
        return BreakBook(breaks=breaks), changes

    def note(self, name: str, owner: str, note: str) -> BreakBook:
        """Set owner and note; an unknown name changes nothing (the note waits among the facts)."""
        old = self.breaks.get(name)
        if old is None or (old.owner, old.note) == (owner, note):
            return self
        return BreakBook(breaks={**self.breaks, name: msgspec.structs.replace(old, owner=owner, note=note)})

    def listed(self, *, open_only: bool = True) -> list[Break]:
        """Breaks for display: urgent ones first, then confirmed before suspected, then by value at risk, then by age.

        Args:
            open_only: Leaves out what is settling, assigned or closed.
        """
        chosen = [b for b in self.breaks.values() if b.is_open or not open_only]
        rank = {"confirmed": 0, "explained": 1, "suspected": 2, "settling": 3, "assigned": 4, "closed": 5}
        return sorted(
            chosen,
            key=lambda b: (
                not b.urgent,
                rank[b.state],
                b.value_at_risk_base is not None,  # unknown value first: it may be anything
                -(b.value_at_risk_base or ZERO),
                b.first_seen,
                b.break_id,
            ),
        )

    def dump(self) -> bytes:
        """The whole book as JSON, for a checkpoint."""
        return msgspec.json.encode(self)

    @classmethod
    def load(cls, blob: bytes) -> BreakBook:
        """Read what :meth:`dump` wrote.

        Raises:
            msgspec.DecodeError: The blob is no book of breaks.
        """
        return msgspec.json.decode(blob, type=cls)

    @classmethod
    def from_rows(cls, texts: Iterable[str]) -> BreakBook:
        """Rebuild from the stored changes (one break as JSON each, oldest first); the last sight of a name counts."""
        decoder = msgspec.json.Decoder(Break)
        latest = {b.break_id: b for b in (decoder.decode(t) for t in texts)}
        return cls(breaks={name: b for name, b in latest.items() if not _was_never(b)})


def _was_never(found: Break) -> bool:
    return found.episode == 0 and found.state in {"settling", "closed"}
