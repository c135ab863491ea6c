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
    assert sys.getswitchinterval() == pytest.approx(turns.TURN_S)
    turns.put_back()
    assert sys.getswitchinterval() == pytest.approx(turns.TURN_S)
    turns.put_back()
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_a_shorter_turn_of_the_process_is_left_alone(usual):
    sys.setswitchinterval(0.0002)
    turns.shorten()
    assert sys.getswitchinterval() == pytest.approx(0.0002, abs=2e-6)
    turns.put_back()
    assert sys.getswitchinterval() == pytest.approx(0.0002, abs=2e-6)
