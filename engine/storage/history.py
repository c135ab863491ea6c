"""The archive of the books' past: a SQLite file beside the journal with blocks and their keys.

Blocks are put and dropped while the books go on; a checkpoint makes that durable. Each block carries the number of the
checkpoint it belongs to ("epoch"), and one that was dropped stays for two more checkpoints, so a start from either of the
two that the journal keeps finds the archive exactly as it was then: what came later is undone. A file that is damaged or
does not fit its checkpoint is no loss: everything in it is in ArcticDB, too, and the books are rebuilt from there.

When the disk is full, SQLite takes back the whole transaction, and with it blocks that it had taken before. The books no
longer hold what is in them, so an execution that is told again would be booked again. Blocks are therefore kept, packed,
until they are durable, and written once more when the disk has room.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from engine.errors import HistoryDamaged
from engine.storage.keys import SCHEMA, Keys

log = logging.getLogger(__name__)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS blocks (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, epoch INTEGER NOT NULL, dropped INTEGER,
    crc INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS epochs ON blocks (epoch);
CREATE INDEX IF NOT EXISTS dropped ON blocks (dropped) WHERE dropped IS NOT NULL;
CREATE INDEX IF NOT EXISTS kinds ON blocks (kind, number) WHERE dropped IS NULL;
"""
_KEPT_EPOCHS: Final = 2
_LEVEL: Final = 1


