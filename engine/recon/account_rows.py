"""One account's rows of the reconciled table, from run to run.

What a row keeps until a book or the broker's holding changes is apart from what moves with the market: prices that move
make only the latter again, and an account of which neither side changed is looked through for moved prices only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.exact import ZERO
from engine.core.ids import UNASSIGNED
from engine.core.instrument import Instrument
from engine.core.records import PositionRecord
from engine.core.snapshot import BrokerPosition
from engine.recon.breaks import Break, break_id
from engine.recon.compare import Difference, exclusion, is_advisor_account
from engine.recon.grouped import STEPS, Breathe, Group
from engine.recon.row import GONE, Rate, Rates, Standing, Worth, currencies_of

_STATE_TO_STATUS: Final = {
    "settling": "settling",
    "suspected": "suspected",
    "confirmed": "confirmed",
    "explained": "confirmed",
    "assigned": "matched",
    "closed": "matched",
}
_NOTHING: Final = Group()
_GONE_ROW: Final = (0.0, float("nan"), 0.0, *[float("nan")] * 5, f'{{"{GONE}": true}}')


class _Kept(msgspec.Struct, gc=False):
    """One key and what its rows were made of; ``residual`` is ``None`` where nothing differs."""

    group: Group
    residual: Decimal | None
    currencies: tuple[str, ...]
    worth: Worth


class AccountRows:
    """What is kept of one account.

    Attributes:
        shown: What its rows are made of, by con_id.
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
        self.shown: tuple[Worth, ...] = ()


