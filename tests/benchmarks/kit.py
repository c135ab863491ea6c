"""What the benchmarks share: a workload, a book room on disk, the physical limits, and figures with their spread.

The workload is the same everywhere: 5 strategies with 20 shares each, in one account. Quantities are whole, prices have
two decimals, every fill has its own order. Nothing random depends on a clock, so two runs book the same.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from engine.clock import SystemClock
from engine.core.events import Commission, Fill
from engine.core.instrument import Instrument
from engine.pipeline.room import BookRoom
from engine.settings import Settings
from tests.benchmarks.trades import INSTRUMENTS, trade_of

ACCOUNT = "DU1"
EPOCH = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


class Figure(NamedTuple):
    """One measured number: median and range over the rounds, and what it is compared with.

    ``ratio`` is the figure over its reference of the same run; ``target`` says in words what was to be reached.
    """

    name: str
    value: float
    unit: str
    low: float
    high: float
    rounds: int
    ratio: float | None = None
    over: str = ""
    target: str = ""


def figure(name: str, values: list[float], unit: str, **more: Any) -> Figure:
    """A figure from one value per round."""
    return Figure(name, statistics.median(values), unit, min(values), max(values), len(values), **more)


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of all lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def instruments(count: int = INSTRUMENTS) -> list[Instrument]:
    return [
        Instrument(
            con_id=1000 + i, symbol=f"S{i}", sec_type="STK", currency="USD", exchange="SMART", local_symbol=f"S{i}"
        )
        for i in range(count)
    ]


def fill_facts(first: int, count: int, traded: list[Instrument]) -> Iterator[tuple[Fill, Commission]]:
    """Fills and their fees as the ledger takes them."""
    for number in range(first, first + count):
        strategy, instrument, quantity, price = trade_of(number)
        exec_id = f"0000e0d5.{number:08x}.01.01"
        at = EPOCH + timedelta(milliseconds=number)
        fill = Fill(
            received_at=at,
            account=ACCOUNT,
            exec_id=exec_id,
            instrument=traded[instrument],
            quantity=Decimal(quantity),
            price=Decimal(price),
            executed_at=at,
            strategy=f"S{strategy}",
            order_ref=f"S{strategy}",
            perm_id=number + 1,
            order_id=number + 1,
            client_id=1,
            exchange="SMART",
        )
        yield fill, Commission(received_at=at, exec_id=exec_id, amount=Decimal("1.05"), currency="USD")


def expected(first: int, count: int) -> dict[tuple[str, int], tuple[Decimal, Decimal]]:
    """(strategy, con_id) -> quantity and cash, counted the plain way and apart from the engine."""
    books: dict[tuple[str, int], tuple[Decimal, Decimal]] = {}
    for number in range(first, first + count):
        strategy, instrument, quantity, price = trade_of(number)
        key = (f"S{strategy}", 1000 + instrument)
        held, cash = books.get(key, (Decimal(0), Decimal(0)))
        books[key] = (held + quantity, cash - quantity * Decimal(price))
    return books


def assert_exact(room: BookRoom, first: int, count: int) -> None:
    """The books hold exactly the fills that were put, to the last cent."""
    with room.lock:
        found = {
            (p.strategy, p.instrument_key): (p.quantity, p.cash["USD"])
            for p in room.ledger.positions()
            if p.account == ACCOUNT
        }
    assert found == expected(first, count), "the books are not exact"


def stored_fills(room: BookRoom) -> int:
    """Different executions in ArcticDB, read back."""
    return sum(
        room.store.read("fills", symbol, columns=["fill_id"])["fill_id"].nunique()
        for symbol in room.store.symbols("fills")
    )


@contextmanager
def opened(folder: Path) -> Iterator[BookRoom]:
    """A book room with real store and journal on disk."""
    room = BookRoom(Settings(data_dir=str(folder)), SystemClock())
    try:
        yield room
    finally:
        room.close(timeout_s=60)


def bare_append(folder: Path, rows: int, repeat: int) -> float:
    """Seconds of one append of ``rows`` rows of 17 columns (9 of text) to one ArcticDB symbol; median."""
    import arcticdb

    library = arcticdb.Arctic(f"lmdb://{folder}").get_library("bare", create_if_missing=True)
    taken = []
    for turn in range(repeat + 1):
        index = pd.date_range(EPOCH + timedelta(days=turn), periods=rows, freq="us", tz="UTC")
        columns: dict[str, Any] = {
            f"t{i}": np.array([f"text{j % 97}" for j in range(rows)], dtype=object) for i in range(9)
        }
        columns |= {f"n{i}": np.arange(rows, dtype=np.float64) for i in range(8)}
        frame = pd.DataFrame(columns, index=index)
        started = time.perf_counter()
        library.append("rows", frame, validate_index=False, prune_previous_versions=True)
        if turn:  # the first one is the warm-up
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def fdatasync_probe(folder: Path, repeat: int = 60, every_s: float = 0.0) -> float:
    """Milliseconds of a 4 KiB write and fdatasync; median.

    Args:
        every_s: Rest before each; a disk that just rested takes up to twice as long as one that is kept busy.
    """
    taken = []
    descriptor = os.open(folder / "probe", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        for turn in range(repeat):
            time.sleep(every_s)
            started = time.perf_counter()
            os.pwrite(descriptor, b"x" * 4096, turn * 4096)
            os.fdatasync(descriptor)
            taken.append((time.perf_counter() - started) * 1000)
    finally:
        os.close(descriptor)
    return statistics.median(taken)


def pace(count: int, per_s: float, act: Callable[[int], object]) -> None:
    """Call ``act`` with 0, 1, 2 … at an even rate; late ones follow at once."""
    started = time.perf_counter()
    for number in range(count):
        ahead = started + number / per_s - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
        act(number)


def settle() -> None:
    """Leave no rubbish of the former round to the next."""
    gc.collect()


def as_json(figures: list[Figure], machine: dict[str, Any]) -> str:
    return json.dumps({"machine": machine, "figures": [f._asdict() for f in figures]}, indent=1)
