"""The order's state machine: duplicates, missing and late words, invented ones, fills after every final word."""

from decimal import Decimal

import pytest

from tests.unit.state.kit import AAPL, BAG, MSFT, UNASSIGNED, Desk, at


def test_each_transition_is_one_row_and_duplicates_make_none():
    """F62."""
    desk = Desk()
    for word in ("PendingSubmit", "PreSubmitted", "PreSubmitted", "Submitted", "Submitted"):
        desk.order(word, strategy="ALPHA")
    desk.fill("x.01", 10, 100, perm_id=5)
    for _ in range(3):
        desk.order("Filled", strategy="ALPHA", filled=Decimal(10), remaining=Decimal(0))
    assert desk.words() == ["PendingSubmit", "PreSubmitted", "Submitted", "Filled"]
    assert desk.quantity() == 10


def test_an_execution_without_any_status_closes_the_order_by_quantity():
    """F62."""
    desk = Desk()
    desk.order("PendingSubmit", strategy="ALPHA", local=True)
    desk.fill("x.01", 10, 100, perm_id=5)
    record = desk.ledger.order("PDU1:5")
    assert (record.state, record.is_open, record.filled, record.remaining) == ("Filled", False, 10, 0)


def test_filled_before_its_executions_books_nothing_and_asks_for_them():
    """F63."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    changes = desk.order("Filled", strategy="ALPHA", filled=Decimal(10))
    assert desk.quantity() == 0
    assert changes.requests == {"executions"}
    assert desk.kinds() == {"execution_gap"}
    desk.fill("x.01", 10, 100, perm_id=5)
    assert desk.kinds() == set()
    assert desk.state() == "Filled"


def test_the_latest_record_has_the_brokers_own_count_though_progress_makes_no_row():
    """F22: after an outage the count of a working order is all that tells of what was missed."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", quantity=Decimal(50), filled=Decimal(0), remaining=Decimal(50))
    desk.fill("x.01", 20, 100, perm_id=5)
    desk.order("Submitted", strategy="ALPHA", quantity=Decimal(50), filled=Decimal(20), remaining=Decimal(30))
    rows = len(desk.ledger.timeline("PDU1:5"))
    desk.order("Submitted", strategy="ALPHA", quantity=Decimal(50), filled=Decimal(40), remaining=Decimal(10))
    record = desk.ledger.order("PDU1:5")
    assert (record.filled, record.remaining) == (20, 30), "ours, from executions"
    assert (record.update.filled, record.update.remaining) == (40, 10), "the broker's"
    assert len(desk.ledger.timeline("PDU1:5")) == rows


def test_a_sight_that_was_overtaken_turns_no_figure_back():
    """A stale status counts less than is known; its rest and average are as old as its count."""
    desk = Desk()
    desk.order("Filled", strategy="ALPHA", filled=Decimal(10), remaining=Decimal(0), avg_fill_price=Decimal(106))
    desk.order("Submitted", strategy="ALPHA", filled=Decimal(4), remaining=Decimal(6), avg_fill_price=Decimal(105))
    record = desk.ledger.order("PDU1:5")
    assert (record.state, record.filled, record.remaining, record.avg_fill_price) == ("Filled", 10, 0, 106)


