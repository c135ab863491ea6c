"""The signed record of assignments in a real store: whatever somebody does to it, ``verify`` says so and where.

The store is filled by the product itself: executions that nobody claimed, a position that nobody can explain, entries that
move and book, a reversal, two closed days. Then it is changed behind the product's back, one thing at a time.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import zlib
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_parts import AAPL, DU, MSFT, HandBroker

from engine.clock import SystemClock
from engine.core.events import AssignmentMade, Fill, decode_facts, encode_facts
from engine.office import signed
from engine.office.verify import differences
from engine.pipeline.room import BookRoom
from engine.portfolio_manager import PortfolioManager
from engine.recon.chain import seal
from engine.storage import open_store
from engine.storage.schema import ASSIGNMENTS
from engine.tables.records import rows_frame
from tests.integration.engine_kit import chosen, flushed
from tests.integration.test_cli import engine

BY = {"operator": "ann", "reason": "said the trader"}
JOURNAL = ("assignments", "journal")
COPIES = (JOURNAL, ("facts", "assignment"), ("facts", "reversal"))


def opened(folder):
    """The real books with a broker whose positions are set by hand."""
    settings, clock = chosen(folder), SystemClock()
    room, broker = BookRoom(settings, clock), HandBroker(clock)
    return PortfolioManager(settings, room, broker, clock), room, broker


def fill(number, quantity, clock, instrument=AAPL):
    return Fill(
        received_at=clock.now(),
        account=DU,
        exec_id=f"0000e0d5.{number:08x}.01.01",
        instrument=instrument,
        quantity=Decimal(quantity),
        price=Decimal("187.43"),
        executed_at=clock.now(),
    )


async def sign(folder):
    """Five entries: a move, two legs, a leg, the reversal of that leg, and a last move and leg in one."""
    pm, room, broker = opened(folder)
    try:
        clock = room.clock
        await room.intake.accept([fill(1, 30, clock), fill(2, 12, clock, MSFT)])
        broker.hold(AAPL, 30)
        broker.hold(MSFT, 12)
        await pm.reconcile_positions()
        await pm.assign_residual(DU, AAPL.con_id, {"ALPHA": 30}, **BY)
        broker.hold(AAPL, 50)
        await pm.reconcile_positions()
        await pm.assign_residual(DU, AAPL.con_id, {"ALPHA": 5, "BETA": 10}, price="190.25", **BY)
        third = await pm.assign_residual(DU, AAPL.con_id, {"BETA": 5}, price="190.5", **BY)
        await pm.reverse_assignment(third.assignment_id, **BY)
        broker.hold(MSFT, 17)
        broker.mark(MSFT, "411.5")
        await pm.reconcile_positions()
        await pm.assign_residual(DU, MSFT.con_id, {"BETA": 17}, **BY)
        today = clock.now().date()
        for day in (today - timedelta(days=2), today - timedelta(days=1)):
            await pm.close_day(day.isoformat(), DU, "ann", "a rehearsal")
        await flushed(room)
        assert pm.verify().empty, pm.verify().to_string()
    finally:
        room.close(timeout_s=60)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signed") / "data"
    asyncio.run(sign(folder))
    return folder


class Tamperer:
    """Rewrites symbols of a store and puts them back; what the product stored beside the rows stays as it was."""

    def __init__(self, folder):
        self.folder = folder
        self.store = open_store(chosen(folder).arctic_location, map_gb=0.5)
        self.found = {key: self.item(*key) for key in (*COPIES, ("reconciliations", "closes"))}
        self.changed = set()

    def item(self, library, symbol):
        return self.store.handle.library(library).read(symbol)

    def frame(self, library="assignments", symbol="journal"):
        return self.found[library, symbol].data.copy()

    def write(self, frame, library="assignments", symbol="journal"):
        self.changed.add((library, symbol))
        metadata = self.found[library, symbol].metadata
        self.store.handle.library(library).write(symbol, frame, metadata=metadata, validate_index=False)

    def restore(self):
        for key in sorted(self.changed):
            self.write(self.frame(*key), *key)
        self.changed.clear()

    def told(self):
        """What verify says: (place, words)."""
        return [(row["where"], row["field"]) for row in differences(self.store)]

    def places(self):
        return {int(where.rpartition(" ")[2]) for where, _ in self.told()}

    def by_command(self):
        """What the command line says."""
        status, output, error = engine(self.folder, "verify")
        assert (status, error) == (1, ""), (status, output, error)
        return output


@pytest.fixture
def tamperer(data, monkeypatch):
    monkeypatch.setattr(signed, "_LAG_S", 0.0)  # nobody writes here
    found = Tamperer(data)
    yield found
    found.restore()
    assert found.told() == []
    found.store.close()


def entries_of(frame):
    """Place of each row's entry, from 1."""
    ends = (frame["exact"] != "") | (frame["kind"] == "reversal")
    return (ends.cumsum() - ends + 1).tolist()


