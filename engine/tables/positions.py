"""The positions table: one row per (strategy, account, con_id), valued."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.core.exact import subtract
from engine.state.valuation import RateTable, Valued, value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from decimal import Decimal

    from engine.core.instrument import Instrument
    from engine.core.records import PositionRecord
    from engine.core.snapshot import Mark
    from engine.state.ledger import Ledger

NAN = float("nan")


def number(amount: Decimal | None) -> float:
    """A Decimal as the float that tables carry; NaN for unknown."""
    return NAN if amount is None else float(amount)


def valued_positions(
    ledger: Ledger,
    records: Iterable[PositionRecord],
    marks: Mapping[tuple[str, int], Mark],
    configured_base: str,
) -> list[tuple[Valued, Instrument]]:
    """Value position records with the ledger's instruments and rates.

    Args:
        ledger: For instruments and rates; the caller holds its lock.
        records: From ``ledger.positions``.
        marks: Latest marks per (account, con_id).
        configured_base: ``Settings.base_currency``, empty to take each account's own.

    Returns:
        Valued positions with their instruments, in the order given.
    """
    rates = RateTable(ledger.rates, ledger.bases, configured_base)
    rows = []
    for record in records:
        instrument = ledger.instrument(record.instrument_key)
        assert instrument is not None, "a book's instrument is known since its first fill"
        rows.append((value(record, instrument, marks.get((record.account, record.instrument_key)), rates), instrument))
    return rows


def position_columns(rows: list[tuple[Valued, Instrument]], now: datetime) -> dict[str, list[Any]]:
    """Columns of ``positions/<STRATEGY>`` and of ``pm.positions()``.

    Args:
        rows: From :func:`valued_positions`.
        now: Time of the picture, UTC.

    Returns:
        Column name -> values, all of one length; unknown numbers are NaN, unknown times ``None``.
    """
    of = [v.position for v, _ in rows]
    return {
        "strategy": [p.strategy for p in of],
        "symbol": [i.symbol for _, i in rows],
        "qty": [number(p.quantity) for p in of],
        "avg_cost": [number(p.avg_cost) for p in of],
        "realized_pnl": [number(v.realized_pnl) for v, _ in rows],
        "unrealized_pnl": [number(v.unrealized_pnl) for v, _ in rows],
        "account": [p.account for p in of],
        "con_id": [p.instrument_key for p in of],
        "local_symbol": [i.local_symbol for _, i in rows],
        "sec_type": [i.sec_type for _, i in rows],
        "currency": [i.currency for _, i in rows],
        "multiplier": [number(i.multiplier) for _, i in rows],
        "commission": [number(v.commission) for v, _ in rows],
        "market_price": [number(v.market_price) for v, _ in rows],
        "timestamp": [p.last_fill_at for p in of],
        "open_cost": [number(v.open_cost) for v, _ in rows],
        "fees_pending": [p.fees_pending for p in of],
        "fills": [p.fills for p in of],
        "net_pnl": [_net(v) for v, _ in rows],
        "market_value": [number(v.market_value) for v, _ in rows],
        "market_at": [v.market_at for v, _ in rows],
        "base_currency": [v.base_currency for v, _ in rows],
        "fx_rate": [number(v.fx_rate) for v, _ in rows],
        "fx_at": [v.fx_at for v, _ in rows],
        "realized_pnl_base": [number(v.realized_pnl_base) for v, _ in rows],
        "unrealized_pnl_base": [number(v.unrealized_pnl_base) for v, _ in rows],
        "market_value_base": [number(v.market_value_base) for v, _ in rows],
        "commission_base": [number(v.commission_base) for v, _ in rows],
        "as_of": [now for _ in rows],
    }


def _net(valued: Valued) -> float:
    """Realized P&L after the known fees, instrument currency; NaN where either is unknown."""
    if valued.commission is None or valued.realized_pnl is None:
        return NAN
    return float(subtract(valued.realized_pnl, valued.commission))
