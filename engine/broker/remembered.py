"""What was said last, by 64-bit numbers: a busy day is a million of them, at some sixteen bytes each.

A dictionary takes a hundred. So only the latest entries are in dictionaries; the others lie sorted in arrays, spread over
many short ones, so that taking in a dictionary moves a few thousand numbers and never the whole day.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

_SHELVES: Final = 64
_LOOSE: Final = 512

Numbers = np.ndarray[Any, np.dtype[np.int64]]


class Remembered:
    """Key -> value, both signed 64-bit numbers; the latest value of a key counts."""

    def __init__(self) -> None:
        nothing = np.empty(0, dtype=np.int64)
        self._loose: list[dict[int, int]] = [{} for _ in range(_SHELVES)]
        self._keys: list[Numbers] = [nothing] * _SHELVES
        self._values: list[Numbers] = [nothing] * _SHELVES

    def get(self, key: int) -> int | None:
        """The key's value; ``None`` for an unknown one."""
        shelf = key % _SHELVES
        found = self._loose[shelf].get(key)
        if found is not None:
            return found
        keys = self._keys[shelf]
        place = int(keys.searchsorted(key))
        return int(self._values[shelf][place]) if place < len(keys) and keys[place] == key else None

    def put(self, key: int, value: int) -> None:
        """Set the key's value."""
        shelf = key % _SHELVES
        loose = self._loose[shelf]
        loose[key] = value
        if len(loose) >= _LOOSE:
            self._settle(shelf)

    def _settle(self, shelf: int) -> None:
        loose = self._loose[shelf]
        keys = np.concatenate([self._keys[shelf], np.fromiter(loose.keys(), np.int64, len(loose))])
        values = np.concatenate([self._values[shelf], np.fromiter(loose.values(), np.int64, len(loose))])
        order = keys.argsort(kind="stable")  # of equal keys the latest stays last
        keys, values = keys[order], values[order]
        last = np.append(keys[1:] != keys[:-1], True)
        self._keys[shelf], self._values[shelf] = keys[last], values[last]
        self._loose[shelf] = {}
