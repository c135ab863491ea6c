"""Figures A, B, D, E and F: the way of a fill from a strategy's put to ArcticDB."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from engine.pipeline.messages import readable
from engine.pipeline.room import BookRoom
from tests.benchmarks.apart import feed
from tests.benchmarks.kit import (
    Figure,
    assert_exact,
    bare_append,
    fdatasync_probe,
    figure,
    opened,
    pace,
    percentile,
    settle,
    stored_fills,
)
from tests.benchmarks.messages import maker, messages, put_all, queue_of

_E_PER_S = 200


def burst(room: BookRoom, first: int, count: int) -> float:
    """Fills/s of a burst from five threads until fills, orders and positions are in ArcticDB; books checked."""
    work = messages(first, count)
    settle()
    queue = queue_of(room)
    started = time.perf_counter()
    threads = put_all(queue, work)
    for thread in threads:
        thread.join()
    queue.join()
    assert room.writer.wait_stored(room.keeper.seq, 600), "the store did not take everything"
    taken = time.perf_counter() - started
    assert_exact(room, 0, first + count)
    return count / taken


def end_to_end(count: int, rounds: int) -> list[Figure]:
    """A: ``message_queue.put`` from 5 threads, 5 strategies x 20 instruments, each fill with fee and final status.

    Until fills, orders and positions are in ArcticDB (LMDB on disk) and the journal is fsynced. A fresh store each round;
    one small burst is the warm-up; each round also makes the bare 10,000-row append it is compared with.
    """
    speeds, ratios = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            bare = bare_append(Path(folder) / "bare", 10_000, 3)
            with opened(Path(folder) / "books") as room:
                warm = min(count, 500)
                burst(room, 0, warm)
                speed = burst(room, warm, count)
                assert stored_fills(room) == warm + count, "not every fill is in the store"
        speeds.append(speed)
        ratios.append(speed / (10_000 / bare))
    ratio = sorted(ratios)[len(ratios) // 2]
    return [
        figure(
            f"A end to end, {count:,} fills",
            speeds,
            "fills/s",
            ratio=ratio,
            over="bare append rows/s",
            target=">= 26,000/s, >= 0.10",
        )
    ]


def with_history(count: int, history: int, rounds: int) -> list[Figure]:
    """B: the burst of A on an empty store and on one with ``history`` fills, interleaved; and bytes per fill on disk."""
    ratios, sizes = [], []
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "old") as old:
        feed(old, 0, history)
        first = history
        for turn in range(rounds):
            before = _size(Path(folder) / "old")
            full = burst(old, first, count)
            sizes.append((_size(Path(folder) / "old") - before) / count)
            first += count
            with opened(Path(folder) / f"new{turn}") as new:
                ratios.append(burst(new, 0, count) / full)
    return [
        figure(f"B time with {history:,} of history", ratios, "x empty", target="<= 1.1"),
        figure("B disk per further fill", sizes, "bytes", target="linear"),
    ]


def _size(folder: Path) -> int:
    return sum(f.stat().st_blocks * 512 for f in folder.rglob("*") if f.is_file())


def put_cost(count: int, rounds: int) -> list[Figure]:
    """D: how long ``put`` holds a strategy that puts 2,000 messages a second, everything else running in the same process.

    A fill and its order's final status follow each other, a thousand times a second. The client's objects are made right
    before, as the client itself makes them of what the socket brought and then calls the strategy. Beside it, in each
    round: all of them made before the first put, so that most have left the processor's caches and reading their sixty
    attributes waits for memory.
    """
    fresh, old = [], []
    for _ in range(rounds):
        fresh.append(_put_times(count, before=False))
        old.append(_put_times(count, before=True))
    return [
        figure("D put at 2,000/s, p50", [percentile(t, 0.5) for t in fresh], "us", target="<= 15"),
        figure("D put at 2,000/s, p99", [percentile(t, 0.99) for t in fresh], "us", target="<= 300"),
        figure("D put of objects made long before, p50", [percentile(t, 0.5) for t in old], "us"),
        figure("D put of objects made long before, p99", [percentile(t, 0.99) for t in old], "us"),
    ]


def _put_times(count: int, *, before: bool) -> list[float]:
    """Microseconds of each put, the first tenth left out."""
    taken: list[float] = []
    pair = maker()
    made = [pair(number) for number in range(count)] if before else []
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as room:
        queue = queue_of(room)

        def put(number: int) -> None:
            fill, status = made[number] if before else pair(number)
            started = time.perf_counter()
            queue.put(fill)
            between = time.perf_counter()
            queue.put(status)
            ended = time.perf_counter()
            taken.extend(((between - started) * 1e6, (ended - between) * 1e6))

        pace(count, 1000, put)
        queue.join()
    return taken[len(taken) // 10 :]


def accepted(count: int, rounds: int) -> list[Figure]:
    """E: from a read message to its fsynced journal group at 200 fills/s; before it, fdatasync of 4 KiB on that disk.

    The probe writes at the same pace, 200 times a second; beside it, how much E is of probes one right after the other,
    for which the disk never rests. And how long after ``put`` returned an event may still die with the process (IB's
    replay brings it back then).
    """
    mid, ratios, busy, bounds = [], [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as room:
            alike = fdatasync_probe(Path(folder), every_s=1 / _E_PER_S)
            at_once = fdatasync_probe(Path(folder))
            work = [m for m in messages(0, count * 5)[0] if m["type"] == "fill"]
            waits: list[float] = []
            open_ms: list[float] = []

            def put(
                number: int,
                work: list[Any] = work,
                room: BookRoom = room,
                waits: list[float] = waits,
                open_ms: list[float] = open_ms,
            ) -> None:
                started = time.perf_counter()
                receipt = room.intake.put(readable(work[number], room.clock, "queue"))
                returned = time.perf_counter()

                def settled(_: object) -> None:
                    now = time.perf_counter()
                    waits.append((now - started) * 1000)
                    open_ms.append((now - returned) * 1000)

                receipt.add_done_callback(settled)

            pace(len(work), _E_PER_S, put)
            room.intake.put([]).result()
            room.writer.wait_stored(room.journal.head, 60)
            mid.append(percentile(waits, 0.5))
            bounds.append(percentile(open_ms, 0.99))
            ratios.append(mid[-1] / alike)
            busy.append(mid[-1] / at_once)
    ratio = sorted(ratios)[len(ratios) // 2]
    over = "fdatasync of 4 KiB at that pace"
    return [
        figure(f"E accepted at {_E_PER_S}/s, p50", mid, "ms", ratio=ratio, over=over, target="<= 4 x"),
        figure("E accepted, of fdatasyncs one after the other", busy, "x"),
        figure("E durable after put returned, p99", bounds, "ms"),
    ]


def stored(count: int, per_s: int, rounds: int) -> list[Figure]:
    """F: from ``put`` to readable in ArcticDB at an even rate over five strategies, and commits per fill.

    A fill is readable once the append that holds its row has returned: another process sees it from then on. Commits are
    those of all symbols, the positions' snapshots among them.
    """
    mid, ratios, commits = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            bare = bare_append(Path(folder) / "bare", 1, 10) * 1000
            with opened(Path(folder) / "books") as room:
                burst(room, 0, 200)
                waits, calls = _latencies(room, 200, count, per_s)
        mid.append(percentile(waits, 0.5))
        ratios.append(mid[-1] / bare)
        commits.append(calls / count)
    ratio = sorted(ratios)[len(ratios) // 2]
    return [
        figure(f"F in ArcticDB at {per_s:,}/s, p50", mid, "ms", ratio=ratio, over="bare append", target="<= 6 x"),
        figure(f"F symbol commits per fill at {per_s:,}/s", commits, "", target="<= 0.25 at 500/s"),
    ]


def _latencies(room: BookRoom, first: int, count: int, per_s: int) -> tuple[list[float], int]:
    """Milliseconds from each fill's put to the commit that holds its row, and the number of commits."""
    parts = messages(first, count)
    work = [m for n in range(0, len(parts[0]), 2) for part in parts for m in part[n : n + 2]]
    queue, calls = queue_of(room), [0]
    put_at: dict[str, float] = {}
    readable_at: dict[str, float] = {}
    for name in ("append", "write"):
        setattr(room.store, name, _watched(getattr(room.store, name), calls, readable_at))

    def put(number: int) -> None:
        for message in work[2 * number : 2 * number + 2]:
            if message["type"] == "fill":
                put_at[message["fill"].execution.execId] = time.perf_counter()
            queue.put(message)

    pace(len(work) // 2, per_s, put)
    queue.join()
    assert room.writer.wait_stored(room.keeper.seq, 60)
    return [(readable_at[exec_id] - at) * 1000 for exec_id, at in put_at.items()], calls[0]


def _watched(act: Any, calls: list[int], readable_at: dict[str, float]) -> Any:
    def watching(library: str, symbol: str, columns: Any, index: Any, seq: int) -> None:
        calls[0] += 1
        act(library, symbol, columns, index, seq)
        now = time.perf_counter()
        for exec_id in columns["fill_id"] if library == "fills" else ():
            readable_at.setdefault(exec_id, now)

    return watching
