"""What is kept from one comparison to the next must never show: always the same table as made from nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.instrument import Instrument
from engine.core.records import PositionRecord
from engine.core.snapshot import BrokerPosition, Confirmed, Mark, Unknown
from engine.recon.compare import Comparer, compare_groups
from engine.recon.grouped import Grouping
from engine.recon.row import GONE, LASTING, Valuation
from engine.recon.table import ReconciledTable

START = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
ACCOUNTS = ("DU1", "DF3")
INSTRUMENTS = {
    n: Instrument(
        con_id=n,
        symbol=f"S{n // 2}",
        sec_type="CASH" if n == 4 else "STK",
        currency="EUR" if n == 1 else "USD",
        multiplier=Decimal(100 if n == 2 else 1),
    )
    for n in (1, 2, 4)
}
con_ids = st.sampled_from(sorted(INSTRUMENTS))
accounts = st.sampled_from(("DU1", "DU1", "DF3"))
quantities = st.sampled_from([Decimal(q) for q in ("-7", "0", "0.5", "3", "10")])
book_keys = st.tuples(st.sampled_from(("ALPHA", "BETA", "UNASSIGNED")), accounts, con_ids)
steps = st.one_of(
    st.tuples(st.just("book"), book_keys, quantities, st.sampled_from(("USD", "CHF", ""))),
    st.tuples(st.just("drop"), book_keys),
    st.tuples(st.just("broker"), accounts, con_ids, quantities, st.booleans()),
    st.tuples(st.just("silent"), accounts),
    st.tuples(st.just("mark"), accounts, con_ids, st.integers(1, 9)),
    st.tuples(st.just("rate"), st.sampled_from(("EUR", "CHF")), st.integers(1, 9)),
    st.tuples(st.just("base"), accounts, st.sampled_from(("USD", "EUR"))),
)


class Room:
    """Books and a broker that are changed step by step."""

    def __init__(self) -> None:
        self.books: dict[tuple[str, str, int], PositionRecord] = {}
        self.rows: dict[tuple[str, int], BrokerPosition] = {}
        self.silent: set[str] = set()
        self.marks: dict[tuple[str, int], Mark] = {}
        self.rates: dict[str, Decimal] = {}
        self.bases: dict[str, str] = {}
        self.runs = 0
        self.grouping, self.comparer = Grouping(), Comparer(Decimal(0), INSTRUMENTS.get)
        self.table = ReconciledTable()
        self.stored: dict[tuple[str, int], list[tuple[object, ...]]] = {}

    def step(self, kind: str, *about: object) -> None:
        getattr(self, kind)(*about)

    def book(self, key: tuple[str, str, int], quantity: Decimal, fee: str) -> None:
        price = Decimal(10)
        self.books[key] = PositionRecord(
            strategy=key[0],
            account=key[1],
            instrument_key=key[2],
            quantity=quantity,
            open_cost=quantity * price * INSTRUMENTS[key[2]].multiplier,
            avg_cost=price if quantity else None,
            realized_pnl=Decimal("1.5") if key[0] == "BETA" else Decimal(0),
            fees={fee: Decimal("0.35")} if fee else {},
            fees_pending=0 if fee else 1,
            cash={},
            fills=1,
            last_fill_at=START,
            seq=self.runs,
        )

    def drop(self, key: tuple[str, str, int]) -> None:
        self.books.pop(key, None)

    def broker(self, account: str, con_id: int, quantity: Decimal, reported: bool) -> None:
        self.rows.pop((account, con_id), None)
        if reported:
            self.rows[account, con_id] = BrokerPosition(
                account=account, instrument=INSTRUMENTS[con_id], quantity=quantity, broker_avg_cost=Decimal(10)
            )

    def silent_(self, account: str) -> None:
        self.silent ^= {account}

    def mark(self, account: str, con_id: int, price: int) -> None:
        self.marks[account, con_id] = Mark(account=account, con_id=con_id, price=Decimal(price), at=START)

    def rate(self, currency: str, rate: int) -> None:
        self.rates[currency] = Decimal(rate)

    def base(self, account: str, currency: str) -> None:
        self.bases[account] = currency

    def answers(self) -> list[Confirmed | Unknown]:
        at = START + timedelta(seconds=self.runs)
        made: list[Confirmed | Unknown] = []
        for account in ACCOUNTS:
            # Every answer has rows of its own, as a broker's have.
            rows = tuple(msgspec.structs.replace(r) for (a, _), r in self.rows.items() if a == account)
            made.append(
                Unknown(account=account, reason="silent", requested_at=at)
                if account in self.silent
                else Confirmed(account=account, rows=rows, requested_at=at, answered_at=at)
            )
        return made

    def run(self) -> None:
        self.runs += 1
        books, answers = list(self.books.values()), self.answers()
        groups = self.grouping.take(books)
        comparison = self.comparer.compare(groups, answers)
        built = self._built(self.table, groups, comparison, answers)
        fresh_groups = Grouping().take(books)
        fresh = compare_groups(fresh_groups, answers, instrument_of=INSTRUMENTS.get)
        assert {a: dict(g) for a, g in groups.items() if g} == {a: dict(g) for a, g in fresh_groups.items() if g}
        assert comparison == fresh
        new = self._built(ReconciledTable(), fresh_groups, fresh, answers)
        assert repr(dict(built.columns)) == repr(dict(new.columns))
        self._store(built, new)

    def _built(self, table, groups, comparison, answers):
        value = Valuation(
            marks=self.marks,
            rate=lambda _, currency: (self.rates[currency], START) if currency in self.rates else None,
            base=self.bases.get,
        )
        return table.build(
            run_id=f"r{self.runs}",
            at=START,
            groups=groups,
            comparison=comparison,
            answers=answers,
            breaks={},
            instrument_of=INSTRUMENTS.get,
            value=value,
        )

    def _store(self, built, new) -> None:
        """Append what is said to have changed; the latest rows of every key must then be the present table."""
        for account, symbol in built.changed:
            columns = built.symbol_columns(account, symbol)
            rows: dict[tuple[str, int], list[tuple[object, ...]]] = {}
            for row in zip(*(columns[name] for name in (*LASTING, "extra")), strict=True):
                key = (account, row[LASTING.index("con_id")])
                rows.setdefault(key, [])
                if GONE not in row[-1]:
                    rows[key].append(row[:-1])
            self.stored |= rows
        shown: dict[tuple[str, int], list[tuple[object, ...]]] = {}
        for row in zip(*(new.columns[name] for name in LASTING), strict=True):
            shown.setdefault((row[1], row[2]), []).append(row)
        assert repr({k: v for k, v in sorted(self.stored.items()) if v}) == repr(dict(sorted(shown.items())))


@settings(max_examples=150)
@given(st.lists(st.lists(steps, max_size=3), min_size=2, max_size=8))
def test_a_table_kept_from_run_to_run_is_the_one_made_from_nothing(rounds):
    room = Room()
    for story in rounds:
        for kind, *about in story:
            room.step("silent_" if kind == "silent" else kind, *about)
        room.run()
