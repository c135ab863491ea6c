"""The journal's SQLite file: its tables, and what to do with a damaged one."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from engine.errors import JournalDamaged, JournalFull

log = logging.getLogger(__name__)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS groups (
    first INTEGER PRIMARY KEY, count INTEGER NOT NULL, crc INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints (
    seq INTEGER NOT NULL, blob BLOB NOT NULL, crc INTEGER NOT NULL, made_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
"""
_LIFT: Final = "INSERT INTO head VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET seq = max(seq, excluded.seq)"
_KEPT_CHECKPOINTS: Final = 2
_MAGIC: Final = b"SQLite format 3\0"
_SKIP: Final = 1_000_000
"""How far above a damaged journal the numbers go on: more than a damaged tail can have held."""


class GroupRow(NamedTuple):
    """One commit: ``size`` facts with the numbers from ``first`` on, and the CRC-32 of their wire form."""

    first: int
    size: int
    crc: int
    blob: bytes


class JournalFile:
    """One open journal file; every method may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except BaseException:
            self._db.close()
            raise
        found = path.stat()
        self._inode = (found.st_dev, found.st_ino)

    @classmethod
    def open(cls, path: Path) -> tuple[JournalFile, str]:
        """Open a journal, salvaging a damaged one.

        Returns:
            The file, and what was wrong in words for the operator (empty when nothing was).

        Raises:
            JournalFull: The file cannot be created or opened.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                opened = cls(path)
                wrong = opened.examine()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                opened, wrong = None, f"journal {path} is damaged ({error})"
            if not wrong:
                assert opened is not None
                return opened, ""
            if opened is not None:
                opened.close()
            return cls._salvage(path, wrong)
        except (OSError, sqlite3.OperationalError) as error:
            raise JournalFull(f"journal {path} cannot be opened: {error}") from error

    def examine(self) -> str:
        """Read every row once.

        Returns:
            The first damage with its place, empty for a sound file.
        """
        with self._lock:
            last = 0
            try:
                for row in self._db.execute("SELECT first, count, crc, blob FROM groups ORDER BY first"):
                    last = int(row[0])
                    wrong = group_damage(GroupRow(*row))
                    if wrong:
                        return f"journal {self.path}: row {row[0]} is damaged ({wrong})"
                self.head()
                self._db.execute("SELECT sum(length(blob)) FROM checkpoints").fetchone()
            except sqlite3.DatabaseError as error:
                return f"journal {self.path} is damaged after row {last} ({error})"
        return ""

    @classmethod
    def _salvage(cls, path: Path, wrong: str) -> tuple[JournalFile, str]:
        """Set the damaged file aside whole, and carry what can be read of it into a new one."""
        aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}")
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        fresh = cls(path)
        rows, highest, unread = 0, 0, 0
        for row in readable_groups(aside):
            highest = max(highest, row.first + row.size - 1)
            if group_damage(row):
                unread += 1
                continue
            fresh.append(row)
            rows += 1
        for seq, blob, crc, made_at in _readable_checkpoints(aside):
            if zlib.crc32(blob) == crc:
                highest = max(highest, seq)
                fresh.put_checkpoint(seq, blob, made_at)
        fresh.lift_head(max(highest, _readable_head(aside)) + _SKIP)
        text = f"{wrong}; it was set aside as {aside.name}, {rows} groups were carried over, {unread} could not be read"
        log.error("%s", text)
        return fresh, text

    def check_place(self) -> bool:
        """Notice that the file was taken away under us: SQLite would go on writing into a file without a name.

        Returns:
            False when the file is gone.

        Raises:
            JournalFull: Another file stands in its place, or the folder is out of reach.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise JournalFull(f"journal {self.path} is out of reach: {error.strerror}") from error
        if (found.st_dev, found.st_ino) != self._inode:
            raise JournalFull(f"journal {self.path} was replaced by another file")
        return True

    def written_again(self) -> JournalFile:
        """The whole journal in a new file under its name, after the file was deleted: what is open can still be read.

        It is written under another name first. Closing a deleted database removes write-ahead files by name, and those
        would be the new one's.

        Returns:
            The new file; this one is closed.

        Raises:
            OSError: The folder is gone too and cannot be made.
            sqlite3.Error: The disk refused.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(self.path.name + ".again")
        _remove(beside)
        fresh = JournalFile(beside)
        after = 0
        while rows := self.groups(after, 16):
            for row in rows:
                fresh.append(row)
                after = row.first + row.size - 1
        for seq, blob, _crc, made_at in reversed(list(self.checkpoints())):
            fresh.put_checkpoint(seq, blob, made_at)
        fresh.lift_head(self.head())
        fresh.close()
        self.close()
        _remove(self.path)
        beside.rename(self.path)
        return JournalFile(self.path)

    # ------------------------------------------------------------------------------------------------- groups

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def append(self, row: GroupRow) -> None:
        """Write one group; on return it is on disk.

        Raises:
            sqlite3.Error: Nothing was written.
        """
        with self._lock:
            self._db.execute("INSERT INTO groups VALUES (?, ?, ?, ?)", row)  # a statement alone is a transaction

    def groups(self, after: int, limit: int) -> list[GroupRow]:
        """Rows that hold facts above ``after``, in order.

        Raises:
            JournalDamaged: The file cannot be read from some place on.
        """
        with self._lock:
            try:
                rows = self._db.execute(
                    "SELECT first, count, crc, blob FROM groups WHERE first >= "
                    "coalesce((SELECT max(first) FROM groups WHERE first <= ?), 0)"
                    " AND first + count - 1 > ? ORDER BY first LIMIT ?",
                    (after + 1, after, limit),
                ).fetchall()
            except sqlite3.DatabaseError as error:
                raise JournalDamaged(f"journal {self.path} cannot be read after fact {after} ({error})") from error
        return [GroupRow(*row) for row in rows]

    def head(self) -> int:
        """Highest number ever used, 0 for none."""
        with self._lock:
            last = self._db.execute("SELECT first + count - 1 FROM groups ORDER BY first DESC LIMIT 1").fetchone()
            kept = self._db.execute("SELECT seq FROM head").fetchone()
        return max(int(last[0]) if last else 0, int(kept[0]) if kept else 0)

    def lift_head(self, seq: int) -> None:
        """Use no number up to ``seq`` again."""
        with self._transaction() as db:
            db.execute(_LIFT, (seq,))

    def prune(self, up_to_seq: int) -> int:
        """Delete groups wholly at or below ``up_to_seq``; the head stays where it is."""
        with self._transaction() as db:
            head = self.head()
            db.execute(_LIFT, (head,))
            return db.execute("DELETE FROM groups WHERE first + count - 1 <= ?", (up_to_seq,)).rowcount

    # ------------------------------------------------------------------------------------------------- checkpoints

    def put_checkpoint(self, seq: int, blob: bytes, made_at: float) -> None:
        """Add a dump and forget all but the last two."""
        with self._transaction() as db:
            db.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?)", (seq, blob, zlib.crc32(blob), made_at))
            db.execute(
                "DELETE FROM checkpoints WHERE rowid NOT IN"
                " (SELECT rowid FROM checkpoints ORDER BY rowid DESC LIMIT ?)",
                (_KEPT_CHECKPOINTS,),
            )

    def checkpoints(self) -> Iterator[tuple[int, bytes, int, float]]:
        """(seq, blob, crc, made_at), newest first; each is read when it is asked for, as mostly only the first is."""
        with self._lock:
            kept = self._db.execute("SELECT rowid FROM checkpoints ORDER BY rowid DESC").fetchall()
        for row in kept:
            with self._lock:
                yield self._db.execute(
                    "SELECT seq, blob, crc, made_at FROM checkpoints WHERE rowid = ?", row
                ).fetchone()

    # ------------------------------------------------------------------------------------------------- file

    def size(self) -> int:
        """Bytes on disk, with the write-ahead file."""
        parts = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    def close(self) -> None:
        """Let go of the file; SQLite folds the write-ahead file in."""
        with self._lock:
            self._db.close()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def group_damage(row: GroupRow) -> str:
    """What is wrong with a row, empty for nothing."""
    return "" if zlib.crc32(row.blob) == row.crc else "its checksum is wrong"


