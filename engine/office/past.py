"""Tables as of a past moment, from the append-only record in the store: equal to what was shown then."""

from __future__ import annotations

import time
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd

from engine.core.events import BreakNoted, InstrumentDescribed, RateSeen
from engine.desk.timetravel import fills_as_of, moment_of, orders_as_of, positions_as_of, rates_as_of
from engine.office.marks import marks_as_of, run_notes
from engine.office.past_portfolio import portfolio_of_run
from engine.recon.breaks import BreakBook
from engine.recon.row import COLUMNS
from engine.state.changes import Changes
from engine.state.notes import Notes
from engine.state.valuation import RateTable, value
from engine.storage.unrows import fill_records, order_records, stored_facts
from engine.tables.breaks import breaks_frame
from engine.tables.journal import assignments_frame
from engine.tables.positions import position_columns
from engine.tables.records import SIGHT_LASTS, fills_frame, orders_frame, rows_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.core.events import AnyFact
    from engine.core.instrument import Instrument
    from engine.core.records import FillRecord
    from engine.core.snapshot import Mark
    from engine.pipeline.room import BookRoom

_CATCH_UP_S = 3.0
_MOMENT_S = 0.01


class Past:
    """Reads the store; every method takes an aware moment and raises ``BadRequest`` for a naive one."""

    def __init__(self, room: BookRoom) -> None:
        """Take the room whose store is read."""
        self._room = room

    def _caught_up(self) -> None:
        """Let the store take what is booked already, so that a moment just past is whole; not while it is in trouble."""
        room = self._room
        end = time.monotonic() + _CATCH_UP_S
        if room.writer.state == "ok":
            room.writer.wait_stored(room.keeper.seq, _CATCH_UP_S)
        while len(room.frames) and room.writer.state == "ok" and time.monotonic() < end:
            time.sleep(_MOMENT_S)

    def _records(self, strategy: str | None, moment: datetime) -> list[FillRecord]:
        self._caught_up()
        store = self._room.store
        names = store.symbols("fills") if strategy is None else [strategy]
        at = moment_of(moment)
        return [r for name in names for r in fill_records(store.read("fills", name, as_of=at), name)]

    def _facts(self, kind: str, moment: datetime) -> list[AnyFact]:
        """Facts of one kind that had been taken in by then."""
        at = moment_of(moment)
        return [f for _, f in stored_facts(self._room.store.read("facts", kind)) if f.received_at <= at]

    def rates(self, moment: datetime) -> RateTable:
        """Exchange rates as they were known."""
        facts = [f for f in self._facts("rate", moment) if isinstance(f, RateSeen)]
        bases = {f.account: f.base for f in facts}
        return RateTable(rates_as_of(facts, moment), bases, self._room.settings.base_currency)

    def marks(self, moment: datetime) -> Mapping[tuple[str, int], Mark]:
        """Marks as they were last shown."""
        self._caught_up()
        return marks_as_of(self._room.store.read("reconciliations", "marks"), moment=moment)

    def _instruments(self, records: list[FillRecord], moment: datetime) -> dict[int, Instrument]:
        """As the broker's contract details gave them by then, else as their first execution did."""
        known: dict[int, Instrument] = {}
        for record in sorted(records, key=lambda r: r.first_seq):
            known.setdefault(record.fill.instrument.con_id, record.fill.instrument)
        described = [f.instrument for f in self._facts("instrument", moment) if isinstance(f, InstrumentDescribed)]
        return known | {instrument.con_id: instrument for instrument in described}

    def positions(self, strategy: str | None, account: str | None, moment: datetime) -> pd.DataFrame:
        """Books as they stood, at the marks and rates of then."""
        fills = self._records(strategy, moment)
        rates, marks, instruments = self.rates(moment), self.marks(moment), self._instruments(fills, moment)
        valued = []
        for record in positions_as_of(fills, moment):
            if account in {None, record.account}:
                instrument = instruments[record.instrument_key]
                mark = marks.get((record.account, record.instrument_key))
                valued.append((value(record, instrument, mark, rates), instrument))
        columns = position_columns(valued, moment)
        count = len(valued)
        return rows_frame(({name: values[n] for name, values in columns.items()} for n in range(count)), list(columns))

    def fills(self, strategy: str | None, moment: datetime) -> pd.DataFrame:
        """Executions as they were known."""
        return fills_frame(fills_as_of(self._records(strategy, moment), moment))

    def orders(self, strategy: str | None, moment: datetime, *, open_only: bool) -> pd.DataFrame:
        """Orders as they were known."""
        self._caught_up()
        store = self._room.store
        # Of all strategies, since an order may have been claimed away from one.
        records = [r for name in store.symbols("orders") for r in order_records(store.read("orders", name), name)]
        found = orders_as_of(records, moment, open_only=open_only, fills=self._records(None, moment))
        frame = orders_frame([r for r in found if strategy in {None, r.strategy}])
        # By the sight that made the row: later ones without news are not stored.
        seen = pd.to_datetime(frame["received_at"], utc=True, cache=False)
        old = seen < pd.Timestamp(moment_of(moment)) - SIGHT_LASTS
        frame["stale"] = (frame["source"] == "open") & frame["is_open"] & ~frame["named"] & old
        return frame

    def _run(self, moment: datetime) -> tuple[str, datetime, dict[str, Any]] | None:
        """The last good run by then: its id, when it was shown, and what it noted of itself."""
        runs = self._room.store.read("reconciliations", "runs")
        good = runs[(runs.index <= pd.Timestamp(moment_of(moment))) & (runs["status"] != "unavailable")]
        if good.empty:
            return None
        last = good.iloc[-1]
        return str(last["run_id"]), good.index[-1].to_pydatetime(), run_notes(str(last["extra"]))

    def breaks(self, moment: datetime, *, open_only: bool) -> pd.DataFrame:
        """Breaks as they were known; what was still settling is no break yet and leaves no trace."""
        self._caught_up()
        stored = self._room.store.read("reconciliations", "breaks")
        known = stored[stored.index <= pd.Timestamp(moment_of(moment))]
        book = BreakBook.from_rows(known["extra"])
        notes = Notes()
        for fact in self._facts("break_note", moment):
            if isinstance(fact, BreakNoted):
                notes.note(fact, Changes())
        for name, noted in notes.break_notes.items():
            book = book.note(name, noted.owner, noted.note)
        run = self._run(moment)
        seen = {} if run is None else run[2].get("breaks", {})
        changed_at = dict(zip(known["break_id"], known.index, strict=True))
        seen = {n: s for n, s in seen.items() if run is not None and n in changed_at and changed_at[n] <= run[1]}
        breaks = dict(book.breaks)
        for name, (times, worth, _) in seen.items():
            if name in breaks:
                value_at_risk = None if worth is None else Decimal(worth)
                breaks[name] = msgspec.structs.replace(breaks[name], runs=times, value_at_risk_base=value_at_risk)
        frame = breaks_frame(BreakBook(breaks=breaks).listed(open_only=open_only), moment)
        frame["cause"] = [
            seen[n][2] if n in seen else c for n, c in zip(frame["break_id"], frame["cause"], strict=True)
        ]
        return frame

    def break_history(self, break_id: str) -> pd.DataFrame:
        """Every stored change of one break, oldest first; columns and index as in ``reconciliations/breaks``."""
        self._caught_up()
        stored = self._room.store.read("reconciliations", "breaks")
        return stored[stored["break_id"] == break_id] if "break_id" in stored else stored

    def portfolio(self, account: str | None, moment: datetime) -> pd.DataFrame:
        """The reconciled table as the last run by then made it, at the marks and rates that it used."""
        self._caught_up()
        run = self._run(moment)
        if run is None:
            return (
                self._room.store.portfolio(account, as_of=moment_of(moment))
                .head(0)[list(COLUMNS)]
                .reset_index(drop=True)
            )
        run_id, _, notes = run
        if "at" not in notes:  # written before runs noted what they used
            return self._room.store.portfolio(account, as_of=moment_of(moment)).reset_index(drop=True)
        rows = self._room.store.portfolio(account, as_of=datetime.fromisoformat(notes["at"]))
        marks = marks_as_of(self._room.store.read("reconciliations", "marks"), number=int(notes["marks"]))
        return portfolio_of_run(rows, run_id, notes, marks)

    def assignments(self, moment: datetime | None) -> pd.DataFrame:
        """The journal of assignments as it stood; it is append-only, so it is read from memory. ``None`` for now."""
        with self._room.lock:
            return assignments_frame(self._room.ledger, None if moment is None else moment_of(moment))
