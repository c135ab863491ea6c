"""A broker connected to a simulated gateway, for the tests of the connection."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from engine.broker.client import IbBroker
from engine.broker.connection import Backoff
from engine.core.events import AnyFact
from engine.settings import Settings
from engine.simulator.config import GatewayConfig
from engine.simulator.hosting import GatewayThread

DEADLINE_S = 60.0
CLIENT = os.environ.get("FILLBOOK_IB_CLIENT", "ib_insync")


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Link:
    """The broker under test, with all it said."""

    def __init__(self, port: int, *, pressed: Callable[[], bool] = lambda: False, **settings: Any) -> None:
        self.facts: list[AnyFact] = []
        self.states: list[str] = []
        chosen = {"ib_host": "127.0.0.1", "ib_port": port, "ib_client": CLIENT, "ib_timeout_s": 30.0} | settings
        self.broker = IbBroker(
            Settings(**chosen),
            sink=self.facts.extend,
            clock=SystemClock(),
            on_state=lambda state: self.states.append(state.state),
            pressed=pressed,
            backoff=Backoff(first_s=0.05, most_s=0.5),
            pause_s=0.05,
            portfolio_every_s=0.2,
        )

    def of(self, kind: type, **fields: Any) -> list[Any]:
        """Facts of a kind with these fields."""
        return [
            fact
            for fact in list(self.facts)
            if isinstance(fact, kind) and all(getattr(fact, name) == value for name, value in fields.items())
        ]

    async def connected(self) -> None:
        await until(lambda: self.broker.available, lambda: self.broker.state)


async def until(condition: Callable[[], Any], what: Callable[[], Any] | str = "") -> Any:
    """Poll with a deadline; returns what the condition gave."""
    end = time.monotonic() + DEADLINE_S
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, what() if callable(what) else what
        await asyncio.sleep(0.01)


@asynccontextmanager
async def linked(port: int, *, wait: bool = True, **settings: Any):
    """A running broker; ended at the end."""
    link = Link(port, **settings)
    running = asyncio.create_task(link.broker.run())
    try:
        if wait:
            await link.connected()
        yield link
    finally:
        await link.broker.stop()
        await running


def gateway(**settings: Any) -> GatewayThread:
    """A gateway whose prices stand still."""
    return GatewayThread(GatewayConfig(**({"tick_s": 0.0, "accounts": ("DU1", "DU2")} | settings)))


async def desk(host: GatewayThread, name: str, **parameters: Any) -> Any:
    """Make a fault happen, without blocking the loop of the test."""
    return await asyncio.to_thread(host.gateway.faults.run, name, **parameters)
