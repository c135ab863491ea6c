"""Figure G: how late the server's loop runs what is due, while fills come."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import threading
import time
from typing import Any

from engine.app import Engine
from engine.settings import Settings
from tests.benchmarks.kit import Figure, figure, pace, percentile
from tests.benchmarks.messages import messages, put_all

_EVERY_S = 0.002


class Probe:
    """Asks to be woken every 2 ms and notes how late it is, in milliseconds."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            due = time.perf_counter() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self.late.append((time.perf_counter() - due) * 1000)

    async def stop(self) -> list[float]:
        self._task.cancel()
        await asyncio.wait({self._task})
        return self.late


async def _idle(seconds: float) -> list[float]:
    probe = Probe()
    await asyncio.sleep(seconds)
    return await probe.stop()


async def _stored(engine: Engine) -> None:
    """Until everything that was put is in ArcticDB; the loop stays free."""
    await asyncio.to_thread(engine.strategy_manager.message_queue.join)
    seq = engine.room.keeper.seq
    assert await asyncio.to_thread(engine.room.writer.wait_stored, seq, 300.0), "the store did not take everything"


async def _paced(engine: Engine, work: list[dict[str, Any]], per_s: int) -> list[float]:
    queue = engine.strategy_manager.message_queue
    probe = Probe()

    def put(number: int) -> None:
        for message in work[2 * number : 2 * number + 2]:
            queue.put(message)

    await asyncio.to_thread(pace, len(work) // 2, per_s, put)
    await _stored(engine)
    return await probe.stop()


async def _burst(engine: Engine, work: list[list[dict[str, Any]]]) -> list[float]:
    probe = Probe()
    threads: list[threading.Thread] = put_all(engine.strategy_manager.message_queue, work)
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await _stored(engine)
    return await probe.stop()


async def _round(paced: int, burst: int) -> tuple[list[float], list[float], list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Settings(data_dir=folder))
        await engine.start()
        try:
            parts = messages(0, paced + 500)
            work = [m for n in range(0, len(parts[0]), 2) for part in parts for m in part[n : n + 2]]
            rest = messages(paced + 500, burst)
            gc.collect()
            gc.freeze()  # the messages are the strategies' memory, not the engine's
            await _paced(engine, work[:1000], 2000)  # the warm-up
            idle = await _idle(min(2.0, paced / 2000))
            under = await _paced(engine, work[1000:], 2000)
            return idle, under, await _burst(engine, rest)
        finally:
            await engine.stop()
            gc.unfreeze()


def loop_lag(paced: int, burst: int, rounds: int) -> list[Figure]:
    """G: a whole engine (without IB) on its loop; a probe on the same loop wakes every 2 ms and notes its lateness.

    In each round: idle; a thread that puts fills with their statuses at 2,000/s; five threads that put ``burst`` fills as
    fast as they can. Each until everything is in ArcticDB. The messages are made before.
    """
    names = ("idle", "at 2,000/s", f"in a burst of {burst:,}")
    lists: dict[tuple[str, str], list[float]] = {}
    ratios = []
    for _ in range(rounds):
        found = asyncio.run(_round(paced, burst))
        for name, late in zip(names, found, strict=True):
            for word, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
                lists.setdefault((name, word), []).append(percentile(late, share))
        ratios.append(lists[names[1], "p99"][-1] / lists[names[0], "p99"][-1])
    more: dict[tuple[str, str], dict[str, Any]] = {
        (names[1], "p99"): {"ratio": percentile(ratios, 0.5), "over": "idle p99", "target": "<= 3 x"},
        (names[2], "max"): {"target": "<= 50"},
    }
    return [figure(f"G loop lag {n}, {w}", v, "ms", **more.get((n, w), {})) for (n, w), v in lists.items()]
