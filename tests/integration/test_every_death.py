"""A process that dies in front of any commit into the store: the next start finds or writes every row, once.

A small day is told to a room whose store's thread is driven by hand, part of it while a round is being written. The folder
in front of each commit is what a death at that moment leaves: from each a room is opened and told the rest of the day, and
its tables must be those of the room that nobody killed, row by row.
"""

import shutil
from datetime import timedelta
from decimal import Decimal

import pytest

from engine.core.events import (
    AssignmentLeg,
    AssignmentMade,
    AssignmentReversed,
    Bust,
    Commission,
    Fill,
    InstrumentDescribed,
    OrderUpdate,
)
from engine.office.verify import Verifier
from engine.pipeline import room as rooms
from engine.pipeline import writer as writers
from engine.pipeline.room import BookRoom
from engine.recon.chain import seal
from engine.settings import Settings
from engine.storage.arctic import ArcticStore
from engine.storage.housekeeping import Housekeeper
from tests.fakes import FakeClock
from tests.integration.storage_kit import AAPL, T0

COMPARED = {
    "fills": ["seq", "fill_id", "state", "qty", "realized_pnl", "commission"],
    "orders": ["seq", "perm_id", "status", "filled"],
    "assignments": ["seq", "assignment_id"],
    "facts": ["seq"],
    "positions": ["seq", "account", "con_id", "qty", "open_cost", "realized_pnl", "fees", "fees_pending", "fills"],
}


def day():
    """Facts in groups that come together; every moment differs, so that each fact has rows of its own."""
    moments = (T0 + timedelta(seconds=number) for number in range(1000))

    def fill(strategy, number, quantity, revision=1, price="100.25"):
        at = next(moments)
        return Fill(
            received_at=at, account="DU1", perm_id=number, order_id=number, client_id=5, strategy=strategy,
            exec_id=f"0000aaaa.{number:08x}.01.{revision:02}", instrument=AAPL, quantity=Decimal(quantity),
            price=Decimal(price), executed_at=T0 + timedelta(seconds=number),
        )  # fmt: skip

    def order(strategy, number, status):
        return OrderUpdate(
            received_at=next(moments), account="DU1", perm_id=number, order_id=number, client_id=5, strategy=strategy,
            side="BUY", status=status, quantity=Decimal(10), instrument=AAPL,
        )  # fmt: skip

    def fee(number, revision=1):
        exec_id = f"0000aaaa.{number:08x}.01.{revision:02}"
        return Commission(received_at=next(moments), exec_id=exec_id, amount=Decimal("0.35"), currency="USD")

    def legs(name):
        pair = (
            AssignmentLeg(strategy="ALPHA", quantity=Decimal(1), price=Decimal(100)),
            AssignmentLeg(strategy="UNASSIGNED", quantity=Decimal(-1), price=Decimal(100)),
        )
        made = AssignmentMade(
            received_at=next(moments), assignment_id=name, account="DU1", instrument=AAPL, legs=pair, moves=(),
            operator="op", reason="because", effective_at=T0,
        )  # fmt: skip
        return seal(made, "")

    def back(entry):
        at = next(moments)
        made = AssignmentReversed(
            received_at=at, reversal_id="R-1", assignment_id=entry.assignment_id, operator="op", reason="mistake"
        )
        return seal(made, entry.entry_hash)

    groups = [
        [InstrumentDescribed(received_at=next(moments), instrument=AAPL), order("ALPHA", 1, "Submitted")],
        [fill("ALPHA", 1, 10), fee(1), fill(None, 3, 3)],
        [fill("BETA", 2, -4), fill("ALPHA", 4, -2), order("ALPHA", 1, "Filled")],
        [legs("A-1"), fee(2), fill("BETA", 2, -4, 2, "100.5")],
        [order("BETA", 3, "Filled"), fee(3), fill("NEW", 5, 6)],  # the order's name brings an execution home
        [Bust(received_at=next(moments), account="DU1", exec_id="0000aaaa.00000004.01.01", reason="cancelled")],
        [fee(5), fill("ALPHA", 6, 1), fill("BETA", 7, 1), order("NEW", 5, "Filled")],
        [],
    ]
    groups[7] += [back(groups[3][0]), fill("NEW", 8, 1), fee(6), fee(7), fee(8)]
    return groups


class WatchedStore(ArcticStore):
    """Tells of each commit before it is made."""

    before_commit = staticmethod(lambda: None)

    def _store(self, *what, **more):
        self.before_commit()
        super()._store(*what, **more)