@pytest.mark.parametrize("word", ["Submitted", "PreSubmitted", "PendingSubmit"])
def test_a_working_word_after_partial_fills_does_not_reset_the_order(word):
    """F64."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.fill("x.01", 5, 100, perm_id=5)
    desk.order(word, strategy="ALPHA", filled=Decimal(0), remaining=Decimal(10))
    record = desk.ledger.order("PDU1:5")
    assert (record.state, record.filled, record.remaining) == ("PartiallyFilled", 5, 5)


@pytest.mark.parametrize(
    "word", ["Submitted", "PreSubmitted", "PendingCancel", "Cancelled", "Inactive", "PendingSubmit"]
)
def test_filled_is_final_whatever_comes_later(word):
    """F53: stale lists show finished orders; F66: an error turns a filled order into a cancelled one."""
    desk = Desk()
    desk.order("Filled", strategy="ALPHA", filled=Decimal(10))
    desk.order(word, strategy="ALPHA", source="open")
    assert (desk.state(), desk.ledger.order("PDU1:5").status) == ("Filled", "Filled")
    assert desk.ledger.orders(open_only=True) == []


def test_cancelled_then_filled_is_booked_shown_and_alerted():
    """R9, F65."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.order("Cancelled", strategy="ALPHA")
    changes = desk.fill("x.01", 10, 100, perm_id=5)
    assert desk.quantity() == 10
    assert changes.orders[0].status == "Cancelled, filled 10"
    assert [f.severity for f in changes.findings if f.kind == "cancelled_filled"] == ["critical"]
    desk.order("Filled", strategy="ALPHA", filled=Decimal(10))
    assert desk.state() == "Filled"


def test_a_partial_fill_then_a_cancel_is_closed_without_alarm():
    """F65a."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.fill("x.01", 5, 100, perm_id=5)
    desk.order("Cancelled", strategy="ALPHA")
    record = desk.ledger.order("PDU1:5")
    assert (record.state, record.is_open, record.filled, record.remaining) == ("Cancelled, filled 5", False, 5, 5)
    assert desk.quantity() == 5
    assert desk.kinds() == set()


@pytest.mark.parametrize("word", ["PendingCancel", "Inactive", "PreCancelled"])
def test_words_that_are_never_final(word):
    """R9, F69."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.order(word, strategy="ALPHA")
    assert desk.ledger.order("PDU1:5").is_open
    desk.fill("x.01", 10, 100, perm_id=5)
    assert desk.state() == "Filled"
    assert "cancelled_filled" not in desk.kinds()


def test_api_cancelled_closes_the_order():
    """F70."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.order("ApiCancelled", strategy="ALPHA")
    assert not desk.ledger.order("PDU1:5").is_open


@pytest.mark.parametrize("code", [103, 104, 105, 161, 10147, 10148, 10149, 10318, 10349, 321])
def test_a_cancellation_that_the_client_library_invented_leaves_the_order_unknown(code):
    """F66, R34: errors are no answers; nothing is declared gone."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.order("Cancelled", strategy="ALPHA", local=True, error_code=code, source="error", message="something")
    record = desk.ledger.order("PDU1:5")
    assert (record.state, record.is_open) == ("Unknown", True)
    desk.order("Submitted", strategy="ALPHA")
    assert desk.state() == "Submitted"


