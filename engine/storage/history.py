"""The archive of the books' past: a SQLite file beside the journal with blocks, and their keys in memory.

Blocks are put and dropped while the books go on; a checkpoint makes that durable. Each block carries the number of the
checkpoint it belongs to ("epoch"), and one that was dropped stays for two more checkpoints, so a start from either of the
two that the journal keeps finds the archive exactly as it was then: what came later is undone. A file that is damaged or
does not fit its checkpoint is no loss: everything in it is in ArcticDB, too, and the books are rebuilt from there.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from engine.errors import HistoryDamaged
from engine.storage.keys import Keys, Run

log = logging.getLogger(__name__)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS blocks (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, epoch INTEGER NOT NULL, dropped INTEGER,
    crc INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS epochs ON blocks (epoch);
CREATE INDEX IF NOT EXISTS dropped ON blocks (dropped) WHERE dropped IS NOT NULL;
CREATE INDEX IF NOT EXISTS kinds ON blocks (kind, number) WHERE dropped IS NULL;
CREATE TABLE IF NOT EXISTS runs (place INTEGER PRIMARY KEY, keys BLOB NOT NULL, numbers BLOB NOT NULL);
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
        self.epoch = 1
        self._keys = Keys()
        self._lock = threading.RLock()
        self._unstored = False
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._keys.load([_run(keys, numbers) for _, keys, numbers in self._rows()])
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
        try:
            return cls(path), ""
        except HistoryDamaged as error:
            for suffix in ("", "-wal", "-shm"):
                part = path.with_name(path.name + suffix)
                if part.exists():
                    part.replace(path.with_name(f"{path.name}.damaged{suffix}"))
            log.error("%s; it was set aside", error)
            return cls(path), f"{error}; it was set aside"

    def _rows(self) -> list[tuple[int, bytes, bytes]]:
        return self._db.execute("SELECT place, keys, numbers FROM runs ORDER BY place").fetchall()

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
        with self._lock:
            self._begin()
            made = self._db.execute(
                "INSERT INTO blocks (kind, epoch, crc, blob) VALUES (?, ?, ?, ?)",
                (kind, self.epoch, zlib.crc32(packed), packed),
            )
            number = int(made.lastrowid or 0)
            self._newest = number
            self._live += 1
            for key in keys:
                self._keys.add(key, number)
        return number

    def get(self, number: int) -> bytes | None:
        """A block, ``None`` when it was dropped.

        Raises:
            HistoryDamaged: It cannot be read.
        """
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
            raise HistoryDamaged(f"block {number} of the books' past in {self.path} cannot be read: {error}") from error
        raise HistoryDamaged(f"block {number} of the books' past in {self.path} is damaged")

    def find(self, key: int) -> Sequence[int]:
        """Blocks put with a key, dropped ones may be among them."""
        return self._keys.find(key)

    def numbers(self, kind: str) -> list[int]:
        """Every block of a kind that is there, in order."""
        with self._lock:
            rows = self._db.execute(
                "SELECT number FROM blocks WHERE kind = ? AND dropped IS NULL ORDER BY number", (kind,)
            ).fetchall()
        return [int(row[0]) for row in rows]

    def drop(self, number: int) -> None:
        """Forget a block from the next checkpoint on."""
        with self._lock:
            self._begin()
            dropped = self._db.execute(
                "UPDATE blocks SET dropped = ? WHERE number = ? AND dropped IS NULL", (self.epoch, number)
            )
            self._live -= dropped.rowcount

    # ------------------------------------------------------------------------------------------------- checkpoints

    def turn(self) -> None:
        """A checkpoint was taken: what is put and dropped from now on belongs to the next one."""
        self.epoch += 1

    def flush(self) -> None:
        """Make everything durable; before the checkpoint that counts on it is written.

        Raises:
            HistoryDamaged: The disk refused; it may be tried again.
        """
        try:
            with self._lock:
                self._begin()
                run = self._keys.seal()
                if run is not None:
                    self._unstored = True
                if self._unstored:
                    self._store_runs()
                self._db.execute("DELETE FROM blocks WHERE dropped <= ?", (self.epoch - 1 - _KEPT_EPOCHS,))
                self._db.execute("COMMIT")
                self._unstored = False
        except sqlite3.Error as error:
            raise HistoryDamaged(f"the books' past in {self.path} cannot be written: {error}") from error

    def _store_runs(self) -> None:
        """Write the runs that are not stored as they are: the last ones."""
        sizes = [int(size) for (size,) in self._db.execute("SELECT length(keys) / 8 FROM runs ORDER BY place")]
        runs = self._keys.runs
        same = 0
        while same < min(len(sizes), len(runs)) and sizes[same] == len(runs[same][0]):
            same += 1
        self._db.execute("DELETE FROM runs WHERE place >= ?", (same,))
        for place in range(same, len(runs)):
            keys, numbers = runs[place]
            self._db.execute("INSERT INTO runs VALUES (?, ?, ?)", (place, keys.tobytes(), numbers.tobytes()))

    def go_back(self, epoch: int) -> int:
        """Undo what was put and dropped after the checkpoint of that number; how many blocks are there then."""
        with self._lock:
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
        with self._lock:
            self._begin()
            self._db.execute("DELETE FROM blocks")
            self._db.execute("DELETE FROM runs")
            self._db.execute("COMMIT")
            self._keys = Keys()
            self.epoch, self._live, self._newest = 1, 0, 0

    def close(self) -> None:
        """Let go of the file; what was put since the last flush is forgotten."""
        with self._lock:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._db.close()

    def size(self) -> int:
        """Bytes on disk."""
        parts = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")


def _run(keys: bytes, numbers: bytes) -> Run:
    return np.frombuffer(keys, dtype=np.uint64), np.frombuffer(numbers, dtype=np.uint32)
