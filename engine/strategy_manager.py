"""StrategyManager: the strategies' lives and the queue they report on.

``message_queue`` looks like a ``queue.Queue`` and never blocks a strategy: ``put`` reads what the (mutable) IB objects say
at that moment, hands the frozen facts to the journal's thread and returns. A message that cannot be read goes to
quarantine whole, with the reason; ``put`` never raises for its content.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from engine.pipeline.messages import readable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.pipeline.intake import Intake
    from engine.pipeline.keeper import BookKeeper
    from engine.ports import Clock
    from engine.receipt import Receipt
    from engine.strategies import Strategy

log = logging.getLogger(__name__)

_PRUNE_EVERY = 64


class MessageQueue:
    """What strategies put on; safe from any thread, and never waits for disk, loop or store."""

    def __init__(self, intake: Intake, keeper: BookKeeper, clock: Clock, default_zone: str = "") -> None:
        """Wire the queue to the intake."""
        self._default_zone = default_zone
        self._intake = intake
        self._keeper = keeper
        self._clock = clock
        self._open: deque[Receipt] = deque()
        self._extra_done = 0
        self._lock = threading.Lock()
        self.closed = False

    def put(self, message: Mapping[str, object], block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 - queue.Queue's signature
        """Take a message; what it refers to is read before this returns.

        Args:
            message: One of the contract's four kinds; anything else goes to quarantine.
            block: Accepted as ``queue.Queue`` has it; there is never a wait.
            timeout: Likewise.

        Raises:
            RuntimeError: The engine has stopped; nothing was accepted, and the broker's replay brings it at the next start.
        """
        if self.closed:
            raise RuntimeError("the engine has stopped; this message was not accepted")
        receipt = self._intake.put(readable(message, self._clock, "queue", self._default_zone))
        if self.closed and receipt.error is not None:
            raise RuntimeError("the engine has stopped; this message was not accepted")
        self._open.append(receipt)
        if not len(self._open) % _PRUNE_EVERY and self._lock.acquire(blocking=False):
            try:
                self._prune()
            finally:
                self._lock.release()

    def put_nowait(self, message: Mapping[str, object]) -> None:
        """The same as :meth:`put`, which never waits either."""
        self.put(message)

    def qsize(self) -> int:
        """Messages that are not in the books yet."""
        with self._lock:
            self._prune()
            return len(self._open)

    def empty(self) -> bool:
        """True when every message is in the books."""
        return self.qsize() == 0

    def join(self) -> None:
        """Block the calling thread (never the engine's loop) until every message put so far is in the books.

        It also returns when the books are closed: what they lack is in the journal then.
        """
        seq = max((receipt.result() for receipt in list(self._open)), default=0)
        self._keeper.wait_applied(seq)

    def task_done(self) -> None:
        """Accepted for a ``queue.Queue``'s sake: the engine itself keeps count of what is done.

        Raises:
            ValueError: Called more often than messages were taken, as ``queue.Queue`` does.
        """
        with self._lock:
            self._prune()
            if self._open:
                self._extra_done += 1
                if self._extra_done <= len(self._open):
                    return
        raise ValueError("task_done() called too many times")

    def _prune(self) -> None:
        seq = self._keeper.seq
        while self._open:
            first = self._open[0]
            if first.error is None:
                if first.seq is None or first.seq > seq:
                    return
            elif self._intake.waiting:
                return
            self._open.popleft()
            self._extra_done = max(0, self._extra_done - 1)


class StrategyManager:
    """Starts and stops strategies and owns the queue they report on."""

    def __init__(self, intake: Intake, keeper: BookKeeper, clock: Clock, default_zone: str = "") -> None:
        """Make the queue; strategies are added with :meth:`add`."""
        self.message_queue = MessageQueue(intake, keeper, clock, default_zone)
        self._strategies: dict[str, Strategy] = {}

    @property
    def strategies(self) -> dict[str, Strategy]:
        """Strategy name -> strategy, as added."""
        return dict(self._strategies)

    def add(self, strategy: Strategy) -> None:
        """Add a strategy before it is started.

        Raises:
            ValueError: Its name is taken or reserved.
        """
        if strategy.name in self._strategies or strategy.name == "UNASSIGNED" or not strategy.name:
            raise ValueError(f"strategy name {strategy.name!r} is empty, reserved or taken")
        strategy.bind(self.message_queue)
        self._strategies[strategy.name] = strategy

    async def run(self, name: str) -> None:
        """Live one strategy's life; a strategy that raises is stopped and shown, the others and the books go on."""
        strategy = self._strategies[name]
        await strategy.live()