@pytest.mark.parametrize(
    ("source", "word"), [("live", "Cancelled"), ("completed", "Cancelled"), ("completed", "Filled")]
)
def test_the_broker_confirms_what_the_library_invented(source, word):
    """F66."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.order("Cancelled", strategy="ALPHA", local=True, error_code=10349, source="error")
    desk.order(word, source=source)
    assert (desk.state(), desk.ledger.order("PDU1:5").is_open) == (word, False)


def test_fifteen_orders_invented_cancelled_and_all_filled_alarm():
    """R9: 10349 cancelled them locally, the broker filled them."""
    desk = Desk()
    for n in range(15):
        desk.order("Submitted", perm_id=100 + n, strategy="ALPHA")
        desk.order("Cancelled", perm_id=100 + n, strategy="ALPHA", local=True, error_code=10349, source="error")
        desk.fill(f"{n}.01", 10, 100, perm_id=100 + n)
    assert desk.quantity() == 150
    assert len([f for f in desk.ledger.findings.values() if f.kind == "cancelled_filled"]) == 15
    assert desk.ledger.orders(open_only=True) == []


def test_error_202_ends_equal_with_both_libraries():
    """F67: one library cancels locally first, the other only warns."""
    one, other = Desk(), Desk()
    for desk in (one, other):
        desk.order("Submitted", strategy="ALPHA")
    other.order("Cancelled", strategy="ALPHA", local=True, error_code=202, source="error")
    for desk in (one, other):
        desk.order("Cancelled", strategy="ALPHA")
    assert one.state() == other.state() == "Cancelled"


def test_a_rejected_order_shows_its_reason_and_explains_no_quantity():
    """F68, R32."""
    desk = Desk()
    desk.order("Inactive", strategy="ALPHA")
    desk.order(
        "Cancelled", strategy="ALPHA", local=True, error_code=201, source="error", message="Order rejected - margin"
    )
    record = desk.ledger.order("PDU1:5")
    assert (record.state, record.is_open, record.message) == ("Rejected", False, "Order rejected - margin")
    assert not record.filled
    assert desk.ledger.positions() == []


def test_a_rejected_order_followed_by_an_execution_is_booked_and_alerted():
    """R21."""
    desk = Desk()
    desk.order("Cancelled", strategy="ALPHA", local=True, error_code=201, source="error", message="no")
    changes = desk.fill("x.01", 4, 100, perm_id=5)
    assert desk.quantity() == 4
    assert desk.state() == "Rejected, filled 4"
    assert "rejected_filled" in {f.kind for f in changes.findings}


def test_a_rejected_modification_does_not_reject_a_working_order():
    """F71."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.order("Cancelled", strategy="ALPHA", local=True, error_code=201, source="error", message="price too far")
    assert (desk.state(), desk.ledger.order("PDU1:5").is_open) == ("Unknown", True)


def test_inactive_is_shown_with_its_reason_and_may_revive():
    """R32, F69."""
    desk = Desk()
    desk.order("Inactive", strategy="ALPHA", why_held="locate", message="shares being located")
    record = desk.ledger.order("PDU1:5")
    assert (record.state, record.is_open, record.message, record.update.why_held) == (
        "Inactive",
        True,
        "shares being located",
        "locate",
    )
    desk.fill("x.01", 4, 100, perm_id=5)
    assert desk.state() == "PartiallyFilled"


def test_an_error_of_a_data_request_with_the_same_number_says_nothing_about_the_order():
    """F73."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", order_id=10)
    desk.order("Cancelled", strategy="ALPHA", order_id=10, local=True, error_code=200, source="error", message="none")
    assert desk.state() == "Submitted"


@pytest.mark.parametrize("word", ["WarnState", "ApiUpdate", "ValidationError", "SomethingNew"])
def test_unknown_words_are_kept_and_not_final(word):
    """F61."""
    desk = Desk()
    desk.order(word, strategy="ALPHA")
    assert desk.words() == [word]
    assert desk.ledger.order("PDU1:5").is_open


def test_a_second_filled_with_price_zero_does_not_touch_the_derived_price():
    """R36."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.fill("x.01", 4, 100, perm_id=5)
    desk.fill("y.01", 6, 110, perm_id=5)
    desk.order("Filled", strategy="ALPHA", filled=Decimal(10), avg_fill_price=Decimal(106))
    desk.order("Filled", strategy="ALPHA", filled=Decimal(10), avg_fill_price=None)
    assert desk.ledger.order("PDU1:5").avg_fill_price == 106
    assert desk.words().count("Filled") == 1


def test_a_fill_of_an_unknown_order_makes_the_order():
    """R22."""
    desk = Desk()
    desk.fill("x.01", -4, 100, perm_id=5, order_id=7, client_id=1, order_ref="tag", strategy="ALPHA")
    (record,) = desk.ledger.orders("ALPHA")
    assert (record.order_key, record.update.side, record.filled, record.remaining) == ("PDU1:5", "SELL", 4, None)
    assert (record.update.instrument, record.update.order_ref, record.state) == (AAPL, "tag", "PartiallyFilled")
    desk.order("Filled", perm_id=5, quantity=4, strategy="ALPHA", filled=Decimal(4))
    assert desk.state() == "Filled"


