"""Everything the gateway knows, and the one way in which an execution enters it.

Identities outlive the process. Execution ids and permanent ids start from the clock (milliseconds) and count up, and a
state file remembers the highest ones: neither repeats, whatever is killed and restarted when.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from engine.simulator.account import Accounts
from engine.simulator.config import GatewayConfig
from engine.simulator.contracts import Catalogue, standard
from engine.simulator.fees import commission_currency, order_commission
from engine.simulator.market import Market, Quote, combination_quote
from engine.simulator.model import Clock, Execution, Instrument, Leg, Order

_PERM_RANGE = 2_000_000_000
_EXEC_SHIFT = 20
_VENUES = {"NASDAQ": "ISLAND", "NYSE": "NYSE", "ARCA": "ARCA", "IBIS": "IBIS", "LSE": "LSE"}


@dataclass(slots=True)
class Dirty:
    """What changed since the state was last written."""

    orders: set[int] = field(default_factory=set)
    executions: set[str] = field(default_factory=set)
    holdings: set[tuple[str, int]] = field(default_factory=set)
    cash: set[str] = field(default_factory=set)
    clients: set[int] = field(default_factory=set)
    instruments: set[int] = field(default_factory=set)

    def any(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.orders or self.executions or self.holdings or self.cash or self.clients or self.instruments)

    def clear(self) -> None:
        """Forget it all: it has been written."""
        for part in (self.orders, self.executions, self.holdings, self.cash, self.clients, self.instruments):
            part.clear()


class Ids:
    """Identities that never repeat."""

    def __init__(self, clock: Clock) -> None:
        now_ms = int(clock.now().timestamp() * 1000)
        self.last_exec = now_ms << _EXEC_SHIFT
        self.last_perm = now_ms % _PERM_RANGE
        self.accepted: dict[int, int] = {}
        self.seen: dict[int, int] = {}

    def perm_id(self) -> int:
        """A new permanent order id, positive and below 2**31."""
        self.last_perm = self.last_perm % _PERM_RANGE + 1
        return self.last_perm

    def exec_root(self) -> str:
        """The first two groups of a new execution id."""
        self.last_exec += 1
        return f"{(self.last_exec >> 32) & 0xFFFFFFFF:08x}.{self.last_exec & 0xFFFFFFFF:08x}"

    def next_order_id(self, client_id: int) -> int:
        """The lowest order id a client has never used."""
        return self.seen.get(client_id, 0) + 1


class World:
    """Instruments, prices, accounts, orders, executions, identities."""

    def __init__(self, config: GatewayConfig, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.catalogue = Catalogue(standard(clock.now().date()))
        self.market = Market(config.seed, config.volatility)
        self.accounts = Accounts(config.accounts, config.base_currency, config.cash, self.catalogue, self.market)
        self.ids = Ids(clock)
        self.orders: dict[int, Order] = {}
        self.live: dict[int, Order] = {}
        self.by_client: dict[tuple[int, int], Order] = {}
        self.executions: dict[str, Execution] = {}
        self.dirty = Dirty()

    # orders

    def add_order(self, order: Order) -> None:
        """Take an order in."""
        self.orders[order.perm_id] = order
        if order.order_id > 0:
            self.by_client[order.client_id, order.order_id] = order
            self.note_order_id(order.client_id, order.order_id, accepted=True)
        self.touch(order)

    def touch(self, order: Order) -> None:
        """Note that an order changed."""
        if order.done:
            self.live.pop(order.perm_id, None)
        else:
            self.live[order.perm_id] = order
        self.dirty.orders.add(order.perm_id)

    def note_order_id(self, client_id: int, order_id: int, *, accepted: bool) -> None:
        """Remember that a client used an order id."""
        self.ids.seen[client_id] = max(order_id, self.ids.seen.get(client_id, 0))
        if accepted:
            self.ids.accepted[client_id] = max(order_id, self.ids.accepted.get(client_id, 0))
        self.dirty.clients.add(client_id)

    def instrument(self, order: Order | Execution) -> Instrument:
        """The contract of an order or execution; that of a combination bears the symbol its client gave it."""
        known = self.catalogue.get(order.con_id)
        placed = self.orders.get(order.perm_id) if known.sec_type == "BAG" else None
        if placed is None:
            return known
        symbol, currency = placed.raw.get("symbol", known.symbol), placed.raw.get("currency", known.currency)
        return replace(known, symbol=symbol, currency=currency)

    def quote(self, order: Order) -> Quote:
        """The quote an order trades against."""
        if order.legs:
            return combination_quote(order, [(self.ratio(leg), self._leg_quote(leg)) for leg in order.legs])
        return self.market.quote(self.instrument(order))

    @staticmethod
    def ratio(leg: Leg) -> int:
        """A leg's ratio, negative where buying the combination sells it."""
        return leg.ratio if leg.action == "BUY" else -leg.ratio

    def _leg_quote(self, leg: Leg) -> Quote:
        return self.market.quote(self.catalogue.get(leg.con_id))

    # executions

    def book(
        self,
        *,
        account: str,
        instrument: Instrument,
        quantity: Decimal,
        price: Decimal,
        order: Order | None = None,
        perm_id: int = 0,
        client_id: int = 0,
        order_id: int = 0,
        order_ref: str = "",
        liquidation: int = 0,
        root: str = "",
        leg: int = 1,
        fee: Decimal | None = None,
    ) -> Execution:
        """Let an execution happen: identity, fee, position, cash.

        Args:
            account: Whose.
            instrument: What is traded.
            quantity: Signed: bought positive.
            price: In the quoted unit.
            order: The order it fills; its totals are brought up to date by the caller first. Its identity wins over
                the identity arguments, which serve executions without an order.
            perm_id: Permanent order id without an order; 0 makes a new one.
            client_id: Client without an order.
            order_id: Order id without an order.
            order_ref: Order reference without an order.
            liquidation: 1 when IB itself closes the position.
            root: First two groups of the execution id; empty makes new ones.
            leg: Third group of the id: 1, and from 2 on for the legs of a combination.
            fee: Commission to charge; ``None`` charges the schedule's.

        Returns:
            The execution, already in the books.
        """
        size = abs(quantity)
        bag = instrument.sec_type == "BAG"
        currency = commission_currency(instrument, self.accounts.base)
        if fee is None and not bag:
            fee = self._fee(instrument, size, price, order if leg == 1 else None)
        done = Execution(
            exec_id=f"{root or self.ids.exec_root()}.{leg:02x}.01",
            time=self.clock.now().replace(microsecond=0),
            account=account,
            con_id=instrument.con_id,
            exchange=_VENUES.get(instrument.primary_exchange, instrument.exchange),
            contract_exchange=order.exchange if order and leg == 1 else instrument.exchange,
            side="BOT" if quantity > 0 else "SLD",
            quantity=size,
            price=price,
            perm_id=order.perm_id if order else perm_id or self.ids.perm_id(),
            client_id=order.client_id if order else client_id,
            order_id=order.order_id if order else order_id,
            cumulative=order.filled if order and leg == 1 else size,
            average=order.average if order and leg == 1 else price,
            order_ref=order.order_ref if order else order_ref,
            liquidation=liquidation,
            commission=fee,
            commission_currency=currency,
        )
        if not bag:
            done.realized = self._settle(done, instrument)
        self.executions[done.exec_id] = done
        self.dirty.executions.add(done.exec_id)
        return done

    def _fee(self, instrument: Instrument, size: Decimal, price: Decimal, order: Order | None) -> Decimal:
        rate = self.accounts.rate(instrument.currency) if instrument.sec_type == "CASH" else Decimal(1)
        filled = order.filled if order else size
        value = abs(order.value if order else size * price) * instrument.factor * rate
        after = order_commission(instrument, filled, value)
        if filled == size:
            return after
        before = order_commission(instrument, filled - size, value - size * price * instrument.factor * rate)
        return after - before

    def _settle(self, done: Execution, instrument: Instrument) -> Decimal | None:
        account = self.accounts[done.account]
        fee = done.commission or Decimal(0)
        self.dirty.holdings.add((done.account, done.con_id))
        self.dirty.cash.add(done.account)
        if done.commission_currency == instrument.currency:
            return account.trade(instrument, done.signed, done.price, fee)
        account.pay(done.commission_currency, -fee)
        return account.trade(instrument, done.signed, done.price, Decimal(0))

    def move_position(self, account: str, con_id: int, quantity: Decimal, cost: Decimal) -> None:
        """Put a position in place without an execution."""
        self.accounts[account].set_position(con_id, quantity, cost)
        self.dirty.holdings.add((account, con_id))

    def pay(self, account: str, currency: str, amount: Decimal) -> None:
        """Move cash without an execution."""
        self.accounts[account].pay(currency, amount)
        self.dirty.cash.add(account)

    def add_instrument(self, instrument: Instrument) -> None:
        """Make a further contract known, for good."""
        self.catalogue.add(instrument)
        self.dirty.instruments.add(instrument.con_id)

    # the day

    def midnight(self) -> datetime:
        """When the current day of executions began."""
        zone = ZoneInfo(self.config.day_zone)
        today = self.clock.now().astimezone(zone).date()
        return datetime.combine(today, time(), tzinfo=zone)

    def todays_executions(self) -> Iterable[Execution]:
        """Executions since midnight, oldest first."""
        start = self.midnight()
        return [done for done in self.executions.values() if done.time >= start and not done.hidden]

    def completed_today(self) -> list[Order]:
        """Orders that ended since midnight, oldest first."""
        start = self.midnight()
        return [order for order in self.orders.values() if order.done and (order.completed_at or start) >= start]
