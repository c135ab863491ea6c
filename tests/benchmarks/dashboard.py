"""Figures K, L, M and N: what an operator sees of the engine, measured in a real Chromium.

Server, browser and load share the machine's cores, so each figure holds all three. Without IB: its link has figures of its
own, and what is measured here begins with ``put``.
"""

from __future__ import annotations

import json
import tempfile
import time
from bisect import bisect_left
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.app import SCREENS
from tests.benchmarks.apart import feed
from tests.benchmarks.dashboard_kit import Loaded, chromium, opened, page_in, served, wait_until
from tests.benchmarks.dashboard_load import BOOKS
from tests.benchmarks.kit import Figure, figure, percentile
from tests.benchmarks.kit import opened as opened_room

if TYPE_CHECKING:
    from collections.abc import Iterator

VIEWS = ("overview", "positions", "fills", "orders", "overview")
WATCHED = {
    "overview": ("Latest fills", "price", "price"),
    "positions": ("Positions per strategy", "commission", "fees"),
    "fills": ("Fills", "price", "price"),
    "orders": ("Orders", "avg_fill_price", "price"),
}
TITLES = {key: screen.title for key, screen in SCREENS.items() if key != "rehearsal"}
WARM_UP_S = 5
SOME_FILLS = 20


def fill_to_pixel(per_s: int = 100, seconds: int = 30, views: tuple[str, ...] = VIEWS) -> list[Figure]:
    """K: from ``put`` to the frame that shows the fill, at an even rate, with several pages open.

    Each page is a session of its own in a browser context of its own, all on show: two overviews, positions, fills and
    orders. A fill counts as shown when its own price, or that of a later fill, or its fee in its book, stands in the
    page and the frame has been handed over. The first seconds are the warm-up. All fills of all pages count.
    """
    waits: list[float] = []
    with served() as server, chromium() as browser:
        server.load(per_s)
        wait_until(lambda: len(server.ask()["put_at"]) > 3 * BOOKS)
        pages = [opened(browser, server, view) for view in views]
        for page, view in zip(pages, views, strict=True):
            page.wait_for_function("label => fb.table(label)", arg=WATCHED[view][0])
            page.evaluate("([label, field, how]) => fb.watch(label, field, how)", list(WATCHED[view]))
        pages[0].wait_for_timeout(WARM_UP_S * 1000)
        before = server.ask()
        pages[0].wait_for_timeout(seconds * 1000)
        after = server.ask()
        for page, view in zip(pages, views, strict=True):
            found = latencies(page.evaluate("fb.seen"), after["put_at"], len(before["put_at"]), WATCHED[view][2])
            assert found, f"the page {view} showed no fill"
            print(f"  K {view:10} p50 {percentile(found, 0.5):6.0f} ms, p95 {percentile(found, 0.95):6.0f} ms")
            waits += found
        print(f"  K the server used {(after['cpu_s'] - before['cpu_s']) / seconds:.2f} of a core")
    name = f"K fill to pixel, {len(views)} pages, {per_s:,}/s"
    return [
        figure(f"{name}, p50", [percentile(waits, 0.5)], "ms"),
        figure(f"{name}, p95", [percentile(waits, 0.95)], "ms", target="< 500"),
    ]


def latencies(seen: list[Any], put_at: list[float], first: int, how: str) -> list[float]:
    """Milliseconds from put to pixel of every fill from ``first`` on that a page could show."""
    series: dict[int, list[tuple[int, float]]] = {}
    for at, numbers in seen:
        for number in numbers:
            if number is None:  # a cell without a number
                continue
            line = series.setdefault(number % BOOKS if how == "fees" else -1, [])
            if not line or number > line[-1][0]:
                line.append((number, at))
    found = []
    for number in range(first, len(put_at)):
        line = series.get(number % BOOKS if how == "fees" else -1, [])
        place = bisect_left(line, (number, 0.0))
        if place < len(line):
            found.append(line[place][1] - put_at[number] * 1000)
    return found


def usability(per_s: int = 1000, seconds: int = 60) -> list[Figure]:
    """L: one page at a high rate for a minute, on which somebody goes from screen to screen with real clicks.

    A reaction lasts from the pointer's going down, as the page got it, to the frame with the other screen's heading. The
    page's heap is read after a collection at the beginning and at the end.
    """
    reactions: list[float] = []
    with served() as server, chromium() as browser:
        page = opened(browser, server, "overview")
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable")
        server.load(per_s)
        wait_until(lambda: len(server.ask()["put_at"]) > per_s)
        page.evaluate("fb.frames()")
        heap = [_heap(devtools)]
        deadline = time.monotonic() + seconds
        tour = [TITLES[view] for view in ("positions", "fills", "orders", "reconciliation", "overview")]
        while time.monotonic() < deadline:
            title = tour[len(reactions) % len(tour)]
            page.evaluate("title => fb.react(title)", title)
            page.get_by_role("button", name=title, exact=True).click()
            page.wait_for_function("fb.reacted")
            reactions.append(page.evaluate("fb.reacted"))
            page.wait_for_timeout(500)
        gaps = page.evaluate("fb.gaps")
        heap.append(_heap(devtools))
        report = server.ask()
        backlog = len(report["put_at"]) - report["booked"]
    name = f"L at {per_s:,}/s for {seconds} s"
    return [
        figure(f"{name}, click to reaction, p50", [percentile(reactions, 0.5)], "ms"),
        figure(f"{name}, click to reaction, p95", [percentile(reactions, 0.95)], "ms", target="usable: < 1,000"),
        figure(f"{name}, gap between frames, p95", [percentile(gaps, 0.95)], "ms"),
        figure(f"{name}, page's heap grew by", [heap[1] - heap[0]], "MiB"),
        figure(f"{name}, fills not booked at the end", [float(backlog)], ""),
    ]


