"""Measure, print one table, write benchmarks.json: ``python -m tests.benchmarks [--quick] [--rounds N] [--fills N]``."""

from __future__ import annotations

import argparse
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import books, pipeline
from tests.benchmarks.kit import Figure, as_json


def measure(fills: int, rounds: int, *, quick: bool) -> list[Figure]:
    """Every figure that there is; each function's docstring says how."""
    paced = 100 if quick else 2000
    return [
        *pipeline.end_to_end(fills, rounds),
        *pipeline.with_history(fills, 5 * fills, rounds),
        *books.books(fills, rounds),
        *pipeline.put_cost(paced, rounds),
        *pipeline.accepted(paced // 5, rounds),
        *pipeline.stored(paced // 2, 500, rounds),
        *pipeline.stored(paced, 2000, rounds),
    ]


def table(figures: list[Figure]) -> str:
    """The figures as lines of text."""
    lines = [f"{'figure':38} {'median':>12} {'range':>25}  {'unit':8} {'ratio':32} to reach"]
    for f in figures:
        spread = f"{f.low:,.2f} .. {f.high:,.2f}"
        ratio = f"{f.ratio:.4g} x {f.over}" if f.ratio is not None else ""
        lines.append(f"{f.name:38} {f.value:12,.2f} {spread:>25}  {f.unit:8} {ratio:32} {f.target}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke: every figure once, on little data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fills", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks.json"))
    asked = parser.parse_args()
    fills, rounds = (300, 1) if asked.quick else (asked.fills, asked.rounds)
    machine = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": os.getloadavg(),
    }
    figures = measure(fills, rounds, quick=asked.quick)
    machine["load_after"] = os.getloadavg()
    print(table(figures))
    print(machine)
    asked.out.write_text(as_json(figures, machine), encoding="utf-8")


if __name__ == "__main__":
    main()
