"""The main journey on real parts: simulated gateway, real engine, real ArcticDB, real browser."""

import re
import signal

import pytest
from playwright.sync_api import expect
from serving import HURRIED, ROOT, Server, choose_option, mended


def drawn_again(page):
    """Wait for two more pictures: the second one is sent when the first was painted."""
    seen = int(page.evaluate("Number(document.documentElement.dataset.fillbookSeq)"))
    page.wait_for_function(f"Number(document.documentElement.dataset.fillbookPainted) > {seen + 1}", polling=50)


def test_live_fills_positions_and_the_proof_that_all_is_square(server, open_page):
    page = open_page(f"{server.url}?view=fills")
    page.get_by_role("gridcell", name="TORTOISE").first.wait_for()
    rows = page.get_by_text(re.compile(r"Rows 1 to \d+ of [\d,]+"))
    before = rows.inner_text()
    expect(rows).not_to_have_text(before, timeout=60_000)
    page.get_by_role("button", name="Positions", exact=True).click()
    page.get_by_role("gridcell", name="TORTOISE").first.wait_for()
    expect(page.get_by_role("button", name="✓ Square")).to_be_visible(timeout=60_000)


def test_a_manual_trade_is_seen_as_a_residual_assigned_in_one_session_and_square_in_another(server, open_page):
    other = open_page(f"{server.url}?view=reconciliation")
    page = open_page(f"{server.url}?view=rehearsal")
    choose_option(page, "What shall happen", "Manual trade in TWS")
    page.get_by_label(re.compile("^symbol")).fill("IBM")
    page.get_by_label(re.compile("^quantity")).fill("70")
    page.get_by_role("button", name="Make it happen").click()
    page.get_by_text("it has happened").wait_for()

    page.get_by_role("button", name="Reconciliation", exact=True).click()
    page.get_by_role("button", name="Reconcile now").click()
    row = page.get_by_role("row").filter(has_text="IBM").first
    row.wait_for()
    other.get_by_role("row").filter(has_text="IBM").first.wait_for()
    row.get_by_role("checkbox").click()
    page.get_by_text("Causes and evidence").wait_for()
    page.get_by_role("button", name="Assign residual").click()
    dialog = page.get_by_role("dialog")
    choose_option(page, "Strategy 1", "TORTOISE")
    dialog.get_by_label("Quantity 1").fill("70")
    dialog.get_by_label("Reason (required)").fill("Bought by hand for the Tortoise")
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_text("Before and after of every book").wait_for()
    dialog.get_by_role("button", name="Confirm assignment").click()
    expect(dialog).to_be_hidden()
    expect(other.get_by_role("row").filter(has_text="IBM")).to_have_count(0, timeout=60_000)
    expect(other.get_by_role("button", name="✓ Square")).to_be_visible(timeout=60_000)

    page.get_by_role("button", name="Assignments", exact=True).click()
    page.get_by_role("gridcell", name="Bought by hand for the Tortoise").first.wait_for()
    page.goto(f"{server.url}?view=positions&strategy=TORTOISE")
    page.get_by_role("gridcell", name="IBM").first.wait_for()


def test_each_screen_opens_on_the_real_engine_without_an_error(server, open_page):
    page = open_page(server.url)
    for view, name in {
        "orders": "Orders",
        "dayclose": "Day close and statements",
        "quarantine": "Quarantine",
        "health": "Health",
        "settings": "Settings in force",
        "overview": "Overview",
    }.items():
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        mended(page, view)
        drawn_again(page)
        assert page.get_by_text("cannot be drawn").count() == 0
        assert page.get_by_text("Cannot be read now").count() == 0


def test_books_are_the_same_after_ctrl_c_and_a_new_start(tmp_path, open_page):
    server = Server(ROOT / "panel_app.py", tmp_path, FILLBOOK_DATA_DIR=str(tmp_path / "data"), **HURRIED).start()
    page = open_page(f"{server.url}?view=fills")
    page.get_by_role("gridcell", name="TORTOISE").first.wait_for()
    assert server.stop(signal.SIGINT) == 0
    page.close()
    server.start()
    again = open_page(f"{server.url}?view=fills")
    again.get_by_role("gridcell", name="TORTOISE").first.wait_for()
    expect(again.get_by_role("button", name="✓ Square")).to_be_visible(timeout=60_000)
    server.stop()


@pytest.mark.parametrize(
    ("variable", "value", "word"),
    [("FILLBOOK_IB_PORT", "often", "FILLBOOK_IB_PORT"), ("FILLBOOK_NONSENSE", "1", "not a setting")],
)
def test_a_wrong_setting_ends_the_server_with_one_clear_line(variable, value, word, tmp_path):
    server = Server(ROOT / "panel_app.py", tmp_path, **{variable: value})
    with pytest.raises(AssertionError):
        server.start()
    assert server.process.wait(30) == 2
    lines = [line for line in server.log.read_text().splitlines() if line.startswith("fillbook:")]
    assert len(lines) == 1
    assert word in lines[0]
    assert "Traceback" not in server.log.read_text()


def test_a_second_server_on_the_same_books_is_refused_in_one_line(server, tmp_path):
    second = Server(
        ROOT / "panel_app.py", tmp_path, **{"FILLBOOK_DATA_DIR": server.environment["FILLBOOK_DATA_DIR"], **HURRIED}
    )
    try:
        with pytest.raises(AssertionError):
            second.start()
        assert second.process.wait(30) == 2
    finally:
        second.stop()
    assert "fillbook:" in second.log.read_text()
