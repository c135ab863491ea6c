"""The stored books: ArcticDB on LMDB or S3.

What this module promises, and how:

- *Nothing is overwritten.* An append-only symbol is only ever appended to. A failed append is raised, never followed by
  a write. A symbol is created only after the library answered and said that it does not exist.
- *Nothing is stored twice.* Each append carries, as metadata in the same commit, the journal sequence up to which the
  symbol is complete. Rows at or below it are left out of the next append, so a batch that was committed but not
  acknowledged can be offered again.
- *Time never goes back.* ``recorded_at`` is lifted to the last stored index where a clock was set back, for ArcticDB
  refuses older rows.
- *The operator hears the reason.* Every failure is a ``StoreUnavailable`` that names place and cause; ``reopen`` tries
  again with a fresh handle.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from engine.errors import StoreUnavailable
from engine.storage.calls import noted
from engine.storage.handle import MEBI, Handle, acquire, redacted, release
from engine.storage.listing import mend_list, symbols_of, unlisted
from engine.storage.names import decode_symbol, encode_symbol, is_shortened
from engine.storage.reader import Tables
from engine.storage.schema import LIBRARIES, Table, build_frame, empty_frame, localize, table_for, times

log = logging.getLogger(__name__)

DEFAULT_MAP_GB: Final = 100.0
Index = Sequence[datetime] | np.ndarray[Any, np.dtype[np.datetime64]]
_NOTHING_YET: Final = np.iinfo(np.int64).min


@dataclass(slots=True)
class _Cursor:
    """How far one symbol has come: as stored, kept here to save a read per append.

    ``exists`` is False for a symbol that was proven to be missing. ``version`` is ArcticDB's, -1 for none.
    """

    seq: int = -1
    last_ns: int = _NOTHING_YET
    exists: bool = False
    version: int = -1


class ArcticStore(Tables):
    """The stored books behind the ``Store`` door.

    One instance per engine; readers of the same process may open their own, they share the handle. Every method may be
    called from any thread and blocks while ArcticDB works. Only one process may write (see ``storage.lock``).

    Args:
        uri: ``lmdb://PATH`` or ``s3://…`` as ArcticDB spells them.
        map_gb: GiB of address room per library on LMDB; sparse, so its size costs nothing.
        read_only: Refuse writes, and do not create what does not exist.

    Attributes:
        uri: Where, without keys: fit to be shown.
        touched: (library, symbol) -> appends since housekeeping last looked.

    Raises:
        StoreUnavailable: The store cannot be opened.
    """

    def __init__(self, uri: str, *, map_gb: float = DEFAULT_MAP_GB, read_only: bool = False) -> None:
        self.uri = redacted(uri)
        self.read_only = read_only
        self._uri = uri
        self._map_gb = map_gb
        self._lock = threading.RLock()
        self._cursors: dict[tuple[str, str], _Cursor] = {}
        self.touched: dict[tuple[str, str], int] = {}
        self._handle: Handle | None = acquire(uri, map_gb=map_gb, create=not read_only)

    # ------------------------------------------------------------------------------------------------- life

    def close(self) -> None:
        """Let go of the store; further calls raise ``StoreUnavailable``. Idempotent."""
        with self._lock:
            handle, self._handle = self._handle, None
            self._cursors.clear()
        if handle is not None:
            release(handle)

    def reopen(self, map_gb: float | None = None) -> None:
        """Try again with a fresh handle, after the store was deleted, replaced, full or out of reach.

        What is known of the symbols is read anew, so a store that came back empty is filled from the beginning.

        Raises:
            StoreUnavailable: It still cannot be opened.
        """
        with noted(f"reopen {self.uri}"), self._lock:
            self.close()
            self._map_gb = self._map_gb if map_gb is None else map_gb
            self._handle = acquire(self._uri, map_gb=self._map_gb, create=not self.read_only)

    @property
    def broken(self) -> str:
        """Why the handle must not be used any more (``reopen`` makes a new one), empty while it may."""
        return "closed" if self._handle is None else self._handle.broken

    @property
    def handle(self) -> Handle:
        """The process's handle (for housekeeping).

        Raises:
            StoreUnavailable: The store is closed.
        """
        if self._handle is None:
            raise StoreUnavailable(f"{self.uri} is closed")
        return self._handle

    def check(self) -> None:
        """Notice a store that is gone, replaced or out of reach; a few microseconds on LMDB, one request on S3.

        Raises:
            StoreUnavailable: It is.
        """
        self.handle.check_place()

    # ------------------------------------------------------------------------------------------------- writing

    def append(self, library: str, symbol: str, columns: Mapping[str, Sequence[Any]], index: Index, seq: int) -> None:
        """Append rows to an append-only symbol; idempotent.

        Args:
            columns: Of the table in ``schema``; missing ones are stored as unknown. With a ``seq`` column, rows at or
                below the stored progress are left out; without one, the whole batch when ``seq`` is.
            index: ``recorded_at``, aware or as datetime64[ns] in UTC; lifted where it lies before what is stored.
            seq: The journal sequence up to which the symbol is complete with these rows.

        Raises:
            StoreUnavailable: Nothing was stored, or it is unknown whether it was; offering the batch again is safe.
            ValueError: The columns do not fit the table.
        """
        table = table_for(library, symbol)
        assert not table.snapshot, f"{library}/{symbol} is a snapshot: it is written, never appended to"
        with noted(f"append to {library}/{symbol} in {self.uri}"), self._lock:
            self._writable()
            cursor = self._cursor(library, symbol, create=True)
            if seq <= cursor.seq:
                return
            frame = build_frame(table, columns, _rising(index, cursor.last_ns))
            if "seq" in columns and len(frame):
                fresh = frame["seq"].to_numpy() > cursor.seq
                frame = frame if fresh.all() else frame[fresh]
            if frame.empty:
                return
            self._store(library, symbol, frame, seq, cursor, append=True)

    def write(self, library: str, symbol: str, columns: Mapping[str, Sequence[Any]], index: Index, seq: int) -> None:
        """Replace a snapshot symbol; one that is older than what is stored is left out.

        Raises:
            StoreUnavailable: The former rows still stand.
            ValueError: The columns do not fit the table.
        """
        table = table_for(library, symbol)
        assert table.snapshot, f"{library}/{symbol} is append-only: it is never overwritten"
        with noted(f"write {library}/{symbol} in {self.uri}"), self._lock:
            self._writable()
            cursor = self._cursor(library, symbol, create=True)
            if seq < cursor.seq:
                return
            frame = build_frame(table, columns, _rising(index, _NOTHING_YET))
            self._store(library, symbol, frame, seq, cursor, append=False)

    def _store(
        self, library: str, symbol: str, frame: pd.DataFrame, seq: int, cursor: _Cursor, *, append: bool
    ) -> None:
        handle = self.handle
        target = handle.library(library, create=True)
        assert target is not None
        encoded = encode_symbol(symbol)
        metadata: dict[str, Any] = {"seq": int(seq)}
        if is_shortened(encoded):
            metadata["name"] = symbol
        # Measured: a commit takes 8 to 24 bytes a cell and some pages for keys and versions.
        handle.check_room(library, 256 * 1024 + frame.size * 32)
        call = target.append if append else target.write
        # Until ArcticDB has answered, what is stored is unknown: the next attempt must ask.
        self._cursors.pop((library, symbol), None)
        with handle.lock:
            item = handle.guarded(
                f"{'append to' if append else 'write'} {library}/{symbol} in",
                lambda: call(encoded, frame, metadata=metadata, prune_previous_versions=True, validate_index=False),
            )
        if append and cursor.exists and item.version <= cursor.version:
            raise StoreUnavailable(
                f"{self.uri}: {library}/{symbol} went back from version {cursor.version} to {item.version}:"
                " rows were lost under the engine; rebuild from the journal and the facts"
            )
        last = cursor.last_ns if frame.empty else pd.Timestamp(frame.index[-1]).value
        self._cursors[(library, symbol)] = _Cursor(int(seq), last, exists=True, version=item.version)
        if append:
            self.touched[(library, symbol)] = self.touched.get((library, symbol), 0) + 1

    def _writable(self) -> None:
        if self.read_only:
            raise StoreUnavailable(f"{self.uri} was opened read-only: it refuses writes")

    def _cursor(self, library: str, symbol: str, *, create: bool) -> _Cursor:
        known = self._cursors.get((library, symbol))
        if known is not None:
            return known
        handle = self.handle
        if create:
            handle.check_room(library, 512 * 1024)
        found = handle.library(library, create=create)
        cursor = _Cursor()
        encoded = encode_symbol(symbol)
        if found is not None and handle.guarded(f"look for {library}/{symbol} in", lambda: found.has_symbol(encoded)):
            cursor = handle.guarded(f"read progress of {library}/{symbol} in", lambda: _read_cursor(found, encoded))
        elif found is not None and encoded in handle.guarded(f"list {library} of", found.list_symbols):
            raise StoreUnavailable(f"{self.uri}: {library}/{symbol} is listed but cannot be found; it is left alone")
        self._cursors[(library, symbol)] = cursor
        return cursor

    # ------------------------------------------------------------------------------------------------- reading

    def progress(self, only: Collection[str] = ()) -> dict[tuple[str, str], int]:
        """(library, symbol) -> sequence up to which it is stored; read from the store, not from memory.

        A store that is open for writing mends the libraries' lists on the way (see ``listing``).

        Args:
            only: Of these libraries; of all by default.

        Raises:
            StoreUnavailable: It cannot be read.
        """
        found: dict[tuple[str, str], int] = {}
        for library in self.libraries():
            if library not in (only or LIBRARIES):
                continue
            self._mend(library)
            for name, metadata in self._metadata(library):
                found[(library, name)] = int(metadata.get("seq", -1))
        return found

    def _mend(self, library: str) -> None:
        """Have a library list what it holds; where there is no room for that, it is left for another time."""
        handle, found = self.handle, self.handle.library(library)
        if self.read_only or found is None:
            return
        lacking = handle.guarded(f"list {library} of", lambda: unlisted(found, found.list_symbols()))
        if not lacking:
            return
        try:
            handle.check_room(library, MEBI)
        except StoreUnavailable as error:
            log.warning("%d symbols of %s stay out of its list: %s", len(lacking), library, error)
            return
        with handle.lock:
            handle.guarded(f"mend the list of {library} in", lambda: mend_list(found))
        log.warning("%d symbols of %s were written and not listed when a process died; they are", len(lacking), library)

    def libraries(self) -> list[str]:
        """Names of the libraries that exist, in order."""
        return self.handle.library_names()

    def symbols(self, library: str) -> list[str]:
        """Decoded names of a library's symbols, in order; none for a library that does not exist."""
        found = self.handle.library(library)
        if found is None:
            return []
        stored = self.handle.guarded(f"list {library} of", lambda: symbols_of(found))
        if any(is_shortened(symbol) for symbol in stored):
            return sorted(name for name, _ in self._metadata(library))
        return sorted(decode_symbol(symbol) for symbol in stored)

    def _metadata(self, library: str) -> list[tuple[str, dict[str, Any]]]:
        found = self.handle.library(library)
        if found is None:
            return []
        stored = self.handle.guarded(f"list {library} of", lambda: symbols_of(found))
        items = self.handle.guarded(f"read progress of {library} in", lambda: found.read_metadata_batch(stored))
        named = []
        for symbol, item in zip(stored, items, strict=True):
            metadata = getattr(item, "metadata", None)
            if metadata is None and not hasattr(item, "version"):
                raise StoreUnavailable(f"{self.uri}: metadata of {library}/{symbol} cannot be read: {item}")
            metadata = metadata or {}
            named.append((str(metadata.get("name", decode_symbol(symbol))), metadata))
        return named

    def read(
        self,
        library: str,
        symbol: str,
        *,
        as_of: datetime | str | None = None,
        since: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Rows of one symbol.

        Args:
            as_of: Rows recorded up to and including this moment; a text names an end-of-day snapshot.
            since: Rows recorded from this moment on, itself included.
            columns: Only these.

        Returns:
            Index ``recorded_at`` (UTC); columns and dtypes of the schema, times in UTC. Empty, with the columns, when
            the symbol does not exist.

        Raises:
            StoreUnavailable: It cannot be read; the text names library, symbol and place.
        """
        table = table_for(library, symbol)
        handle = self.handle
        found = handle.library(library)
        encoded = encode_symbol(symbol)
        version = as_of if isinstance(as_of, str) else None
        if found is None or not handle.guarded(
            f"look for {library}/{symbol} in", lambda: _has(found, encoded, version)
        ):
            return empty_frame(table, columns)
        until = as_of if isinstance(as_of, datetime) else None
        span = None if since is None and until is None else (_stamp(since), _stamp(until))
        item = handle.guarded(
            f"read {library}/{symbol} in",
            lambda: found.read(
                encoded, as_of=version, date_range=span, columns=None if columns is None else list(columns)
            ),
        )
        return _shaped(item.data, table, columns)


def _read_cursor(library: Any, encoded: str) -> _Cursor:
    item = library.read_metadata(encoded)
    metadata = item.metadata or {}
    until = library.get_description(encoded).date_range[1]
    last = _NOTHING_YET if pd.isna(until) else pd.Timestamp(until).value
    return _Cursor(int(metadata.get("seq", -1)), last, exists=True, version=item.version)


def _has(library: Any, encoded: str, snapshot: str | None) -> bool:
    if snapshot is not None and snapshot not in library.list_snapshots(load_metadata=False):
        return False
    return bool(library.has_symbol(encoded, as_of=snapshot))


def _rising(index: Index, floor_ns: int) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    nanos = (index if isinstance(index, np.ndarray) else times(index)).view(np.int64)
    return np.maximum.accumulate(np.maximum(nanos, floor_ns)).view("datetime64[ns]")


def _stamp(moment: datetime | None) -> pd.Timestamp | None:
    return None if moment is None else pd.Timestamp(moment).tz_convert("UTC")


def _shaped(data: pd.DataFrame, table: Table, columns: Sequence[str] | None) -> pd.DataFrame:
    """Stored rows in the table's present shape: columns that a former version did not store come as unknown."""
    wanted = list(table.columns) if columns is None else list(columns)
    if data.empty:  # ArcticDB gives an empty frame back with dtypes of its own
        return empty_frame(table, columns)
    for name in wanted:
        if name not in data.columns:
            data[name] = build_frame(table, {}, np.zeros(len(data), "datetime64[ns]"))[name].to_numpy()
        elif table.columns[name] == "text":
            data[name] = data[name].where(data[name].notna(), "")
    return localize(data[wanted])


def open_store(uri: str, *, read_only: bool = False, map_gb: float = DEFAULT_MAP_GB) -> ArcticStore:
    """Open the stored books.

    Args:
        uri: ``lmdb://PATH`` or ``s3://…``.
        read_only: For notebooks and reports: refuses writes and creates nothing. It may be used while an engine of
            another process writes, and sees what was written at once.
        map_gb: GiB of the LMDB map per library.

    Raises:
        StoreUnavailable: There is no store, or it cannot be opened.
    """
    return ArcticStore(uri, map_gb=map_gb, read_only=read_only)
