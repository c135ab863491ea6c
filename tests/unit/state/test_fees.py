"""Fees arrive before, with, after, twice, restated, never; pending is never zero."""

from decimal import Decimal

import pytest

from tests.unit.state.kit import AAPL, Desk, at, dec


def test_a_fee_joins_by_execution_id_in_any_order():
    """R2, R7, R45, F4: interleaved and early fees find their own execution."""
    desk = Desk()
    desk.fee("b.01", "2")
    desk.fill("a.01", 10, 100, strategy="ALPHA")
    desk.fill("b.01", 10, 100, strategy="BETA")
    desk.fee("c.01", "3")
    desk.fee("a.01", "1")
    desk.fill("c.01", 10, 100, strategy="GAMMA")
    fees = {p.strategy: p.fees for p in desk.ledger.positions()}
    assert fees == {"ALPHA": {"USD": 1}, "BETA": {"USD": 2}, "GAMMA": {"USD": 3}}
    assert desk.ledger.orphan_commissions == {}


def test_a_fee_without_an_execution_is_shown_and_asks_for_executions_until_it_is_matched():
    """R2."""
    desk = Desk()
    changes = desk.fee("x.01", "1.5")
    assert changes.requests == {"executions"}
    assert list(desk.ledger.orphan_commissions) == ["x.01"]
    assert desk.kinds() == {"orphan_commission"}
    changes = desk.fill("x.01", 10, 100, strategy="ALPHA")
    assert desk.kinds() == set()
    assert changes.resolved == {"orphan_commission:x.01"}
    assert changes.fills[0].commission == Decimal("1.5")


@pytest.mark.parametrize("seen", [False, True])
def test_an_unset_fee_is_pending_not_zero(seen):
    """R4, R28, F26, F35, F36."""
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    if seen:
        desk.fee("x.01", None, "")
    record = desk.ledger.fill("DU1", "x")
    assert (record.commission, record.commission_status) == (None, "pending")
    assert (desk.book().fees, desk.book().fees_pending) == ({}, 1)
    desk.fee("x.01", "0.35")
    record = desk.ledger.fill("DU1", "x")
    assert (record.commission, record.commission_status) == (Decimal("0.35"), "final")
    assert (desk.book().fees, desk.book().fees_pending) == ({"USD": Decimal("0.35")}, 0)


def test_a_reported_zero_is_a_fee():
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fee("x.01", 0)
    assert desk.ledger.fill("DU1", "x").commission_status == "final"


def test_an_unset_fee_does_not_take_a_known_one_back():
    desk = Desk()
    desk.fee("x.01", "1")
    desk.fee("x.01", None, "")
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fee("x.01", None, "")
    assert desk.book().fees == {"USD": 1}


def test_a_restated_fee_nets_to_the_last_one_and_earlier_rows_stay():
    """F6: 0.35, then 0.30."""
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fee("x.01", "0.35")
    desk.fee("x.01", "0.30")
    assert not desk.fee("x.01", "0.30")
    assert desk.book().fees == {"USD": Decimal("0.30")}
    assert [r.commission for r in desk.fills] == [None, Decimal("0.35"), Decimal("0.30")]
    desk.stored_rows_fold_to_the_books()


def test_an_early_fee_restated_before_the_execution_counts_once():
    desk = Desk()
    desk.fee("x.01", "0.35")
    desk.fee("x.01", "0.30")
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    assert desk.book().fees == {"USD": Decimal("0.30")}


def test_rebates_are_income_and_minus_one_is_booked_and_flagged():
    """F38."""
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fee("x.01", "-0.35")
    assert desk.book().fees == {"USD": Decimal("-0.35")}
    assert desk.kinds() == set()
    desk.fill("y.01", 10, 100, strategy="ALPHA")
    desk.fee("y.01", "-1")
    assert desk.book().fees == {"USD": Decimal("-1.35")}
    assert desk.kinds() == {"negative_fee_sentinel"}


