"""What the stored rows alone bring back must be the books, to the strategy, the place and the cent."""

from __future__ import annotations

import msgspec
import pytest

from tests.property.lost_journal import rebuilt
from tests.unit.state.kit import EURCHF, MSFT, UNASSIGNED, VOD, Desk, dec


def assert_the_store_alone_tells_it(desk):
    ledger = rebuilt(list(enumerate(desk.facts, 1)), desk.fills, desk.orders)
    ledger.check()
    other = Desk()
    other.ledger = ledger
    assert other.figures() == desk.figures()
    assert [_bare(r) for r in ledger.fills()] == [_bare(r) for r in desk.ledger.fills()]
    assert {o.order_key: (o.strategy, o.state, o.is_open, o.filled, o.message) for o in ledger.orders()} == {
        o.order_key: (o.strategy, o.state, o.is_open, o.filled, o.message) for o in desk.ledger.orders()
    }

    assert ledger.orphan_commissions == desk.ledger.orphan_commissions
    assert ledger.unbookable == desk.ledger.unbookable


def _bare(record):
    return msgspec.structs.replace(
        record,
        seq=0,
        supersedes="",
        first_seq=0,
        recorded_at=record.order_time,
        fill=msgspec.structs.replace(record.fill, strategy=None),
    )


def test_a_fill_that_a_tap_heard_first_stays_with_the_strategy_that_claimed_it_f1():
    desk = Desk()
    desk.fill("a.b.01", 10, 5, perm_id=7)
    desk.fill("a.b.01", 10, 5, perm_id=7, strategy="ALPHA")
    assert desk.quantity("ALPHA") == 10
    assert_the_store_alone_tells_it(desk)


def test_a_claim_that_a_reversal_uncovers_is_not_lost():
    desk = Desk()
    desk.fill("a.b.01", 10, 5)
    desk.assign("X", moves=[("a.b.01", UNASSIGNED, "BETA")])
    desk.fill("a.b.01", 10, 5, strategy="ALPHA")
    assert_the_store_alone_tells_it(desk)
    desk.reverse("X")
    assert desk.quantity("ALPHA") == 10
    assert_the_store_alone_tells_it(desk)


def test_a_guessed_owner_that_a_message_corrected_stays_corrected_f12():
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", order_ref="ALPHA")
    desk.fill("a.b.01", 10, 5, order_ref="ALPHA")
    desk.fill("a.b.01", 10, 5, order_ref="ALPHA", strategy="BETA")
    assert desk.quantity("BETA") == 10
    assert_the_store_alone_tells_it(desk)


@pytest.mark.parametrize("superseded", [False, True])
def test_a_time_that_a_second_door_told_keeps_its_place_f30(superseded):
    desk = Desk()
    desk.fill("a.b.01", 10, 5, t=None)
    desk.fill("a.c.01", -3, 7, t=20)
    if superseded:
        desk.fill("a.b.02", 8, 5, t=60)
    desk.fill("a.b.01", 10, 5, t=-50)
    assert_the_store_alone_tells_it(desk)


@pytest.mark.parametrize(
    "story",
    [
        lambda d: (d.fill("a.b.01", 10, 5), d.fee("a.b.01", 1), d.fill("a.b.02", 8, 6), d.fee("a.b.01", 3)),
        lambda d: (d.fill("a.b.02", 8, 6, t=9), d.fill("a.b.01", 10, 5, t=5), d.fill("a.c.01", -3, 7, t=7)),
        lambda d: (d.fill("a.b.01", 8, 6), d.bust("a.b.02"), d.fill("a.b.02", 9, 6), d.fill("a.b.03", 7, 6)),
        lambda d: (d.bust("a.b.01"), d.fill("a.b.01", 8, 6), d.fee("a.b.01", 1, "EUR"), d.fee("a.b.01", 1)),
        lambda d: (d.fill("a.b.01", -21612.04, "0.92541", instrument=EURCHF), d.fee("a.b.01", -2, "CHF")),
        lambda d: (d.fill("a.b.01", 8, 6, instrument=MSFT), d.fill("a.b.02", 9, 6), d.fee("a.b.02", 3)),
        lambda d: (
            d.fill("a.b.01", 8, 600, instrument=VOD),
            d.describe(msgspec.structs.replace(VOD, price_magnifier=100)),
            d.fill("a.c.01", -3, 701, instrument=VOD),
        ),
        lambda d: (d.fill("a.b.01", 8, 6), d.assign("X", ("A", -3, 5), ("B", 3, "5.1")), d.reverse("X")),
    ],
    ids=["fee", "late", "bust", "early bust", "pair", "other instrument", "pence", "legs"],
)
def test_what_ib_does_to_an_execution_comes_back(story):
    desk = Desk()
    story(desk)
    assert_the_store_alone_tells_it(desk)


