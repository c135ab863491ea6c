"""An operator's entries in the books, and taking them back exactly."""

from decimal import Decimal

import msgspec

from tests.unit.state.kit import AAPL, UNASSIGNED, VOD, Desk, at


def story():
    desk = Desk()
    desk.fill("1.01", 10, 100, t=0, strategy="ALPHA", perm_id=1)
    desk.fill("2.01", -4, 120, t=20, strategy="ALPHA", perm_id=2)
    desk.fill("3.01", 7, 110, t=10, perm_id=3)
    desk.fee("1.01", "1.25")
    return desk


def test_legs_book_new_quantity_at_their_time_and_price():
    desk = story()
    changes = desk.assign("A1", ("ALPHA", 30, 90), ("BETA", -5, 91), t=5)
    assert (desk.quantity(), desk.quantity("BETA")) == (36, -5)
    assert desk.book("BETA").open_cost == -455
    assert {r.fill.source for r in changes.fills if r.strategy == "BETA"} == {"assignment"}
    # the later sale now closes at another average, and its row comes again
    assert desk.book().realized_pnl == 4 * (Decimal(120) - Decimal(3700) / 40)
    assert "2.01" in {r.fill.exec_id for r in changes.fills}
    desk.stored_rows_fold_to_the_books()


def test_reversing_restores_the_exact_former_state():
    """R37, and the law of house: assign then reverse."""
    desk = story()
    before = desk.figures()
    desk.assign("A1", ("ALPHA", 30, "90.123456789"), ("NEW", 5, 90), moves=[("3.01", UNASSIGNED, "BETA")], t=5)
    assert desk.figures() != before
    changes = desk.reverse("A1")
    assert desk.figures() == before
    assert {r.state for r in changes.fills if r.fill.source == "assignment"} == {"reversed"}
    assert list(desk.ledger.reversed_ids) == ["A1"]
    desk.stored_rows_fold_to_the_books()


def test_the_same_entry_twice_and_its_reversal_twice_change_nothing():
    desk = story()
    desk.assign("A1", ("BETA", 5, 90))
    assert not desk.assign("A1", ("BETA", 5, 90))
    desk.reverse("A1")
    assert not desk.reverse("A1")
    assert not desk.reverse("never made")
    assert desk.quantity("BETA") == 0


def test_a_move_takes_an_execution_over_with_price_time_and_fee():
    desk = story()
    desk.fee("3.01", "0.7")
    desk.assign("A1", moves=[("3.01", UNASSIGNED, "BETA")])
    assert desk.quantity(UNASSIGNED) == 0
    book = desk.book("BETA")
    assert (book.quantity, book.open_cost, book.fees, book.last_fill_at) == (7, 770, {"USD": Decimal("0.7")}, at(10))


def test_a_correction_after_a_move_stays_with_the_new_owner_and_goes_back_with_the_reversal():
    desk = story()
    desk.assign("A1", moves=[("3.01", UNASSIGNED, "BETA")])
    desk.fill("3.02", 9, 111, t=10, perm_id=3)
    assert desk.quantity("BETA") == 9
    desk.reverse("A1")
    assert (desk.quantity("BETA"), desk.quantity(UNASSIGNED)) == (0, 9)
    desk.stored_rows_fold_to_the_books()


def test_a_claim_that_came_while_moved_counts_after_the_reversal():
    """The books are as if the entry had never been made."""
    desk = story()
    desk.assign("A1", moves=[("3.01", UNASSIGNED, "BETA")])
    desk.order("Filled", perm_id=3, strategy="GAMMA")
    assert desk.quantity("BETA") == 7
    assert "conflict" in desk.kinds()
    desk.reverse("A1")
    assert (desk.quantity("GAMMA"), desk.quantity(UNASSIGNED), desk.quantity("BETA")) == (7, 0, 0)


def test_moves_upon_moves_are_taken_back_in_any_order():
    desk = story()
    before = desk.figures()
    desk.assign("A1", moves=[("3.01", UNASSIGNED, "BETA")])
    desk.assign("A2", moves=[("3.01", "BETA", "GAMMA")])
    desk.reverse("A1")
    assert desk.quantity("GAMMA") == 7
    desk.reverse("A2")
    assert desk.figures() == before