def another(value, kind):
    if kind == "time":
        return pd.Timestamp("2026-01-01") if pd.isna(value) else value + pd.Timedelta(seconds=1)
    if kind == "number":
        return 1.5 if np.isnan(value) else np.nextafter(value, np.inf)
    return value + 1 if kind == "whole" else f"{value}x"


@pytest.mark.parametrize("column", [name for name in ASSIGNMENTS.columns if name not in {"seq", "exact"}])
def test_one_changed_field_of_one_stored_entry_is_told_with_its_place(tamperer, column):
    """In a leg, in a moved execution and in a reversal, by the smallest step that the column can hold."""
    frame = tamperer.frame()
    places, kinds = entries_of(frame), frame["kind"].tolist()
    assert places == [1, 2, 2, 3, 4, 5, 5]
    assert {"leg", "move", "reversal"} == set(kinds)
    for row in (0, 1, 4):
        changed = frame.copy()
        at = changed.columns.get_loc(column)
        changed.iloc[row, at] = another(changed.iloc[row, at], ASSIGNMENTS.columns[column])
        tamperer.write(changed)
        assert places[row] in tamperer.places(), (row, tamperer.told())


def test_the_text_that_holds_the_whole_entry_cannot_be_changed_unseen(tamperer):
    frame = tamperer.frame()
    for row, place in ((0, 1), (2, 2)):
        for old, new in (('"operator":"ann"', '"operator":"bob"'), ("said the trader", "said the tracer"), ("{", "[")):
            changed = frame.copy()
            at = changed.columns.get_loc("exact")
            assert old in changed.iloc[row, at]
            changed.iloc[row, at] = changed.iloc[row, at].replace(old, new, 1)
            tamperer.write(changed)
            assert place in tamperer.places()


@pytest.mark.parametrize("gone", [1, 2, 3, 4])
def test_a_removed_entry_is_told_at_the_place_where_it_was(tamperer, gone):
    frame = tamperer.frame()
    tamperer.write(frame[[place != gone for place in entries_of(frame)]])
    told = tamperer.told()
    assert (f"assignment journal, entry {gone}", True) in [(w, "does not follow" in text) for w, text in told]
    assert any("is missing here, the stored facts hold it" in text for _, text in told)


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_two_entries_that_changed_places_are_told(tamperer, first):
    frame = tamperer.frame()
    order = {first: first + 1, first + 1: first}
    places = entries_of(frame)
    rows = sorted(range(len(frame)), key=lambda row: (order.get(places[row], places[row]), row))
    swapped = frame.iloc[rows]
    swapped.index = frame.index  # as if they had been recorded so
    tamperer.write(swapped)
    assert {first, first + 1} <= tamperer.places()


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 4])
def test_a_tail_that_was_cut_off_is_told(tamperer, kept):
    """From the table alone, then from the whole entries beside it too: the executions still tell of them."""
    for key in COPIES:
        frame = tamperer.frame(*key)
        if key == JOURNAL:
            hashes = set(frame["entry_hash"][[place > kept for place in entries_of(frame)]])
            left = ~frame["entry_hash"].isin(hashes)
        else:
            left = [not any(digest in fact for digest in named(fact, hashes)) for fact in frame["fact"]]
        tamperer.write(frame[left], *key)
        told = tamperer.told()
        assert (f"assignment journal, entry {kept + 1}", True) in [(w, "missing here" in text) for w, text in told], (
            told
        )


def named(fact, hashes):
    """Of these hashes those that the fact has for its own."""
    return [digest for digest in hashes if f'"entry_hash":"{digest}"' in fact]


