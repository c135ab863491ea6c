"""Small stand-ins that pass the same contract tests as the real parts (see tests/integration/test_store_contract.py)."""

import itertools
from datetime import UTC, datetime, timedelta

import pandas as pd

from engine.receipt import Receipt
from engine.storage.arctic import _rising
from engine.storage.reader import Tables
from engine.storage.schema import build_frame, empty_frame, localize, table_for


class FakeClock:
    """A clock that moves when it is told to."""

    def __init__(self, start: datetime = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)) -> None:
        self.time = start
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.seconds += seconds


class MemoryStore(Tables):
    """The ``Store`` door in memory; ``failing`` makes every call raise that exception."""

    uri = "memory"
    broken = ""

    def __init__(self) -> None:
        self.frames: dict[tuple[str, str], pd.DataFrame] = {}
        self.seqs: dict[tuple[str, str], int] = {}
        self.failing: Exception | None = None

    def _reach(self) -> None:
        if self.failing is not None:
            raise self.failing

    def append(self, library, symbol, columns, index, seq) -> None:
        self._reach()
        key, table = (library, symbol), table_for(library, symbol)
        assert not table.snapshot
        done = self.seqs.get(key, -1)
        if seq <= done:
            return
        stored = self.frames.get(key)
        floor = pd.Timestamp(0) if stored is None else stored.index[-1]
        frame = build_frame(table, columns, _rising(index, floor.value))
        if "seq" in columns:
            frame = frame[frame["seq"] > done]
        if not frame.empty:
            self.frames[key] = frame if stored is None else pd.concat([stored, frame])
            self.seqs[key] = seq

    def write(self, library, symbol, columns, index, seq) -> None:
        self._reach()
        key, table = (library, symbol), table_for(library, symbol)
        assert table.snapshot
        if seq >= self.seqs.get(key, -1):
            self.frames[key] = build_frame(table, columns, _rising(index, 0))
            self.seqs[key] = seq

    def progress(self, only=()):
        self._reach()
        return {key: seq for key, seq in self.seqs.items() if not only or key[0] in only}

    def symbols(self, library):
        self._reach()
        return sorted(symbol for lib, symbol in self.frames if lib == library)

    def read(self, library, symbol, *, as_of=None, since=None, columns=None):
        self._reach()
        frame = self.frames.get((library, symbol))
        if frame is None:
            return empty_frame(table_for(library, symbol), columns)
        frame = localize(frame.loc[since:as_of].copy())
        return frame if columns is None else frame[list(columns)]

    def check(self) -> None:
        self._reach()

    def reopen(self) -> None:
        self._reach()

    def close(self) -> None:
        self.failing = RuntimeError("closed")


class MemoryJournal:
    """The ``Journal`` door in memory; ``failing`` is what the next submissions fail with."""

    damage = ""

    def __init__(self, on_group=None, clock=None) -> None:
        self.on_group = on_group
        self.clock = clock or FakeClock()
        self.facts: list[tuple[int, object]] = []
        self.kept: list[tuple[int, bytes]] = []
        self.failing: Exception | None = None
        self.head = 0

    def submit(self, facts, refused=None) -> Receipt:
        receipt = Receipt(facts, refused)
        if self.failing is not None:
            receipt.settle(error=self.failing)
            return receipt
        group = list(zip(itertools.count(self.head + 1), facts, strict=False))
        self.facts += group
        self.head += len(group)
        if self.on_group is not None and group:
            self.on_group(group)
        receipt.settle(self.head)
        return receipt

    def read(self, after, limit):
        return [pair for pair in self.facts if pair[0] > after][:limit]

    def checkpoint(self, seq, blob) -> None:
        from engine.storage.journal import Checkpoint

        self.kept.append(Checkpoint(seq, blob, self.clock.now()))

    def latest_checkpoint(self):
        return self.kept[-1] if self.kept else None

    def prune(self, up_to_seq) -> int:
        before = len(self.facts)
        self.facts = [pair for pair in self.facts if pair[0] > up_to_seq]
        return before - len(self.facts)

    def start_above(self, seq) -> None:
        self.head = max(self.head, seq)

    def close(self) -> None:
        self.failing = RuntimeError("closed")
