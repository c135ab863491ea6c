"""The pages on the stand-in engine: what a person sees, light and dark, and what an attacker does not get."""

import re
import signal
import urllib.request

import pytest
from playwright.sync_api import expect
from serving import PATIENCE_MS, STAND_IN, Server, painted, with_login

VIEWS = ("assignments", "quarantine", "health", "settings")
"""Screens that no other test opens by a link."""


# The value that the table itself holds for what its first row shows.
SHOWN_DATA = """() => {
  const found = []
  const look = (view) => {
    const row = view.tabulator?.rowManager.rows[0]
    if (row) { found.push(row.data.fill_id) }
    for (const child of view._child_views?.values() ?? []) { look(child) }
  }
  for (const view of Bokeh.index.roots) { look(view) }
  return found[0]
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(STAND_IN, tmp_path_factory.mktemp("server")).start()
    yield running
    running.stop()


@pytest.mark.parametrize("view", VIEWS)
def test_every_screen_opens_without_an_error_and_shows_hostile_texts_as_text(view, server, open_page):
    page = open_page(f"{server.url}?view={view}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text("Loading the books")).to_be_hidden()
    assert page.evaluate("window.hacked === undefined")
    assert page.get_by_text("cannot be drawn").count() == 0


@pytest.mark.parametrize(("width", "height", "dark"), [(1280, 800, False), (1920, 1080, True)])
def test_nothing_sticks_out_of_the_window(width, height, dark, server, open_page):
    page = open_page(server.url, width, height, dark)
    page.get_by_role("gridcell", name="Total").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for label in ("IB", "data age", "queue", "P&L today"):
        box = page.locator(".chip", has_text=label).bounding_box()
        assert box["x"] + box["width"] <= width


def test_fills_arrive_without_a_reload(server, open_page):
    page = open_page(f"{server.url}?view=fills")
    rows = page.get_by_text(re.compile(r"Rows 1 to 25 of [\d,]+"))
    rows.wait_for()
    before = rows.inner_text()
    expect(rows).not_to_have_text(before, timeout=60_000)


def test_a_page_shows_the_books_before_its_programs_run(server, chromium, open_page):
    context = chromium.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(f"{server.url}?view=positions&strategy=ALPHA")
    expect(still.locator("#fillbook-first h1")).to_have_text("Positions")
    expect(still.locator("#fillbook-first td", has_text="ALPHA").first).to_be_visible()
    context.close()
    expect(open_page(server.url).locator("#fillbook-first")).to_have_count(0)


def test_a_table_whose_values_change_keeps_its_rows(server, open_page):
    page = open_page(f"{server.url}?view=fills")
    page.get_by_text(re.compile(r"Rows 1 to 25 of [\d,]+")).wait_for()
    first = page.locator(".tabulator-table .tabulator-row").first
    newest = first.locator("[tabulator-field=fill_id]")
    kept = []
    for _ in range(4):  # the table may be built anew once or twice while the page opens; from then on the mark stays
        before = newest.inner_text()
        first.evaluate("row => row.dataset.mark = 'same'")
        expect(newest).not_to_have_text(before, timeout=60_000)
        kept.append(first.get_attribute("data-mark") == "same")
    assert kept[-1], kept
    rows = page.locator(".tabulator-table .tabulator-row:visible")
    assert newest.inner_text() == page.evaluate(SHOWN_DATA)
    expect(rows).to_have_count(25)


def test_the_keyboard_reaches_navigation_and_opens_a_screen(server, open_page):
    page = open_page(server.url)
    item = page.get_by_role("button", name="Orders", exact=True)
    item.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Orders")
    expect(page).to_have_url(re.compile("view=orders"))


def test_a_link_opens_what_a_colleague_saw(server, open_page):
    page = open_page(f"{server.url}?view=positions&strategy=BETA&account=DU7654321")
    page.get_by_role("gridcell", name="BETA").first.wait_for()
    assert page.get_by_role("gridcell", name="ALPHA").count() == 0
    assert page.get_by_role("gridcell", name="DU1234567").count() == 0


def test_a_link_into_the_past_says_that_it_is_not_live(server, open_page):
    page = open_page(f"{server.url}?view=positions&as_of=2026-03-04T12:00:00%2B00:00")
    expect(page.get_by_text("NOT LIVE")).to_be_visible()
    page.get_by_role("button", name="Back to live").click()
    expect(page.get_by_text("NOT LIVE")).to_be_hidden()


def test_times_are_in_the_zone_chosen_and_a_link_keeps_it(server, open_page):
    page = open_page(f"{server.url}?view=fills")
    expect(page.get_by_role("columnheader", name="Executed (UTC)")).to_be_visible()
    page.get_by_label("Time zone").click()
    page.get_by_role("menuitem", name="Asia/Tokyo").click()
    expect(page.get_by_role("columnheader", name="Executed (Tokyo)")).to_be_visible()
    expect(page).to_have_url(re.compile("zone=Asia%2FTokyo|zone=Asia/Tokyo"))
    again = open_page(f"{server.url}?view=orders&zone=Asia/Tokyo")
    expect(again.get_by_role("columnheader", name="Last state (Tokyo)")).to_be_visible()
    expect(again.get_by_label("As of (Tokyo)")).to_be_visible()


IMAGE = "%3Cimg%20src=x%20onerror=hacked()%3E"


@pytest.mark.parametrize(
    "link", ["view=<script>", "as_of=never", f"as_of={IMAGE}", f"strategy={IMAGE}", f"strategy=A&account={IMAGE}"]
)
def test_nonsense_in_the_link_harms_nothing(link, server, open_page):
    page = open_page(f"{server.url}?{link}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.evaluate("window.hacked === undefined")


def test_health_and_metrics_answer_beside_the_page(server):
    status, report = server.health()
    assert (status, report["ok"]) == (200, True)
    with urllib.request.urlopen(server.url.rpartition("/")[0] + "/metrics", timeout=30) as answer:
        assert "fillbook_up 1.0" in answer.read().decode()


def test_one_engine_serves_all_sessions(server, open_page):
    first, second = open_page(f"{server.url}?view=quarantine"), open_page(f"{server.url}?view=quarantine")
    row = first.get_by_role("row").filter(has_text="no field execution.execId").first
    row.wait_for()
    second.get_by_role("row").filter(has_text="no field execution.execId").first.wait_for()
    row.click()
    first.get_by_role("button", name="Dismiss").click()
    first.get_by_role("button", name="Dismiss for good").click()
    expect(second.get_by_text("Empty: every message could be read")).to_be_visible()


def test_a_page_whose_server_dies_says_stale_and_comes_back_by_itself(tmp_path, open_page, watch):
    server = Server(STAND_IN, tmp_path).start()
    page = open_page(server.url)
    server.stop(signal.SIGKILL)
    expect(page.get_by_role("alert").filter(has_text="STALE")).to_be_visible(timeout=60_000)
    server.start()
    page.wait_for_function("document.documentElement.dataset.fillbookSeq === undefined", timeout=60_000)
    painted(page)
    expect(page.get_by_role("alert").filter(has_text="STALE")).to_be_hidden()
    server.stop()
    watch.errors.clear()  # the browser itself logs each connection that was refused meanwhile


def test_a_page_that_never_came_to_life_loads_itself_again(server, chromium, watch):
    page = chromium.new_context().new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.clock.install()
    page.route_web_socket(re.compile("/ws"), lambda socket: socket.close())
    page.goto(server.url)
    with page.expect_navigation():  # the page's own; one of ours in the middle of it would be thrown away
        page.clock.fast_forward(31_000)
    page.wait_for_function("sessionStorage.getItem('fillbook-tries') === '1'")
    page.unroute_all()
    page.route_web_socket(re.compile("/ws"), lambda socket: socket.connect_to_server())
    page.reload()
    painted(page)
    page.wait_for_function("sessionStorage.getItem('fillbook-tries') === null")
    page.context.close()


def test_a_viewer_may_look_and_not_act(tmp_path, open_page):
    server = with_login(tmp_path)
    try:
        viewer = open_page(f"{server.url}?view=reconciliation", user="bob", password="look")
        viewer.get_by_text("bob may look, not act").wait_for()
        assert viewer.get_by_role("button", name="Reconcile now").count() == 0
        operator = open_page(f"{server.url}?view=reconciliation", user="ann", password="act")
        operator.get_by_role("button", name="Reconcile now").click()
        expect(operator.get_by_text(re.compile("rows compared"))).to_be_visible()
        viewer.close()  # an open page asks whether the server is back, and the browser logs that it is not
        operator.close()
    finally:
        server.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_cleanly(number, tmp_path):
    server = Server(STAND_IN, tmp_path).start()
    assert server.stop(number) == 0
    assert "Traceback" not in server.log.read_text()
