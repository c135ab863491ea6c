"""The reconciled table: books and broker side by side, one row per (account, con_id, strategy).

Columns are those of the stored ``portfolio`` symbols. The UNASSIGNED row carries ``residual_qty`` (broker minus all
books); every other row carries 0 there, so that per (account, con_id)::

    sum(qty) + sum(residual_qty) = broker_qty

An account without a confirmed answer has status ``unavailable`` and no broker figures; what is classified instead of
compared (currency pairs, combinations) has status ``excluded``. Unknown is NaN, never 0.

Between two runs of a large account hardly anything changes, so rows are kept. What a row keeps until a book or the
broker's holding changes is apart from what moves with the market: prices that move make only the latter again. And a run
only notes what its rows are made of; figures are made of it once, for whoever asks. Everything is done in small steps, with
a breath between them: one long call would hold the interpreter, and with it the loop of the screens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from engine.core.instrument import Instrument
from engine.core.snapshot import AccountSnapshot, BrokerPosition, Confirmed
from engine.recon.account_rows import AccountRows, Renewal
from engine.recon.breaks import Break
from engine.recon.compare import Comparison, Difference
from engine.recon.grouped import Breathe, Group, Groups, no_breath
from engine.recon.row import COLUMNS, LASTING, MARKET, Rate, Rates, Valuation, Worth, kept_exactly

_LASTING: Final = {name: place for place, name in enumerate(LASTING)}
_MARKET: Final = {name: place for place, name in enumerate(MARKET)}
_NO_ROWS: Final[Mapping[int, BrokerPosition]] = {}
_NO_GROUPS: Final[Mapping[int, Group]] = {}


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """The table of one run.

    Attributes:
        columns: :data:`engine.recon.row.COLUMNS`, rows by account, con_id and strategy.
        changed: (account, symbol) -> its rows, where anything but the market changed since the last run.
        times: account -> timestamp of its rows.
        rates: (account, currency) -> rate and the note of its time, as used; ``bases``: account -> base currency.
        marks: Number of the marks that were used, for whoever records them.
    """

    run_id: str
    columns: TableColumns
    changed: dict[tuple[str, str], tuple[Worth, ...]]
    times: dict[str, datetime]
    rates: dict[tuple[str, str], Rate]
    bases: dict[str, str]
    marks: int = 0

    def symbol_columns(self, account: str, symbol: str) -> SymbolColumns:
        """The rows of one changed symbol as columns for the store."""
        return SymbolColumns([_Part(self.changed[account, symbol], self.times[account])], self.run_id)


class _Part(NamedTuple):
    keys: Sequence[Worth]
    at: datetime


class TableColumns(Mapping[str, list[Any]]):
    """Rows as columns that are made when they are asked for, each a new list; immutable.

    A run keeps what its rows are made of: columns of a hundred thousand rows, kept as lists, are walked through by every
    collection of garbage, and often nobody asks for them. The first to ask has the rows made, in its own thread.
    """

    __slots__ = ("_parts", "_run_id")

    def __init__(self, parts: Sequence[_Part] = (), run_id: str = "") -> None:
        """Take the rows of every account, in order, and the time of each."""
        self._parts = parts
        self._run_id = run_id

    @property
    def count(self) -> int:
        """Number of rows."""
        return sum(len(key.standing.records) for part in self._parts for key in part.keys)

    def __getitem__(self, name: str) -> list[Any]:
        """One column of :data:`engine.recon.row.COLUMNS`."""
        if name == "run_id":
            return [self._run_id] * self.count
        if name == "timestamp":
            return [part.at for part in self._parts for key in part.keys for _ in key.standing.records]
        place = _LASTING.get(name)
        if place is not None:
            return [row[place] for part in self._parts for key in part.keys for row in key.standing.rows()]
        place = _MARKET[name]
        return [row[place] for part in self._parts for key in part.keys for row in key.rows()]

    def __iter__(self) -> Iterator[str]:
        """The names of the columns."""
        return iter(COLUMNS)

    def __len__(self) -> int:
        """Number of columns."""
        return len(COLUMNS)


class SymbolColumns(TableColumns):
    """The rows of one changed symbol for the store.

    ``extra`` carries what float columns do not, so that the market's figures of that moment can be made again.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> list[Any]:
        """One column."""
        if name != "extra":
            return super().__getitem__(name)
        return [
            kept_exactly(record, row[-1], unpriced=key.standing.unpriced)
            for part in self._parts
            for key in part.keys
            for record, row in zip(key.standing.records, key.rows(), strict=True)
        ]


class ReconciledTable:
    """Builds the table of each run from the one before. One run at a time."""

    def __init__(self) -> None:
        """Nothing is known before the first run."""
        self._accounts: dict[str, AccountRows] = {}

    def build(
        self,
        *,
        run_id: str,
        at: datetime,
        groups: Groups,
        comparison: Comparison,
        answers: Iterable[AccountSnapshot],
        breaks: Mapping[str, Break],
        instrument_of: Callable[[int], Instrument | None],
        value: Valuation,
        breathe: Breathe = no_breath,
    ) -> Built:
        """Build the table of one run.

        Args:
            run_id: Of the run.
            at: Timestamp for rows of accounts without a confirmed answer, UTC.
            groups: Every book.
            comparison: What was compared.
            answers: One per account.
            breaks: The book of breaks after the run, by id.
            instrument_of: What the books know of a ``con_id``.
            value: Marks and rates.
            breathe: See :data:`engine.recon.grouped.Breathe`.
        """
        answered = {a.account: a.answered_at for a in answers if isinstance(a, Confirmed)}
        rates = Rates(value)
        parts: list[_Part] = []
        changed: dict[tuple[str, str], tuple[Worth, ...]] = {}
        found: dict[str, dict[int, Difference]] = {}
        for (account, con_id), difference in comparison.found.items():
            found.setdefault(account, {})[con_id] = difference
        names = sorted(groups.keys() | comparison.broker.keys() | self._accounts.keys())
        for account in names:
            known = self._accounts.setdefault(account, AccountRows())
            rows = comparison.broker.get(account, _NO_ROWS)
            differences = found.get(account, {})
            work = Renewal(account, known, rates, differences, breaks, instrument_of, answered=account in answered)
            for symbol, stored in work.run(groups.get(account, _NO_GROUPS), rows, breathe).items():
                changed[account, symbol] = stored
            parts.append(_Part(known.shown, answered.get(account, at)))
            breathe()
        times = {account: answered.get(account, at) for account in names}
        return Built(
            run_id=run_id,
            columns=TableColumns(parts, run_id),
            changed=changed,
            times=times,
            rates=rates.rates,
            bases=rates.bases,
        )
