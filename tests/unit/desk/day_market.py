"""A simulated trading day: a true broker, and an engine that hears of it late, out of order and with gaps.

The market knows three things of every execution: when it happened, when the broker's position shows it, and when its
message reaches us. Messages in a gap of the connection are lost; the replay after the reconnection brings them. What a
position answer says at a moment is the sum of what it shows by then. Nothing here knows how differences are explained.
"""

from __future__ import annotations

import heapq
from datetime import timedelta
from decimal import Decimal
from itertools import count
from random import Random

import msgspec
from desk_parts import START, D, House

from engine.core.events import Commission, Fill, OrderUpdate
from engine.core.instrument import Instrument
from engine.core.snapshot import BrokerPosition, Confirmed
from engine.errors import BrokerUnavailable

STRATEGIES = ("ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA")
ACCOUNTS = ("DU1", "DU2", "DU3")
RUN_EVERY = 20.0


class TrueExecution:
    __slots__ = ("account", "commission", "fill", "heard", "instrument", "known_to_replay", "quantity", "shown", "when")

    def __init__(self, fill, when, shown, heard, *, known_to_replay=True):
        self.fill = fill
        self.account = fill.account
        self.instrument = fill.instrument
        self.quantity = fill.quantity
        self.when = when
        self.shown = shown
        self.heard = heard
        self.known_to_replay = known_to_replay


