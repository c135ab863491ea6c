"""A seeded price process, and what it says about an order.

Every instrument walks on its own random stream, derived from the seed and its contract id, so that adding an instrument
changes no other's path and one seed always gives one day. Prices are decimals on the instrument's tick grid.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from engine.simulator.model import Instrument, Order

MARKET = frozenset({"MKT", "MTL", "MOC", "MOO", "MIDPRICE", "SNAP MKT", "SNAP MID", "SNAP PRIM", "PEG MID", "PEG MKT"})
LIMIT = frozenset({"LMT", "LOC", "LOO", "REL", "PASSV REL", "LMT + MKT", "PEG BEST", "PEG BENCH"})
STOP = frozenset({"STP", "STP LMT", "STP PRT", "MIT", "LIT", "TRAIL", "TRAIL LIMIT"})
ORDER_TYPES = MARKET | LIMIT | STOP

_TOUCHED = frozenset({"MIT", "LIT"})
_LIMITED = LIMIT | {"STP LMT", "LIT"}
_STEP = Decimal("0.0004")
_UNITS = Decimal("0.000001")


@dataclass(slots=True)
class Quote:
    """Bid, ask and last of one instrument, in its quoted unit."""

    bid: Decimal
    ask: Decimal
    last: Decimal


class Market:
    """Prices of all instruments.

    Args:
        seed: Decides every path.
        volatility: Scales the size of a step; zero holds all prices.
    """

    def __init__(self, seed: int, volatility: Decimal = Decimal(1)) -> None:
        self._seed = seed
        self._volatility = volatility
        self._last: dict[int, Decimal] = {}
        self._streams: dict[int, random.Random] = {}

    def quote(self, instrument: Instrument) -> Quote:
        """The current quote; the ask lies one tick above the bid, the last at the bid."""
        last = self._last.setdefault(instrument.con_id, instrument.price)
        return Quote(bid=last, ask=last + instrument.min_tick, last=last)

    def set_price(self, instrument: Instrument, price: Decimal) -> None:
        """Move an instrument to a price, rounded to its tick."""
        self._last[instrument.con_id] = on_tick(price, instrument)

    def step(self, instrument: Instrument) -> bool:
        """One step of the walk.

        Returns:
            Whether the price changed.
        """
        stream = self._streams.get(instrument.con_id)
        if stream is None:
            # S311: a reproducible walk is wanted here, not a secret.
            stream = random.Random(f"{self._seed}:{instrument.con_id}")
            self._streams[instrument.con_id] = stream
        draw = Decimal(round(stream.gauss(0, 1) * 1_000_000)) * _UNITS
        old = self.quote(instrument).last
        moved = on_tick(old * (1 + draw * _STEP * self._volatility), instrument)
        self._last[instrument.con_id] = max(moved, instrument.min_tick)
        return self._last[instrument.con_id] != old

    def prices(self) -> dict[int, Decimal]:
        """Last prices by contract id, for the state file."""
        return dict(self._last)

    def restore(self, prices: dict[int, Decimal]) -> None:
        """Take prices from the state file."""
        self._last.update(prices)


def on_tick(price: Decimal, instrument: Instrument) -> Decimal:
    """The nearest price on the instrument's grid."""
    ticks = (price / instrument.min_tick).to_integral_value(ROUND_HALF_EVEN)
    return ticks * instrument.min_tick


def executable_price(order: Order, quote: Quote) -> Decimal | None:
    """The price at which an order fills now, or ``None`` if it rests.

    A stop that is reached is marked as triggered, and stays so.
    """
    buying = order.sign > 0
    if order.order_type in STOP and not order.triggered:
        stop = order.aux
        if stop is None:
            return None
        rising = buying != (order.order_type in _TOUCHED)
        reached = quote.last >= stop if rising else quote.last <= stop
        if not reached:
            return None
        order.triggered = True
    market = quote.ask if buying else quote.bid
    if order.order_type not in _LIMITED or order.limit is None:
        return market
    inside = market <= order.limit if buying else market >= order.limit
    return market if inside else None


def combination_quote(order: Order, legs: list[tuple[int, Quote]]) -> Quote:
    """The quote of a combination out of its legs' (signed ratio, quote); it may be zero or negative."""
    ask = sum((ratio * (q.ask if ratio > 0 else q.bid) for ratio, q in legs), Decimal(0))
    bid = sum((ratio * (q.bid if ratio > 0 else q.ask) for ratio, q in legs), Decimal(0))
    return Quote(bid=bid, ask=ask, last=ask if order.sign > 0 else bid)
