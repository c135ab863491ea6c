"""The base class of strategies that run beside the engine.

A strategy has a connection of its own (its own client id), sends its orders with its own order reference, and everything
it hears about them goes onto the manager's queue. A strategy needs to know nothing of books::

    class Momentum(Strategy):
        async def run(self) -> None:
            apple = await self.qualify(Stock("AAPL", "SMART", "USD"))
            while True:
                await self.market(apple, +100)
                await asyncio.sleep(60)
                await self.market(apple, -100)
                await asyncio.sleep(60)
"""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.strategy_manager import MessageQueue

log = logging.getLogger(__name__)

_DONE_KEPT = 1_000
"""Orders that are done and stay in ``ib.trades()``; the library would keep each for ever, at some twelve kilobytes."""

_TIDY_EVERY = 200


class Strategy:
    """One strategy: subclass it and write ``run``.

    Attributes:
        name: The strategy's name in the books; also its order reference.
        client_id: IB client id of its own connection, unique per gateway.
        account: Account its orders go to; empty takes the first the gateway manages.
        state: ``new``, ``running``, ``waiting for IB``, ``stopped`` or ``failed``.
        failure: Why it failed, else empty.
    """

    def __init__(self, name: str, *, client_id: int, connect: Callable[[int], Any], account: str = "") -> None:
        """Make a strategy; ``StrategyManager.add`` gives it the queue.

        Args:
            name: Name in the books.
            client_id: Its own client id.
            connect: Coroutine function that takes a client id and returns a connected client (``broker.link``).
            account: Account for its orders, empty for the first one managed.
        """
        self.name = name
        self.client_id = client_id
        self.account = account
        self.state = "new"
        self.failure = ""
        self.ib: Any = None
        self._connect = connect
        self._queue: MessageQueue | None = None
        self._fees = 0

    def bind(self, queue: MessageQueue) -> None:
        """Give the strategy the queue it reports on."""
        self._queue = queue

    async def run(self) -> None:
        """The strategy itself; runs again from its start after a lost connection."""
        raise NotImplementedError("a strategy defines run()")

    async def live(self) -> None:
        """Connect, run, and start again when the connection is lost; ends when ``run`` returns or fails."""
        pause = 1.0
        try:
            while True:
                try:
                    self.state = "waiting for IB"
                    self.ib = await self._connect(self.client_id)
                    self._listen()
                    self.state, pause = "running", 1.0
                    await self._until_lost()
                    self.state = "stopped"
                    return
                except (BrokerError, ConnectionError, TimeoutError, OSError) as error:
                    self.failure = str(error) or type(error).__name__
                    log.warning("%s waits for IB: %s", self.name, self.failure)
                finally:
                    self._hang_up()
                await asyncio.sleep(pause)
                pause = min(pause * 2, 30.0)
        except asyncio.CancelledError:
            self.state = "stopped"
            raise
        except Exception as error:
            self.state, self.failure = "failed", f"{type(error).__name__}: {error}"
            log.exception("strategy %s has failed", self.name)

    async def _until_lost(self) -> None:
        lost = asyncio.Event()
        self.ib.disconnectedEvent += lost.set
        work = asyncio.ensure_future(self.run())
        gone = asyncio.ensure_future(lost.wait())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            else:
                raise ConnectionError("the connection to IB was lost")
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    def _listen(self) -> None:
        ib = self.ib
        ib.newOrderEvent += self._on_order
        ib.orderModifyEvent += self._on_order
        ib.orderStatusEvent += self._on_status
        ib.execDetailsEvent += self._on_fill
        ib.commissionReportEvent += self._on_commission

    def _hang_up(self) -> None:
        if self.ib is not None:
            from engine.broker.link import end

            end(self.ib)

    def _put(self, message: dict[str, Any]) -> None:
        if self._queue is None or self._queue.closed:
            log.info("%s heard something after the engine stopped; the broker replays it at the next start", self.name)
            return
        self._queue.put(message)

    def _on_order(self, trade: Any) -> None:
        self._put({"type": "order", "strategy": self.name, "trade": trade})

    def _on_status(self, trade: Any) -> None:
        self._put({"type": "status_change", "strategy": self.name, "trade": trade, "status": trade.orderStatus.status})

    def _on_fill(self, trade: Any, fill: Any) -> None:
        self._put({"type": "fill", "strategy": self.name, "trade": trade, "fill": fill})

    def _on_commission(self, trade: Any, fill: Any, report: Any) -> None:
        self._put({"type": "commission_report", "strategy": self.name, "trade": trade, "fill": fill, "report": report})
        self._fees += 1
        if self._fees % _TIDY_EVERY == 0:
            from engine.broker.link import tidy

            tidy(self.ib, _DONE_KEPT)

    async def qualify(self, contract: Any) -> Any:
        """Let IB complete a contract.

        Raises:
            BrokerError: IB knows no such contract, or more than one.
        """
        found = await self.ib.qualifyContractsAsync(contract)
        if len(found) != 1 or found[0] is None or not found[0].conId:
            raise BrokerError(f"IB does not know exactly one contract for {contract}")
        return found[0]

    def _order(self, order: Any) -> Any:
        order.orderRef = self.name
        if self.account:
            order.account = self.account
        return order

    async def market(self, contract: Any, quantity: Decimal | float) -> Any:
        """Send a market order.

        Args:
            contract: A qualified contract.
            quantity: Signed: positive buys, negative sells.

        Returns:
            The client library's trade; its life is reported on the queue by itself.
        """
        from engine.broker.link import market_order

        return self.ib.placeOrder(contract, self._order(market_order(quantity)))

    async def limit(self, contract: Any, quantity: Decimal | float, price: Decimal | float) -> Any:
        """Send a limit order; ``quantity`` signed, ``price`` in quoted units."""
        from engine.broker.link import limit_order

        return self.ib.placeOrder(contract, self._order(limit_order(quantity, price)))
