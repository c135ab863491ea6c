"""Which block holds a key: millions of 63-bit numbers, answered from one and a half to three bytes each in memory.

Nearly every question is about something new, so a filter of bits answers first (see ``storage.sieve``). The keys themselves
are on disk, in sorted runs cut into chunks; each checkpoint adds a run, and runs of like size are merged, so there are few.
What came since the last checkpoint is in a dictionary.

The filter is stored by a clean stop and counts only while the runs are those it was made of. A start does not read it: who
asks about a key whose piece was not read yet is sent to the disk, and the piece comes into memory with the answer. Each
checkpoint notes its keys beside it, so that a start after a kill adds those, and stores all of it when they have become
many. What fits in no way, or is damaged, is made anew from the runs.
"""

from __future__ import annotations

import logging
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np

from engine.storage.sieve import FORM, KeyArray, Sieve, sealed, unsealed

log = logging.getLogger(__name__)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS chunks (place INTEGER, first INTEGER, size INTEGER, keys BLOB, numbers BLOB);
CREATE TABLE IF NOT EXISTS filter (sizes TEXT, bits INTEGER, blob BLOB);
"""
"""``filter`` has a row for each piece (the runs that it is valid for, its number, and itself), and behind them one for the
keys of each later checkpoint (the runs since then, how many, and the keys)."""

_INDEX: Final = """
CREATE INDEX IF NOT EXISTS runs ON chunks (place, first, size);
DROP INDEX IF EXISTS firsts;
"""
"""With the size, so that a start adds up the runs without walking over the keys; in place of one that had none."""

Run = tuple[KeyArray, "np.ndarray[Any, np.dtype[np.uint32]]"]
"""Sorted keys, and the number of the block of each."""

_CHUNK: Final = 512
_SHARE: Final = 8
"""The filter is stored as a whole when more than one key in so many came after it."""


class Keys:
    """Key -> blocks. Its owner guards it, and begins and ends transactions.

    Attributes:
        sizes: Keys in each run, the oldest and largest first.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        """Take over what is stored."""
        self._db = db
        self._recent: dict[int, tuple[int, ...]] = {}
        self._fresh = array("q")  # the keys in it, and beside them their blocks, as a run wants them
        self._numbers = array("I")
        self._run: tuple[list[int], KeyArray, int] | None = None
        with suppress(sqlite3.OperationalError):  # a disk that is full: an older file does without, and slower
            db.executescript(_INDEX)
        self.sizes = [int(n) for (n,) in db.execute("SELECT sum(size) FROM chunks GROUP BY place ORDER BY place")]
        self._sieve = Sieve(sum(self.sizes), stored=True)  # replaced as one: others look without a lock
        first = db.execute("SELECT sizes FROM filter WHERE rowid = 1").fetchone()
        self._kept = first == (_valid_for(self.sizes),)
        self._later: int | None = 0  # keys that are noted beside the stored filter; none is stored for None
        if not self._kept and (first is None or not self._go_on_from(first[0])):
            self._make_anew()

    def keep(self) -> None:
        """Store the filter as it is, so that the next start has nothing to add to it."""
        if self._kept:
            return
        self._db.execute("BEGIN IMMEDIATE")
        self._store_filter()
        self._db.execute("COMMIT")
        self._kept, self._later = True, 0

    def _store_filter(self) -> None:
        sieve, valid_for = self._sieve, _valid_for(self.sizes)
        assert not sieve.unread, "what is not stored is in memory"
        self._db.execute("DELETE FROM filter")
        for piece in range(sieve.pieces):
            row = (piece + 1, valid_for, piece, sieve.stored(piece, valid_for))
            self._db.execute("INSERT INTO filter (rowid, sizes, bits, blob) VALUES (?, ?, ?, ?)", row)

    def _go_on_from(self, valid_for: str) -> bool:
        """Read the filter of former runs and add what came since; False when it does not lead to these."""
        came, noted = valid_for, []
        query = "SELECT sizes, blob FROM filter WHERE rowid > ? ORDER BY rowid"
        for sizes, blob in self._db.execute(query, (self._sieve.pieces,)):
            keys = unsealed(blob, f"{came} {sizes}")
            if keys is None:
                return False
            noted.append(np.frombuffer(keys, dtype=np.int64))
            came = sizes
        if came != _valid_for(self.sizes) or not self._read(self._sieve.unread, valid_for):
            return False
        self._sieve.add(noted)
        self._later = sum(map(len, noted))
        return True

    def _note(self, fresh: KeyArray, sizes: Sequence[int]) -> int:
        """Note what the stored filter lacks from now on, or store it first; how many keys that are by now."""
        lacks = self._later
        if lacks is None or (lacks + len(fresh)) * _SHARE > sum(self.sizes):
            self._store_filter()
            lacks = 0
        valid_for = _valid_for(sizes)
        row = (valid_for, len(fresh), sealed(fresh.tobytes(), f"{_valid_for(self.sizes)} {valid_for}"))
        self._db.execute("INSERT INTO filter VALUES (?, ?, ?)", row)
        return lacks + len(fresh)

    def add(self, keys: Sequence[int], number: int) -> None:
        """Note that a block holds some keys."""
        recent = self._recent
        new: dict[int, tuple[int, ...]] = dict.fromkeys(keys, (number,))
        for key in recent.keys() & new.keys():
            new[key] = (*recent[key], number)
        recent.update(new)
        self._fresh.extend(keys)
        self._numbers.extend([number] * len(keys))

    def may_have_any(self, keys: Sequence[int]) -> bool:
        """False when no block holds any of them; without input or output.

        Every fact is asked about before it is booked, and nearly always the first bit of a key answers.
        """
        recent = self._recent
        return (bool(recent) and not recent.keys().isdisjoint(keys)) or self._sieve.any_of(keys)

    def find(self, key: int) -> list[int]:
        """Blocks of a key, oldest first."""
        found: list[int] = []
        if self._may_have(key):
            for place in range(len(self.sizes)):
                found += self._in_run(place, key)
        return [*found, *self._recent.get(key, ())]

    def _may_have(self, key: int) -> bool:
        """As the filter says, once the piece that decides was read."""
        sieve = self._sieve
        if sieve.unread and sieve.any_of((key,)) and not self._read(sieve.unread & {sieve.piece_of(key)}):
            self._make_anew()
        return self._sieve.any_of((key,))

    def _read(self, pieces: Iterable[int], valid_for: str = "") -> bool:
        """Read pieces of the filter; False when one is not as it was stored: then the rest is not believed either."""
        valid_for = valid_for or _valid_for(self.sizes)
        for piece in sorted(pieces):
            row = self._db.execute("SELECT sizes, blob FROM filter WHERE rowid = ?", (piece + 1,)).fetchone()
            if row is None or row[0] != valid_for or not self._sieve.read(piece, row[1], valid_for):
                log.warning("piece %d of the filter of the books' past is damaged; the filter is made anew", piece)
                return False
        return True

    def _make_anew(self) -> None:
        """Make a filter of the keys; meanwhile the former one, or none, answers."""
        made = Sieve(sum(self.sizes))
        made.add(self._all())
        self._sieve, self._kept, self._later = made, False, None

    def _in_run(self, place: int, key: int) -> Iterator[int]:
        """Blocks of a key in one run: mostly in one chunk, the last that begins at or below it."""
        query = "SELECT first, keys, numbers FROM chunks WHERE place = ? AND first <= ? ORDER BY first DESC"
        for first, packed, numbers in self._db.execute(query, (place, key)):
            keys = np.frombuffer(packed, dtype=np.int64)
            low, high = keys.searchsorted(key, "left"), keys.searchsorted(key, "right")
            yield from np.frombuffer(numbers, dtype=np.uint32)[low:high].tolist()
            if first < key:
                break

    def seal(self) -> None:
        """Write what came since the last time as a run, merged with the latest ones that are not much larger.

        Afterwards each run is more than twice as long as the one after it. It counts from :meth:`sealed` on, which follows
        the commit: one that is refused leaves everything as it was.
        """
        self._run = None
        if not self._recent:
            return
        if not self._read(self._sieve.unread):  # all of it is about to change
            self._make_anew()
        fresh, numbers = np.array(self._fresh, dtype=np.int64), np.array(self._numbers, dtype=np.uint32)
        parts: list[Run] = [(fresh, numbers)]
        size, sizes = len(fresh), list(self.sizes)
        while sizes and sizes[-1] <= 2 * size:
            size += sizes.pop()
            parts += self._chunks(len(sizes))
        self._db.execute("DELETE FROM chunks WHERE place >= ?", (len(sizes),))
        self._store(len(sizes), parts)
        sizes.append(size)
        self._run = sizes, fresh, self._note(fresh, sizes)

    def sealed(self) -> None:
        """What :meth:`seal` wrote is durable."""
        if self._run is None:
            return
        self.sizes, fresh, self._later = self._run
        if self._sieve.has_room(sum(self.sizes)):
            self._sieve.add([fresh])
            self._kept = False
        else:
            self._make_anew()
        self._recent, self._run = {}, None  # last: until here they answer those who look without a lock
        self._fresh, self._numbers = array("q"), array("I")

    def _store(self, place: int, parts: list[Run]) -> None:
        keys = np.concatenate([part[0] for part in parts])
        numbers = np.concatenate([part[1] for part in parts])
        order = np.argsort(keys, kind="stable")
        keys, numbers = keys[order], numbers[order]
        for first in range(0, len(keys), _CHUNK):
            some, theirs = keys[first : first + _CHUNK], numbers[first : first + _CHUNK]
            row = (place, int(some[0]), len(some), some.tobytes(), theirs.tobytes())
            self._db.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", row)

    def _chunks(self, place: int) -> Iterator[Run]:
        for keys, numbers in self._db.execute(
            "SELECT keys, numbers FROM chunks WHERE place = ? ORDER BY first", (place,)
        ):
            yield np.frombuffer(keys, dtype=np.int64), np.frombuffer(numbers, dtype=np.uint32)

    def _all(self) -> Iterator[KeyArray]:
        for (keys,) in self._db.execute("SELECT keys FROM chunks"):
            yield np.frombuffer(keys, dtype=np.int64)


def _valid_for(sizes: Sequence[int]) -> str:
    """What a stored filter must be of: runs of these sizes, which only ever grow, and this way to set its bits."""
    return f"{list(sizes)} {FORM}"
