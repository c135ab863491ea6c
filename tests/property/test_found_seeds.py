"""Every failure that the state machine or the laws ever found, as a plain story.

Each test says what was wrong, so that the lesson outlives the seed.
"""

from decimal import Context, Decimal, localcontext

import msgspec

from engine.core.events import InstrumentDescribed
from engine.core.exact import add
from tests.unit.state.kit import AAPL, UNASSIGNED, Desk


def test_a_fee_that_came_before_the_original_is_taken_over_by_a_correction_that_comes_alone():
    """The early fee waited for exactly its own revision, which never came."""
    desk = Desk()
    desk.fee("0000e0d5.00020003.01.01", 1, "EUR")
    desk.fill("0000e0d5.00020003.01.02", 1, 10)
    book = desk.book(UNASSIGNED)
    assert (book.fees, book.fees_pending) == ({"EUR": 1}, 0)


def test_a_correction_of_a_moved_execution_leaves_the_order_with_its_own_strategy():
    """The order followed the assignment that had moved its execution to another strategy's book."""
    desk = Desk()
    desk.fill("x.01", 1, 10, perm_id=5)
    desk.fill("x.01", 1, 10, perm_id=5, strategy="BETA")
    desk.assign("A1", moves=[("x.01", "BETA", "ALPHA")])
    desk.fill("x.02", 1, 10, perm_id=5)
    assert desk.ledger.order("PDU1:5").strategy == "BETA"
    assert desk.quantity("ALPHA") == 1


def test_signs_are_taken_without_the_calling_threads_precision():
    """``abs`` and unary minus of a Decimal round to the thread's context; order progress used them."""
    desk = Desk()
    with localcontext(Context(prec=3)):
        desk.fill("x.01", "1.2345", 10, perm_id=5, strategy="ALPHA")
        desk.order("Submitted", strategy="ALPHA", quantity="1.2345")
    assert desk.ledger.order("PDU1:5").filled == Decimal("1.2345")
    assert desk.state() == "Filled"


def test_a_fresh_order_with_a_used_number_does_not_claim_the_old_ones_executions():
    """A local PendingSubmit without permId was taken for the former session's order."""
    desk = Desk()
    desk.fill("x.01", 10, 100, perm_id=5, order_id=7, client_id=1)
    desk.order("PendingSubmit", perm_id=0, order_id=7, client_id=1, strategy="ALPHA", local=True)
    assert desk.quantity(UNASSIGNED) == 10
    assert [o.order_key for o in desk.ledger.orders()] == ["PDU1:5", "ODU1:1:7"]


def test_three_legs_of_one_strategy_and_their_partial_close_keep_thirty_four_digits():
    """The recount's own unary minus had rounded to 28: both sides now say where they round."""
    desk = Desk()
    desk.assign("A1", ("ALPHA", 1, 10), ("ALPHA", 1, 10), ("ALPHA", 1, 10))
    desk.assign("A2", ("ALPHA", -7, 10), ("ALPHA", -1, 12))
    book = desk.book()
    assert book.quantity == -5
    assert book.realized_pnl == add(book.open_cost, book.cash["USD"])


def test_busted_executions_come_again_in_one_order_after_a_restart_too():
    """They were kept in the order in which they were busted, and loaded in the order in which they had come."""
    desk = Desk()
    desk.fill("x.01", 1, 10, t=None)
    desk.fill("y.01", 1, 10, t=None)
    desk.bust("y.01")
    desk.bust("x.01")
    loaded = type(desk.ledger).load(desk.ledger.dump())
    described = InstrumentDescribed(
        received_at=desk.clock, instrument=msgspec.structs.replace(AAPL, multiplier=Decimal(10))
    )
    rows = [ledger.apply(5, described).fills for ledger in (desk.ledger, loaded)]
    assert rows[0] == rows[1]
    assert [r.fill.exec_id for r in rows[0]] == ["x.01", "y.01"]
