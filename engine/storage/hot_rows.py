"""Fills and orders into columns: the fast part of the way into the store.

A Decimal of at most fifteen digits survives float64 (its shortest text gives it back), so only longer ones are looked at
closely; those that do not survive go into ``exact`` as text, with whatever else the columns have no place for. Nearly no
row has anything of the kind, and that is found out for the whole batch at once (see ``columns``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np

from engine.core.events import Fill, OrderUpdate
from engine.core.ids import split_exec_id
from engine.core.instrument import Instrument
from engine.core.records import FillRecord, OrderRecord
from engine.storage.columns import Columns, Numbers, Times, Traded, flags, same, survives, texts, wholes
from engine.storage.schema import EARLIEST, LATEST

__all__ = ["Columns", "fill_columns", "order_columns", "own_magnifier", "survives"]

_NOWHERE: Final = Instrument(con_id=0, symbol="", sec_type="")
_SIDES: Final = np.array(["", "BUY", "SELL"], dtype=object)
"""By the sign of a quantity: 0, 1, -1."""
_BY_EXECUTIONS: Final = '{"reported_filled":null,"reported_avg_price":null}'
"""What is left to say of an order of which only executions are known: in a burst every second row."""
_SILENT: Final = frozenset({"live", "replay"})
"""Doors whose contracts never name a price magnifier."""


def fill_columns(records: Sequence[FillRecord]) -> tuple[Columns, np.ndarray[Any, Any]]:
    """Fill records as the columns of ``fills/<STRATEGY>``.

    Args:
        records: Of one strategy, in order of ``seq``.

    Returns:
        Columns in stored dtypes, and the index ``recorded_at``.
    """
    size = len(records)
    fills = [r.fill for r in records]
    contracts = [f.instrument for f in fills]
    ids, quantities, prices = [f.exec_id for f in fills], [f.quantity for f in fills], [f.price for f in fills]
    counted, charged = [r.quantity for r in records], [r.unit_price for r in records]
    executed, placed = [f.executed_at for f in fills], [r.order_time for r in records]
    multipliers = [r.multiplier for r in records]
    traded, number, moment = Traded(contracts), Numbers(), Times()
    reported, quoted = number.column(quantities), number.column(prices)
    happened = moment.column(executed)
    named = flags([r.fill.strategy == r.strategy for r in records])
    columns: Columns = {
        "fill_id": texts(ids),
        "order_ref": texts([f.order_ref for f in fills]),
        "symbol": traded.texts("symbol"),
        "qty": reported if same(counted, quantities) else number.column(counted),
        "price": quoted if same(charged, prices) else number.column(charged),
        "timestamp": happened,
        "account": texts([f.account for f in fills]),
        "con_id": traded.wholes("con_id"),
        "local_symbol": traded.texts("local_symbol"),
        "sec_type": traded.texts("sec_type"),
        "currency": traded.texts("currency"),
        "multiplier": number.column(multipliers),
        "exchange": texts([f.exchange for f in fills]),
        "side": _SIDES[np.sign(reported).astype(np.int8)],
        "perm_id": wholes([f.perm_id for f in fills]),
        "order_id": wholes([f.order_id for f in fills]),
        "client_id": wholes([f.client_id for f in fills]),
        "commission": number.column([r.commission for r in records]),
        "commission_currency": texts([r.commission_currency for r in records]),
        "commission_status": texts([r.commission_status for r in records]),
        "ib_realized_pnl": number.column([r.ib_realized_pnl for r in records]),
        "realized_pnl": number.column([r.realized_pnl for r in records]),
        "source": texts([f.source for f in fills]),
        "supersedes": texts([r.supersedes for r in records]),
        "seq": wholes([r.seq for r in records]),
        "first_seq": wholes([r.first_seq for r in records]),
        "revision": wholes([split_exec_id(i)[1] for i in ids]),
        "state": texts([r.state for r in records]),
        "reported_qty": reported,
        "quoted_price": quoted,
        "magnifier": wholes([r.magnifier or 0 for r in records]),
        "order_time": happened if same(placed, executed) else moment.column(placed),
        "expiry": traded.texts("expiry"),
        "strike": traded.numbers("strike"),
        "right": traded.texts("right"),
        "cum_qty": number.column([f.cum_quantity for f in fills]),
        "avg_price": number.column([f.avg_price for f in fills]),
        "liquidation": flags([f.liquidation for f in fills]),
        "provisional": flags([f.provisional_price for f in fills]),
        "time_uncertain": np.isnat(happened) | flags([bool(f.time_text) for f in fills]),
        "named": named,
        "contract_exchange": traded.texts("exchange"),
        "trading_class": traded.texts("trading_class"),
        "received_at": moment.column([f.received_at for f in fills]),
        "reason": texts([r.reason for r in records]),
    }
    special = number.odd | moment.odd | traded.odd("strike")
    special.update(row for row, f in enumerate(fills) if f.time_text)
    special.update(row for row in np.flatnonzero(~named).tolist() if fills[row].strategy is not None)
    if not same(multipliers, [i.multiplier for i in contracts]):
        special.update(row for row, r in enumerate(records) if r.multiplier != r.fill.instrument.multiplier)
    if traded.magnified or not _SILENT.issuperset([f.source for f in fills]) or 0 in [r.magnifier for r in records]:
        special.update(row for row, r in enumerate(records) if _own_word(r))
    made = [row for row in traded.unpriced if records[row].realized_pnl]
    if made:
        columns["realized_pnl"] = columns["realized_pnl"].copy()
        columns["realized_pnl"][made] = np.nan  # an amount in no known unit; what the books count stands in ``exact``
        special.update(made)
    exact = [""] * size
    for row in special:
        exact[row] = _fill_exact(records[row], fills[row])
    columns["exact"] = texts(exact)
    return columns, moment.column([r.recorded_at for r in records])


def own_magnifier(magnifier: int | None, source: str) -> int | None:
    """The price magnifier that an execution's own contract has unless ``exact`` says otherwise.

    IB's contracts name none (the books learn it from contract details); an assignment's leg has the books' instrument.
    """
    return None if source in _SILENT else magnifier


def _own_word(record: FillRecord) -> bool:
    """True when the contract's magnifier does not follow from the row's."""
    fill = record.fill
    return record.magnifier == 0 or fill.instrument.price_magnifier != own_magnifier(record.magnifier, fill.source)


def _fill_exact(record: FillRecord, fill: Fill) -> str:
    """What the columns cannot carry, as JSON; empty for almost every row."""
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
        if value is not None and (not survives(value) or (name == "realized_pnl" and instrument.is_percent_of_par)):
            left[name] = str(value)
    if record.multiplier != instrument.multiplier:
        left["contract_multiplier"] = str(instrument.multiplier)
    if _own_word(record):
        left["magnifiers"] = [record.magnifier, instrument.price_magnifier]
    if fill.strategy is not None and fill.strategy != record.strategy:
        left["strategy"] = fill.strategy
    if fill.time_text:
        left["time_text"] = fill.time_text
    if instrument.under_con_id:
        left["under_con_id"] = instrument.under_con_id
    _far_times(left, timestamp=fill.executed_at, order_time=record.order_time, received_at=fill.received_at)
    return msgspec.json.encode(left).decode() if left else ""


def _far_times(left: dict[str, Any], **moments: datetime | None) -> None:
    for name, moment in moments.items():
        if moment is not None and not EARLIEST <= moment < LATEST:
            left[name] = moment.isoformat()


def order_columns(records: Sequence[OrderRecord]) -> tuple[Columns, np.ndarray[Any, Any]]:
    """Order records as the columns of ``orders/<STRATEGY>``; the counterpart of :func:`fill_columns`."""
    seen = [r.update for r in records]
    traded, number, moment = Traded([u.instrument or _NOWHERE for u in seen]), Numbers(), Times()
    named = flags([r.update.strategy == r.strategy for r in records])
    columns: Columns = {
        "order_ref": texts([u.order_ref for u in seen]),
        "symbol": traded.texts("symbol"),
        "side": texts([u.side for u in seen]),
        "qty": number.column([u.quantity for u in seen]),
        "status": texts([r.status for r in records]),
        "timestamp": moment.column([u.status_at for u in seen]),
        "account": texts([u.account for u in seen]),
        "con_id": traded.wholes("con_id"),
        "perm_id": wholes([u.perm_id for u in seen]),
        "order_id": wholes([u.order_id for u in seen]),
        "client_id": wholes([u.client_id for u in seen]),
        "order_type": texts([u.order_type for u in seen]),
        "limit_price": number.column([u.limit_price for u in seen]),
        "filled": number.column([r.filled for r in records]),
        "remaining": number.column([r.remaining for r in records]),
        "avg_fill_price": number.column([r.avg_fill_price for r in records]),
        "message": texts([r.message for r in records]),
        "seq": wholes([r.seq for r in records]),
        "order_key": texts([r.order_key for r in records]),
        "broker_status": texts([u.status for u in seen]),
        "local_symbol": traded.texts("local_symbol"),
        "sec_type": traded.texts("sec_type"),
        "currency": traded.texts("currency"),
        "multiplier": traded.numbers("multiplier"),
        "exchange": traded.texts("exchange"),
        "expiry": traded.texts("expiry"),
        "strike": traded.numbers("strike"),
        "right": traded.texts("right"),
        "stop_price": number.column([u.stop_price for u in seen]),
        "tif": texts([u.tif for u in seen]),
        "parent_id": wholes([u.parent_id for u in seen]),
        "oca_group": texts([u.oca_group for u in seen]),
        "why_held": texts([u.why_held for u in seen]),
        "error_code": wholes([u.error_code for u in seen]),
        "local": flags([u.local for u in seen]),
        "source": texts([u.source for u in seen]),
        "named": named,
        "received_at": moment.column([u.received_at for u in seen]),
        "trading_class": traded.texts("trading_class"),
        "state": texts([r.state for r in records]),
        "is_open": flags([r.is_open for r in records]),
    }
    odd = number.odd | moment.odd | traded.odd("multiplier", "strike")
    odd.update(row for row in np.flatnonzero(~named).tolist() if seen[row].strategy is not None)
    if traded.magnified or any(i is _NOWHERE for i in traded.each):
        odd.update(
            row for row, u in enumerate(seen) if u.instrument is None or u.instrument.price_magnifier is not None
        )
    exact = [
        ""  # the usual last row: what was reported is what was derived
        if r.filled is u.filled
        and r.remaining is u.remaining
        and r.avg_fill_price is u.avg_fill_price
        and r.message == u.message
        else _order_exact(r, u, closely=False)
        for r, u in zip(records, seen, strict=True)
    ]
    for row in odd:
        exact[row] = _order_exact(records[row], seen[row], closely=True)
    columns["exact"] = texts(exact)
    return columns, moment.column([r.recorded_at for r in records])


def _order_exact(record: OrderRecord, update: OrderUpdate, *, closely: bool) -> str:
    """What the columns cannot carry, as JSON.

    Args:
        closely: The row has something unusual; otherwise only what was reported can differ from what was derived.
    """
    left = _order_extras(record, update) if closely else {}
    if (
        update.filled is update.remaining is update.avg_fill_price is record.remaining is None
        and record.filled is not None
        and record.avg_fill_price is not None
        and not (left or update.message or record.message)
    ):
        return _BY_EXECUTIONS
    for name, derived, reported in (
        ("reported_filled", record.filled, update.filled),
        ("reported_remaining", record.remaining, update.remaining),
        ("reported_avg_price", record.avg_fill_price, update.avg_fill_price),
    ):
        if reported is None:  # asked first: comparing a Decimal with None is slow
            if derived is not None:
                left[name] = None
        elif derived is not reported and derived != reported:
            left[name] = str(reported)
    if update.message != record.message:
        left["reported_message"] = update.message
    return msgspec.json.encode(left).decode() if left else ""


def _order_extras(record: OrderRecord, update: OrderUpdate) -> dict[str, Any]:
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
        if instrument.under_con_id:
            left["under_con_id"] = instrument.under_con_id
    for name, value in decimals:
        if value is not None and not survives(value):
            left[name] = str(value)
    if update.strategy is not None and update.strategy != record.strategy:
        left["strategy"] = update.strategy
    _far_times(left, timestamp=update.status_at, received_at=update.received_at)
    return left
