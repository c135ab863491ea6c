"""What keeps a year of trading as fast as its first day: compaction, pruning, end-of-day snapshots.

Each append adds a segment, and an index over all segments is written with every version: after 5000 appends an append
takes four times as long and a read two hundred times. So old versions are pruned with every append (the store does
that), and symbols of many small segments are compacted here, a symbol at a time, by the writer's own thread between two
batches and within a slice of time. Intake does not notice: the journal has a thread of its own.

A busy symbol is compacted after so many appends and not only when a round is due. What a compaction takes depends on how
many segments it reads, not on their rows: measured with 40 columns, 4000 segments of five rows cost 730 MiB and 0.6 s,
400 of them 10 MiB and 0.05 s, and all appends together a third of the time.

At the end of each UTC day ArcticDB takes a snapshot ``eod-YYYY-MM-DD`` of every library, after compaction, so that the
versions it holds on to are small. Snapshots beyond the retention are deleted.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from itertools import pairwise
from typing import Any, Final, NamedTuple

from engine.errors import StoreUnavailable
from engine.ports import Clock
from engine.storage.arctic import ArcticStore
from engine.storage.names import encode_symbol
from engine.storage.schema import LIBRARIES

log = logging.getLogger(__name__)

SNAPSHOT_PREFIX: Final = "eod-"
_MANY_SEGMENTS: Final = 100
_FEW_SEGMENTS: Final = 5
_CELL_BYTES: Final = 16


class LibrarySize(NamedTuple):
    """What a library takes.

    Attributes:
        bytes: File size on LMDB (it never shrinks), -1 on S3 where asking would cost a listing.
        map_bytes: Room of the LMDB map, -1 on S3.
    """

    library: str
    symbols: int
    bytes: int
    map_bytes: int


class Housekeeper:
    """Keeps the store compact; call it from the writer's thread between batches.

    Args:
        store: Open for writing.
        clock: Says when a round is due and when a day has ended.
        every_s: Seconds between rounds over symbols that are not busy; 0 switches compaction off.
        keep_snapshots_days: Days that end-of-day snapshots are kept; 0 makes none (those that exist are deleted).
        slice_s: Seconds of one call, give or take one symbol.
        busy_appends: Appends after which a symbol is compacted whatever the time.

    Attributes:
        compacted: Symbols compacted since the start.
        last_snapshot: Name of the last one taken, empty for none.
    """

    def __init__(
        self,
        store: ArcticStore,
        clock: Clock,
        *,
        every_s: float = 900.0,
        keep_snapshots_days: int = 400,
        slice_s: float = 0.25,
        busy_appends: int = 400,
    ) -> None:
        self._store = store
        self._clock = clock
        self._every_s = every_s
        self._keep_days = keep_snapshots_days
        self._slice_s = slice_s
        self._busy_appends = busy_appends
        self._due_at = clock.monotonic() + every_s
        self._day = clock.now().date()
        self._work: deque[tuple[str, str, int]] = deque()
        self._day_to_keep: date | None = None
        self._first_round = True
        self.compacted = 0
        self.last_snapshot = ""

    def __call__(self) -> None:
        """Do a slice of what is due.

        Raises:
            StoreUnavailable: The store refused; what was due stays due.
        """
        self._plan()
        deadline = time.perf_counter() + self._slice_s
        while self._work and time.perf_counter() < deadline:
            library, symbol, least = self._work[0]
            self._compact(library, symbol, least)
            self._work.popleft()
        if not self._work and self._day_to_keep is not None:
            self.snapshot(self._day_to_keep)
            self._day_to_keep = None

    def _plan(self) -> None:
        today = self._clock.now().date()
        if today > self._day:
            self._day_to_keep = today - timedelta(days=1)
            self._day = today
            self._gather(_FEW_SEGMENTS)
        elif self._every_s and self._clock.monotonic() >= self._due_at:
            self._gather(_MANY_SEGMENTS)
        elif self._every_s:
            for library, symbol in [s for s, appends in self._store.touched.items() if appends >= self._busy_appends]:
                del self._store.touched[library, symbol]
                self._work.append((library, symbol, _MANY_SEGMENTS))

    def _gather(self, least: int) -> None:
        self._due_at = self._clock.monotonic() + self._every_s
        if self._first_round:  # appends of an earlier run are not counted anywhere
            found = [
                (lib, name) for lib in self._store.libraries() if lib in LIBRARIES for name in self._store.symbols(lib)
            ]
            self._first_round = False
        else:
            found = sorted(self._store.touched)
        self._store.touched.clear()
        self._work.extend((library, symbol, least) for library, symbol in found)

    def _compact(self, library: str, symbol: str, least: int) -> None:
        handle = self._store.handle
        target = handle.library(library)
        encoded = encode_symbol(symbol)
        if target is None or not handle.guarded(f"look for {library}/{symbol} in", lambda: target.has_symbol(encoded)):
            return
        plan = handle.guarded(f"look at {library}/{symbol} in", lambda: target.compact_data_explain_plan(encoded))
        if not plan.will_do_work or plan.num_row_slices_before < least:
            return
        about = handle.guarded(f"look at {library}/{symbol} in", lambda: target.get_description(encoded))
        needed = _rows_to_write(plan.row_slices_before, plan.row_slices_after) * len(about.columns) * _CELL_BYTES
        try:
            handle.check_room(library, needed)
        except StoreUnavailable as error:
            log.warning("%s/%s is not compacted: %s", library, symbol, error)
            return
        with handle.lock:
            handle.guarded(
                f"compact {library}/{symbol} in", lambda: target.compact_data(encoded, prune_previous_versions=True)
            )
        self.compacted += 1

    def snapshot(self, day: date) -> str:
        """Take the end-of-day snapshot of every library that has none of that day, and delete expired ones.

        Returns:
            Its name, for ``read(..., as_of=name)``.

        Raises:
            StoreUnavailable: The store refused; calling again goes on where it stopped.
        """
        handle = self._store.handle
        name = f"{SNAPSHOT_PREFIX}{day.isoformat()}"
        oldest = f"{SNAPSHOT_PREFIX}{(day - timedelta(days=self._keep_days)).isoformat()}"
        for library in handle.library_names():
            target = handle.library(library)
            if library not in LIBRARIES or target is None:
                continue
            taken = set(
                handle.guarded(f"list snapshots of {library} in", partial(target.list_snapshots, load_metadata=False))
            )
            with handle.lock:
                if self._keep_days and name not in taken and handle.guarded(f"list {library} of", target.list_symbols):
                    handle.check_room(library, 1 << 20)
                    made = {"made_at": self._clock.now().isoformat()}
                    handle.guarded(
                        f"take snapshot {name} of {library} in", partial(target.snapshot, name, metadata=made)
                    )
                for old in sorted(taken):
                    if old.startswith(SNAPSHOT_PREFIX) and old <= oldest:
                        handle.guarded(f"delete snapshot {old} of {library} in", partial(target.delete_snapshot, old))
        self.last_snapshot = name if self._keep_days else ""
        return name

    def sizes(self) -> list[LibrarySize]:
        """What each library takes; may be called from any thread.

        Raises:
            StoreUnavailable: The store cannot be read.
        """
        return library_sizes(self._store)


def _rows_to_write(before: Sequence[int], after: Sequence[int]) -> int:
    """Rows of the segments that a compaction writes; both are the segments' edges, first row to last."""
    kept = set(pairwise(before))
    return sum(end - start for start, end in pairwise(after) if (start, end) not in kept)


def library_sizes(store: ArcticStore) -> list[LibrarySize]:
    """What each library takes.

    Raises:
        StoreUnavailable: The store cannot be read.
    """
    handle = store.handle
    found = []
    for library in handle.library_names():
        size, room = -1, -1
        if handle.path is not None:
            file = handle.path / library / "data.mdb"
            size, room = (file.stat().st_size if file.exists() else 0), handle.map_bytes
        found.append(LibrarySize(library, len(store.symbols(library)), size, room))
    return found


def snapshots(store: ArcticStore) -> list[str]:
    """Names of the end-of-day snapshots of any library, oldest first.

    Raises:
        StoreUnavailable: The store cannot be read.
    """
    handle = store.handle
    names: set[str] = set()
    for library in handle.library_names():
        target: Any = handle.library(library)
        names |= set(
            handle.guarded(f"list snapshots of {library} in", partial(target.list_snapshots, load_metadata=False))
        )
    return sorted(name for name in names if name.startswith(SNAPSHOT_PREFIX))
