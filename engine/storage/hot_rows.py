"""Fills and orders into columns: the fast part of the way into the store.

One list comprehension per column is the fastest plain way (a row at a time costs three times as much), and it is on the
path of every fill. A Decimal of at most fifteen digits survives float64 (its shortest text gives it back), so only
longer ones are looked at closely; those that do not survive go into ``exact`` as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np

from engine.core.events import Fill, OrderUpdate
from engine.core.ids import split_exec_id
from engine.core.instrument import Instrument
from engine.core.records import FillRecord, OrderRecord
from engine.storage.schema import EARLIEST, LATEST, numbers, times

Columns = dict[str, Any]
_SURE_LENGTH: Final = 15
_FAR: Final = 90
"""Powers of ten that no product of price, quantity and multiplier brings out of a float64's range."""
_NOWHERE: Final = Instrument(con_id=0, symbol="", sec_type="")


def survives(value: Decimal) -> bool:
    """True when ``Decimal(repr(float(value)))`` is ``value`` again."""
    text = str(value)
    if len(text) <= _SURE_LENGTH and "E" not in text:
        return True
    try:
        return Decimal(repr(float(value))) == value
    except OverflowError:
        return False


def _texts(values: Iterable[str]) -> np.ndarray[Any, Any]:
    made = list(values)
    array = np.empty(len(made), dtype=object)
    array[:] = made
    return array


def _wholes(values: Sequence[int]) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.int64)


def _flags(values: Sequence[bool]) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.bool_)


def fill_columns(records: Sequence[FillRecord]) -> tuple[Columns, list[datetime]]:
    """Fill records as the columns of ``fills/<STRATEGY>``.

    Args:
        records: Of one strategy, in order of ``seq``.

    Returns:
        Columns in stored dtypes, and the index ``recorded_at``.
    """
    fills = [r.fill for r in records]
    traded = [f.instrument for f in fills]
    ids = [f.exec_id for f in fills]
    reported = [f.quantity for f in fills]
    columns: Columns = {
        "fill_id": _texts(ids),
        "order_ref": _texts([f.order_ref for f in fills]),
        "symbol": _texts([i.symbol for i in traded]),
        "qty": numbers([r.quantity for r in records]),
        "price": numbers([r.unit_price for r in records]),
        "timestamp": times([f.executed_at for f in fills]),
        "account": _texts([f.account for f in fills]),
        "con_id": _wholes([i.con_id for i in traded]),
        "local_symbol": _texts([i.local_symbol for i in traded]),
        "sec_type": _texts([i.sec_type for i in traded]),
        "currency": _texts([i.currency for i in traded]),
        "multiplier": numbers([r.multiplier for r in records]),
        "exchange": _texts([f.exchange for f in fills]),
        "side": _texts(["BUY" if q > 0 else "SELL" if q < 0 else "" for q in reported]),
        "perm_id": _wholes([f.perm_id for f in fills]),
        "order_id": _wholes([f.order_id for f in fills]),
        "client_id": _wholes([f.client_id for f in fills]),
        "commission": numbers([r.commission for r in records]),
        "commission_currency": _texts([r.commission_currency for r in records]),
        "commission_status": _texts([r.commission_status for r in records]),
        "ib_realized_pnl": numbers([r.ib_realized_pnl for r in records]),
        "realized_pnl": numbers([r.realized_pnl for r in records]),
        "source": _texts([f.source for f in fills]),
        "supersedes": _texts([r.supersedes for r in records]),
        "seq": _wholes([r.seq for r in records]),
        "first_seq": _wholes([r.first_seq for r in records]),
        "revision": _wholes([split_exec_id(i)[1] for i in ids]),
        "state": _texts([r.state for r in records]),
        "reported_qty": numbers(reported),
        "quoted_price": numbers([f.price for f in fills]),
        "magnifier": _wholes([r.magnifier or 0 for r in records]),
        "order_time": times([r.order_time for r in records]),
        "expiry": _texts([i.expiry for i in traded]),
        "strike": numbers([i.strike for i in traded]),
        "right": _texts([i.right for i in traded]),
        "cum_qty": numbers([f.cum_quantity for f in fills]),
        "avg_price": numbers([f.avg_price for f in fills]),
        "liquidation": _flags([f.liquidation for f in fills]),
        "provisional": _flags([f.provisional_price for f in fills]),
        "time_uncertain": _flags([bool(f.time_text) or f.executed_at is None for f in fills]),
        "named": _flags([f.strategy == r.strategy for f, r in zip(fills, records, strict=True)]),
        "contract_exchange": _texts([i.exchange for i in traded]),
        "trading_class": _texts([i.trading_class for i in traded]),
        "received_at": times([f.received_at for f in fills]),
        "reason": _texts([r.reason for r in records]),
        "exact": _texts([_fill_exact(r, r.fill) for r in records]),
    }
    return columns, [r.recorded_at for r in records]


