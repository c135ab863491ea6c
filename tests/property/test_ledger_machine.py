"""One state machine plays everything that IB does to executions, and the books must equal a naive recount, exactly."""

from __future__ import annotations

import copy
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

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
)
from engine.core.ids import UNASSIGNED, split_exec_id
from engine.core.instrument import Instrument
from engine.desk.timetravel import orders_as_of
from engine.state.books import same_figures
from engine.state.fold import fold
from engine.state.ledger import Ledger
from engine.state.putaway import Keep
from tests.property.lost_journal import rebuilt, recounted_from_rows
from tests.property.naive import order_states, owners, recount
from tests.unit.state.memory_archive import MemoryArchive

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
ACCOUNTS = ("DU1", "DU2")
STRATEGIES = ("ALPHA", "BETA", "GAMMA")
INSTRUMENTS = {
    1: Instrument(con_id=1, symbol="AAPL", currency="USD"),
    2: Instrument(con_id=2, symbol="ES", sec_type="FUT", currency="USD", multiplier=Decimal(50)),
    3: Instrument(con_id=3, symbol="VOD", currency="GBP"),
}
ORDERS = {perm: STRATEGIES[perm % 3] for perm in range(100, 112)}
QUANTITIES = st.sampled_from(
    [Decimal(text) for text in ("1", "3", "7", "100", "0.1", "0.1404", "-1", "-2", "-7", "-150", "-0.3", "-0.00025289")]
)
PRICES = st.sampled_from([Decimal(text) for text in ("10", "12", "33.33", "99.99", "0.0001", "101.7")])
FEES = st.sampled_from([Decimal(text) for text in ("1", "0.35", "-0.35", "0", "2.47")])
MOMENTS = st.integers(0, 12)


def moment(second):
    return START + timedelta(seconds=second)


def where_each_is(ledger):
    """Every execution with its strategy, state, place and result."""
    return {
        (r.fill.account, r.fill.exec_id): (r.strategy, r.state, r.quantity, r.order_time, r.realized_pnl, r.commission)
        for r in ledger.fills()
    }


def shown(orders):
    """What a table of orders says."""
    return {o.order_key: (o.strategy, o.state, o.is_open, o.filled, o.remaining, o.avg_fill_price) for o in orders}


EVERYTHING = Keep(executions=0, lines=0, smallest=1, orders=0)


