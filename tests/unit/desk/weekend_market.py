"""A simulated weekend: Friday afternoon, Saturday before dawn, Monday morning (New York).

What IB does without an execution it does overnight, and Friday the 20th of March 2026 is the day on which options and
futures expire together. So this market trades on Friday, is looked at again on Saturday after the reset, when
expiries, exercises and assignments show, and trades on Monday, when corporate actions and transfers show. In between
no position is asked for. Everything is said the way IB says it: contracts of positions and executions do not name an
underlying (contract details do, for what was traded), average costs have the commission in them, an execution says how
much its order filled so far, and executions of Friday are not replayed on Monday where a story says that they were lost.
"""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from functools import partial
from itertools import count

import msgspec
from day_market import ACCOUNTS, RUN_EVERY, STRATEGIES, Market
from desk_parts import D

from engine.core.events import ConnectionSeen, InstrumentDescribed, OrderUpdate
from engine.core.instrument import Instrument
from engine.core.snapshot import BrokerPosition, Confirmed, Mark
from engine.errors import BrokerUnavailable

BEGIN = datetime(2026, 3, 20, 18, 20, tzinfo=UTC)  # 14:20 in New York
FRIDAY = (0.0, 3_600.0)
SATURDAY = (49_200.0, 49_500.0)  # 04:00, an hour after the weekend's reset
MONDAY = (242_100.0, 243_900.0)  # from 09:35
UNMARKED = "DU3"
"""The account whose portfolio IB does not send: one subscription, the last account asked for wins (F116, F117)."""