def test_an_order_is_upgraded_once_from_its_number_to_its_permid():
    """F46."""
    desk = Desk()
    desk.order("PendingSubmit", perm_id=0, order_id=7, client_id=1, strategy="ALPHA", local=True)
    desk.order("Submitted", perm_id=55, order_id=7, client_id=1, strategy="ALPHA")
    assert [o.order_key for o in desk.ledger.orders()] == ["PDU1:55"]
    assert desk.words("ODU1:1:7") == ["PendingSubmit", "Submitted"]


def test_an_order_that_named_no_account_learns_it_from_its_execution():
    desk = Desk()
    desk.order("Submitted", perm_id=55, account="", strategy="ALPHA")
    desk.fill("x.01", 10, 100, perm_id=55)
    assert [(o.order_key, o.state) for o in desk.ledger.orders()] == [("PDU1:55", "Filled")]
    assert desk.quantity() == 10


def test_a_number_used_again_in_the_next_session_is_another_order():
    """R10."""
    desk = Desk()
    desk.order("Filled", perm_id=55, order_id=7, client_id=1, strategy="ALPHA", filled=Decimal(0))
    desk.order("PendingSubmit", perm_id=0, order_id=7, client_id=1, strategy="BETA", local=True)
    desk.order("Submitted", perm_id=56, order_id=7, client_id=1, strategy="BETA")
    assert [(o.order_key, o.strategy, o.state) for o in desk.ledger.orders()] == [
        ("PDU1:55", "ALPHA", "Filled"),
        ("PDU1:56", "BETA", "Submitted"),
    ]


def test_a_jump_of_the_running_total_is_a_gap_until_the_missing_execution_comes():
    """F21."""
    desk = Desk()
    desk.fill("a.01", 3, 100, perm_id=5, cum_quantity=Decimal(3), strategy="ALPHA")
    changes = desk.fill("c.01", 3, 100, perm_id=5, cum_quantity=Decimal(10), strategy="ALPHA")
    assert changes.requests == {"executions"}
    assert desk.kinds() == {"execution_gap"}
    desk.fill("b.01", 4, 100, perm_id=5, cum_quantity=Decimal(7), strategy="ALPHA", source="replay")
    assert desk.kinds() == set()


def test_an_order_over_days_counts_yesterdays_executions_once():
    """F22: the session's executions alone do not make the total, the stored ones do."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", tif="GTC")
    desk.fill("a.01", 5, 100, perm_id=5, cum_quantity=Decimal(5))
    desk.order("Submitted", strategy="ALPHA", tif="GTC", filled=Decimal(5), remaining=Decimal(5))
    desk.fill("b.01", 2, 101, perm_id=5, cum_quantity=Decimal(7), t=86400)
    assert desk.quantity() == 7
    assert desk.kinds() == set()
    assert desk.ledger.order("PDU1:5").filled == 7


def test_a_running_total_of_zero_means_it_was_not_told():
    desk = Desk()
    desk.fill("a.01", 3, 100, perm_id=5, cum_quantity=Decimal(0), strategy="ALPHA")
    assert desk.kinds() == set()


def test_an_external_modification_is_no_overfill_but_more_than_ib_knows_is():
    """F72."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", quantity=10)
    desk.order("Submitted", strategy="ALPHA", quantity=20)
    desk.fill("a.01", 15, 100, perm_id=5)
    assert desk.kinds() == set()
    desk.fill("b.01", 15, 100, perm_id=5)
    assert desk.kinds() == {"overfill"}