def test_fees_keep_their_own_currency():
    """F39: a trade in dollars, a fee in euros."""
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fill("y.01", 10, 100, strategy="ALPHA")
    desk.fee("x.01", "1", "EUR")
    desk.fee("y.01", "2", "USD")
    assert desk.book().fees == {"EUR": 1, "USD": 2}
    assert desk.book().cash == {"USD": -2000}


def test_uneven_fees_of_partial_fills_add_up_to_the_orders():
    """F41."""
    desk = Desk()
    for number, amount in enumerate(("1.00", "0.02", "0.03")):
        desk.fill(f"{number}.01", 10, 100, strategy="ALPHA", perm_id=7)
        desk.fee(f"{number}.01", amount)
    assert desk.book().fees == {"USD": Decimal("1.05")}


def test_a_correction_keeps_the_known_fee_until_its_own_comes():
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fee("x.01", "1")
    desk.fill("x.02", 8, 100, strategy="ALPHA")
    assert desk.book().fees == {"USD": 1}
    desk.fee("x.02", "0.8")
    assert desk.book().fees == {"USD": Decimal("0.8")}
    assert not desk.fee("x.01", "1.1"), "a late report of the replaced revision changes nothing"
    desk.stored_rows_fold_to_the_books()


def test_the_fee_of_the_original_reaches_a_correction_that_came_first():
    desk = Desk()
    desk.fee("x.01", "1")
    desk.fill("x.02", 8, 100, strategy="ALPHA")
    assert desk.book().fees == {"USD": 1}


def test_the_fee_of_a_correction_waits_for_the_correction():
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    desk.fee("x.02", "0.8")
    assert desk.book().fees_pending == 1
    desk.fill("x.02", 8, 100, strategy="ALPHA")
    assert (desk.book().fees, desk.book().fees_pending) == ({"USD": Decimal("0.8")}, 0)


def test_ibs_own_realized_figure_is_a_note_and_never_booked():
    """F37, F43: A is long 10, B sells 10: B holds a short that realized nothing."""
    desk = Desk()
    desk.fill("a.01", 10, 100, strategy="A")
    desk.fill("b.01", -10, 110, strategy="B")
    desk.fee("b.01", 1, ib_realized_pnl=Decimal(98))
    book = desk.book("B")
    assert (book.quantity, book.realized_pnl) == (-10, 0)
    assert desk.ledger.fill("DU1", "b").ib_realized_pnl == 98
    assert sum(p.realized_pnl for p in desk.ledger.positions()) == 0
    assert desk.ledger.net() == {("DU1", AAPL.con_id): 0}


def test_fees_still_missing_after_a_while_are_listed():
    """R8."""
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA", received_at=at(0))
    desk.fill("y.01", 10, 100, strategy="ALPHA", received_at=at(100))
    assert [r.fill.exec_id for r in desk.ledger.fees_pending(at(50))] == ["x.01"]
    desk.fee("x.01", 1)
    assert desk.ledger.fees_pending(at(50)) == []


def test_a_shared_fee_object_that_changes_later_changes_nothing_here():
    """F6: what was taken in is a fact of its own."""
    desk = Desk()
    desk.fill("x.01", 10, 100, strategy="ALPHA")
    first = desk.ledger.fill("DU1", "x")
    desk.fee("x.01", 1)
    assert first.commission is None


def test_the_same_fee_through_a_library_does_not_forget_ibs_own_figure_f37_r28():
    desk = Desk()
    desk.fill("a.b.01", 10, 5, strategy="ALPHA")
    desk.fee("a.b.01", 1, ib_realized_pnl=dec(0))
    assert not desk.fee("a.b.01", 1)
    assert desk.ledger.fill("DU1", "a.b").ib_realized_pnl == 0
    desk.fee("a.b.01", 1, ib_realized_pnl=dec("12.5"))
    assert desk.ledger.fill("DU1", "a.b").ib_realized_pnl == dec("12.5")
