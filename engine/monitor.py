"""What the engine says of its own health: figures, and every problem in words."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.settings import redact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.app import Engine
    from engine.pipeline.room import BookRoom

_PAGE = os.sysconf("SC_PAGE_SIZE")
_EVERY_S = 0.05


class LoopLag:
    """How late the event loop runs what is due."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self._late_ms: deque[float] = deque(maxlen=1200)

    async def run(self) -> None:
        """Measure for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self._late_ms.append(max(0.0, (loop.time() - due) * 1000))

    def figures(self) -> dict[str, float | None]:
        """Milliseconds: p50, p99 and max of the last minute."""
        return percentiles(self._late_ms, p50=0.5, p99=0.99, max=1.0)


def percentiles(values: Iterable[float], **shares: float) -> dict[str, float | None]:
    """The named percentiles; ``None`` for all when there are no values."""
    ordered = sorted(values)
    if not ordered:
        return dict.fromkeys(shares)
    return {name: ordered[min(int(len(ordered) * share), len(ordered) - 1)] for name, share in shares.items()}


def memory_mb(statm: Path = Path("/proc/self/statm")) -> float | None:
    """Resident memory of this process, MiB; ``None`` where the system does not tell."""
    try:
        return int(statm.read_text().split()[1]) * _PAGE / 1_048_576
    except FileNotFoundError:
        return None


class Heap:
    """Keeps the C library from holding on to memory that was given back.

    Every thread of ours makes and drops tables; glibc gives each an arena of its own and learns to serve ever larger
    blocks from it, so that holes grow by tens of megabytes a minute under load. Two arenas, large blocks always mapped on
    their own, and a trim now and then keep them small. Does nothing where the C library is another.
    """

    _TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

    def __init__(self) -> None:
        """Find the C library's functions."""
        library = ctypes.CDLL(None)
        self._trim = getattr(library, "malloc_trim", None)
        self._option = getattr(library, "mallopt", None)

    def restrain(self) -> None:
        """Set the limits; before the threads start that they are for."""
        if self._option is not None:
            for option, value in (
                (self._ARENA_MAX, 2),
                (self._MMAP_THRESHOLD, 256 * 1024),
                (self._TRIM_THRESHOLD, 1024 * 1024),
            ):
                self._option(option, value)

    def trim(self) -> None:
        """Give back what is free; some milliseconds, for a thread that nobody waits for."""
        if self._trim is not None:
            self._trim(0)


def store_state(engine: Engine) -> dict[str, Any]:
    """State of ArcticDB as the writer sees it."""
    writer = engine.room.writer
    return {
        "state": writer.state,
        "since": writer.trouble_since,
        "reason": writer.trouble or (repr(writer.failure) if writer.failure else ""),
        "uri": redact(engine.settings.arctic_location),
    }


def stopped(room: BookRoom) -> str:
    """Why facts do not become durable, booked, stored or settled, in words for an alert; empty while they do. Cheap."""
    for name, failure in (("journal", room.journal.failure), ("books", room.keeper.failure)):
        if failure is not None:
            return f"the thread of the {name} has failed: {failure!r}"
    if room.writer.failure is not None:
        return f"the thread of the store has failed: {room.writer.failure!r}; facts wait in the journal"
    return room.writer.trouble or room.intake.refusal or room.journal.failing or room.checkpointer.trouble


def problems(engine: Engine) -> list[str]:
    """Everything that is not as it should be, in words, worst first."""
    room, found = engine.room, []
    if room.keeper.failure is not None:
        found.append(f"the books thread has failed: {room.keeper.failure!r}; facts stay safe in the journal")
    if room.writer.state != "ok":
        found.append(f"ArcticDB takes nothing: {store_state(engine)['reason']}; facts wait in the journal")
    journal = room.journal.stats()
    if journal.failing or room.intake.refusal:
        found.append(f"the journal cannot be written: {journal.failing or room.intake.refusal}")
    if room.checkpointer.trouble:
        found.append(room.checkpointer.trouble)
    state = engine.broker_state()
    if state.state != "connected":
        found.append(f"IB {state.state} since {state.since:%Y-%m-%d %H:%M:%S} UTC: {state.reason}")
    if engine.remote is not None and engine.remote.problem:
        found.append(engine.remote.problem)
    if engine.flex_timer is not None and engine.flex_timer.problem:
        found.append(engine.flex_timer.problem)
    if room.keeper.paused:
        found.append(
            f"the books are paused with {room.keeper.backlog} facts waiting in the journal: the store takes nothing"
        )
    with room.lock:
        held = len(room.ledger.quarantine)
        unbookable = len(room.ledger.unbookable)
        orphans = len(room.ledger.orphan_commissions)
        late = len(
            room.ledger.fees_pending(engine.clock.now() - timedelta(seconds=engine.settings.fees_missing_after_s))
        )
    found += [f"{held} messages are in quarantine"] if held else []
    found += [f"{unbookable} executions could not be booked"] if unbookable else []
    found += [f"{orphans} fees belong to no known execution"] if orphans else []
    found += [f"{late} executions wait for their fee longer than allowed"] if late else []
    found += [f"{room.frames.dropped} tables of reconciliations were not stored"] if room.frames.dropped else []
    found += [f"{name} {s.state}: {s.failure}" for name, s in engine.strategies().items() if s.state == "failed"]
    return found + list(room.notes) + engine.portfolio_manager.back_office.import_notes


def health(engine: Engine) -> dict[str, Any]:
    """The whole picture; see ``Engine.health``."""
    room = engine.room
    journal = room.journal.stats()
    wrong = problems(engine)
    serious = (
        room.keeper.failure is None
        and room.writer.state == "ok"
        and not journal.failing
        and not room.intake.refusal
        and all(state == "running" for state in engine.tasks().values())
    )
    with room.lock:
        connections = list(room.ledger.connections)[-50:]
    return {
        "ok": serious,
        "problems": wrong,
        "queue_depth": engine.strategy_manager.message_queue.qsize(),
        "backlog": room.keeper.backlog,
        "outbox": len(room.outbox) + room.writer.held,
        "journal_seq": journal.head,
        "stored_seq": room.writer.stored_seq,
        "journal_mb": journal.bytes / 1_048_576,
        "fill_to_store_ms": percentiles(list(room.writer.latency_ms), p50=0.5, p95=0.95),
        "journal_commit_ms": {"p50": journal.commit_p50_ms, "p95": journal.commit_p95_ms},
        "loop_lag_ms": engine.loop_lag.figures(),
        "memory_mb": memory_mb(),
        "store": store_state(engine),
        "connection_log": [
            {"at": c.received_at, "state": c.state, "code": c.code, "detail": c.detail, "epoch": c.epoch}
            for c in connections
        ],
        "tasks": engine.tasks(),
        "strategies": {name: s.state for name, s in engine.strategies().items()},
        "origin": room.origin,
        "flex": engine.flex_timer.figures() if engine.flex_timer is not None else None,
        "events": engine.remote.figures() if engine.remote is not None else None,
    }
