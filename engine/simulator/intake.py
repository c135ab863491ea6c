"""What the gateway checks before it takes an order, and with which of IB's codes it refuses one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.simulator.answers import Message
from engine.simulator.contracts import Wanted
from engine.simulator.exchange import Exchange
from engine.simulator.fees import commission_currency, order_commission
from engine.simulator.market import LIMIT, ORDER_TYPES, STOP, on_tick
from engine.simulator.model import BAG_CON_ID, Instrument, Order
from engine.simulator.publish import Publisher
from engine.simulator.requests import Placed
from engine.simulator.rules import Rules
from engine.simulator.wire import number
from engine.simulator.world import World

NO_DEFINITION = "No security definition has been found for the request"


class Refusal(Exception):
    """An order or request is refused with one of IB's codes."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def qualify(world: World, wanted: Wanted) -> Instrument:
    """The one contract a client means.

    Raises:
        Refusal: 200, when there is none or more than one.
    """
    found = world.catalogue.find(wanted)
    if not found:
        raise Refusal(200, NO_DEFINITION)
    if len(found) > 1:
        raise Refusal(200, f"The contract description specified for {wanted.symbol} is ambiguous.")
    return found[0]


@dataclass(slots=True)
class Intake:
    """Turns placeOrder and cancelOrder requests into orders at work, or into refusals."""

    world: World
    exchange: Exchange
    publish: Publisher
    rules: Rules

    def place(self, client_id: int, placed: Placed) -> None:
        """Take a new order, a change of one, or a what-if.

        Raises:
            Refusal: Nothing was taken; the code and text go to the order id.
        """
        if not placed.what_if:
            self.world.note_order_id(client_id, placed.order_id, accepted=False)
        known = self._contract(placed)
        present = self.world.by_client.get((client_id, placed.order_id))
        fresh = self._checked(client_id, placed, known, present)
        if placed.what_if:
            self.publish.order(fresh, self._margin(fresh, known))
            return
        if present is not None and not present.done:
            if (present.con_id, present.action, present.account) != (fresh.con_id, fresh.action, fresh.account):
                raise Refusal(105, "Order being modified does not match original order.")
            if fresh.quantity < present.filled:
                raise Refusal(201, "Order rejected - reason:The new quantity is below what has been filled")
            self.exchange.modify(present, fresh)
            return
        if placed.order_id <= self.world.ids.accepted.get(client_id, 0):
            raise Refusal(103, "Duplicate order id")
        self._reject_or_accept(fresh, known)

    def _reject_or_accept(self, order: Order, known: Instrument) -> None:
        if self.rules.take("reject"):
            code, reason = self.rules.reject_code, self.rules.reject_reason
            self.exchange.reject(order, code, f"Order rejected - reason:{reason}")
            return
        worth = abs(order.quantity * self.world.quote(order).ask * known.factor)
        if worth * self.world.accounts.rate(known.currency) > self.world.config.max_order_value:
            funds = (
                "YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY MUST EXCEED ITS VALUE"
            )
            self.exchange.reject(order, 201, f"Order rejected - reason:{funds}")
            return
        self.exchange.accept(order)

    def _contract(self, placed: Placed) -> Instrument:
        if placed.wanted.sec_type != "BAG":
            return qualify(self.world, placed.wanted)
        if len(placed.legs) < 2:
            raise Refusal(321, "Error validating request.-'bN' : cause - A combination needs two legs or more")
        placed.raw["symbol"] = placed.wanted.symbol or "BAG"
        placed.raw["currency"] = placed.wanted.currency or "USD"
        for leg in placed.legs:
            if not self.world.catalogue.find(Wanted(con_id=leg.con_id)) or leg.ratio <= 0:
                raise Refusal(200, NO_DEFINITION)
            if leg.action not in ("BUY", "SELL"):
                raise Refusal(321, "Error validating request.-'bN' : cause - Invalid leg side")
        return self.world.catalogue.get(BAG_CON_ID)

    def _checked(self, client_id: int, placed: Placed, known: Instrument, present: Order | None) -> Order:
        account = placed.account or self.world.config.accounts[0]
        if account not in self.world.accounts.by_name:
            raise Refusal(321, f"Error validating request.-'bN' : cause - Invalid account code '{placed.account[:40]}'")
        if placed.action not in ("BUY", "SELL", "SSHORT"):
            raise Refusal(321, "Error validating request.-'bN' : cause - Invalid order side")
        quantity = self._quantity(placed, known)
        self._types(placed, known)
        if placed.order_id <= 0:
            raise Refusal(321, "Error validating request.-'bN' : cause - Invalid order id")
        keep = present.perm_id if present is not None and not present.done else 0
        return Order(
            perm_id=keep or (0 if placed.what_if else self.world.ids.perm_id()),
            client_id=client_id,
            order_id=placed.order_id,
            con_id=known.con_id,
            account=account,
            action="BUY" if placed.action == "BUY" else "SELL",
            quantity=quantity,
            order_type=placed.order_type,
            limit=placed.limit,
            aux=placed.aux,
            tif=placed.tif,
            exchange=placed.wanted.exchange or known.exchange,
            order_ref=placed.order_ref,
            oca_group=placed.oca_group,
            parent_id=placed.parent_id,
            transmit=placed.transmit,
            placed_at=self.world.clock.now(),
            legs=placed.legs,
            raw=placed.raw,
        )

    def _quantity(self, placed: Placed, known: Instrument) -> Decimal:
        quantity = placed.quantity or Decimal(0)
        cash = placed.raw.get("cashQty", "")
        if quantity == 0 and known.sec_type in ("CRYPTO", "CASH") and cash:
            quantity = (Decimal(cash) / self.world.market.quote(known).ask // known.min_size) * known.min_size
        if quantity <= 0:
            raise Refusal(321, "Error validating request.-'bN' : cause - The order size must be greater than 0")
        whole = quantity % known.min_size == 0
        if not whole and not (known.sec_type == "STK" and self.world.config.allow_fractional_stock):
            raise Refusal(10243, "Fractional-sized order cannot be placed via API. Please use desktop version")
        return quantity

    def _types(self, placed: Placed, known: Instrument) -> None:
        if placed.order_type not in ORDER_TYPES:
            raise Refusal(387, "Unsupported order type for this exchange and security type.")
        limited = placed.order_type in LIMIT or placed.order_type in ("STP LMT", "LIT")
        if limited and placed.limit is None:
            raise Refusal(321, "Error validating request.-'bN' : cause - The limit price is missing")
        if placed.order_type in STOP and placed.aux is None and not placed.raw.get("trailingPercent"):
            raise Refusal(321, "Error validating request.-'bN' : cause - The stop price is missing")
        prices = [placed.limit if limited else None, placed.aux if placed.order_type in STOP else None]
        for price in prices:
            if price is None or known.sec_type == "BAG":
                continue
            if on_tick(price, known) != price:
                text = "The price does not conform to the minimum price variation for this contract."
                raise Refusal(110, text)
            if price < 0:
                raise Refusal(201, "Order rejected - reason:Invalid price")

    def _margin(self, order: Order, known: Instrument) -> Message:
        """The figures of a what-if: before, change, after, in base currency; the commission stands in the order."""
        totals = self.world.accounts.totals(order.account)
        worth = abs(order.quantity * self.world.quote(order).ask * known.factor)
        change = (worth * self.world.accounts.rate(known.currency) * Decimal("0.25")).quantize(Decimal("0.01"))
        before, equity = totals["InitMarginReq"], totals["EquityWithLoanValue"]
        order.commission = order_commission(known, order.quantity, worth)
        order.commission_currency = commission_currency(known, self.world.accounts.base)
        after = before + change
        figures = [before, before, equity, change, change, Decimal(0), after, after, equity]
        return [number(figure.quantize(Decimal("0.01"))) for figure in figures]

    def cancel(self, client_id: int, order_id: int) -> None:
        """Cancel one of the client's orders.

        Raises:
            Refusal: 10147 when it is not known, 10148 when it is over.
        """
        order = self.world.by_client.get((client_id, order_id))
        if order is None and client_id == 0:
            order = next((o for o in self.world.live.values() if o.client_id == 0 and o.order_id == order_id), None)
        if order is None:
            raise Refusal(10147, f"OrderId {order_id} that needs to be cancelled is not found.")
        if order.done:
            state = "Cancelled" if order.status == "Inactive" else order.status
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {state}."
            raise Refusal(10148, text)
        self.exchange.cancel(order, "")