def test_an_entry_sealed_anew_with_everything_after_it_is_told(tamperer):
    """Somebody who knows how the links are made changes a quantity and makes a table in which all of them hold."""
    stored = signed.Evidence(tamperer.store).entries(tamperer.store, None)
    entries = [found.entry for found in stored]
    leg = msgspec.structs.replace(entries[1].legs[0], quantity=Decimal(6))
    entries[1] = msgspec.structs.replace(entries[1], legs=(leg, *entries[1].legs[1:]))
    head = ""
    for number, entry in enumerate(entries):
        entries[number] = seal(entry, head)
        head = entries[number].entry_hash
    frame = tamperer.frame()
    for row, place in enumerate(entries_of(frame)):
        entry = entries[place - 1]
        changes = {"previous_hash": entry.previous_hash, "entry_hash": entry.entry_hash}
        if frame["exact"].iloc[row]:
            changes["exact"] = msgspec.json.encode(entry).decode()
        if row == 1:
            changes["qty"] = 6.0
        for column, value in changes.items():
            frame.iloc[row, frame.columns.get_loc(column)] = value
    tamperer.write(frame)
    told = tamperer.told()
    assert not any("signed" in text or "follow" in text for _, text in told)
    assert {2, 3, 4, 5} == {int(w.rpartition(" ")[2]) for w, text in told if "hold another entry" in text}


def test_the_command_line_tells_of_each_kind_and_where(tamperer):
    frame = tamperer.frame()
    places = entries_of(frame)
    changed = frame.copy()
    changed.iloc[1, changed.columns.get_loc("qty")] = 6.0
    swapped = frame.iloc[[0, 1, 2, 4, 3, 5, 6]]
    swapped.index = frame.index
    for rows, place, words in (
        (changed, 2, "its rows say something else than what was signed: qty"),
        (frame[[p != 2 for p in places]], 2, "does not follow the entry before it"),
        (swapped, 3, "does not follow the entry before it"),
        (frame[[p != 5 for p in places]], 5, "is missing here, the stored facts hold it"),
    ):
        tamperer.write(rows)
        output = tamperer.by_command()
        assert f"assignment journal, entry {place}" in output, output
        assert words in output, output
    tamperer.restore()
    assert engine(tamperer.folder, "verify")[0] == 0


async def test_a_running_engine_tells_of_a_table_that_was_cut_with_its_copies(tamperer):
    pm, room, _ = opened(tamperer.folder)
    try:
        assert pm.verify().empty
        for key in COPIES:
            frame = tamperer.frame(*key)
            tamperer.write(frame.iloc[:1], *key)
        found = pm.verify()
        assert (found["where"] == "assignment journal, entry 2").any()
        assert found["field"].str.contains("the books in memory hold it").sum() == 4
    finally:
        tamperer.restore()
        room.close(timeout_s=60)


async def test_an_entry_forged_in_the_write_ahead_journal_is_told(data, tamperer):
    """With a checksum that fits, and no checkpoint to start from: the books follow the forgery, the store does not."""
    copy = data.parent / "forged"
    shutil.copytree(data, copy)
    database = sqlite3.connect(copy / "journal.sqlite")
    forged = 0
    for first, blob in database.execute("SELECT first, blob FROM groups").fetchall():
        facts = decode_facts(blob)
        for number, fact in enumerate(facts):
            if isinstance(fact, AssignmentMade) and len(fact.legs) == 2:
                leg = msgspec.structs.replace(fact.legs[0], quantity=Decimal(6))
                facts[number] = msgspec.structs.replace(fact, legs=(leg, fact.legs[1]))
                forged += 1
        again = encode_facts(facts)
        database.execute("UPDATE groups SET blob = ?, crc = ? WHERE first = ?", (again, zlib.crc32(again), first))
    database.execute("DELETE FROM checkpoints")
    database.commit()
    database.close()
    assert forged == 1
    pm, room, _ = opened(copy)
    try:
        assert room.origin == "journal"
        found = rows_frame(pm.verify().to_dict("records"), ["where", "field"])
        told = found[found["field"].str.contains("the books in memory hold another entry")]
        assert told["where"].tolist() == ["assignment journal, entry 2"]
    finally:
        room.close(timeout_s=60)


def test_a_closed_day_that_was_changed_is_told(tamperer):
    frame = tamperer.frame("reconciliations", "closes")
    at = frame.columns.get_loc("statement")
    for row, old, new in ((0, '"operator":"ann"', '"operator":"bob"'), (1, "{", "[")):
        changed = frame.copy()
        assert old in changed.iloc[row, at]
        changed.iloc[row, at] = changed.iloc[row, at].replace(old, new, 1)
        tamperer.write(changed, "reconciliations", "closes")
        assert f"closed days, entry {row + 1}" in {where for where, _ in tamperer.told()}
    tamperer.write(frame.iloc[1:], "reconciliations", "closes")
    assert [w for w, _ in tamperer.told()] == ["closed days, entry 1"]