def readable_groups(path: Path) -> Iterator[GroupRow]:
    """What can be read of a damaged file, in order: forwards up to the damage, then backwards from the end to it."""
    if not _is_sqlite(path):
        return
    forwards, reached = _walk(path, "ASC", 0)
    yield from forwards
    if reached is not None:
        backwards, _ = _walk(path, "DESC", reached)
        yield from reversed(backwards)


def _walk(path: Path, order: str, above: int) -> tuple[list[GroupRow], int | None]:
    """Rows above a number until one cannot be fetched.

    Returns:
        The rows, and the last number reached when the walk broke off (``None`` when it came to the end).
    """
    rows: list[GroupRow] = []
    try:
        with closing(sqlite3.connect(path)) as db:
            query = f"SELECT first, count, crc, blob FROM groups WHERE first > ? ORDER BY first {order}"  # noqa: S608
            for row in db.execute(query, (above,)):
                rows.append(GroupRow(*row))  # noqa: PERF401 - those before the damage are kept
    except sqlite3.DatabaseError as error:
        log.error("%s: reading %s broke off after %d rows: %s", path, order, len(rows), error)
        return rows, rows[-1].first if rows else above
    return rows, None


def _readable_checkpoints(path: Path) -> list[tuple[int, bytes, int, float]]:
    if not _is_sqlite(path):
        return []
    try:
        with closing(sqlite3.connect(path)) as db:
            return db.execute("SELECT seq, blob, crc, made_at FROM checkpoints ORDER BY rowid").fetchall()
    except sqlite3.DatabaseError as error:
        log.error("%s: its checkpoints cannot be read: %s", path, error)
        return []


def _readable_head(path: Path) -> int:
    if not _is_sqlite(path):
        return 0
    try:
        with closing(sqlite3.connect(path)) as db:
            found = db.execute("SELECT seq FROM head").fetchone()
    except sqlite3.DatabaseError as error:
        log.error("%s: its head cannot be read: %s", path, error)
        return 0
    return int(found[0]) if found else 0


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC
