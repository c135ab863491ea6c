"""What was reported before and says nothing new: every replay brings the whole day again, and duplicates are normal.

The books would not mind, since they count every execution once; the journal would grow by a day's executions with every
reconnect. Only exact repeats are held back. The same id with another content goes on: it is a conflict (F7).

A day is kept, since IB replays a day and no more. A number of facts would be no bound: a day that is larger than it
would go through anew with every replay. So that a busy day is small, identity and content are kept as their hashes;
something is held back wrongly only if both 64-bit numbers meet by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from engine.broker.remembered import Remembered
from engine.core.events import AnyFact, Commission, Fill, InstrumentDescribed, OrderUpdate, Quarantined

_KEPT: Final = timedelta(hours=25)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LastSaid:
    """Remembers what was said last of something, for a day or two."""

    def __init__(self) -> None:
        self._last = Remembered()
        self._before = Remembered()
        self._since = _EPOCH

    def knows(self, key: int) -> bool:
        """True when anything was said of it."""
        return self._last.get(key) is not None or self._before.get(key) is not None

    def says(self, key: int, content: int, at: datetime) -> bool:
        """True when just this was said of it last."""
        if at - self._since > _KEPT:
            self._before, self._last = self._last, Remembered()
            self._since = at
        known = self._last.get(key)
        if known is None:
            known = self._before.get(key)
            if known is not None:
                self._last.put(key, known)
        return known == content

    def note(self, key: int, content: int) -> None:
        """Remember what is said now."""
        self._last.put(key, content)


class Repeats:
    """Holds back facts that only repeat."""

    def __init__(self) -> None:
        self._said = LastSaid()

    def fresh(self, facts: Sequence[AnyFact]) -> list[AnyFact]:
        """Leave out the facts that only repeat, and remember the others."""
        return [fact for fact in facts if self._is_new(fact)]

    def knows_execution(self, account: str, exec_id: str) -> bool:
        """True when the execution went on before."""
        return self._said.knows(hash(("fill", account, exec_id)))

    def forget(self) -> None:
        """What was handed on may be lost: let the next replay through."""
        self._said = LastSaid()

    def _is_new(self, fact: AnyFact) -> bool:
        marked = _content(fact)
        if marked is None:
            return True
        key, content = hash(marked[0]), hash(marked[1])
        if self._said.says(key, content, fact.received_at):
            return False
        self._said.note(key, content)
        return True


def _content(fact: AnyFact) -> tuple[tuple[Any, ...], Any] | None:
    """Identity and content, both hashable; ``None`` for what is never a repeat."""
    if isinstance(fact, Fill):
        # The time is not compared: live and replayed ones may differ (F30). A readable one after an unreadable is news.
        said = (fact.instrument.con_id, fact.quantity, fact.price, fact.order_ref, fact.perm_id, bool(fact.time_text))
        return ("fill", fact.account, fact.exec_id), said
    if isinstance(fact, Commission):
        return ("commission", fact.exec_id), (fact.amount, fact.currency)
    if isinstance(fact, OrderUpdate):
        order = fact.perm_id or (fact.client_id, fact.order_id)
        # A snapshot and a status tell different things of one order; each is compared with its own kind.
        kind = (fact.source, fact.filled is None, bool(fact.error_code))
        return ("order", fact.account, order, kind), msgspec.structs.replace(
            fact, received_at=_EPOCH, status_at=None, instrument=None
        )
    if isinstance(fact, InstrumentDescribed):
        return ("instrument", fact.instrument.con_id), (fact.instrument, fact.long_name)
    if isinstance(fact, Quarantined):
        return ("quarantine", fact.quarantine_id), True
    return None
