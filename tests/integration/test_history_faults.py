"""The archive of the books' past on a bad day: a full disk, crashes, threads that meet; nothing is lost or doubled."""

import random
import sqlite3
import threading

import pytest

from engine.errors import HistoryDamaged
from engine.storage.history import History
from engine.storage.keys import SCHEMA, Keys
from tests.benchmarks.apart import feed
from tests.benchmarks.kit import assert_exact
from tests.integration.history_kit import DEADLINE_S, checkpointed, fed, room_at
from tests.integration.storage_kit import until


def test_what_the_disk_took_back_is_still_there_and_written_again_when_there_is_room(tmp_path):
    history = History(tmp_path / "h.sqlite")
    first = history.put("lines", b"first", [1])
    checkpointed(history)
    second = history.put("lines", b"second", [2])
    third = history.put("orders", b"third", [3])
    history._db.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
    assert [history.get(n) for n in (first, second, third)] == [b"first", b"second", b"third"]
    assert (list(history.find(2)), history.numbers("orders"), history.count) == ([second], [third], 3)
    history.drop(third)
    fourth = history.put("lines", b"fourth", [4])
    epoch = checkpointed(history)
    history.close()
    again = History(tmp_path / "h.sqlite")
    assert again.go_back(epoch) == 3
    assert [again.get(n) for n in (first, second, third, fourth)] == [b"first", b"second", None, b"fourth"]
    assert [list(again.find(key)) for key in (1, 2, 4)] == [[first], [second], [fourth]]
    again.close()


def until_it_refuses(history, chance):
    blocks = {}
    while len(blocks) < 500:
        blob = chance.randbytes(40_000)
        try:
            blocks[history.put("lines", blob, [len(blocks)])] = blob
        except HistoryDamaged as error:
            return blocks, str(error)
    raise AssertionError("the disk never became full")


def test_a_disk_that_is_full_for_a_while_costs_no_block(tmp_path, small_disk):
    disk = small_disk(6)
    history, chance = History(disk / "h.sqlite"), random.Random(3)
    (disk / "ballast").write_bytes(b"x" * 2_000_000)
    blocks, refused = until_it_refuses(history, chance)
    assert "full" in refused
    assert blocks
    with pytest.raises(HistoryDamaged, match="full"):
        history.put("lines", chance.randbytes(3_000_000), [10_000])
    assert {number: history.get(number) for number in blocks} == blocks
    (disk / "ballast").unlink()
    epoch = checkpointed(history)
    history.close()
    again = History(disk / "h.sqlite")
    assert again.go_back(epoch) == len(blocks)
    assert {again.find(key)[0]: again.get(number) for key, number in enumerate(blocks)} == blocks
    again.close()


def test_a_checkpoint_that_the_disk_refuses_leaves_blocks_and_keys_as_they_were(tmp_path, monkeypatch):
    history = History(tmp_path / "h.sqlite")
    first = history.put("lines", b"first", [1])
    with monkeypatch.context() as full:
        seal = Keys.seal

        def refuse(keys):
            seal(keys)
            raise sqlite3.OperationalError("database or disk is full")

        full.setattr(Keys, "seal", refuse)
        with pytest.raises(HistoryDamaged, match="full"):
            history.flush()
    assert (list(history.find(1)), history.get(first)) == ([first], b"first")
    second = history.put("lines", b"second", [2])
    epoch = checkpointed(history)
    history.close()
    again = History(tmp_path / "h.sqlite")
    assert again.go_back(epoch) == 2
    assert (list(again.find(1)), list(again.find(2))) == ([first], [second])
    again.close()


def test_what_is_put_and_dropped_while_a_checkpoint_is_written_is_in_the_next_one(tmp_path, monkeypatch):
    history = History(tmp_path / "h.sqlite")
    first = history.put("lines", b"first", [1])
    seal, others = Keys.seal, []

    def meanwhile():
        others.append(history.put("lines", b"second", range(10, 400)))
        history.drop(first)

    thread = threading.Thread(target=meanwhile)

    def slow(keys):
        thread.start()
        thread.join(0.2)  # it has to wait for this checkpoint
        seal(keys)

    monkeypatch.setattr(Keys, "seal", slow)
    older = checkpointed(history)
    thread.join()
    monkeypatch.setattr(Keys, "seal", seal)
    newer = checkpointed(history)
    history.close()
    for epoch, there in ((newer, [None, b"second"]), (older, [b"first", None])):
        again = History(tmp_path / "h.sqlite")
        again.go_back(epoch)
        assert [again.get(n) for n in (first, others[0])] == there
        if epoch == newer:
            assert all(list(again.find(key)) == others for key in range(10, 400))
        again.close()


