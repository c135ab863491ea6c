"""Tables as of a past moment, from the append-only record in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.events import RateSeen
from engine.desk.timetravel import (
    breaks_as_of,
    fills_as_of,
    moment_of,
    orders_as_of,
    portfolio_as_of,
    positions_as_of,
    rates_as_of,
)
from engine.state.valuation import RateTable, value
from engine.storage.unrows import fill_records, order_records, stored_facts
from engine.tables.positions import position_columns
from engine.tables.records import fills_frame, orders_frame, rows_frame

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from engine.core.records import FillRecord
    from engine.pipeline.room import BookRoom

_CATCH_UP_S = 3.0


class Past:
    """Reads the store; every method takes an aware moment and raises ``BadRequest`` for a naive one."""

    def __init__(self, room: BookRoom) -> None:
        """Take the room whose store is read."""
        self._room = room

    def _records(self, strategy: str | None, moment: datetime) -> list[FillRecord]:
        self._caught_up()
        store = self._room.store
        names = store.symbols("fills") if strategy is None else [strategy]
        at = moment_of(moment)
        return [r for name in names for r in fill_records(store.read("fills", name, as_of=at), name)]

    def _caught_up(self) -> None:
        """Let the store take what is booked already, so that a moment just past is whole; not while it is in trouble."""
        room = self._room
        if room.writer.state == "ok":
            room.writer.wait_stored(room.keeper.seq, _CATCH_UP_S)

    def positions(self, strategy: str | None, account: str | None, moment: datetime) -> pd.DataFrame:
        """Books as they stood; market prices of the past are not kept per position, so they are unknown here."""
        records = positions_as_of(self._records(strategy, moment), moment)
        facts = [
            f
            for _, f in stored_facts(self._room.store.read("facts", "rate"))
            if isinstance(f, RateSeen) and f.received_at <= moment
        ]
        rates = RateTable(
            rates_as_of(facts, moment), {f.account: f.base for f in facts}, self._room.settings.base_currency
        )
        valued = []
        with self._room.lock:
            for record in records:
                instrument = self._room.ledger.instrument(record.instrument_key)
                if instrument is not None and account in {None, record.account}:
                    valued.append((value(record, instrument, None, rates), instrument))
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
        return orders_frame([r for r in found if strategy in {None, r.strategy}])

    def breaks(self, moment: datetime, *, open_only: bool) -> pd.DataFrame:
        """Breaks as they were known; columns as stored in ``reconciliations/breaks``."""
        return breaks_as_of(self._room.store.read("reconciliations", "breaks"), moment, open_only=open_only)

    def break_history(self, break_id: str) -> pd.DataFrame:
        """Every stored change of one break, oldest first; columns and index as in ``reconciliations/breaks``."""
        self._caught_up()
        stored = self._room.store.read("reconciliations", "breaks")
        return stored[stored["break_id"] == break_id] if "break_id" in stored else stored

    def portfolio(self, account: str | None, moment: datetime) -> pd.DataFrame:
        """The reconciled table as it stood."""
        return portfolio_as_of(self._room.store.portfolio(account), moment)
