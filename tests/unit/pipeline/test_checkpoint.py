"""When it is looked for what may leave memory, and when a checkpoint is due."""

from itertools import pairwise
from threading import RLock
from types import SimpleNamespace

from engine.clock import SystemClock
from engine.pipeline import checkpoint
from engine.pipeline.checkpoint import Checkpointer
from engine.state.ledger import Ledger
from tests.benchmarks.apart import facts
from tests.benchmarks.kit import fill_facts, instruments
from tests.unit.state.kit import MemoryArchive


def test_orders_that_never_end_are_not_looked_at_after_every_fact(monkeypatch):
    """Strategies that report fills alone never say that an order is over: looking at all of them again for each fill
    would cost more with every fill.
    """
    monkeypatch.setattr(checkpoint, "_MOST_IN_MEMORY", 100)
    monkeypatch.setattr(checkpoint, "_MOST_IN_A_BURST", 100)
    ledger, looked = Ledger(archive=MemoryArchive()), []
    put_away = ledger.put_away

    def counted():
        looked.append(ledger.in_memory)
        return put_away()

    ledger.put_away = counted
    keeper = SimpleNamespace(ledger=ledger, seq=0, waiting=0)
    checkpointer = Checkpointer(keeper, None, None, None, SystemClock())
    seq = 0
    for pair in fill_facts(0, 3000, instruments()):
        for fact in pair:
            seq += 1
            ledger.apply(seq, fact)
        checkpointer.keep_up()
    assert ledger.in_memory > 3000, "orders that are not over stay"
    assert looked[0] == 102
    assert all(after > 1.2 * before for before, after in pairwise(looked))


class Rooms:
    """A ledger with a history of so many fills and orders that are over, and whoever waits for it."""

    def __init__(self, fills):
        self.ledger = Ledger(archive=MemoryArchive())
        for three in facts(0, fills):
            for fact in three:
                self.ledger.apply(self.ledger.seq + 1, fact)
        self.keeper = SimpleNamespace(ledger=self.ledger, lock=RLock(), seq=self.ledger.seq, backlog=0, waiting=0)
        self.writer = SimpleNamespace(stored_seq=self.ledger.seq)
        self.history = SimpleNamespace(turn=lambda: None, flush=lambda: None)
        self.journal = SimpleNamespace(checkpoint=lambda seq, _blob: self.kept.append(seq), prune=lambda _seq: None)
        self.kept = []
        self.checkpointer = Checkpointer(self.keeper, self.writer, self.journal, self.history, SystemClock())
        self.checkpointer.last_seq = self.ledger.seq


def test_what_a_burst_left_in_memory_is_put_away_once_everything_is_booked_and_stored(monkeypatch):
    monkeypatch.setattr(checkpoint, "_MOST_IN_MEMORY", 6_000)
    rooms = Rooms(4_000)
    before = rooms.ledger.in_memory
    rooms.checkpointer.keep_up()
    rooms.keeper.backlog = 1
    rooms.checkpointer()
    rooms.keeper.backlog, rooms.writer.stored_seq = 0, rooms.ledger.seq - 1
    rooms.checkpointer()
    assert rooms.ledger.in_memory == before == 8_000, "books and store have better things to do"
    rooms.writer.stored_seq = rooms.ledger.seq
    rooms.checkpointer()
    assert rooms.ledger.in_memory < 6_000
    assert rooms.kept == [rooms.ledger.seq], "and it is made durable"


def test_putting_away_at_rest_leaves_the_rest_for_later_when_facts_come(monkeypatch):
    monkeypatch.setattr(checkpoint, "_MOST_IN_MEMORY", 6_000)
    monkeypatch.setattr(checkpoint, "_SLICE_S", 0.0)
    rooms = Rooms(4_000)
    put_away = rooms.ledger.put_away

    def interrupted():
        for place, gone in enumerate(put_away()):
            rooms.keeper.backlog = int(place >= 2)
            yield gone

    rooms.ledger.put_away = interrupted
    rooms.checkpointer()
    left = rooms.ledger.in_memory
    assert left > 6_000
    assert rooms.kept == []
    rooms.ledger.put_away, rooms.keeper.backlog = put_away, 0
    rooms.checkpointer()
    assert rooms.ledger.in_memory < left


def test_a_checkpoint_waits_for_the_end_of_a_burst_but_not_for_ever():
    rooms = Rooms(10)
    checkpointer = rooms.checkpointer
    checkpointer._every_facts = rooms.ledger.seq
    checkpointer.last_seq = 0
    assert checkpointer._due()
    rooms.keeper.backlog = 1
    assert not checkpointer._due()
    rooms.keeper.seq *= 2
    assert checkpointer._due()


def test_facts_that_wait_in_memory_leave_less_of_it_to_the_books(monkeypatch):
    monkeypatch.setattr(checkpoint, "_MOST_IN_MEMORY", 1_000)
    monkeypatch.setattr(checkpoint, "_MOST_IN_A_BURST", 8_000)
    rooms = Rooms(4_000)
    rooms.checkpointer.keep_up()
    assert rooms.ledger.in_memory == 8_000
    rooms.keeper.waiting = 3
    rooms.checkpointer.keep_up()
    assert rooms.ledger.in_memory < 8_000


def test_a_burst_puts_away_no_more_than_it_must(monkeypatch):
    monkeypatch.setattr(checkpoint, "_MOST_IN_MEMORY", 1_000)
    monkeypatch.setattr(checkpoint, "_MOST_IN_A_BURST", 8_000)
    monkeypatch.setattr(checkpoint, "_SLICE_S", 0.0)
    rooms = Rooms(4_500)
    while (before := rooms.ledger.in_memory) > 8_000:
        rooms.checkpointer.keep_up()
    assert before > 7_700, "a block or two below what may stay"
    rooms.checkpointer.keep_up()
    assert rooms.ledger.in_memory == before


def test_a_stop_leaves_equally_little_for_the_next_start_to_read_whenever_it_comes():
    left = []
    for fills in (10_000, 13_000, 16_000):  # some lines beyond a hundred books' last ones, which everyday would stay
        rooms = Rooms(fills)
        rooms.checkpointer.last_seq = 0
        rooms.checkpointer.final()
        assert rooms.kept == [rooms.ledger.seq]
        left.append(rooms.ledger.in_memory)
    assert left == [left[0]] * 3
    assert left[0] <= 2_000
