"""The reconciled table of a past run: stored rows, valued again with the marks and rates of that run.

Rows are stored when something other than the market changed; what moves with the market is made again by the very
arithmetic that made it (:func:`engine.recon.row.market_row`), from the exact figures that are stored beside the row.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from engine.core.ids import UNASSIGNED
from engine.core.instrument import PERCENT_OF_PAR
from engine.core.records import PositionRecord
from engine.recon.row import COLUMNS, LASTING, MARKET, Rate, currencies_of, market_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.core.snapshot import Mark


_NO_RATE: Final[Rate] = (None, "")


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
    rates: dict[tuple[str, str], Rate] = {}
    for owner, known in notes["rates"].items():
        for currency, (rate, note) in known.items():
            rates[owner, currency] = (None if rate is None else Decimal(rate), note)
    rows = [_row(values, rates, marks) for values in frame.to_dict("records")]
    place = {name: i for i, name in enumerate((*LASTING, *MARKET))}
    account, con_id, strategy = place["account"], place["con_id"], place["strategy"]
    rows.sort(key=lambda row: (row[account], row[con_id], row[strategy] == UNASSIGNED, row[strategy]))
    made = pd.DataFrame(rows, columns=[*LASTING, *MARKET])
    made["run_id"] = run_id
    made["timestamp"] = pd.to_datetime([notes["times"].get(row[account]) for row in rows], utc=True, format="ISO8601")
    return made[list(COLUMNS)]


def _row(
    values: dict[Any, Any], rates: Mapping[tuple[str, str], Rate], marks: Mapping[tuple[str, int], Mark]
) -> tuple[Any, ...]:
    extra = json.loads(values["extra"]) if values["extra"] else {}
    exact = extra.get("exact")
    record = None if exact is None else _record(values, exact)
    owner, currency = values["account"], values["currency"]
    wanted = {c: rates.get((owner, c), _NO_RATE) for c in currencies_of(currency, [record])}
    mark = marks.get((owner, int(values["con_id"])))
    market = market_row(
        record, mark, wanted, currency, _decimal(values["multiplier"]), unpriced=values["sec_type"] in PERCENT_OF_PAR
    )
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
