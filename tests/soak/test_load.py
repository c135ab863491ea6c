"""An hour at 50 fills a second with four pages open: nothing lost or doubled, nothing that grows for ever.

The product as it is served (``panel serve``, its own front door) trades through real clients on a simulated gateway in
another process, while four pages in Chromium show four screens. At the end the server is stopped and opened once more
on the same books: what a fresh process needs for them is what the books of the day cost, and is told beside what the
old process held. Memory is the process's own; pages of ArcticDB's files that are mapped belong to the system.
``SOAK_S`` sets another length in seconds, ``SOAK_KEEP`` keeps the samples in a file.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "browser"))

from serving import ARGUMENTS, ROOT, Server, chromium_path, painted

pytestmark = pytest.mark.soak

FILLS_PER_S = 50
SCREENS = ("overview", "positions", "fills", "orders")
WARM = 1 / 6
PATIENCE_MS = 300_000
LEAK_MIB_PER_HOUR = 96.0


def slope(samples, figure, *, per="at"):
    """Least squares: how much a figure grows per unit of another."""
    found = [(s[per], s[figure]) for s in samples if s[figure] is not None]
    return statistics.linear_regression(*zip(*found, strict=True)).slope


@pytest.fixture
def simulated():
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.simulator", "--port", "0", "--accounts", "DU1234567,DU7654321"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    line = process.stdout.readline()
    assert line.startswith("listening on "), line
    yield line.rpartition(":")[2].strip()
    process.terminate()
    process.communicate(timeout=60)


def serve(folder, port, report, fills_per_s):
    environment = {
        "FILLBOOK_DATA_DIR": str(folder / "data"),
        "FILLBOOK_IB_HOST": "127.0.0.1",
        "FILLBOOK_IB_PORT": port,
        "SOAK_REPORT": str(report),
        "SOAK_FILLS_PER_S": str(fills_per_s),
    }
    return Server(ROOT / "tests" / "soak" / "served.py", folder, **environment).start()


def samples_of(report):
    return [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []


def watch(server, report, pages, seconds):
    """Let it work; tell what is sampled as it comes."""
    end, told = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        pages[0].page.wait_for_timeout(1000)  # lets the browser's messages through, unlike sleep
        assert server.process.poll() is None, server.log.read_text()[-4000:]
        for sample in samples_of(report)[told:]:
            told += 1
            print(
                "s {at:6.0f}  fills {executions:7d}  memory {own_mb:6.0f} MiB  objects {objects:7d}  handles {handles:3d}"
                "  threads {threads:2d}  cpu {cpu_s:6.0f} s  commit {commit_p50_ms} ms  store {store_p50_ms} ms"
                "  lag p99 {lag_p99_ms} ms  pages {pages}  {problems}".format(**sample),
                flush=True,
            )


class Opened:
    """A page and what happened to it, so that one that fails can be understood from the test's output."""

    def __init__(self, browser, server, screen):
        self.server, self.screen, self.story, self.began = server, screen, [], time.monotonic()
        self.page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        for event in ("console", "pageerror", "crash", "requestfailed"):
            self.page.on(event, lambda what, event=event: self.told(event, what))
        self.page.on("framenavigated", lambda frame: self.told("at", frame.url))
        self.page.on("websocket", self.connected)
        self.page.goto(f"{server.url}?view={screen}")
        self.painted()

    def told(self, event, what):
        if event != "console" or what.type in {"error", "warning"}:
            self.story.append(f"{time.monotonic() - self.began:.1f} s {event}: {getattr(what, 'text', what)!s:.300}")

    def connected(self, socket):
        self.told("websocket", "opened")
        socket.on("close", lambda _: self.told("websocket", "closed"))

    def painted(self):
        """Wait until it paints, anew if it had to connect again."""
        try:
            painted(self.page)
        except Exception as error:
            log = "\n".join(self.server.log.read_text().splitlines()[-40:])
            lines = "\n".join(self.story[-60:])
            raise AssertionError(f"{self.screen} does not paint: {error}\n{lines}\nthe server:\n{log}") from error


def test_an_hour_of_load_with_four_pages_loses_nothing_and_leaks_nothing(tmp_path: Path, simulated):
    from playwright.sync_api import sync_playwright

    seconds = float(os.environ.get("SOAK_S", "3600"))
    report = Path(os.environ.get("SOAK_KEEP") or tmp_path / "report.jsonl")
    server = serve(tmp_path, simulated, report, FILLS_PER_S)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
            pages = [Opened(browser, server, screen) for screen in SCREENS]
            watch(server, report, pages, seconds)
            for page in pages:
                page.painted()
            browser.close()
        asked_at = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        code = server.process.wait(PATIENCE_MS / 1000)
        print(f"stopped with {code} after {time.monotonic() - asked_at:.1f} s")
    finally:
        server.process.kill()
        server.process.wait()
    samples = samples_of(report)

    # The same books in a fresh process, without traders or pages: what the day's records need.
    fresh_report = tmp_path / "fresh.jsonl"
    server = serve(tmp_path, simulated, fresh_report, 0)
    try:
        while len(samples_of(fresh_report)) < 2:
            time.sleep(0.5)
            assert server.process.poll() is None, server.log.read_text()[-4000:]
    finally:
        server.stop()
    fresh = samples_of(fresh_report)[-1]
    verified = subprocess.run(
        [sys.executable, "-m", "engine", "verify"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FILLBOOK_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    print(verified.stdout[-500:], verified.stderr[-500:])
    assert verified.returncode == 0

    warm = [s for s in samples if s["at"] > seconds * WARM]
    first, last = warm[0], warm[-1]
    hours = (last["at"] - first["at"]) / 3600
    fills = last["executions"] - first["executions"]
    growth = slope(warm, "own_mb") * 3600
    print(f"fills {last['executions']}, {fills / hours / 3600:.1f} a second; sent {last['sent']}")
    print(
        f"memory {first['own_mb']:.0f} -> {last['own_mb']:.0f} MiB, {growth:+.1f} MiB an hour after warm-up; "
        f"a fresh process needs {fresh['own_mb']:.0f} MiB for the same books"
    )
    for name in ("handles", "threads", "objects", "commit_p50_ms", "commit_p95_ms", "store_p50_ms", "store_p95_ms"):
        print(f"{name}: {first[name]} -> {last[name]}, slope {slope(warm, name) * 3600:+.3f} an hour")
    assert fresh["executions"] >= last["executions"]
    assert [s["problems"] for s in samples if not s["ok"]] == []
    if len(warm) > 20:
        assert growth < LEAK_MIB_PER_HOUR, "memory grows"
        assert last["handles"] <= first["handles"] + 5, "file handles grow"
        assert last["threads"] <= first["threads"] + 5, "threads grow"
