"""Engine: builds the rooms, owns their tasks, offers a read-only view.

``start`` returns when the books are recovered, IB is connected (or known to be unavailable) and the queue is consumed.
Everything that runs on the loop lives in one task group; a task that fails ends the engine loudly instead of silently.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.broker.client import IbBroker
from engine.broker.flex_web import download_flex
from engine.clock import SystemClock
from engine.desk.alerts import Alerts, apprise_sender, gather
from engine.errors import BrokerError, FillbookError
from engine.monitor import Heap, LoopLag, health, stopped
from engine.office.flex_timer import FlexTimer
from engine.office.square import ages_of, square_of
from engine.pipeline.remote import RemoteEvents
from engine.pipeline.room import BookRoom
from engine.portfolio_manager import PortfolioManager
from engine.state.notes import heard_until
from engine.strategy_manager import StrategyManager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from engine.broker.absent import AbsentBroker
    from engine.broker.connection import BrokerState
    from engine.ports import Clock
    from engine.settings import Settings
    from engine.strategies import Strategy

log = logging.getLogger(__name__)

_SETTLED_WITHIN_S = 15.0
_EQUITY_EVERY_S = 5.0
_MARKS_EVERY_S = 5.0
_ALERTS_EVERY_S = 1.0
_NOTICE_EVERY_S = 0.1
_TRIM_EVERY_S = 30.0


class Engine:
    """One engine: one store, one connection to IB, one queue.

    Attributes:
        settings: In force, immutable.
        gateway: The simulated gateway when this process runs one (rehearsal), else ``None``.
        strategy_manager: Owner of ``message_queue``; there after :meth:`start`.
        portfolio_manager: The books; there after :meth:`start`.
        flex_timer: Fetches the day's statement; ``None`` unless it is switched on, and before :meth:`start`.
        remote: Takes events of strategies on other hosts; ``None`` without ``events_url``, and before :meth:`start`.
    """

    strategy_manager: StrategyManager
    portfolio_manager: PortfolioManager

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        """Take the settings; nothing starts yet."""
        self.settings = settings
        self.clock = clock or SystemClock()
        self.gateway: Any = None
        self.loop_lag = LoopLag()
        self._heap = Heap()
        self.remote: RemoteEvents | None = None
        self.flex_timer: FlexTimer | None = None
        self.room: BookRoom
        self._broker: IbBroker | AbsentBroker
        self._supervisor: asyncio.Task[None] | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._started = asyncio.Event()
        self._refresh = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failure: BaseException | None = None
        self._listeners: list[Callable[[], None]] = []
        self._version = 0
        self._seen: tuple[Any, ...] = ()
        self._marked: datetime | None = None
        self._patient_until = 0.0
        self._alerts: Alerts

    # ---------------------------------------------------------------------------------------------------- life

    async def start(self) -> None:
        """Recover, connect, consume; returns when all three have an outcome.

        Raises:
            StoreLocked: Another engine owns the books.
            StorageError: Store or journal cannot be opened.
            FillbookError: The client library is missing.
        """
        loop = asyncio.get_running_loop()
        self._heap.restrain()
        self.room = await asyncio.to_thread(BookRoom, self.settings, self.clock)
        if self.settings.has_ib:
            self._broker = IbBroker(
                self.settings,
                sink=self.room.intake.put,
                clock=self.clock,
                on_state=lambda _: self._bump(),
                pressed=self.room.pressed,
            )
            self._broker.resume(heard_until(self.room.ledger.connections, self.room.ledger.at))
            self.portfolio_manager = PortfolioManager(self.settings, self.room, self._broker, self.clock)
        else:
            self.portfolio_manager = PortfolioManager(self.settings, self.room, None, self.clock)
            self._broker = self.portfolio_manager.broker  # type: ignore[assignment]
        self.strategy_manager = StrategyManager(
            self.room.intake, self.room.keeper, self.clock, self.settings.ib_timezone
        )
        if self.settings.events_url:
            self.remote = RemoteEvents(self.settings.events_url, self.room.intake, self.clock)
        if self.settings.flex_daily_at:
            fetch = partial(download_flex, self.settings.flex_token, self.settings.flex_query_id)
            take_in = self.portfolio_manager.import_flex
            self.flex_timer = FlexTimer(self.settings.flex_daily_at, fetch, take_in, self.clock)
        urls = self.settings.alert_urls.split()
        self._alerts = Alerts(apprise_sender(urls) if urls else None, secrets=self.settings.secrets)
        self._patient_until = self.clock.monotonic() + _SETTLED_WITHIN_S
        self.room.keeper.on_requests = lambda _: self._ask_soon(loop)
        self._supervisor = asyncio.create_task(self._supervise(), name="engine")
        await self._started.wait()
        if isinstance(self._broker, IbBroker):
            settled = asyncio.create_task(self._broker.settled.wait())
            await asyncio.wait(
                {settled, self._supervisor}, timeout=_SETTLED_WITHIN_S, return_when=asyncio.FIRST_COMPLETED
            )
            settled.cancel()
        if self._failure is not None:
            raise FillbookError(f"the engine could not start: {self._failure}") from self._failure

    async def stop(self) -> None:
        """Refuse new messages, end the tasks, flush everything; nothing accepted is lost. Idempotent.

        Raises:
            StorageError: The journal's disk still refuses facts that were put.
        """
        if self._supervisor is None:
            return
        for life in self._lives.values():
            life.cancel()
        await asyncio.gather(*self._lives.values(), return_exceptions=True)
        self.strategy_manager.message_queue.closed = True
        if isinstance(self._broker, IbBroker):
            await self._broker.stop()
        self._stop.set()
        await asyncio.wait({self._supervisor})
        self._supervisor = None
        await asyncio.to_thread(self.room.close)
        self._alerts.close()

    async def run_forever(self) -> None:
        """Wait until the engine ends by itself (a task failed) or is stopped.

        Raises:
            BaseException: Whatever ended it.
        """
        if self._supervisor is not None:
            await asyncio.wait({self._supervisor})
        if self._failure is not None:
            raise self._failure

    async def _supervise(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._own(group, "loop lag", self.loop_lag.run())
                self._own(group, "notice", self._notice())
                self._own(group, "equity", self._every(_EQUITY_EVERY_S, self._sample))
                self._own(group, "heap", self._every(_TRIM_EVERY_S, self._trim))
                self._own(group, "alerts", self._alert_for_ever())
                if self.remote is not None:
                    self._own(group, "events", self.remote.run())
                if self.flex_timer is not None:
                    self._own(group, "flex", self.flex_timer.run())
                if isinstance(self._broker, IbBroker):
                    self._own(group, "broker", self._broker.run())
                    self._own(group, "executions", self._ask_again())
                    if self.settings.reconcile_every_s:
                        self._own(group, "reconciliation", self._reconcile_for_ever())
                self._started.set()
                await self._stop.wait()
                for task in self._tasks.values():
                    task.cancel()
        except BaseExceptionGroup as error:
            self._failure = error.exceptions[0]
            log.critical("the engine has failed; what was accepted is in the journal", exc_info=error)
        finally:
            self._started.set()

    def _own(self, group: asyncio.TaskGroup, name: str, work: Any) -> None:
        self._tasks[name] = group.create_task(work, name=name)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await act()

    async def _reconcile_for_ever(self) -> None:
        every = self.settings.reconcile_every_s
        await asyncio.sleep(min(1.0, every))
        while True:
            try:
                result = await self.portfolio_manager.reconciler.run("timer")
                await self.portfolio_manager.desk.apply_rules()
                soon = result.settling > 0
            except BrokerError as error:
                log.info("no reconciliation: %s", error)
                soon = False
            self._bump()
            wait = min(every, max(1.0, self.settings.settle_s / 2)) if soon else every
            await asyncio.sleep(wait * random.uniform(0.95, 1.05))  # noqa: S311 - jitter, not a secret

    async def _ask_again(self) -> None:
        """Ask IB for executions again when the books noticed a gap or a fee without an execution; paced."""
        while True:
            await self._refresh.wait()
            self._refresh.clear()
            await asyncio.sleep(1.0)
            try:
                await self._broker.refresh_executions()
            except BrokerError as error:
                log.info("executions were not asked for again: %s", error)
            await asyncio.sleep(4.0)

    def _ask_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called in the books' thread."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._refresh.set)

    async def _sample(self) -> None:
        await asyncio.to_thread(self.portfolio_manager.equity_log.sample)
        marks = self._broker.marks()
        stamp = max((m.at for m in marks.values()), default=None)
        if stamp != self._marked:
            self._marked = stamp
            self.room.writer.refresh_positions()

    async def _trim(self) -> None:
        await asyncio.to_thread(self._heap.trim)

    async def _alert_for_ever(self) -> None:
        """Look once a second for what has to be told, and at once when facts stop or go on again."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_ALERTS_EVERY_S):
                    await self._stopped.wait()
            self._stopped.clear()
            await asyncio.to_thread(self._update_alerts)

    def _update_alerts(self) -> None:
        room, state = self.room, self._broker.state
        late = self.clock.now() - timedelta(seconds=self.settings.fees_missing_after_s)
        with room.lock:
            findings = list(room.ledger.findings.values())
            held = list(room.ledger.quarantine.values())
            missing = room.ledger.fees_pending(late)
        lost = self.settings.has_ib and state.state != "connected" and self._has_tried()
        conditions = gather(
            breaks=self.portfolio_manager.reconciler.breaks(),
            findings=findings,
            store_problem=stopped(room),
            connection_problem=f"IB {state.state}: {state.reason}" if lost else "",
            quarantine=held,
            fees_missing=missing,
        )
        self._alerts.update(self.clock.now(), conditions)

    def _has_tried(self) -> bool:
        """False while the first attempt to connect is under way: a start is no news, and a mail for each would be noise."""
        if self.clock.monotonic() > self._patient_until:
            return True
        return not isinstance(self._broker, IbBroker) or self._broker.settled.is_set()

    async def _notice(self) -> None:
        """Tell subscribers when anything has changed, a few times a second at most."""
        while True:
            await asyncio.sleep(_NOTICE_EVERY_S)
            room = self.room
            now = (room.keeper.version, room.writer.stored_seq, bool(stopped(room)))
            if now != self._seen:
                if now[2:] != self._seen[2:]:
                    self._stopped.set()
                self._seen = now
                self._bump()

    def _bump(self) -> None:
        self._version += 1
        for listener in list(self._listeners):
            listener()

    # ---------------------------------------------------------------------------------------------------- strategies

    def launch(self, strategy: Strategy) -> None:
        """Add a strategy and let it live beside the engine; it ends with the engine."""
        self.strategy_manager.add(strategy)
        self._lives[strategy.name] = asyncio.create_task(
            self.strategy_manager.run(strategy.name), name=f"strategy {strategy.name}"
        )

    def strategies(self) -> dict[str, Strategy]:
        """Strategies that live beside the engine, by name."""
        return self.strategy_manager.strategies

    # ---------------------------------------------------------------------------------------------------- views

    @property
    def version(self) -> int:
        """Rises with every change; cheap to poll."""
        return self._version

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Be called on the loop after changes; returns the function that ends it."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def broker_state(self) -> BrokerState:
        """The link to IB as it is now, and when it was last heard from."""
        return replace(self._broker.state, heard_at=self._broker.heard_at)

    def tasks(self) -> dict[str, str]:
        """Task -> running, ended, or why it failed; the three threads included."""
        room = self.room
        found = {name: _task_state(task) for name, task in self._tasks.items()}
        ends = {"journal": room.journal.failure, "books": room.keeper.failure, "store": room.writer.failure}
        for name, failure in ends.items():
            found[name] = "running" if failure is None else f"failed: {failure!r}"
        return found

    def health(self) -> dict[str, Any]:
        """Figures and problems; ``ok`` is False when books, store, journal or a task are in trouble."""
        return health(self)

    def square(self) -> dict[str, Any]:
        """Whether strategies + UNASSIGNED = broker for every account and instrument.

        Returns:
            See :func:`engine.office.square.square_of`; ``rows``: the open breaks.
        """
        reconciler = self.portfolio_manager.reconciler
        last = reconciler.last
        found = square_of(
            reconciler.breaks(open_only=False),
            checked_at=None if last is None else last.at,
            unknown={} if last is None else last.unknown,
            available=self._broker.state.state != "unavailable",
        )
        return found | {"rows": self.portfolio_manager.breaks()}

    def data_ages(self) -> list[dict[str, Any]]:
        """How old each account's picture is; see :func:`engine.office.square.ages_of`."""
        answers, good = self.portfolio_manager.reconciler.answers()
        return ages_of(answers, good, self.clock.now())

    def alerts(self) -> list[dict[str, Any]]:
        """Alerts, active ones first: at, severity, text, kind, since, cleared_at, delivery."""
        return [row | {"since": row["at"]} for row in self._alerts.rows()]


def _task_state(task: asyncio.Task[Any]) -> str:
    if not task.done():
        return "running"
    if task.cancelled() or task.exception() is None:
        return "ended"
    return f"failed: {task.exception()!r}"
