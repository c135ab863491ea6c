"""Measure, print one table, write benchmarks.json: ``python -m tests.benchmarks [--quick] [--rounds N] [--only AB]``.

Every figure is the median of several rounds with its range; what is compared is measured in the same run, alternating.
``--only`` takes the letters of the figures wanted, ``--dashboard`` those of the pages (K to N). ``--quick`` is a smoke:
everything once, on little data.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import books, dashboard, history, lag, pipeline, reconcile
from tests.benchmarks.kit import Figure, as_json


class Scale(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: Of every figure; ``few`` of those that take minutes.
        fills: Of a burst; ``history`` of those that are stored before; ``paced`` of those at an even rate.
        instruments: In each of 20 accounts.
        seconds: That the dashboard is under load.
        sessions: Of the dashboard, opened and closed.
    """

    rounds: int
    few: int
    fills: int
    history: int
    paced: int
    burst: int
    instruments: int
    seconds: int
    sessions: int


FULL = Scale(
    rounds=5,
    few=3,
    fills=20_000,
    history=1_000_000,
    paced=4_000,
    burst=100_000,
    instruments=5_000,
    seconds=60,
    sessions=200,
)
QUICK = Scale(rounds=1, few=1, fills=300, history=1_000, paced=100, burst=300, instruments=50, seconds=6, sessions=4)

GROUPS: dict[str, Callable[[Scale], list[Figure]]] = {
    "A": lambda s: pipeline.end_to_end(s.fills, s.rounds),
    "B": lambda s: pipeline.with_history(s.fills, s.history, s.few),
    "C": lambda s: books.books(s.fills, s.history // 10, s.rounds),
    "D": lambda s: pipeline.put_cost(s.paced // 2, s.rounds),
    "E": lambda s: pipeline.accepted(s.paced // 10, s.rounds),
    "F": lambda s: [*pipeline.stored(s.paced // 4, 500, s.rounds), *pipeline.stored(s.paced // 2, 2000, s.rounds)],
    "G": lambda s: lag.loop_lag(s.paced, s.burst, s.few),
    "HI": lambda s: history.history(s.history, s.rounds),
    "J": lambda s: reconcile.reconcile(s.instruments, 20, s.few),
}
"""Letters of the figures -> what measures them; each function's docstring says how."""

PAGES: dict[str, Callable[[Scale], list[Figure]]] = {
    "K": lambda s: dashboard.fill_to_pixel(seconds=s.seconds // 2),
    "L": lambda s: dashboard.usability(seconds=s.seconds),
    "M": lambda s: dashboard.first_paint(s.history),
    "N": lambda s: dashboard.sessions(s.sessions),
}
"""The same of the dashboard, in a real Chromium; measured when their letters or ``--dashboard`` ask for them."""


def measure(scale: Scale, only: str = "") -> list[Figure]:
    """Every figure that is wanted, in order."""
    figures: list[Figure] = []
    for letters, act in (GROUPS | PAGES).items():
        if letters in PAGES and not only:
            continue
        if only and not set(letters) & set(only.upper()):
            continue
        started = time.perf_counter()
        figures += act(scale)
        print(f"{letters}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return figures


def table(figures: list[Figure]) -> str:
    """The figures as lines of text."""
    lines = [f"{'figure':42} {'median':>12} {'range':>25}  {'unit':8} {'ratio':32} to reach"]
    for f in figures:
        spread = f"{f.low:,.2f} .. {f.high:,.2f}"
        ratio = f"{f.ratio:.4g} x {f.over}" if f.ratio is not None else ""
        lines.append(f"{f.name:42} {f.value:12,.2f} {spread:>25}  {f.unit:8} {ratio:32} {f.target}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke: every figure once, on little data")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--fills", type=int)
    parser.add_argument("--history", type=int)
    parser.add_argument("--only", default="", metavar="LETTERS")
    parser.add_argument("--dashboard", action="store_const", const="".join(PAGES), dest="only", help="K, L, M and N")
    parser.add_argument("--out", type=Path, default=Path("benchmarks.json"))
    asked = parser.parse_args()
    scale = QUICK if asked.quick else FULL
    if asked.rounds is not None:
        scale = scale._replace(rounds=asked.rounds, few=min(scale.few, asked.rounds))
    scale = scale._replace(fills=asked.fills or scale.fills, history=asked.history or scale.history)
    machine = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": os.getloadavg(),
    }
    figures = measure(scale, asked.only)
    machine["load_after"] = os.getloadavg()
    print(table(figures))
    print(machine)
    asked.out.write_text(as_json(figures, machine), encoding="utf-8")


if __name__ == "__main__":
    main()
