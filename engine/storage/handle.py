"""One way into one ArcticDB: opened once per process, looked at before every call, given up when it broke.

ArcticDB has traps that shape this module (all of them measured):

- A path opened twice in one process reads stale data, so all stores of a process share one handle per place.
- A full map or disk does not end in an error alone: after a failed commit the next write through the same handle may be
  a segmentation fault, and taking the handle apart, even at exit, aborts the process. So room is checked *before*
  a write; a handle whose commit failed is never called again and never taken apart. A fresh one goes on where it was.
- A deleted ``data.mdb`` goes on working, into a file without a name. Its inode is compared before each call.
- On S3 several calls keep Python's lock while they wait (opening, listing, looking for a symbol), and the SDK tries an
  answer of 500 eleven times: the whole process would stand still for a minute. The retries are cut to two, since the
  writer has a back-off of its own, and before each call the endpoint is asked in a way that lets other threads run. A
  server that falls silent in the middle of a call is waited for for seconds, not for ArcticDB's 200.

The room that counts is the high-water mark (the file's size): LMDB reuses freed pages inside the file but never gives
them back, so a map reported full here may still hold free pages. That is on the safe side, and the cure is the same: a
larger ``FILLBOOK_LMDB_MAP_GB`` (the map is sparse; its size costs nothing).
"""

from __future__ import annotations

import ctypes
import gc
import http.client
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from engine.errors import StoreUnavailable
from engine.settings import redact
from engine.storage.calls import noted

MEBI: Final = 1 << 20
_MAP_UNIT: Final = 512_000
"""A whole number of 4 KiB pages and of ArcticDB's smallest unit (KB, 1000 bytes)."""

_registry: dict[str, Handle] = {}
_registry_lock: Final = threading.Lock()
_FATAL: Final = ("lmdb", "mdb_", "brokenpromise", "no space left", "input/output error")
"""Marks of an error that came out of LMDB itself, in small letters; any of them may stand for a failed commit."""
_PROBE_TIMEOUT_S: Final = 2.0
_CONNECT_TIMEOUT_MS: Final = 2_000
_REQUEST_TIMEOUT_MS: Final = 5_000


def redacted(uri: str) -> str:
    """The URI without its keys, for messages."""
    return redact(uri)


def lmdb_path(uri: str) -> Path | None:
    """The folder of an ``lmdb://`` URI, resolved; ``None`` for any other store."""
    if not uri.startswith("lmdb://"):
        return None
    return Path(uri.removeprefix("lmdb://").partition("?")[0]).expanduser().resolve()


def prepare_arctic() -> Any:
    """Import ArcticDB with the settings that must stand before a library is opened.

    ``VersionMap.ReloadInterval`` 0: a reader sees at once what another process wrote (default: up to two seconds late).
    ``S3Storage.*TimeoutMs``: a server that takes a request and says nothing would be waited for for 200 s.
    ``StorageLock.WaitMs`` 10: the first listing of a library takes milliseconds, not a second. The wait is for stores
    that make writes visible late; neither LMDB nor today's S3 does. Its warnings (each empty snapshot is one) stay silent.
    """
    import arcticdb
    from arcticdb.config import set_config_int, set_log_level

    set_config_int("VersionMap.ReloadInterval", 0)
    set_config_int("StorageLock.WaitMs", 10)
    set_config_int("S3Storage.ConnectTimeoutMs", _CONNECT_TIMEOUT_MS)
    set_config_int("S3Storage.RequestTimeoutMs", _REQUEST_TIMEOUT_MS)
    set_log_level("ERROR")
    return arcticdb