class WeekendMarket(Market):
    def __init__(self, seed, fills):
        super().__init__(seed, 0, gaps=0)
        self.start = self.clock.time = BEGIN
        self.gaps = [(1_400.0, 1_452.0), (MONDAY[0] + 1_500, MONDAY[0] + 1_541)]
        self.traded = self.traded[:24]
        self.unders: dict[int, int] = {}
        self.untold: set[int] = set()
        self.hundredths: set[int] = set()
        self.described: set[int] = set()
        self.said: dict[str, str] = {}  # what was last ranked first, of breaks that closed since as well
        self.shows: dict[tuple[str, int], object] = {}
        self.con_ids = count(700_001, 17)
        self.order_ids = count(300)
        for account in ACCOUNTS:
            for currency, rate in (("EUR", "1.08"), ("GBP", "1.27"), ("ZAR", "0.054")):
                self.house.broker.rates[account, currency] = D(rate)
        for number in range(fills):
            begin, end = FRIDAY if number % 2 else MONDAY
            self.at(self.random.uniform(begin + 60, end - 60), self.trade, number)
        for gap in self.gaps:
            self.at(gap[0], self.link, "disconnected")
            self.at(gap[1], self.link, "connected")

    def at(self, when, act, *args, **more):
        super().at(when, partial(act, *args, **more))

    def link(self, state):
        self.house.book(ConnectionSeen(received_at=self.clock.now(), state=state, epoch=1))

    # --- contracts

    def share(self, symbol, currency="USD"):
        return Instrument(con_id=next(self.con_ids), symbol=symbol, currency=currency, local_symbol=symbol)

    def option(self, under, expiry, strike, right, *, multiplier=100):
        made = Instrument(
            con_id=next(self.con_ids),
            symbol=under.symbol,
            sec_type="OPT",
            currency=under.currency,
            local_symbol=f"{under.symbol:<6}{expiry[2:]}{right}{int(D(strike) * 1000):08d}",
            multiplier=D(multiplier),
            expiry=expiry,
            strike=D(strike),
            right=right,
            trading_class=under.symbol,
        )
        self.unders[made.con_id] = under.con_id
        return made

    def future(self, symbol, expiry, multiplier, currency="USD"):
        return Instrument(
            con_id=next(self.con_ids),
            symbol=symbol,
            sec_type="FUT",
            currency=currency,
            local_symbol=f"{symbol}H6",
            multiplier=D(multiplier),
            expiry=expiry,
        )

    def describe(self, instrument):
        """Contract details, which the engine asks for when it first meets an instrument in an execution or order."""
        if instrument.con_id in self.described | self.untold:
            return
        self.described.add(instrument.con_id)
        told = msgspec.structs.replace(
            instrument, price_magnifier=1, under_con_id=self.unders.get(instrument.con_id, 0)
        )
        self.at(self.now + 1, self.tell, InstrumentDescribed(received_at=self.clock.now(), instrument=told))

    # --- trading

    def execute(self, account, instrument, quantity, **more):
        self.describe(instrument)
        return super().execute(account, instrument, quantity, **more)

    def show(self, account, instrument, quantity, price):
        super().show(account, instrument, quantity, price / 100 if instrument.con_id in self.hundredths else price)
        self.quote(instrument, price)

    def quote(self, instrument, price):
        """IB's mark of what is held, for the accounts whose portfolio it sends."""
        if instrument.con_id in self.hundredths:
            return  # no mark is given out while the magnifier is unknown
        for account in ACCOUNTS:
            key = (account, instrument.con_id)
            if account != UNMARKED and self.positions.get(key):
                self.house.broker.known_marks[key] = Mark(
                    account=account, con_id=instrument.con_id, price=D(price), at=self.clock.now()
                )

    def place(self, account, instrument, parts, price, strategy, *, total=None, lost=(), shown_after=2, tif="DAY"):
        """A strategy's order from its first status to its last, executed in parts.

        Args:
            parts: Signed quantities; ``total`` (signed) is more where the order goes on working.
            lost: Numbers of the parts whose message is never understood, not even when replayed.
        """
        whole = sum(map(D, parts)) if total is None else D(total)
        ids = {"perm_id": next(self.perm), "order_id": next(self.order_ids), "client_id": 40}
        ids["order_ref"] = f"{strategy}-{ids['order_id']}"
        about = {"account": account, "instrument": instrument, "strategy": strategy, "tif": tif, **ids}
        self.status(about, whole, "PreSubmitted", 0)
        self.status(about, whole, "Submitted", 0)
        done = D(0)
        for number, part in enumerate(map(D, parts)):
            done += part
            end = "Filled" if done == whole else "Submitted"
            more = {"cum_quantity": abs(done), "avg_price": D(price), "strategy": strategy, "shown_after": shown_after}
            more |= {"heard_after": "never", "known_to_replay": False} if number in lost else {"heard_after": 0.4}
            self.at(self.now + 1 + 3 * number, self._part, account, instrument, part, D(price), {**more, **ids})
            self.at(self.now + 1.7 + 3 * number, self.status, about, whole, end, done)
        return about

    def _part(self, account, instrument, part, price, more):
        self.execute(account, instrument, part, price=price, **more)

    def status(self, about, whole, status, done, source="live"):
        self.describe(about["instrument"])
        self.house.book(
            OrderUpdate(
                received_at=self.clock.now(),
                side="BUY" if whole > 0 else "SELL",
                quantity=abs(D(whole)),
                order_type="LMT",
                status=status,
                filled=abs(D(done)),
                remaining=abs(D(whole)) - abs(D(done)),
                source=source,
                **about,
            )
        )

    def hold(self, account, instrument, books, price, *, at=None):
        """Strategies build positions early on Friday, each by an order in one to three parts."""
        for number, (strategy, quantity) in enumerate(books.items()):
            parts = self.cut(D(quantity))
            moment = self.random.uniform(60, 420) if at is None else at + 25 * number
            self.at(moment, self.place, account, instrument, parts, D(price), strategy)

    def cut(self, quantity):
        if abs(quantity) < 3 or quantity != int(quantity) or self.random.random() < 0.3:
            return [quantity]
        sign = 1 if quantity > 0 else -1
        first = self.random.randint(1, int(abs(quantity)) - 1)
        return [D(sign * first), quantity - sign * first]

    def bustle(self, account, instrument, price, sizes, *, at):
        """Strategies trade around in an instrument: what one buys another sells, a little later."""
        for number, size in enumerate(sizes):
            buyer, seller = self.random.sample(STRATEGIES, 2)
            moment = at + 11.0 * number
            up, down = D(price) + D("0.02") * number, D(price) + D("0.03")
            self.at(moment, self._one, account, instrument, D(size), up, buyer)
            self.at(moment + self.random.uniform(1, 6), self._one, account, instrument, D(-size), down, seller)

    def _one(self, account, instrument, quantity, price, strategy):
        self.execute(account, instrument, quantity, price=price, strategy=strategy)

    def outside(self, account, instrument, quantity, price, **more):
        """An execution that is no strategy's. Live it is not announced (F1), so a replay or a sweep brings it."""
        after = self.random.uniform(1, 4)
        return self.execute(account, instrument, D(quantity), price=D(price), shown_after=1, heard_after=after, **more)

    def becomes(self, account, instrument, quantity, avg_cost=None):
        """The broker's position changes without any execution; a new row has the cost IB gives it."""
        self.set_position(account, instrument, D(quantity), avg_cost)

    def changes(self, account, instrument, by, avg_cost=None):
        held = self.positions.get((account, instrument.con_id), D(0))
        self.set_position(account, instrument, held + D(by), avg_cost)

    # --- answers

    async def answer(self, accounts=()):
        if self.in_gap(self.now):
            raise BrokerUnavailable("disconnected")
        asked = self.clock.now()
        return [
            Confirmed(
                account=account,
                rows=tuple(self.rows(account)),
                requested_at=asked,
                answered_at=self.clock.now(),
                epoch=1,
            )
            for account in ACCOUNTS
        ]

    def rows(self, account):
        for key, held in self.positions.items():
            if key[0] != account or not held:
                continue
            shown = self.shows.get(key, D)(held)
            commission = D("1.0003") if held > 0 else D("0.9997")
            if shown:
                yield BrokerPosition(
                    account=account,
                    instrument=self.instruments[key[1]],
                    quantity=shown,
                    broker_avg_cost=self.costs[key] / held * commission,
                )

    async def reconcile(self):
        await super().reconcile()
        for found in self.house.reconciler.breaks():
            self.said[found.break_id] = found.causes[0].kind if found.causes else ""

    # --- the weekend

    async def run(self):
        for _, end in self.gaps:
            self.at(end + 1, self.replay_now)
        for begin, end in (FRIDAY, SATURDAY, MONDAY):
            moment = begin + RUN_EVERY
            while moment <= end:
                self.at(moment, self.reconcile)
                moment += RUN_EVERY
        while self.todo:
            when, _, (act, args) = heapq.heappop(self.todo)
            self.clock.time = max(self.clock.time, self.time(when))
            outcome = act(*args)
            if outcome is not None and hasattr(outcome, "__await__"):
                await outcome
