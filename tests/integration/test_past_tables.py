"""Every table as of a past moment is what was shown then: recorded while a random day goes on, asked for afterwards."""

from __future__ import annotations

import asyncio
import random
import sys
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_parts import AAPL, DU, MSFT, HandBroker

from engine.clock import SystemClock
from engine.core.events import Bust, Commission, Fill, InstrumentDescribed, OrderUpdate, RateSeen
from engine.core.instrument import Instrument
from engine.errors import AssignmentRefused, BadRequest, BrokerUnavailable
from engine.pipeline.room import BookRoom
from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings

SAP = Instrument(con_id=14204, symbol="SAP", currency="EUR", local_symbol="SAP", exchange="IBIS")
PENCE = Instrument(con_id=29612, symbol="VOD", currency="GBP", local_symbol="VOD", exchange="LSE")
TRADED = (AAPL, MSFT, SAP, PENCE)
ACCOUNTS = (DU, "DU2")
PASSING = ("as_of", "age_s")
KEYS = {
    "positions": ["strategy", "account", "con_id"],
    "fills": ["strategy", "account", "fill_id"],
    "orders": ["strategy", "order_key"],
    "portfolio": ["account", "con_id", "strategy"],
    "breaks": ["break_id"],
    "assignments": ["recorded_at", "assignment_id", "strategy", "exec_id"],
}


class Day:
    """A day of trading with everything that changes a table; the broker is told by hand what it holds."""

    def __init__(self, pm, seed):
        self.pm, self.broker, self.chance = pm, pm.broker, random.Random(seed)
        self.made: list[tuple[str, str]] = []
        self.assigned: list[str] = []
        self.number = 0
        self.shown: list[tuple[pd.Timestamp, dict[str, pd.DataFrame]]] = []

    async def book(self, *facts):
        await self.pm.room.intake.accept(facts)

    def now(self):
        return self.pm.clock.now()

    async def fill(self):
        self.number += 1
        account, instrument = self.chance.choice(ACCOUNTS), self.chance.choice(TRADED)
        exec_id = f"0000e0d5.{self.number:08x}.01.01"
        quantity = Decimal(self.chance.choice((-30, -7, 5, 12, 100)))
        strategy = self.chance.choice(("ALPHA", "BETA", None))
        about = {
            "account": account,
            "instrument": instrument,
            "strategy": strategy,
            "perm_id": 500 + self.number,
            "order_id": self.number if strategy else 0,
            "client_id": 40,
        }
        if strategy:
            await self.book(
                OrderUpdate(
                    received_at=self.now(),
                    side="BUY" if quantity > 0 else "SELL",
                    quantity=abs(quantity) + 1,
                    status="Submitted",
                    **about,
                )
            )
        await self.book(
            Fill(
                received_at=self.now(),
                exec_id=exec_id,
                quantity=quantity,
                price=Decimal(self.chance.choice(("10", "10.1", "33.333", "0.07"))),
                executed_at=self.now(),
                **about,
            )
        )
        self.made.append((account, exec_id))
        if self.chance.random() < 0.8:
            self.broker.move(instrument, quantity, account=account)

    async def fee(self):
        if self.made:
            _, exec_id = self.chance.choice(self.made)
            amount, currency = self.chance.choice((("1.05", "USD"), ("0.333", "EUR"), ("2", "CHF")))
            await self.book(
                Commission(received_at=self.now(), exec_id=exec_id, amount=Decimal(amount), currency=currency)
            )

    async def correct(self):
        if self.made:
            account, exec_id = self.chance.choice(self.made)
            with self.pm.room.lock:
                known = self.pm.room.ledger.fill(account, exec_id[:-3])
            if known is not None:
                await self.book(
                    Fill(
                        received_at=self.now(),
                        account=account,
                        exec_id=exec_id[:-2] + f"{self.chance.randint(2, 9):02}",
                        instrument=known.fill.instrument,
                        quantity=known.fill.quantity,
                        price=known.fill.price + Decimal("0.01"),
                        executed_at=known.fill.executed_at,
                        perm_id=known.fill.perm_id,
                    )
                )

    async def bust(self):
        if self.made:
            account, exec_id = self.chance.choice(self.made)
            await self.book(Bust(received_at=self.now(), account=account, exec_id=exec_id, reason="exchange"))

    async def price(self):
        for instrument in TRADED:
            if self.chance.random() < 0.5:
                price = Decimal(self.chance.randint(1, 9999)) / 100
                self.broker.mark(instrument, price, account=self.chance.choice(ACCOUNTS))

    async def rate(self):
        account, currency = self.chance.choice(ACCOUNTS), self.chance.choice(("EUR", "GBP", "CHF"))
        rate, at = Decimal(self.chance.randint(50, 200)) / 100, self.now()
        self.broker.rates[account, currency] = rate
        await self.book(RateSeen(received_at=at, account=account, currency=currency, base="USD", rate=rate, at=at))

    async def describe(self):
        told = Instrument(
            con_id=PENCE.con_id,
            symbol="VOD",
            currency="GBP",
            local_symbol="VOD",
            exchange="LSE",
            price_magnifier=self.chance.choice((1, 100)),
        )
        await self.book(InstrumentDescribed(received_at=self.now(), instrument=told))

    async def silence(self):
        self.broker.unknown = self.chance.choice(({}, {}, {"DU2": "no end marker"}))

    async def reconcile(self):
        try:
            await self.pm.reconcile_positions()
        except BrokerUnavailable:
            assert self.broker.down

    async def assign(self):
        breaks = self.pm.breaks()
        if len(breaks):
            row = breaks.iloc[self.chance.randrange(len(breaks))]
            try:
                made = await self.pm.assign_residual(
                    row["account"],
                    int(row["con_id"]),
                    {"GAMMA": row["quantity"]},
                    price="12.5",
                    operator="ann",
                    reason="found",
                )
            except AssignmentRefused:
                return  # it has changed meanwhile
            self.assigned.append(made.assignment_id)

    async def reverse(self):
        if self.assigned:
            name = self.assigned.pop()
            try:
                await self.pm.reverse_assignment(name, operator="ann", reason="no")
            except AssignmentRefused:
                self.assigned.insert(0, name)  # a later one builds on it

    async def note(self):
        breaks = self.pm.breaks()
        if len(breaks):
            try:
                await self.pm.note_break(breaks["break_id"].iloc[0], "bob", f"note {self.number}", "ann")
            except BadRequest:
                return  # it has gone meanwhile

    def show(self):
        """Draw every table; again, if prices were looked at meanwhile: what was drawn before is then of an earlier moment.

        A table takes prices that are a second old at most, and the store's thread looks for newer ones when it writes.
        """
        log = self.pm.mark_log
        while True:
            number = log._number
            shown = {name: tables(self.pm, name) for name in KEYS}
            moment = self.now()
            if log._number == number:
                self.shown.append((moment, shown))
                return


