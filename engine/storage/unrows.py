"""Stored rows back into records: exact, the counterpart of ``rows``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import pandas as pd

from engine.core.events import AnyFact, Fill, OrderUpdate
from engine.core.instrument import ONE, Instrument
from engine.core.records import FillRecord, OrderRecord
from engine.errors import StoreDamaged
from engine.storage.hot_rows import own_magnifier
from engine.storage.schema import INDEX

_CACHED: Final = 50_000


def fill_records(frame: pd.DataFrame, strategy: str) -> list[FillRecord]:
    """Rows of ``fills/<STRATEGY>`` as the records that they were made of.

    Args:
        frame: All columns of ``schema.FILLS``, index ``recorded_at``.

    Returns:
        In stored order; every Decimal equals the one that was stored.

    Raises:
        StoreDamaged: A row lacks what no execution is without.
    """
    return [_fill_record(row, strategy) for row in _rows(frame)]


def order_records(frame: pd.DataFrame, strategy: str) -> list[OrderRecord]:
    """Rows of ``orders/<STRATEGY>`` as the records that they were made of; see :func:`fill_records`."""
    if "state" not in frame.columns:  # all of them stored before there was such a column
        frame = frame.assign(state=frame["status"], is_open=True)
    return [_order_record(row, strategy) for row in _rows(frame)]


def stored_facts(frame: pd.DataFrame) -> list[tuple[int, AnyFact]]:
    """Rows of ``facts/<kind>`` as (seq, fact), in stored order.

    Raises:
        msgspec.DecodeError: A row is no fact.
    """
    decoder: msgspec.json.Decoder[AnyFact] = msgspec.json.Decoder(AnyFact)
    return [
        (int(seq), decoder.decode(text))
        for seq, text in zip(frame["seq"].tolist(), frame["fact"].tolist(), strict=True)
    ]


class _Row:
    """One row with typed access; what stands in ``exact`` goes before the float beside it."""

    __slots__ = ("exact", "values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        text = values["exact"]
        self.exact: dict[str, Any] = json.loads(text) if text else {}

    def maybe(self, name: str) -> Decimal | None:
        if name in self.exact:
            text = self.exact[name]
            return None if text is None else Decimal(text)
        value = self.values[name]
        known = _decimals.get(value)
        return _decimal(value) if known is None else known

    def money(self, name: str) -> Decimal:
        value = self.maybe(name)
        if value is None:
            raise StoreDamaged(f"stored row has no {name}: {self.values}")
        return value

    def time(self, name: str) -> datetime | None:
        if name in self.exact:
            return datetime.fromisoformat(self.exact[name])
        moment: datetime | None = self.values[name]
        return moment

    def moment(self, name: str) -> datetime:
        value = self.time(name)
        if value is None:
            raise StoreDamaged(f"stored row has no {name}: {self.values}")
        return value

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def _rows(frame: pd.DataFrame) -> list[_Row]:
    names = list(frame.columns)
    columns: list[Sequence[Any]] = [
        _moments(frame[name]) if frame[name].dtype.kind == "M" else frame[name].tolist() for name in names
    ]
    names.append(INDEX)
    columns.append(_moments(frame.index))
    return [_Row(dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]


def _moments(column: Any) -> list[datetime | None]:
    """A column of UTC times as datetimes, ``None`` where there is none; far quicker than one Timestamp after the other."""
    times = pd.DatetimeIndex(column)
    naive = (times if times.tz is None else times.tz_convert(None)).to_numpy().astype("datetime64[us]").tolist()
    return [None if moment is None else moment.replace(tzinfo=UTC) for moment in naive]


_decimals: dict[float, Decimal] = {}
"""Decimals made before: prices, quantities and fees repeat. Zeros, of which there are two, are not in it."""


def _decimal(value: float) -> Decimal | None:
    if math.isnan(value):
        return None
    made = Decimal(repr(value))
    if value:
        if len(_decimals) >= _CACHED:
            _decimals.clear()
        _decimals[value] = made
    return made


def _fill_record(row: _Row, strategy: str) -> FillRecord:
    exact = row.exact
    magnifier = row["magnifier"] or None
    magnifier, contract_magnifier = exact.get("magnifiers", (magnifier, own_magnifier(magnifier, row["source"])))
    multiplier = row.money("multiplier")
    instrument = Instrument(
        con_id=row["con_id"],
        symbol=row["symbol"],
        sec_type=row["sec_type"],
        currency=row["currency"],
        local_symbol=row["local_symbol"],
        exchange=row["contract_exchange"],
        multiplier=row.money("contract_multiplier") if "contract_multiplier" in exact else multiplier,
        price_magnifier=contract_magnifier,
        expiry=row["expiry"],
        strike=row.maybe("strike"),
        right=row["right"],
        under_con_id=exact.get("under_con_id", 0),
        trading_class=row["trading_class"],
    )
    fill = Fill(
        received_at=row.moment("received_at"),
        account=row["account"],
        exec_id=row["fill_id"],
        instrument=instrument,
        quantity=row.money("reported_qty"),
        price=row.money("quoted_price"),
        executed_at=row.time("timestamp"),
        time_text=exact.get("time_text", ""),
        strategy=strategy if row["named"] else exact.get("strategy"),
        order_ref=row["order_ref"],
        perm_id=row["perm_id"],
        order_id=row["order_id"],
        client_id=row["client_id"],
        exchange=row["exchange"],
        cum_quantity=row.maybe("cum_qty"),
        avg_price=row.maybe("avg_price"),
        liquidation=row["liquidation"],
        provisional_price=row["provisional"],
        source=row["source"],
    )
    return FillRecord(
        seq=row["seq"],
        recorded_at=row.moment(INDEX),
        strategy=strategy,
        fill=fill,
        state=row["state"],
        quantity=row.money("qty"),
        unit_price=row.money("price"),
        multiplier=multiplier,
        magnifier=magnifier,
        order_time=row.moment("order_time"),
        first_seq=row["first_seq"],
        supersedes=row["supersedes"],
        commission=row.maybe("commission"),
        commission_currency=row["commission_currency"],
        commission_status=row["commission_status"],
        ib_realized_pnl=row.maybe("ib_realized_pnl"),
        realized_pnl=row.money("realized_pnl"),
        reason=row["reason"],
    )


def _order_record(row: _Row, strategy: str) -> OrderRecord:
    exact = row.exact
    instrument = None
    if "no_instrument" not in exact:
        multiplier = row.maybe("multiplier")
        instrument = Instrument(
            con_id=row["con_id"],
            symbol=row["symbol"],
            sec_type=row["sec_type"],
            currency=row["currency"],
            local_symbol=row["local_symbol"],
            exchange=row["exchange"],
            multiplier=ONE if multiplier is None else multiplier,
            price_magnifier=exact.get("price_magnifier"),
            expiry=row["expiry"],
            strike=row.maybe("strike"),
            right=row["right"],
            under_con_id=exact.get("under_con_id", 0),
            trading_class=row["trading_class"] or exact.get("trading_class", ""),  # in `exact` before it had a column
        )
    filled, remaining, average = row.maybe("filled"), row.maybe("remaining"), row.maybe("avg_fill_price")
    update = OrderUpdate(
        received_at=row.moment("received_at"),
        account=row["account"],
        perm_id=row["perm_id"],
        order_id=row["order_id"],
        client_id=row["client_id"],
        strategy=strategy if row["named"] else exact.get("strategy"),
        order_ref=row["order_ref"],
        instrument=instrument,
        side=row["side"],
        quantity=row.maybe("qty"),
        order_type=row["order_type"],
        limit_price=row.maybe("limit_price"),
        stop_price=row.maybe("stop_price"),
        tif=row["tif"],
        parent_id=row["parent_id"],
        oca_group=row["oca_group"],
        status=row["broker_status"],
        filled=row.maybe("reported_filled") if "reported_filled" in exact else filled,
        remaining=row.maybe("reported_remaining") if "reported_remaining" in exact else remaining,
        avg_fill_price=row.maybe("reported_avg_price") if "reported_avg_price" in exact else average,
        why_held=row["why_held"],
        message=exact.get("reported_message", row["message"]),
        error_code=row["error_code"],
        status_at=row.time("timestamp"),
        local=row["local"],
        source=row["source"],
    )
    return OrderRecord(
        seq=row["seq"],
        recorded_at=row.moment(INDEX),
        strategy=strategy,
        order_key=row["order_key"],
        update=update,
        status=row["status"],
        filled=filled,
        remaining=remaining,
        avg_fill_price=average,
        message=row["message"],
        state=row["status"] if row["state"] is None else row["state"],
        is_open=row["is_open"],
    )
