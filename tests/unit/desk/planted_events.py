"""Forty things that really happen to an account, done to the simulated market, with the truth written down beside them.

Knows the market and nothing of how differences are explained: the truth is what was done, not what was found.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from day_market import ACCOUNTS, D

from engine.core.instrument import Instrument
from engine.core.statement import Transfer

CON_IDS = iter(range(50_000, 90_000))


@dataclass
class Event:
    """What was done.

    Attributes:
        truth: Break id -> kinds of cause that are right for it.
    """

    name: str
    when: float
    truth: dict[str, set[str]] = field(default_factory=dict)


class Planter:
    def __init__(self, market):
        self.market = market
        self.random = market.random
        self.events: list[Event] = []
        self.used: set[tuple[str, int]] = set()

    # --- preparation

    def plant_all(self):
        kinds = [
            *[self.manual_trade] * 5,
            *[self.unreported_trade] * 2,
            *[self.other_client] * 4,
            *[self.missing_fill] * 4,
            *[self.bust] * 4,
            *[self.liquidation] * 2,
            *[self.option_expiry] * 3,
            *[self.option_exercise] * 2,
            *[self.option_assignment] * 2,
            *[self.futures_expiry] * 2,
            *[self.split] * 2,
            *[self.reverse_split] * 2,
            *[self.merger] * 1,
            self.transfer_between,
            self.transfer_on_statement,
            self.truncation,
            self.drift,
            self.price_unit,
        ]
        assert len(kinds) == 40
        first, last = 0.35 * self.market.day_s, self.market.day_s - 200
        for number, kind in enumerate(kinds):
            kind(self.moment(first + (last - first) * number / len(kinds)))
        return self.events

    def moment(self, when):
        """Near a wanted time, but not in or just before a gap of the connection."""
        while any(begin - 150 < when < end + 30 for begin, end in self.market.gaps):
            when += 10
        return when

    def event(self, name, when, **truth):
        made = Event(name, when)
        self.events.append(made)
        return made

    def traded_key(self, when):
        """An (account, instrument) that trades all day, quiet around the event."""
        while True:
            account, instrument = self.random.choice(ACCOUNTS), self.random.choice(self.market.traded)
            key = (account, instrument.con_id)
            if key not in self.used:
                self.used.add(key)
                self.market.at(when - 40, self.market.quiet.__setitem__, key, when + 120)
                return account, instrument

    def hold(self, account, instrument, quantity, price, strategy="ALPHA"):
        """A holding from the morning on."""
        self.market.at(
            1.0,
            lambda: (
                self.market.execute(
                    account,
                    instrument,
                    D(quantity),
                    price=D(price),
                    strategy=strategy,
                    shown_after=0.5,
                    heard_after=0.2,
                )
                and None
            ),
        )

    def new(self, symbol, **more):
        return Instrument(con_id=next(CON_IDS), symbol=symbol, currency="USD", **more)

    def account(self):
        return self.random.choice(ACCOUNTS)

    def odd(self):
        """A quantity that no strategy of the market trades."""
        return self.random.choice((-1, 1)) * (self.random.randint(1, 90) * 10 + self.random.choice((3, 7)))

    def foreign(self, name, when, kinds, **more):
        account, instrument = self.traded_key(when)
        event = self.event(name, when)
        event.truth = {f"{account}:{instrument.con_id}": kinds}

        def act():
            self.market.execute(account, instrument, D(self.odd()), shown_after=0.5, heard_after="never", **more)

        self.market.at(when, act)

    # --- trades that no strategy made

    def manual_trade(self, when):
        self.foreign("manual trade", when, {"external_trade"})

    def unreported_trade(self, when):
        self.foreign("trade nobody tells of", when, {"external_trade"}, known_to_replay=False)

    def other_client(self, when):
        self.foreign("another client", when, {"other_client"}, client_id=12, order_id=self.random.randint(1, 99))

    def liquidation(self, when):
        self.foreign("liquidation", when, {"liquidation"}, liquidation=True, order_id=-1)

    # --- our own

    def missing_fill(self, when):
        account, instrument = self.traded_key(when)
        self.event("missing fill", when).truth = {f"{account}:{instrument.con_id}": {"missing_fill"}}

        def act():
            quantity = D(self.odd())
            lost = self.market.execute(
                account,
                instrument,
                quantity,
                strategy="BETA",
                shown_after=0.5,
                heard_after="never",
                known_to_replay=False,
            )
            self.market.order(lost, filled=abs(quantity))

        self.market.at(when, act)

    def bust(self, when):
        account, instrument = self.traded_key(when)
        self.event("bust", when).truth = {f"{account}:{instrument.con_id}": {"bust"}}

        def act():
            busted = next(
                e
                for e in reversed(self.market.executions)
                if (e.account, e.instrument) == (account, instrument) and e.when < self.market.now - 35
            )
            held = self.market.positions[account, instrument.con_id]
            self.market.set_position(account, instrument, held - busted.quantity)

        self.market.at(when, act)

    # --- options and futures

    def option(self, right, **more):
        symbol = f"U{next(CON_IDS)}"
        stock = self.new(symbol)
        given = {"sec_type": "OPT", "multiplier": D(100), "expiry": "20260310", "strike": D(50), **more}
        return self.new(symbol, right=right, under_con_id=stock.con_id, **given), stock

    def option_expiry(self, when):
        account, (option, _) = self.account(), self.option(self.random.choice("CP"))
        self.hold(account, option, self.random.choice((-3, 2, 5)), "0.5")
        self.event("option expiry", when).truth = {f"{account}:{option.con_id}": {"option_expiry"}}
        self.market.at(when, self.market.set_position, account, option, 0)

    def delivery(self, when, kind, held, right):
        account, (option, stock) = (
            self.account(),
            self.option(right, expiry=self.random.choice(("20260310", "20260417"))),
        )
        self.hold(account, option, held, "2.5")
        before = self.random.choice((0, 300))
        if before:
            self.hold(account, stock, before, 48)
        self.event(kind, when).truth = {
            f"{account}:{option.con_id}": {kind},
            f"{account}:{stock.con_id}": {kind},
        }
        change = D(held) * 100 * (1 if right == "C" else -1)

        def act():
            self.market.set_position(account, option, 0)
            self.market.set_position(account, stock, before + change, avg_cost=50)

        self.market.at(when, act)

    def option_exercise(self, when):
        self.delivery(when, "option_exercise", self.random.choice((1, 4)), self.random.choice("CP"))

    def option_assignment(self, when):
        self.delivery(when, "option_assignment", self.random.choice((-1, -3)), self.random.choice("CP"))

    def futures_expiry(self, when):
        future = self.new("ESH6", sec_type="FUT", multiplier=D(50), expiry="20260310")
        account = self.account()
        self.hold(account, future, self.random.choice((-2, 3)), 5000)
        self.event("futures expiry", when).truth = {f"{account}:{future.con_id}": {"futures_expiry"}}
        self.market.at(when, self.market.set_position, account, future, 0)

    # --- corporate actions

    def split(self, when):
        account, stock, ratio = self.account(), self.new(f"SPL{next(CON_IDS)}"), self.random.choice((2, 3, 4, 10))
        self.hold(account, stock, 60, 120)
        self.hold(account, stock, 50, 120, "BETA")
        self.event("split", when).truth = {f"{account}:{stock.con_id}": {"split"}}
        self.market.at(when, self.market.set_position, account, stock, 110 * ratio, D(120) / ratio)

    def conversion(self, when, name, kinds, old, new, quantity, price, made, cost):
        account = self.account()
        self.hold(account, old, quantity, price)
        self.event(name, when).truth = {f"{account}:{i.con_id}": kinds for i in (old, new)}

        def act():
            self.market.set_position(account, old, 0)
            self.market.set_position(account, new, made, cost)

        self.market.at(when, act)

    def reverse_split(self, when):
        symbol = f"REV{next(CON_IDS)}"
        old, new = self.new(f"{symbol}.OLD"), self.new(symbol)
        self.conversion(when, "reverse split", {"split", "merger"}, old, new, 12_010, "0.4", 480, 10)

    def merger(self, when):
        old, new = self.new(f"TGT{next(CON_IDS)}"), self.new(f"BUY{next(CON_IDS)}")
        self.conversion(when, "merger", {"merger", "split"}, old, new, 200, 30, 100, 60)

    # --- the rest

    def transfer_between(self, when):
        stock = self.new(f"TRF{next(CON_IDS)}")
        self.hold("DU1", stock, 140, 12)
        self.event("transfer", when).truth = {f"{a}:{stock.con_id}": {"transfer"} for a in ("DU1", "DU2")}

        def act():
            self.market.set_position("DU1", stock, 0)
            self.market.set_position("DU2", stock, 140, 12)

        self.market.at(when, act)

    def transfer_on_statement(self, when):
        account, stock = self.account(), self.new(f"ACA{next(CON_IDS)}")
        self.event("transfer in", when).truth = {f"{account}:{stock.con_id}": {"transfer"}}

        def act():
            self.market.set_position(account, stock, 77, 12)
            row = Transfer(account=account, kind="ACATS", instrument=stock, quantity=D(77), transaction_id="T77")
            self.market.house.statement.append(row)

        self.market.at(when, act)

    def truncation(self, when):
        account, stock = self.account(), self.new(f"FRA{next(CON_IDS)}")
        self.hold(account, stock, "12.4", 100)
        self.event("truncation", when).truth = {f"{account}:{stock.con_id}": {"fractional_truncation"}}
        self.market.at(when, self.market.set_position, account, stock, 12)

    def drift(self, when):
        account, coin = self.account(), self.new(f"BTC{next(CON_IDS)}", sec_type="CRYPTO")
        self.hold(account, coin, "2.5", 60_000)
        self.event("drift", when).truth = {f"{account}:{coin.con_id}": {"drift"}}
        self.market.at(when, self.market.set_position, account, coin, "2.4975")

    def price_unit(self, when):
        account, stock = self.account(), self.new(f"VOD{next(CON_IDS)}")
        self.hold(account, stock, 500, 947)
        self.event("price unit", when).truth = {f"{account}:{stock.con_id}": {"price_unit"}}
        self.market.at(when, self.market.set_position, account, stock, 500, "9.47")