def test_a_failed_modification_takes_the_quantity_back():
    """F71."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", quantity=10, limit_price=Decimal(100))
    desk.order("Submitted", strategy="ALPHA", quantity=20, limit_price=Decimal(101), message="Modify")
    assert desk.ledger.order("PDU1:5").update.quantity == 20
    desk.order("Cancelled", quantity=20, local=True, error_code=104, source="error", limit_price=Decimal(101))
    update = desk.ledger.order("PDU1:5").update
    assert (update.quantity, update.limit_price) == (10, 100)


def test_both_exits_of_a_bracket_filling_is_booked_and_alarmed():
    """F79."""
    desk = Desk()
    desk.fill("p.01", 10, 100, perm_id=1, strategy="ALPHA")
    for perm_id in (2, 3):
        desk.order("Submitted", perm_id=perm_id, strategy="ALPHA", oca_group="exit-1", side="SELL")
    desk.fill("t.01", -10, 110, perm_id=2)
    assert "oca_overfill" not in desk.kinds()
    desk.fill("s.01", -10, 95, perm_id=3)
    assert desk.quantity() == -10
    assert "oca_overfill" in desk.kinds()


def test_children_of_one_parent_are_siblings_even_without_a_group():
    """F79."""
    desk = Desk()
    for perm_id in (2, 3):
        desk.order("Submitted", perm_id=perm_id, strategy="ALPHA", parent_id=70, client_id=1, order_id=70 + perm_id)
    desk.fill("t.01", -10, 110, perm_id=2)
    desk.fill("s.01", -5, 95, perm_id=3)
    assert "oca_overfill" in desk.kinds()


def test_a_combinations_progress_is_its_own_not_its_legs():
    """F74: no overfill from parent plus legs."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", quantity=1, instrument=BAG)
    desk.fill("c.1.02.01", 1, 10, perm_id=5)
    assert desk.ledger.order("PDU1:5").filled == 0
    desk.fill("c.1.01.01", 1, "-1.25", perm_id=5, instrument=BAG)
    desk.fill("c.1.03.01", -1, "11.25", perm_id=5, instrument=MSFT)
    record = desk.ledger.order("PDU1:5")
    assert (record.state, record.filled, record.avg_fill_price) == ("Filled", 1, Decimal("-1.25"))
    assert desk.kinds() == set()


def test_a_combination_known_only_from_its_executions_follows_the_parent():
    desk = Desk()
    desk.fill("c.1.02.01", 2, 10, perm_id=5, strategy="ALPHA")
    desk.fill("c.1.03.01", -2, 11, perm_id=5, instrument=MSFT, strategy="ALPHA")
    desk.fill("c.1.01.01", 1, 1, perm_id=5, instrument=BAG, strategy="ALPHA")
    record = desk.ledger.order("PDU1:5")
    assert (record.filled, record.update.instrument) == (1, BAG)


def test_an_unqualified_order_is_known_by_what_it_filled_in():
    """F11."""
    desk = Desk()
    nameless = type(AAPL)(con_id=0, symbol="AAPL", currency="USD")
    desk.order("Submitted", strategy="ALPHA", instrument=nameless)
    desk.fill("x.01", 10, 100, perm_id=5)
    assert [p.instrument_key for p in desk.ledger.positions()] == [AAPL.con_id]
    assert desk.ledger.order("PDU1:5").update.instrument == AAPL


