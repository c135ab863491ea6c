"""Verify: every book recomputed from the stored fills by separate code, and compared to everything that shows books.

The recount (``state.fold``) shares no arithmetic with the ledger's own path. Compared are all figures of a book (quantity,
cost, realized P&L, fees and cash per currency, counts): exactly with the running engine's books; to the last digit that a
float64 carries with the stored positions, and with the latest reconciled table where nothing was booked since. The stored
fills must also agree with themselves: what they realized adds up to the book's, what counts is what was reported. A planted
cent shows. What was signed is checked as well (see ``signed``).

Another process may be writing meanwhile, and symbols are written one after the other, fills first: a stored position may
lack what its fills told in the last moments. What summarises fills is therefore read before them, and a position is compared
with the fills up to the one that it names as its last. That holds for some seconds only: a position that stays behind shows.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.core.exact import ZERO, add, multiply, subtract
from engine.core.instrument import PERCENT_OF_PAR
from engine.office.signed import Evidence, Signed, signed_differences
from engine.state.fold import recount
from engine.storage.lines import COLUMNS as FILL_COLUMNS
from engine.storage.lines import FillLines, fill_lines, lacking
from engine.tables.records import rows_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd

    from engine.core.records import PositionRecord
    from engine.pipeline.room import BookRoom
    from engine.ports import Store

COLUMNS = ("where", "strategy", "account", "con_id", "field", "recomputed", "found", "difference")
_LOOKED_AT = (*FILL_COLUMNS, "source", "reason")
"""Columns of ``fills``; those that only ``Evidence`` looks at are named here."""
_EXACTLY = (Decimal("1e-18"), Decimal("1e-12"))
_AS_FLOATS = (Decimal("4e-16"), Decimal("1e-12"))
"""Relative and absolute difference that rounding explains: that of a shared cost (34 digits), that of float64 besides."""

_STORED_WITHIN_S = 30.0
_MAY_BE_BEHIND = timedelta(seconds=_STORED_WITHIN_S)
_LAG = timedelta(seconds=3)
"""How long a table may be in the store before the fills that it knows."""

_MONEY = ("qty", "avg_cost", "realized_pnl", "open_cost", "commission")
Key = tuple[str, str, int]
Values = dict[str, Decimal | None]


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
            made, back = room.ledger.assignments(), room.ledger.reversed_ids.values()
            signed = Signed(entries=(*made, *back), head=room.ledger.assignment_head)
            seq = room.keeper.seq
        room.writer.wait_stored(seq, _STORED_WITHIN_S)
        if not running:
            return rows_frame(differences(room.store), COLUMNS)
        return rows_frame(differences(room.store, copied, signed, up_to=seq), COLUMNS)


def differences(
    store: Store,
    running: dict[Key, PositionRecord] | None = None,
    signed: Signed | None = None,
    up_to: int | None = None,
    now: datetime | None = None,
) -> Iterator[dict[str, Any]]:
    """Recompute and compare.

    Args:
        store: The stored books.
        running: The books in memory, ``None`` to leave them out; ``signed``: the entries that they hold.
        up_to: Leave out rows of facts above this sequence (those that came after ``running`` was copied).
        now: The time, UTC; that of the system by default.
    """
    recomputed: dict[Key, PositionRecord] = {}
    behind: dict[Key, PositionRecord | None] = {}
    last_seq: dict[Key, int] = {}
    evidence = Evidence(store, up_to)
    tables = _Tables(store, now or datetime.now(UTC), wait=running is None)
    for strategy in store.symbols("fills"):
        frame = store.read("fills", strategy, columns=_LOOKED_AT)
        newest = frame.groupby(["account", "con_id"], sort=False)["seq"].max().reset_index()
        for account, con_id, seq in zip(newest["account"], newest["con_id"], newest["seq"], strict=True):
            last_seq[strategy, account, int(con_id)] = int(seq)
        evidence.look(frame)
        if up_to is not None and (frame["seq"] > up_to).any():
            frame = frame[frame["seq"] <= up_to]
        damaged = list(lacking(frame))
        for row, name in damaged:
            account, con_id, exec_id = (frame[column].iloc[row] for column in ("account", "con_id", "fill_id"))
            yield _row(f"stored fill {exec_id}", (strategy, str(account), int(con_id)), name, None, None)
        if damaged:  # what is left shows what the book lacks without them
            frame = frame.take(np.delete(np.arange(len(frame)), [row for row, _ in damaged]))
        for told in fill_lines(frame, strategy):
            books = recount(told.lines)
            yield from _within(told, books)
            recomputed |= books
        if running is None:
            behind |= _behind(frame, strategy, tables, recomputed)
    if running is not None:
        shown = ((k, _figures(r)) for k, r in running.items())
        yield from _against("running engine", recomputed, shown, _EXACTLY)
    at_hand = {k: r for k, r in (recomputed | behind).items() if r is not None}
    for strategy in sorted({key[0] for key in at_hand} | set(tables.positions)):
        mine = {k: r for k, r in at_hand.items() if k[0] == strategy}
        stored = list(_rows(tables.positions[strategy], strategy)) if strategy in tables.positions else []
        stored_seq = {k: int(row["seq"]) for k, row in stored}
        later = set() if up_to is None else {k for k, seq in stored_seq.items() if seq > up_to}
        fresh = {
            k: r
            for k, r in mine.items()
            if k not in stored_seq or running is None or (last_seq.get(k, 0) <= stored_seq[k] and k not in later)
        }
        shown = (
            (k, _of_row(row, mine.get(k))) for k, row in stored if k in fresh or (k not in mine and k not in later)
        )
        yield from _against("stored positions", fresh, shown, _AS_FLOATS)
    yield from _against_reconciled(tables, recomputed, last_seq, up_to)
    yield from signed_differences(store, evidence, signed, up_to=up_to)


class _Tables:
    """What summarises fills, read before them.

    Attributes:
        at: When it was read, UTC.
        positions: Strategy -> its stored positions.
        reconciled: The latest reconciled table, and ``runs`` since it was made.
    """

    def __init__(self, store: Store, now: datetime, *, wait: bool) -> None:
        """Read the tables.

        Args:
            wait: Return when what they know is in the stored fills, too: one that is seconds old may be ahead of them.
        """
        self.at = now
        self.positions = {name: store.read("positions", name) for name in store.symbols("positions")}
        self.reconciled = store.read("portfolio", "aggregated")
        if not self.reconciled.empty:
            self.runs = store.read("reconciliations", "runs", since=self.reconciled.index[0].to_pydatetime())
        found = [frame.index[-1] for frame in (*self.positions.values(), self.reconciled) if len(frame)]
        age = self.at - max(found).to_pydatetime() if found else _LAG
        if wait and timedelta(0) <= age < _LAG:
            time.sleep((_LAG - age).total_seconds())


def _behind(
    frame: pd.DataFrame, strategy: str, tables: _Tables, recomputed: Mapping[Key, PositionRecord]
) -> dict[Key, PositionRecord | None]:
    """The books whose stored position may lack their latest fills, as of that position; ``None`` before the first.

    Args:
        frame: The strategy's ``fills``.
    """
    recent = frame[frame.index > tables.at - _MAY_BE_BEHIND]
    if recent.empty:
        return {}
    stored = tables.positions.get(strategy)
    shown = {} if stored is None else {key: int(row["seq"]) for key, row in _rows(stored, strategy)}
    # A book that is neither shown nor counted has gone: its last execution was moved to another strategy.
    late = {
        key
        for key, seq in zip(_keys(recent, strategy), recent["seq"], strict=True)
        if seq > shown.get(key, -1) and (key in shown or key in recomputed)
    }
    if not late:
        return {}
    known = frame.index <= tables.at - _MAY_BE_BEHIND
    known |= [seq <= shown.get(key, -1) for key, seq in zip(_keys(frame, strategy), frame["seq"], strict=True)]
    mine = [key in late for key in _keys(frame, strategy)]
    found: dict[Key, PositionRecord] = {}
    for told in fill_lines(frame[known & mine], strategy):
        found |= recount(told.lines)
    return {key: found.get(key) for key in late}


def _keys(frame: pd.DataFrame, strategy: str) -> Iterator[Key]:
    return ((strategy, account, con_id) for account, con_id in zip(frame["account"], frame["con_id"], strict=True))


def _within(told: FillLines, recomputed: Mapping[Key, PositionRecord]) -> Iterator[dict[str, Any]]:
    """What rows say of themselves: realized P&L adds up to the book's, quantity and price are the broker's."""
    lines = told.lines
    for row, reported, counts in told.misreported():
        key = lines.strategy[row], lines.account[row], lines.con_id[row]
        yield from _compare(f"stored fill {lines.exec_id[row]}", key, reported, counts, _EXACTLY)
    realized: dict[Key, int] = {}
    for key, amount in zip(lines.keys(), told.realized.whole, strict=True):
        realized[key] = realized.get(key, 0) + amount
    for key, total in realized.items():
        book = recomputed.get(key)
        mine: Values = {"realized_pnl": ZERO if book is None else book.realized_pnl}
        told_of: Values = {"realized_pnl": told.realized.of(total)}
        yield from _compare("stored fills", key, mine, told_of, _EXACTLY)


def _against_reconciled(
    tables: _Tables, recomputed: Mapping[Key, PositionRecord], last_seq: Mapping[Key, int], up_to: int | None
) -> Iterator[dict[str, Any]]:
    """The latest reconciled table, for books that did not change since it was made."""
    frame = tables.reconciled
    if frame.empty:
        return
    notes = tables.runs.loc[tables.runs["run_id"] == frame["run_id"].iloc[0], "extra"]
    made_at = json.loads(notes.iloc[-1]).get("books_seq") if len(notes) else None
    if made_at is None or (up_to is not None and made_at > up_to):
        return  # its run is not stored yet, is older than this note, or knows more than was recounted
    for key, row in _rows(frame, None):
        if key in recomputed and last_seq.get(key, made_at + 1) <= made_at:
            shown = _of_row(row, recomputed[key])
            mine = {field: amount for field, amount in _figures(recomputed[key]).items() if field in shown}
            yield from _compare("reconciled table", key, mine, shown, _AS_FLOATS)


def _against(
    where: str,
    recomputed: Mapping[Key, PositionRecord],
    found: Iterable[tuple[Key, Values]],
    allowed: tuple[Decimal, Decimal],
) -> Iterator[dict[str, Any]]:
    seen = set()
    for key, values in found:
        seen.add(key)
        record = recomputed.get(key)
        if record is not None:
            yield from _compare(where, key, _named(_figures(record), values), values, allowed)
        elif any(values.values()):
            yield _row(where, key, "book", None, Decimal(1))
    for key in recomputed.keys() - seen:
        if recomputed[key].fills:
            yield _row(where, key, "book", Decimal(1), None)


def _compare(
    where: str, key: Key, mine: Values, theirs: Values, allowed: tuple[Decimal, Decimal]
) -> Iterator[dict[str, Any]]:
    """One row for each figure that differs; one that a side does not have at all (a currency) is 0 there."""
    relative, absolute = allowed
    for field in dict.fromkeys([*mine, *theirs]):
        one, other = mine.get(field, ZERO), theirs.get(field, ZERO)
        if one is None or other is None:
            if one is not other:
                yield _row(where, key, field, one, other)
            continue
        rounding = add(multiply(max(one.copy_abs(), other.copy_abs()), relative), absolute)
        if subtract(one, other).copy_abs() > rounding:
            yield _row(where, key, field, one, other)


def _figures(record: PositionRecord) -> Values:
    """Every figure of a book, those of one currency under a name of their own."""
    return {
        "qty": record.quantity,
        "avg_cost": record.avg_cost,
        "realized_pnl": record.realized_pnl,
        "open_cost": record.open_cost,
        "fees_pending": Decimal(record.fees_pending),
        "fills": Decimal(record.fills),
        **{f"fees {currency}": amount for currency, amount in record.fees.items()},
        **{f"cash {currency}": amount for currency, amount in record.cash.items()},
    }


def _named(mine: Values, theirs: Values) -> Values:
    """The recount's cash of executions whose contracts named no currency, in the one that contract details told since."""
    told = [field for field in theirs if field.startswith("cash ") and field != "cash "]
    if "cash " in mine and len(told) == 1:
        mine[told[0]] = add(mine.get(told[0]) or ZERO, mine.pop("cash ") or ZERO)
    return mine


