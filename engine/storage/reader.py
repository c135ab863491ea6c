"""Pleasant tables for notebooks and reports, on top of ``read`` and ``symbols``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from engine.storage.names import split_portfolio_name
from engine.storage.schema import empty_frame, table_for


class Tables:
    """What every store can show; the store itself brings ``read`` and ``symbols``."""

    def read(
        self,
        library: str,
        symbol: str,
        *,
        as_of: datetime | str | None = None,
        since: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Rows of one symbol."""
        raise NotImplementedError

    def symbols(self, library: str) -> list[str]:
        """Names of a library's symbols."""
        raise NotImplementedError

    def fills(
        self, strategy: str | None = None, *, as_of: datetime | None = None, since: datetime | None = None
    ) -> pd.DataFrame:
        """Every stored row of ``fills``, revisions and late fees included.

        Returns:
            Columns ``strategy`` and those of ``fills`` (see ``schema.FILLS``), index ``recorded_at``; in stored order.
        """
        return self._by_strategy("fills", strategy, as_of, since)

    def orders(
        self, strategy: str | None = None, *, as_of: datetime | None = None, since: datetime | None = None
    ) -> pd.DataFrame:
        """Every status transition; columns ``strategy`` and those of ``orders``, index ``recorded_at``."""
        return self._by_strategy("orders", strategy, as_of, since)

    def positions(self, strategy: str | None = None, *, as_of: str | None = None) -> pd.DataFrame:
        """The latest books; columns ``strategy`` and those of ``positions``.

        Args:
            as_of: Name of an end-of-day snapshot, e.g. ``eod-2026-03-31``; ``None`` for now.
        """
        return self._by_strategy("positions", strategy, as_of, None)

    def equity(
        self, strategy: str | None = None, *, as_of: datetime | None = None, since: datetime | None = None
    ) -> pd.DataFrame:
        """Sampled cash, fees and P&L; columns ``strategy`` and those of ``equity``."""
        return self._by_strategy("equity", strategy, as_of, since)

    def portfolio(self, account: str | None = None, *, as_of: datetime | None = None) -> pd.DataFrame:
        """The reconciled books.

        Args:
            account: Only this one.
            as_of: The last snapshot of each instrument up to then; ``None`` for the latest table over all accounts.

        Returns:
            Columns of ``portfolio/aggregated``, index ``recorded_at``.
        """
        if as_of is None:
            table = self.read("portfolio", "aggregated")
            return table if account is None else table[table["account"] == account]
        parts = []
        for name in self.symbols("portfolio"):
            owner, _ = split_portfolio_name(name)
            if name == "aggregated" or (account is not None and owner != account):
                continue
            rows = self.read("portfolio", name, as_of=as_of)
            for _, book in rows.groupby("con_id", sort=False):
                last = book[book["run_id"] == book["run_id"].iloc[-1]]
                parts.append(last[~last["extra"].str.contains('"gone": true', regex=False)])
        return _joined(parts, empty_frame(table_for("portfolio", "")))

    def runs(self, *, since: datetime | None = None) -> pd.DataFrame:
        """One row per reconciliation."""
        return self.read("reconciliations", "runs", since=since)

    def breaks(self, *, since: datetime | None = None) -> pd.DataFrame:
        """One row per change of a break."""
        return self.read("reconciliations", "breaks", since=since)

    def assignments(self) -> pd.DataFrame:
        """The assignment journal: one row per leg, moved execution and reversal."""
        return self.read("assignments", "journal")

    def _by_strategy(
        self, library: str, strategy: str | None, as_of: datetime | str | None, since: datetime | None
    ) -> pd.DataFrame:
        names = self.symbols(library) if strategy is None else [strategy]
        parts = []
        for name in names:
            rows = self.read(library, name, as_of=as_of, since=since)
            rows.insert(0, "strategy", name)
            if not rows.empty:
                parts.append(rows)
        empty = empty_frame(table_for(library, ""))
        empty.insert(0, "strategy", pd.Series([], dtype=object, index=empty.index))
        return _joined(parts, empty).sort_index(kind="stable")


def _joined(parts: list[pd.DataFrame], empty: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts) if parts else empty
