"""The store on a bad day: full, deleted, read-only, killed, two writers. Nothing lost, nothing doubled, a clear word."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import StoreLocked, StoreUnavailable
from engine.storage import open_store
from engine.storage.handle import Handle, lmdb_path
from engine.storage.housekeeping import Housekeeper, library_sizes, snapshots
from engine.storage.lock import WriterLock
from engine.storage.rows import fill_columns
from tests.fakes import FakeClock
from tests.integration.storage_kit import record, until

ROOT = Path(__file__).resolve().parents[2]


def put(store, *seqs, strategy="ALPHA"):
    store.append("fills", strategy, *fill_columns([record(n, strategy=strategy) for n in seqs]), seq=seqs[-1])


def stored(store, strategy="ALPHA"):
    return store.read("fills", strategy)["seq"].tolist()


def child(code: str, *arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, **options
    )


def finished(process: subprocess.Popen) -> str:
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, f"exit status {process.returncode}: {output}"
    return output


# --------------------------------------------------------------------------------------------------- opening


def test_a_reader_of_a_place_without_a_store_is_told_so_and_creates_nothing(tmp_path):
    with pytest.raises(StoreUnavailable, match="there is no ArcticDB in"):
        open_store(f"lmdb://{tmp_path}/nothing", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_damaged_is_named(tmp_path):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    put(store, 1)
    store.close()
    for name in ("_arctic_cfg", "fills"):
        (tmp_path / "db" / name / "data.mdb").write_bytes(os.urandom(65536))
    with pytest.raises(StoreUnavailable, match=str(tmp_path)):
        open_store(f"lmdb://{tmp_path}/db", map_gb=0.1).progress()


def test_stores_of_one_place_share_a_handle_and_see_each_others_rows(tmp_path):
    writer = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    put(writer, 1)
    (tmp_path / "link").symlink_to(tmp_path / "db")
    reader = open_store(f"lmdb://{tmp_path}/link", read_only=True)
    assert reader.handle is writer.handle
    put(writer, 2)
    assert stored(reader) == [1, 2]
    with pytest.raises(StoreUnavailable, match="refuses writes"):
        put(reader, 3)
    writer.close()
    assert stored(reader) == [1, 2]
    reader.close()
    assert not [path for path in open_files() if path.startswith(str(tmp_path))]


def open_files() -> list[str]:
    files = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own file is gone by now
            files.append(str(entry.readlink()))
    return files


READER = """
import sys
from engine.storage import open_store
store = open_store(sys.argv[1], read_only=True)
for line in sys.stdin:
    print(len(store.fills()), store.progress()["fills", "ALPHA"], flush=True)
"""


def test_a_reader_in_another_process_sees_rows_as_soon_as_they_are_stored(tmp_path):
    writer = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    put(writer, 1)
    reader = child(READER, f"lmdb://{tmp_path}/db", stdin=subprocess.PIPE)
    for n in range(2, 30):
        put(writer, n)
        reader.stdin.write("look\n")
        reader.stdin.flush()
        assert reader.stdout.readline().split() == [str(n), str(n)]
    reader.stdin.close()
    assert reader.wait(60) == 0
    reader.stdout.close()
    writer.close()


# --------------------------------------------------------------------------------------------------- kills


APPENDER = """
import sys
from engine.storage import open_store
from engine.storage.rows import fill_columns
from tests.integration.storage_kit import record
store = open_store(sys.argv[1], map_gb=0.2)
n = store.progress().get(("fills", "ALPHA"), 0)
while True:
    records = [record(n + k) for k in range(1, 4)]
    store.append("fills", "ALPHA", *fill_columns(records), seq=n + 3)
    n += 3
    print(n, flush=True)
