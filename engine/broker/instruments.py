"""Contracts into instruments. A contract's fields come as the libraries' values or as the wire's texts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from engine.broker.shapes import Attributes
from engine.broker.values import decimal_of, text_of, whole_of
from engine.core.events import InstrumentDescribed
from engine.core.instrument import ONE, Instrument
from engine.errors import Unreadable

_RIGHTS: Final = {"C": "C", "CALL": "C", "P": "P", "PUT": "P"}
_CONTRACT: Final = Attributes(
    conId=0,
    symbol="",
    secType="",
    exchange="",
    currency="",
    multiplier="",
    localSymbol="",
    lastTradeDateOrContractMonth="",
    strike=0,
    right="",
    tradingClass="",
    primaryExchange="",
)
_CACHE_SIZE: Final = 4096
_instruments: dict[tuple[Any, ...], Instrument] = {}


def instrument_of(contract: Any, *, required: bool = True) -> Instrument:
    """Freeze a contract.

    The same contract gives the same object again, so that a busy day does not make one for every fill.

    Args:
        contract: Of the execution or position, never of the order where both exist (F11).
        required: Refuse a contract without an id, since nothing is booked by symbol. Orders may come without.

    Raises:
        Unreadable: The id is missing although required, or the multiplier is no positive number.
    """
    key = _CONTRACT(contract)
    try:
        found = _instruments.get(key)
    except TypeError:
        raise Unreadable("a field of the contract is a collection") from None
    if found is None:
        found = _instrument(key)
        if len(_instruments) >= _CACHE_SIZE:
            _instruments.clear()
        _instruments[key] = found
    if required and not found.con_id:
        raise Unreadable("contract.conId is 0: nothing is booked by symbol alone")
    return found


def _instrument(key: tuple[Any, ...]) -> Instrument:
    con_id, symbol, sec_type, exchange, currency, multiplier, local, expiry, strike, right, trading_class, primary = key
    number = whole_of(con_id)
    if number < 0:
        raise Unreadable(f"contract.conId is {number}")
    option = _RIGHTS.get(text_of(right).upper(), "")
    strike_price = decimal_of(strike)
    return Instrument(
        con_id=number,
        symbol=text_of(symbol, 200),
        sec_type=text_of(sec_type, 20).upper(),
        currency=text_of(currency, 20).upper(),
        local_symbol=text_of(local, 200),
        exchange=text_of(exchange, 50) or text_of(primary, 50),
        multiplier=multiplier_of(multiplier),
        # Contract details append a time of day and a zone to the date of the last trade.
        expiry=text_of(expiry, 50).partition(" ")[0],
        strike=strike_price if strike_price or option else None,
        right=option,
        trading_class=text_of(trading_class, 50),
    )


def multiplier_of(value: Any) -> Decimal:
    """Read a multiplier: empty and ``0``, which IB sends for what has none, count as 1 (F89).

    Raises:
        Unreadable: It is no number, or negative.
    """
    number = decimal_of(value)
    if not number:
        return ONE
    if number < 0:
        raise Unreadable(f"contract.multiplier is {number}")
    return number


def described(details: Any, received_at: datetime) -> InstrumentDescribed:
    """Freeze contract details: the last word on multiplier and price magnifier.

    Raises:
        Unreadable: The details have no contract, or it makes no sense.
    """
    contract = getattr(details, "contract", None)
    if contract is None:
        raise Unreadable("the contract details have no contract")
    magnifier = whole_of(getattr(details, "priceMagnifier", 0))
    if magnifier < 0:
        raise Unreadable(f"priceMagnifier is {magnifier}")
    return InstrumentDescribed(
        received_at=received_at,
        instrument=msgspec.structs.replace(
            instrument_of(contract),
            price_magnifier=magnifier or 1,
            under_con_id=whole_of(getattr(details, "underConId", 0)),
        ),
        long_name=text_of(getattr(details, "longName", ""), 200),
    )
