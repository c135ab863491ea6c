"""Whichever IB client library is installed, under one name; and small helpers to use it in tests.

ib_insync and ib_async cannot share an environment, so the tests that are marked ``client`` run once in each.
"""

import asyncio
import importlib.util
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from engine.broker.library import hang_up

DEADLINE_S = 60.0


def _library() -> str:
    asked = os.environ.get("FILLBOOK_IB_CLIENT", "")
    names = [asked] if asked else ["ib_insync", "ib_async"]
    for name in names:
        if importlib.util.find_spec(name) is not None:
            return name
    raise ImportError(f"none of {names} is installed")


LIBRARY = _library()

if LIBRARY == "ib_insync":
    import ib_insync as library
else:
    import ib_async as library  # type: ignore[no-redef]

IB = library.IB
util = library.util
Contract = library.Contract
Stock = library.Stock
Future = library.Future
Option = library.Option
FuturesOption = library.FuturesOption
Forex = library.Forex
Crypto = library.Crypto
Bag = library.Bag
ComboLeg = library.ComboLeg
Order = library.Order
MarketOrder = library.MarketOrder
LimitOrder = library.LimitOrder
StopOrder = library.StopOrder
ExecutionFilter = library.ExecutionFilter
TimeCondition = library.TimeCondition
TagValue = library.TagValue


@asynccontextmanager
async def connected(port: int, client_id: int = 1, **options: Any) -> AsyncIterator[Any]:
    """A connected client that asks as fast as it can and disconnects at the end."""
    ib = IB()
    ib.client.MaxRequests = 0
    await ib.connectAsync("127.0.0.1", port, clientId=client_id, **({"timeout": DEADLINE_S} | options))
    try:
        yield ib
    finally:
        hang_up(ib)


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition holds; its value is returned."""
    end = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {DEADLINE_S:.0f} s: {what}")
        await asyncio.sleep(0.01)
    return value


async def asked_positions(ib: Any) -> list[Any]:
    """The rows of a positions answer. What was streamed before is waited for first: it would stand among them."""
    await ib.reqCurrentTimeAsync()
    return list(await ib.reqPositionsAsync())
