"""Tables of the present, from the books in memory; each call holds the ledger's lock only for moments while it copies."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import pandas as pd

from engine.core.ids import split_exec_id
from engine.desk.timetravel import moment_of
from engine.errors import BadRequest
from engine.storage.schema import AGGREGATED, empty_frame
from engine.tables.positions import position_columns, valued_positions
from engine.tables.records import SIGHT_LASTS, fills_frame, orders_frame, rows_frame, struct_rows, typed_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from engine.core.records import FillRecord
    from engine.desk.rows import ReconcileResult
    from engine.pipeline.room import BookRoom
    from engine.ports import Broker

_SORTS: dict[str, Callable[[FillRecord], Any]] = {
    "timestamp": lambda r: (r.order_time, r.first_seq),
    "recorded_at": lambda r: r.seq,
    "symbol": lambda r: (r.fill.instrument.symbol, r.order_time, r.first_seq),
    "strategy": lambda r: (r.strategy, r.order_time, r.first_seq),
    "account": lambda r: (r.fill.account, r.order_time, r.first_seq),
    "qty": lambda r: (r.quantity, r.first_seq),
    "price": lambda r: (r.unit_price, r.first_seq),
    "commission": lambda r: (r.commission is None, r.commission or 0, r.first_seq),
    "realized_pnl": lambda r: (r.realized_pnl, r.first_seq),
    "fill_id": lambda r: r.fill.exec_id,
    "order_ref": lambda r: (r.fill.order_ref, r.first_seq),
}


class LiveTables:
    """Reads ledger and broker; safe from any thread."""

    def __init__(self, room: BookRoom, broker: Broker) -> None:
        """Take what is read."""
        self._room = room
        self._broker = broker

    def positions(self, strategy: str | None, account: str | None) -> pd.DataFrame:
        """Books, valued with the broker's latest marks and rates."""
        room = self._room
        marks = room.marks()
        with room.lock:
            records = room.ledger.positions(strategy, account)
            valued = valued_positions(room.ledger, records, marks, room.settings.base_currency)
        return typed_frame(pd.DataFrame(position_columns(valued, room.clock.now())))

    def fills(self, strategy: str | None, since: datetime | None) -> pd.DataFrame:
        """The present state of each execution, oldest first."""
        moment = None if since is None else moment_of(since)
        records = self._room.keeper.fills(strategy, moment)
        return fills_frame(records)

    def fills_page(
        self,
        strategy: str | None = None,
        account: str | None = None,
        text: str | None = None,
        sort: str = "-timestamp",
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[pd.DataFrame, int]:
        """One page of executions.

        Args:
            text: Must stand in id, order reference, symbol, strategy or account, in any case.
            sort: Column name, ``-`` before it for falling.
            offset: Rows before the page.
            limit: Rows of the page, at most 1,000.

        Returns:
            The page as :meth:`fills` gives it, and how many executions fit.

        Raises:
            BadRequest: Not a column that can be sorted by.
        """
        falling, name = sort.startswith("-"), sort.lstrip("-")
        key = _SORTS.get(name)
        if key is None:
            raise BadRequest(f"fills cannot be sorted by {name!r}: {', '.join(_SORTS)}")
        skip, rows = max(offset, 0), min(max(limit, 0), 1000)
        if sort == "-timestamp" and not text:
            with self._room.lock:
                newest, total = self._room.ledger.page(strategy, account, skip=skip, limit=rows)
            return fills_frame(newest), total
        records = self._room.keeper.fills(strategy)
        wanted = [r for r in records if _fits(r, account, (text or "").lower())]
        pick = heapq.nlargest if falling else heapq.nsmallest
        page = pick(min(skip + rows, len(wanted)), wanted, key=key)[skip:]
        return fills_frame(page), len(wanted)

    def orders(self, strategy: str | None, *, open_only: bool) -> pd.DataFrame:
        """The latest state of each order."""
        records = self._room.keeper.orders(strategy, open_only=open_only)
        with self._room.lock:
            old = self._grown_old()
        return _marked(orders_frame(records), old)

    def latest_orders(self) -> pd.DataFrame:
        """The latest state of open orders and of the latest few hundred of each strategy, at the cost of these."""
        with self._room.lock:
            records = self._room.ledger.latest_orders()
            old = self._grown_old()
        return _marked(orders_frame(records), old)

    def _grown_old(self) -> frozenset[str]:
        return self._room.ledger.near.grown_old(self._room.clock.now() - SIGHT_LASTS)

    def timeline(self, order_key: str) -> pd.DataFrame:
        """Every transition of one order."""
        with self._room.lock:
            records = self._room.ledger.timeline(order_key)
        return orders_frame(records)

    def timelines(self, order_keys: Iterable[str]) -> pd.DataFrame:
        """Every transition of several orders, with the key that each was asked by; one table costs as much as one order."""
        with self._room.lock:
            found = [(key, r) for key in order_keys for r in self._room.ledger.timeline(key)]
        frame = orders_frame([record for _, record in found])
        frame["order_key"] = pd.Series([key for key, _ in found], dtype="object")
        return frame

    def chain(self, fill_id: str) -> pd.DataFrame:
        """Every revision of the execution that a fill id belongs to, in any account."""
        root = split_exec_id(fill_id)[0]
        with self._room.lock:
            accounts = self._room.ledger.near.accounts
            records = [r for a in sorted(accounts) for r in self._room.ledger.chain(a, root)]
        return fills_frame(records)

    def portfolio(self, last: ReconcileResult | None, account: str | None) -> pd.DataFrame:
        """The latest reconciled table: this process's last run, else what is stored."""
        if last is None:
            frame = self._room.store.read("portfolio", "aggregated").reset_index(drop=True)
        else:
            frame = pd.DataFrame({k: v for k, v in last.columns.items() if k in AGGREGATED.columns})
            if frame.empty:
                frame = empty_frame(AGGREGATED).reset_index(drop=True)
            frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True, cache=False)
        return frame if account is None else frame[frame["account"] == account].reset_index(drop=True)

    def findings(self) -> pd.DataFrame:
        """Open findings, most severe first."""
        names = ("key", "kind", "severity", "text", "account", "con_id", "exec_id", "strategy", "seen_at")
        rank = {"critical": 0, "warning": 1, "info": 2}
        with self._room.lock:
            found = sorted(
                self._room.ledger.findings.values(), key=lambda f: (rank[f.severity], -f.seen_at.timestamp())
            )
        return rows_frame(struct_rows(found, *names), names)

    def fees_pending(self) -> pd.DataFrame:
        """Executions without a fee, oldest first."""
        room = self._room
        with room.lock:
            records = room.ledger.fees_pending(room.clock.now())
        return fills_frame(sorted(records, key=lambda r: r.seq))

    def quarantine(self) -> pd.DataFrame:
        """Open quarantined messages."""
        names = ("quarantine_id", "reason", "door", "strategy", "raw", "received_at")
        with self._room.lock:
            held = list(self._room.ledger.quarantine.values())
        return rows_frame(struct_rows(held, *names), names)

    def audit(self) -> pd.DataFrame:
        """Recent acts, latest first."""
        names = ("received_at", "user", "act", "detail", "allowed")
        with self._room.lock:
            acts = list(self._room.ledger.audit)
        return rows_frame(struct_rows(reversed(acts), *names), names)


def _marked(frame: pd.DataFrame, old: frozenset[str]) -> pd.DataFrame:
    """With the column ``stale``: the last sight of the order is a list's, and too old to go by (F52)."""
    frame["stale"] = frame["order_key"].isin(old)
    return frame


def _fits(record: FillRecord, account: str | None, text: str) -> bool:
    fill = record.fill
    if account and fill.account != account:
        return False
    return not text or any(
        text in part.lower()
        for part in (
            fill.exec_id,
            fill.order_ref,
            fill.instrument.symbol,
            fill.instrument.local_symbol,
            record.strategy,
            fill.account,
        )
    )