"""


def test_a_process_killed_while_it_appends_loses_nothing_and_the_retry_doubles_nothing(tmp_path):
    uri = f"lmdb://{tmp_path}/db"
    acknowledged = 0
    for round_number in range(4):
        writer = child(APPENDER, uri)
        for _ in range(4 + 7 * round_number):
            acknowledged = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.communicate(timeout=60)[0].split()
        acknowledged = max([acknowledged, *map(int, rest[:-1])])
        store = open_store(uri, map_gb=0.2)
        reached = store.progress()["fills", "ALPHA"]
        assert reached >= acknowledged
        store.append("fills", "ALPHA", *fill_columns([record(n) for n in range(1, reached + 2)]), seq=reached + 1)
        store.append("fills", "ALPHA", *fill_columns([record(n) for n in range(1, reached + 4)]), seq=reached + 3)
        assert stored(store) == list(range(1, reached + 4))
        store.close()


# --------------------------------------------------------------------------------------------------- room


def test_a_full_map_is_refused_before_lmdb_meets_it_and_a_larger_one_goes_on(tmp_path):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.006)
    reached = 0
    refused = ""
    while not refused and reached < 100_000:
        try:
            put(store, *range(reached + 1, reached + 301))
            reached += 300
        except StoreUnavailable as error:
            refused = str(error)
    assert "FILLBOOK_LMDB_MAP_GB" in refused
    assert reached > 0
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="full"):
            put(store, *range(reached + 1, reached + 301))
    assert stored(store) == list(range(1, reached + 1))
    assert store.broken == ""
    store.reopen(map_gb=0.05)
    put(store, *range(1, reached + 301))
    assert stored(store) == list(range(1, reached + 301))
    store.close()


BLIND = """
import sys
from engine.errors import StoreUnavailable
from engine.storage import open_store
from engine.storage.handle import Handle
from engine.storage.rows import fill_columns
from tests.integration.storage_kit import record
Handle.check_room = lambda self, library, needed: None
store = open_store(sys.argv[1], map_gb=0.002)
step = int(sys.argv[2])
reached = 0
try:
    while True:
        records = [record(n) for n in range(reached + 1, reached + step + 1)]
        store.append("fills", "ALPHA", *fill_columns(records), seq=reached + step)
        reached += step
except StoreUnavailable as error:
    assert store.broken, error
for act in (store.progress, store.libraries, lambda: store.symbols("fills"), lambda: store.read("fills", "ALPHA")):
    try:
        act()
        raise SystemExit("a broken handle was used")
    except StoreUnavailable as error:
        assert "out of use" in str(error), error
store.reopen(map_gb=0.05)
assert store.progress()["fills", "ALPHA"] == reached
store.append("fills", "ALPHA", *fill_columns([record(n) for n in range(1, reached + 100)]), seq=reached + 99)
assert store.read("fills", "ALPHA")["seq"].tolist() == list(range(1, reached + 100))
store.close()
print("kept", reached)
"""


@pytest.mark.parametrize("step", [25, 2000])
def test_a_map_that_fills_up_under_lmdb_costs_the_handle_but_no_row_and_not_the_process(tmp_path, step):
    output = finished(child(BLIND, f"lmdb://{tmp_path}/db", str(step)))
    assert int(output.split()[1]) > 0


@pytest.fixture
def mount(tmp_path):
    """Mounts something on a new folder; skips where that is not allowed."""
    mounted = []

    def mount_it(*arguments: str, name: str = "mounted") -> Path:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        if os.geteuid() != 0:
            pytest.skip("only root may mount")
        done = subprocess.run(["mount", *arguments, place], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting is not possible here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount_it
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=False)


def test_a_full_disk_is_refused_and_the_rows_arrive_when_there_is_room(mount):
    disk = mount("-t", "tmpfs", "-o", "size=8m", "tmpfs")
    store = open_store(f"lmdb://{disk}/db", map_gb=1)
    put(store, 1)
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast.write_bytes(b"x" * (free - 700_000))
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="disk is full"):
            put(store, 2)
    assert store.broken == ""
    ballast.unlink()
    put(store, 2)
    assert stored(store) == [1, 2]
    store.close()


def test_a_disk_that_fills_up_under_lmdb_costs_the_handle_but_no_row_and_not_the_process(mount):
    disk = mount("-t", "tmpfs", "-o", "size=3m", "tmpfs")
    code = BLIND.replace("map_gb=0.002", "map_gb=1").replace(
        "store.reopen(", "subprocess.run(['mount', '-o', 'remount,size=60m', sys.argv[3]], check=True); store.reopen("
    )
    finished(child("import subprocess\n" + code, f"lmdb://{disk}/db", "20", str(disk)))


RIGHTS = """
import os, sys
from engine.errors import StoreUnavailable
from engine.storage import open_store
from engine.storage.rows import fill_columns
from tests.integration.storage_kit import record

def put(seq):
    store.append("fills", "ALPHA", *fill_columns([record(seq)]), seq=seq)