def _fill_exact(record: FillRecord, fill: Fill) -> str:
    """What the columns cannot carry, as JSON; empty for almost every row, which is decided first and fast."""
    instrument = fill.instrument
    plain = (
        len(str(fill.price)) <= _SURE_LENGTH
        and len(str(fill.quantity)) <= _SURE_LENGTH
        and (record.unit_price is fill.price or len(str(record.unit_price)) <= _SURE_LENGTH)
        and len(str(record.realized_pnl)) <= _SURE_LENGTH
        and (record.commission is None or len(str(record.commission)) <= _SURE_LENGTH)
        and (fill.cum_quantity is None or len(str(fill.cum_quantity)) <= _SURE_LENGTH)
        and (fill.avg_price is None or fill.avg_price is fill.price or len(str(fill.avg_price)) <= _SURE_LENGTH)
        and record.multiplier is instrument.multiplier
        and record.magnifier is instrument.price_magnifier
        and (fill.strategy is None or fill.strategy == record.strategy)
        and not fill.time_text
        and not instrument.under_con_id
        and instrument.strike is None
        and record.ib_realized_pnl is None
    )
    usual = -_FAR < fill.price.adjusted() < _FAR and -_FAR < fill.quantity.adjusted() < _FAR
    if plain and usual and (fill.executed_at is None or EARLIEST <= fill.executed_at < LATEST):
        return ""
    return _fill_exact_closely(record, fill)


def _fill_exact_closely(record: FillRecord, fill: Fill) -> str:
    left: dict[str, Any] = {}
    instrument = fill.instrument
    for name, value in (
        ("quoted_price", fill.price),
        ("price", record.unit_price),
        ("reported_qty", fill.quantity),
        ("qty", record.quantity),
        ("realized_pnl", record.realized_pnl),
        ("multiplier", record.multiplier),
        ("commission", record.commission),
        ("ib_realized_pnl", record.ib_realized_pnl),
        ("cum_qty", fill.cum_quantity),
        ("avg_price", fill.avg_price),
        ("strike", instrument.strike),
    ):
        if value is not None and not survives(value):
            left[name] = str(value)
    if record.multiplier != instrument.multiplier:
        left["contract_multiplier"] = str(instrument.multiplier)
    if record.magnifier != instrument.price_magnifier or record.magnifier == 0:
        left["magnifiers"] = [record.magnifier, instrument.price_magnifier]
    if fill.strategy is not None and fill.strategy != record.strategy:
        left["strategy"] = fill.strategy
    if fill.time_text:
        left["time_text"] = fill.time_text
    if instrument.under_con_id:
        left["under_con_id"] = instrument.under_con_id
    _far_times(left, timestamp=fill.executed_at, order_time=record.order_time, received_at=fill.received_at)
    return json.dumps(left, separators=(",", ":")) if left else ""


def _far_times(left: dict[str, Any], **moments: datetime | None) -> None:
    for name, moment in moments.items():
        if moment is not None and not EARLIEST <= moment < LATEST:
            left[name] = moment.isoformat()