class Market:
    """The true state of the world, and the broker door that shows it."""

    def __init__(self, seed, fills, *, day_s=23_400.0, gaps=10):
        self.random = Random(seed)
        self.day_s = day_s
        self.house = House()
        self.clock = self.house.clock
        self.start = START
        self.ids = count(1)
        self.perm = count(5000)
        self.plan_no = count(1)
        self.todo: list[tuple[float, int, object]] = []
        self.shown: list[tuple[float, int, str, Instrument, Decimal]] = []
        self.positions: dict[tuple[str, int], Decimal] = {}
        self.costs: dict[tuple[str, int], Decimal] = {}
        self.instruments: dict[int, Instrument] = {}
        self.executions: list[TrueExecution] = []
        self.heard: set[str] = set()
        self.gaps = [
            (g, g + self.random.uniform(20, 90))
            for g in sorted(self.random.uniform(600, day_s - 900) for _ in range(gaps))
        ]
        self.traded = [self.stock(1000 + n, f"S{n}") for n in range(60)]
        self.prices = {i.con_id: D(self.random.randint(20, 300)) for i in self.traded}
        self.house.broker.positions = self.answer
        self.house.broker.refresh_executions = self.replay
        self.house.broker.base = dict.fromkeys(ACCOUNTS, "USD")
        self.refresh_fails = 0.05
        self.quiet: dict[tuple[str, int], float] = {}
        self.results = []
        for number in range(fills):
            self.at(self.random.uniform(60, day_s), self.trade, number)

    # --- the world

    def stock(self, con_id, symbol, **more):
        instrument = Instrument(con_id=con_id, symbol=symbol, currency="USD", **more)
        self.instruments[con_id] = instrument
        return instrument

    @property
    def now(self):
        return (self.clock.now() - self.start).total_seconds()

    def time(self, seconds):
        return self.start + timedelta(seconds=seconds)

    def at(self, when, act, *args):
        heapq.heappush(self.todo, (when, next(self.plan_no), (act, args)))

    def in_gap(self, when):
        return any(begin <= when < end for begin, end in self.gaps)

    def trade(self, _number):
        random = self.random
        account, instrument = random.choice(ACCOUNTS), random.choice(self.traded)
        while self.quiet.get((account, instrument.con_id), -1.0) > self.now:
            account, instrument = random.choice(ACCOUNTS), random.choice(self.traded)
        quantity = D(random.choice((-1, 1)) * random.randint(1, 9) * 10)
        self.execute(account, instrument, quantity, strategy=random.choice(STRATEGIES))

    def execute(
        self,
        account,
        instrument,
        quantity,
        *,
        price=None,
        strategy=None,
        shown_after=None,
        heard_after=None,
        known_to_replay=True,
        **more,
    ):
        """Something trades now. Returns the true execution."""
        random, now = self.random, self.now
        if price is None:
            price = self.prices[instrument.con_id] = max(
                D(1), self.prices[instrument.con_id] + D(random.randint(-10, 10)) / 100
            )
        own = (
            {"order_ref": f"{strategy}-{next(self.ids)}", "client_id": 40, "order_id": next(self.ids)}
            if strategy
            else {}
        )
        fill = Fill(
            received_at=self.clock.now(),
            account=account,
            exec_id=f"0000e0d5.{next(self.ids):08x}.01.01",
            instrument=instrument,
            quantity=D(quantity),
            price=price,
            executed_at=self.clock.now(),
            strategy=strategy,
            perm_id=more.pop("perm_id", None) or next(self.perm),
            **{**own, **more},
        )
        shown = now + (random.uniform(0, 5) if shown_after is None else shown_after)
        late = random.uniform(0, 9) if random.random() < 0.02 else random.uniform(0, 1.5)
        heard = None if heard_after == "never" else now + (late if heard_after is None else heard_after)
        execution = TrueExecution(fill, now, shown, heard, known_to_replay=known_to_replay)
        self.executions.append(execution)
        self.instruments[instrument.con_id] = instrument
        self.at(shown, self.show, account, instrument, fill.quantity, price)
        if heard is not None:
            self.at(heard, self.hear_live, execution)
        return execution

    def show(self, account, instrument, quantity, price):
        """The broker's position takes in an execution, at average cost."""
        key = (account, instrument.con_id)
        held, cost = self.positions.get(key, D(0)), self.costs.get(key, D(0))
        value = quantity * price * instrument.multiplier
        if held * quantity >= 0:
            cost += value
        elif abs(quantity) <= abs(held):
            cost += cost * quantity / held
        else:
            cost = (held + quantity) * price * instrument.multiplier
        self.positions[key], self.costs[key] = held + quantity, cost

    def set_position(self, account, instrument, quantity, avg_cost=None):
        """The broker's position changes without any execution."""
        key = (account, instrument.con_id)
        self.instruments[instrument.con_id] = instrument
        held = self.positions.get(key, D(0))
        per_unit = D(avg_cost) if avg_cost is not None else self.costs.get(key, D(0)) / held if held else D(1)
        self.positions[key] = D(quantity)
        self.costs[key] = D(quantity) * per_unit

    # --- what reaches the engine

    def hear_live(self, execution):
        if self.in_gap(self.now):
            return  # lost with the connection; the replay brings it
        self.hear(execution, "live")

    def hear(self, execution, source):
        fill = execution.fill
        first = fill.exec_id not in self.heard
        self.heard.add(fill.exec_id)
        if not first and self.random.random() > 0.05:
            return
        self.house.book(msgspec.structs.replace(fill, received_at=self.clock.now(), source=source))
        if first:
            fee = Commission(received_at=self.clock.now(), exec_id=fill.exec_id, amount=D("0.35"), currency="USD")
            self.at(self.now + self.random.uniform(0, 4), self.tell, fee)

    def tell(self, fact):
        self.house.book(msgspec.structs.replace(fact, received_at=self.clock.now()))

    async def replay(self):
        if self.in_gap(self.now) or self.random.random() < self.refresh_fails:
            raise BrokerUnavailable("executions timed out")
        self.replay_now()
        return 0

    def replay_now(self):
        for execution in self.executions:
            if execution.when <= self.now and execution.known_to_replay and execution.fill.exec_id not in self.heard:
                self.hear(execution, "replay")

    async def answer(self, accounts=()):
        if self.in_gap(self.now):
            raise BrokerUnavailable("disconnected")
        asked = self.clock.now()
        answers = []
        for account in ACCOUNTS:
            rows = tuple(
                BrokerPosition(
                    account=account,
                    instrument=self.instruments[con_id],
                    quantity=held,
                    broker_avg_cost=self.costs[account, con_id] / held,
                )
                for (owner, con_id), held in self.positions.items()
                if owner == account and held
            )
            answers.append(
                Confirmed(account=account, rows=rows, requested_at=asked, answered_at=self.clock.now(), epoch=1)
            )
        return answers

    def order(self, execution, *, filled):
        """The broker's own count of an order that the engine is told of."""
        fill = execution.fill
        self.house.book(
            OrderUpdate(
                received_at=self.clock.now(),
                account=fill.account,
                perm_id=fill.perm_id,
                order_id=fill.order_id,
                client_id=fill.client_id,
                strategy=fill.strategy,
                order_ref=fill.order_ref,
                instrument=fill.instrument,
                side="BUY" if fill.quantity > 0 else "SELL",
                quantity=D(filled),
                status="Filled",
                filled=D(filled),
                remaining=D(0),
            )
        )

    # --- the day

    async def run(self):
        for _, end in self.gaps:
            self.at(end + 1, self.replay_now)
        moment = RUN_EVERY
        while moment < self.day_s + 10 * RUN_EVERY:
            self.at(moment, self.reconcile)
            moment += RUN_EVERY
        while self.todo:
            when, _, (act, args) = heapq.heappop(self.todo)
            self.clock.time = max(self.clock.time, self.time(when))
            outcome = act(*args)
            if outcome is not None and hasattr(outcome, "__await__"):
                await outcome

    async def reconcile(self):
        try:
            self.results.append(await self.house.reconciler.run("timer"))
        except BrokerUnavailable:
            assert self.in_gap(self.now)
