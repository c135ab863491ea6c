"""Collects what breaks are explained from; the books are read under short locks, an instrument at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from engine.core.instrument import Instrument
from engine.core.records import FillRecord, OrderRecord
from engine.core.statement import OptionEvent
from engine.desk.books import Books
from engine.desk.picture import Lock, Picture, in_force_of, key_of
from engine.ports import Broker
from engine.recon.breaks import Break, break_id, lag_sums
from engine.recon.calendar import after_reset, region_of
from engine.recon.cause import Explanation
from engine.recon.compare import Difference, Key
from engine.recon.evidence import Evidence, Side, StatementItem
from engine.recon.explain import explain
from engine.settings import Settings

ZERO: Final = Decimal(0)
_WINDOW: Final = timedelta(days=10)
_LAGS: Final = timedelta(minutes=5)
"""How long positions may lag before a fill that they never showed is another matter."""
_AT_ONCE: Final = 500
"""Breaks that one run explains, most urgent first; the rest keep what they have until a later run."""


def explain_breaks(
    breaks: Sequence[Break],
    *,
    known: Mapping[str, Break] | None = None,
    books: Books,
    lock: Lock,
    broker: Broker,
    picture: Picture,
    external: Sequence[StatementItem],
    settings: Settings,
    now: datetime,
) -> Mapping[str, Explanation]:
    """Explain open breaks.

    Args:
        known: Every break by id, settling ones included: since when the others differ.

    Returns:
        Break id -> explanation.
    """
    if not breaks:
        return {}
    chosen = sorted(breaks, key=lambda b: (bool(b.causes), b.first_seen))[:_AT_ONCE]
    known = {b.break_id: b for b in breaks} if known is None else known
    gathered = _Gathered(books, lock, broker, picture, external, settings, now, known)
    return {b.break_id: explain(gathered.evidence(b)) for b in chosen}


class _Gathered:
    def __init__(
        self,
        books: Books,
        lock: Lock,
        broker: Broker,
        picture: Picture,
        external: Sequence[StatementItem],
        settings: Settings,
        now: datetime,
        known: Mapping[str, Break],
    ) -> None:
        wanted = picture.comparison.found.keys()
        recent: list[FillRecord] = []
        orders: list[OrderRecord] = []
        for key in wanted:
            with lock:  # one at a time: ten days of a busy instrument are many executions, and others wait for the lock
                recent += books.near.fills((key,), since=now - _WINDOW)
                orders += books.near.orders((key,))
        with lock:
            self.combos = {account: tuple(books.near.combos(account)) for account in {key[0] for key in wanted}}
            own_clients = books.near.clients
            assignments = in_force_of(books)
        self.now = now
        self.known = known
        self.settings = settings
        self.instrument_of = books.instrument
        self.picture = picture
        self.marks = broker.marks()
        self.external = external
        self.assignments = assignments
        near = {
            (r.strategy, r.fill.account, r.fill.exec_id): r for r in (*recent, *picture.loose) if key_of(r) in wanted
        }
        self.fills = _by_key(near.values())
        with lock:
            self.older = {
                r.fill.exec_id: tuple(books.chain_of(r.fill.account, r.fill.exec_id)[:-1])
                for r in near.values()
                if r.supersedes and r.state == "active"
            }
        self.orders: dict[Key, list[OrderRecord]] = {}
        for order in orders:
            if order.update.instrument is not None:
                self.orders.setdefault((order.update.account, order.update.instrument.con_id), []).append(order)
        self._stocks: dict[tuple[str, str], Key] | None = None
        self.own_clients = own_clients | {settings.ib_client_id}
        self.sides: dict[str, list[Side]] = {}
        for key, difference in picture.comparison.found.items():
            self.sides.setdefault(key[0], []).append(self.side(key, difference))
        self.is_after_reset = after_reset(now, region_of(settings.ib_timezone, settings.ib_resets))

    def evidence(self, found: Break) -> Evidence:
        key = found.key
        seen = self.picture.comparison.found
        here = self.side(key, seen.get(key))
        beside = tuple(s for s in self.sides.get(key[0], ()) if s.con_id != key[1] and s.difference)
        elsewhere = tuple(s for a, sides in self.sides.items() if a != key[0] for s in sides if s.con_id == key[1])
        fills = tuple(self.fills.get(key, ()))
        # What was taken in shortly before the difference showed may be all that the positions lack; they may lag for
        # minutes (F114), but not for ever.
        began = max(found.first_seen, self.now - _LAGS)
        settled = began - timedelta(seconds=2 * self.settings.settle_s)
        flying = [r.quantity for r in fills if r.state == "active" and r.fill.received_at >= settled]
        return Evidence(
            found=found,
            now=self.now,
            here=here,
            beside=beside,
            elsewhere=elsewhere,
            underlying=self.underlying(key[0], here.instrument),
            fills=fills,
            older=tuple(o for r in fills for o in self.older.get(r.fill.exec_id, ()) if o.state == "superseded"),
            orders=tuple(self.orders.get(key, ())),
            combos=self.combos.get(key[0], ()),
            assignments=tuple(a for a in self.assignments if (a.account, a.instrument.con_id) == key),
            statement=tuple(item for item in self.external if _names(item, key)),
            own_clients=self.own_clients,
            after_reset=self.is_after_reset,
            lag=lag_sums(flying),
        )

    def side(self, key: Key, difference: Difference | None) -> Side:
        row = self.picture.comparison.row(key)
        group = self.picture.group(key)
        held = group.net
        reported = held if difference is None else difference.broker_quantity
        fills = self.fills.get(key, ())
        mark = self.marks.get(key)
        known = self.known.get(break_id(*key)) if difference is not None else None
        return Side(
            account=key[0],
            con_id=key[1],
            instrument=row.instrument if row is not None else self.instrument_of(key[1]),
            difference=ZERO if difference is None else difference.difference,
            broker_quantity=reported,
            books_quantity=held if difference is None else difference.books_quantity,
            broker_avg_cost=None if row is None else row.broker_avg_cost,
            books=group.records,
            mark=None if mark is None else mark.price,
            last_price=next((r.unit_price for r in reversed(list(fills)) if r.state == "active"), None),
            since=None if known is None or known.state == "closed" else known.first_seen,
        )

    def underlying(self, account: str, instrument: Instrument | None) -> Side | None:
        """The underlying where its ``con_id`` is known, or where an instrument of its symbol is held or quoted here."""
        if instrument is None or not instrument.right:
            return None
        if instrument.under_con_id:
            key = (account, instrument.under_con_id)
            return self.side(key, self.picture.comparison.found.get(key))
        stock = self.stocks().get((account, instrument.symbol))
        return None if stock is None else self.side(stock, self.picture.comparison.found.get(stock))

    def stocks(self) -> dict[tuple[str, str], Key]:
        """(account, symbol) -> the stock of that symbol that is held or quoted there; looked through once a run."""
        if self._stocks is None:
            self._stocks = {}
            for holdings in (self.picture.groups, self.picture.comparison.broker):
                for account, con_ids in holdings.items():
                    for con_id in con_ids:
                        known = self.instrument_of(con_id)
                        if known is not None and known.sec_type == "STK":
                            self._stocks.setdefault((account, known.symbol), (account, con_id))
        return self._stocks


def _by_key(records: Iterable[FillRecord]) -> dict[Key, list[FillRecord]]:
    grouped: dict[Key, list[FillRecord]] = {}
    for record in sorted(records, key=lambda r: (r.order_time, r.first_seq)):
        grouped.setdefault(key_of(record), []).append(record)
    return grouped


def _names(item: StatementItem, key: Key) -> bool:
    if item.account != key[0]:
        return False
    if item.instrument.con_id == key[1]:
        return True
    return isinstance(item, OptionEvent) and item.underlying is not None and item.underlying.con_id == key[1]
