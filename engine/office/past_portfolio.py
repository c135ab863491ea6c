"""The reconciled table of a past run: stored rows, valued again with the marks and rates of that run.

Rows are stored when something other than the market changed; what moves with the market is made again by the very
arithmetic that made it (:class:`engine.recon.row.RowMaker`), from the exact figures that are stored beside the row.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from engine.core.ids import UNASSIGNED
from engine.core.records import PositionRecord
from engine.recon.row import COLUMNS, LASTING, MARKET, RowMaker, Valuation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.core.snapshot import Mark


def portfolio_of_run(
    frame: pd.DataFrame, run_id: str, notes: Mapping[str, Any], marks: Mapping[tuple[str, int], Mark]
) -> pd.DataFrame:
    """Put the table of a run together again.

    Args:
        frame: The latest stored rows of every (account, con_id) up to the run.
        notes: See :func:`engine.desk.rows.valued_notes`.
        marks: That the run used.

    Returns:
        The table as ``PortfolioManager.portfolio`` gave it after that run.
    """
    maker = RowMaker(Valuation(marks=marks, rate=_no_rate, base=lambda _: None))
    for account, rates in notes["rates"].items():
        for currency, (rate, note) in rates.items():
            maker.rates[account, currency] = (None if rate is None else Decimal(rate), note)
    rows = [_row(values, maker) for values in frame.to_dict("records")]
    place = {name: i for i, name in enumerate((*LASTING, *MARKET))}
    account, con_id, strategy = place["account"], place["con_id"], place["strategy"]
    rows.sort(key=lambda row: (row[account], row[con_id], row[strategy] == UNASSIGNED, row[strategy]))
    made = pd.DataFrame(rows, columns=[*LASTING, *MARKET])
    made["run_id"] = run_id
    made["timestamp"] = pd.to_datetime([notes["times"].get(row[account]) for row in rows], utc=True, format="ISO8601")
    return made[list(COLUMNS)]


def _no_rate(_account: str, _currency: str) -> tuple[Decimal, datetime | None] | None:
    return None


def _row(values: dict[Any, Any], maker: RowMaker) -> tuple[Any, ...]:
    extra = json.loads(values["extra"]) if values["extra"] else {}
    exact = extra.get("exact")
    record = None if exact is None else _record(values, exact)
    key = (values["account"], int(values["con_id"]))
    market = maker.market(key, values["currency"], _decimal(values["multiplier"]), record)
    return (*(values[name] for name in LASTING), *market)


def _record(values: Mapping[Any, Any], exact: Mapping[str, Any]) -> PositionRecord:
    """The book of a row, as far as its market figures need it."""
    return PositionRecord(
        strategy=values["strategy"],
        account=values["account"],
        instrument_key=int(values["con_id"]),
        quantity=Decimal(exact["qty"]) if "qty" in exact else _decimal(values["qty"]),
        open_cost=Decimal(exact["cost"]),
        avg_cost=None,
        realized_pnl=Decimal(exact["realized"]) if "realized" in exact else _decimal(values["realized_pnl"]),
        fees={currency: Decimal(amount) for currency, amount in exact.get("fees", {}).items()},
        fees_pending=int(exact.get("pending", 0)),
        cash={},
        fills=0,
        last_fill_at=None,
        seq=0,
    )


def _decimal(number: float) -> Decimal:
    return Decimal(repr(float(number)))
