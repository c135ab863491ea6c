"""After trouble the store is written to as soon as it can be; one that only refuses is not pestered."""

import time

import pytest

from engine.errors import StoreUnavailable
from engine.pipeline import writer as writing
from engine.pipeline.frames import FrameQueue
from engine.pipeline.keeper import BookKeeper
from engine.pipeline.outbox import Outbox
from engine.pipeline.writer import StoreWriter
from engine.state.ledger import Ledger
from engine.storage.rows import fill_columns, order_columns, position_columns
from tests.fakes import FakeClock, MemoryJournal, MemoryStore
from tests.integration.storage_kit import fill, until

AWAY = StoreUnavailable("it does not answer")


class Counted(MemoryStore):
    """``failing``: nothing works; ``full``: it is there, and takes no rows."""

    full = False

    def __init__(self):
        super().__init__()
        self.appends = 0
        self.looked = 0

    def check(self):
        self.looked += 1
        super().check()

    def append(self, *args):
        self.appends += 1
        if self.full:
            raise StoreUnavailable("the map is full")
        super().append(*args)


@pytest.fixture
def house(monkeypatch):
    """Books and writer; the first pause after trouble is a quarter of an hour."""
    monkeypatch.setattr(writing, "_BACKOFF_FIRST_S", 900.0)
    monkeypatch.setattr(writing, "_GLANCE_S", 0.02)
    store, journal, outbox, clock = Counted(), MemoryJournal(), Outbox(), FakeClock()
    keeper = BookKeeper(Ledger(), journal, outbox)
    journal.on_group = keeper.offer
    writer = StoreWriter(
        store,
        outbox,
        FrameQueue(clock),
        keeper,
        clock,
        to_columns=lambda library, rows: (fill_columns if library == "fills" else order_columns)(rows),
        positions=lambda _: (position_columns([]), []),
        flush_every_s=0.001,
    )
    keeper.start()
    writer.start()
    yield store, journal, writer
    store.failing = None
    keeper.stop()
    writer.stop(60)


def test_a_store_that_was_out_of_reach_is_caught_up_when_it_is_back_and_not_when_the_pause_ends(house):
    store, journal, writer = house
    store.failing = AWAY
    seq = journal.submit([fill(1)]).result(60)
    until(lambda: writer.trouble and store.looked > 5)
    assert store.appends <= 1
    store.failing = None
    assert writer.wait_stored(seq, 60)
    assert (writer.trouble, len(store.frames["fills", "ALPHA"])) == ("", 1)


def test_a_store_that_is_there_and_refuses_is_left_alone_for_the_whole_pause(house):
    store, journal, writer = house
    store.full = True
    journal.submit([fill(1)])
    until(lambda: writer.trouble)
    looked = store.looked
    time.sleep(0.3)  # fifteen looks, if there were any
    assert (store.appends, store.looked - looked <= 1) == (1, True)
