"""Acts of two people at one desk on real parts: split a residual, own a break, make a rule, look back, see a correction."""

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect
from serving import choose_option


def buy_by_hand(page, symbol, quantity):
    """Have somebody buy in TWS, which no strategy knows of."""
    choose_option(page, "What shall happen", "Manual trade in TWS")
    page.get_by_label(re.compile("^symbol")).fill(symbol)
    page.get_by_label(re.compile("^quantity")).fill(quantity)
    page.get_by_role("button", name="Make it happen").click()
    page.get_by_text("it has happened").wait_for()


def break_of(page, symbol):
    return page.get_by_role("grid", name="Breaks", exact=True).get_by_role("row").filter(has_text=symbol)


def screen(page, name):
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def test_a_break_gets_an_owner_is_split_over_two_books_and_is_still_there_in_the_past(server, open_page):
    ann, bob = open_page(f"{server.url}?view=rehearsal"), open_page(f"{server.url}?view=reconciliation")
    buy_by_hand(ann, "MSFT", "90")
    screen(ann, "Reconciliation")
    ann.get_by_role("button", name="Reconcile now").click()
    break_of(bob, "MSFT").first.wait_for()
    break_of(ann, "MSFT").first.get_by_role("checkbox").click()
    ann.get_by_text("Causes and evidence").wait_for()
    expect(ann.get_by_role("heading", name="1. external trade – explains +90")).to_be_visible()
    expect(ann.get_by_text("External trade: manual order in TWS")).to_be_visible()
    ann.get_by_label("Owner", exact=True).fill("ann")
    ann.get_by_label("Note", exact=True).fill("Asking the desk")
    ann.get_by_label("Note", exact=True).blur()
    ann.get_by_role("button", name="Save owner and note").click()
    expect(break_of(bob, "MSFT").first.locator("[tabulator-field=owner]")).to_have_text("ann")
    expect(break_of(bob, "MSFT").first.locator("[tabulator-field=note]")).to_have_text("Asking the desk")
    between = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    ann.wait_for_timeout(1000)  # the control takes whole seconds

    break_of(ann, "MSFT").first.get_by_role("checkbox").click()
    ann.get_by_role("button", name="Assign residual").click()
    dialog = ann.get_by_role("dialog")
    for number, (strategy, quantity) in enumerate((("TORTOISE", "60"), ("HARE", "30")), 1):
        choose_option(ann, f"Strategy {number}", strategy)
        dialog.get_by_label(f"Quantity {number}").fill(quantity)
    dialog.get_by_label("Reason (required)").fill("Bought for both")
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_text("Before and after of every book").wait_for()
    for strategy in ("TORTOISE", "HARE"):
        expect(dialog.get_by_role("row").filter(has_text=strategy).first).to_be_visible()
    dialog.get_by_role("button", name="Confirm assignment").click()
    expect(dialog).to_be_hidden()
    expect(break_of(bob, "MSFT")).to_have_count(0)

    bob.get_by_label(re.compile(r"^As of")).fill(f"{between:%Y-%m-%d %H:%M:%S}")
    bob.get_by_label(re.compile(r"^As of")).blur()
    bob.get_by_role("button", name="Show", exact=True).click()
    expect(bob.get_by_text("NOT LIVE")).to_be_visible()
    expect(break_of(bob, "MSFT").first.locator("[tabulator-field=owner]")).to_have_text("ann")
    expect(bob.get_by_role("button", name="Reconcile now")).to_be_disabled()
    bob.get_by_role("button", name="Back to live").click()
    expect(bob.get_by_text("NOT LIVE")).to_be_hidden()
    expect(break_of(bob, "MSFT")).to_have_count(0)

    screen(bob, "Assignments")
    journal = (
        bob.get_by_role("grid", name="Journal of assignments").get_by_role("row").filter(has_text="Bought for both")
    )
    strategies = journal.locator("[tabulator-field=strategy].tabulator-cell")
    expect(strategies).to_have_count(3)
    assert sorted(strategies.all_inner_texts()) == ["HARE", "TORTOISE", "UNASSIGNED"]


def test_a_rule_is_tried_set_and_switched_off_before_the_eyes_of_another(server, open_page):
    ann, bob = open_page(f"{server.url}?view=assignments"), open_page(f"{server.url}?view=assignments")
    ann.get_by_role("button", name="Set rule").click()
    expect(ann.get_by_text("A rule needs a strategy, something to match, and a reason.")).to_be_visible()
    for label, words in (
        ("Goes to strategy", "TORTOISE"),
        ("Order reference like (* any)", "BY-HAND-*"),
        ("Reason (required)", "The desk names them so"),
    ):
        ann.get_by_label(label).fill(words)
        ann.get_by_label(label).blur()
    ann.get_by_role("button", name="Try it").click()
    expect(ann.get_by_text("It would have matched 0 of the executions and residuals on record.")).to_be_visible()
    ann.get_by_role("button", name="Set rule").click()
    expect(ann.get_by_text("The rule is in force.")).to_be_visible()
    theirs = bob.get_by_role("grid", name="Rules", exact=True).get_by_role("row").filter(has_text="BY-HAND-*")
    expect(theirs.locator("[tabulator-field=enabled]")).to_have_text("yes")
    ann.get_by_role("grid", name="Rules", exact=True).get_by_role("gridcell", name="BY-HAND-*").click()
    ann.get_by_role("button", name="Switch the chosen rule on or off").click()
    expect(theirs.locator("[tabulator-field=enabled]")).to_have_text("no")
    audit = bob.get_by_role("grid", name="Audit of all acts").get_by_role("row").filter(has_text="rule")
    expect(audit.first.locator("[tabulator-field=allowed]")).to_have_text("yes")


def test_a_corrected_execution_is_found_and_shows_both_revisions_and_its_order(server, open_page):
    page = open_page(f"{server.url}?view=rehearsal")
    choose_option(page, "What shall happen", "Correction of an execution")
    page.get_by_role("button", name="Make it happen").click()
    told = page.get_by_text("it has happened")
    corrected = re.search(r"\S+\.02\b", told.inner_text())[0]
    screen(page, "Fills")
    page.get_by_label("Search").fill(corrected)
    page.get_by_label("Search").blur()
    found = page.get_by_role("grid", name="Fills", exact=True).get_by_role("gridcell", name=corrected, exact=True)
    expect(page.get_by_text(re.compile("Rows 1 to 1 of 1$"))).to_be_visible()
    found.click()
    chain = page.get_by_role("grid", name="Revisions of the chosen execution").locator(
        "[tabulator-field=fill_id].tabulator-cell"
    )
    expect(chain).to_have_text([corrected[:-1] + "1", corrected])
    page.get_by_role("button", name="Order of this fill").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Orders")
    expect(
        page.get_by_role("grid", name="Orders", exact=True).locator(".tabulator-row.tabulator-selected")
    ).to_have_count(1)
