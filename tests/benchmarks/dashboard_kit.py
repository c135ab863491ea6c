"""What the dashboard's benchmarks share: the server, Chromium, and what is measured inside the page.

Everything inside the page is measured there, by ``Date.now()``, which is the clock of the server's ``time.time()`` on the
same machine. A change counts when the frame after it has been handed over: a MutationObserver sees the new text, the next
animation frame and the task behind it are waited for, then the clock is read.
"""

from __future__ import annotations

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.serving import ARGUMENTS, PATIENCE_MS, Server, chromium_path

APP = Path(__file__).with_name("dashboard_app.py")

IN_PAGE = (Path(__file__).with_name("dashboard_page.js")).read_text(encoding="utf-8")


class Loaded(Server):
    """The server under load."""

    def ask(self, query: str = "", *, post: bool = False) -> dict[str, Any]:
        """GET or POST ``/load``."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/load{query}", method="POST" if post else "GET", data=b"" if post else None
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def load(self, per_s: float) -> None:
        """Put so many fills a second from now on."""
        self.ask(f"?per_s={per_s}", post=True)


@contextmanager
def served(data: Path | None = None, *arguments: str) -> Iterator[Loaded]:
    """The dashboard on an engine with the store in ``data``; an empty one without."""
    with tempfile.TemporaryDirectory() as folder:
        server = Loaded(
            APP,
            folder,
            *arguments,
            FILLBOOK_DATA_DIR=str(data or Path(folder) / "data"),
            FILLBOOK_IB_HOST="",
            FILLBOOK_DEMO="false",
        )
        try:
            server.start()
            yield server
        except BaseException:
            print(server.log.read_text()[-4000:])
            raise
        finally:
            server.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def page_in(context: Any) -> Page:
    """A page with the measuring script in it."""
    page: Page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(IN_PAGE)
    return page


def opened(browser: Browser, server: Server, view: str) -> Page:
    """A page of its own (fresh cache) that shows living content of ``view``."""
    page = page_in(browser.new_context(viewport={"width": 1280, "height": 800}))
    page.goto(f"{server.url}?view={view}")
    page.wait_for_function("Number(document.documentElement.dataset.fillbookSeq ?? 0) > 1")
    return page


def wait_until(condition: Any, seconds: float = 120.0, every: float = 0.2) -> None:
    """Poll with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(every)
