"""A receipt answers as a future would: in order, once, and whoever asks too late hears it at once."""

import threading

import pytest

from engine.errors import JournalFull
from engine.receipt import Receipt, settle_all

FACT = object()


def test_a_group_is_settled_with_the_number_of_each_submissions_last_fact():
    receipts = [Receipt([FACT] * count) for count in (1, 3, 2)]
    settle_all(receipts, 10)
    assert [receipt.result(0) for receipt in receipts] == [11, 14, 16]
    assert all(receipt.done() and receipt.exception(0) is None for receipt in receipts)


def test_an_open_receipt_is_waited_for_and_a_waiting_that_takes_too_long_ends():
    receipt = Receipt([FACT])
    assert not receipt.done()
    with pytest.raises(TimeoutError):
        receipt.result(0.001)
    found = []
    waiting = threading.Thread(target=lambda: found.append(receipt.result(60)))
    waiting.start()
    receipt.settle(7)
    waiting.join(60)
    assert found == [7]


def test_whoever_asks_is_told_once_before_the_answer_or_after_it():
    receipt, told = Receipt([FACT]), []
    receipt.add_done_callback(lambda r: told.append(("early", r.seq)))
    settle_all([receipt], 0)
    receipt.add_done_callback(lambda r: told.append(("late", r.seq)))
    assert told == [("early", 1), ("late", 1)]


def test_a_refusal_is_told_to_who_handed_over_and_raised_for_who_waits():
    kept = []
    receipt = Receipt([FACT], kept.append)
    receipt.settle(error=JournalFull("disk full"))
    assert kept == [receipt]
    assert receipt.facts == [FACT]
    with pytest.raises(JournalFull, match="disk full"):
        receipt.result(0)


def test_what_is_accepted_is_kept_by_the_journal_and_not_by_the_receipt():
    receipts = [Receipt([FACT]), Receipt([FACT, FACT])]
    settle_all(receipts, 4)
    assert [(receipt.seq, list(receipt.facts)) for receipt in receipts] == [(5, []), (7, [])]


def test_an_acceptance_says_nothing_to_who_only_wants_to_hear_of_refusals():
    kept = []
    settle_all([Receipt([FACT], kept.append)], 0)
    assert kept == []


def test_a_caller_that_fails_on_the_answer_neither_stops_the_journal_nor_the_others():
    receipt, told = Receipt([FACT]), []
    receipt.add_done_callback(lambda _: 1 / 0)
    receipt.add_done_callback(told.append)
    settle_all([receipt], 0)
    assert told == [receipt]


def test_of_many_that_ask_while_the_answer_comes_none_is_forgotten():
    for _ in range(200):
        receipt, told = Receipt([FACT]), []
        asking = [threading.Thread(target=receipt.add_done_callback, args=(told.append,)) for _ in range(4)]
        for thread in asking:
            thread.start()
        settle_all([receipt], 0)
        for thread in asking:
            thread.join(60)
        assert told == [receipt] * 4
