"""The engine behind the dashboard's benchmarks, and the thread that puts fills into it.

A fill can be told from what the page shows of it: fill number ``n`` trades at the price 100 + n / 10,000, belongs to book
``n % 100`` (strategy ``n % 5``, instrument ``n // 5 % 20``), and its fee is exactly 1. Each book buys 20 and sells 10 in
turn, so that it stays open. Put times are ``time.time()``, the
clock that the browser's ``Date.now()`` reads too.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tornado.web import RequestHandler

from dashboard.exposure import servers
from engine.app import Engine
from engine.monitor import memory_mb
from tests.benchmarks.messages import messages

BOOKS = 100
FEE = 1.0


def load_messages(first: int, count: int, offset: int) -> list[list[dict[str, Any]]]:
    """Per fill, in order: its two messages. ``offset`` is added to the ids, so that a history can stand before them."""
    found: list[list[dict[str, Any]]] = []
    parts = messages(offset + first, count)  # by strategy; ``offset`` is a multiple of the number of books
    number = first
    while len(found) < count:
        part = parts[number % len(parts)]
        fill, status = part[0], part[1]
        del part[:2]
        execution, order, state = fill["fill"].execution, fill["trade"].order, fill["trade"].orderStatus
        now = datetime.now(UTC)
        execution.price = execution.avgPrice = state.avgFillPrice = 100 + number / 10_000
        buys = number // BOOKS % 2 == 0
        execution.side, order.action = ("BOT", "BUY") if buys else ("SLD", "SELL")
        execution.shares = execution.cumQty = order.totalQuantity = state.filled = 20.0 if buys else 10.0
        execution.time = now
        fill["trade"].log.append(SimpleNamespace(time=now, status="Filled", message="", errorCode=0))
        fill["fill"].commissionReport.commission = FEE
        found.append([fill, status])
        number += 1
    return found


class Load(threading.Thread):
    """Puts fills at an even rate; late ones follow at once."""

    def __init__(self, queue: Any, offset: int) -> None:
        super().__init__(daemon=True, name="load")
        self.queue = queue
        self.offset = offset
        self.per_s = 0.0
        self.put_at: list[float] = []
        self.offset_fills = 0

    def run(self) -> None:
        """Put for ever."""
        due, rate = time.monotonic(), 0.0
        while True:
            if self.per_s != rate:
                due, rate = time.monotonic(), self.per_s
            if not rate:
                time.sleep(0.02)
                continue
            # A tenth of a second's worth of objects is made ahead, as strategies make theirs one by one.
            for pair in load_messages(len(self.put_at), max(1, round(rate / 10)), self.offset):
                ahead = due - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)
                self.put_at.append(time.time())
                for message in pair:
                    self.queue.put(message)
                due += 1 / rate


class LoadHandler(RequestHandler):
    """POST sets the rate, GET reports."""

    load: Load
    engine: Any

    def post(self) -> None:
        """Set the rate."""
        self.load.per_s = float(self.get_argument("per_s"))
        self.finish("{}")

    def get(self) -> None:
        """What was put (from ``first`` on), and what the process holds; ``collect=1`` collects garbage before."""
        if self.get_argument("collect", ""):
            gc.collect()
        first = int(self.get_argument("first", "0"))
        put_at = self.load.put_at
        booked = self.engine.portfolio_manager.fills_page(limit=1)[1] - self.load.offset_fills
        self.finish(json.dumps({"put_at": put_at[first:], "booked": booked, **held()}))


def held() -> dict[str, Any]:
    """What this process holds: MiB, threads, handles, sessions, CPU seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    sessions = [s for server in servers() for app in server._tornado.applications.values() for s in app.sessions]
    return {
        "rss_mb": memory_mb(),
        "threads": threading.active_count(),
        "handles": len(list(Path("/proc/self/fd").iterdir())),
        "sessions": len(sessions),
        "objects": sys.getallocatedblocks(),
        "cpu_s": used.ru_utime + used.ru_stime,
        "load": os.getloadavg(),
    }


class LoadedEngine(Engine):
    """An engine without IB that can be put under load over HTTP."""

    async def start(self) -> None:
        """Start, then offer ``/load``."""
        await super().start()
        offset = -(-self.room.keeper.seq // BOOKS) * BOOKS
        LoadHandler.engine = self
        LoadHandler.load = Load(self.strategy_manager.message_queue, offset)
        LoadHandler.load.offset_fills = self.portfolio_manager.fills_page(limit=1)[1]
        messages(0, 1)  # the client library is first imported where there is an event loop
        LoadHandler.load.start()
        for server in servers():
            server._tornado.add_handlers(r".*", [(r"/load", LoadHandler)])
