"""Positions that change without a trade: options at their end, corporate actions, transfers, drift."""

from __future__ import annotations

import copy
from decimal import ROUND_DOWN, Decimal

from engine.simulator.account import Holding
from engine.simulator.contracts import derived_con_id
from engine.simulator.faults_base import Desk, FaultError, Number, exact, fault
from engine.simulator.model import Instrument

_GROUP = "Corporate actions and the end of contracts"


class EventFaults(Desk):
    """No execution is told of any of these; positions and cash change."""

    @fault(_GROUP, "Option assignment")
    def assign_option(self, option: str = "", quantity: Number = 0, account: str = "") -> tuple[int, int]:
        """A short option is assigned: it goes, and its underlying moves at the strike.

        Args:
            option: Local symbol or con_id; empty for the first short option held.
            quantity: Contracts, positive; 0 for all.
            account: Empty for the first (or for the one that holds it).

        Returns:
            The con_ids of option and underlying.
        """
        return self._deliver(option, quantity, account, short=True)

    @fault(_GROUP, "Option exercise")
    def exercise_option(self, option: str = "", quantity: Number = 0, account: str = "") -> tuple[int, int]:
        """A long option is exercised: it goes, and its underlying moves at the strike.

        Args:
            option: Local symbol or con_id; empty for the first long option held.
            quantity: Contracts, positive; 0 for all.
            account: Empty for the first (or for the one that holds it).

        Returns:
            The con_ids of option and underlying.
        """
        return self._deliver(option, quantity, account, short=False)

    def _deliver(self, option: str, quantity: Number, account: str, *, short: bool) -> tuple[int, int]:
        held, known = self._option(option, account, -1 if short else 1)
        count = exact(quantity) or abs(held.quantity)
        if not 0 < count <= abs(held.quantity):
            raise FaultError(f"{count} of {abs(held.quantity)} contracts cannot be delivered")
        under = self.gateway.world.catalogue.get(known.under_con_id)
        side = (1 if known.right == "C" else -1) * (-1 if short else 1)
        size = side * count * (Decimal(1) if under.sec_type == "FUT" else Decimal(known.multiplier))
        self._close(held, known, count, Decimal(0))
        self._receive(held.account, under, size, known.strike)
        return known.con_id, under.con_id

    @fault(_GROUP, "Option expiry")
    def expire_option(self, option: str = "", account: str = "") -> int:
        """An option ends worthless: its position becomes zero, and nothing else happens.

        Args:
            option: Local symbol or con_id; empty for the first option held.
            account: Empty for the first (or for the one that holds it).

        Returns:
            Its con_id.
        """
        held, known = self._option(option, account, 0)
        self._close(held, known, abs(held.quantity), Decimal(0))
        return known.con_id

    @fault(_GROUP, "Future expiry")
    def expire_future(self, future: str = "", account: str = "", price: Number | None = None) -> int:
        """A future settles in cash: its position becomes zero, the profit is in the cash.

        Args:
            future: Local symbol or con_id; empty for the first future held.
            account: Empty for the first (or for the one that holds it).
            price: Settlement price; ``None`` takes the market's last.

        Returns:
            Its con_id.
        """
        held, known = self._held(future, account, ("FUT",), 0)
        last = self.gateway.world.market.quote(known).last if price in (None, "") else exact(price)
        self._close(held, known, abs(held.quantity), last)
        return known.con_id

    def _option(self, name: str, account: str, sign: int) -> tuple[Holding, Instrument]:
        return self._held(name, account, ("OPT", "FOP"), sign)

    def _held(self, name: str, account: str, kinds: tuple[str, ...], sign: int) -> tuple[Holding, Instrument]:
        """A holding of certain kinds, with the sign asked for (0 for either)."""
        world = self.gateway.world
        wanted = self._instrument(name).con_id if name else 0
        accounts = [self._account(account)] if account else list(world.config.accounts)
        for owner in accounts:
            for held in world.accounts[owner].holdings.values():
                known = world.catalogue.get(held.con_id)
                fits = known.sec_type in kinds and held.quantity and wanted in (0, held.con_id)
                if fits and (sign == 0 or held.quantity * sign > 0):
                    return held, known
        what = {1: "long ", -1: "short ", 0: ""}[sign] + "/".join(kinds)
        raise FaultError(f"no {what} position{' of ' + name if name else ''} is held")

    def _close(self, held: Holding, known: Instrument, count: Decimal, price: Decimal) -> None:
        """Take contracts out of a holding at a price, without an execution."""
        world = self.gateway.world
        closing = -count if held.quantity > 0 else count
        world.accounts[held.account].trade(known, closing, price, Decimal(0))
        world.dirty.holdings.add((held.account, held.con_id))
        world.dirty.cash.add(held.account)
        self.gateway.publish.position(held.account, held.con_id)

    def _receive(self, account: str, known: Instrument, quantity: Decimal, price: Decimal) -> None:
        world = self.gateway.world
        world.accounts[account].trade(known, quantity, price, Decimal(0))
        world.dirty.holdings.add((account, known.con_id))
        world.dirty.cash.add(account)
        self.gateway.publish.position(account, known.con_id)

    @fault(_GROUP, "Split")
    def split(self, symbol: str = "AAPL", new: int = 4, old: int = 1, new_con_id: bool = False) -> int:
        """A split (4 new for 1 old) or reverse split (1 new for 25 old) in every account that holds the share.

        A remainder below the smallest size is paid out in cash.

        Args:
            symbol: Symbol, local symbol or con_id.
            new: New shares.
            old: For so many old ones.
            new_con_id: Whether the shares get a new contract id (the old one is renamed ``.OLD``).

        Returns:
            The con_id of the shares after the split.
        """
        if new < 1 or old < 1:
            raise FaultError("a split has a ratio of positive whole numbers")
        world = self.gateway.world
        before = self._instrument(symbol)
        ratio = Decimal(new) / old
        price = world.market.quote(before).last / ratio
        after = self._successor(before) if new_con_id else before
        world.market.set_price(after, price)
        for account in world.accounts.by_name.values():
            held = account.holdings.get(before.con_id)
            if held is None or not held.quantity:
                continue
            exactly = held.quantity * new / old
            whole = (exactly / before.min_size).to_integral_value(ROUND_DOWN) * before.min_size
            cost = held.cost * whole / exactly if exactly else Decimal(0)
            if whole != exactly:
                world.pay(account.name, before.currency, (exactly - whole) * price * before.factor)
            if after is not before:
                world.move_position(account.name, before.con_id, Decimal(0), Decimal(0))
                self.gateway.publish.position(account.name, before.con_id)
            world.move_position(account.name, after.con_id, whole, cost)
            self.gateway.publish.position(account.name, after.con_id)
        return after.con_id

    def _successor(self, before: Instrument) -> Instrument:
        world = self.gateway.world
        after = copy.deepcopy(before)
        number = 1
        while True:
            after.con_id = derived_con_id(f"{before.con_id} split {number}")
            if after.con_id not in {known.con_id for known in world.catalogue.all()}:
                break
            number += 1
        before.symbol, before.local_symbol = f"{before.symbol}.OLD", f"{before.local_symbol}.OLD"
        world.dirty.instruments.add(before.con_id)
        world.add_instrument(after)
        return after

    @fault(_GROUP, "Transfer in or out")
    def transfer(
        self, symbol: str = "MSFT", quantity: Number = 50, account: str = "", price: Number | None = None
    ) -> int:
        """Shares are transferred: the position changes, no trade, no cash.

        Args:
            symbol: Symbol, local symbol or con_id.
            quantity: Signed: in positive, out negative.
            account: Empty for the first.
            price: Cost per unit carried along, quoted unit; ``None`` takes the market's last.

        Returns:
            The con_id.
        """
        known = self._instrument(symbol)
        signed = self._quantity(quantity, known)
        world = self.gateway.world
        name = self._account(account)
        held = world.accounts[name].holding(known.con_id)
        each = world.market.quote(known).last if price in (None, "") else exact(price)
        after = held.quantity + signed
        cost = held.cost + signed * each * known.factor
        if held.quantity and (after == 0 or abs(after) < abs(held.quantity)):
            cost = held.average_cost * after
        world.move_position(name, known.con_id, after, cost)
        self.gateway.publish.position(name, known.con_id)
        return known.con_id

    @fault(_GROUP, "Unexplained drift")
    def drift(self, symbol: str = "AAPL", quantity: Number = 1, account: str = "") -> int:
        """A position changes for no reason at all: no trade, no cash, no message but the position.

        Args:
            symbol: Symbol, local symbol or con_id.
            quantity: Signed change.
            account: Empty for the first.

        Returns:
            The con_id.
        """
        return self.transfer(symbol, quantity, account)
