"""While a book room is open the threads of the process take short turns; before and afterwards the usual ones."""

import sys

import pytest

from engine.errors import StoreLocked
from engine.pipeline.turns import TURN_S
from tests.integration.history_kit import room_at


@pytest.fixture
def usual():
    former = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield pytest.approx(0.005)
    sys.setswitchinterval(former)


def test_a_room_shortens_turns_while_it_is_open_and_one_that_is_refused_leaves_them_alone(tmp_path, usual):
    room = room_at(tmp_path)
    with pytest.raises(StoreLocked):
        room_at(tmp_path)
    assert sys.getswitchinterval() == pytest.approx(TURN_S)
    room.close()
    room.close()
    assert sys.getswitchinterval() == usual