def test_a_correction_that_names_another_instrument_moves_execution_and_order_f15():
    desk = Desk()
    desk.order("Submitted", quantity=9)
    desk.fill("a.b.01", 8, 6, perm_id=5)
    desk.fill("a.b.02", 9, "6.5", perm_id=5, instrument=MSFT)
    assert desk.quantity(UNASSIGNED) == 0
    assert desk.quantity(UNASSIGNED, MSFT) == 9
    order = desk.ledger.order("PDU1:5")
    assert (order.filled, order.avg_fill_price, order.state) == (9, dec("6.5"), "Filled")
    desk.stored_rows_fold_to_the_books()
    assert_the_store_alone_tells_it(desk)


def test_an_owner_that_was_inferred_claims_no_order_when_it_comes_back_f54():
    desk = Desk(patterns={"ALPHA": "A*"})
    desk.fill("a.b.01", 7, 5, perm_id=103)
    desk.fill("a.c.01", 3, 5, perm_id=103, order_ref="A:1")
    assert (desk.quantity(UNASSIGNED), desk.quantity("ALPHA")) == (7, 3)
    assert_the_store_alone_tells_it(desk)


def test_a_move_that_was_refused_is_refused_again():
    desk = Desk()
    desk.order("Filled", strategy="BETA")
    desk.fill("a.b.01", 7, 5, perm_id=5)
    desk.assign("X", moves=[("a.b.01", UNASSIGNED, "ALPHA")])
    assert desk.quantity("BETA") == 7
    assert_the_store_alone_tells_it(desk)


def test_executions_that_one_claim_brought_home_are_where_the_claim_put_them():
    desk = Desk()
    desk.fill("a.b.01", 10, 5, perm_id=7)
    desk.fill("a.c.01", -4, 6, perm_id=7, t=5)
    desk.fill("a.d.01", -4, 7, perm_id=8, t=9)
    desk.order("Submitted", strategy="ALPHA", perm_id=7)
    assert (desk.quantity("ALPHA"), desk.quantity(UNASSIGNED)) == (6, -4)
    assert_the_store_alone_tells_it(desk)


def test_an_order_whose_strategy_was_inferred_is_still_its_order_f12():
    desk = Desk(patterns={"ALPHA": "A*"})
    desk.order("Submitted", order_ref="A:1")
    assert [o.strategy for o in desk.ledger.orders()] == ["ALPHA"]
    assert_the_store_alone_tells_it(desk)


def test_fees_and_busts_whose_execution_has_not_come_wait_for_it_r2_r7():
    desk = Desk()
    desk.fee("a.b.01", "1.25")
    desk.fee("a.c.02", "0.75", "EUR")
    desk.bust("a.d.01")
    desk.fill("a.e.01", 9, 5, strategy="ALPHA")
    desk.bust("a.e.02")
    assert_the_store_alone_tells_it(desk)
    other = Desk()
    other.ledger = rebuilt(list(enumerate(desk.facts, 1)), desk.fills, desk.orders)
    for each in (desk, other):
        each.facts = [None] * 100  # numbers go on above both
        each.fill("a.b.01", 10, 5, strategy="ALPHA")
        each.fill("a.c.01", 4, 5, strategy="ALPHA")
        each.fill("a.c.02", 5, 5, strategy="ALPHA")
        each.fill("a.d.01", 7, 5, strategy="ALPHA")
        each.fill("a.e.02", 8, 5, strategy="ALPHA")
    assert desk.quantity("ALPHA") == 15
    assert other.figures() == desk.figures()
    assert other.ledger.orphan_commissions == {}


def test_an_execution_that_cannot_be_booked_is_still_shown():
    desk = Desk()
    desk.fill("a.b.01", 10, 5, account="")
    assert len(desk.ledger.unbookable) == 1
    assert_the_store_alone_tells_it(desk)
