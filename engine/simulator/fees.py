"""What a trade costs: a commission schedule close enough to IB's to look right.

The minimum is charged per order, so the first part of an order carries more than the rest, as in IB's statements.
"""

from __future__ import annotations

from decimal import Decimal

from engine.simulator.model import Instrument

_PER_UNIT = {"FUT": Decimal("2.37"), "FOP": Decimal("2.47"), "OPT": Decimal("0.65")}
_OF_VALUE = {"CASH": Decimal("0.00002"), "CRYPTO": Decimal("0.0018")}
_MINIMUM = {
    ("STK", "USD"): Decimal(1),
    ("STK", "EUR"): Decimal("1.25"),
    ("STK", "GBP"): Decimal(3),
    ("OPT", "USD"): Decimal(1),
    ("CASH", ""): Decimal(2),
    ("CRYPTO", "USD"): Decimal("1.75"),
}
_FINE = Decimal("1e-6")


def commission_currency(instrument: Instrument, base: str) -> str:
    """The currency a commission is charged in; that of currency pairs is the account's own."""
    return base if instrument.sec_type == "CASH" else instrument.currency


def order_commission(instrument: Instrument, quantity: Decimal, value: Decimal) -> Decimal:
    """Commission of an order up to a cumulative quantity.

    Args:
        instrument: What is traded.
        quantity: Cumulative, positive.
        value: Cumulative trade value, positive, in the currency of the commission.
    """
    kind = instrument.sec_type
    if kind in _PER_UNIT:
        charged = _PER_UNIT[kind] * quantity
    elif kind in _OF_VALUE:
        charged = _OF_VALUE[kind] * value
    elif instrument.currency == "USD":
        charged = Decimal("0.005") * quantity
    else:
        charged = Decimal("0.0005") * value
    currency = "" if kind == "CASH" else instrument.currency
    least = _MINIMUM.get((kind, currency), Decimal(0))
    return max(charged, least).quantize(_FINE).normalize() + 0
