"""The simulator's own records: instruments, orders, executions.

They are plain dataclasses; :func:`dump` and :func:`load` turn them into JSON text and back for the state file, exactly
(decimals as text), so that a killed and restarted gateway continues to the last digit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints

BAG_CON_ID = 28812380
"""The contract id IB gives to every combination, whatever its legs."""

DONE = frozenset({"Filled", "Cancelled", "ApiCancelled"})
"""Order states that take no further change of their own accord (a late fill may still reopen ``Cancelled``)."""


class Clock(Protocol):
    """Where the gateway's time comes from."""

    def now(self) -> datetime:
        """The current moment, timezone-aware UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current moment, UTC."""
        return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Instrument:
    """A contract the gateway knows.

    ``multiplier`` is IB's text, empty for a stock. Prices are in the quoted unit; ``price_magnifier`` of them make one
    unit of ``currency`` (100 for a share quoted in pence). ``lot`` is the most that one execution takes.
    """

    con_id: int
    symbol: str
    sec_type: str
    currency: str
    exchange: str
    primary_exchange: str = ""
    local_symbol: str = ""
    trading_class: str = ""
    expiry: str = ""
    strike: Decimal = Decimal(0)
    right: str = ""
    multiplier: str = ""
    min_tick: Decimal = Decimal("0.01")
    min_size: Decimal = Decimal(1)
    price_magnifier: int = 1
    valid_exchanges: str = "SMART"
    long_name: str = ""
    market_name: str = ""
    under_con_id: int = 0
    under_symbol: str = ""
    under_sec_type: str = ""
    contract_month: str = ""
    industry: str = ""
    category: str = ""
    subcategory: str = ""
    time_zone: str = "America/New_York"
    stock_type: str = ""
    sec_ids: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    price: Decimal = Decimal(100)
    lot: Decimal = Decimal(200)

    @property
    def factor(self) -> Decimal:
        """What one unit at a price of one is worth, in ``currency``."""
        return Decimal(self.multiplier or "1") / self.price_magnifier


@dataclass(slots=True, kw_only=True)
class Leg:
    """One leg of a combination; ``action`` is relative to buying the combination."""

    con_id: int
    ratio: int
    action: str
    exchange: str = ""
    open_close: int = 0
    short_sale_slot: int = 0
    designated_location: str = ""
    exempt_code: int = -1


@dataclass(slots=True, kw_only=True)
class Order:
    """An order as the gateway keeps it. Quantities are positive, prices in the quoted unit.

    ``client_id`` and ``order_id`` are zero for an order typed into TWS. ``raw`` holds the other fields a client sent,
    to be shown again in openOrder.
    """

    perm_id: int
    client_id: int
    order_id: int
    con_id: int
    account: str
    action: str
    quantity: Decimal
    order_type: str
    limit: Decimal | None = None
    aux: Decimal | None = None
    tif: str = "DAY"
    exchange: str = "SMART"
    order_ref: str = ""
    oca_group: str = ""
    parent_id: int = 0
    transmit: bool = True
    status: str = "PreSubmitted"
    filled: Decimal = Decimal(0)
    value: Decimal = Decimal(0)
    last_price: Decimal = Decimal(0)
    commission: Decimal | None = None
    commission_currency: str = ""
    triggered: bool = False
    placed_at: datetime
    completed_at: datetime | None = None
    legs: tuple[Leg, ...] = ()
    raw: dict[str, str] = field(default_factory=dict)

    @property
    def remaining(self) -> Decimal:
        """What is left to fill."""
        return self.quantity - self.filled

    @property
    def average(self) -> Decimal:
        """Average fill price, zero before the first fill."""
        return self.value / self.filled if self.filled else Decimal(0)

    @property
    def sign(self) -> int:
        """One for a buy, minus one for a sell."""
        return 1 if self.action == "BUY" else -1

    @property
    def done(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.status in DONE or (self.status == "Inactive" and self.completed_at is not None)


@dataclass(slots=True, kw_only=True)
class Execution:
    """One execution as reported. ``quantity`` is positive and ``side`` says ``BOT`` or ``SLD``.

    ``commission`` (cost positive) is known to the gateway at once; ``commission_state`` tells what clients may hear of
    it on request: ``sent``, ``pending``, ``missing`` or ``sentinel``.
    """

    exec_id: str
    time: datetime
    account: str
    con_id: int
    exchange: str
    contract_exchange: str
    side: str
    quantity: Decimal
    price: Decimal
    perm_id: int
    client_id: int
    order_id: int
    cumulative: Decimal
    average: Decimal
    order_ref: str = ""
    liquidation: int = 0
    commission: Decimal | None = None
    commission_currency: str = ""
    commission_state: str = "pending"
    realized: Decimal | None = None
    superseded: bool = False
    hidden: bool = False

    @property
    def signed(self) -> Decimal:
        """Quantity with its sign: bought positive."""
        return self.quantity if self.side == "BOT" else -self.quantity


T = TypeVar("T")


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _plain(value: Any) -> Any:  # JSON has no narrower type
    if isinstance(value, Decimal | datetime):
        return str(value) if isinstance(value, Decimal) else value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _typed(hint: Any, value: Any) -> Any:  # driven by the dataclass's own annotations
    if isinstance(hint, UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return None if value is None else _typed(inner[0], value)
    if get_origin(hint) is tuple:
        return tuple(_typed(get_args(hint)[0], item) for item in value)
    if hint is Decimal:
        return Decimal(value)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if isinstance(hint, type) and is_dataclass(hint):
        return _build(hint, value)
    return value


def _build(cls: type, values: dict[str, Any]) -> Any:  # generic over the record classes
    hints = _hints(cls)
    return cls(**{name: _typed(hints[name], value) for name, value in values.items()})


def dump(record: object) -> str:
    """A record as one line of JSON."""
    return json.dumps(_plain(record), separators=(",", ":"))


def load(cls: type[T], text: str) -> T:
    """The record that :func:`dump` wrote."""
    return cast("T", _build(cls, json.loads(text)))
