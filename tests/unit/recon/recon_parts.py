"""Short ways to say what books and broker hold, for tests of the pure room."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from engine.core.events import Fill, OrderUpdate
from engine.core.instrument import Instrument
from engine.core.records import FillRecord, OrderRecord, PositionRecord
from engine.core.snapshot import BrokerPosition, Confirmed, Unknown
from engine.recon.breaks import Break, BreakBook, Circumstances, Policy
from engine.recon.compare import compare
from engine.recon.evidence import Evidence, Side

START = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
DU = "DU1"
AAPL = Instrument(con_id=1, symbol="AAPL", currency="USD")
MSFT = Instrument(con_id=2, symbol="MSFT", currency="USD")
CALL = Instrument(
    con_id=3,
    symbol="AAPL",
    sec_type="OPT",
    currency="USD",
    multiplier=Decimal(100),
    expiry="20260310",
    strike=Decimal(150),
    right="C",
    under_con_id=1,
)
FUTURE = Instrument(con_id=4, symbol="ES", sec_type="FUT", currency="USD", multiplier=Decimal(50), expiry="20260310")
EURUSD = Instrument(con_id=5, symbol="EUR", sec_type="CASH", currency="USD")
PENCE = Instrument(con_id=6, symbol="VOD", currency="GBP")


def D(value):
    return value if isinstance(value, Decimal) else Decimal(repr(value) if isinstance(value, float) else str(value))


def at(seconds):
    return START + timedelta(seconds=seconds)


def row(instrument, quantity, *, account=DU, avg_cost=None):
    return BrokerPosition(
        account=account,
        instrument=instrument,
        quantity=D(quantity),
        broker_avg_cost=None if avg_cost is None else D(avg_cost),
    )


def answer(*rows, account=DU, asked=0.0, took=0.2):
    return Confirmed(account=account, rows=rows, requested_at=at(asked), answered_at=at(asked + took), epoch=1)


def no_answer(account=DU, reason="timed out", asked=0.0):
    return Unknown(account=account, reason=reason, requested_at=at(asked))


def net(**held):
    """Books by symbol for account DU1: ``net(AAPL=100)``."""
    known = {"AAPL": AAPL, "MSFT": MSFT, "CALL": CALL, "FUTURE": FUTURE, "EURUSD": EURUSD, "PENCE": PENCE}
    return {(DU, known[name].con_id): D(quantity) for name, quantity in held.items()}


def instrument_of(con_id):
    return {i.con_id: i for i in (AAPL, MSFT, CALL, FUTURE, EURUSD, PENCE)}.get(con_id)


class Story:
    """Plays comparisons of one instrument against a book of breaks."""

    def __init__(self, settle_s=10.0, confirm_runs=2):
        self.book = BreakBook()
        self.policy = Policy(settle_s=settle_s, confirm_runs=confirm_runs)
        self.active = None
        self.changes = []
        self.assigned = {}
        self.urgent = frozenset()
        self.in_flight = frozenset()
        self.restored = frozenset()

    def see(self, when, broker, books, *, unassigned=0, deferred="", took=0.2, instrument=AAPL):
        """One good answer asked for at ``when`` seconds; returns the break, ``None`` when there is none."""
        given = answer(row(instrument, broker), asked=when, took=took)
        loose = {(DU, instrument.con_id): D(unassigned)} if unassigned else {}
        found = compare({(DU, instrument.con_id): D(books)}, [given], unassigned=loose).found
        about = Circumstances(
            activity=lambda _: None if self.active is None else at(self.active),
            in_flight=lambda _: self.in_flight,
            urgent=self.urgent,
            assigned=self.assigned,
            deferred=deferred,
            restored=self.restored,
        )
        self.book, changes = self.book.step(at(when + took), found, [given], about, self.policy)
        self.changes += changes
        return self.found

    def hear_nothing(self, when):
        self.book, changes = self.book.step(at(when), {}, [no_answer(asked=when)], Circumstances(), self.policy)
        self.changes += changes
        return self.found

    @property
    def found(self):
        return self.book.breaks.get(f"{DU}:{AAPL.con_id}")

    @property
    def opened(self):
        return [b.quantity for b in self.book.listed()]

    def reopen_from_disk(self):
        self.book = BreakBook.load(self.book.dump())


_numbers = iter(range(1, 10**9))


def execution(
    quantity, price=100, *, strategy="ALPHA", when=-3600.0, instrument=AAPL, state="active", source="live", **more
):
    """One execution as the books hold it."""
    number = next(_numbers)
    more = {"order_id": 7, "client_id": 40, "order_ref": "ALPHA-7", **more} if strategy != "UNASSIGNED" else more
    fill = Fill(
        received_at=more.pop("received_at", at(when)),
        account=more.pop("account", DU),
        exec_id=more.pop("exec_id", f"0000e0d5.{number:08x}.01.01"),
        instrument=instrument,
        quantity=D(quantity),
        price=D(price),
        executed_at=at(when),
        source=source,
        **more,
    )
    return FillRecord(
        seq=number,
        recorded_at=at(when),
        strategy=strategy,
        fill=fill,
        state=state,
        quantity=D(quantity) if state == "active" else D(0),
        unit_price=D(price),
        multiplier=instrument.multiplier,
        magnifier=None,
        order_time=at(when),
        first_seq=number,
        realized_pnl=D(0),
    )


def loose(quantity, price=100, **more):
    """One execution in UNASSIGNED; a manual one unless told otherwise."""
    return execution(quantity, price, strategy="UNASSIGNED", **more)


def holding(strategy, quantity, price=100, *, instrument=AAPL, account=DU):
    quantity, price = D(quantity), D(price)
    return PositionRecord(
        strategy=strategy,
        account=account,
        instrument_key=instrument.con_id,
        quantity=quantity,
        open_cost=quantity * price * instrument.multiplier,
        avg_cost=price if quantity else None,
        realized_pnl=D(0),
        fees={},
        fees_pending=0,
        cash={},
        fills=1,
        last_fill_at=at(-3600),
        seq=1,
    )


def side(instrument, broker, *books, account=DU, avg_cost=None, mark=None, last_price=None, unassigned=0):
    held = sum((b.quantity for b in books), D(0)) + D(unassigned)
    return Side(
        account=account,
        con_id=instrument.con_id,
        instrument=instrument,
        difference=D(broker) - held,
        broker_quantity=D(broker),
        books_quantity=held,
        broker_avg_cost=None if avg_cost is None else D(avg_cost),
        books=books,
        mark=None if mark is None else D(mark),
        last_price=None if last_price is None else D(last_price),
    )


def evidence(here, *, unassigned=0, kind="difference", now=START, **more):
    """What one open break is explained from."""
    found = Break(
        break_id=here.break_id,
        account=here.account,
        con_id=here.con_id,
        kind=kind,
        state="confirmed",
        quantity=here.difference + D(unassigned),
        difference=here.difference,
        unassigned=D(unassigned),
        broker_quantity=here.broker_quantity,
        books_quantity=here.books_quantity,
        first_seen=now,
        born_at=now,
        last_seen=now,
        last_changed=now,
        confirmed_at=now,
        opened_at=now,
    )
    return Evidence(found=found, now=now, here=here, own_clients=more.pop("own_clients", frozenset({40})), **more)


def order(filled, side_="BUY", *, quantity=100, perm_id=700, strategy="ALPHA", is_open=False, remaining=0, ours=None):
    update = OrderUpdate(
        received_at=at(-3600),
        account=DU,
        perm_id=perm_id,
        order_id=7,
        client_id=40,
        instrument=AAPL,
        side=side_,
        quantity=D(quantity),
        status="Submitted" if is_open else "Filled",
        filled=D(filled),
    )
    return OrderRecord(
        seq=1,
        recorded_at=at(-3600),
        strategy=strategy,
        order_key=f"P{DU}:{perm_id}",
        update=update,
        status=update.status,
        filled=D(filled) if ours is None else D(ours),
        remaining=D(remaining),
        avg_fill_price=None,
        is_open=is_open,
    )