class Books(RuleBasedStateMachine):
    sent = Bundle("sent")
    entries = Bundle("entries")

    def __init__(self):
        super().__init__()
        self.ledger = self.fresh()
        self.facts = []
        self.records = []
        self.order_rows = []
        self.made = 0

    @initialize()
    def begin(self):
        self.ledger = self.fresh()

    def fresh(self):
        return Ledger()

    def apply(self, fact):
        seq = len(self.facts) + 1
        self.facts.append((seq, fact))
        changes = self.ledger.apply(seq, fact)
        self.records += changes.fills
        self.order_rows += changes.orders

    @property
    def now(self):
        return START + timedelta(hours=1, seconds=len(self.facts))

    # ------------------------------------------------------------------------------------------------ executions

    @rule(
        target=sent,
        account=st.sampled_from(ACCOUNTS),
        con_id=st.sampled_from(sorted(INSTRUMENTS)),
        quantity=QUANTITIES,
        price=PRICES,
        at=MOMENTS,
        timed=st.booleans(),
        perm_id=st.sampled_from(sorted(ORDERS)),
        named=st.booleans(),
        revision=st.sampled_from((1, 1, 2, 3)),
        scattered=st.integers(0, 3),
    )
    def fill(self, account, con_id, quantity, price, at, timed, perm_id, named, revision, scattered):
        number = len(self.facts) + 1
        # An order trades one instrument; the same permId in two accounts is two orders.
        perm_id = perm_id * 10 + con_id
        owner = ORDERS[perm_id // 10]
        fill = Fill(
            received_at=self.now,
            account=account,
            exec_id=f"0000e0d5.{(scattered << 16) + number:08x}.01.{revision:02d}",
            instrument=INSTRUMENTS[con_id],
            quantity=quantity,
            price=price,
            executed_at=moment(at) if timed or revision > 1 else None,
            strategy=owner if named else None,
            perm_id=perm_id,
        )
        self.apply(fill)
        return fill

    @rule(fill=sent, named=st.booleans(), at=MOMENTS)
    def again_through_another_door(self, fill, named, at):
        again = msgspec.structs.replace(
            fill,
            received_at=self.now,
            strategy=ORDERS[fill.perm_id // 10] if named else None,
            executed_at=fill.executed_at or moment(at),
            source="replay",
        )
        self.apply(again)

    @rule(fill=sent, quantity=QUANTITIES)
    def the_same_id_with_other_content(self, fill, quantity):
        if quantity != fill.quantity:
            self.apply(msgspec.structs.replace(fill, received_at=self.now, quantity=quantity))

    @rule(target=sent, fill=sent, revision=st.integers(1, 4), quantity=QUANTITIES, price=PRICES, at=MOMENTS)
    def another_revision(self, fill, revision, quantity, price, at):
        root, _ = split_exec_id(fill.exec_id)
        exec_id = f"{root}.{revision:02d}"
        if any(isinstance(f, Fill) and (f.account, f.exec_id) == (fill.account, exec_id) for _, f in self.facts):
            return multiple()
        other = msgspec.structs.replace(
            fill,
            received_at=self.now,
            exec_id=exec_id,
            quantity=quantity,
            price=price,
            executed_at=moment(at),
            strategy=None,
        )
        self.apply(other)
        return other

    @rule(fill=sent, revision=st.integers(1, 4))
    def bust(self, fill, revision):
        root, _ = split_exec_id(fill.exec_id)
        self.apply(
            Bust(received_at=self.now, account=fill.account, exec_id=f"{root}.{revision:02d}", reason="erroneous")
        )

    @rule(fill=sent, revision=st.integers(0, 4), amount=st.none() | FEES)
    def fee(self, fill, revision, amount):
        root, _ = split_exec_id(fill.exec_id)
        exec_id = f"{root}.{revision:02d}" if revision else fill.exec_id
        # Fees are restated, but not in another currency.
        self.apply(
            Commission(
                received_at=self.now, exec_id=exec_id, amount=amount, currency="USD" if amount is not None else ""
            )
        )

    @rule(ahead=st.integers(1, 3), scattered=st.integers(0, 3), revision=st.integers(1, 2), amount=FEES)
    def fee_before_its_execution(self, ahead, scattered, revision, amount):
        number = len(self.facts) + 1 + ahead
        exec_id = f"0000e0d5.{(scattered << 16) + number:08x}.01.{revision:02d}"
        self.apply(Commission(received_at=self.now, exec_id=exec_id, amount=amount, currency="EUR"))

    # ---------------------------------------------------------------------------------------- orders and instruments

    @rule(
        account=st.sampled_from(ACCOUNTS),
        con_id=st.sampled_from(sorted(INSTRUMENTS)),
        perm_id=st.sampled_from(sorted(ORDERS)),
        named=st.booleans(),
        word=st.sampled_from(("Submitted", "PreSubmitted", "Filled", "Cancelled", "Submitted")),
    )
    def order(self, account, con_id, perm_id, named, word):
        self.apply(
            OrderUpdate(
                received_at=self.now,
                account=account,
                perm_id=perm_id * 10 + con_id,
                strategy=ORDERS[perm_id] if named else None,
                instrument=INSTRUMENTS[con_id],
                quantity=Decimal(100),
                status=word,
            )
        )

    @rule(
        con_id=st.sampled_from(sorted(INSTRUMENTS)),
        multiplier=st.sampled_from((1, 10, 50)),
        magnifier=st.sampled_from((1, 100)),
    )
    def contract_details(self, con_id, multiplier, magnifier):
        described = msgspec.structs.replace(
            INSTRUMENTS[con_id], multiplier=Decimal(multiplier), price_magnifier=magnifier
        )
        self.apply(InstrumentDescribed(received_at=self.now, instrument=described))

    # ------------------------------------------------------------------------------------------------- assignments

    @rule(
        target=entries,
        account=st.sampled_from(ACCOUNTS),
        con_id=st.sampled_from(sorted(INSTRUMENTS)),
        legs=st.lists(st.tuples(st.sampled_from(STRATEGIES), QUANTITIES, PRICES), min_size=1, max_size=3),
        at=MOMENTS,
    )
    def assign(self, account, con_id, legs, at):
        self.made += 1
        entry = AssignmentMade(
            received_at=self.now,
            assignment_id=f"A{self.made}",
            account=account,
            instrument=INSTRUMENTS[con_id],
            legs=tuple(AssignmentLeg(strategy=s, quantity=q, price=p) for s, q, p in legs),
            operator="op",
            reason="test",
            effective_at=moment(at),
        )
        self.apply(entry)
        return entry.assignment_id

    @precondition(lambda self: any(isinstance(f, Fill) for _, f in self.facts))
    @rule(target=entries, fill=sent, to=st.sampled_from((*STRATEGIES, UNASSIGNED)))
    def move(self, fill, to):
        root, _ = split_exec_id(fill.exec_id)
        where = self.ledger.fill(fill.account, root).strategy
        if where == to:
            return multiple()
        self.made += 1
        self.apply(
            AssignmentMade(
                received_at=self.now,
                assignment_id=f"A{self.made}",
                account=fill.account,
                instrument=fill.instrument,
                moves=(ExecutionMove(exec_id=fill.exec_id, from_strategy=where, to_strategy=to),),
                operator="op",
                reason="test",
                effective_at=moment(0),
            )
        )
        return f"A{self.made}"

    @rule(entry=entries)
    def reverse(self, entry):
        self.apply(
            AssignmentReversed(
                received_at=self.now,
                reversal_id=f"R{len(self.facts)}",
                assignment_id=entry,
                operator="op",
                reason="test",
            )
        )

    # --------------------------------------------------------------------------------------------------- restarts

    def loaded(self, ledger):
        return Ledger.load(ledger.dump())

    @rule()
    def restart_from_a_checkpoint(self):
        before = self.ledger
        self.ledger = self.loaded(before)
        assert self.ledger.positions() == before.positions()
        assert self.ledger.fills() == before.fills()
        assert self.ledger.orders() == before.orders()
        assert self.ledger.findings == before.findings

    @rule()
    def restart_by_replay(self):
        replayed, records = self.fresh(), []
        for seq, fact in self.facts:
            records += replayed.apply(seq, fact).fills
        assert replayed.positions() == self.ledger.positions()
        assert records == self.records
        assert replayed.findings == self.ledger.findings
        self.ledger = replayed

    # -------------------------------------------------------------------------------------------------- the laws

    @invariant()
    def books_equal_the_naive_recount(self):
        mine = {
            (p.strategy, p.account, p.instrument_key): (
                p.quantity,
                p.open_cost,
                p.realized_pnl,
                p.cash[INSTRUMENTS[p.instrument_key].currency],
                p.fees,
                p.fees_pending,
                p.fills,
                p.last_fill_at,
            )
            for p in self.ledger.positions()
        }
        assert mine == {key: book.figures() for key, book in recount(self.facts).items()}

    @invariant()
    def every_book_keeps_the_laws(self):
        self.ledger.check()

    @invariant()
    def orders_equal_the_naive_recount(self):
        mine, named = {}, owners(self.facts)
        for record in self.ledger.orders():
            assert record.strategy == named.get((record.update.account, record.update.perm_id), UNASSIGNED)
            mine[record.update.account, record.update.perm_id] = record.state, record.filled
        assert mine == order_states(self.facts)

    def teardown(self):
        stored = fold(self.records)
        assert recounted_from_rows(self.records) == stored
        books = {(p.strategy, p.account, p.instrument_key): p for p in self.ledger.positions()}
        assert stored.keys() == books.keys()
        for key, recounted in stored.items():
            book = books[key]
            assert (book.quantity, book.fees, book.fees_pending, book.fills) == (
                recounted.quantity,
                recounted.fees,
                recounted.fees_pending,
                recounted.fills,
            )
            assert book.cash == recounted.cash
            assert abs(book.open_cost - recounted.open_cost) < Decimal("1e-18")
            assert abs(book.realized_pnl - recounted.realized_pnl) < Decimal("1e-18")
            assert book.last_fill_at == recounted.last_fill_at
        assert shown(orders_as_of(self.order_rows, self.now, fills=self.records)) == shown(self.ledger.orders())
        alone = rebuilt(self.facts, self.records, self.order_rows)
        assert same_figures(alone.positions(), self.ledger.positions())
        assert where_each_is(alone) == where_each_is(self.ledger)
        again = self.loaded(self.ledger)
        assert same_figures(again.positions(), self.ledger.positions())


class BooksWithAnArchive(Books):
    """The same with what is settled put away at any moment, restarts included: nobody can tell the difference."""

    def fresh(self):
        self.archive = MemoryArchive()
        return Ledger(archive=self.archive)

    def loaded(self, ledger):
        blob = ledger.dump()
        self.archive.epoch += 1
        for _ in ledger.put_away(EVERYTHING):  # done after the checkpoint, so lost with the process
            pass
        before, archive = ledger.dump(), copy.deepcopy(self.archive)
        again = Ledger.load(blob, archive=archive)
        assert Ledger.load(before, archive=self.archive).fills() == again.fills()
        self.archive = archive
        return again

    @rule(keep=st.sampled_from((EVERYTHING, EVERYTHING, Keep(executions=0, lines=1, smallest=1, orders=1))))
    def put_away(self, keep):
        for _ in self.ledger.put_away(keep):
            pass


examples = os.environ.get("FILLBOOK_HYPOTHESIS_EXAMPLES")
TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=int(examples) if examples else 200, stateful_step_count=30)
TestBooksWithAnArchive = BooksWithAnArchive.TestCase
TestBooksWithAnArchive.settings = settings(max_examples=int(examples) if examples else 80, stateful_step_count=40)
