"""The gateway: a server on a socket that IB's clients take for TWS.

It wires the rooms of the simulator and owns everything that runs: the listening socket, the sessions, the timers. All
of it lives on one event loop. State is written before anything about it leaves: one flush per turn of the loop
commits the state file and then writes every session's messages, so no client knows an execution that a restart would
have forgotten.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from engine.simulator.config import GatewayConfig
from engine.simulator.exchange import Exchange
from engine.simulator.faults import FaultDesk
from engine.simulator.handlers import Handlers
from engine.simulator.intake import Intake
from engine.simulator.model import Clock, Execution, Order, SystemClock
from engine.simulator.publish import Publisher
from engine.simulator.rules import Rules
from engine.simulator.session import Session
from engine.simulator.state import StateFile
from engine.simulator.streams import Streams
from engine.simulator.world import World

_LOG = logging.getLogger(__name__)
_WAITING_ROOM = 256
_PATIENCE_S = 60.0

T = TypeVar("T")


class Gateway:
    """A simulated IB gateway.

    Args:
        config: Its settings.
        clock: Where its time comes from; the machine's by default.

    Attributes:
        faults: The fault desk; its methods may be called from any thread.
        port: The port it listens on, known after :meth:`start`.
    """

    def __init__(self, config: GatewayConfig | None = None, clock: Clock | None = None) -> None:
        self.config = config or GatewayConfig()
        self.world = World(self.config, clock or SystemClock())
        self.rules = Rules()
        self.loop: asyncio.AbstractEventLoop
        self.thread_id = 0
        self.port = self.config.port
        self.refusing = False
        self._server: asyncio.Server | None = None
        self._sessions: dict[int, Session] = {}
        self._waiting: dict[Session, None] = {}
        self._to_flush: set[Session] = set()
        self._flushing = False
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._state = StateFile(self.config.state, self.world) if self.config.state is not None else None
        self.streams = Streams(self)
        self.publish = Publisher(self.world, self.rules, self.listeners, self.later, self.streams.changed)
        self.exchange = Exchange(self.world, self.publish, self.rules, self.later)
        self.faults = FaultDesk(self)
        self.handlers = Handlers(self, Intake(self.world, self.exchange, self.publish, self.rules))

    # life

    async def start(self) -> None:
        """Listen; returns when clients can connect.

        Raises:
            OSError: The address cannot be listened on.
            engine.simulator.state.StateError: The state file cannot be used.
        """
        self.loop = asyncio.get_running_loop()
        self.thread_id = threading.get_ident()
        if self._state is not None:
            self._state.open()
        self._server = await self._listen(self.config.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks.append(self.loop.create_task(self._beat(self.config.stream_s, self.streams.pulse)))
        if self.config.tick_s > 0:
            self._tasks.append(self.loop.create_task(self._beat(self.config.tick_s, self.tick)))
        for order in list(self.world.live.values()):
            self.exchange.work(order)

    async def _listen(self, port: int) -> asyncio.Server:
        return await self.loop.create_server(lambda: Session(self), self.config.host, port)

    async def stop(self) -> None:
        """Close everything and write the state a last time; idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._server is not None:
            self._server.close()
        self._flush()
        for session in [*self._sessions.values(), *self._waiting]:
            session.abort()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
        if self._state is not None:
            self._state.close()
        self.thread_id = 0

    async def serve_forever(self) -> None:
        """Run until cancelled, then stop."""
        try:
            await asyncio.Event().wait()
        finally:
            await self.stop()

    async def _beat(self, every_s: float, act: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(every_s)
            act()
            self.flush_soon(None)

    def tick(self) -> None:
        """Move the market one step."""
        self.streams.prices_moved(set(self.exchange.tick()))

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do something after so many seconds, unless the gateway stops before."""

        def due() -> None:
            self._timers.discard(timer)
            act()
            self.flush_soon(None)

        timer = self.loop.call_later(delay_s, due)
        self._timers.add(timer)

    # sessions

    def listeners(self) -> list[Session]:
        """Clients that have started and are connected."""
        return [session for session in self._sessions.values() if not session.closing]

    def admit(self, session: Session) -> bool:
        """Let a new connection into the waiting room, unless the gateway is down.

        When the room is full, whoever has waited longest must go: a real client is out of it within a moment, and a
        crowd that says nothing keeps nobody out.
        """
        if self.refusing:
            return False
        if len(self._waiting) >= _WAITING_ROOM:
            next(iter(self._waiting)).abort()
        self._waiting[session] = None
        return True

    def take_on(self, session: Session, client_id: int) -> bool:
        """Let a client start under its id; a second use of an id is told so and closed, the first one stays."""
        present = self._sessions.get(client_id)
        if present is not None and not present.closing:
            session.error(
                -1, 326, "Unable to connect as the client id is already in use. Retry with a unique client id."
            )
            session.close()
            return False
        if len(self._sessions) >= self.config.max_clients:
            text = f"Unable to connect: {self.config.max_clients} clients are connected already"
            session.error(-1, 326, text)
            session.close()
            return False
        self._waiting.pop(session, None)
        self._sessions[client_id] = session
        session.start(client_id)
        return True

    def forget(self, session: Session) -> None:
        """A connection is gone."""
        self._waiting.pop(session, None)
        self._to_flush.discard(session)
        if self._sessions.get(session.client_id) is session:
            del self._sessions[session.client_id]

    def every_session(self) -> list[Session]:
        """All connections, those that have not started included."""
        return [*self._sessions.values(), *self._waiting]

    def flush_soon(self, session: Session | None) -> None:
        """Write the state and what sessions have queued, at the end of this turn of the loop."""
        if session is not None:
            self._to_flush.add(session)
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._state is not None and self.world.dirty.any():
            self._state.write()
        self.world.dirty.clear()
        sessions, self._to_flush = self._to_flush, set()
        for session in sessions:
            session.flush()

    # from other threads

    def ask(self, act: Callable[[], T]) -> T:
        """Do something on the gateway's own thread and return its result, whichever thread asks.

        Before the start and after the end it is done at once, by whoever asks.

        Raises:
            Exception: Whatever ``act`` raises.
            TimeoutError: The gateway's loop did not come to it within a minute.
        """
        if self.thread_id in (0, threading.get_ident()):
            return act()
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def answer() -> None:
            try:
                done.set_result(act())
            except Exception as trouble:  # noqa: BLE001  # handed over to the thread that asks, whole
                done.set_exception(trouble)

        self.loop.call_soon_threadsafe(answer)
        return done.result(_PATIENCE_S)

    # the truth, for tests (any thread)

    def positions(self) -> dict[tuple[str, int], Decimal]:
        """Every position that is not flat: (account, con_id) to signed quantity. Virtual FX rows are included."""
        return self.ask(
            lambda: {
                (name, held.con_id): held.quantity
                for name, account in self.world.accounts.by_name.items()
                for held in account.holdings.values()
                if held.quantity
            }
        )

    def executions(self) -> list[Execution]:
        """Every execution ever, oldest first."""
        return self.ask(lambda: list(self.world.executions.values()))

    def orders(self) -> list[Order]:
        """Every order ever, oldest first."""
        return self.ask(lambda: list(self.world.orders.values()))
