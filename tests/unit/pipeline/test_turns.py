"""Threads take shorter turns while any book room is open, and no longer."""

import sys

import pytest

from engine.pipeline import turns


@pytest.fixture
def usual():
    former = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield 0.005
    sys.setswitchinterval(former)


def test_turns_are_short_until_the_last_room_closes(usual):
    turns.shorten()
    turns.shorten()
    assert sys.getswitchinterval() == pytest.approx(turns.EVEN_S)
    turns.put_back()
    assert sys.getswitchinterval() == pytest.approx(turns.EVEN_S)
    turns.put_back()
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_a_shorter_turn_of_the_process_is_left_alone(usual):
    sys.setswitchinterval(0.00005)
    turns.shorten()
    assert sys.getswitchinterval() == pytest.approx(0.00005, abs=2e-6)
    turns.put_back()
    assert sys.getswitchinterval() == pytest.approx(0.00005, abs=2e-6)


def test_turns_are_longer_while_the_books_are_behind_and_only_between_the_two_calls(usual):
    turns.suit(behind=True)
    assert sys.getswitchinterval() == pytest.approx(usual)
    turns.shorten()
    turns.suit(behind=True)
    assert sys.getswitchinterval() == pytest.approx(turns.BEHIND_S)
    turns.suit(behind=False)
    assert sys.getswitchinterval() == pytest.approx(turns.EVEN_S)
    turns.suit(behind=True)
    turns.put_back()
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_books_that_are_behind_do_not_lengthen_what_the_process_has_set(usual):
    sys.setswitchinterval(0.0002)
    turns.shorten()
    turns.suit(behind=True)
    assert sys.getswitchinterval() == pytest.approx(0.0002, abs=2e-6)
    turns.put_back()