class Renewal:
    """One account brought up to date by one run."""

    def __init__(
        self,
        account: str,
        known: AccountRows,
        rates: Rates,
        found: Mapping[int, Difference],
        breaks: Mapping[str, Break],
        instrument_of: Callable[[int], Instrument | None],
        *,
        answered: bool,
    ) -> None:
        """Take what the run found; ``found`` by con_id, ``breaks`` by id."""
        self.account = account
        self.known = known
        self.rates = rates
        self.found = found
        self.breaks = breaks
        self.instrument_of = instrument_of
        self.answered = answered
        self._base = rates.base(account)
        self._advisor = is_advisor_account(account)
        self._known_rates: dict[tuple[str, ...], Mapping[str, Rate]] = {}

    def run(
        self, groups: Mapping[int, Group], rows: Mapping[int, BrokerPosition], breathe: Breathe
    ) -> dict[str, tuple[Worth, ...]]:
        """Bring the account's rows up to date; returns the rows of every symbol of which more than the price changed."""
        known, base = self.known, self._base
        quiet = known.groups is groups and known.rows is rows and known.answered is self.answered
        gone: dict[str, list[int]] = {}
        symbols: set[str] = set()
        drawn = False
        whole = not known.kept
        if not quiet or self.found or known.differs or known.base != base:
            self._arrange(groups, rows, gone)
            drawn = self._renew(groups, rows, symbols, gone, breathe) or bool(gone)
        known.groups, known.rows, known.answered = groups, rows, self.answered
        known.differs, known.base = bool(self.found), base
        if (not whole and self._revalue(breathe)) or drawn:  # what was made just now is at the present prices
            known.shown = tuple([known.kept[con_id].worth for con_id in known.order])
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
        kept, same_base = self.known.kept, self._base == self.known.base
        any_new = False
        if not kept:
            return self._fill(groups, rows, symbols, breathe)
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

    def _fill(
        self, groups: Mapping[int, Group], rows: Mapping[int, BrokerPosition], symbols: set[str], breathe: Breathe
    ) -> bool:
        """All rows of an account of which nothing is known yet."""
        kept, make = self.known.kept, self._make
        for number, con_id in enumerate(self.known.order):
            if not number % STEPS:
                breathe()
            kept[con_id] = new = make(con_id, groups.get(con_id, _NOTHING), rows.get(con_id))
            symbol = new.worth.standing.symbol
            if symbol is not None:
                symbols.add(symbol)
        return bool(kept)

    def _revalue(self, breathe: Breathe) -> bool:
        """Value rows again where a mark or a rate is another; says whether there were any."""
        marks, rates_of = self.rates.marks, self._rates_of
        any_new = False
        for number, kept in enumerate(self.known.kept.values()):
            if not number % STEPS:
                breathe()
            worth = kept.worth
            mark, rates = marks.get(worth.standing.key), rates_of(kept.currencies)
            if (mark is not worth.mark and mark != worth.mark) or (rates is not worth.rates and rates != worth.rates):
                kept.worth = Worth(worth.standing, mark, rates)
                any_new = True
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
            if old.worth.standing.symbol is not None:
                gone.setdefault(old.worth.standing.symbol, []).append(con_id)

    def _moved(self, kept: _Kept, con_id: int, row: BrokerPosition | None) -> bool:
        """True when something other than the books or the market is no longer as it was."""
        standing = kept.worth.standing
        if standing.row is not row and standing.row != row:
            return True
        if row is None:
            instrument = self.instrument_of(con_id)
            if instrument is not standing.instrument and instrument != standing.instrument:
                return True
        difference = self.found.get(con_id)
        if difference is not None:
            return kept.residual != difference.difference or standing.status != self._status(con_id)
        return kept.residual is not None or (standing.status == "unavailable") is self.answered

    def _calm_status(self, instrument: Instrument | None) -> str:
        if not self.answered:
            return "unavailable"
        if self._advisor or (instrument is not None and instrument.sec_type != "STK"):
            # Every other instrument is either compared or of an account that is classified as a whole.
            return "excluded" if exclusion(self.account, instrument) else "matched"
        return "matched"

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
            r for r in _by_strategy(group.records) if difference is not None or r.quantity or r.realized_pnl
        ]
        if (residual or (reported and not shown)) and (not shown or shown[-1].strategy != UNASSIGNED):  # type: ignore[union-attr]
            shown.append(None)
        currencies = currencies_of("" if instrument is None else instrument.currency, shown)
        standing = Standing(key, instrument, tuple(shown), row, reported, residual, status, self._base)
        worth = Worth(standing, self.rates.marks.get(key), self._rates_of(currencies))
        return _Kept(group, None if difference is None else residual, currencies, worth)

    def _rates_of(self, currencies: tuple[str, ...]) -> Mapping[str, Rate]:
        known = self._known_rates.get(currencies)
        if known is None:
            known = {currency: self.rates.rate(self.account, currency) for currency in currencies}
            self._known_rates[currencies] = known
        return known

    def _stored(self, symbols: set[str], gone: Mapping[str, list[int]]) -> dict[str, tuple[Worth, ...]]:
        """All rows of each changed symbol, those of its other contracts included, and a word for what is gone."""
        made: dict[str, tuple[Worth, ...]] = {}
        for con_id in self.known.order:
            worth = self.known.kept[con_id].worth
            symbol = worth.standing.symbol
            if symbol in symbols:
                made[symbol] = (*made[symbol], worth) if symbol in made else (worth,)
        for symbol, con_ids in gone.items():
            made[symbol] = (*made.get(symbol, ()), *(self._gone(symbol, con_id) for con_id in con_ids))
        return made

    def _gone(self, symbol: str, con_id: int) -> Worth:
        """A flat row under the symbol that the key was shown under."""
        key, instrument = (self.account, con_id), self.instrument_of(con_id)
        flat = Standing(key, instrument, (None,), None, ZERO, ZERO, "matched", self._base)
        flat.made = ((symbol, *flat.rows()[0][1:]),)
        return Worth(flat, None, {}, (_GONE_ROW,))


def _tell(con_id: int, old: _Kept | None, new: _Kept, symbols: set[str], gone: dict[str, list[int]]) -> None:
    """Note the symbols whose stored rows are no longer what is shown."""
    before = None if old is None else old.worth.standing.symbol
    after = new.worth.standing.symbol
    if after is not None and (old is None or _differ(old.worth.standing, new.worth.standing)):
        symbols.add(after)
    if before is not None and before != after:
        gone.setdefault(before, []).append(con_id)


def _differ(old: Standing, new: Standing) -> bool:
    """True when the rows are not the same; they are made for this only where nothing simpler tells."""
    if old.status != new.status or old.base != new.base or len(old.records) != len(new.records):
        return True
    return old.rows() != new.rows() or any(
        _told_beside(before) != _told_beside(after) for before, after in zip(old.records, new.records, strict=True)
    )


def _told_beside(record: PositionRecord | None) -> tuple[object, ...]:
    """What no column shows and a stored row still keeps: fees in several currencies are one unknown figure, and are not."""
    return () if record is None else (record.fees, record.fees_pending, record.open_cost, record.realized_pnl)


def _by_strategy(records: Sequence[PositionRecord]) -> Sequence[PositionRecord]:
    """By name, UNASSIGNED last."""
    if len(records) < 2:
        return records
    return sorted(records, key=lambda r: (r.strategy == UNASSIGNED, r.strategy))
