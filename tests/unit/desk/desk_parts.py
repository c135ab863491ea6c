"""Parts for the desk's tests: the real ledger, a broker whose answers are set by hand, and a clock that is moved."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from engine.core.events import Commission, Fill
from engine.core.instrument import Instrument
from engine.core.snapshot import BrokerPosition, Confirmed, Mark, Unknown
from engine.desk.assignments import AssignmentDesk
from engine.desk.reconciler import Reconciler
from engine.errors import BrokerUnavailable
from engine.settings import Settings
from engine.state.ledger import Ledger

START = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
DU = "DU1"
AAPL = Instrument(con_id=265598, symbol="AAPL", currency="USD", local_symbol="AAPL", exchange="SMART")
MSFT = Instrument(con_id=272093, symbol="MSFT", currency="USD", local_symbol="MSFT", exchange="SMART")
ES = Instrument(
    con_id=495512563, symbol="ES", sec_type="FUT", currency="USD", multiplier=Decimal(50), expiry="20260320"
)


def D(value):
    return value if isinstance(value, Decimal) else Decimal(repr(value) if isinstance(value, float) else str(value))


class HandClock:
    def __init__(self, start=START):
        self.time = start

    def now(self):
        return self.time

    def monotonic(self):
        return self.time.timestamp()

    def forward(self, seconds):
        self.time += timedelta(seconds=seconds)


class HandBroker:
    """Holds what it is told to hold, and answers as it is told to answer."""

    def __init__(self, clock):
        self.clock = clock
        self.rows: dict[tuple[str, int], BrokerPosition] = {}
        self.accounts = [DU]
        self.unknown: dict[str, str] = {}
        self.down = ""
        self.asked = 0
        self.refreshed = 0
        self.on_refresh = None
        self.refresh_fails = ""
        self.on_ask = None
        self.known_marks: dict[tuple[str, int], Mark] = {}
        self.base: dict[str, str] = {DU: "USD"}
        self.rates: dict[tuple[str, str], Decimal] = {}

    def hold(self, instrument, quantity, *, account=DU, avg_cost=None):
        row = BrokerPosition(
            account=account,
            instrument=instrument,
            quantity=D(quantity),
            broker_avg_cost=None if avg_cost is None else D(avg_cost),
        )
        self.rows[account, instrument.con_id] = row

    def move(self, instrument, quantity, *, account=DU):
        row = self.rows.get((account, instrument.con_id))
        held = Decimal(0) if row is None else row.quantity
        self.hold(instrument, held + D(quantity), account=account)

    def mark(self, instrument, price, *, account=DU):
        self.known_marks[account, instrument.con_id] = Mark(
            account=account, con_id=instrument.con_id, price=D(price), at=self.clock.now()
        )

    @property
    def available(self):
        return not self.down

    async def positions(self, accounts=()):
        self.asked += 1
        requested = self.clock.now()
        if self.on_ask is not None:
            await self.on_ask()
        if self.down:
            raise BrokerUnavailable(self.down)
        answers = []
        for account in self.accounts:
            if account in self.unknown:
                answers.append(Unknown(account=account, reason=self.unknown[account], requested_at=requested))
                continue
            rows = tuple(r for (a, _), r in self.rows.items() if a == account and r.quantity)
            answers.append(
                Confirmed(account=account, rows=rows, requested_at=requested, answered_at=self.clock.now(), epoch=1)
            )
        return answers

    async def refresh_executions(self):
        self.refreshed += 1
        if self.refresh_fails:
            raise BrokerUnavailable(self.refresh_fails)
        return 0 if self.on_refresh is None else self.on_refresh()

    def marks(self):
        return self.known_marks

    def base_currency(self, account):
        return self.base.get(account)

    def rate(self, account, currency):
        rate = self.rates.get((account, currency))
        return None if rate is None else (rate, self.clock.now())


class House:
    """Ledger, broker, reconciler and assignments desk, wired the way the engine wires them but without threads."""

    def __init__(self, **settings):
        self.clock = HandClock()
        self.broker = HandBroker(self.clock)
        self.settings = Settings(**{"settle_s": 10.0, "confirm_runs": 2, "ib_client_id": 40, **settings})
        self.ledger = Ledger()
        self.lock = threading.RLock()
        self.seq = count(1)
        self.ids = count(1)
        self.stored: list[tuple[str, str, dict, list]] = []
        self.changes = []
        self.statement = []
        self.reconciler = self.restarted()
        self.desk = self.new_desk()

    def restarted(self, book=None):
        return Reconciler(
            ledger=self.ledger,
            lock=self.lock,
            broker=self.broker,
            settings=self.settings,
            clock=self.clock,
            store_rows=lambda *row: self.stored.append(row),
            external=lambda: self.statement,
            on_change=self.changes.extend,
            book=book,
        )

    def new_desk(self):
        return AssignmentDesk(
            ledger=self.ledger,
            lock=self.lock,
            broker=self.broker,
            reconciler=self.reconciler,
            submit=self.submit,
            clock=self.clock,
            everything=self.ledger,
        )

    async def submit(self, facts):
        with self.lock:
            for fact in facts:
                self.ledger.apply(next(self.seq), fact)

    def book(self, fact):
        with self.lock:
            return self.ledger.apply(next(self.seq), fact)

    def fill(self, instrument, quantity, price=100, *, strategy="ALPHA", account=DU, moves_broker=False, **more):
        """Take in one execution; returns its id. ``moves_broker``: the broker's position has it too."""
        exec_id = more.pop("exec_id", None) or f"0000e0d5.{next(self.ids):08x}.01.01"
        if moves_broker:
            self.broker.move(instrument, quantity, account=account)
        own = {"perm_id": 700, "order_id": 7, "client_id": 40, "order_ref": "ALPHA-7"} if strategy else {}
        self.book(
            Fill(
                received_at=self.clock.now(),
                account=account,
                exec_id=exec_id,
                instrument=instrument,
                quantity=D(quantity),
                price=D(price),
                executed_at=more.pop("executed_at", self.clock.now()),
                strategy=strategy,
                **{**own, **more},
            )
        )
        return exec_id

    def manual(self, instrument, quantity, price=100, **more):
        """A manual order in TWS, its execution replayed to us."""
        return self.fill(instrument, quantity, price, strategy=None, perm_id=next(self.ids) + 9000, **more)

    def fee(self, exec_id, amount="1.00", currency="USD"):
        self.book(Commission(received_at=self.clock.now(), exec_id=exec_id, amount=D(amount), currency=currency))

    async def run(self, *, after=0.0, reason="test"):
        self.clock.forward(after)
        return await self.reconciler.run(reason)

    async def confirmed(self):
        """Run until whatever differs is past its grace and confirmed."""
        await self.run(after=11)
        await self.run(after=11)
        return await self.run(after=11)

    def quantity(self, strategy, instrument=AAPL, account=DU):
        record = self.ledger.position(strategy, account, instrument.con_id)
        return Decimal(0) if record is None else record.quantity
