"""The demonstration: a simulated gateway in this process, and a few small strategies that trade on it.

Chosen so that attribution is visible at once: TORTOISE is long the stock that HARE shorts (the broker's net is sometimes
zero), HARVEST trades futures, ATLAS a currency pair and a coin. They use the same base class as anybody's strategy.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.app import Engine
from engine.broker.link import connector, contract
from engine.errors import SettingsError, StoreLocked
from engine.simulator import Gateway, GatewayConfig
from engine.simulator.state import StateError
from engine.storage.lock import WriterLock
from engine.strategies import Strategy

if TYPE_CHECKING:
    from typing import Any

    from engine.settings import Settings

ACCOUNTS = ("DU1234567", "DU7654321")
_PACE_S = (1.5, 4.0)


class Walker(Strategy):
    """Buys and sells within bounds, mostly in one direction.

    Subclasses say what they trade: ``wants`` lists contracts with lot size and the largest position, signed by their bias.
    """

    wants: tuple[tuple[dict[str, Any], float, float], ...] = ()
    held: dict[int, float]

    async def run(self) -> None:
        """Trade for ever."""
        dice = random.Random(self.client_id)  # noqa: S311 - a demonstration
        self.held = {}
        known = [(await self.qualify(contract(**fields)), lot, most) for fields, lot, most in self.wants]
        while True:
            what, lot, most = dice.choice(known)
            now = self.held.get(what.conId, 0.0)
            # The further from the middle of its range, the likelier the way back.
            upwards = dice.random() < 0.5 + 0.5 * (most / 2 - now) / (abs(most) + lot)
            step = lot * dice.choice((1, 1, 2)) * (1 if upwards else -1)
            self.held[what.conId] = round(now + step, 8)
            await self.market(what, step)
            await asyncio.sleep(dice.uniform(*_PACE_S))


class Tortoise(Walker):
    """Long Apple and Microsoft."""

    wants = (
        ({"kind": "Stock", "symbol": "AAPL", "exchange": "SMART", "currency": "USD"}, 50, 400),
        ({"kind": "Stock", "symbol": "MSFT", "exchange": "SMART", "currency": "USD"}, 20, 200),
    )


class Hare(Walker):
    """Short Apple, against the Tortoise."""

    wants = (({"kind": "Stock", "symbol": "AAPL", "exchange": "SMART", "currency": "USD"}, 50, -400),)


class Harvest(Walker):
    """Futures on the S&P 500."""

    wants = (({"kind": "ContFuture", "symbol": "ES", "exchange": "CME", "currency": "USD"}, 1, 6),)


class Atlas(Walker):
    """Euros and bitcoin."""

    wants = (
        ({"kind": "Forex", "pair": "EURUSD"}, 20_000, 100_000),
        ({"kind": "Crypto", "symbol": "BTC", "exchange": "PAXOS", "currency": "USD"}, 0.05, 0.5),
    )


class DemoEngine(Engine):
    """An engine with a gateway and strategies of its own: ``start`` and ``stop`` handle all three."""

    async def start(self) -> None:
        """Start the gateway, the engine on it, then the strategies."""
        data = Path(self.settings.data_dir)
        # Makes the folder; and where another engine has it, its process is named, which the gateway's file could not.
        await asyncio.to_thread(lambda: WriterLock(data, self.settings.arctic_location).release())
        self.gateway = Gateway(GatewayConfig(accounts=ACCOUNTS, seed=7, state=data / "gateway.json"))
        try:
            await self.gateway.start()
        except StateError as error:
            raise StoreLocked(f"the simulated gateway cannot start: {error}") from error
        self.settings = replace(self.settings, ib_host="127.0.0.1", ib_port=self.gateway.port, ib_resets="none")
        try:
            await super().start()
        except BaseException:
            await self.gateway.stop()
            raise
        connect = connector(self.settings)
        for kind, name, client_id, account in (
            (Tortoise, "TORTOISE", 11, ACCOUNTS[0]),
            (Hare, "HARE", 12, ACCOUNTS[0]),
            (Harvest, "HARVEST", 13, ACCOUNTS[1]),
            (Atlas, "ATLAS", 14, ACCOUNTS[1]),
        ):
            self.launch(kind(name, client_id=client_id, connect=connect, account=account))

    async def stop(self) -> None:
        """Stop the strategies and the engine, then the gateway."""
        try:
            await super().stop()
        finally:
            await self.gateway.stop()


def make_engine(settings: Settings) -> Engine:
    """The engine that the front door hosts: on the IB that is configured, else the demonstration.

    Raises:
        SettingsError: No IB is configured and the demonstration is switched off.
    """
    if settings.has_ib:
        return Engine(settings)
    if not settings.demo:
        raise SettingsError("FILLBOOK_IB_HOST is empty and FILLBOOK_DEMO is off: set one of them")
    return DemoEngine(settings)
