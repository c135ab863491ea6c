"""Trades that nobody's strategy made, and trades that come out differently."""

from __future__ import annotations

import copy
from decimal import Decimal

from engine.simulator.faults_base import Desk, FaultError, Number, exact, fault
from engine.simulator.model import Execution, Instrument, Order

_GROUP = "Trades"


class TradeFaults(Desk):
    """Manual trades, other clients, corrections, busts, lost fills, liquidations."""

    @fault(_GROUP, "Manual trade in TWS")
    def manual_trade(
        self, symbol: str = "AAPL", quantity: Number = 10, price: Number | None = None, account: str = ""
    ) -> str:
        """A trade typed into TWS: order id 0, client 0, no order reference.

        Args:
            symbol: Symbol, local symbol or con_id.
            quantity: Signed: bought positive.
            price: In the quoted unit; ``None`` takes the market's.
            account: Empty for the first.

        Returns:
            The execution's id.
        """
        return self._trade(symbol, quantity, price, account, client_id=0, order_id=0, order_ref="").exec_id

    @fault(_GROUP, "Fill of another client")
    def other_client_fill(
        self,
        symbol: str = "AAPL",
        quantity: Number = 10,
        price: Number | None = None,
        account: str = "",
        client_id: int = 99,
        order_ref: str = "",
    ) -> str:
        """A fill of an API client that we do not know; its live messages go to that client and the master only.

        Args:
            symbol: Symbol, local symbol or con_id.
            quantity: Signed: bought positive.
            price: In the quoted unit; ``None`` takes the market's.
            account: Empty for the first.
            client_id: The other client.
            order_ref: Its order reference.

        Returns:
            The execution's id.
        """
        order_id = self.gateway.world.ids.next_order_id(client_id)
        return self._trade(
            symbol, quantity, price, account, client_id=client_id, order_id=order_id, order_ref=order_ref
        ).exec_id

    @fault(_GROUP, "Lost fill")
    def lost_fill(
        self,
        symbol: str = "AAPL",
        quantity: Number = 10,
        price: Number | None = None,
        account: str = "",
        client_id: int = -1,
        order_ref: str = "",
    ) -> str:
        """A fill whose live messages never arrive: positions move, and only re-requested executions show it.

        Args:
            symbol: Symbol, local symbol or con_id.
            quantity: Signed: bought positive.
            price: In the quoted unit; ``None`` takes the market's.
            account: Empty for the first.
            client_id: Whose order; -1 for the client (and reference) that traded last.
            order_ref: Its order reference.

        Returns:
            The execution's id.
        """
        if client_id < 0:
            done = self._execution("") if self.gateway.world.executions else None
            client_id = done.client_id if done else 1
            order_ref = order_ref or (done.order_ref if done else "")
        order_id = self.gateway.world.ids.next_order_id(client_id) if client_id else 0
        return self._trade(
            symbol, quantity, price, account, client_id=client_id, order_id=order_id, order_ref=order_ref, lost=True
        ).exec_id

    @fault(_GROUP, "Lose the next fills")
    def lose_next_fill(self, count: int = 1) -> None:
        """The live messages of the next fills never arrive; re-requested executions show them.

        Args:
            count: How many fills.
        """
        self.gateway.rules.arm("lost fill", self._count(count))

    @fault(_GROUP, "Order of an unknown client")
    def unknown_client_order(
        self,
        symbol: str = "AAPL",
        quantity: Number = 10,
        limit: Number = 1,
        account: str = "",
        client_id: int = 98,
        order_ref: str = "",
    ) -> int:
        """A resting limit order of a client that we do not know; only a request for all open orders shows it.

        Args:
            symbol: Symbol, local symbol or con_id.
            quantity: Signed: bought positive.
            limit: In the quoted unit.
            account: Empty for the first.
            client_id: The other client; 0 is an order typed into TWS.
            order_ref: Its order reference.

        Returns:
            The order's perm_id.
        """
        known = self._instrument(symbol)
        order = self._order(known, self._quantity(quantity, known), self._account(account), client_id, order_ref)
        order.order_type, order.limit = "LMT", exact(limit)
        order.order_id = self.gateway.world.ids.next_order_id(client_id) if client_id else 0
        self.gateway.exchange.accept(order)
        return order.perm_id

    @fault(_GROUP, "Liquidation by IB")
    def liquidation(self, symbol: str = "AAPL", quantity: Number = -10, account: str = "") -> str:
        """IB closes (part of) a position itself: liquidation 1, client 0, order id -1, no reference, no order.

        Args:
            symbol: Symbol, local symbol or con_id.
            quantity: Signed trade: negative sells.
            account: Empty for the first.

        Returns:
            The execution's id.
        """
        known = self._instrument(symbol)
        signed = self._quantity(quantity, known)
        done = self.gateway.world.book(
            account=self._account(account),
            instrument=known,
            quantity=signed,
            price=self._price(None, known, signed),
            order_id=-1,
            liquidation=1,
        )
        self.gateway.publish.fill(done, None)
        return done.exec_id

    @fault(_GROUP, "Correction of an execution")
    def correction(
        self,
        exec_id: str = "",
        quantity: Number | None = None,
        price: Number | None = None,
        side: str = "",
        live: bool = True,
    ) -> str:
        """An execution is corrected: ``.01`` becomes ``.02`` with another price, quantity or side.

        Args:
            exec_id: The execution; empty for the latest.
            quantity: New quantity, positive; ``None`` keeps it.
            price: New price, quoted unit; ``None`` keeps it, and raises it by one tick if nothing else changes.
            side: ``BOT`` or ``SLD``; empty keeps it.
            live: Whether clients are told at once; otherwise only re-requested executions show it.

        Returns:
            The correction's id.
        """
        old = self._execution(exec_id)
        if side not in ("", "BOT", "SLD"):
            raise FaultError(f"side is {side!r}: use BOT or SLD")
        world = self.gateway.world
        known = world.instrument(old)
        new = copy.copy(old)
        root, _, revision = old.exec_id.rpartition(".")
        new.exec_id = f"{root}.{int(revision, 16) + 1:02x}"
        if new.exec_id in world.executions:
            raise FaultError(f"{old.exec_id} has been corrected already")
        new.quantity = old.quantity if quantity in (None, "") else exact(quantity)
        new.side = side or old.side
        if price not in (None, ""):
            new.price = exact(price)
        elif new.quantity == old.quantity and new.side == old.side:
            new.price = old.price + known.min_tick
        if new.quantity <= 0:
            raise FaultError("a corrected quantity is positive; a bust takes an execution away")
        self._replace(old, new, known)
        if live:
            self.gateway.publish.execution(new)
            if new.commission is not None:
                new.commission_state = "sent"
                self.gateway.publish.commission(new)
        else:
            new.commission_state = "sent"
        self.gateway.publish.position(new.account, new.con_id)
        return new.exec_id

    def _replace(self, old: Execution, new: Execution, known: Instrument) -> None:
        """Put a corrected execution in the place of the old one in position, cash and order."""
        world = self.gateway.world
        new.cumulative = old.cumulative + new.quantity - old.quantity
        order = world.orders.get(old.perm_id)
        if order is not None and new.side == old.side:
            order.filled += new.quantity - old.quantity
            order.value += new.quantity * new.price - old.quantity * old.price
            order.quantity = max(order.quantity, order.filled) if order.done else order.quantity
            world.dirty.orders.add(order.perm_id)
            new.average = order.average
        old.superseded = True
        world.dirty.executions.update((old.exec_id, new.exec_id))
        world.executions[new.exec_id] = new
        change = (new.signed * new.price - old.signed * old.price) * known.factor
        self._shift(new.account, known, new.signed - old.signed, change)

    def _shift(self, account: str, known: Instrument, quantity: Decimal, paid: Decimal) -> None:
        """Change a position and the cash paid for it, without a trade."""
        world = self.gateway.world
        held = world.accounts[account].holding(known.con_id)
        world.move_position(account, known.con_id, held.quantity + quantity, held.cost + paid)
        if known.sec_type == "CASH":
            world.pay(account, known.symbol, quantity)
        if known.sec_type != "FUT":
            world.pay(account, known.currency, -paid)

    @fault(_GROUP, "Bust of an execution")
    def bust(self, exec_id: str = "") -> str:
        """The exchange takes a trade back: the position returns, and no message says so.

        Args:
            exec_id: The execution; empty for the latest.

        Returns:
            The busted execution's id.
        """
        done = self._execution(exec_id)
        known = self.gateway.world.instrument(done)
        self._shift(done.account, known, -done.signed, -done.signed * done.price * known.factor)
        self.gateway.publish.position(done.account, done.con_id)
        return done.exec_id

    @fault(_GROUP, "Fill after cancel")
    def cancelled_then_filled(self, count: int = 1) -> None:
        """The next cancelled orders are filled all the same, just after their cancel was confirmed.

        Args:
            count: How many cancels.
        """
        self.gateway.rules.arm("cancelled then filled", self._count(count))

    @fault(_GROUP, "Reject the next orders")
    def reject_next(
        self, count: int = 1, reason: str = "insufficient margin", code: int = 201, with_position: bool = False
    ) -> None:
        """The next orders are rejected: Inactive, then the error.

        Args:
            count: How many orders.
            reason: Text in the error.
            code: IB's error code.
            with_position: The position moves all the same, and no execution is ever shown.
        """
        rules = self.gateway.rules
        rules.reject_code, rules.reject_reason = code, reason
        rules.arm("reject", self._count(count))
        if with_position:
            rules.arm("reject with position", count)

    @fault(_GROUP, "Rejected order with a position")
    def reject_with_position(self, count: int = 1) -> None:
        """The next orders are rejected, yet their position appears.

        Args:
            count: How many orders.
        """
        self.gateway.rules.reject_code, self.gateway.rules.reject_reason = 201, "rejected by system"
        self.gateway.rules.arm("reject", self._count(count))
        self.gateway.rules.arm("reject with position", count)

    def _order(self, known: Instrument, quantity: Decimal, account: str, client_id: int, order_ref: str) -> Order:
        world = self.gateway.world
        return Order(
            perm_id=world.ids.perm_id(),
            client_id=client_id,
            order_id=0,
            con_id=known.con_id,
            account=account,
            action="BUY" if quantity > 0 else "SELL",
            quantity=abs(quantity),
            order_type="MKT",
            exchange=known.exchange,
            order_ref=order_ref,
            placed_at=world.clock.now(),
        )

    def _trade(
        self,
        symbol: str,
        quantity: Number,
        price: Number | None,
        account: str,
        *,
        client_id: int,
        order_id: int,
        order_ref: str,
        lost: bool = False,
    ) -> Execution:
        """An order that is filled whole, at once."""
        known = self._instrument(symbol)
        signed = self._quantity(quantity, known)
        order = self._order(known, signed, self._account(account), client_id, order_ref)
        order.order_id = order_id
        self.gateway.world.add_order(order)
        if not lost:
            self.gateway.publish.order(order)
        return self.gateway.exchange.fill(order, order.quantity, self._price(price, known, signed), lost=lost)
