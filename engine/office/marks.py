"""Marks on record: the price that a table showed at a past moment can be shown again.

The broker's marks are the only figures on the screens that are not facts in the journal: they come by the thousand and
change no book. So what was *used* is recorded: every table of the present, every equity sample and every reconciliation
takes its marks here, and those that changed since the last time are appended to ``reconciliations/marks``. A table shows
marks that are at most a second old, so that a screen that is drawn ten times a second does not fill the store.
"""

from __future__ import annotations

import json
import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from engine.core.snapshot import Mark
from engine.desk.timetravel import moment_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from engine.pipeline.frames import FrameQueue
    from engine.ports import Clock

    _Row = tuple[str, int, Decimal | None, datetime | None]

Key = tuple[str, int]
_FRESH_S: Final = 1.0
_START: Final = ""
"""Account of the row that a start writes: nothing that was recorded before it is shown any more."""


class MarkLog:
    """Gives out the broker's marks and records what it gave; from any thread."""

    def __init__(self, frames: FrameQueue, clock: Clock, source: Callable[[], Mapping[Key, Mark]]) -> None:
        """Take the way to the store, and where marks come from."""
        self._frames = frames
        self._clock = clock
        self._source = source
        self._lock = threading.Lock()
        self._given: Mapping[Key, Mark] = {}
        self._number = 0
        self._at: datetime | None = None
        self._looked = 0.0
        self._record([(_START, 0, None, None)])

    def marks(self) -> Mapping[Key, Mark]:
        """Latest marks per (account, con_id), at most a second old."""
        with self._lock:
            if time.monotonic() - self._looked > _FRESH_S:
                self._look()
            return self._given

    def fresh(self) -> tuple[Mapping[Key, Mark], int]:
        """The broker's marks as they are now, and the number under which a past reader finds them."""
        with self._lock:
            self._look()
            return self._given, self._number

    def _look(self) -> None:
        marks, given = dict(self._source()), self._given
        rows: list[_Row] = [(m.account, m.con_id, m.price, m.at) for key, m in marks.items() if given.get(key) != m]
        rows += [(account, con_id, None, None) for account, con_id in given if (account, con_id) not in marks]
        if rows:
            self._record(rows)
        self._given, self._looked = marks, time.monotonic()

    def _record(self, rows: list[_Row]) -> None:
        now = self._clock.now()
        self._at = now if self._at is None or now > self._at else self._at
        self._number = max(self._number + 1, int(self._at.timestamp() * 1_000_000))
        columns: dict[str, list[Any]] = {
            "account": [row[0] for row in rows],
            "con_id": [row[1] for row in rows],
            "price": [None if row[2] is None else float(row[2]) for row in rows],
            "exact": ["" if row[2] is None else str(row[2]) for row in rows],
            "number": [self._number] * len(rows),
            "timestamp": [row[3] for row in rows],
        }
        self._frames.add("reconciliations", "marks", columns, [self._at] * len(rows))


def marks_as_of(frame: pd.DataFrame, *, moment: datetime | None = None, number: int | None = None) -> dict[Key, Mark]:
    """The marks that had been given out by a moment, or up to a number.

    Args:
        frame: ``reconciliations/marks``.
    """
    known = frame
    if moment is not None:
        known = known[known.index <= pd.Timestamp(moment_of(moment))]
    if number is not None:
        known = known[known["number"] <= number]
    starts = (known["account"] == _START).to_numpy().nonzero()[0]
    if len(starts):
        known = known.iloc[starts[-1] + 1 :]
    last = known.drop_duplicates(["account", "con_id"], keep="last")
    rows = zip(last["account"], last["con_id"], last["exact"], last["timestamp"], strict=True)
    return {
        (account, int(con_id)): Mark(account=account, con_id=int(con_id), price=Decimal(text), at=at.to_pydatetime())
        for account, con_id, text, at in rows
        if text
    }


def run_notes(extra: str) -> dict[str, Any]:
    """What a run noted of itself; see :func:`engine.desk.rows.run_columns`."""
    found: dict[str, Any] = json.loads(extra) if extra else {}
    return found
