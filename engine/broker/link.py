"""What strategies need of the client library: a connection of their own, contracts and orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsFloat

from engine.broker.library import forget_done, hang_up, load_library
from engine.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from engine.settings import Settings


def connector(settings: Settings) -> Callable[[int], Coroutine[Any, Any, Any]]:
    """Make the function that strategies connect with.

    Returns:
        A coroutine function: client id -> connected client of the chosen library; raises ``BrokerUnavailable``.
    """
    library = load_library(settings.ib_client)

    async def connect(client_id: int) -> Any:
        ib = library.IB()
        try:
            await ib.connectAsync(settings.ib_host, settings.ib_port, clientId=client_id, timeout=settings.ib_timeout_s)
        except (OSError, TimeoutError) as error:
            hang_up(ib)
            raise BrokerUnavailable(f"IB does not answer at {settings.ib_host}:{settings.ib_port}: {error}") from error
        return ib

    return connect


def tidy(ib: Any, keep: int) -> None:
    """Let a strategy's connection forget orders that are done, but for the latest ``keep``."""
    forget_done(ib, keep)


def end(ib: Any) -> None:
    """End a strategy's connection, also one that was just reset."""
    hang_up(ib)


def market_order(quantity: SupportsFloat) -> Any:
    """A market order; ``quantity`` signed."""
    return load_library().MarketOrder("BUY" if float(quantity) > 0 else "SELL", abs(float(quantity)))


def limit_order(quantity: SupportsFloat, price: SupportsFloat) -> Any:
    """A limit order; ``quantity`` signed, ``price`` in quoted units."""
    return load_library().LimitOrder("BUY" if float(quantity) > 0 else "SELL", abs(float(quantity)), float(price))


def contract(kind: str, **fields: Any) -> Any:
    """A contract of the chosen library, e.g. ``contract("Stock", symbol="AAPL", exchange="SMART", currency="USD")``."""
    return getattr(load_library(), kind)(**fields)
