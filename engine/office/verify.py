"""Verify: every book recomputed from the stored fills by separate code, and compared to everything that shows books.

The recount (``state.fold``) shares no arithmetic with the ledger's own path. What is compared: the stored positions, the
latest reconciled table where nothing was booked since, and the running engine's books. A planted cent shows.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.state.fold import fold
from engine.storage.unrows import fill_records
from engine.tables.records import rows_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from engine.core.records import PositionRecord
    from engine.pipeline.room import BookRoom
    from engine.ports import Store

COLUMNS = ("where", "strategy", "account", "con_id", "field", "recomputed", "found", "difference")
_RELATIVE = Decimal("1e-12")
_STORED_WITHIN_S = 30.0
_FIELDS = (("qty", "quantity"), ("avg_cost", "avg_cost"), ("realized_pnl", "realized_pnl"), ("open_cost", "open_cost"))
Key = tuple[str, str, int]


class Verifier:
    """Compares a room's books to its store."""

    def __init__(self, room: BookRoom) -> None:
        """Take the room."""
        self._room = room

    def run(self, *, running: bool) -> pd.DataFrame:
        """Compare now.

        Args:
            running: Also compare the books in memory.

        Returns:
            One row per difference: where, strategy, account, con_id, field, recomputed, found, difference.
        """
        room = self._room
        with room.lock:
            copied = {(r.strategy, r.account, r.instrument_key): r for r in room.ledger.positions()}
            seq = room.keeper.seq
        room.writer.wait_stored(seq, _STORED_WITHIN_S)
        records = copied if running else None
        return rows_frame(differences(room.store, records, up_to=seq if running else None), COLUMNS)


def differences(
    store: Store, running: dict[Key, PositionRecord] | None = None, up_to: int | None = None
) -> Iterator[dict[str, Any]]:
    """Recompute and compare.

    Args:
        store: The stored books.
        running: The books in memory, ``None`` to leave them out.
        up_to: Leave out rows of facts above this sequence (those that came after ``running`` was copied).
    """
    recomputed: dict[Key, PositionRecord] = {}
    last_seq: dict[Key, int] = {}
    for strategy in store.symbols("fills"):
        records = fill_records(store.read("fills", strategy), strategy)
        for record in records:
            key = (strategy, record.fill.account, record.fill.instrument.con_id)
            last_seq[key] = max(last_seq.get(key, 0), record.seq)
        recomputed |= fold(r for r in records if up_to is None or r.seq <= up_to)
    if running is not None:
        yield from _against("running engine", recomputed, ((k, _record_values(r)) for k, r in running.items()))
    for strategy in sorted({key[0] for key in recomputed} | set(store.symbols("positions"))):
        mine = {k: r for k, r in recomputed.items() if k[0] == strategy}
        frame = store.read("positions", strategy)
        stored_seq = {
            (strategy, a, int(c)): int(s)
            for a, c, s in zip(frame["account"], frame["con_id"], frame["seq"], strict=True)
        }
        fresh = {
            k: r
            for k, r in mine.items()
            if k not in stored_seq or running is None or last_seq.get(k, 0) <= stored_seq[k]
        }
        rows = (r for r in _frame_values(frame, strategy) if r[0] in fresh or r[0] not in mine)
        yield from _against("stored positions", fresh, rows)
    yield from _against_reconciled(store, recomputed, last_seq)


def _against_reconciled(
    store: Store, recomputed: dict[Key, PositionRecord], last_seq: dict[Key, int]
) -> Iterator[dict[str, Any]]:
    """The latest reconciled table, for books that did not change since it was made."""
    frame = store.read("portfolio", "aggregated")
    if frame.empty:
        return
    made = frame.index[0]
    moved = {
        (r.strategy, r.fill.account, r.fill.instrument.con_id)
        for strategy in store.symbols("fills")
        for r in fill_records(store.read("fills", strategy, since=made.to_pydatetime()), strategy)
    }
    known = {k for k in last_seq if k not in moved}
    for key, values in _frame_values(frame, None):
        if key in known and key in recomputed:
            shown = {name: values[name] for name in ("qty", "avg_cost", "realized_pnl")}
            yield from _compare("reconciled table", key, recomputed[key], shown)


def _against(
    where: str, recomputed: dict[Key, PositionRecord], found: Iterable[tuple[Key, dict[str, Decimal | None]]]
) -> Iterator[dict[str, Any]]:
    seen = set()
    for key, values in found:
        seen.add(key)
        record = recomputed.get(key)
        if record is None:
            if any(values.values()):
                yield _row(where, key, "book", None, Decimal(1))
            continue
        yield from _compare(where, key, record, values)
    for key in recomputed.keys() - seen:
        if recomputed[key].fills:
            yield _row(where, key, "book", Decimal(1), None)


def _compare(
    where: str, key: Key, record: PositionRecord, values: dict[str, Decimal | None]
) -> Iterator[dict[str, Any]]:
    for column, attribute in _FIELDS:
        if column not in values:
            continue
        mine, theirs = getattr(record, attribute), values[column]
        if mine is None or theirs is None:
            if mine is not theirs:
                yield _row(where, key, column, mine, theirs)
        elif abs(mine - theirs) > max(abs(mine), abs(theirs), Decimal(1)) * _RELATIVE:
            yield _row(where, key, column, mine, theirs)


def _record_values(record: PositionRecord) -> dict[str, Decimal | None]:
    return {column: getattr(record, attribute) for column, attribute in _FIELDS}


def _frame_values(frame: pd.DataFrame, strategy: str | None) -> Iterator[tuple[Key, dict[str, Decimal | None]]]:
    columns = [c for c, _ in _FIELDS if c in frame.columns]
    for row in frame.to_dict("records"):
        key = (strategy if strategy is not None else row["strategy"], row["account"], int(row["con_id"]))
        yield key, {c: None if row[c] != row[c] else Decimal(repr(float(row[c]))) for c in columns}


def _row(where: str, key: Key, field: str, mine: Decimal | None, theirs: Decimal | None) -> dict[str, Any]:
    return {
        "where": where,
        "strategy": key[0],
        "account": key[1],
        "con_id": key[2],
        "field": field,
        "recomputed": None if mine is None else float(mine),
        "found": None if theirs is None else float(theirs),
        "difference": None if mine is None or theirs is None else float(theirs - mine),
    }
