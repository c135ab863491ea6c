"""While a book room is open the threads of the process take short turns; before and afterwards the usual ones."""

import sys
from contextlib import closing

import pytest

from engine.errors import StoreLocked
from engine.pipeline import turns
from tests.benchmarks.apart import facts
from tests.integration.history_kit import room_at
from tests.integration.storage_kit import until


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
    assert sys.getswitchinterval() == pytest.approx(turns.EVEN_S)
    room.close()
    room.close()
    assert sys.getswitchinterval() == usual


def test_turns_grow_while_the_books_are_behind_and_shrink_when_they_have_caught_up(tmp_path, usual, monkeypatch):
    seen = []
    suit = turns.suit

    def watched(*, behind):
        suit(behind=behind)
        seen.append((behind, sys.getswitchinterval()))

    monkeypatch.setattr(turns, "suit", watched)
    with closing(room_at(tmp_path)) as room:
        with room.lock:  # the books wait while facts gather
            last = [room.intake.put(three) for three in facts(0, 1_500)][-1].result()
        assert room.keeper.wait_applied(last, 30)
        until(lambda: len(seen) > 1 and not seen[-1][0])
    assert [behind for behind, _ in seen] == [True, False]
    assert [interval for _, interval in seen] == pytest.approx([turns.BEHIND_S, turns.EVEN_S])
    assert sys.getswitchinterval() == usual
