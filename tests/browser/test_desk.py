"""A day at the desk on the stand-in engine: drill-downs, statements, files, keyboard, roles, and two people at once."""

import json
import re
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from serving import PATIENCE_MS, STAND_IN, Server, mended, painted, with_login

KEYS = {
    "Overview": "overview",
    "Positions": "positions",
    "Fills": "fills",
    "Orders": "orders",
    "Reconciliation": "reconciliation",
    "Assignments": "assignments",
    "Day close and statements": "dayclose",
    "Quarantine": "quarantine",
    "Health": "health",
    "Settings in force": "settings",
    "Rehearsal": "rehearsal",
}
SCREENS = tuple(KEYS)
ACTS = (
    "Reconcile now",
    "Assign residual",
    "Save owner and note",
    "Reverse this assignment",
    "Close these books",
    "Set rule",
    "Close the day",
    "Import the statement",
    "Replay",
    "Dismiss",
    "Make it happen",
)
FLEX = b"<FlexQueryResponse><FlexStatements count='0'/></FlexQueryResponse>"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(STAND_IN, tmp_path_factory.mktemp("desk")).start()
    yield running
    running.stop()


def go(page, screen):
    """Open a screen and wait until it is drawn."""
    page.get_by_role("button", name=screen, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(screen)
    expect(page.get_by_text("Loading the books")).to_be_hidden()


def serious(page):
    """What axe finds, by rule."""
    deadline = time.monotonic() + 60
    while True:
        found = {
            rule["id"]: [node["html"][:160] for node in rule["nodes"]][:3]
            for rule in Axe().run(page).response["violations"]
            if rule["impact"] in {"serious", "critical"}
        }
        if not found or time.monotonic() > deadline:
            return found
        page.wait_for_timeout(500)  # names are put on new tables a moment after they appear


@pytest.mark.parametrize(
    ("screens", "dark"),
    [
        (SCREENS[:4], False),
        (SCREENS[4:8], False),
        (SCREENS[8:], False),
        (("Overview", "Positions", "Reconciliation", "Day close and statements", "Health"), True),
    ],
)
def test_axe_finds_nothing_serious_on_any_screen(screens, dark, server, open_page):
    page = open_page(server.url, dark=dark)
    for screen in screens:
        go(page, screen)
        mended(page, KEYS[screen])
        assert (screen, serious(page)) == (screen, {})
        assert page.get_by_text("cannot be drawn").count() == 0
        assert page.evaluate("window.hacked === undefined")


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious_in_the_dialog(dark, server, open_page):
    page = open_page(f"{server.url}?view=reconciliation", dark=dark)
    page.get_by_role("row").filter(has_text="AAPL").first.get_by_role("checkbox").click()
    page.get_by_role("button", name="Assign residual").click()
    page.get_by_role("dialog").get_by_role("button", name="Preview").click()
    page.get_by_role("dialog").get_by_text("Before and after of every book").wait_for()
    assert serious(page) == {}


def test_the_raw_fact_behind_a_number_is_two_clicks_away(server, open_page):
    page = open_page(server.url)
    page.get_by_role("grid", name="P&L per strategy").get_by_role("gridcell", name="BETA").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Positions")
    expect(page).to_have_url(re.compile("strategy=BETA"))
    books = page.get_by_role("grid", name="Positions per strategy")
    books.get_by_role("gridcell", name="BETA").first.click()
    drilled = page.get_by_role("grid", name="Latest fills of the chosen position")
    expect(drilled.get_by_role("gridcell", name=re.compile("0000e0d5")).first).to_be_visible()

    go(page, "Overview")
    page.get_by_role("button", name="Fees pending").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Fills")
    fills = page.get_by_role("grid", name="Fills", exact=True)
    expect(fills.get_by_role("gridcell", name="pending").first).to_be_visible()
    expect(fills.get_by_role("gridcell", name="final")).to_have_count(0)
    fills.get_by_role("gridcell", name="pending").first.click()
    page.get_by_role("button", name="Order of this fill").click()
    expect(page.get_by_text("Every state of the chosen order")).to_be_visible()

    go(page, "Overview")
    page.get_by_role("grid", name="Open breaks").get_by_role("gridcell", name="AAPL").click()
    expect(page.get_by_text("Causes and evidence")).to_be_visible()
    expect(page.get_by_role("grid", name="Recorded changes of the chosen break").get_by_role("row")).to_have_count(4)


def test_two_hundred_orders_have_a_row_each_in_the_timeline(server, open_page):
    page = open_page(f"{server.url}?view=orders")
    page.get_by_role("grid", name="Orders", exact=True).get_by_role("row").nth(1).wait_for()
    page.get_by_label("Orders drawn").click()
    page.get_by_role("menuitem", name="200").click()
    page.wait_for_function(
        """() => {
          const find = (view) => view.model.type === "Figure" && view.model.y_range.factors?.length === 200 ? view
            : [...(view._child_views?.values() ?? [])].map(find).find((one) => one)
          return Bokeh.index.roots.map(find).some((one) => one?.frame.bbox.height >= 200 * 10)
        }"""
    )


# Puts other figures into a table, the way they come from the server.
LARGER = """(figure) => {
  const find = (view) => view.model.type.endsWith("DataTabulator") && view.model.columns.some((c) => c.field === "avg_cost")
    ? view : [...(view._child_views?.values() ?? [])].map(find).find((one) => one)
  const view = Bokeh.index.roots.map(find).find((one) => one)
  const {source} = view.model
  source.data = {...source.data, unrealized_pnl: Array.from(source.data.unrealized_pnl, () => figure)}
}"""


def test_a_column_grows_with_its_figures(server, open_page):
    page = open_page(
        f"{server.url}?view=positions&as_of=2100-01-01T00:00:00%2B00:00"
    )  # nothing of the server comes between
    page.get_by_role("grid", name="Positions per strategy").get_by_role("gridcell", name="AAPL").first.wait_for()
    cells = page.locator("[tabulator-field=unrealized_pnl].tabulator-cell:visible")
    page.evaluate(LARGER, -123456789012.5)
    expect(cells).to_have_text(["−123,456,789,012.50"] * cells.count())
    assert cells.evaluate_all("cells => cells.every((cell) => cell.scrollWidth <= cell.clientWidth)")


@pytest.mark.parametrize(("width", "goes_on"), [(1280, True), (2400, False)])
def test_a_table_says_when_it_has_more_columns_than_room(width, goes_on, server, open_page):
    page = open_page(f"{server.url}?view=orders", width)
    page.get_by_role("grid", name="Orders", exact=True).get_by_role("row").nth(1).wait_for()
    mended(page, "orders")
    table = page.get_by_role("grid", name="Orders", exact=True)
    expect(table).to_have_class(re.compile("goes-on") if goes_on else re.compile("^(?!.*goes-on)"))
    if goes_on:
        table.locator(".tabulator-tableholder").evaluate("box => { box.scrollLeft = box.scrollWidth }")
        expect(table).not_to_have_class(re.compile("goes-on"))


def test_the_keyboard_walks_the_rows_of_a_table_and_chooses_one(server, open_page):
    page = open_page(f"{server.url}?view=orders")
    grid = page.get_by_role("grid", name="Orders", exact=True)
    grid.get_by_role("row").nth(1).wait_for()
    mended(page, "orders")
    grid.locator(".tabulator-tableholder").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Every state of the chosen order")).to_be_visible()
    expect(grid.locator(".tabulator-row.tabulator-selected")).to_have_count(1)


def test_a_chosen_order_stays_chosen_through_refreshes_sorting_and_filters(server, open_page):
    page = open_page(f"{server.url}?view=orders")
    grid = page.get_by_role("grid", name="Orders", exact=True)
    chosen = grid.locator(".tabulator-row.tabulator-selected")
    row = grid.get_by_role("row").filter(has_text="Submitted").filter(has_text="ALPHA").first
    row.wait_for()
    name = row.locator("[tabulator-field=order_ref]").inner_text()
    row.get_by_role("gridcell").first.click()
    expect(chosen.locator("[tabulator-field=order_ref]")).to_have_text(name)
    expect(page.get_by_text(re.compile("more rows wait until the selection is cleared"))).to_be_visible()
    grid.get_by_role("columnheader", name="Strategy").locator(".tabulator-col-title").click()
    expect(chosen.locator("[tabulator-field=order_ref]")).to_have_text(name)
    grid.get_by_label("Filter by Strategy").fill("ALPHA")
    expect(grid.get_by_role("gridcell", name="BETA")).to_have_count(0)
    expect(chosen.locator("[tabulator-field=order_ref]")).to_have_text(name)
    expect(page.get_by_role("button", name="Clear selection")).to_be_enabled()


def chosen_in(message):
    """Places that a message of the server chooses."""
    return [int(place) for place in re.findall(r'"attr":"indices","new":\[(\d+)', str(message))]


def columns_in(message, name):
    """A column's values wherever a message of the server has it."""
    try:
        inside = [json.loads(message)]
    except ValueError:
        return
    while inside:
        thing = inside.pop()
        if isinstance(thing, dict):
            inside += thing.values()
        elif isinstance(thing, list):
            if len(thing) == 2 and thing[0] == name and isinstance(thing[1], list):
                yield thing[1]
            inside += [part for part in thing if isinstance(part, dict | list)]


def test_a_row_that_is_clicked_while_newer_rows_are_on_their_way_is_the_one_that_is_chosen(server, chromium, watch):
    """A page that is behind shows other rows at the same places; what was clicked must be what is acted on."""
    page = chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    watch.over(page)
    sockets, late, holding = [], [], []

    def behind(socket):
        sockets.append(socket)
        upstream = socket.connect_to_server()
        upstream.on_message(lambda message: late.append(message) if holding else socket.send(message))
        socket.on_message(upstream.send)

    page.route_web_socket(re.compile("/ws"), behind)
    page.goto(f"{server.url}?view=fills")
    painted(page)
    grid = page.get_by_role("grid", name="Fills", exact=True)
    names = grid.locator(".tabulator-row [tabulator-field=fill_id]")
    names.nth(3).wait_for()
    holding.append(True)
    name = names.nth(3).inner_text()
    while not any(column[3] != name for message in late for column in columns_in(message, "fill_id")):
        page.wait_for_timeout(50)
    assert names.nth(3).inner_text() == name
    names.nth(3).click()
    count = len(late)
    while not any(place > 3 for message in late[count:] for place in chosen_in(message)):
        page.wait_for_timeout(50)  # the server has heard of the click, and answers with where the row is by now
    holding.clear()
    for message in late:
        sockets[-1].send(message)
    chosen = grid.locator(".tabulator-row.tabulator-selected")
    expect(page.get_by_text(re.compile("more rows wait until the selection is cleared"))).to_be_visible()
    expect(chosen.locator("[tabulator-field=fill_id]")).to_have_text([name])
    revisions = page.get_by_role("grid", name="Revisions of the chosen execution")
    expect(revisions.locator("[tabulator-field=fill_id]").last).to_have_text(name)


def test_a_day_is_closed_and_its_statement_downloaded(server, open_page):
    page = open_page(f"{server.url}?view=dayclose")
    page.get_by_role("button", name="Close the day").click()
    expect(page.get_by_text(re.compile("is not closed: 2 breaks are open"))).to_be_visible()
    page.get_by_label("Reason to close in spite of open breaks").fill("Known, with the broker's desk")
    page.get_by_label("Reason to close in spite of open breaks").blur()
    page.get_by_role("button", name="Close the day").click()
    expect(page.get_by_text(re.compile("✓ .* is closed"))).to_be_visible()
    page.get_by_role("grid", name="Closed days").get_by_role("gridcell", name="9f2c").click()
    for name, start in (("Statement as CSV", "statement,c-1"), ("Statement as a page", "<!doctype html>")):
        button = page.get_by_role("button", name=name)
        expect(button).to_be_enabled()
        with page.expect_download() as caught:
            button.click()
        assert caught.value.path().read_text(encoding="utf-8").startswith(start)


def test_a_flex_statement_is_dropped_onto_the_page_and_imported(server, open_page):
    page = open_page(f"{server.url}?view=dayclose")
    target = page.get_by_role("button", name="Flex statement (XML): drop it here")
    target.wait_for()
    page.wait_for_timeout(500)
    transfer = page.evaluate_handle(
        "text => { const d = new DataTransfer(); d.items.add(new File([text], 'day.xml', {type: 'text/xml'})); return d }",
        FLEX.decode(),
    )
    for event in ("dragenter", "dragover", "drop"):
        target.dispatch_event(event, {"dataTransfer": transfer})
    expect(page.get_by_text(f"day.xml: {len(FLEX)} bytes, not imported yet")).to_be_visible()
    page.get_by_role("button", name="Import the statement").click()
    expect(page.get_by_text("✓ Imported")).to_be_visible()
    expect(page.get_by_text("123 executions read, 3 of them new")).to_be_visible()


def test_a_viewer_clicks_through_every_screen_and_finds_no_act(tmp_path, open_page):
    server = with_login(tmp_path)
    try:
        viewer = open_page(server.url, user="bob", password="look")
        expect(viewer.get_by_text("bob · viewer, may look only")).to_be_visible()
        for screen in SCREENS:
            go(viewer, screen)
            for act in ACTS:
                assert (screen, act, viewer.get_by_role("button", name=act, exact=True).count()) == (screen, act, 0)
        operator = open_page(f"{server.url}?view=quarantine", user="ann", password="act")
        expect(operator.get_by_text("ann · operator")).to_be_visible()
        go(viewer, "Quarantine")
        held = viewer.get_by_role("row").filter(has_text="no field execution.execId").first
        held.wait_for()
        operator.get_by_role("row").filter(has_text="no field execution.execId").first.click()
        operator.get_by_role("button", name="Replay").click()
        expect(operator.get_by_text("Still unreadable: no field execution.execId").first).to_be_visible()
        operator.get_by_role("button", name="Dismiss").click()
        operator.get_by_role("button", name="Dismiss for good").click()
        expect(viewer.get_by_text("Empty: every message could be read")).to_be_visible()
        viewer.close()  # an open page asks whether the server is back, and the browser logs that it is not
        operator.close()
    finally:
        server.stop()


def test_what_one_person_assigns_and_reverses_the_other_sees(server, open_page):
    first, second = open_page(f"{server.url}?view=reconciliation"), open_page(f"{server.url}?view=reconciliation")
    theirs = second.get_by_role("grid", name="Breaks", exact=True).get_by_role("row").filter(has_text="AAPL")
    theirs.first.get_by_role("checkbox").click()
    second.get_by_text("Causes and evidence").wait_for()
    first.get_by_role("row").filter(has_text="AAPL").first.get_by_role("checkbox").click()
    first.get_by_role("button", name="Assign residual").click()
    dialog = first.get_by_role("dialog")
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_text("Before and after of every book").wait_for()
    dialog.get_by_label("Reason (required)").fill("Bought by hand")
    dialog.get_by_role("button", name="Confirm assignment").click()
    expect(theirs).to_have_count(0)
    expect(second.get_by_text(re.compile("No longer here: DU1234567:265598"))).to_be_visible()
    go(second, "Assignments")
    second.get_by_role("gridcell", name="Bought by hand").first.click()
    second.get_by_label("Reason for the reversal").fill("It was not ours")
    second.get_by_role("button", name="Reverse this assignment").click()
    expect(first.get_by_role("row").filter(has_text="AAPL").first).to_be_visible()


@pytest.mark.parametrize(("screen", "button"), [("positions", "Download CSV"), ("orders", "Download CSV")])
def test_tables_are_handed_out_as_csv(screen, button, server, open_page):
    page = open_page(f"{server.url}?view={screen}")
    page.get_by_role("gridcell", name="ALPHA").first.wait_for()
    with page.expect_download() as caught:
        page.get_by_role("button", name=button).click()
    lines = caught.value.path().read_text(encoding="utf-8").splitlines()
    assert "strategy" in lines[0]
    assert len(lines) > 5


def test_the_rehearsal_shows_what_the_product_does(server, open_page):
    page = open_page(f"{server.url}?view=rehearsal")
    page.get_by_role("button", name="Make it happen").click()
    expect(page.get_by_text("it has happened")).to_be_visible()
    for part in (
        "What the product does",
        "Open breaks",
        "Findings since the last fault",
        "Connection log",
        "Latest fills",
    ):
        expect(page.get_by_role("heading", name=part)).to_be_visible()


def test_prices_stand_point_below_point_and_a_cut_text_is_told_when_pointed_at(server, open_page):
    page = open_page(f"{server.url}?view=fills")
    prices = page.locator("[tabulator-field=price].tabulator-cell:visible")
    expect(prices).to_have_count(25)
    shown = prices.evaluate_all("cells => cells.map((cell) => cell.textContent.split('.')[1]?.length ?? 0)")
    assert set(shown) == {4}
    cut = page.locator("[tabulator-field=strategy].tabulator-cell").filter(has_text="GAMMA").first
    cut.hover()
    expect(cut).to_have_attribute("title", re.compile("^GAMMA <img src=x"))
