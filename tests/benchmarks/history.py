"""Figures H and I: what a long history costs at a start and in memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import arcticdb

from tests.benchmarks import apart
from tests.benchmarks.kit import Figure, figure


def history(fills: int, rounds: int) -> list[Figure]:
    """I and H, with ``fills`` and a hundredth of it.

    I: private memory of a process, above its imports, after it has processed fills (execution, fee, final status; one
    order each; 100 books) through journal, books and ArcticDB, at rising sizes; and what a further fill adds, between
    the last two sizes.

    H: seconds from after the imports until a book room is ready (journal opened, books recovered and consuming), each
    time in a fresh process, on the data that I left behind and on those of a hundredth, alternating; beside it the bare
    read of one stored positions table, and one full verify (every stored row recounted by the separate code).
    """
    sizes = sorted({max(fills // 1000, 10), max(fills // 100, 20), max(fills // 10, 40), fills})
    few = sizes[1]
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        grown = {int(size): mb for size, mb in apart.run("feed", large, *sizes)["mb"].items()}
        apart.run("feed", small, few)
        figures = [
            figure(f"I memory, {size:,} fills", [grown[size]], "MiB", target="<= 150 for 1,000,000") for size in sizes
        ]
        slope = (grown[sizes[-1]] - grown[sizes[-2]]) * 1_048_576 / (sizes[-1] - sizes[-2])
        figures.append(figure("I memory per further fill", [slope], "bytes", target="<= 150"))
        return figures + _starts(large, small, (fills, few), rounds)


def _starts(large: Path, small: Path, sizes: tuple[int, int], rounds: int) -> list[Figure]:
    taken: dict[Path, list[float]] = {large: [], small: []}
    bare = []
    warmed = rounds > 1  # a smoke does without
    for turn in range(rounds + warmed):
        for folder, size in ((large, sizes[0]), (small, sizes[1])):
            answer = apart.run("start", folder)
            assert answer["fills"] == size, f"{answer['fills']} of {size} fills after a start ({answer['notes']})"
            if turn >= warmed:
                taken[folder].append(answer["s"])
        bare.append(_bare_read(large))
    checked = apart.run("verify", large)
    assert not checked["differences"], "verify found differences"
    ratio = statistics.median(taken[large]) / statistics.median(taken[small])
    over = f"start with {sizes[1]:,}"
    return [
        figure(f"H ready, {sizes[1]:,} stored fills", taken[small], "s"),
        figure(
            f"H ready, {sizes[0]:,} stored fills", taken[large], "s", ratio=ratio, over=over, target="<= 1, <= 1.3 x"
        ),
        figure("H bare read of a positions table", bare, "s"),
        figure(f"H full verify, {sizes[0]:,} fills", [checked["s"]], "s", target="<= 10 for 1,000,000"),
    ]


def _bare_read(folder: Path) -> float:
    library = arcticdb.Arctic(f"lmdb://{folder}/arctic").get_library("positions")
    library.read("S0")
    started = time.perf_counter()
    library.read("S0")
    return time.perf_counter() - started
