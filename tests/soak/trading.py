"""The engine of the soak test: it trades a given number of fills a second on a gateway in another process.

Every 15 seconds a line of JSON about this process goes to the file that ``SOAK_REPORT`` names: what it holds, and what
that costs. ``SOAK_TYPES=1`` adds how many objects of each type there are, to look for a leak.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

from dashboard.host import get
from engine.app import Engine
from engine.broker.link import connector, contract
from engine.settings import Settings
from engine.strategies import Strategy

STRATEGIES = ("ALPHA", "BETA", "GAMMA", "DELTA", "OMEGA")
REPORT_EVERY_S = 15.0
STOCKS = ("AAPL", "MSFT", "SPY", "TSLA")


class Pacer(Strategy):
    """Buys and sells small lots at a fixed rate, whatever the day brings; positions stay small, the history grows."""

    per_s = 10.0
    sent = 0

    async def run(self):
        """Trade for ever, by the clock: a late order does not delay those behind it."""
        known = [
            await self.qualify(contract("Stock", symbol=symbol, exchange="SMART", currency="USD")) for symbol in STOCKS
        ]
        loop = asyncio.get_running_loop()
        began, first = loop.time(), self.sent
        while True:
            while (self.sent - first) < (loop.time() - began) * self.per_s:
                what = known[self.sent // 2 % len(known)]
                await self.market(what, 1 if self.sent % 2 == 0 else -1)
                self.sent += 1
            await asyncio.sleep(0.5 / self.per_s)


class SoakEngine(Engine):
    """An engine with its traders and a report of its own memory."""

    async def start(self):
        """Start the engine, then whoever trades on it."""
        await super().start()
        Pacer.per_s = float(os.environ.get("SOAK_FILLS_PER_S", "50")) / len(STRATEGIES)
        connect = connector(self.settings)
        if Pacer.per_s:
            for number, name in enumerate(STRATEGIES):
                self.launch(Pacer(name, client_id=11 + number, connect=connect))
        self.reporting = asyncio.create_task(self.report())

    async def stop(self):
        """Stop everything."""
        self.reporting.cancel()
        await super().stop()

    async def report(self):
        """Write a line about this process every while."""
        began = time.monotonic()
        while True:
            await asyncio.to_thread(write_line, {"at": round(time.monotonic() - began, 1), **figures(self)})
            await asyncio.sleep(REPORT_EVERY_S)


def figures(engine):
    """What this process holds and how it does."""
    process, health, room = psutil.Process(), engine.health(), engine.room
    found = {
        "own_mb": anonymous_mb(),
        "files_mb": process.memory_info().rss / 2**20 - anonymous_mb(),
        "handles": process.num_fds(),
        "threads": process.num_threads(),
        "cpu_s": sum(process.cpu_times()[:2]),
        "executions": room.ledger.execution_count,
        "facts": health["journal_seq"],
        "stored": health["stored_seq"],
        "backlog": health["backlog"],
        "outbox": health["outbox"],
        "queue": health["queue_depth"],
        "journal_mb": health["journal_mb"],
        "commit_p50_ms": health["journal_commit_ms"]["p50"],
        "commit_p95_ms": health["journal_commit_ms"]["p95"],
        "store_p50_ms": health["fill_to_store_ms"]["p50"],
        "store_p95_ms": health["fill_to_store_ms"]["p95"],
        "lag_p99_ms": health["loop_lag_ms"]["p99"],
        "lag_max_ms": health["loop_lag_ms"]["max"],
        # Counted without a look at them: a list of all objects holds tuples that another thread is just building, which
        # Python then refuses to finish ("bad argument to internal function").
        "objects": sys.getallocatedblocks(),
        "pages": len(get(make_engine).hub),
        "sent": sum(strategy.sent for strategy in engine.strategies().values()),
        "ok": health["ok"],
        "problems": health["problems"],
    }
    if os.environ.get("SOAK_TYPES"):
        found["types"] = Counter(type(thing).__qualname__ for thing in gc.get_objects()).most_common(25)
    return found


def anonymous_mb():
    """Memory that is this process's own, MiB; mapped pages of ArcticDB's files, which the system takes back, are not."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1]) / 1024


def write_line(content):
    """Append to the report."""
    with Path(os.environ["SOAK_REPORT"]).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(content) + "\n")


def make_engine():
    """As the front door's: on what the environment says."""
    return SoakEngine(Settings.from_env())
