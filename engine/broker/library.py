"""Imports a client library. Both are never in one environment: their event libraries install over each other."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import threading
import warnings
from typing import Any, Final

from engine.errors import BrokerUnavailable

log = logging.getLogger(__name__)

_loading: Final = threading.Lock()
_loaded: dict[str, Any] = {}


def load_library(name: str = "") -> Any:
    """Import a client library, once; from any thread.

    Args:
        name: ``ib_insync`` or ``ib_async``; empty takes the one already loaded, or the environment's choice.

    Returns:
        The module.

    Raises:
        BrokerUnavailable: It is not installed, or the name is none of the two.
    """
    with _loading:
        if not name:
            name = next(iter(_loaded), "") or os.environ.get("FILLBOOK_IB_CLIENT", "") or "ib_insync"
        if name not in _loaded:
            _loaded[name] = _imported(name)
        return _loaded[name]


def _imported(name: str) -> Any:
    if name not in {"ib_insync", "ib_async"}:
        raise BrokerUnavailable(f"{name!r} is no client library; ib_insync and ib_async are")
    with warnings.catch_warnings():
        # eventkit asks for an event loop while it is imported, which Python deprecates, and which only the main
        # thread has without being given one.
        warnings.simplefilter("ignore", DeprecationWarning)
        lent = _lend_loop()
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise BrokerUnavailable(f"{name} is not installed in this environment: {error}") from error
        finally:
            if lent is not None:
                asyncio.set_event_loop(None)
                lent.close()


def _lend_loop() -> asyncio.AbstractEventLoop | None:
    """Give this thread an event loop if it has none; ``None`` when it has."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        lent = asyncio.new_event_loop()
        asyncio.set_event_loop(lent)
        return lent
    return None


def forget_all(ib: Any) -> None:
    """Let a connected client forget its executions and orders, which it would keep for as long as it is connected.

    The library's objects take some four kilobytes an execution and eight an order. The engine needs none of them: it
    reads messages before the library does. What comes later of a forgotten order raises no event of the library.
    """
    wrapper = ib.wrapper
    for kept in (wrapper.fills, wrapper.trades, wrapper.permId2Trade):
        kept.clear()


def forget_done(ib: Any, keep: int) -> None:
    """Let a strategy's client forget the oldest orders that are done and whose fees are known.

    Args:
        keep: How many of them stay. An order whose fee never comes goes when there are ten times as many.
    """
    wrapper = ib.wrapper
    done = [key for key, trade in wrapper.trades.items() if trade.isDone()]
    for place, key in enumerate(done[: len(done) - keep] if len(done) > keep else ()):
        trade = wrapper.trades[key]
        if any(not fill.commissionReport.execId for fill in trade.fills) and len(done) - place <= 10 * keep:
            continue
        del wrapper.trades[key]
        wrapper.permId2Trade.pop(trade.order.permId, None)
        for fill in trade.fills:
            wrapper.fills.pop(fill.execution.execId, None)


def refuse_patched_asyncio() -> None:
    """Make sure that nobody patched asyncio into running loops inside loops.

    Raises:
        AssertionError: Somebody did.
    """
    assert not hasattr(asyncio, "_nest_patched"), (
        "asyncio was patched by nest_asyncio; the engine does not run like that"
    )


def hang_up(connection: Any) -> None:
    """End a client's connection, also one that the other side has just reset.

    The client library half-closes the socket first; when the peer's reset came in the same moment, the system refuses
    that, and the library would leave the transport open and raise. Then the transport is dropped outright.

    Args:
        connection: The library's ``IB`` or its ``Client``.
    """
    try:
        connection.disconnect()
    except OSError as error:
        log.info("the connection to IB was reset already: %s", error)
        client = getattr(connection, "client", connection)
        transport = getattr(getattr(client, "conn", None), "transport", None)
        if transport is not None:
            transport.abort()