def test_a_filter_that_is_made_anew_forgets_no_key_meanwhile(tmp_path, monkeypatch):
    db = sqlite3.connect(tmp_path / "keys.sqlite", isolation_level=None)
    db.executescript(SCHEMA)
    keys, known = Keys(db), range(1, 20_000)
    every = Keys._all

    def looked_at(self):
        for run in every(self):
            assert all(self.may_have_any([key]) for key in known)
            yield run
        assert all(self.may_have_any([key]) for key in known)

    keys.add(known, 1)
    monkeypatch.setattr(Keys, "_all", looked_at)
    keys.seal()
    keys.sealed()
    assert all(keys.may_have_any([key]) for key in known)
    db.close()


def test_keys_that_cannot_be_read_are_told_and_the_next_start_does_without_the_file(tmp_path):
    history = History(tmp_path / "h.sqlite")
    history.put("lines", b"block", [1, 2, 3])
    checkpointed(history)
    with sqlite3.connect(tmp_path / "h.sqlite") as other:
        other.execute("UPDATE chunks SET keys = x'00'")
    other.close()
    with pytest.raises(HistoryDamaged, match="a key"):
        history.find(2)
    history.close()
    again, wrong = History.open(tmp_path / "h.sqlite")
    assert again.empty
    assert "set aside" in wrong
    again.close()


def test_a_disk_that_is_full_while_the_past_is_put_away_doubles_nothing_and_is_told(tmp_path, small, monkeypatch):
    room = fed(tmp_path, 0, 300)
    monkeypatch.setattr(room.checkpointer, "_every_s", 0.0)
    flush, full = History.flush, threading.Event()

    def refuse(self):
        self._db.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
        full.set()
        raise HistoryDamaged("the books' past cannot be written: database or disk is full")

    with monkeypatch.context() as disk:
        disk.setattr(History, "flush", refuse)
        feed(room, 300, 10)
        assert full.wait(DEADLINE_S)
        until(lambda: "disk is full" in room.checkpointer.trouble)
    assert room.writer.state == "ok"
    assert room.journal.latest_checkpoint() is None, "a checkpoint must not count on blocks that are not durable"
    assert room.ledger.in_memory < 300
    feed(room, 0, 310)  # all of it again, through the front door
    assert_exact(room, 0, 310)
    monkeypatch.setattr(room.checkpointer, "_not_before", 0.0)
    feed(room, 310, 10)
    until(lambda: room.checkpointer.trouble == "")
    assert History.flush is flush
    room.close(DEADLINE_S)
    room = room_at(tmp_path)
    assert (room.origin, room.notes) == ("checkpoint", ())
    assert_exact(room, 0, 320)
    room.close(DEADLINE_S)


def test_a_stop_whose_last_checkpoint_is_refused_lets_go_of_everything(tmp_path, monkeypatch):
    room = fed(tmp_path, 0, 50)

    def refuse(_self):
        raise HistoryDamaged("the disk is full")

    with monkeypatch.context() as disk:
        disk.setattr(History, "flush", refuse)
        room.close(DEADLINE_S)
    room = room_at(tmp_path)
    assert_exact(room, 0, 50)
    room.close(DEADLINE_S)


def test_a_crash_between_the_past_and_its_checkpoint_costs_nothing(tmp_path, small, monkeypatch):
    """The archive is written, the checkpoint that belongs to it is not: the one before it finds its own archive again."""
    fed(tmp_path, 0, 200).close(DEADLINE_S)
    room = fed(tmp_path, 200, 200)
    room.checkpointer.take()
    flushed = threading.Event()
    monkeypatch.setattr(room.checkpointer, "commit", flushed.set)  # the process ends here
    monkeypatch.setattr(room.checkpointer, "final", lambda: None)
    room.close(DEADLINE_S)
    room = room_at(tmp_path)
    assert (room.origin, room.notes) == ("checkpoint", ())
    assert room.keeper.wait_applied(room.journal.head, DEADLINE_S)
    assert_exact(room, 0, 400)
    feed(room, 0, 400)
    assert_exact(room, 0, 400)
    room.close(DEADLINE_S)
