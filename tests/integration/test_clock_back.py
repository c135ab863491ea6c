"""A clock that was set back between two runs, or while one is on: all is stored, and in order."""

from datetime import UTC, datetime, timedelta

from engine.pipeline.room import BookRoom
from engine.settings import Settings
from tests.benchmarks.kit import assert_exact, fill_facts, instruments
from tests.fakes import FakeClock
from tests.integration.history_kit import DEADLINE_S
from tests.integration.storage_kit import until

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def a_run(room, name):
    """Store a reconciliation's row and the table that it leaves, as the reconciler does."""
    now = room.clock.now()
    room.frames.add("reconciliations", "runs", {"run_id": [name], "status": ["square"]}, [now])
    room.frames.add("portfolio", "aggregated", {"run_id": [name], "symbol": ["AAPL"]}, [now])


def book(room, first, count):
    for pair in fill_facts(first, count, instruments()):
        last = room.intake.put(pair)
    assert room.writer.wait_stored(last.result(DEADLINE_S), DEADLINE_S)


def test_what_is_recorded_after_the_clock_was_set_back_is_stored(tmp_path):
    settings = Settings(data_dir=str(tmp_path))
    clock = FakeClock(NOON)
    room = BookRoom(settings, clock)
    a_run(room, "first")
    book(room, 0, 20)
    clock.time -= timedelta(hours=1)
    a_run(room, "second")
    book(room, 20, 20)
    room.close(DEADLINE_S)
    room = BookRoom(settings, FakeClock(NOON - timedelta(hours=5)))
    a_run(room, "third")
    book(room, 40, 20)
    until(lambda: not len(room.frames))
    runs = room.store.read("reconciliations", "runs")
    assert runs["run_id"].tolist() == ["first", "second", "third"]
    assert runs.index.is_monotonic_increasing
    assert room.store.read("portfolio", "aggregated")["run_id"].tolist() == ["third"]
    assert_exact(room, 0, 60)
    fills = [room.store.read("fills", symbol) for symbol in room.store.symbols("fills")]
    assert sum(map(len, fills)) == 60
    assert all(frame.index.is_monotonic_increasing for frame in fills)
    room.close(DEADLINE_S)
