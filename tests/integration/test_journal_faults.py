"""The journal on a bad day: kills, damage, a full disk, many threads."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from engine.core.instrument import Instrument
from engine.errors import JournalDamaged, JournalFull, NotWritable
from engine.storage.journal import GROUP_LIMIT, SqliteJournal
from tests.integration.storage_kit import fill, until

ROOT = Path(__file__).resolve().parents[2]


def test_many_threads_get_consecutive_numbers_and_every_fact_is_there(tmp_path):
    groups = []
    journal = SqliteJournal(tmp_path / "journal.db", on_group=groups.append)
    results: list[tuple[int, int]] = []

    def feed(thread: int) -> None:
        for n in range(50):
            number = thread * 1000 + n * 3
            results.append((number, journal.submit([fill(number), fill(number + 1), fill(number + 2)]).result(60)))

    threads = [threading.Thread(target=feed, args=(t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    handed_on = [pair for group in groups for pair in group]
    assert [seq for seq, _ in handed_on] == list(range(1, 1201))
    by_seq = dict(handed_on)
    assert all(by_seq[seq - 2 + k] == fill(number + k) for number, seq in results for k in range(3))


def test_a_burst_shares_commits_and_no_group_is_larger_than_the_limit(tmp_path):
    sizes = []
    journal = SqliteJournal(tmp_path / "journal.db", on_group=lambda group: sizes.append(len(group)))
    futures = [journal.submit([fill(n)]) for n in range(5000)]
    assert [f.result(60) for f in futures] == list(range(1, 5001))
    assert max(sizes) <= GROUP_LIMIT
    assert len(sizes) < 5000
    stats = journal.stats()
    assert stats.head == 5000
    assert stats.commits == len(sizes)
    assert stats.commit_p50_ms > 0
    journal.close()
    assert journal.size() > 0


def test_closing_commits_what_was_submitted_and_refuses_what_comes_later(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    futures = [journal.submit([fill(n)]) for n in range(500)]
    journal.close()
    journal.close()
    assert futures[-1].result(0) == 500
    with pytest.raises(JournalFull, match="closed"):
        journal.submit([fill(1)]).result(30)
    again = SqliteJournal(tmp_path / "journal.db")
    assert len(again.read(0, 1000)) == 500
    again.close()


def test_what_is_submitted_while_the_journals_thread_ends_is_committed(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    join, late = journal._thread.join, []

    def end():
        join()
        late.append(journal.submit([fill(1)]))

    journal._thread.join = end
    journal.close()
    assert late[0].result(0) == 1
    again = SqliteJournal(tmp_path / "journal.db")
    assert again.read(0, 10) == [(1, fill(1))]
    again.close()


def test_a_reader_that_fails_does_not_stop_the_journal(tmp_path, caplog):
    def fail(_group):
        raise RuntimeError("the reader has a bug")

    journal = SqliteJournal(tmp_path / "journal.db", on_group=fail)
    assert journal.submit([fill(1)]).result(30) == 1
    assert journal.submit([fill(2)]).result(30) == 2
    journal.close()
    assert "the reader of the journal failed" in caplog.text


def test_a_fact_that_has_no_wire_form_is_refused_alone(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    append, entered, free = journal._file.append, threading.Event(), threading.Event()

    def slow(row):
        entered.set()
        assert free.wait(300)
        append(row)

    journal._file.append = slow
    first = journal.submit([fill(1)])
    assert entered.wait(60)
    huge = msgspec.structs.replace(fill(3), perm_id=10**400)
    receipts = [journal.submit([fact]) for fact in (fill(2), huge, fill(4))]  # one group
    free.set()
    assert [r.result(60) for r in (first, receipts[0], receipts[2])] == [1, 2, 3]
    with pytest.raises(NotWritable, match="cannot be written down"):
        receipts[1].result(60)
    assert journal.failing == ""
    assert [fact for _, fact in journal.read(0, 10)] == [fill(1), fill(2), fill(4)]
    journal.close()


def test_a_disk_that_stands_still_is_told_while_it_is_waited_for(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    append, entered, free = journal._file.append, threading.Event(), threading.Event()

    def stand_still(row):
        entered.set()
        assert free.wait(300)
        append(row)

    journal._file.append = stand_still
    receipt = journal.submit([fill(1)])
    assert entered.wait(60)
    assert journal.failing == ""
    until(lambda: "has not answered" in journal.failing)
    assert "has not answered" in journal.stats().failing
    free.set()
    assert receipt.result(60) == 1
    until(lambda: journal.failing == "")
    journal.close()


def test_when_the_journals_own_thread_fails_everybody_hears_of_it_and_nobody_waits(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    resume, entered, free = journal._resume, threading.Event(), threading.Event()

    def refuse(_row):
        entered.set()
        assert free.wait(300)
        raise OSError("no disk")

    def fail():
        resume()
        raise MemoryError

    journal._file.append, journal._resume = refuse, fail
    taken = journal.submit([fill(1)])
    assert entered.wait(60)
    waiting = [journal.submit([fill(n)]) for n in range(2, 5)]
    free.set()
    with pytest.raises(JournalFull, match="no disk"):
        taken.result(60)
    for receipt in waiting:
        with pytest.raises(JournalFull, match="its thread has failed: MemoryError"):
            receipt.result(60)
    with pytest.raises(JournalFull, match="its thread has failed"):
        journal.submit([fill(5)]).result(60)
    assert "its thread has failed" in journal.failing
    journal.close()


CHILD = """
import sys
from engine.storage.journal import SqliteJournal
from tests.integration.storage_kit import fill
journal = SqliteJournal(sys.argv[1])
n = journal.head
while True:
    pending = [journal.submit([fill(n + k)]) for k in range(1, 8)]
    n = pending[-1].result()
    print(n, flush=True)
