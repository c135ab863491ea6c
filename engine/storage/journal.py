"""The write-ahead journal: SQLite in WAL mode with synchronous=FULL, one row per group of facts.

A fact is accepted when its group is on disk. Groups are whatever gathered while the former commit ran (no artificial
wait), so a single fact is durable after one fsync (about half a millisecond) and a burst shares one. Measured, one row
per group is as fast as a hand-written file, and SQLite brings recovery of a torn tail with it.

A row is (first sequence, count, CRC-32, blob); the blob is the facts' wire form. The numbers of facts never repeat, not
even after pruning or in a fresh journal beside a damaged one: the head is kept in its own table.

Damage is looked for where it is met: a row whose checksum or form is wrong, or a file that SQLite calls malformed. The
damaged file is then set aside whole, what can be read of it is carried in order into a new one, and the place of the
damage is told to the operator (``damage``).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from engine.core.events import AnyFact, encode_facts, writable
from engine.core.instrument import Instrument
from engine.errors import JournalFull, NotWritable
from engine.ports import Clock
from engine.receipt import Receipt, settle_all
from engine.storage.calls import PATIENCE_S
from engine.storage.groups import Group, read_group
from engine.storage.journal_file import GroupRow, JournalFile

log = logging.getLogger(__name__)

GROUP_LIMIT: Final = 2000
"""Most facts of one commit: it bounds how long the first of a burst waits for the last."""


class Checkpoint(NamedTuple):
    """A dump of the books at one sequence.

    Attributes:
        seq: Facts up to here are in it.
        blob: As the ledger dumped it.
        made_at: Our clock, UTC.
    """

    seq: int
    blob: bytes
    made_at: datetime


class JournalStats(NamedTuple):
    """What the health screen shows of the journal; times in milliseconds over the last commits."""

    head: int
    waiting: int
    commits: int
    commit_p50_ms: float | None
    commit_p95_ms: float | None
    commit_max_ms: float | None
    bytes: int
    failing: str


class SqliteJournal:
    """The journal behind the ``Journal`` door, with a thread of its own.

    Args:
        path: The database file; its folder is created. A file beside it (``-wal``, ``-shm``) belongs to it.
        on_group: Called in the journal's thread with each group, in order, once it is on disk. It must be quick.
            Whatever it raises is logged and counts as the callee's fault: the group is on disk and acknowledged.
        clock: Dates the checkpoints; the system's by default.

    Attributes:
        damage: What was found damaged when the journal was opened, or deleted since, for the operator; empty for a sound
            journal.

    Raises:
        JournalFull: The file cannot be created or opened.
    """

    def __init__(
        self, path: str | Path, on_group: Callable[[Group], object] | None = None, clock: Clock | None = None
    ) -> None:
        self.path = Path(path)
        self.on_group = on_group
        self._clock = clock
        self._file, self.damage = JournalFile.open(self.path)
        self._next = self._file.head() + 1
        self._queue: SimpleQueue[Receipt | None] = SimpleQueue()
        self._held: Receipt | None = None
        self._swapping = threading.Lock()
        self._closed = False
        self._failing = ""
        self._taken: list[Receipt] = []
        self._since = 0.0
        self.failure: BaseException | None = None
        self._instruments: dict[int, Instrument] = {}
        self._commit_ms: deque[float] = deque(maxlen=2000)
        self._commits = 0
        self._thread = threading.Thread(target=self._guarded_run, name="journal", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------------------------------------- writing

    def submit(self, facts: Sequence[AnyFact], refused: Callable[[Receipt], object] | None = None) -> Receipt:
        """Queue facts for the next group; from any thread, without input or output of its own.

        Args:
            facts: Booked in this order, under consecutive numbers and in one commit.
            refused: Called in the journal's thread should the disk refuse, submissions in order.

        Returns:
            Settled with the sequence number of the last fact once the group is fsynced (at once, with the head, for
            no facts). Fails with ``JournalFull`` when the disk refuses: the facts are not accepted then, and may be
            offered again; with ``NotWritable`` when one of them has no wire form.
        """
        receipt = Receipt(facts, refused)
        if not facts:
            receipt.settle(self.head)
            return receipt
        self._queue.put(receipt)
        if self._closed or self.failure is not None:
            self._turn_away()
        return receipt

    def _guarded_run(self) -> None:
        try:
            self._run()
        except BaseException as error:
            log.critical("the journal's thread has failed; nothing is accepted any more", exc_info=error)
            self.failure = error
            self._failing = f"its thread has failed: {error!r}"
            for receipt in self._taken:
                if not receipt.done():
                    receipt.settle(error=self._end())
            self._turn_away()

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            self._taken, self._since = taken, time.monotonic()
            self._commit(taken)
            self._taken, self._since = [], 0.0

    def _take(self) -> list[Receipt] | None:
        """What gathered, at most ``GROUP_LIMIT`` facts (one larger submission stays whole); ``None`` at the end."""
        first = self._held or self._queue.get()
        self._held = None
        if first is None:
            return None
        taken = [first]
        count = len(first.facts)
        while not self._queue.empty():
            following = self._queue.get()
            if following is None:
                self._queue.put(None)  # the end comes after what was taken
                break
            if count + len(following.facts) > GROUP_LIMIT:
                self._held = following
                break
            taken.append(following)
            count += len(following.facts)
        return taken

    def _turn_away(self) -> None:
        """Answer what was submitted after the end."""
        if self._held is not None and self.failure is not None:
            self._held.settle(error=self._end())
            self._held = None
        while not self._queue.empty():
            try:
                late = self._queue.get_nowait()
            except Empty:
                return
            if late is not None:
                late.settle(error=self._end())

    def _end(self) -> JournalFull:
        return JournalFull(f"journal {self.path} is closed" if self.failure is None else self._failing)

    def _commit(self, taken: list[Receipt]) -> None:
        facts = [fact for receipt in taken for fact in receipt.facts]
        first = self._next
        started = time.perf_counter()
        try:
            try:
                facts, blob = _encoded(facts)
            except Exception as error:  # noqa: BLE001 - a fact may hold anything; the disk has nothing to do with it
                self._part(taken, error)
                return
            if not self._file.check_place():
                self._write_again()
            self._file.append(GroupRow(first, len(facts), zlib.crc32(blob), blob))
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers hear of it and the thread goes on
            self._refuse(taken, error)
            self._resume()
            return
        self._next = first + len(facts)
        self._failing = ""
        self._commits += 1
        self._commit_ms.append((time.perf_counter() - started) * 1000)
        self._hand_on(list(enumerate(facts, first)))
        settle_all(taken, first - 1)

    def _part(self, taken: list[Receipt], error: Exception) -> None:
        """Something of a group has no wire form: nobody else's facts are refused with it."""
        if len(taken) > 1:
            for receipt in taken:
                self._commit([receipt])
            return
        log.error("journal %s: facts that cannot be written down are refused: %s", self.path, error)
        taken[0].settle(error=NotWritable(f"the facts cannot be written down ({error}); they are not accepted"))

    def _refuse(self, taken: list[Receipt], error: Exception) -> None:
        self._failing = f"{type(error).__name__}: {error}"
        log.error("journal %s cannot be written: %s", self.path, self._failing)
        refusal = JournalFull(f"journal {self.path} cannot be written ({self._failing}); the facts are not accepted")
        refusal.__cause__ = error
        for receipt in taken:
            receipt.settle(error=refusal)

    def _write_again(self) -> None:
        """Bring a deleted journal back from what is still open; nothing that was acknowledged is lost by it."""
        with self._swapping:
            self._file = self._file.written_again()
        self.damage = f"journal {self.path} was deleted under the engine; it was written again, whole"
        log.error("%s", self.damage)

    def _resume(self) -> None:
        """After a refusal: a commit may have reached the disk although its fsync failed; its numbers are taken."""
        try:
            self._next = max(self._next, self._file.head() + 1)
        except sqlite3.Error as error:
            log.error("journal %s: its head cannot be read: %s", self.path, error)

    def _hand_on(self, group: Group) -> None:
        if self.on_group is None:
            return
        try:
            self.on_group(group)
        except Exception:  # the facts are on disk whatever the reader makes of them
            log.exception("the reader of the journal failed on facts %d to %d", group[0][0], group[-1][0])

    # ------------------------------------------------------------------------------------------------- reading

    @property
    def waiting(self) -> int:
        """Submissions that no commit has taken yet."""
        return self._queue.qsize()

    @property
    def head(self) -> int:
        """Sequence of the last fact on disk, 0 for none ever."""
        return self._next - 1

    def read(self, after: int, limit: int) -> Group:
        """Facts with a sequence above ``after``, in order, at most about ``limit`` (whole groups).

        Raises:
            JournalDamaged: A row cannot be read; the text names file and row. Reopening sets the file aside and carries
                over what can be read.
        """
        found: Group = []
        while len(found) < limit:
            with self._swapping:
                rows = self._file.groups(found[-1][0] if found else after, 16)
            if not rows:
                break
            for row in rows:
                found += [pair for pair in read_group(row, self.path, self._instruments) if pair[0] > after]
                if len(found) >= limit:
                    break
        return found

    # ------------------------------------------------------------------------------------------------- checkpoints

    def checkpoint(self, seq: int, blob: bytes) -> None:
        """Keep a dump of the books; the one before it is kept too, in case this one cannot be read.

        Raises:
            JournalFull: It could not be written; the former ones stand.
        """
        try:
            self._file.put_checkpoint(seq, blob, self._now().timestamp())
        except sqlite3.Error as error:
            raise JournalFull(f"journal {self.path}: the checkpoint at {seq} cannot be written ({error})") from error

    def latest_checkpoint(self) -> Checkpoint | None:
        """The newest dump whose checksum is right, ``None`` for none."""
        for seq, blob, crc, made_at in self._file.checkpoints():
            if zlib.crc32(blob) == crc:
                return Checkpoint(seq, blob, datetime.fromtimestamp(made_at, UTC))
            log.error("journal %s: the checkpoint at %d is damaged; the one before it is used", self.path, seq)
        return None

    def prune(self, up_to_seq: int) -> int:
        """Forget groups that lie wholly at or below ``up_to_seq``; numbers are not used again.

        Returns:
            How many groups were forgotten.

        Raises:
            JournalFull: The disk refused; nothing was forgotten.
        """
        try:
            return self._file.prune(up_to_seq)
        except sqlite3.Error as error:
            raise JournalFull(f"journal {self.path} cannot be pruned ({error})") from error

    def start_above(self, seq: int) -> None:
        """Number the next fact above ``seq`` (a fresh journal beside books that were rebuilt from the store).

        Raises:
            JournalFull: The disk refused.
        """
        try:
            self._file.lift_head(seq)
        except sqlite3.Error as error:
            raise JournalFull(f"journal {self.path}: its head cannot be lifted ({error})") from error
        self._next = max(self._next, seq + 1)

    def _now(self) -> datetime:
        return datetime.now(UTC) if self._clock is None else self._clock.now()

    # ------------------------------------------------------------------------------------------------- state

    @property
    def failing(self) -> str:
        """Why nothing becomes durable, empty while it does; asked from outside, so a disk that stands still is told too."""
        since = self._since
        waited_s = time.monotonic() - since if since else 0.0
        return self._failing or (f"its disk has not answered for {waited_s:.0f} s" if waited_s > PATIENCE_S else "")

    def size(self) -> int:
        """Bytes on disk, the write-ahead file included."""
        return self._file.size()

    def stats(self) -> JournalStats:
        """Figures for the health screen."""
        ordered = sorted(self._commit_ms)

        def at(share: float) -> float | None:
            return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None

        return JournalStats(
            head=self.head,
            waiting=self.waiting,
            commits=self._commits,
            commit_p50_ms=at(0.5),
            commit_p95_ms=at(0.95),
            commit_max_ms=at(1.0),
            bytes=self.size(),
            failing=self.failing,
        )

    def close(self) -> None:
        """Commit what was submitted, then let go of the file. Idempotent; waits for the journal's thread."""
        if self._closed:
            return
        self._queue.put(None)
        self._thread.join()
        if self.failure is None:  # what was submitted while the thread came to its end
            while not self._queue.empty() and (taken := self._take()) is not None:
                self._commit(taken)
        self._closed = True
        self._turn_away()
        self._file.close()


def _encoded(facts: list[AnyFact]) -> tuple[list[AnyFact], bytes]:
    try:
        return facts, encode_facts(facts)
    except UnicodeEncodeError:
        facts = writable(facts)
        return facts, encode_facts(facts)