class History:
    """The archive behind the ``Archive`` door.

    Args:
        path: The database file; its folder exists.

    Raises:
        HistoryDamaged: The file cannot be opened or read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark = _mark(path)
        self._dropped: dict[int, int] = {}
        self._unsaved: dict[int, tuple[str, int, bytes]] = {}  # number -> kind, epoch, packed
        self.epoch = 1
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA + SCHEMA)
            self._keys = Keys(self._db)
            self._newest = self._number("SELECT max(number) FROM blocks")
            self._live = self._number("SELECT count(*) FROM blocks WHERE dropped IS NULL")
        except sqlite3.Error as error:
            raise HistoryDamaged(f"the books' past in {path} cannot be read: {error}") from error

    @classmethod
    def open(cls, path: Path) -> tuple[History, str]:
        """Open the archive; a damaged one is set aside.

        Returns:
            The archive, and what was wrong in words (empty when nothing was).
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        wrong = f"the books' past in {path} was found damaged" if _mark(path).exists() else ""
        try:
            if not wrong:
                return cls(path), ""
        except HistoryDamaged as error:
            wrong = str(error)
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.replace(path.with_name(f"{path.name}.damaged{suffix}"))
        _mark(path).unlink(missing_ok=True)
        log.error("%s; it was set aside", wrong)
        return cls(path), f"{wrong}; it was set aside"

    def _number(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0] or 0)

    # ------------------------------------------------------------------------------------------------- the door

    @property
    def empty(self) -> bool:
        """True while nothing was ever put."""
        return not self._newest

    @property
    def count(self) -> int:
        """Number of blocks that are there."""
        return self._live

    def put(self, kind: str, blob: bytes, keys: Sequence[int]) -> int:
        """Take a block; see ``ports.Archive``."""
        packed = zlib.compress(blob, _LEVEL)
        with self._written():
            self._begin()
            made = self._db.execute(
                "INSERT INTO blocks (kind, epoch, crc, blob) VALUES (?, ?, ?, ?)",
                (kind, self.epoch, zlib.crc32(packed), packed),
            )
            number = int(made.lastrowid or 0)
            self._unsaved[number] = kind, self.epoch, packed
            self._keys.add(keys, number)  # a checkpoint that comes now in its own thread takes both, or neither
        self._newest = number
        self._live += 1
        return number

    def get(self, number: int) -> bytes | None:
        """A block, ``None`` when it was dropped.

        Raises:
            HistoryDamaged: It cannot be read.
        """
        if number in self._dropped:
            return None
        unsaved = self._unsaved.get(number)
        if unsaved is not None:
            return zlib.decompress(unsaved[2])
        try:
            with self._lock:
                row = self._db.execute(
                    "SELECT crc, blob FROM blocks WHERE number = ? AND dropped IS NULL", (number,)
                ).fetchone()
            if row is None:
                return None
            if zlib.crc32(row[1]) == row[0]:
                return zlib.decompress(row[1])
        except sqlite3.DatabaseError as error:
            raise self._damaged(f"block {number}", str(error)) from error
        raise self._damaged(f"block {number}", "its checksum is wrong")

    def _damaged(self, what: str, why: str) -> HistoryDamaged:
        with suppress(OSError):  # a disk that takes no mark says so elsewhere
            self._mark.touch()  # the next start does without this file
        return HistoryDamaged(f"{what} of the books' past in {self.path} cannot be read: {why}")

    def may_have_any(self, keys: Sequence[int]) -> bool:
        """False when no block was put with any of these keys; in memory."""
        return self._keys.may_have_any(keys)

    def find(self, key: int) -> Sequence[int]:
        """Blocks put with a key, dropped ones may be among them.

        Raises:
            HistoryDamaged: The keys cannot be read.
        """
        if not self._keys.may_have_any((key,)):
            return ()
        try:
            with self._lock:
                return self._keys.find(key)
        except (sqlite3.DatabaseError, ValueError) as error:
            raise self._damaged("a key", str(error)) from error

    def numbers(self, kind: str) -> list[int]:
        """Every block of a kind that is there, in order."""
        try:
            with self._lock:
                rows = self._db.execute(
                    "SELECT number FROM blocks WHERE kind = ? AND dropped IS NULL", (kind,)
                ).fetchall()
                there = {int(row[0]) for row in rows} | {n for n, (its, _, _) in self._unsaved.items() if its == kind}
        except sqlite3.DatabaseError as error:
            raise self._damaged("the list", str(error)) from error
        return sorted(there - self._dropped.keys())

    def drop(self, number: int) -> None:
        """Forget a block from the next checkpoint on; nothing is written before it."""
        with self._lock:
            if number not in self._dropped:
                self._dropped[number] = self.epoch
                self._live -= 1

    # ------------------------------------------------------------------------------------------------- checkpoints

    def turn(self) -> None:
        """A checkpoint was taken: what is put and dropped from now on belongs to the next one."""
        self.epoch += 1

    def flush(self) -> None:
        """Make everything durable; before the checkpoint that counts on it is written.

        Raises:
            HistoryDamaged: The disk refused; it may be tried again.
        """
        with self._written():
            self._begin()
            self._save()
            self._db.execute("COMMIT")
            self._keys.sealed()
            self._dropped.clear()
            self._unsaved.clear()

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Write under the lock; what SQLite refuses is taken back whole, and written again when it is tried again."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                raise HistoryDamaged(f"the books' past in {self.path} cannot be written: {error}") from error

    def _save(self) -> None:
        self._db.executemany(
            "UPDATE blocks SET dropped = ? WHERE number = ?", [(epoch, n) for n, epoch in self._dropped.items()]
        )
        self._db.execute("DELETE FROM blocks WHERE dropped <= ?", (self.epoch - 1 - _KEPT_EPOCHS,))
        self._keys.seal()

    def go_back(self, epoch: int) -> int:
        """Undo what was put and dropped after the checkpoint of that number; how many blocks are there then."""
        with self._written():
            self._dropped.clear()
            self._unsaved.clear()
            self._begin()
            self._db.execute("DELETE FROM blocks WHERE epoch > ?", (epoch,))
            self._db.execute("UPDATE blocks SET dropped = NULL WHERE dropped > ?", (epoch,))
            self._db.execute("COMMIT")
            self.epoch = epoch + 1
            self._live = self._number("SELECT count(*) FROM blocks WHERE dropped IS NULL")
            self._newest = self._number("SELECT max(number) FROM blocks")
        return self._live

    def clear(self) -> None:
        """Forget everything: the books begin elsewhere."""
        with self._written():
            self._dropped.clear()
            self._unsaved.clear()
            self._begin()
            self._db.execute("DELETE FROM blocks")
            self._db.execute("DELETE FROM chunks")
            self._db.execute("DELETE FROM filter")
            self._db.execute("COMMIT")
            self._keys = Keys(self._db)
            self.epoch, self._live, self._newest = 1, 0, 0

    def close(self) -> None:
        """Let go of the file; what was put since the last flush is forgotten."""
        with self._lock:
            try:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._keys.keep()
            except sqlite3.Error as error:
                log.warning("%s: the filter is not kept, the next start makes it anew: %s", self.path, error)
            self._db.close()

    def size(self) -> int:
        """Bytes on disk."""
        parts = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    def _begin(self) -> None:
        if self._db.in_transaction:
            return
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT INTO blocks (number, kind, epoch, crc, blob) VALUES (?, ?, ?, ?, ?)",
            [(number, kind, epoch, zlib.crc32(blob), blob) for number, (kind, epoch, blob) in self._unsaved.items()],
        )


def _mark(path: Path) -> Path:
    """The file that says that the archive was found damaged while it was in use."""
    return path.with_name(f"{path.name}.bad")
