"""The gateway's messages other than orders: one function each, returning the message's fields.

Layouts follow the protocol version where they differ. Many messages carry an obsolete version number as their second
field; leaving it out is the commonest way to be silently ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from engine.simulator.model import Execution, Instrument, Order
from engine.simulator.wire import NO_DOUBLE, Field, double, text_of, timestamp

REJECT_JSON = 166
SIZES = 164
LAST_MULTIPLIER = 163
ISSUER = 176

_FINE = Decimal("1e-8")

Message = list[Field]


def fine(value: Decimal) -> Decimal:
    """A derived number (an average, a profit) cut to eight decimals, as the gateway shows it."""
    return value.quantize(_FINE).normalize() + 0


def next_valid_id(order_id: int) -> Message:
    """The lowest order id this client may use."""
    return [9, 1, order_id]


def managed_accounts(names: Iterable[str]) -> Message:
    """The accounts of the login."""
    return [15, 1, ",".join(names)]


def error(version: int, request_id: int, code: int, text: str) -> Message:
    """An error, a warning or a notice; ``request_id`` is -1 when it belongs to no request."""
    shown = text.encode("ascii", "backslashreplace").decode()
    fields: Message = [4, 2, request_id, code, shown]
    if version >= REJECT_JSON:
        fields.append("")
    return fields


def current_time(seconds: int) -> Message:
    """Seconds since 1970."""
    return [49, 1, seconds]


def _contract(known: Instrument, exchange: str, right: str) -> Message:
    return [
        known.con_id,
        known.symbol,
        known.sec_type,
        known.expiry,
        known.strike,
        right,
        known.multiplier,
        exchange,
        known.currency,
        known.local_symbol,
        known.trading_class,
    ]


def order_contract(known: Instrument, exchange: str) -> Message:
    """The eleven contract fields of openOrder and completedOrder, where "no right" is a question mark."""
    return _contract(known, exchange, known.right or "?")


def order_status(order: Order) -> Message:
    """An order's state."""
    held = "child" if order.status == "PreSubmitted" and order.parent_id else ""
    return [
        3,
        order.order_id,
        order.status,
        order.filled,
        _left(order),
        fine(order.average),
        order.perm_id,
        order.parent_id,
        order.last_price,
        order.client_id,
        held,
        0,
    ]


def _left(order: Order) -> Decimal:
    # IB reports nothing remaining of a cancelled order's rest in completedOrder only; here the rest is shown.
    return max(order.remaining, Decimal(0))


def position(known: Instrument, account: str, quantity: Decimal, average_cost: Decimal) -> Message:
    """A position; the exchange is always empty."""
    return [61, 3, account, *_contract(known, "", known.right), quantity, fine(average_cost)]


def position_multi(known: Instrument, request_id: int, account: str, quantity: Decimal, cost: Decimal) -> Message:
    """A position asked for by account."""
    return [71, 1, request_id, account, *_contract(known, "", known.right), quantity, fine(cost), ""]


def portfolio(
    known: Instrument,
    account: str,
    quantity: Decimal,
    price: Decimal,
    value: Decimal,
    average_cost: Decimal,
    unrealized: Decimal,
    realized: Decimal,
) -> Message:
    """A row of the portfolio window."""
    return [
        7,
        8,
        *_contract(known, known.primary_exchange or known.exchange, known.right or "0"),
        quantity,
        price,
        fine(value),
        fine(average_cost),
        fine(unrealized),
        fine(realized),
        account,
    ]


def account_value(key: str, value: str, currency: str, account: str) -> Message:
    """One row of the account window."""
    return [6, 2, key, value, currency, account]


def account_time(clock: str) -> Message:
    """The time (HH:MM) of the account window's last update."""
    return [8, 1, clock]


def account_value_multi(request_id: int, account: str, key: str, value: str, currency: str) -> Message:
    """One row of an account window asked for by request id."""
    return [73, 1, request_id, account, "", key, value, currency]


def account_summary(request_id: int, account: str, tag: str, value: str, currency: str) -> Message:
    """One row of an account summary."""
    return [63, 1, request_id, account, tag, value, currency]


def pnl(request_id: int, daily: Decimal, unrealized: Decimal, realized: Decimal) -> Message:
    """Profit of an account, base currency."""
    return [94, request_id, fine(daily), fine(unrealized), fine(realized)]


