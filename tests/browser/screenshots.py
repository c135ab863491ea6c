"""Take the README's pictures anew, of the real page on the simulated gateway: ``make screenshots``."""

import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

from serving import ARGUMENTS, ROOT, Server, chromium_path, painted

PICTURES = ROOT / "dashboard" / "pictures"
TRADED_S = 40
SHOTS = (
    ("overview", "overview", False, 800),
    ("overview-dark", "overview", True, 800),
    ("orders", "orders", False, 1000),
    ("reconciliation", "reconciliation", False, 1000),
)


def main():
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(
            ROOT / "panel_app.py",
            folder,
            FILLBOOK_DATA_DIR=f"{folder}/data",
            FILLBOOK_SETTLE_S="1",
            FILLBOOK_RECONCILE_EVERY_S="3",
        ).start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
                time.sleep(TRADED_S)
                residual(browser, server.url)
                for name, view, dark, height in SHOTS:
                    page = browser.new_page(viewport={"width": 1280, "height": height})
                    page.goto(f"{server.url}?view={view}{'&theme=dark' if dark else ''}")
                    painted(page)
                    page.wait_for_timeout(2500)
                    if view == "reconciliation":
                        page.get_by_role("row").filter(has_text="IBM").first.get_by_role("checkbox").click()
                        changes = page.get_by_role("grid", name="Recorded changes of the chosen break")
                        changes.get_by_role("gridcell", name="explained").first.wait_for()
                        page.wait_for_timeout(1500)
                    page.screenshot(path=PICTURES / f"{name}.png")
                    page.close()
                    print(PICTURES / f"{name}.png")
                browser.close()
        finally:
            server.stop()


def residual(browser, url):
    """Have somebody trade by hand, so that there is something to reconcile."""
    page = browser.new_page()
    page.goto(f"{url}?view=rehearsal")
    painted(page)
    page.get_by_label("What shall happen").click()
    page.get_by_role("menuitem", name="Manual trade in TWS").click()
    page.get_by_label("symbol").fill("IBM")
    page.get_by_label("quantity").fill("70")
    page.get_by_role("button", name="Make it happen").click()
    page.get_by_text("it has happened").wait_for()
    page.wait_for_timeout(8000)
    page.close()


if __name__ == "__main__":
    main()