def test_a_move_from_the_wrong_book_is_refused_and_shown():
    desk = story()
    before = desk.figures()
    desk.assign("A1", moves=[("3.01", "BETA", "GAMMA"), ("nowhere.01", UNASSIGNED, "GAMMA")])
    assert desk.figures() == before
    assert len([f for f in desk.ledger.findings.values() if f.kind == "unbookable"]) == 2


def test_a_preview_says_what_would_be_and_changes_nothing():
    desk = story()
    before = desk.figures()
    entry = desk.entry("A1", ("ALPHA", 30, 90), ("NEW", 2, 90), moves=[("3.01", UNASSIGNED, "BETA")], t=5)
    pairs = desk.ledger.preview(entry)
    assert desk.figures() == before
    desk.apply(entry)
    for former, latter in pairs:
        key = (latter.strategy, latter.account, latter.instrument_key)
        now = desk.ledger.position(*key)
        if latter.strategy == UNASSIGNED:
            assert (latter.quantity, now) == (0, None)
            continue
        assert (latter.quantity, latter.open_cost, latter.realized_pnl, latter.fees, latter.cash, latter.fills) == (
            now.quantity,
            now.open_cost,
            now.realized_pnl,
            now.fees,
            now.cash,
            now.fills,
        )
        assert (former is None) == (key not in before)


def test_legs_of_one_strategy_with_awkward_names_stay_apart():
    desk = Desk()
    desk.assign("A.1", ("01", 1, 10), ("02", 2, 10), ("01", 3, 10))
    assert (desk.quantity("01"), desk.quantity("02")) == (4, 2)
    desk.reverse("A.1")
    assert desk.ledger.positions() == []


def test_only_assignments_and_every_view_agrees():
    """R38."""
    desk = Desk()
    desk.assign("A1", ("ALPHA", 30, 90), ("BETA", 20, 90))
    assert desk.ledger.net() == {("DU1", AAPL.con_id): 50}
    assert sum(r.quantity for r in desk.ledger.fills()) == 50
    assert [p.strategy for p in desk.ledger.positions()] == ["ALPHA", "BETA"]
    assert [a.assignment_id for a in desk.ledger.assignments()] == ["A1"]


def test_the_residual_that_was_assigned_and_its_execution_that_came_late_are_both_honest():
    """R13: the execution books where it belongs; reversing the entry then leaves exactly the execution."""
    desk = Desk()
    desk.assign("A1", ("ALPHA", 10, 100))
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    assert desk.quantity() == 20
    desk.reverse("A1")
    assert desk.quantity() == 10


def test_a_legs_price_is_currency_and_does_not_follow_the_magnifier():
    desk = Desk()
    desk.fill("x.01", 100, 947, strategy="ALPHA", instrument=VOD)
    desk.assign("A1", ("ALPHA", 100, "9.47"), instrument=VOD)
    desk.describe(type(VOD)(con_id=VOD.con_id, symbol="VOD", currency="GBP", price_magnifier=100))
    book = desk.book(instrument=VOD)
    assert (book.open_cost, book.avg_cost) == (1894, Decimal("9.47"))
    leg = next(r for r in desk.ledger.fills() if r.fill.source == "assignment")
    assert (leg.unit_price, leg.fill.price) == (Decimal("9.47"), 947)
    desk.stored_rows_fold_to_the_books()


def test_a_leg_that_was_taken_back_keeps_the_terms_it_was_taken_back_on():
    """It is in no book, so nothing is recorded of it later: what is shown of it must not change either."""
    desk = Desk()
    desk.describe(msgspec.structs.replace(VOD, price_magnifier=1))
    desk.assign("A1", ("ALPHA", 100, "9.47"), instrument=VOD)
    changes = desk.describe(msgspec.structs.replace(VOD, price_magnifier=100))
    assert [(r.magnifier, r.fill.price) for r in changes.fills] == [(100, 947)]
    desk.reverse("A1")
    recorded = desk.fills[-1]
    assert (recorded.state, recorded.magnifier, recorded.multiplier) == ("reversed", 100, 1)
    assert desk.describe(msgspec.structs.replace(VOD, price_magnifier=10)).fills == []
    assert desk.ledger.fills() == desk.restarted().fills() == [recorded]


def test_an_execution_cannot_pose_as_a_leg():
    desk = Desk()
    desk.assign("A1", ("ALPHA", 10, 100))
    leg = desk.ledger.fills()[0].fill.exec_id
    desk.fill(leg, 99, 1, strategy="ALPHA")
    assert desk.quantity() == 10
