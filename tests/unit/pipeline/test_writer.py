"""The writer: fills first, nothing said to be stored that waits, nothing lost or turned round by a refusal."""

import threading
import time

import pytest

from engine.core.events import OrderUpdate
from engine.core.records import OrderRecord
from engine.errors import StoreUnavailable
from engine.pipeline.frames import FrameQueue
from engine.pipeline.keeper import BookKeeper
from engine.pipeline.outbox import Outbox
from engine.pipeline.writer import StoreWriter
from engine.state.changes import Changes
from engine.state.ledger import Ledger
from tests.fakes import FakeClock, MemoryJournal
from tests.integration.storage_kit import T0, record


class Shelf:
    """A store that notes what it is given, in order, and refuses what it is told to."""

    uri = "lmdb://nowhere"
    broken = ""

    def __init__(self):
        self.taken = []
        self.refuse = ""

    def append(self, library, symbol, columns, index, seq):
        if library == self.refuse:
            raise StoreUnavailable("refused")
        self.taken.append((library, symbol, columns["seq"]))

    def write(self, library, symbol, columns, index, seq):
        self.taken.append((library, symbol, seq))

    def check(self):
        pass

    def progress(self, _libraries=None):
        return {}


def order_row(seq, strategy):
    update = OrderUpdate(received_at=T0, account="DU1234567", order_id=seq)
    return OrderRecord(
        seq=seq,
        recorded_at=T0,
        strategy=strategy,
        order_key=f"O{seq}",
        update=update,
        status="Filled",
        filled=None,
        remaining=None,
        avg_fill_price=None,
    )


class Desk:
    def __init__(self):
        self.shelf, self.outbox = Shelf(), Outbox()
        keeper = BookKeeper(Ledger(), MemoryJournal(), self.outbox)
        clock = FakeClock()
        self.writer = StoreWriter(
            self.shelf,
            self.outbox,
            FrameQueue(clock),
            keeper,
            clock,
            to_columns=lambda _library, rows: ({"seq": [row.seq for row in rows]}, []),
            positions=lambda _strategy: ({}, []),
            flush_every_s=0.0,
        )

    def happens(self, seq, strategy="ALPHA"):
        """A fill with a row of its order, and positions that change by it."""
        changes = Changes()
        changes.fills.append(record(seq, strategy=strategy))
        changes.orders.append(order_row(seq, strategy))
        changes.dirty.add(strategy)
        self.outbox.add(changes, seq)

    def busy(self):
        """As if commits had taken all of the last second."""
        self.writer._commits.append((time.perf_counter() + 1000.0, 1.0))

    def flush(self, *, final=False):
        self.shelf.taken.clear()
        done = self.writer._flush(final=final)
        return done, list(self.shelf.taken)


@pytest.fixture
def desk():
    return Desk()


def test_when_little_happens_everything_is_written_at_once(desk):
    desk.happens(1)
    assert desk.flush() == (True, [("fills", "ALPHA", [1]), ("orders", "ALPHA", [1]), ("positions", "ALPHA", 1)])
    assert desk.writer.stored_seq == 1


def test_while_commits_are_scarce_fills_go_first_and_nothing_that_waits_is_said_to_be_stored(desk):
    desk.busy()
    desk.happens(1)
    assert desk.flush() == (True, [("fills", "ALPHA", [1])])
    assert (desk.writer.stored_seq, desk.writer.held, desk.writer.dirty) == (0, 1, {"ALPHA"})
    desk.happens(2, "BETA")
    assert desk.flush() == (True, [("fills", "BETA", [2])])
    assert desk.writer.stored_seq == 0
    done, taken = desk.flush()  # nothing new came
    assert done
    assert taken == [
        ("orders", "ALPHA", [1]),
        ("orders", "BETA", [2]),
        ("positions", "ALPHA", 2),
        ("positions", "BETA", 2),
    ]
    assert (desk.writer.stored_seq, desk.writer.held, desk.writer.dirty) == (2, 0, set())


