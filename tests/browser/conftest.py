"""A server of its own for each journey, and Chromium that may speak to this machine only."""

import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

from serving import ARGUMENTS, HURRIED, PATIENCE_MS, ROOT, Server, chromium_path, painted

expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items):
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.browser)
        item.add_marker(pytest.mark.slow)
    # Playwright keeps an event loop running in this thread until the session ends; no other test could start its own.
    items.sort(key=lambda item: item in ours)


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The demonstration: real engine, simulated gateway. Files that need another server have one of that name."""
    folder = tmp_path_factory.mktemp("demonstration")
    running = Server(ROOT / "panel_app.py", folder, FILLBOOK_DATA_DIR=str(folder / "data"), **HURRIED).start()
    yield running
    running.stop()


class Watch:
    """What a page must never do: log an error, throw, or ask another host."""

    def __init__(self):
        self.errors, self.outside = [], []

    def over(self, page):
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._asked)

    def _asked(self, request):
        here = request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))
        if not here:
            self.outside.append(request.url)


@pytest.fixture
def watch():
    watched = Watch()
    yield watched
    assert watched.outside == []
    assert watched.errors == []


@pytest.fixture
def open_page(chromium, watch):
    contexts = []

    def opened(url, width=1280, height=800, dark=False, **login):
        context = chromium.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        watch.over(page)
        if login:
            page.goto(url)
            page.locator("input[name=username]").fill(login["user"])
            page.locator("input[name=password]").fill(login["password"])
            page.locator("input[name=password]").press("Enter")
            page.wait_for_url(f"{url}**")
        page.goto(url + ("&" if "?" in url else "?") + "theme=dark" if dark else url)
        painted(page)
        return page

    yield opened
    for context in contexts:
        context.close()