class Driven:
    """A room whose store is written when the test says so, a checkpoint after every few facts."""

    def __init__(self, folder, before_commit=lambda: None):
        self.folder = folder
        settings = Settings(data_dir=str(folder), lmdb_map_gb=0.1, housekeeping_every_s=0.0, demo=False)
        self.room = BookRoom(settings, FakeClock())
        self.room.store.before_commit = before_commit
        self.room.checkpointer._every_facts = 4

    def tell(self, facts):
        seq = self.room.journal.submit(facts).result()
        assert self.room.keeper.wait_applied(seq, 60)

    def flush(self, *, final=False):
        assert self.room.writer._flush(final=final)
        self.room.checkpointer()

    def work(self, to_come):
        """Work until death; it comes, for the positions that each start writes anew are more commits than a life has."""
        while True:
            if to_come:
                self.tell(to_come.pop(0))
            self.flush(final=not to_come)

    def finish(self):
        """Write all of it, and give back what the store holds."""
        while self.room.writer.stored_seq < self.room.journal.head or len(self.room.outbox):
            self.flush(final=True)
        return tables(self.room.store)

    def leave(self):
        """End the threads; nothing is written into the store any more."""
        self.room.store.before_commit = lambda: pytest.fail("a dead process writes")
        self.room.close()


def tables(store):
    """Every row of every symbol, as far as it is told from another (positions without the time of their writing)."""
    found = {}
    for library, columns in COMPARED.items():
        for symbol in store.symbols(library):
            frame = store.read(library, symbol, columns=columns)
            if library != "positions":
                frame = frame.reset_index()
            found[library, symbol] = [str(row) for row in frame.to_dict("records")]
    return found


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    monkeypatch.setattr(rooms, "open_store", WatchedStore)
    monkeypatch.setattr(writers.StoreWriter, "start", lambda _self: None)
    monkeypatch.setattr(Housekeeper, "__call__", lambda _self: None)


def set_pace(monkeypatch, pace):
    """Everything in each round; or fills first, and what waited in turns; or fills first, and the rest at the end."""
    monkeypatch.setattr(writers, "_CALM_S", 1e9 if pace == "calm" else -1.0)
    monkeypatch.setattr(writers, "_LATER_S", 0.0 if pace == "in turns" else 1e9)


def lived(folder, copies):
    """The day without a death; facts come between rounds and in front of every third commit.

    Args:
        copies: Takes (number of groups told, folder) in front of each commit.
    """
    groups, told, commits = day(), 0, 0

    def next_group():
        nonlocal told
        if told < len(groups):
            driven.tell(groups[told])
            told += 1

    def before_commit():
        nonlocal commits
        commits += 1
        if commits % 3 == 0:
            next_group()
        copy = folder.with_name(f"death-{commits}")
        shutil.copytree(folder, copy)
        copies.append((told, copy))

    driven = Driven(folder, before_commit)
    while told < len(groups):
        next_group()
        driven.flush()
    found = driven.finish()
    differences = Verifier(driven.room).run(running=True)
    assert differences.empty, differences.to_string()
    driven.leave()
    return found


@pytest.mark.parametrize("pace", ["calm", "in turns", "at the end"])
def test_after_a_death_in_front_of_any_commit_every_row_is_there_once(tmp_path, monkeypatch, pace):
    set_pace(monkeypatch, pace)
    copies = []
    whole = lived(tmp_path / "whole", copies)
    assert len(copies) >= 20
    assert {library for library, _ in whole} == set(COMPARED)
    for told, folder in copies:
        driven = Driven(folder)
        for group in day()[told:]:
            driven.tell(group)
        found = driven.finish()
        assert found == whole, (folder.name, told)
        driven.leave()
        shutil.rmtree(folder)


class Death(BaseException):
    """Nobody catches it."""


@pytest.mark.parametrize(("pace", "lasts"), [("calm", 3), ("in turns", 2), ("at the end", 3)])
def test_who_dies_again_and_again_after_a_few_commits_has_every_row_once_at_the_end(tmp_path, monkeypatch, pace, lasts):
    set_pace(monkeypatch, pace)
    whole = lived(tmp_path / "whole", [])
    to_come, folder = day(), tmp_path / "life-0"
    for life in range(1, 21):
        left = lasts

        def before_commit():
            nonlocal left
            if not left:
                raise Death
            left -= 1

        driven = Driven(folder, before_commit)
        with pytest.raises(Death):
            driven.work(to_come)
        folder = shutil.copytree(folder, tmp_path / f"life-{life}")
        driven.leave()
    assert not to_come
    driven = Driven(folder)
    found = driven.finish()
    driven.leave()
    assert found == whole
