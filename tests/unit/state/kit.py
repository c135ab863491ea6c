"""Stories in one line each: facts with everything that a story does not care about filled in."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from engine.core.events import (
    AssignmentLeg,
    AssignmentMade,
    AssignmentReversed,
    Bust,
    Commission,
    ExecutionMove,
    Fill,
    InstrumentDescribed,
    OrderUpdate,
    StrategiesNamed,
)
from engine.core.ids import UNASSIGNED
from engine.core.instrument import BAG_CON_ID, Instrument
from engine.state.fold import fold
from engine.state.ledger import Ledger
from engine.state.putaway import Keep
from tests.unit.state.memory_archive import MemoryArchive

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
AAPL = Instrument(con_id=265598, symbol="AAPL", currency="USD")
MSFT = Instrument(con_id=272093, symbol="MSFT", currency="USD")
ES = Instrument(
    con_id=495512552, symbol="ES", sec_type="FUT", currency="USD", multiplier=Decimal(50), expiry="20260320"
)
VOD = Instrument(con_id=1001, symbol="VOD", currency="GBP")
EURCHF = Instrument(con_id=12087802, symbol="EUR", sec_type="CASH", currency="CHF")
BTC = Instrument(con_id=479624278, symbol="BTC", sec_type="CRYPTO", currency="USD")
BAG = Instrument(con_id=BAG_CON_ID, symbol="ES", sec_type="BAG", currency="USD")

__all__ = ["AAPL", "BAG", "BTC", "ES", "EURCHF", "MSFT", "START", "UNASSIGNED", "VOD", "Desk", "at", "dec"]


def at(seconds=0):
    return START + timedelta(seconds=seconds)


def dec(value):
    return value if isinstance(value, Decimal) else Decimal(str(value))


class Desk:
    """A ledger, the facts it was given, and everything it handed out."""

    keep = Keep(executions=0, lines=0, smallest=1, orders=0)
    puts_away = False  # set by conftest: everything that is settled leaves memory after each fact

    def __init__(self, patterns=None, **kwargs):
        self.kwargs = kwargs
        self.archive = MemoryArchive() if self.puts_away else None
        self.ledger = Ledger(**kwargs, archive=self.archive)
        self.facts = []
        self.fills = []
        self.orders = []
        self.findings = []
        self.requests = set()
        if patterns is not None:
            self.apply(StrategiesNamed(received_at=self.clock, patterns=patterns))

    def apply(self, fact):
        self.facts.append(fact)
        changes = self.ledger.apply(len(self.facts), fact)
        self.fills += changes.fills
        self.orders += changes.orders
        self.findings += changes.findings
        self.requests |= changes.requests
        self.put_away()
        self.ledger.check()
        return changes

    def put_away(self):
        for _ in self.ledger.put_away(self.keep):
            pass

    def restarted(self):
        """The ledger as a start from its dump finds it, with an archive of its own."""
        archive = copy.deepcopy(self.archive)
        ledger = Ledger.load(self.ledger.dump(), **self.kwargs, archive=archive)
        if archive is not None:
            archive.epoch = self.archive.epoch  # the dumps of both are to be compared
        return ledger

    @property
    def clock(self):
        return at(3600 + len(self.facts))

    def fill(self, exec_id, quantity, price, *, t=0, strategy=None, account="DU1", instrument=AAPL, **rest):
        rest.setdefault("received_at", self.clock)
        when = at(t) if t is not None else None
        return self.apply(
            Fill(
                account=account,
                exec_id=exec_id,
                instrument=instrument,
                quantity=dec(quantity),
                price=dec(price),
                executed_at=when,
                strategy=strategy,
                **rest,
            )
        )

    def fee(self, exec_id, amount, currency="USD", **rest):
        amount = None if amount is None else dec(amount)
        return self.apply(Commission(received_at=self.clock, exec_id=exec_id, amount=amount, currency=currency, **rest))

    def bust(self, exec_id, account="DU1"):
        return self.apply(Bust(received_at=self.clock, account=account, exec_id=exec_id, reason="clearly erroneous"))

    def order(self, status="", *, perm_id=5, quantity=10, **rest):
        rest.setdefault("account", "DU1")
        rest.setdefault("instrument", AAPL)
        rest.setdefault("received_at", self.clock)
        quantity = None if quantity is None else dec(quantity)
        return self.apply(OrderUpdate(perm_id=perm_id, quantity=quantity, status=status, **rest))

    def describe(self, instrument):
        return self.apply(InstrumentDescribed(received_at=self.clock, instrument=instrument))

    def assign(self, name, *legs, moves=(), account="DU1", instrument=AAPL, t=0):
        return self.apply(self.entry(name, *legs, moves=moves, account=account, instrument=instrument, t=t))

    def entry(self, name, *legs, moves=(), account="DU1", instrument=AAPL, t=0):
        return AssignmentMade(
            received_at=self.clock,
            assignment_id=name,
            account=account,
            instrument=instrument,
            legs=tuple(AssignmentLeg(strategy=s, quantity=dec(q), price=dec(p)) for s, q, p in legs),
            moves=tuple(ExecutionMove(exec_id=e, from_strategy=f, to_strategy=to) for e, f, to in moves),
            operator="op",
            reason="because",
            effective_at=at(t),
        )

    def reverse(self, name):
        return self.apply(
            AssignmentReversed(
                received_at=self.clock, reversal_id=f"R-{name}", assignment_id=name, operator="op", reason="mistake"
            )
        )

    # ------------------------------------------------------------------------------------------------ looking

    def book(self, strategy="ALPHA", instrument=AAPL, account="DU1"):
        return self.ledger.position(strategy, account, instrument.con_id)

    def quantity(self, strategy="ALPHA", instrument=AAPL, account="DU1"):
        book = self.book(strategy, instrument, account)
        return Decimal(0) if book is None else book.quantity

    def kinds(self):
        return {f.kind for f in self.ledger.findings.values()}

    def figures(self):
        """Every book without the sequence that last touched it."""
        return {
            (p.strategy, p.account, p.instrument_key): (
                p.quantity,
                p.open_cost,
                p.realized_pnl,
                p.fees,
                p.fees_pending,
                p.cash,
                p.fills,
                p.last_fill_at,
            )
            for p in self.ledger.positions()
        }

    def state(self, key="PDU1:5"):
        return self.ledger.order(key).state

    def words(self, key="PDU1:5"):
        return [record.status for record in self.ledger.timeline(key)]

    def stored_rows_fold_to_the_books(self):
        recounted = fold(self.fills)
        books = {(p.strategy, p.account, p.instrument_key): p for p in self.ledger.positions()}
        assert recounted.keys() == books.keys()
        for key, found in recounted.items():
            assert (found.quantity, found.fees, found.cash) == (books[key].quantity, books[key].fees, books[key].cash)
            assert abs(found.realized_pnl - books[key].realized_pnl) < Decimal("1e-20")
