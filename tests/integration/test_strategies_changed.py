"""Strategies that are named otherwise after a kill: what came before is replayed as it was, and not as it would be now.

A start skips rows that a symbol has already. Were the journal's tail attributed by the new settings, an execution would get
another row, in another symbol, under a number that this symbol has passed long ago: in the books and never stored.
"""

import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from engine.clock import SystemClock
from engine.core.events import Fill, StrategiesNamed
from engine.core.instrument import Instrument
from engine.errors import JournalFull
from engine.office.verify import Verifier
from engine.pipeline.recovery import recover
from engine.pipeline.room import BookRoom
from engine.settings import Settings
from engine.storage.history import History
from engine.storage.journal import SqliteJournal
from engine.storage.rows import fill_columns
from tests.fakes import MemoryStore
from tests.integration.storage_kit import record, until

APPLE = Instrument(con_id=265598, symbol="AAPL", currency="USD")
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def opened(folder, strategies):
    settings = Settings(
        data_dir=str(folder), strategies=strategies, lmdb_map_gb=0.5, housekeeping_every_s=0.0, demo=False
    )
    return BookRoom(settings, SystemClock())


def execution(number, strategy=None, reference=""):
    at = START + timedelta(seconds=number)
    return Fill(
        received_at=at, account="DU1", perm_id=100 + number, order_id=number, client_id=5, order_ref=reference,
        exec_id=f"0000aaaa.{number:08x}.01.01", instrument=APPLE, quantity=Decimal(10 + number), price=Decimal(100),
        executed_at=at, strategy=strategy,
    )  # fmt: skip


def told(room, *facts):
    """Submit facts; they are stored when this returns."""
    seq = room.journal.submit(list(facts)).result()
    assert room.writer.wait_stored(seq, 60)


def homes(room):
    """Execution -> strategies that hold it, in memory and by the stored rows."""
    with room.lock:
        booked = {(f.fill.exec_id, f.strategy) for f in room.ledger.fills()}
    stored = {
        (row["fill_id"], strategy)
        for strategy in room.store.symbols("fills")
        for row in room.store.read("fills", strategy).to_dict("records")
        if row["state"] == "active"
    }
    assert booked == stored
    return {int(exec_id.split(".")[1], 16): strategy for exec_id, strategy in booked}


@pytest.mark.parametrize(
    ("before", "after", "first", "then"),
    [
        ("", "LEFT,RIGHT", "UNASSIGNED", "LEFT"),
        ("LEFT,RIGHT", "", "LEFT", "LEFT"),  # a name once known stays known
        ("RIGHT=L*", "LEFT", "RIGHT", "LEFT"),
        ("RIGHT=L*", "", "RIGHT", "UNASSIGNED"),
    ],
)
def test_what_came_before_a_kill_keeps_its_strategy_and_its_rows(tmp_path, before, after, first, then):
    room = opened(tmp_path / "data", before)
    told(room, execution(1, reference="LEFT:1"), execution(2, "RIGHT", "r"), execution(3, "OTHER", "o"))
    shutil.copytree(tmp_path / "data", tmp_path / "killed")
    room.close()
    killed = tmp_path / "killed"
    for start in (1, 2):  # the second one finds a checkpoint
        room = opened(killed, after)
        told(room, execution(3 + start, reference=f"LEFT:{start}"))
        assert homes(room) == {1: first, 2: "RIGHT", 3: "OTHER", 4: then} | ({5: then} if start == 2 else {})
        assert Verifier(room).run(running=True).empty
        room.close()


def test_the_same_strategies_are_written_down_once(tmp_path):
    for _ in range(3):
        room = opened(tmp_path, "LEFT,RIGHT=r*")
        assert room.journal.head == 1
        assert room.ledger.patterns == {"LEFT": "", "RIGHT": "r*"}
        room.close()


def test_facts_that_are_booked_again_beside_a_store_go_by_the_settings(tmp_path):
    journal, (history, _) = (
        SqliteJournal(tmp_path / "journal.db", clock=SystemClock()),
        History.open(tmp_path / "history.db"),
    )
    store = MemoryStore()
    journal.start_above(5)
    unstored = execution(6, reference="LEFT:6")
    journal.submit([unstored]).result()
    store.append("fills", "BETA", *fill_columns([record(7, strategy="BETA")]), seq=7)
    found = recover(journal, history, store, {"LEFT": ""})
    assert found.origin == "store"
    assert journal.read(7, 9) == [
        (8, StrategiesNamed(received_at=unstored.received_at, patterns={"LEFT": ""})),
        (9, unstored),
    ]
    journal.close()
    history.close()


def test_a_journal_that_refuses_at_the_start_does_not_keep_the_engine_out(tmp_path, monkeypatch):
    def full(_self, _row):
        raise JournalFull("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("engine.storage.journal_file.JournalFile.append", full)
        room = opened(tmp_path, "LEFT")
        assert room.ledger.patterns == {}
    until(lambda: room.ledger.patterns == {"LEFT": ""}, what="the strategies' acceptance")
    room.close()
