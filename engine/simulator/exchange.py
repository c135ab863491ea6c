"""Orders from acceptance to their end: activation, matching, parts, brackets, one-cancels-other groups.

A market order fills at once, at the other side of the quote, in parts no larger than its instrument's lot. Everything
else rests until a price step reaches it. Children wait for their parent to be filled, and siblings cancel each other.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from engine.simulator.market import STOP, executable_price
from engine.simulator.model import Execution, Leg, Order
from engine.simulator.publish import Publisher
from engine.simulator.rules import Rules
from engine.simulator.world import World

Later = Callable[[float, Callable[[], None]], None]


class Exchange:
    """Works the orders of all clients.

    Args:
        world: The facts.
        publish: Tells clients.
        rules: What the fault desk armed.
        later: Runs a function after so many seconds.
    """

    def __init__(self, world: World, publish: Publisher, rules: Rules, later: Later) -> None:
        self._world = world
        self._publish = publish
        self._rules = rules
        self._later = later

    # acceptance

    def accept(self, order: Order) -> None:
        """Take in an order that has been checked; untransmitted ones wait in silence for their family."""
        order.status = "PreSubmitted" if order.transmit else "PendingSubmit"
        self._world.add_order(order)
        if order.transmit:
            for member in self._family(order):
                member.transmit = True
                member.status = "PreSubmitted"
                self._announce(member)
            self._announce(order)

    def _family(self, order: Order) -> list[Order]:
        """Untransmitted parent and siblings, or children, of an order, in order of their ids."""
        root = order.parent_id or order.order_id
        found = [
            member
            for member in self._world.live.values()
            if member.client_id == order.client_id
            and member is not order
            and not member.transmit
            and root in (member.order_id, member.parent_id)
        ]
        return sorted(found, key=lambda member: member.order_id)

    def _announce(self, order: Order) -> None:
        self._publish.order(order)
        self._soon(self._world.config.fill_delay_s, order)

    def _soon(self, delay_s: float, order: Order) -> None:
        if delay_s > 0:
            self._later(delay_s, lambda: self.work(order))
        else:
            self.work(order)

    def modify(self, order: Order, changed: Order) -> None:
        """Take over quantity, prices and terms of a changed order.

        Args:
            order: The order as it is known.
            changed: The same order as the client wants it now.
        """
        order.quantity, order.limit, order.aux = changed.quantity, changed.limit, changed.aux
        order.tif, order.order_type, order.oca_group = changed.tif, changed.order_type, changed.oca_group
        order.raw, order.order_ref = changed.raw, changed.order_ref or order.order_ref
        order.placed_at = changed.placed_at
        transmit_now = changed.transmit and not order.transmit
        order.transmit = order.transmit or changed.transmit
        if transmit_now:
            order.status = "PreSubmitted"
            for member in self._family(order):
                member.transmit, member.status = True, "PreSubmitted"
                self._announce(member)
        if order.remaining <= 0:
            self._finish(order, "Filled")
        self._world.touch(order)
        if order.transmit:
            self._publish.order(order)
            self.work(order)

    # matching

    def _waits(self, order: Order) -> bool:
        """Whether an order is held back: not transmitted, or a child whose parent is not filled."""
        if not order.transmit:
            return True
        if not order.parent_id:
            return False
        parent = self._world.by_client.get((order.client_id, order.parent_id))
        return parent is not None and parent.status != "Filled"

    def work(self, order: Order) -> None:
        """Fill what can be filled now; let the rest lie, or cancel it where it may not lie."""
        if order.done or self._waits(order):
            return
        price = executable_price(order, self._world.quote(order))
        if price is None:
            if order.tif in ("IOC", "FOK"):
                self.cancel(order, "")
                return
            resting = "PreSubmitted" if order.order_type in STOP and not order.triggered else "Submitted"
            if order.status != resting:
                order.status = resting
                self._world.touch(order)
                self._publish.order(order)
            return
        lot = order.remaining if order.tif == "FOK" else self._world.instrument(order).lot
        self.fill(order, min(order.remaining, lot), price)
        if not order.done:
            self._soon(self._world.config.partial_delay_s, order)

    def fill(self, order: Order, quantity: Decimal, price: Decimal, *, lost: bool = False) -> Execution:
        """Let one part of an order execute.

        Args:
            order: The order; it may even be cancelled (a fill that crossed the cancel).
            quantity: Positive, at most what remains unless an overfill is meant.
            price: In the quoted unit.
            lost: The live messages never arrive.

        Returns:
            The execution (the combination's own for a combination).
        """
        order.filled += quantity
        order.value += quantity * price
        order.last_price = price
        if order.remaining <= 0:
            self._finish(order, "Filled")
        else:
            order.status = "Submitted"
            order.completed_at = None
        self._world.touch(order)
        done = self._book(order, quantity, price, lost=lost)
        self._after_fill(order)
        return done

    def _book(self, order: Order, quantity: Decimal, price: Decimal, *, lost: bool) -> Execution:
        root = self._world.ids.exec_root()
        done = self._world.book(
            account=order.account,
            instrument=self._world.instrument(order),
            quantity=order.sign * quantity,
            price=price,
            order=order,
            root=root,
        )
        if not order.legs:
            self._publish.fill(done, order, lost=lost)
            return done
        parts = [(done, False)]
        for number, leg in enumerate(order.legs, start=2):
            parts.append((self._book_leg(order, leg, quantity, root, number), number == len(order.legs) + 1))
        for part, last in parts:
            self._publish.fill(part, order, lost=lost, final=last)
        return done

    def _book_leg(self, order: Order, leg: Leg, quantity: Decimal, root: str, number: int) -> Execution:
        known = self._world.catalogue.get(leg.con_id)
        signed = order.sign * self._world.ratio(leg) * quantity
        quote = self._world.market.quote(known)
        return self._world.book(
            account=order.account,
            instrument=known,
            quantity=signed,
            price=quote.ask if signed > 0 else quote.bid,
            order=order,
            root=root,
            leg=number,
        )

    def _after_fill(self, order: Order) -> None:
        """What a fill does to others: groups cancel, siblings cancel, children awake."""
        for other in list(self._world.live.values()):
            if other is order or other.account != order.account:
                continue
            grouped = bool(order.oca_group) and other.oca_group == order.oca_group
            same_client = other.client_id == order.client_id
            sibling = same_client and bool(order.parent_id) and other.parent_id == order.parent_id
            if grouped or (sibling and order.status == "Filled"):
                self.cancel(other, "")
            elif same_client and order.order_id > 0 and other.parent_id == order.order_id and order.status == "Filled":
                self.work(other)

    def _finish(self, order: Order, status: str) -> None:
        order.status = status
        order.completed_at = self._world.clock.now()

    # the end

    def cancel(self, order: Order, reason: str) -> None:
        """End an order: 202 to its owner beside orderStatus Cancelled. Its children end with it."""
        self._finish(order, "Cancelled")
        self._world.touch(order)
        self._publish.error(order.client_id, order.order_id, 202, f"Order Canceled - reason:{reason}")
        self._publish.status(order)
        if self._rules.take("cancelled then filled"):
            self._later(0.05, lambda: self._fill_anyway(order))
        for other in list(self._world.live.values()):
            if other.client_id == order.client_id and order.order_id and other.parent_id == order.order_id:
                self.cancel(other, reason)

    def _fill_anyway(self, order: Order) -> None:
        """The fill that crossed a cancel or a rejection on its way."""
        quote = self._world.quote(order)
        self.fill(order, order.remaining, quote.ask if order.sign > 0 else quote.bid)

    def reject(self, order: Order, code: int, reason: str) -> None:
        """Refuse an order after taking it in: Inactive, then the error."""
        self._finish(order, "Inactive")
        self._world.add_order(order)
        self._publish.order(order)
        self._publish.error(order.client_id, order.order_id, code, reason)
        if self._rules.take("reject with position"):
            self._position_of_rejected(order)

    def _position_of_rejected(self, order: Order) -> None:
        """Let a rejected order move the position all the same, seen by nobody who listens only to fills."""
        quote = self._world.quote(order)
        price = quote.ask if order.sign > 0 else quote.bid
        done = self._world.book(
            account=order.account,
            instrument=self._world.instrument(order),
            quantity=order.sign * order.quantity,
            price=price,
            perm_id=order.perm_id,
            client_id=order.client_id,
            order_id=order.order_id,
            order_ref=order.order_ref,
        )
        done.hidden = True
        self._publish.position(done.account, done.con_id)

    def cancel_all(self) -> None:
        """Cancel every order of everybody (a global cancel)."""
        for order in list(self._world.live.values()):
            if not order.done:
                self.cancel(order, "")

    def tick(self) -> list[int]:
        """Move all prices one step and work the resting orders.

        Returns:
            Contract ids whose price changed.
        """
        moved = [known.con_id for known in self._world.catalogue.all() if self._world.market.step(known)]
        for order in list(self._world.live.values()):
            self.work(order)
        return moved