store = open_store("lmdb://" + sys.argv[1] + "-warm", map_gb=0.1)  # loads what is loaded late, while that is allowed
put(1)
store.read("fills", "ALPHA")
store.close()
os.setgid(65534), os.setuid(65534)
store = open_store("lmdb://" + sys.argv[1], map_gb=0.1)
put(1)
os.chmod(sys.argv[1] + "/fills", 0o555)
for _ in range(2):
    try:
        put(2)
        raise SystemExit("written without the right to")
    except StoreUnavailable as error:
        assert "no permission" in str(error), error
assert not store.broken
os.chmod(sys.argv[1] + "/fills", 0o755)
put(2)
assert store.read("fills", "ALPHA")["seq"].tolist() == [1, 2]
store.close()
"""


def test_the_right_to_write_may_be_lost_and_come_back():
    if os.geteuid() != 0:
        pytest.skip("only root may become somebody without rights")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, 65534, 65534)
        finished(child(RIGHTS, f"{folder}/db"))


def test_a_store_on_a_read_only_disk_is_refused_with_the_reason(tmp_path, mount):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    put(store, 1)
    store.close()
    frozen = mount("--bind", tmp_path / "db", name="frozen")
    subprocess.run(["mount", "-o", "remount,bind,ro", frozen], check=True)
    with pytest.raises(StoreUnavailable, match="Read-only file system"):
        put(open_store(f"lmdb://{frozen}", map_gb=0.1), 2)
    subprocess.run(["mount", "-o", "remount,bind,rw", frozen], check=True)
    store = open_store(f"lmdb://{frozen}", map_gb=0.1)
    put(store, 2)
    assert stored(store) == [1, 2]
    store.close()


# --------------------------------------------------------------------------------------------------- deleted


def test_a_store_deleted_under_the_engine_is_noticed_and_filled_again_after_reopening(tmp_path):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    put(store, 1, 2)
    shutil.rmtree(tmp_path / "db")
    for act in (store.check, lambda: put(store, 3), store.progress, lambda: stored(store)):
        with pytest.raises(StoreUnavailable, match="deleted or unmounted"):
            act()
    assert not (tmp_path / "db").exists()
    store.reopen()
    assert store.progress() == {}
    put(store, 1, 2, 3)
    assert stored(store) == [1, 2, 3]
    store.close()


def test_a_store_that_was_moved_away_and_back_goes_on(tmp_path):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    put(store, 1)
    (tmp_path / "db").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable):
        put(store, 2)
    (tmp_path / "elsewhere").rename(tmp_path / "db")
    store.reopen()
    put(store, 1, 2)
    assert stored(store) == [1, 2]
    store.close()


def test_a_store_replaced_by_another_is_noticed(tmp_path):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    put(store, 1)
    shutil.copytree(tmp_path / "db", tmp_path / "copy")
    put(store, 2)
    shutil.rmtree(tmp_path / "db")
    (tmp_path / "copy").rename(tmp_path / "db")
    with pytest.raises(StoreUnavailable, match="replaced"):
        put(store, 3)
    store.reopen()
    assert store.progress() == {("fills", "ALPHA"): 1}
    store.close()


# --------------------------------------------------------------------------------------------------- lock


HOLDER = """
import sys
from engine.storage.lock import WriterLock
lock = WriterLock(sys.argv[1], sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_second_engine_is_refused_and_a_killed_one_leaves_the_lock_free(tmp_path):
    uri = f"lmdb://{tmp_path}/db"
    holder = child(HOLDER, str(tmp_path / "data"), uri, stdin=subprocess.PIPE)
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(StoreLocked, match=rf"pid {holder.pid} .* owns data directory"):
        WriterLock(tmp_path / "data", uri)
    with pytest.raises(StoreLocked, match=rf"pid {holder.pid} .* owns store"):
        WriterLock(tmp_path / "other", uri)
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate(timeout=60)

    def taken():
        try:
            return WriterLock(tmp_path / "data", uri)
        except StoreLocked:
            return None

    lock = until(taken, what="the kernel's release of a dead holder's lock")
    with pytest.raises(StoreLocked):
        WriterLock(tmp_path / "data", uri)
    lock.release()
    lock.release()
    WriterLock(tmp_path / "data", uri).release()


def test_the_lock_of_a_store_outlives_its_folder(tmp_path):
    uri = f"lmdb://{tmp_path}/db"
    lock = WriterLock(tmp_path / "data", uri)
    open_store(uri, map_gb=0.1).close()
    shutil.rmtree(tmp_path / "db")
    with pytest.raises(StoreLocked):
        WriterLock(tmp_path / "other", uri)
    lock.release()


def test_the_place_of_a_store_is_resolved():
    assert lmdb_path("lmdb:///a/b/../c?map_size=1GB") == Path("/a/c")
    assert lmdb_path("s3://host:bucket") is None


# --------------------------------------------------------------------------------------------------- housekeeping


def test_compaction_keeps_every_row_and_the_progress(tmp_path):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    clock = FakeClock()
    house = Housekeeper(store, clock, every_s=60)
    for n in range(1, 111):
        put(store, n)
    house()
    assert house.compacted == 0
    clock.advance(61)
    house()
    assert house.compacted == 1
    library = store.handle.library("fills")
    assert library.compact_data_explain_plan("ALPHA").num_row_slices_before == 1
    assert len(library.list_versions("ALPHA")) == 1
    put(store, 105, 106, 110, 111)
    assert stored(store) == list(range(1, 112))
    assert store.progress() == {("fills", "ALPHA"): 111}
    clock.advance(61)
    house()
    assert house.compacted == 1
    store.close()


def test_a_busy_symbol_is_compacted_before_a_round_is_due(tmp_path):
    """What a compaction takes grows with the segments, so a busy day must not wait for the clock."""
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    house = Housekeeper(store, FakeClock(), every_s=900, busy_appends=120)
    segments = []
    for n in range(1, 251):
        put(store, n)
        house()
        if n % 10 == 0:
            plan = store.handle.library("fills").compact_data_explain_plan("ALPHA")
            segments.append(plan.num_row_slices_before)
    assert house.compacted == 2
    assert 100 < max(segments) <= 120
    assert segments[-1] <= 12
    assert stored(store) == list(range(1, 251))
    store.close()


def test_what_is_compact_already_is_not_written_again(tmp_path, monkeypatch):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.5)
    clock = FakeClock()
    house = Housekeeper(store, clock, every_s=60)
    put(store, *range(1, 30_001))
    for n in range(30_001, 30_111):
        put(store, n)
    asked = []
    there_is_room = Handle.check_room

    def noting(self, library, needed):
        asked.append(needed)
        return there_is_room(self, library, needed)

    clock.advance(61)
    monkeypatch.setattr(Handle, "check_room", noting)
    house()
    assert house.compacted == 1
    cells = 30_110 * len(store.read("fills", "ALPHA", since=clock.now()).columns)
    assert 0 < max(asked) < cells * 16 / 2
    assert stored(store) == list(range(1, 30_111))
    store.close()