def test_what_has_waited_long_gets_its_commit_among_the_fills(desk):
    desk.busy()
    desk.happens(1)
    desk.flush()
    desk.writer._since["orders", "ALPHA"] -= 10.0
    desk.happens(2)
    assert desk.flush() == (True, [("fills", "ALPHA", [2]), ("orders", "ALPHA", [1, 2])])


def test_a_refused_append_leaves_every_row_in_its_order(desk):
    desk.busy()
    desk.happens(1)
    desk.flush()
    desk.shelf.refuse = "fills"
    desk.happens(2)
    assert desk.flush() == (False, [])
    assert (desk.writer.held, len(desk.outbox), desk.writer.stored_seq) == (0, 3, 0)
    desk.shelf.refuse = ""
    desk.happens(3)
    assert desk.flush(final=True) == (
        True,
        [("fills", "ALPHA", [2, 3]), ("orders", "ALPHA", [1, 2, 3]), ("positions", "ALPHA", 3)],
    )
    assert desk.writer.stored_seq == 3


def happens_behind_alphas_fills(desk, seq, strategy):
    """Have a fill come while a round writes: right behind that of ALPHA's fills."""
    append = desk.shelf.append

    def meanwhile(library, symbol, columns, index, upto):
        append(library, symbol, columns, index, upto)
        if (library, symbol) == ("fills", "ALPHA"):
            desk.happens(seq, strategy)

    desk.shelf.append = meanwhile


def test_rows_that_come_while_others_are_written_go_along(desk):
    desk.happens(1)
    desk.happens(2, "BETA")
    happens_behind_alphas_fills(desk, 3, "BETA")
    _, taken = desk.flush()
    assert ("fills", "BETA", [2, 3]) in taken
    assert desk.writer.stored_seq == 3


def test_positions_of_a_strategy_that_is_heard_of_in_the_middle_of_a_round_follow_its_fills(desk):
    desk.happens(1)
    desk.happens(2, "BETA")
    happens_behind_alphas_fills(desk, 3, "NEW")
    _, taken = desk.flush()
    assert taken.index(("fills", "NEW", [3])) < taken.index(("positions", "NEW", 3))
    assert desk.writer.stored_seq == 3


class Patience:
    """The writer's thread as :meth:`StoreWriter.stop` sees it: in each of its waits there is time for one commit."""

    def __init__(self, writer, shelf):
        self.thread, self.shelf = writer._thread, shelf
        self.may, self.asks = threading.Semaphore(0), threading.Semaphore(0)
        append, write = shelf.append, shelf.write
        shelf.append = lambda *what: self.waited(append, what)
        shelf.write = lambda *what: self.waited(write, what)
        self.is_alive, self.ident = self.thread.is_alive, None
        writer._thread = self

    def waited(self, act, what):
        self.asks.release()
        self.may.acquire()
        act(*what)

    def join(self, _timeout):
        """One more commit was made when the next one is asked for, or when there is nothing left."""
        self.may.release()
        while self.thread.is_alive() and not self.asks.acquire(timeout=0.01):
            pass


def test_a_stop_writes_to_the_end_however_long_that_takes_as_long_as_it_gets_on(desk):
    strategies = [f"S{number}" for number in range(20)]
    for seq, strategy in enumerate(strategies, start=1):
        desk.happens(seq, strategy)
    patience = Patience(desk.writer, desk.shelf)
    patience.thread.start()
    assert patience.asks.acquire(timeout=60)
    assert desk.writer.stop(8.0)
    assert {(library, name) for library, name, _ in desk.shelf.taken} == {
        (library, name) for library in ("fills", "orders", "positions") for name in strategies
    }


def test_a_stop_leaves_a_call_behind_that_does_not_come_back(desk):
    entered, back, append = threading.Event(), threading.Event(), desk.shelf.append

    def hang(*what):
        entered.set()
        assert back.wait(60)
        append(*what)

    desk.shelf.append = hang
    desk.happens(1)
    desk.writer.start()
    assert entered.wait(60)
    assert not desk.writer.stop(0.05)
    back.set()
    desk.writer.join()
