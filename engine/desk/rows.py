"""Results of reconciliations as columns for the store (shapes: ``reconciliations`` and ``portfolio``)."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from engine.core.snapshot import AccountSnapshot, Confirmed
from engine.recon.breaks import Break, BreakChange
from engine.recon.compare import Excluded
from engine.recon.table import Built, TableColumns

Columns = dict[str, list[Any]]
StoreRows = Callable[[str, str, Mapping[str, list[Any]], list[datetime]], object]
"""``(library, symbol, columns, recorded_at of each row)``; appends, or replaces when the symbol is a snapshot."""


_BREATH: Final = 100
_NOTED: Final = 500
"""Breaks of which each run notes how often they were seen, most urgent first."""


class ReconcileResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to.

    Attributes:
        status: ``square`` or ``breaks`` (an unavailable run raises instead); differences that are only settling do not
            count.
        square: True when every compared instrument agrees right now, without any difference even settling.
        columns: The reconciled table, columns of ``portfolio/aggregated``.
        breaks: Open ones, most urgent first.
        settling: Number of differences within their grace.
        unknown: Account -> why it gave no confirmed answer (its rows are ``unavailable``).
        changes: Steps in the lives of breaks that this run made.
        notes: What the run could not do, in words.
        books_seq: Journal sequence of the last fact in the books that were compared.
    """

    run_id: str
    at: datetime
    status: str
    square: bool
    columns: TableColumns
    breaks: tuple[Break, ...]
    settling: int
    accounts: int
    positions: int
    duration_ms: float
    reason: str
    unknown: Mapping[str, str]
    excluded: tuple[Excluded, ...] = ()
    changes: tuple[BreakChange, ...] = ()
    notes: tuple[str, ...] = ()
    books_seq: int = 0


class RunStore:
    """Hands the outcome of runs to the store; without one it does nothing."""

    def __init__(self, store_rows: StoreRows | None) -> None:
        """Take the door to the store."""
        self._store_rows = store_rows

    async def result(
        self, result: ReconcileResult, table: Built, answers: Sequence[AccountSnapshot], *, at: datetime
    ) -> None:
        """A good run: its row, the steps of breaks, changed symbols, and the latest table."""
        if self._store_rows is None:
            return
        notes = [*result.notes, *(f"{a}: {r}" for a, r in result.unknown.items())]
        await self.run(
            result.run_id,
            result.status,
            answers,
            valued=valued_notes(result, table),
            at=at,
            positions=result.positions,
            breaks=len(result.breaks),
            duration_ms=result.duration_ms,
            trigger=result.reason,
            detail="; ".join(notes),
        )
        await self.changes(result.changes, result.run_id, at)
        for number, (account, symbol) in enumerate(table.changed):
            columns = table.symbol_columns(account, symbol)
            await self._put("portfolio", f"{account}/{symbol}", columns, [result.at] * columns.count)
            if number % _BREATH == 0:
                await asyncio.sleep(0)  # a first run may have many thousand symbols to hand over
        await self._put("portfolio", "aggregated", result.columns, [result.at] * result.columns.count)

    async def run(
        self,
        run_id: str,
        status: str,
        answers: Sequence[AccountSnapshot],
        *,
        at: datetime,
        duration_ms: float,
        trigger: str,
        detail: str,
        positions: int = 0,
        breaks: int = 0,
        valued: Mapping[str, Any] | None = None,
    ) -> None:
        """The row of one run, an unavailable one included."""
        columns = run_columns(
            run_id=run_id,
            status=status,
            answers=answers,
            positions=positions,
            breaks=breaks,
            duration_ms=duration_ms,
            trigger=trigger,
            detail=detail,
            valued=valued,
        )
        await self._put("reconciliations", "runs", columns, [at])

    async def changes(self, changes: Sequence[BreakChange], run_id: str, at: datetime) -> None:
        """Steps in the lives of breaks, appended under the time from which they were shown."""
        if changes:
            await self._put("reconciliations", "breaks", break_columns(changes, run_id), [at] * len(changes))

    async def _put(self, library: str, symbol: str, columns: Mapping[str, list[Any]], index: list[datetime]) -> None:
        if self._store_rows is None:
            return
        outcome: Any = self._store_rows(library, symbol, columns, index)
        if inspect.isawaitable(outcome):
            await outcome