def tables(pm, name, **more):
    frame = getattr(pm, name)(**more)
    frame = frame.drop(columns=[c for c in (*PASSING, "seq") if c in frame.columns])
    return frame.sort_values(KEYS[name], kind="stable").reset_index(drop=True)


async def settled(pm):
    """Nothing is under way: no run behind an act, nothing on its way to the books."""
    while (run := pm.reconciler._behind) is not None and not run.done():
        await asyncio.wait([run])
    await pm.room.intake.drained()


async def live(folder, seed, steps):
    clock = SystemClock()
    settings = Settings(data_dir=str(folder), settle_s=0.0, confirm_runs=1, reconcile_every_s=0)
    room = BookRoom(settings, clock)
    broker = HandBroker(clock)
    broker.accounts, broker.base = list(ACCOUNTS), dict.fromkeys(ACCOUNTS, "USD")
    try:
        pm = PortfolioManager(settings, room, broker, clock)
        day = Day(pm, seed)
        acts = [day.fill] * 4 + [day.reconcile] * 4 + [day.price] * 2
        acts += [day.fee, day.correct, day.bust, day.rate, day.describe, day.silence, day.assign, day.reverse, day.note]
        for _ in range(steps):
            await day.chance.choice(acts)()
            await asyncio.sleep(0)
            await settled(pm)
            day.show()
        compare(pm, day)
    finally:
        room.close(timeout_s=60)


def compare(pm, day):
    for moment, shown in day.shown:
        for name, frame in shown.items():
            past = tables(pm, name, as_of=moment)
            try:
                pd.testing.assert_frame_equal(past[list(frame.columns)], frame, check_dtype=False)
            except AssertionError as error:
                raise AssertionError(f"{name} as of {moment} is not what was shown then: {error}") from error


@pytest.mark.parametrize("seed", [4])
def test_every_table_as_of_a_past_moment_is_what_was_shown_then(tmp_path, seed):
    asyncio.run(live(tmp_path, seed, 24))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(10, 20))
def test_every_table_as_of_a_past_moment_is_what_was_shown_then_on_long_days(tmp_path, seed):
    asyncio.run(live(tmp_path, seed, 150))