class Handle:
    """An open ArcticDB with its libraries. Use :func:`acquire` and :func:`release`, never the constructor.

    Attributes:
        key: What the registry knows it by.
        uri: As given, keys included; show :attr:`place` instead.
        broken: Why no further call may be made, empty while all is well.
    """

    def __init__(self, key: str, uri: str, map_bytes: int, *, create: bool) -> None:
        self.key = key
        self.uri = uri
        self.place = redacted(uri)
        self.path = lmdb_path(uri)
        self.map_bytes = map_bytes
        self.lock = threading.RLock()
        self.users = 0
        self.broken = ""
        self._libraries: dict[str, Any] = {}
        self._inodes: dict[str, tuple[int, int]] = {}
        self._arctic: Any = None
        self._endpoint: Endpoint | None = None
        self._open(create=create)

    def _open(self, *, create: bool) -> None:
        if self.path is not None:
            if not create and not (self.path / "_arctic_cfg" / "data.mdb").is_file():
                raise StoreUnavailable(f"there is no ArcticDB in {self.path}")
            target = f"lmdb://{self.path}?map_size={self.map_bytes // 1000}KB"
        else:
            target = self.uri
            self._endpoint = s3_endpoint(self.uri)
            if "access=" in self.uri:
                # With keys at hand nothing may ask the cloud's metadata address for others: it hangs outside a cloud.
                os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
            os.environ.setdefault("AWS_RETRY_MODE", "standard")
            os.environ.setdefault("AWS_MAX_ATTEMPTS", "2")
        arcticdb = prepare_arctic()
        self._arctic = self.guarded("open", lambda: arcticdb.Arctic(target))
        self._remember("_arctic_cfg")

    # ------------------------------------------------------------------------------------------------- libraries

    def library(self, name: str, *, create: bool = False) -> Any | None:
        """The library, ``None`` when it does not exist and is not to be created."""
        found = self._libraries.get(name)
        if found is not None:
            return found
        with self.lock:
            if name not in self.library_names():
                if not create:
                    return None
                self.guarded(f"create library {name} in", lambda: self._create(name))
            opened = self.guarded(f"open library {name} of", lambda: self._arctic.get_library(name))
            self._libraries[name] = opened
            self._remember(name)
            return opened

    def _create(self, name: str) -> None:
        from arcticdb import LibraryOptions

        # dynamic_schema: a later version may add a column to a symbol that exists; measured, it costs nothing.
        # rows_per_segment: small enough that rewriting the last segment stays cheap, large enough to read fast.
        self._arctic.create_library(name, LibraryOptions(dynamic_schema=True, rows_per_segment=10_000))

    def library_names(self) -> list[str]:
        """Names of the libraries that exist."""
        names: list[str] = self.guarded("list libraries of", lambda: sorted(self._arctic.list_libraries()))
        return names

    # ------------------------------------------------------------------------------------------------- faults

    def guarded(self, act: str, call: Callable[[], Any]) -> Any:
        """Make one call into ArcticDB; calls that write or open libraries hold :attr:`lock`.

        Raises:
            StoreUnavailable: It failed, or must not be made at all; the text names the place and the reason.
        """
        with noted(f"{act} {self.place}"):
            return self._guarded(act, call)

    def _guarded(self, act: str, call: Callable[[], Any]) -> Any:
        self.check_place()
        try:
            return call()
        except Exception as error:  # ArcticDB raises many kinds, even UnicodeDecodeError for a full map
            reason = f"{type(error).__name__}: {_one_line(error)}"
            if self.path is not None and (isinstance(error, UnicodeDecodeError) or _is_fatal(reason)):
                self._bury(reason)
            raise StoreUnavailable(f"cannot {act} {self.place}: {reason}") from error

    def _bury(self, reason: str) -> None:
        """Never call this handle again and never let it be taken apart: one reference more than anybody gives back."""
        self.broken = reason
        for part in (self._arctic, *self._libraries.values()):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(part))

    def check_place(self) -> None:
        """Notice that a store is out of reach, or that its files were deleted or replaced under an open handle.

        Raises:
            StoreUnavailable: So it is.
        """
        if self.broken:
            raise StoreUnavailable(f"{self.place} is out of use: {self.broken}")
        if self.path is None:
            if self._endpoint is not None:
                with noted(f"ask {self.place}"):
                    self._endpoint.ask(self.place)
            return
        for name, seen in list(self._inodes.items()):
            file = self.path / name / "data.mdb"
            try:
                found = file.stat()
            except OSError as error:
                self.broken = f"{file} is gone ({error.strerror}); the store was deleted or unmounted under the engine"
                raise StoreUnavailable(f"{self.place}: {self.broken}") from error
            if (found.st_dev, found.st_ino) != seen:
                self.broken = f"{file} was replaced under the engine"
                raise StoreUnavailable(f"{self.place}: {self.broken}")

    def _remember(self, name: str) -> None:
        if self.path is None:
            return
        try:
            found = (self.path / name / "data.mdb").stat()
        except OSError as error:
            raise StoreUnavailable(f"{self.place}: {error.filename} cannot be read ({error.strerror})") from error
        self._inodes[name] = (found.st_dev, found.st_ino)

    def check_room(self, library: str, needed: int) -> None:
        """Refuse a write that may fill the map or the disk, before LMDB does in its own way.

        Args:
            needed: Bytes that the write may take.

        Raises:
            StoreUnavailable: There is not enough room; nothing was written.
        """
        self.check_place()
        if self.path is None:
            return
        file = self.path / library / "data.mdb"
        used = file.stat().st_size if file.exists() else 0
        reserve = min(max(self.map_bytes // 16, MEBI), 64 * MEBI)
        if used + needed + reserve > self.map_bytes:
            raise StoreUnavailable(
                f"{self.place}: the LMDB map of library {library} is full ({used / MEBI:.1f} of"
                f" {self.map_bytes / MEBI:.1f} MiB used): restart with a larger FILLBOOK_LMDB_MAP_GB"
            )
        try:
            disk = os.statvfs(self.path)
        except OSError as error:
            raise StoreUnavailable(f"{self.place}: {error.strerror}") from error
        free = disk.f_bavail * disk.f_frsize
        reserve = min(max(disk.f_blocks * disk.f_frsize // 50, MEBI), 64 * MEBI)
        if free < needed + reserve:
            raise StoreUnavailable(f"{self.place}: the disk is full ({free / MEBI:.1f} MiB free): make room")
        if not os.access(self.path / library if file.exists() else self.path, os.W_OK):
            raise StoreUnavailable(f"{self.place}: no permission to write, or mounted read-only")

    def close(self) -> None:
        """Let go of ArcticDB, which closes LMDB's files when its last object goes (some stand in cycles)."""
        self.broken = self.broken or "closed"
        self._libraries = {}
        self._arctic = None
        self._inodes = {}
        gc.collect()


class Endpoint(NamedTuple):
    """Where an S3 store answers."""

    host: str
    port: int | None
    secure: bool
    bucket: str

    def ask(self, place: str) -> None:
        """See that something answers and that it is not in trouble (a refusal for want of keys is an answer).

        Raises:
            StoreUnavailable: No answer within two seconds, or one of 500 and above.
        """
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        link = kind(self.host, self.port, timeout=_PROBE_TIMEOUT_S)
        try:
            link.request("HEAD", f"/{self.bucket}")
            status = link.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise StoreUnavailable(f"{place} does not answer: {type(error).__name__}: {_one_line(error)}") from error
        finally:
            link.close()
        if status >= http.client.INTERNAL_SERVER_ERROR:
            raise StoreUnavailable(f"{place} answers {status} {http.client.responses.get(status, '')}".rstrip())


def s3_endpoint(uri: str) -> Endpoint | None:
    """Host, port and bucket of ``s3://HOST:BUCKET?port=…``, ``None`` for what does not read so."""
    scheme, _, rest = uri.partition("://")
    where, _, query = rest.partition("?")
    host, colon, bucket = where.partition(":")
    if not colon or scheme not in {"s3", "s3s"}:
        return None
    port = dict(parse_qsl(query)).get("port", "")
    return Endpoint(host, int(port) if port.isdigit() else None, scheme == "s3s", bucket)


def _is_fatal(reason: str) -> bool:
    return any(mark in reason.lower() for mark in _FATAL)


def _one_line(error: BaseException) -> str:
    text = repr(error.object[:80]) if isinstance(error, UnicodeDecodeError) else str(error)
    return " ".join(text.split())[:300] or "no text"


def acquire(uri: str, *, map_gb: float, create: bool) -> Handle:
    """The process's handle for a place; opened when nobody has it yet.

    Args:
        map_gb: GiB of the LMDB map of each library; it counts for the first one to open the place only.
        create: False refuses a place that does not exist, and creates nothing.

    Raises:
        StoreUnavailable: It cannot be opened.
    """
    path = lmdb_path(uri)
    key = f"lmdb://{path}" if path is not None else uri
    map_bytes = max(int(map_gb * (1 << 30)) // _MAP_UNIT, 2) * _MAP_UNIT
    with _registry_lock:
        handle = _registry.get(key)
        if handle is None or handle.broken:
            if handle is not None:
                handle.close()
            handle = Handle(key, uri, map_bytes, create=create)
            _registry[key] = handle
        handle.users += 1
        return handle


def release(handle: Handle) -> None:
    """Give a handle back; the last user's return closes it."""
    with _registry_lock:
        handle.users -= 1
        if handle.users > 0:
            return
        if _registry.get(handle.key) is handle:
            del _registry[handle.key]
    with handle.lock:
        handle.close()
