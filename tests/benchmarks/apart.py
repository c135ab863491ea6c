"""Work that is measured in a process of its own, so that nothing of another figure is in its memory or its clock.

``python -m tests.benchmarks.apart ACT FOLDER [NUMBER ...]`` imports what an engine imports, does one act and prints a
line of JSON. Imports are outside of every figure.

- ``feed FOLDER SIZE ...``: memory while fills are processed, at each of the rising sizes, with the C library's allocator
  restrained and trimmed as in an engine;
- ``start FOLDER``: seconds until a book room on that folder is ready;
- ``verify FOLDER``: seconds of a full verify, and how many differences it found.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import arcticdb  # noqa: F401
from msgspec.structs import replace

import engine.app  # noqa: F401 - what a running engine has imported
from engine.core.events import AnyFact
from engine.monitor import Heap
from engine.office.verify import Verifier
from engine.pipeline.room import BookRoom
from engine.state.order import seen_from
from tests.benchmarks.kit import assert_exact, fill_facts, instruments, opened

_GROUP = 1500
_REST_S = 1.5


def run(act: str, folder: Path, *numbers: int) -> dict[str, Any]:
    """Do an act in a fresh process; its answer."""
    command = [sys.executable, "-m", "tests.benchmarks.apart", act, str(folder), *map(str, numbers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def facts(first: int, count: int) -> Iterator[list[AnyFact]]:
    """Fills as a strategy reports them: execution, fee, and the final status of its order."""
    for fill, fee in fill_facts(first, count, instruments()):
        quantity = abs(fill.quantity)
        final = replace(
            seen_from(fill),
            quantity=quantity,
            order_type="MKT",
            status="Filled",
            filled=quantity,
            remaining=Decimal(0),
            avg_fill_price=fill.price,
        )
        yield [fill, fee, final]


def feed(room: BookRoom, first: int, count: int) -> None:
    """Put fills in groups as fast as the journal accepts them, until they are stored."""
    group: list[AnyFact] = []
    last = room.intake.put([])
    for three in facts(first, count):
        group += three
        if len(group) >= _GROUP:
            last.result()
            last = room.intake.put(group)
            group = []
    if group:
        last = room.intake.put(group)
    assert room.writer.wait_stored(last.result(), 900), "the store did not take the history"


def resident_mb() -> float:
    """Private memory of this process, MiB: pages of files that are only mapped (the store's) are the system's."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024


def _feed(folder: Path, *sizes: int) -> dict[str, Any]:
    heap = Heap()
    heap.restrain()
    gc.collect()
    before = resident_mb()
    grown: dict[int, float] = {}
    with opened(folder) as room:
        done = 0
        started = time.process_time()
        for size in sizes:
            feed(room, done, size - done)
            done = size
            time.sleep(_REST_S)  # what follows a burst in the background is part of it
            heap.trim()
            grown[size] = resident_mb() - before
        assert_exact(room, 0, done)
    disk = {file.name: file.stat().st_blocks * 512 for file in folder.iterdir() if file.is_file()}
    return {"mb": grown, "imports_mb": before, "cpu_s": time.process_time() - started, "disk": disk}


def _start(folder: Path) -> dict[str, Any]:
    gc.collect()
    started, used = time.perf_counter(), time.process_time()
    with opened(folder) as room:
        taken = time.perf_counter() - started, time.process_time() - used
        with room.lock:
            count = room.ledger.execution_count
        return {"s": taken[0], "cpu_s": taken[1], "origin": room.origin, "fills": count, "notes": room.notes}


def _verify(folder: Path) -> dict[str, Any]:
    with opened(folder) as room:
        started = time.perf_counter()
        found = Verifier(room).run(running=True)
        return {"s": time.perf_counter() - started, "differences": len(found)}


def main() -> None:
    act, folder, numbers = sys.argv[1], Path(sys.argv[2]), [int(text) for text in sys.argv[3:]]
    done = {"feed": _feed, "start": _start, "verify": _verify}[act](folder, *numbers)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
