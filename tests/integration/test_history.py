"""The archive of the books' past on disk, and starts that count on it."""

import random
import sqlite3

import pytest

from engine.core.events import Commission
from engine.errors import HistoryDamaged
from engine.storage.history import History
from engine.storage.keys import SCHEMA, Keys
from tests.benchmarks.apart import facts, feed
from tests.benchmarks.kit import assert_exact, expected
from tests.integration.history_kit import DEADLINE_S, checkpointed, fed, room_at


def test_a_block_is_found_by_each_of_its_keys_before_and_after_a_checkpoint_and_a_restart(tmp_path):
    history = History(tmp_path / "h.sqlite")
    assert history.empty
    numbers = {n: history.put("lines", b"block %d" % n, [n, n + 2**62, 7]) for n in range(100, 103)}
    for _ in range(2):
        assert [history.get(number) for number in numbers.values()] == [b"block 100", b"block 101", b"block 102"]
        assert list(history.find(101)) == list(history.find(101 + 2**62)) == [numbers[101]]
        assert sorted(history.find(7)) == sorted(numbers.values())
        assert list(history.find(99)) == []
        epoch = checkpointed(history)
    history.close()
    again = History(tmp_path / "h.sqlite")
    assert again.go_back(epoch) == again.count == 3
    assert list(again.find(101)) == [numbers[101]]
    assert sorted(again.find(7)) == sorted(numbers.values())
    assert again.get(numbers[102]) == b"block 102"
    assert again.numbers("lines") == sorted(numbers.values())
    assert again.numbers("orders") == []
    again.close()


def test_a_start_finds_the_archive_as_it_was_at_either_of_the_last_two_checkpoints(tmp_path):
    path = tmp_path / "h.sqlite"
    history = History(path)
    first = history.put("lines", b"first", [1])
    older = checkpointed(history)
    history.drop(first)
    second = history.put("lines", b"second", [2])
    newer = checkpointed(history)
    history.drop(second)
    history.put("lines", b"third", [3])
    history.flush()  # on disk, but no checkpoint counts on it
    history.close()
    for epoch, there in ((newer, {second: b"second"}), (older, {first: b"first"})):
        again = History(path)
        assert again.go_back(epoch) == 1
        assert {n: again.get(n) for n in (first, second) if again.get(n) is not None} == there
        again.close()


def test_millions_of_keys_are_few_sorted_runs(tmp_path):
    db = sqlite3.connect(tmp_path / "keys.sqlite", isolation_level=None)
    db.executescript(SCHEMA)
    keys, chance, known = Keys(db), random.Random(7), {}
    for number in range(1, 60):
        drawn = [chance.randrange(2**63) for _ in range(chance.randrange(1, 400))]
        known |= dict.fromkeys(drawn, number)
        keys.add(drawn, number)
        for _ in range(30):
            keys.add([77], number)  # more of one key than a chunk holds, by the end
        assert keys.find(drawn[0]) == [number]
        assert keys.find(77)[-30:] == [number] * 30
        keys.seal()
        keys.sealed()
        assert all(one > 2 * other for one, other in zip(keys.sizes, keys.sizes[1:], strict=False))
    known_anew = Keys(db)
    keys.keep()
    for each in (keys, known_anew, Keys(db)):
        assert all(each.find(key) == [number] for key, number in known.items())
        assert sorted(each.find(77)) == sorted(number for number in range(1, 60) for _ in range(30))
        strangers = [chance.randrange(2**63) for _ in range(1000)]
        assert not any(each.find(key) for key in strangers)
        assert sum(each.may_have_any([key]) for key in strangers) < 20
        assert each.may_have_any([*strangers, next(iter(known))])
        assert not each.may_have_any([])
    db.close()


def test_a_damaged_block_is_told_and_not_given_out(tmp_path):
    history = History(tmp_path / "h.sqlite")
    number = history.put("lines", b"block", [1])
    checkpointed(history)
    with sqlite3.connect(tmp_path / "h.sqlite") as other:
        other.execute("UPDATE blocks SET blob = x'00'")
    other.close()
    with pytest.raises(HistoryDamaged, match=f"block {number}"):
        history.get(number)
    history.close()
    again, wrong = History.open(tmp_path / "h.sqlite")
    assert again.empty
    assert "set aside" in wrong
    again.close()
    again, wrong = History.open(tmp_path / "h.sqlite")
    assert wrong == ""
    again.close()


# ------------------------------------------------------------------------------------------------------- whole rooms


def test_books_continue_over_starts_with_all_of_their_past_put_away(tmp_path, small):
    for turn in range(3):
        room = fed(tmp_path, turn * 200, 200)
        assert_exact(room, 0, (turn + 1) * 200)
        room.close(DEADLINE_S)
    room = room_at(tmp_path)
    assert (room.origin, room.notes) == ("checkpoint", ())
    assert room.ledger.in_memory == 0
    assert room.ledger.execution_count == 600
    assert len(room.ledger.fills()) == len(room.ledger.orders()) == 600
    feed(room, 100, 200)  # all of it again, through the front door
    assert_exact(room, 0, 600)
    late = next(iter(facts(50, 1)))[0].exec_id
    room.intake.put([Commission(received_at=room.clock.now(), exec_id=late, amount=9, currency="EUR")]).result()
    assert room.keeper.wait_applied(room.journal.head, 60)
    assert room.ledger.chain_of("DU1", late)[-1].commission_currency == "EUR"
    room.ledger.check()
    room.close(DEADLINE_S)


@pytest.mark.parametrize("damage", ["gone", "rubble", "older"])
def test_without_its_archive_a_checkpoint_is_not_believed_and_the_books_come_from_arcticdb(tmp_path, small, damage):
    fed(tmp_path, 0, 300).close(DEADLINE_S)
    path = tmp_path / "history.sqlite"
    before = path.read_bytes()
    fed(tmp_path, 300, 100).close(DEADLINE_S)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(before if damage == "older" else b"rubble" * 1000)
    room = room_at(tmp_path)
    assert room.origin == "store"
    assert any("checkpoint" in note for note in room.notes)
    assert_exact(room, 0, 400)
    feed(room, 400, 50)
    room.close(DEADLINE_S)
    room = room_at(tmp_path)
    assert room.origin == "checkpoint"
    assert_exact(room, 0, 450)
    room.close(DEADLINE_S)


def test_a_store_that_was_lost_gets_all_of_the_past_back(tmp_path, small):
    fed(tmp_path, 0, 300).close(DEADLINE_S)
    lost = tmp_path / "lost"
    (tmp_path / "arctic").rename(lost)
    room = room_at(tmp_path)
    assert room.writer.wait_stored(room.keeper.seq, 60)
    stored = {
        symbol: room.store.read("fills", symbol, columns=["fill_id"])["fill_id"].nunique()
        for symbol in room.store.symbols("fills")
    }
    assert sum(stored.values()) == 300
    assert sum(len(room.store.read("orders", symbol)) for symbol in room.store.symbols("orders")) >= 300
    assert_exact(room, 0, 300)
    assert len(expected(0, 300)) == len(room.ledger.positions())
    room.close(DEADLINE_S)