def test_an_order_sized_in_cash_is_complete_when_ib_says_so():
    """F87: 20 USD become 0.00025289 BTC."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", quantity=None)
    desk.fill("x.01", "0.00025289", "79012.5", perm_id=5)
    assert desk.ledger.order("PDU1:5").is_open
    desk.order("Filled", strategy="ALPHA", quantity=None, filled=Decimal("0.00025289"))
    assert (desk.state(), desk.ledger.order("PDU1:5").filled) == ("Filled", Decimal("0.00025289"))
    assert desk.kinds() == set()


def test_corrections_and_busts_reach_the_order():
    """F10."""
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.fill("x.01", 10, 100, perm_id=5)
    assert desk.state() == "Filled"
    desk.fill("x.02", 8, 101, perm_id=5)
    record = desk.ledger.order("PDU1:5")
    assert (record.state, record.filled, record.avg_fill_price) == ("PartiallyFilled", 8, 101)
    desk.bust("x.02")
    record = desk.ledger.order("PDU1:5")
    assert (record.state, record.filled) == ("Submitted", 0)


def test_a_message_that_names_the_strategy_moves_the_order_there():
    desk = Desk()
    desk.order("Submitted", source="open")
    desk.order("Submitted", strategy="ALPHA")
    assert [r.strategy for r in desk.ledger.timeline("PDU1:5")] == [UNASSIGNED, "ALPHA"]
    assert desk.ledger.orders(UNASSIGNED) == []


def test_cancels_are_taken_in_while_the_link_is_degraded():
    """R2, R34: the state of the connection decides nothing here."""
    from engine.core.events import ConnectionSeen

    desk = Desk()
    desk.order("Submitted", strategy="ALPHA")
    desk.apply(ConnectionSeen(received_at=desk.clock, state="degraded", code=1100))
    desk.order("Cancelled", strategy="ALPHA")
    assert desk.state() == "Cancelled"
    assert [c.state for c in desk.ledger.connections] == ["degraded"]


def test_rows_carry_the_brokers_time_and_ours():
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", status_at=at(7), received_at=at(9))
    (record,) = desk.ledger.timeline("PDU1:5")
    assert (record.update.status_at, record.recorded_at) == (at(7), at(9))


def test_an_order_placed_without_an_account_is_in_its_group_once_a_fill_names_it_f79():
    desk = Desk()
    for perm_id, exec_id in ((1, "a.b.01"), (2, "a.c.01")):
        desk.order("Submitted", perm_id=perm_id, account="", oca_group="exits", strategy="ALPHA")
        desk.fill(exec_id, -10, 5, perm_id=perm_id)
    assert "oca_overfill" in desk.kinds()
    assert [f.key for f in desk.ledger.findings.values()] == ["oca_overfill:OCA group exits of DU1"]


def test_an_order_is_found_by_a_number_that_it_got_later_r10():
    desk = Desk()
    desk.order("Submitted", perm_id=9, strategy="ALPHA")
    desk.order("Submitted", perm_id=9, order_id=4, client_id=2)
    desk.order("Cancelled", perm_id=0, order_id=4, client_id=2)
    assert [o.state for o in desk.ledger.orders()] == ["Cancelled"]


def test_a_completed_orders_known_word_changes_nothing_and_brings_nothing_back_f59():
    desk = Desk()
    about = {"order_id": 3, "client_id": 21, "order_ref": "ALPHA-1", "side": "BUY", "order_type": "MKT", "tif": "DAY"}
    desk.order("Submitted", strategy="ALPHA", **about)
    desk.fill("a.01", 10, 5, perm_id=5, order_id=3, client_id=21, strategy="ALPHA")
    desk.fee("a.01", 1)
    desk.order("Filled", strategy="ALPHA", filled=Decimal(10), remaining=Decimal(0), **about)
    before, dump = desk.words(), desk.ledger.order("PDU1:5")
    away = None if desk.archive is None else desk.archive.numbers("orders")
    told = {**about, "quantity": None, "source": "completed"}
    for status in ("Filled", ""):
        desk.order(status, **told)
        assert desk.words() == before
        assert desk.ledger.order("PDU1:5") == dump
    assert away is None or (away and desk.archive.numbers("orders") == away)
    desk.order("Filled", **{**told, "order_type": "LMT", "limit_price": Decimal(7)})
    assert desk.words() == [*before, "Filled"]
    assert desk.ledger.order("PDU1:5").update.limit_price == 7


@pytest.mark.parametrize("news", [{"order_ref": "ALPHA-9"}, {"parent_id": 7}, {"oca_group": "one"}, {"tif": "GTC"}])
def test_what_a_completed_order_adds_to_one_that_is_over_is_kept_f59(news):
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", order_id=3, client_id=21)
    desk.order("Cancelled", strategy="ALPHA", order_id=3, client_id=21)
    desk.order("Cancelled", order_id=3, client_id=21, quantity=None, source="completed", **news)
    desk.order("Cancelled", order_id=3, client_id=21, quantity=None, limit_price=Decimal(9), source="completed")
    update = desk.ledger.order("PDU1:5").update
    assert {name: getattr(update, name) for name in news} == news