def run_columns(
    *,
    run_id: str,
    status: str,
    answers: Sequence[AccountSnapshot],
    positions: int,
    breaks: int,
    duration_ms: float,
    trigger: str,
    detail: str,
    valued: Mapping[str, Any] | None = None,
) -> Columns:
    """One run as one row; request and answer times of every account are kept in ``extra`` (R25).

    Args:
        valued: With what the table was valued, see :func:`valued_notes`.
    """
    good = [a for a in answers if isinstance(a, Confirmed)]
    times = {
        a.account: {
            "state": a.state,
            "requested_at": a.requested_at.isoformat(),
            **({"answered_at": a.answered_at.isoformat(), "epoch": a.epoch} if isinstance(a, Confirmed) else {}),
            **({} if isinstance(a, Confirmed) else {"reason": a.reason}),
        }
        for a in answers
    }
    return {
        "run_id": [run_id],
        "status": [status],
        "accounts": [len(good)],
        "positions": [positions],
        "breaks": [breaks],
        "duration_ms": [duration_ms],
        "reason": [detail or trigger],
        "timestamp": [max((a.answered_at for a in good), default=None)],
        "account_names": [",".join(a.account for a in answers)],
        "trigger": [trigger],
        "extra": [json.dumps({"answers": times} | dict(valued or {}))],
    }


def valued_notes(result: ReconcileResult, table: Built) -> dict[str, Any]:
    """What a past reader needs to value the table of a run again: its time, marks and rates, and the breaks' figures.

    Returns:
        ``at`` (index of its ``portfolio`` rows), ``books_seq`` (last fact of the books in it), ``marks`` (number in
        ``reconciliations/marks``), ``rates`` (account -> currency -> rate as text and its note), ``bases``, ``times``
        (account -> timestamp of its rows), and ``breaks`` (id -> runs, value at risk as text, first cause) of those that
        an operator looks at.
    """
    rates: dict[str, dict[str, list[str | None]]] = {}
    for (account, currency), (rate, note) in table.rates.items():
        rates.setdefault(account, {})[currency] = [None if rate is None else str(rate), note]
    return {
        "at": result.at.isoformat(),
        "books_seq": result.books_seq,
        "marks": table.marks,
        "rates": rates,
        "bases": table.bases,
        "times": {account: at.isoformat() for account, at in table.times.items()},
        "breaks": {
            b.break_id: [
                b.runs,
                None if b.value_at_risk_base is None else str(b.value_at_risk_base),
                b.causes[0].title if b.causes else "",
            ]
            for b in result.breaks[:_NOTED]
        },
    }


def break_columns(changes: Sequence[BreakChange], run_id: str) -> Columns:
    """Steps of breaks as rows; ``extra`` holds the whole break, from which the book of breaks can be rebuilt."""
    found = [c.found for c in changes]
    return {
        "break_id": [b.break_id for b in found],
        "account": [b.account for b in found],
        "con_id": [b.con_id for b in found],
        "symbol": [b.symbol for b in found],
        "sec_type": [b.sec_type for b in found],
        "currency": [b.currency for b in found],
        "state": [b.state for b in found],
        "broker_qty": [float(b.broker_quantity) for b in found],
        "books_qty": [float(b.books_quantity) for b in found],
        "qty": [float(b.quantity) for b in found],
        "explained_qty": [float(b.explained) for b in found],
        "residual_qty": [float(b.residual) for b in found],
        "first_seen": [b.first_seen for b in found],
        "last_changed": [b.last_changed for b in found],
        "runs": [b.runs for b in found],
        "owner": [b.owner for b in found],
        "note": [b.note for b in found],
        "value_at_risk_base": [None if b.value_at_risk_base is None else float(b.value_at_risk_base) for b in found],
        "base_currency": [b.base_currency for b in found],
        "causes": [json.dumps([{"kind": c.kind, "title": c.title, "score": c.score} for c in b.causes]) for b in found],
        "run_id": [run_id] * len(found),
        "reason": [c.text for c in changes],
        "timestamp": [c.at for c in changes],
        "extra": [msgspec.json.encode(b).decode() for b in found],
    }