def _rows(frame: pd.DataFrame, strategy: str | None) -> Iterator[tuple[Key, dict[str, Any]]]:
    for named in frame.to_dict("records"):
        row = {str(name): value for name, value in named.items()}
        yield (strategy if strategy is not None else row["strategy"], row["account"], int(row["con_id"])), row


def _of_row(row: Mapping[str, Any], record: PositionRecord | None) -> Values:
    """The figures that a stored row shows; its one fee counts as the amount of its currency."""
    found: Values = {name: _number(row[name]) for name in _MONEY if name in row}
    found |= {name: Decimal(int(row[name])) for name in ("fees_pending", "fills") if name in row}
    for name in ("fees", "cash"):
        amounts = json.loads(row[name]) if row.get(name) else {}
        found |= {f"{name} {currency}": Decimal(amount) for currency, amount in amounts.items()}
    if record is not None and row.get("sec_type") in PERCENT_OF_PAR:
        # Its money is shown as unknown (F88), so there is nothing to compare but what it is made of.
        mine = _figures(record)
        found |= {
            name: mine[name] for name in mine if name in {"realized_pnl", "open_cost"} or name.startswith("cash ")
        }
    fee, field = found.pop("commission"), f"fees {row['commission_currency']}"
    if (
        fee is not None
        and record is not None
        and record.fees
        and found.get(field) in {None, record.fees.get(field[5:])}
    ):
        found[field] = fee
    return found


def _number(value: float) -> Decimal | None:
    return None if value != value else Decimal(repr(float(value)))  # noqa: PLR0124 - NaN differs from itself


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
