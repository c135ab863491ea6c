"""Which block holds a key: millions of 63-bit numbers, answered from a bit and a half each in memory.

Nearly every question is about something new, so a filter of bits answers first: no bit, no block. The keys themselves are on
disk, in sorted runs cut into chunks; each checkpoint adds a run, and runs of like size are merged, so there are few. What
came since the last checkpoint is in a dictionary.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS chunks (place INTEGER, first INTEGER, size INTEGER, keys BLOB, numbers BLOB);
CREATE INDEX IF NOT EXISTS firsts ON chunks (place, first);
CREATE TABLE IF NOT EXISTS filter (sizes TEXT, bits INTEGER, blob BLOB);
"""

Run = tuple["np.ndarray[Any, np.dtype[np.int64]]", "np.ndarray[Any, np.dtype[np.uint32]]"]
"""Sorted keys, and the number of the block of each."""

_CHUNK: Final = 512
_MIX: Final = 0x9E3779B97F4A7C15
_WORD: Final = (1 << 64) - 1
_BITS_PER_KEY: Final = 12
_PROBES: Final = 4
"""Bits of the filter that a key has: a stranger is taken for known once in 150 to 2,000 times, and read on disk for then."""
_SMALLEST: Final = 16
_PIECE: Final = 4096


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
        self._run: tuple[list[int], np.ndarray[Any, np.dtype[np.int64]]] | None = None
        self._filter = _SMALLEST, bytearray(1 << (_SMALLEST - 3))  # replaced as one: others look without a lock
        self.sizes = [int(n) for (n,) in db.execute("SELECT sum(size) FROM chunks GROUP BY place ORDER BY place")]
        kept = db.execute("SELECT bits, blob FROM filter WHERE sizes = ?", (self._valid_for(),)).fetchone()
        if kept is not None:
            self._filter = int(kept[0]), bytearray(kept[1])
        else:
            self._remember(self._all())

    def keep(self) -> None:
        """Store the filter as well, so that the next start need not make it; it counts only while the runs are these."""
        bits, table = self._filter
        self._db.execute("DELETE FROM filter")
        self._db.execute("INSERT INTO filter VALUES (?, ?, ?)", (self._valid_for(), bits, bytes(table)))

    def _valid_for(self) -> str:
        """What a stored filter must be of: these runs, and this way to set its bits."""
        return f"{self.sizes!r} {_PROBES}"

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
        if recent and not recent.keys().isdisjoint(keys):
            return True
        return bool(self.sizes) and any(map(self._has_bits, keys))

    def _has_bits(self, key: int) -> bool:
        bits, table = self._filter
        mixed = (key * _MIX) & _WORD
        place = mixed >> (64 - bits)
        if not table[place >> 3] >> (place & 7) & 1:
            return False
        mask = (1 << bits) - 1
        step = mixed >> 8 & mask | 1
        for _ in range(1, _PROBES):
            place = (place + step) & mask
            if not table[place >> 3] >> (place & 7) & 1:
                return False
        return True

    def find(self, key: int) -> list[int]:
        """Blocks of a key, oldest first."""
        found: list[int] = []
        if self.sizes and self._has_bits(key):
            for place in range(len(self.sizes)):
                found += self._in_run(place, key)
        return [*found, *self._recent.get(key, ())]

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
        fresh, numbers = np.array(self._fresh, dtype=np.int64), np.array(self._numbers, dtype=np.uint32)
        parts: list[Run] = [(fresh, numbers)]
        size, sizes = len(fresh), list(self.sizes)
        while sizes and sizes[-1] <= 2 * size:
            size += sizes.pop()
            parts += self._chunks(len(sizes))
        self._db.execute("DELETE FROM chunks WHERE place >= ?", (len(sizes),))
        self._store(len(sizes), parts)
        self._run = [*sizes, size], fresh

    def sealed(self) -> None:
        """What :meth:`seal` wrote is durable."""
        if self._run is None:
            return
        self.sizes, fresh = self._run
        self._remember([fresh])
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

    def _all(self) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
        for (keys,) in self._db.execute("SELECT keys FROM chunks"):
            yield np.frombuffer(keys, dtype=np.int64)

    def _remember(self, parts: Iterable[np.ndarray[Any, np.dtype[np.int64]]]) -> None:
        """Set the filter's bits of keys that are stored now; a filter that is too full is made anew, larger."""
        held = sum(self.sizes)
        bits, kept = self._filter
        if held * _BITS_PER_KEY > 1 << bits:
            while held * _BITS_PER_KEY > 1 << bits:
                bits += 1
            kept = bytearray(1 << (bits - 3))
            parts = self._all()
        table = np.frombuffer(kept, dtype=np.uint8)
        for part in _small(parts):
            mixed = part.astype(np.uint64) * np.uint64(_MIX)
            mask = np.uint64((1 << bits) - 1)
            place, step = mixed >> np.uint64(64 - bits), (mixed >> np.uint64(8)) & mask | np.uint64(1)
            for _ in range(_PROBES):
                one = np.left_shift(np.uint8(1), (place & np.uint64(7)).astype(np.uint8))
                np.bitwise_or.at(table, (place >> np.uint64(3)).astype(np.int64), one)
                place = (place + step) & mask
        self._filter = bits, kept


def _small(
    parts: Iterable[np.ndarray[Any, np.dtype[np.int64]]],
) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """The same in pieces: what is done to one at once holds the interpreter, and the server's loop with it."""
    for part in parts:
        for first in range(0, len(part), _PIECE):
            yield part[first : first + _PIECE]