"""


def test_a_process_killed_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path):
    path = tmp_path / "journal.db"
    acknowledged = 0
    for round_number in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3 + 5 * round_number):
            line = child.stdout.readline()
            assert line, child.stderr.read()
            acknowledged = int(line)
        os.kill(child.pid, signal.SIGKILL)
        rest = child.communicate(timeout=60)[0].split()
        acknowledged = max([acknowledged, *map(int, rest[:-1])])
        journal = SqliteJournal(path)
        facts = journal.read(0, 10**6)
        journal.close()
        assert journal.damage == ""
        assert len(facts) >= acknowledged
        assert facts == [(n, fill(n)) for n in range(1, len(facts) + 1)]


def filled(path: Path, groups: int = 40, size: int = 25) -> None:
    journal = SqliteJournal(path)
    for group in range(groups):
        journal.submit([fill(group * size + k) for k in range(1, size + 1)]).result(30)
    journal.checkpoint(10, b"older")
    journal.checkpoint(20, b"newer")
    journal.close()


def test_a_row_with_a_wrong_checksum_is_named_and_the_rest_is_carried_over(tmp_path):
    path = tmp_path / "journal.db"
    filled(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE groups SET blob = zeroblob(length(blob)) WHERE first = 501")
    db.close()
    journal = SqliteJournal(path)
    assert "row 501" in journal.damage
    assert str(path) in journal.damage
    expected = [n for n in range(1, 1001) if not 501 <= n <= 525]
    assert journal.read(0, 10**6) == [(n, fill(n)) for n in expected]
    assert journal.latest_checkpoint().blob == b"newer"
    assert journal.submit([fill(1)]).result(30) > 1000
    journal.close()
    aside = [p.name for p in tmp_path.iterdir() if "damaged" in p.name]
    assert any(name.startswith("journal.db.damaged-") for name in aside)
    again = SqliteJournal(path)
    assert again.damage == ""
    again.close()


@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_overwritten_bytes_are_found_the_file_is_set_aside_and_what_can_be_read_is_kept(tmp_path, place):
    path = tmp_path / "journal.db"
    filled(path)
    size = path.stat().st_size
    at = {"start": 0, "middle": size // 2, "end": size - 8192}[place]
    with path.open("r+b") as file:
        file.seek(at)
        file.write(os.urandom(8192))
    damaged = path.read_bytes()
    journal = SqliteJournal(path)
    assert str(path) in journal.damage
    assert "set aside" in journal.damage
    facts = journal.read(0, 10**6)
    assert all(fact == fill(seq) for seq, fact in facts)
    assert [seq for seq, _ in facts] == sorted({seq for seq, _ in facts})
    if place != "start":
        assert len(facts) >= 100
    assert journal.submit([fill(7)]).result(30) > 1000
    journal.close()
    kept = next(p for p in tmp_path.iterdir() if "damaged" in p.name and not p.name.endswith(("-wal", "-shm")))
    assert kept.read_bytes() == damaged


def test_a_file_that_is_no_journal_at_all_is_set_aside(tmp_path):
    path = tmp_path / "journal.db"
    path.write_bytes(b"this was never a database, " * 100)
    journal = SqliteJournal(path)
    assert "damaged" in journal.damage
    assert journal.submit([fill(1)]).result(30) > 0
    journal.close()


def test_damage_that_appears_while_the_journal_is_open_is_named_when_it_is_read(tmp_path):
    path = tmp_path / "journal.db"
    filled(path, groups=3)
    journal = SqliteJournal(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE groups SET crc = crc + 1 WHERE first = 26")
    db.close()
    with pytest.raises(JournalDamaged, match=r"row 26 "):
        journal.read(0, 1000)
    assert len(journal.read(50, 1000)) == 25
    journal.close()


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(tmp_path):
    path = tmp_path / "journal.db"
    filled(path, groups=1)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE checkpoints SET blob = x'00' WHERE seq = 20")
    db.close()
    journal = SqliteJournal(path)
    assert journal.latest_checkpoint().blob == b"older"
    journal.close()


def test_only_the_last_two_checkpoints_are_kept(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    for seq in range(1, 6):
        journal.checkpoint(seq, b"x" * seq)
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as db:
        assert db.execute("SELECT seq FROM checkpoints ORDER BY seq").fetchall() == [(4,), (5,)]
    db.close()


def test_a_full_disk_is_refused_loudly_and_works_again_when_there_is_room(small_disk):
    disk = small_disk(4)
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 2_000_000)
    journal = SqliteJournal(disk / "journal.db")
    accepted = []
    refused = None
    for n in range(1, 400):
        facts = [fill(n * 1000 + k) for k in range(100)]
        try:
            last = journal.submit(facts).result(60)
        except JournalFull as error:
            refused = (facts, error)
            break
        accepted += zip(range(last - 99, last + 1), facts, strict=True)
    assert refused is not None
    assert "full" in str(refused[1])
    assert journal.stats().failing
    ballast.unlink()
    last = until(lambda: retried(journal, refused[0]), what="a commit after room was made")
    accepted += zip(range(last - 99, last + 1), refused[0], strict=True)
    assert journal.stats().failing == ""
    assert journal.read(0, 10**6) == accepted
    journal.close()
    again = SqliteJournal(disk / "journal.db")
    assert again.damage == ""
    assert again.read(0, 10**6) == accepted
    again.close()


def retried(journal, facts):
    error = journal.submit(facts).exception(60)
    return None if error is not None else journal.head


@pytest.mark.parametrize("whole_folder", [False, True])
def test_a_journal_deleted_under_the_engine_is_written_again_whole(tmp_path, whole_folder):
    path = tmp_path / "data" / "journal.db"
    journal = SqliteJournal(path)
    for n in range(1, 61):
        journal.submit([fill(n)]).result(30)
    journal.checkpoint(20, b"twenty")
    journal.prune(20)
    if whole_folder:
        shutil.rmtree(path.parent)
    else:
        path.unlink()
    assert journal.submit([fill(61)]).result(30) == 61
    assert "was deleted under the engine" in journal.damage
    expected = [(n, fill(n)) for n in range(21, 62)]
    assert journal.read(0, 1000) == expected
    saved = tmp_path / "as after a power cut"
    shutil.copytree(path.parent, saved)
    journal.close()
    again = SqliteJournal(saved / path.name)
    assert (again.damage, again.head) == ("", 61)
    assert again.read(0, 1000) == expected
    assert again.latest_checkpoint().blob == b"twenty"
    again.close()


def test_a_journal_replaced_by_another_file_accepts_nothing(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.submit([fill(1)]).result(30)
    (tmp_path / "other").write_bytes((tmp_path / "journal.db").read_bytes())
    (tmp_path / "other").replace(tmp_path / "journal.db")
    with pytest.raises(JournalFull, match="replaced"):
        journal.submit([fill(2)]).result(30)
    journal.close()


def test_a_journal_that_cannot_be_made_says_why(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(JournalFull, match="cannot be opened"):
        SqliteJournal(tmp_path / "file" / "journal.db")


def test_half_a_character_is_written_as_its_escape_and_refuses_nobody_elses_facts(tmp_path):
    handed_on = []
    journal = SqliteJournal(tmp_path / "journal.db", handed_on.extend)
    odd = msgspec.structs.replace(fill(1), strategy="A\ud83d", instrument=Instrument(con_id=1, symbol="\udc00X"))
    assert journal.submit([fill(2), odd, fill(3)]).result(60) == 3
    kept = [fact for _, fact in journal.read(0, 10)]
    assert kept == [fact for _, fact in handed_on]
    assert kept[0] == fill(2)
    assert kept[2] == fill(3)
    assert (kept[1].strategy, kept[1].instrument.symbol) == ("A\\ud83d", "\\udc00X")
    assert msgspec.structs.replace(kept[1], strategy=odd.strategy, instrument=odd.instrument) == odd
    journal.close()