def pnl_single(
    request_id: int, quantity: Decimal, daily: Decimal, unrealized: Decimal, realized: Decimal, value: Decimal
) -> Message:
    """Profit of one position, base currency."""
    return [95, request_id, quantity, fine(daily), fine(unrealized), fine(realized), fine(value)]


def execution(known: Instrument, done: Execution, request_id: int, style: str) -> Message:
    """One execution; ``request_id`` is -1 for a live one. ``style`` is a time style of :func:`wire.timestamp`."""
    return [
        11,
        request_id,
        done.order_id,
        *_contract(known, done.contract_exchange, known.right),
        done.exec_id,
        timestamp(done.time, style),
        done.account,
        done.exchange,
        done.side,
        done.quantity,
        done.price,
        done.perm_id,
        done.client_id,
        done.liquidation,
        done.cumulative,
        fine(done.average),
        done.order_ref,
        "",
        "",
        "",
        1 if done.liquidation == 0 else 2,
    ]


def commission(exec_id: str, amount: Decimal | None, currency: str, realized: Decimal | None) -> Message:
    """A commission report; an unknown amount or profit is the largest double."""
    shown = NO_DOUBLE if realized is None else double(fine(realized))
    return [59, 1, exec_id, double(amount), currency, shown, NO_DOUBLE, ""]


def contract_details(known: Instrument, request_id: int, version: int, hours: str, exchange: str) -> Message:
    """Everything about one contract."""
    fields: Message = [10]
    if version < SIZES:
        fields.append(8)
    fields += [
        request_id,
        known.symbol,
        known.sec_type,
        known.expiry,
        known.strike,
        known.right,
        exchange or known.exchange,
        known.currency,
        known.local_symbol,
        known.market_name,
        known.trading_class,
        known.con_id,
        known.min_tick,
    ]
    if version < SIZES:
        fields.append(100 if known.sec_type == "STK" else 1)
    fields += [
        known.multiplier,
        "ACTIVETIM,AD,ADJUST,ALERT,ALLOC,AVGCOST,BASKET,BENCHPX,COND,DAY,GTC,GTD,HID,IOC,LIT,LMT,MIT,MKT,STP,STPLMT",
        known.valid_exchanges,
        known.price_magnifier,
        known.under_con_id,
        known.long_name,
        known.primary_exchange,
        known.contract_month,
        known.industry,
        known.category,
        known.subcategory,
        known.time_zone,
        hours,
        hours,
        "",
        "",
        len(known.sec_ids),
    ]
    for tag, value in known.sec_ids.items():
        fields += [tag, value]
    rules = ",".join(["26"] * len(known.valid_exchanges.split(",")))
    fields += [1, known.under_symbol, known.under_sec_type, rules, known.expiry, known.stock_type]
    if version == LAST_MULTIPLIER:
        fields.append(known.min_size)
    if version >= SIZES:
        fields += [known.min_size, known.min_size, known.min_size]
    return fields


def end(kind: int, *extra: Field) -> Message:
    """An end marker: ``62|1``, ``52|1|reqId`` and their kin (102 alone carries no version)."""
    return [kind] if kind == 102 else [kind, 1, *extra]


def symbol_samples(request_id: int, found: list[Instrument], version: int) -> Message:
    """Matching symbols."""
    fields: Message = [79, request_id, len(found)]
    for known in found:
        fields += [known.con_id, known.symbol, known.sec_type, known.primary_exchange or known.exchange]
        fields += [known.currency, 0]
        if version >= ISSUER:
            fields += [known.long_name, ""]
    return fields


def option_parameters(request_id: int, chain: list[Instrument], exchange: str) -> Message:
    """Expiries and strikes of one option chain."""
    expiries = sorted({known.expiry for known in chain})
    strikes = sorted({known.strike for known in chain})
    first = chain[0]
    return [
        75,
        request_id,
        exchange,
        first.under_con_id,
        first.trading_class,
        first.multiplier,
        len(expiries),
        *expiries,
        len(strikes),
        *strikes,
    ]


def tick_price(request_id: int, tick_type: int, price: Decimal, size: Decimal) -> Message:
    """A price and its size."""
    return [1, 6, request_id, tick_type, price, size, 1 if tick_type in (1, 2) else 0]


def tick_size(request_id: int, tick_type: int, size: Decimal) -> Message:
    """A size alone."""
    return [2, 6, request_id, tick_type, size]


def show(fields: Message) -> str:
    """A message as readable text, for logs."""
    return "|".join(text_of(field) for field in fields)
