"""Which block holds a key: millions of 64-bit numbers in some twelve bytes each, answered in memory.

Nearly every question is about something new, so a filter of bits answers first: no bit, no block. The keys themselves are
sorted arrays ("runs"); each checkpoint adds one, and runs of like size are merged, so there are few. What came since the
last checkpoint is in a dictionary.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

import numpy as np

Run = tuple["np.ndarray[Any, np.dtype[np.uint64]]", "np.ndarray[Any, np.dtype[np.uint32]]"]
"""Sorted keys, and the number of the block of each."""

_MIX: Final = 0x9E3779B97F4A7C15
_WORD: Final = (1 << 64) - 1
_BITS_PER_KEY: Final = 12
_SMALLEST: Final = 16


class Keys:
    """Key -> blocks."""

    def __init__(self) -> None:
        """Nothing is known."""
        self.runs: list[Run] = []
        self._recent: dict[int, list[int]] = {}
        self._bits = _SMALLEST
        self._filter = bytearray(1 << (self._bits - 3))
        self._held = 0

    def __len__(self) -> int:
        """Keys in the runs."""
        return sum(len(keys) for keys, _ in self.runs)

    def add(self, key: int, number: int) -> None:
        """Note that a block holds a key."""
        self._recent.setdefault(key, []).append(number)

    def find(self, key: int) -> list[int]:
        """Blocks of a key, oldest first."""
        found: list[int] = []
        if self._held:
            mixed = (key * _MIX) & _WORD
            high, low = mixed >> (64 - self._bits), (mixed >> 8) & ((1 << self._bits) - 1)
            table = self._filter
            if table[high >> 3] >> (high & 7) & 1 and table[low >> 3] >> (low & 7) & 1:
                found = self._in_runs(key)
        recent = self._recent.get(key) if self._recent else None
        return [*found, *recent] if recent else found

    def _in_runs(self, key: int) -> list[int]:
        found: list[int] = []
        wanted = np.uint64(key)
        for keys, numbers in self.runs:
            place = int(keys.searchsorted(wanted))
            while place < len(keys) and keys[place] == wanted:
                found.append(int(numbers[place]))
                place += 1
        return sorted(found)

    def seal(self) -> Run | None:
        """Make a run of what came since the last time, merged with the latest runs that are not much larger.

        Returns:
            The new last run; ``None`` when nothing came. Each run is more than twice as long as the one after it.
        """
        if not self._recent:
            return None
        size, replaced = sum(map(len, self._recent.values())), 0
        each = np.fromiter(map(len, self._recent.values()), dtype=np.int64, count=len(self._recent))
        keys = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent)).repeat(each)
        numbers = np.fromiter(chain.from_iterable(self._recent.values()), dtype=np.uint32, count=size)
        parts: list[Run] = [(keys, numbers)]
        while replaced < len(self.runs) and len(self.runs[-1 - replaced][0]) <= 2 * size:
            part = self.runs[-1 - replaced]
            parts.append(part)
            size += len(part[0])
            replaced += 1
        keys = np.concatenate([part[0] for part in parts])
        numbers = np.concatenate([part[1] for part in parts])
        order = np.argsort(keys, kind="stable")
        run = (keys[order], numbers[order])
        self.runs = [*self.runs[: len(self.runs) - replaced], run]
        self._recent = {}
        self._mark(parts[0][0])
        return run

    def load(self, runs: list[Run]) -> None:
        """Take stored runs over."""
        self.runs = runs
        self._held = 0
        for keys, _ in runs:
            self._mark(keys)

    def _mark(self, keys: np.ndarray[Any, np.dtype[np.uint64]]) -> None:
        """Set the filter's bits of keys that are in the runs by now; a filter that is too full is made anew, larger."""
        self._held += len(keys)
        parts = [keys]
        if self._held * _BITS_PER_KEY > 1 << self._bits:
            while self._held * _BITS_PER_KEY > 1 << self._bits:
                self._bits += 1
            self._filter = bytearray(1 << (self._bits - 3))
            parts = [run for run, _ in self.runs]
        table = np.frombuffer(self._filter, dtype=np.uint8)
        for part in parts:
            mixed = part * np.uint64(_MIX)
            for place in (
                mixed >> np.uint64(64 - self._bits),
                (mixed >> np.uint64(8)) & np.uint64((1 << self._bits) - 1),
            ):
                bits = np.left_shift(np.uint8(1), (place & np.uint64(7)).astype(np.uint8))
                np.bitwise_or.at(table, (place >> np.uint64(3)).astype(np.int64), bits)
