"""Who hears what, when, and in which order.

Order and execution messages go to the client that owns the order and to the master; what was typed into TWS goes to
client 0 and the master. Positions and account windows go to all who asked. A fill is a list of steps (execution,
order state, position, commission), each with a delay; the fault desk changes a fill by changing that list.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from engine.simulator import answers
from engine.simulator.answers import Message
from engine.simulator.model import Execution, Order
from engine.simulator.order_answers import open_order
from engine.simulator.rules import CommissionRule, Rules
from engine.simulator.world import World

Encoder = Callable[[int], Message]


class Listener(Protocol):
    """A connected client, as far as publishing goes."""

    client_id: int
    version: int
    wants_positions: bool

    def send(self, message: Message) -> None:
        """Queue a message for this client."""


@dataclass(slots=True)
class Step:
    """One thing clients hear about a fill. ``run`` sends it; ``kind`` names it for the fault desk."""

    kind: str
    delay_s: float
    run: Callable[[], None]


class Publisher:
    """Sends what happens to those it concerns.

    Args:
        world: The facts.
        rules: What the fault desk armed.
        listeners: Gives the clients connected now.
        later: Runs a function after so many seconds.
        changed: Is told (account, con_id) of holdings that changed, for the account windows.
    """

    def __init__(
        self,
        world: World,
        rules: Rules,
        listeners: Callable[[], Iterable[Listener]],
        later: Callable[[float, Callable[[], None]], None],
        changed: Callable[[str, int], None],
    ) -> None:
        self._world = world
        self._rules = rules
        self._listeners = listeners
        self._later = later
        self._changed = changed
        self._held: list[Callable[[], None]] = []

    # single messages

    def _deliver(self, kind: str, to: Callable[[Listener], bool], encode: Encoder) -> None:
        """Send to all who are concerned, now, or when the held link is back."""
        if self._rules.hold:
            self._held.append(lambda: self._deliver(kind, to, encode))
            return
        times = 2 if self._rules.take(f"duplicate {kind}") else 1
        encoded: dict[int, Message] = {}
        for listener in self._listeners():
            if to(listener):
                if listener.version not in encoded:
                    encoded[listener.version] = encode(listener.version)
                for _ in range(times):
                    listener.send(encoded[listener.version])

    def release(self, *, deliver: bool) -> None:
        """End the holding of messages: send what was held, or drop it."""
        self._rules.hold = False
        held, self._held = self._held, []
        if deliver:
            for send in held:
                send()

    def _concerns(self, client_id: int, order_id: int) -> Callable[[Listener], bool]:
        master = self._world.config.master_client_id

        def concerned(listener: Listener) -> bool:
            if listener.client_id == client_id and (order_id > 0 or client_id == 0):
                return True
            return listener.client_id == master

        return concerned

    def error(self, client_id: int, request_id: int, code: int, text: str) -> None:
        """An error about an order, to its owner."""
        self._deliver(
            "error",
            lambda listener: listener.client_id == client_id,
            lambda version: answers.error(version, request_id, code, text),
        )

    def notice(self, code: int, text: str) -> None:
        """A notice that belongs to no request, to everybody, whatever is held."""
        for listener in self._listeners():
            listener.send(answers.error(listener.version, -1, code, text))

    def order(self, order: Order, margin: Message | None = None) -> None:
        """An order's state: openOrder, then orderStatus."""
        known = self._world.instrument(order)
        seen = copy.copy(order)
        to = self._concerns(order.client_id, order.order_id)
        self._deliver("open order", to, lambda version: open_order(known, seen, version, margin))
        if margin is None:
            self.status(seen)

    def status(self, order: Order) -> None:
        """An order's orderStatus alone."""
        if self._rules.take("lost status"):
            return
        seen = copy.copy(order)
        to = self._concerns(order.client_id, order.order_id)
        self._deliver("status", to, lambda _: answers.order_status(seen))

    def execution(self, done: Execution) -> None:
        """A live execution."""
        known = self._world.instrument(done)
        seen = copy.copy(done)
        style = self._rules.time_style or self._world.config.time_style
        if self._rules.take("undecodable"):
            style = "unknown"
        to = self._concerns(done.client_id, done.order_id)
        self._deliver("execution", to, lambda _: answers.execution(known, seen, -1, style))

    def commission(self, done: Execution) -> None:
        """The commission report of an execution."""
        sentinel = done.commission_state == "sentinel"
        amount = None if sentinel else done.commission
        realized = None if sentinel else done.realized
        message = answers.commission(done.exec_id, amount, done.commission_currency, realized)
        self._deliver("commission", self._concerns(done.client_id, done.order_id), lambda _: message)

    def position(self, account: str, con_id: int) -> None:
        """A position as it is now, zero included, to all who subscribed, and to the account windows."""
        held = self._world.accounts[account].holding(con_id)
        known = self._world.catalogue.get(con_id)
        self._changed(account, con_id)
        if known.sec_type == "CASH" and not held.quantity and not held.ever_sent:
            return
        held.ever_sent = True
        message = answers.position(known, account, self.shown(held.quantity), self.cost(account, con_id))
        self._deliver("position", lambda listener: listener.wants_positions, lambda _: message)

    def shown(self, quantity: Decimal) -> Decimal:
        """A position's quantity as reported."""
        return quantity.to_integral_value("ROUND_DOWN") if self._rules.truncate else quantity

    def cost(self, account: str, con_id: int) -> Decimal:
        """A position's average cost as reported."""
        held = self._world.accounts[account].holding(con_id)
        return held.average_cost * self._rules.cost_factor.get((account, con_id), Decimal(1))

    # fills

    def fill(self, done: Execution, order: Order | None, *, lost: bool = False, final: bool = True) -> None:
        """Tell of a fill, with everything the fault desk has armed for it.

        Args:
            done: The execution, already booked.
            order: Its order after the fill; ``None`` when clients hear of none.
            lost: The live messages never arrive; positions do, and a request for executions shows it.
            final: The last execution of a group (legs of a combination): order state follows it.
        """
        lost = self._rules.take("lost fill") or lost
        report = self._rules.take_commission() if done.commission is not None else None
        before = self._rules.take("position first")
        after = self._rules.take("position late")
        steps = [] if lost else self._live_steps(done, order if final else None, report)
        if done.commission is None:
            done.commission_state = "missing"
        elif lost:
            done.commission_state = "sent"
        if self._world.instrument(done).sec_type != "BAG":
            delay = self._world.config.position_delay_s + (self._rules.position_delay_s if after else 0.0)
            steps.insert(2 if order is not None else 1, self._position_step(done, delay))
        if before:
            for step in steps:
                step.delay_s += 0.0 if step.kind == "position" else self._rules.execution_delay_s
        if self._rules.take("reorder"):
            steps.reverse()
            for step in steps:
                step.delay_s = 0.0
        self._run(steps)

    def _position_step(self, done: Execution, delay_s: float) -> Step:
        return Step("position", delay_s, lambda: self.position(done.account, done.con_id))

    def _live_steps(self, done: Execution, order: Order | None, rule: CommissionRule | None) -> list[Step]:
        steps = [Step("execution", 0.0, lambda: self.execution(done))]
        if order is not None:
            seen = copy.copy(order)
            steps.append(Step("order", 0.0, lambda: self.order(seen)))
        if done.commission is None:
            return steps
        delay = self._world.config.commission_delay_s
        if rule is not None and rule.kind == "missing":
            done.commission_state = "missing"
            return steps
        if rule is not None and rule.kind == "late":
            delay = rule.delay_s
        if rule is not None and rule.kind == "sentinel":
            done.commission_state = "sentinel"
        if rule is not None and rule.amount is not None:
            done.commission = rule.amount
        last = copy.copy(order) if order is not None and order.done else None
        steps.append(Step("commission", delay, lambda: self._pay(done, last)))
        return steps

    def _pay(self, done: Execution, order: Order | None) -> None:
        """The commission is known: the finished order is told again with it, and then the report."""
        if done.commission_state == "pending":
            done.commission_state = "sent"
            self._world.dirty.executions.add(done.exec_id)
        kept = self._world.orders.get(done.perm_id)
        if kept is not None and done.commission_state == "sent" and done.commission is not None:
            kept.commission = (kept.commission or Decimal(0)) + done.commission
            kept.commission_currency = done.commission_currency
            self._world.dirty.orders.add(kept.perm_id)
            if order is not None:
                order.commission, order.commission_currency = kept.commission, kept.commission_currency
                self.order(order)
        self.commission(done)

    def _run(self, steps: list[Step]) -> None:
        for step in steps:
            if step.delay_s > 0:
                self._later(step.delay_s, step.run)
            else:
                step.run()