def order_columns(records: Sequence[OrderRecord]) -> tuple[Columns, list[datetime]]:
    """Order records as the columns of ``orders/<STRATEGY>``; the counterpart of :func:`fill_columns`."""
    seen = [r.update for r in records]
    traded = [u.instrument or _NOWHERE for u in seen]
    columns: Columns = {
        "order_ref": _texts([u.order_ref for u in seen]),
        "symbol": _texts([i.symbol for i in traded]),
        "side": _texts([u.side for u in seen]),
        "qty": numbers([u.quantity for u in seen]),
        "status": _texts([r.status for r in records]),
        "timestamp": times([u.status_at for u in seen]),
        "account": _texts([u.account for u in seen]),
        "con_id": _wholes([i.con_id for i in traded]),
        "perm_id": _wholes([u.perm_id for u in seen]),
        "order_id": _wholes([u.order_id for u in seen]),
        "client_id": _wholes([u.client_id for u in seen]),
        "order_type": _texts([u.order_type for u in seen]),
        "limit_price": numbers([u.limit_price for u in seen]),
        "filled": numbers([r.filled for r in records]),
        "remaining": numbers([r.remaining for r in records]),
        "avg_fill_price": numbers([r.avg_fill_price for r in records]),
        "message": _texts([r.message for r in records]),
        "seq": _wholes([r.seq for r in records]),
        "order_key": _texts([r.order_key for r in records]),
        "broker_status": _texts([u.status for u in seen]),
        "local_symbol": _texts([i.local_symbol for i in traded]),
        "sec_type": _texts([i.sec_type for i in traded]),
        "currency": _texts([i.currency for i in traded]),
        "multiplier": numbers([i.multiplier for i in traded]),
        "exchange": _texts([i.exchange for i in traded]),
        "expiry": _texts([i.expiry for i in traded]),
        "strike": numbers([i.strike for i in traded]),
        "right": _texts([i.right for i in traded]),
        "stop_price": numbers([u.stop_price for u in seen]),
        "tif": _texts([u.tif for u in seen]),
        "parent_id": _wholes([u.parent_id for u in seen]),
        "oca_group": _texts([u.oca_group for u in seen]),
        "why_held": _texts([u.why_held for u in seen]),
        "error_code": _wholes([u.error_code for u in seen]),
        "local": _flags([u.local for u in seen]),
        "source": _texts([u.source for u in seen]),
        "named": _flags([r.update.strategy == r.strategy for r in records]),
        "received_at": times([u.received_at for u in seen]),
        "exact": _texts([_order_exact(r, r.update) for r in records]),
    }
    return columns, [r.recorded_at for r in records]


def _order_exact(record: OrderRecord, update: OrderUpdate) -> str:
    left: dict[str, Any] = {}
    instrument = update.instrument
    decimals = [
        ("qty", update.quantity),
        ("limit_price", update.limit_price),
        ("stop_price", update.stop_price),
        ("filled", record.filled),
        ("remaining", record.remaining),
        ("avg_fill_price", record.avg_fill_price),
    ]
    if instrument is None:
        left["no_instrument"] = 1
    else:
        decimals += [("multiplier", instrument.multiplier), ("strike", instrument.strike)]
        if instrument.price_magnifier is not None:
            left["price_magnifier"] = instrument.price_magnifier
        for name in ("under_con_id", "trading_class"):
            if getattr(instrument, name):
                left[name] = getattr(instrument, name)
    for name, value in decimals:
        if value is not None and not survives(value):
            left[name] = str(value)
    for name, derived, reported in (
        ("reported_filled", record.filled, update.filled),
        ("reported_remaining", record.remaining, update.remaining),
        ("reported_avg_price", record.avg_fill_price, update.avg_fill_price),
    ):
        if derived != reported:
            left[name] = None if reported is None else str(reported)
    if update.message != record.message:
        left["reported_message"] = update.message
    if update.strategy is not None and update.strategy != record.strategy:
        left["strategy"] = update.strategy
    _far_times(left, timestamp=update.status_at, received_at=update.received_at)
    return json.dumps(left, separators=(",", ":")) if left else ""
