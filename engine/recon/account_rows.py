"""One account's rows of the reconciled table, from run to run.

What a row keeps until a book or the broker's holding changes is apart from what moves with the market: prices that move
make only the latter again, and an account of which neither side changed is looked through for moved prices only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.exact import ZERO
from engine.core.ids import UNASSIGNED
from engine.core.instrument import Instrument
from engine.core.records import PositionRecord
from engine.core.snapshot import BrokerPosition, Mark
from engine.recon.breaks import Break, break_id
from engine.recon.compare import Difference, Key, exclusion
from engine.recon.grouped import STEPS, Breathe, Group
from engine.recon.row import GONE, LASTING, Rate, Row, RowMaker

_STATE_TO_STATUS: Final = {
    "settling": "settling",
    "suspected": "suspected",
    "confirmed": "confirmed",
    "explained": "confirmed",
    "assigned": "matched",
    "closed": "matched",
}
_SYMBOL: Final = LASTING.index("symbol")
_NOTHING: Final = Group()
_ONE: Final = Decimal(1)
_GONE_ROW: Final = (0.0, float("nan"), 0.0, *[float("nan")] * 5, f'{{"{GONE}": true}}')


class Stored(msgspec.Struct, frozen=True, gc=False):
    """One row to store: what lasts, what moves with the market, and the book it was made of."""

    lasting: Row
    market: Row
    record: PositionRecord | None


class _Kept(msgspec.Struct, gc=False):
    """The rows of one key, and what they were made of; ``residual`` is ``None`` where nothing differs."""

    key: Key
    group: Group
    row: BrokerPosition | None
    instrument: Instrument | None
    residual: Decimal | None
    status: str
    rows: tuple[Stored, ...]
    currencies: tuple[str, ...]
    mark: Mark | None
    rates: tuple[Rate, ...]

    @property
    def symbol(self) -> str | None:
        """Under which the rows are stored; ``None`` when nothing is shown."""
        return self.rows[0].lasting[_SYMBOL] if self.rows else None


class AccountRows:
    """What is kept of one account.

    Attributes:
        shown: Its rows, by con_id and strategy.
    """

    def __init__(self) -> None:
        """Nothing is known before the first run."""
        self.kept: dict[int, _Kept] = {}
        self.order: list[int] = []
        self.base = ""
        self.groups: Mapping[int, Group] | None = None
        self.rows: Mapping[int, BrokerPosition] | None = None
        self.differs = False
        self.answered = False
        self.shown: tuple[Stored, ...] = ()


class Renewal:
    """One account brought up to date by one run."""

    def __init__(
        self,
        account: str,
        known: AccountRows,
        maker: RowMaker,
        found: Mapping[int, Difference],
        breaks: Mapping[str, Break],
        instrument_of: Callable[[int], Instrument | None],
        *,
        answered: bool,
    ) -> None:
        """Take what the run found; ``found`` by con_id, ``breaks`` by id."""
        self.account = account
        self.known = known
        self.maker = maker
        self.found = found
        self.breaks = breaks
        self.instrument_of = instrument_of
        self.answered = answered
        self._rates: dict[tuple[str, ...], tuple[Rate, ...]] = {}

    def run(
        self, groups: Mapping[int, Group], rows: Mapping[int, BrokerPosition], breathe: Breathe
    ) -> dict[str, tuple[Stored, ...]]:
        """Bring the account's rows up to date; returns the rows of every symbol of which more than the price changed."""
        known, base = self.known, self.maker.base(self.account)
        quiet = known.groups is groups and known.rows is rows and known.answered is self.answered
        gone: dict[str, list[int]] = {}
        symbols: set[str] = set()
        drawn = False
        if not quiet or self.found or known.differs or known.base != base:
            self._arrange(groups, rows, gone)
            drawn = self._renew(groups, rows, symbols, gone, breathe) or bool(gone)
        known.groups, known.rows, known.answered = groups, rows, self.answered
        known.differs, known.base = bool(self.found), base
        if self._revalue(breathe) or drawn:
            known.shown = tuple([row for con_id in known.order for row in known.kept[con_id].rows])
        return self._stored(symbols, gone) if symbols or gone else {}

    def _renew(
        self,
        groups: Mapping[int, Group],
        rows: Mapping[int, BrokerPosition],
        symbols: set[str],
        gone: dict[str, list[int]],
        breathe: Breathe,
    ) -> bool:
        """Make the rows again of which more than the price changed; says whether there were any."""
        kept, same_base = self.known.kept, self.maker.base(self.account) == self.known.base
        any_new = False
        for number, con_id in enumerate(self.known.order):
            if not number % STEPS:
                breathe()
            old = kept.get(con_id)
            group, row = groups.get(con_id, _NOTHING), rows.get(con_id)
            if old is None or old.group is not group or not same_base or self._moved(old, con_id, row):
                kept[con_id] = new = self._make(con_id, group, row)
                _tell(con_id, old, new, symbols, gone)
                any_new = True
        return any_new

    def _revalue(self, breathe: Breathe) -> bool:
        """Value rows again where a mark or a rate is another; says whether there were any."""
        marks, rates_of = self.maker.marks, self._rates_of
        any_new = False
        for number, kept in enumerate(self.known.kept.values()):
            if not number % STEPS:
                breathe()
            mark, rates = marks.get(kept.key), rates_of(kept.currencies)
            if (mark is not kept.mark and mark != kept.mark) or (rates is not kept.rates and rates != kept.rates):
                kept.mark, kept.rates = mark, rates
                kept.rows = self._price(kept)
                any_new = True
            else:
                kept.rates = rates
        return any_new

    def _arrange(
        self, groups: Mapping[int, Group], rows: Mapping[int, BrokerPosition], gone: dict[str, list[int]]
    ) -> None:
        """Bring the order up to date, and drop what neither side has any more."""
        known = self.known
        con_ids = groups.keys() | rows.keys()
        if len(known.order) == len(con_ids) and con_ids.issuperset(known.order):
            return
        known.order = sorted(con_ids)
        for con_id in [c for c in known.kept if c not in con_ids]:
            old = known.kept.pop(con_id)
            if old.symbol is not None:
                gone.setdefault(old.symbol, []).append(con_id)

    def _moved(self, kept: _Kept, con_id: int, row: BrokerPosition | None) -> bool:
        """True when something other than the books or the market is no longer as it was."""
        if kept.row is not row and kept.row != row:
            return True
        if row is None:
            instrument = self.instrument_of(con_id)
            if instrument is not kept.instrument and instrument != kept.instrument:
                return True
        difference = self.found.get(con_id)
        if difference is not None:
            return kept.residual != difference.difference or kept.status != self._status(con_id)
        return kept.residual is not None or (kept.status == "unavailable") is self.answered

    def _calm_status(self, instrument: Instrument | None) -> str:
        if not self.answered:
            return "unavailable"
        # Every other instrument is either compared or of an account that is classified as a whole.
        return "excluded" if exclusion(self.account, instrument) else "matched"

    def _status(self, con_id: int) -> str:
        found = self.breaks.get(break_id(self.account, con_id))
        return "settling" if found is None else _STATE_TO_STATUS[found.state]

    def _make(self, con_id: int, group: Group, row: BrokerPosition | None) -> _Kept:
        key = (self.account, con_id)
        instrument = row.instrument if row is not None else self.instrument_of(con_id)
        difference = self.found.get(con_id)
        status = self._calm_status(instrument) if difference is None else self._status(con_id)
        reported: Decimal | None = None
        if status not in {"unavailable", "excluded"}:
            reported = ZERO if row is None else row.quantity
        residual = ZERO if difference is None else difference.difference
        shown: list[PositionRecord | None] = [
            r for r in _by_strategy(group.records) if r.quantity or r.realized_pnl or difference is not None
        ]
        if (residual or (reported and not shown)) and (not shown or shown[-1].strategy != UNASSIGNED):  # type: ignore[union-attr]
            shown.append(None)
        currency = "" if instrument is None else instrument.currency
        multiplier = _ONE if instrument is None else instrument.multiplier
        made = []
        for record in shown:
            strategy = UNASSIGNED if record is None else record.strategy
            left = residual if strategy == UNASSIGNED else ZERO
            lasting = self.maker.lasting(key, instrument, strategy, record, row, reported, left, status)
            made.append(Stored(lasting, self.maker.market(key, currency, multiplier, record), record))
        currencies = _currencies(currency, shown)
        return _Kept(
            key,
            group,
            row,
            instrument,
            None if difference is None else residual,
            status,
            tuple(made),
            currencies,
            self.maker.marks.get(key),
            self._rates_of(currencies),
        )

    def _rates_of(self, currencies: tuple[str, ...]) -> tuple[Rate, ...]:
        known = self._rates.get(currencies)
        if known is None:
            rates = tuple([self.maker.rate(self.account, currency) for currency in currencies])
            known = self._rates[currencies] = rates
        return known

    def _price(self, kept: _Kept) -> tuple[Stored, ...]:
        """The rows of one key at what they are worth now."""
        instrument, currency = kept.instrument, kept.currencies[0]
        multiplier = _ONE if instrument is None else instrument.multiplier
        price = self.maker.market
        return tuple([Stored(s.lasting, price(kept.key, currency, multiplier, s.record), s.record) for s in kept.rows])

    def _stored(self, symbols: set[str], gone: Mapping[str, list[int]]) -> dict[str, tuple[Stored, ...]]:
        """All rows of each changed symbol, those of its other contracts included, and a word for what is gone."""
        made: dict[str, tuple[Stored, ...]] = {}
        for con_id in self.known.order:
            kept = self.known.kept[con_id]
            symbol = kept.symbol
            if symbol in symbols:
                made[symbol] = made[symbol] + kept.rows if symbol in made else kept.rows
        for symbol, con_ids in gone.items():
            for con_id in con_ids:
                flat = self.maker.lasting(
                    (self.account, con_id), self.instrument_of(con_id), UNASSIGNED, None, None, ZERO, ZERO, "matched"
                )
                made[symbol] = (*made.get(symbol, ()), Stored((symbol, *flat[1:]), _GONE_ROW, None))
        return made


def _tell(con_id: int, old: _Kept | None, new: _Kept, symbols: set[str], gone: dict[str, list[int]]) -> None:
    """Note the symbols whose stored rows are no longer what is shown."""
    before = None if old is None else old.symbol
    after = new.symbol
    if after is not None and (old is None or [r.lasting for r in old.rows] != [r.lasting for r in new.rows]):
        symbols.add(after)
    if before is not None and before != after:
        gone.setdefault(before, []).append(con_id)


def _currencies(currency: str, records: Iterable[PositionRecord | None]) -> tuple[str, ...]:
    """The instrument's currency first, then others in which fees were paid."""
    others: set[str] = set()
    for record in records:
        if record is not None and (len(record.fees) > 1 or (record.fees and currency not in record.fees)):
            others |= record.fees.keys() - {currency}
    return (currency, *sorted(others))


def _by_strategy(records: Sequence[PositionRecord]) -> Sequence[PositionRecord]:
    """By name, UNASSIGNED last."""
    if len(records) < 2:
        return records
    return sorted(records, key=lambda r: (r.strategy == UNASSIGNED, r.strategy))