def test_a_snapshot_is_taken_when_the_day_has_ended_and_expires(tmp_path):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    clock = FakeClock(datetime(2026, 3, 2, 23, 59, tzinfo=UTC))
    house = Housekeeper(store, clock, keep_snapshots_days=2)
    put(store, 1)
    house()
    assert snapshots(store) == []
    clock.advance(120)
    house()
    assert snapshots(store) == ["eod-2026-03-02"]
    put(store, 2)
    for _ in range(3):
        clock.advance(86400)
        house()
        house()
    assert snapshots(store) == ["eod-2026-03-04", "eod-2026-03-05"]
    assert stored(store) == [1, 2]
    assert store.read("fills", "ALPHA", as_of="eod-2026-03-04")["seq"].tolist() == [1, 2]
    assert store.read("fills", "ALPHA", as_of="eod-2026-01-01").empty
    store.close()


def test_no_snapshots_are_made_when_none_are_kept(tmp_path):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    put(store, 1)
    clock = FakeClock()
    house = Housekeeper(store, clock, keep_snapshots_days=0)
    clock.advance(86400)
    house()
    assert snapshots(store) == []
    store.close()


def test_compaction_waits_when_there_is_no_room_for_it(tmp_path, monkeypatch):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    clock = FakeClock()
    house = Housekeeper(store, clock, every_s=60)
    for n in range(1, 103):
        put(store, n)
    clock.advance(61)

    def refuse(self, library, needed):
        raise StoreUnavailable("no room")

    monkeypatch.setattr(Handle, "check_room", refuse)
    house()
    assert house.compacted == 0
    monkeypatch.undo()
    assert stored(store) == list(range(1, 103))
    store.close()


def test_sizes_are_reported_per_library(tmp_path):
    store = open_store(f"lmdb://{tmp_path}/db", map_gb=0.1)
    put(store, 1)
    (size,) = library_sizes(store)
    assert (size.library, size.symbols) == ("fills", 1)
    assert 0 < size.bytes < size.map_bytes
    store.close()