def _heap(devtools: Any) -> float:
    devtools.send("HeapProfiler.collectGarbage")
    found = {entry["name"]: entry["value"] for entry in devtools.send("Performance.getMetrics")["metrics"]}
    return float(found["JSHeapUsedSize"]) / 1_048_576


@contextmanager
def history(fills: int) -> Iterator[Path]:
    """A data folder with so many stored fills."""
    with tempfile.TemporaryDirectory() as folder:
        with opened_room(Path(folder)) as room:
            feed(room, 0, fills)
        yield Path(folder)


def first_paint(fills: int, views: tuple[str, ...] = tuple(TITLES)) -> list[Figure]:
    """M: opening every view on a store with a history: the first time in a fresh browser, then again with its cache.

    In milliseconds from the start of the navigation, read inside the page: to the first frame that shows the view's
    heading and figures, and to its living rows. Nothing else runs. Each view counts once: low and high are the quickest
    and the slowest view.
    """
    found: dict[str, list[float]] = {}
    with history(fills) as data, served(data) as server, chromium() as browser:
        for view in views:
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            for turn in ("fresh", "cached"):
                page = page_in(context)
                page.add_init_script(f"fb.opening({json.dumps(TITLES[view])})")
                page.goto(f"{server.url}?view={view}", wait_until="commit")
                page.wait_for_function("window.fb?.opened")
                times = page.evaluate("fb.opened")
                page.close()
                print(f"  M {view:16} {turn:6}", {name: round(value) for name, value in times.items() if value})
                for name, value in times.items():
                    found.setdefault(f"{turn} {name}", []).append(value or 0.0)
            context.close()
    name = f"M with {fills:,} fills"
    return [
        figure(f"{name}, first paint, fresh", found["fresh heading"], "ms", target="< 1,000"),
        figure(f"{name}, first paint, cached", found["cached heading"], "ms", target="< 1,000"),
        figure(f"{name}, living rows, fresh", found["fresh living"], "ms"),
        figure(f"{name}, living rows, cached", found["cached living"], "ms"),
    ]


def sessions(count: int = 200, every: int = 20) -> list[Figure]:
    """N: what the server holds while sessions are opened in real pages, drawn once and closed.

    The books stand still meanwhile: what is booked stays in memory for a while, and would be taken for the sessions'.
    Every so many sessions it is waited until the server has none left (unused ones live a second here, 90 in ``make
    serve``), garbage is collected, and memory, threads and handles are read. The slope is the least squares line over the
    later two thirds: what the first sessions leave is caches.
    """
    held: list[tuple[int, dict[str, Any]]] = []
    arguments = ("--unused-session-lifetime", "1000", "--check-unused-sessions", "500")
    with served(None, *arguments) as server, chromium() as browser:
        server.load(5)
        wait_until(lambda: server.ask()["booked"] >= SOME_FILLS)
        server.load(0)
        views = tuple(TITLES)
        for number in range(1, count + 1):
            page = opened(browser, server, views[number % len(views)])
            page.context.close()
            if number % every == 0 or number == count:
                held.append((number, _settled(server)))
                shown = {name: held[-1][1][name] for name in ("rss_mb", "threads", "handles", "objects")}
                print(f"  N after {number:4} sessions", {name: round(value, 1) for name, value in shown.items()})
    later = held[len(held) // 3 :]
    numbers, memory = [n for n, _ in later], [h["rss_mb"] for _, h in later]
    slope = float(np.polyfit(numbers, memory, 1)[0]) * 1024 if len(later) > 1 else 0.0
    first, last = held[0][1], held[-1][1]
    return [
        figure(f"N memory after {count} sessions", memory, "MiB", target="flat"),
        figure("N memory per further session", [slope], "KiB", target="0"),
        figure(
            "N threads, handles gained", [float(last[k] - first[k]) for k in ("threads", "handles")], "", target="0"
        ),
    ]


def _settled(server: Loaded) -> dict[str, Any]:
    wait_until(lambda: server.ask()["sessions"] == 0)
    server.ask("?collect=1")
    return server.ask("?collect=1")
