"""The books' own thread: what the journal has made durable is applied to the ledger, in order, once.

Groups come in memory as long as the thread keeps up; beyond a bound they are let go and read from the journal's disk
when their turn comes, so a burst costs disk, not memory. The ledger is guarded by one re-entrant lock, given up every few
milliseconds so that tables and reconciliation get their turn in the middle of a burst.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.core.events import (
    AssignmentMade,
    AssignmentReversed,
    Audited,
    BreakNoted,
    ConnectionSeen,
    InstrumentDescribed,
    QuarantineClosed,
    Quarantined,
    RateSeen,
    RuleSet,
)
from engine.pipeline import turns
from engine.state.changes import Changes
from engine.state.walk import Heard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from engine.core.events import AnyFact
    from engine.core.records import FillRecord, Finding, OrderRecord
    from engine.pipeline.outbox import Outbox
    from engine.ports import Journal
    from engine.state.ledger import Ledger
    from engine.state.walk import Walk

log = logging.getLogger(__name__)

_SLICE_S = 0.004
_BEHIND = 2_000
"""Facts, a third of a second's at the highest even rate that is thought of; a commit's worth of a burst."""
_MOST_IN_MEMORY = 60_000
"""Facts, some 20 MB of them; reading one back takes a tenth of the time that its fill takes altogether."""
_KEPT_FACTS: frozenset[type] = frozenset(
    {
        AssignmentMade,
        AssignmentReversed,
        Audited,
        BreakNoted,
        ConnectionSeen,
        InstrumentDescribed,
        Quarantined,
        QuarantineClosed,
        RateSeen,
        RuleSet,
    }
)
"""Kinds of a low rate that are stored whole, so that the store alone can rebuild everything the books know."""


class BookKeeper:
    """Applies durable facts to the ledger and passes the records on to the outbox."""

    def __init__(self, ledger: Ledger, journal: Journal, outbox: Outbox) -> None:
        """Wire the parts; :meth:`start` starts the thread."""
        self.ledger = ledger
        self.lock = threading.RLock()
        self._journal = journal
        self._outbox = outbox
        self._groups: deque[Sequence[tuple[int, AnyFact]]] = deque()
        self._offered = 0  # counted in the journal's thread only
        self._taken = 0  # counted in the books' thread only
        self._durable_seq = ledger.seq
        self._in_books = ledger.seq  # the ledger's own number counts a fact that it is only beginning with
        self._wake = threading.Event()
        self._applied = threading.Condition()
        self._listening: list[Heard] = []
        self._stopping = self._over = False
        self._thread = threading.Thread(target=self._guarded_run, name="fillbook-books", daemon=True)
        self.failure: BaseException | None = None
        self._was_behind = False
        self.version = 0
        self.on_requests: Callable[[set[str]], None] = lambda _requests: None
        self.after_slice: Callable[[], None] = lambda: None
        self.on_findings: Callable[[list[Finding]], None] = lambda _findings: None

    def start(self) -> None:
        """Start applying."""
        self._thread.start()

    def offer(self, group: Sequence[tuple[int, AnyFact]]) -> None:
        """Take a group that has just become durable; called in the journal's thread, never blocks."""
        self._durable_seq = group[-1][0]
        if self.waiting < _MOST_IN_MEMORY:
            self._offered += len(group)
            self._groups.append(group)
        self._wake.set()

    def catch_up(self, head: int) -> None:
        """Apply what the journal holds up to ``head`` (at a start)."""
        self._durable_seq = max(self._durable_seq, head)
        self._wake.set()

    def fills(self, strategy: str | None = None, since: datetime | None = None) -> list[FillRecord]:
        """As :meth:`engine.state.ledger.Ledger.fills`, for who does not hold the lock: facts are applied meanwhile."""
        with self._walk() as walk:
            return walk.fills(strategy, since)

    def orders(self, strategy: str | None = None, *, open_only: bool = False) -> list[OrderRecord]:
        """As :meth:`engine.state.ledger.Ledger.orders`, for who does not hold the lock."""
        with self._walk() as walk:
            return walk.orders(strategy, open_only=open_only)

    @contextmanager
    def _walk(self) -> Iterator[Walk]:
        heard = Heard()
        with self.lock:
            self._listening.append(heard)
        try:
            yield self.ledger.walk(self.lock, heard)
        finally:
            with self.lock:
                self._listening = [other for other in self._listening if other is not heard]

    @property
    def seq(self) -> int:
        """Sequence of the last fact that is wholly in the books; a reader without the lock finds it there."""
        return self._in_books

    @property
    def backlog(self) -> int:
        """Facts that are durable but not in the books yet."""
        return max(0, self._durable_seq - self._in_books)

    @property
    def waiting(self) -> int:
        """Those of them that are in memory; the others are on disk alone."""
        return self._offered - self._taken

    @property
    def paused(self) -> bool:
        """True while the books wait because the store takes nothing; facts are safe in the journal."""
        return self._outbox.full

    def wait_applied(self, seq: int, timeout_s: float | None = None) -> bool:
        """Block until the books contain ``seq``; False on time-out or when the books thread has failed or ended."""
        with self._applied:
            self._applied.wait_for(lambda: self._in_books >= seq or self._over or self.failure, timeout_s)
            return self._in_books >= seq

    @property
    def ended(self) -> bool:
        """True once :meth:`stop` has let the thread end: what is durable from then on is booked by the next start."""
        return self._over

    def stop(self, timeout_s: float = 30.0) -> None:
        """Apply what is durable (as far as the outbox has room), then end the thread."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _guarded_run(self) -> None:
        try:
            self._run()
        except BaseException as error:
            log.critical("the books thread has failed; facts stay safe in the journal", exc_info=error)
            self.failure = error
        finally:
            with self._applied:
                self._over = True
                self._applied.notify_all()

    def _run(self) -> None:
        while True:
            group = self._next_group()
            if group:
                if not self._apply(group):
                    return
                continue
            if self._stopping:
                return
            self._wake.wait()
            self._wake.clear()

    def _next_group(self) -> Sequence[tuple[int, AnyFact]]:
        expected = self.ledger.seq + 1
        while self._groups:
            group = self._groups[0]
            if group[0][0] > expected:
                break
            self._groups.popleft()
            self._taken += len(group)
            if group[-1][0] >= expected:
                return group if group[0][0] == expected else [pair for pair in group if pair[0] >= expected]
        if self._durable_seq >= expected:
            return self._journal.read(self.ledger.seq, 5_000)
        return ()

    def _apply(self, group: Sequence[tuple[int, AnyFact]]) -> bool:
        """Apply a group as the outbox has room for it; False when the end came first (the journal keeps the rest)."""
        position = 0
        while position < len(group):
            while not self._outbox.wait_for_room(0.2):
                if self._stopping:
                    return False
            position = self._apply_slice(group, position)
        return True

    def _apply_slice(self, group: Sequence[tuple[int, AnyFact]], start: int) -> int:
        """Apply facts for a few milliseconds under the lock; their changes go to the outbox in one."""
        deadline = time.perf_counter() + _SLICE_S
        apply, clock = self.ledger.apply, time.perf_counter
        changes = Changes()
        position, end = start, len(group)
        with self.lock:
            while position < end:
                seq, fact = group[position]
                apply(seq, fact, changes)
                if type(fact) in _KEPT_FACTS:
                    self._keep(seq, fact)
                if changes.alone:
                    self._keep(seq, *changes.alone)
                    changes.alone.clear()
                position += 1
                if clock() > deadline:
                    break
            # The facts' own rows came first: `add` says that all up to here is there, and the writer takes at any moment.
            self._outbox.add(changes, group[position - 1][0])
            for heard in self._listening:
                heard.facts += [fact for _, fact in group[start:position]]
                heard.fills += changes.fills
                heard.orders += changes.orders
            self._in_books = group[position - 1][0]
            self.version += 1
            self.after_slice()
        with self._applied:
            self._applied.notify_all()
        self._suit_turns()
        if changes.requests:
            self.on_requests(changes.requests)
        if changes.findings:
            self.on_findings(changes.findings)
        return position

    def _suit_turns(self) -> None:
        behind = self.backlog > _BEHIND
        if behind is not self._was_behind:
            self._was_behind = behind
            turns.suit(behind=behind)

    def _keep(self, seq: int, *facts: AnyFact) -> None:
        for fact in facts:
            self._outbox.add_row("facts", str(type(fact).__struct_config__.tag), seq, (seq, fact))
            if isinstance(fact, AssignmentMade | AssignmentReversed):
                self._outbox.add_row("assignments", "journal", seq, (seq, fact))
