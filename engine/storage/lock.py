"""One writer per data directory and per store.

ArcticDB has no writer lock: two processes that append to one symbol lose a third of the acknowledged rows without an
error. So an engine takes a lock of the operating system (``flock``) beside its journal and beside its LMDB. The kernel
gives it back when the holder dies, however it dies; the text in the file is for the message only.

On S3 there is nothing to lock: without conditional writes no lease is safe. There an *owner record* with a heartbeat is
kept in the store itself. It catches the common mistake (a second engine is started on another host while the first one
runs) and a pause so long that another engine took over (the heartbeat then finds a stranger's record). It does not
catch two engines that start within the same second or so.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final

from engine.errors import StoreLocked, StoreUnavailable
from engine.ports import Clock
from engine.storage.arctic import ArcticStore
from engine.storage.handle import lmdb_path

log = logging.getLogger(__name__)

_OWNER_LIBRARY: Final = "owner"
_OWNER_SYMBOL: Final = "writer"
BEAT_S: Final = 20.0
_STALE: Final = timedelta(seconds=3 * BEAT_S)


class WriterLock:
    """The right to write a data directory and, on LMDB, the store.

    Args:
        data_dir: Folder of the journal; created when missing.
        uri: The store. The lock of an LMDB lies beside its folder, so that it outlives a store that is deleted.

    Raises:
        StoreLocked: Another engine has it; the text names its process.
        StoreUnavailable: The lock file cannot be made.
    """

    def __init__(self, data_dir: str | Path, uri: str) -> None:
        self._files: list[IO[str]] = []
        folder = Path(data_dir).expanduser().resolve()
        wanted = [(folder / "engine.lock", f"data directory {folder}")]
        path = lmdb_path(uri)
        if path is not None:
            wanted.append((path.with_name(path.name + ".lock"), f"store {path}"))
        try:
            for file, what in wanted:
                self._files.append(_take(file, what))
        except BaseException:
            self.release()
            raise

    @property
    def held(self) -> bool:
        """True until :meth:`release`."""
        return bool(self._files)

    def release(self) -> None:
        """Give the locks back. Idempotent; the files stay, since deleting them would race with the next owner."""
        for file in self._files:
            file.close()
        self._files.clear()


def _take(path: Path, what: str) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StoreUnavailable(f"the lock file {path} cannot be made: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "unnamed"
        file.close()
        raise StoreLocked(f"another engine ({holder}) owns {what}: stop it first") from error
    file.truncate(0)
    file.write(f"{_identity()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
    file.flush()
    return file


def _identity() -> str:
    return f"pid {os.getpid()} on {socket.gethostname()}"


class StoreOwner:
    """The owner record of a store that no file lock reaches (S3). See the module's text for what it protects.

    Args:
        store: Open for writing.
        clock: Hosts must agree on the time to within some seconds.

    Raises:
        StoreLocked: Another engine's heartbeat is younger than a minute.
        StoreUnavailable: The store cannot be reached.
    """

    def __init__(self, store: ArcticStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._token = uuid.uuid4().hex
        self._next_beat = 0.0
        found = self._read()
        # A beat far in the future is no engine's that lives: the clock was set back since.
        if found is not None and abs(clock.now() - datetime.fromisoformat(found["beat"])) < _STALE:
            raise StoreLocked(f"another engine ({found['holder']}, last seen {found['beat']}) owns {store.uri}")
        self._write(released=False)

    def beat(self) -> None:
        """Renew the record when it is due; to be called every few seconds by the one writer thread.

        Raises:
            StoreLocked: Another engine has taken the store over: this one must stop writing.
            StoreUnavailable: The store cannot be reached.
        """
        if self._clock.monotonic() < self._next_beat:
            return
        found = self._read()
        if found is not None and found["token"] != self._token:
            raise StoreLocked(f"another engine ({found['holder']}) has taken over {self._store.uri}")
        self._write(released=False)

    def release(self) -> None:
        """Let the next engine in at once.

        Raises:
            StoreUnavailable: The store cannot be reached; the record then goes stale by itself.
        """
        found = self._read()
        if found is not None and found["token"] == self._token:
            self._write(released=True)

    def _read(self) -> dict[str, Any] | None:
        handle = self._store.handle
        library = handle.library(_OWNER_LIBRARY)
        if library is None or not handle.guarded("look for the owner of", lambda: library.has_symbol(_OWNER_SYMBOL)):
            return None
        item = handle.guarded("read the owner of", lambda: library.read_metadata(_OWNER_SYMBOL))
        found: dict[str, Any] | None = item.metadata
        return None if not found or found["released"] else found

    def _write(self, *, released: bool) -> None:
        import numpy as np

        handle = self._store.handle
        library = handle.library(_OWNER_LIBRARY, create=True)
        assert library is not None
        record = {
            "token": self._token,
            "holder": _identity(),
            "beat": self._clock.now().isoformat(),
            "released": released,
        }
        with handle.lock:
            handle.guarded(
                "write the owner of",
                lambda: library.write(_OWNER_SYMBOL, np.zeros(1), metadata=record, prune_previous_versions=True),
            )
        self._next_beat = self._clock.monotonic() + BEAT_S
