"""Tables that are not records of the books (reconciliations, equity, day closes) on their way to the store.

They have no place in the journal's numbering; their symbols count with a number of their own that only rises (microseconds
of our clock, or one more than the last where that was set back). While the store is away the newest of each snapshot and a
bounded number of appended tables are kept: what is dropped is only history of looking, never a fact, and the count of it is
shown.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from engine.storage.schema import table_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from engine.ports import Clock, Store

_LIMIT = 200_000
_COUNTED = frozenset({"fills", "orders", "positions", "assignments", "facts"})
"""Libraries whose numbers are the journal's."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One table to append or, for a snapshot symbol, to write."""

    library: str
    symbol: str
    columns: Mapping[str, Sequence[Any]]
    index: Sequence[datetime]
    number: int

    @property
    def numbered(self) -> Mapping[str, Sequence[Any]]:
        """The columns with the table's number."""
        return {**self.columns, "seq": [self.number] * len(self.index)}


class FrameQueue:
    """Keeps tables until the writer stores them; from any thread."""

    def __init__(self, clock: Clock) -> None:
        """Make an empty queue."""
        self._clock = clock
        self._lock = threading.Lock()
        self._frames: deque[Frame] = deque()
        self._snapshots: dict[tuple[str, str], Frame] = {}
        self._number = 0
        self.dropped = 0

    def resume_from(self, progress: Mapping[tuple[str, str], int]) -> None:
        """Number above what is stored, whatever the clock says: the store takes a lower number for one that it has."""
        with self._lock:
            self._number = max((seq for (library, _), seq in progress.items() if library not in _COUNTED), default=0)

    def add(self, library: str, symbol: str, columns: Mapping[str, Sequence[Any]], index: Sequence[datetime]) -> None:
        """Take a table; an empty one of an append-only symbol is nothing to store."""
        snapshot = table_for(library, symbol).snapshot
        if not snapshot and not len(index):
            return
        with self._lock:
            self._number = max(self._number + 1, int(self._clock.now().timestamp() * 1_000_000))
            frame = Frame(library, symbol, columns, index, self._number)
            if snapshot:
                self._snapshots[library, symbol] = frame
                return
            self._frames.append(frame)
            if len(self._frames) > _LIMIT:
                self._frames.popleft()
                self.dropped += 1

    def flush(self, store: Store, *, within_s: float = math.inf) -> bool:
        """Store what waits; what is refused stays.

        Args:
            within_s: Stop after so long, so that fills do not wait behind the first table of a very large account.

        Returns:
            True when everything is stored.

        Raises:
            StoreUnavailable: The store refused; the rest is kept.
        """
        end = time.monotonic() + within_s
        while self._frames:
            if time.monotonic() > end:
                return False
            frame = self._frames[0]
            store.append(frame.library, frame.symbol, frame.numbered, frame.index, frame.number)
            with self._lock:
                if self._frames and self._frames[0] is frame:
                    self._frames.popleft()
        for key, frame in list(self._snapshots.items()):
            store.write(frame.library, frame.symbol, frame.numbered, frame.index, frame.number)
            with self._lock:
                if self._snapshots.get(key) is frame:
                    del self._snapshots[key]
        return True

    def __len__(self) -> int:
        """Tables waiting."""
        return len(self._frames) + len(self._snapshots)
