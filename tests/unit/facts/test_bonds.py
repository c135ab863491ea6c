"""F88: a bond is quoted in percent of par. Its quantity counts; what it is worth and what it earned is not known in money.

The books go on counting in its quotes, since an average quote is one; no table shows that as an amount.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pandas as pd

from engine.core.instrument import Instrument
from engine.core.snapshot import BrokerPosition, Confirmed, Mark
from engine.desk.closed import to_csv, totals
from engine.desk.dayclose import close_day, day_start
from engine.recon.compare import compare_groups
from engine.recon.grouped import Grouping
from engine.recon.row import COLUMNS, LASTING, Valuation
from engine.recon.table import ReconciledTable
from engine.state.valuation import RateTable
from engine.storage.rows import fill_columns, position_row
from engine.storage.schema import FILLS, build_frame
from engine.storage.unrows import fill_records
from engine.tables.positions import position_columns, valued_positions
from tests.unit.state.kit import AAPL, Desk

NOW = datetime(2026, 3, 2, 21, 30, tzinfo=UTC)
BOND = Instrument(con_id=70001, symbol="US-T", sec_type="BOND", currency="USD")
MARK = {("DU1", 70001): Mark(account="DU1", con_id=70001, price=Decimal(102), at=NOW)}


def books():
    desk = Desk()
    desk.fill("7.7.7.01", 10_000, "98.75", strategy="ALPHA", instrument=BOND)
    desk.fill("7.7.8.01", -4_000, 101, strategy="ALPHA", instrument=BOND)
    desk.fee("7.7.7.01", "5")
    desk.fee("7.7.8.01", "2")
    return desk


def unknown(*numbers):
    return all(math.isnan(n) for n in numbers)


def test_no_amount_of_a_bond_stands_in_a_table_of_positions_f88():
    desk = books()
    rows = valued_positions(desk.ledger, desk.ledger.positions(), MARK, "USD")
    shown = {name: column[0] for name, column in position_columns(rows, NOW).items()}
    assert (shown["qty"], shown["avg_cost"], shown["commission"]) == (6_000, 98.75, 7)
    for name in ("realized_pnl", "unrealized_pnl", "net_pnl", "open_cost", "market_value"):
        assert unknown(shown[name]), name
    for name in ("realized_pnl_base", "unrealized_pnl_base", "market_value_base"):
        assert unknown(shown[name]), name
    stored = position_row(desk.book(instrument=BOND), BOND)
    assert (stored["realized_pnl"], stored["open_cost"], json.loads(stored["cash"])) == (None, None, {})


def test_the_reconciled_table_compares_a_bonds_quantity_and_shows_no_amount_f88():
    desk = books()
    groups = Grouping().take(desk.ledger.positions())
    row = BrokerPosition(account="DU1", instrument=BOND, quantity=Decimal(6_000), broker_avg_cost=Decimal("0.9875"))
    answers = [Confirmed(account="DU1", rows=(row,), requested_at=NOW, answered_at=NOW)]
    comparison = compare_groups(groups, answers, instrument_of=desk.ledger.instrument)
    assert comparison.found == {}, "its cost is of no known unit either: that is no difference"
    built = ReconciledTable().build(
        run_id="r1",
        at=NOW,
        groups=groups,
        comparison=comparison,
        answers=answers,
        breaks={},
        instrument_of=desk.ledger.instrument,
        value=Valuation(marks=MARK, rate=lambda _a, _c: (Decimal(1), NOW), base=lambda _: "USD"),
    )
    shown = {name: built.columns[name][0] for name in COLUMNS}
    assert (shown["qty"], shown["broker_qty"], shown["status"]) == (6_000, 6_000, "matched")
    for name in ("realized_pnl", "unrealized_pnl", "market_value", "realized_pnl_base", "unrealized_pnl_base"):
        assert unknown(shown[name]), name
    stored = built.symbol_columns("DU1", "US-T")
    assert json.loads(stored["extra"][0])["exact"]["realized"] == "9000.00"
    assert unknown(stored["realized_pnl"][0])
    assert "realized_pnl" in LASTING


def test_a_stored_execution_of_a_bond_shows_no_profit_and_comes_back_exactly_f88():
    records = books().ledger.fills()
    columns, index = fill_columns(records)
    frame = build_frame(FILLS, columns, index)
    assert unknown(frame["realized_pnl"].iloc[1])
    assert frame["realized_pnl"].iloc[0] == 0, "what only opened made nothing, in whatever unit"
    assert [r.realized_pnl for r in fill_records(frame, "ALPHA")] == [r.realized_pnl for r in records]
    assert isinstance(frame, pd.DataFrame)


def test_a_day_with_a_bond_closes_with_unknown_profit_and_counts_on_f88():
    desk, day = books(), date(2026, 3, 2)
    desk.fill("7.8.1.01", 10, 100, strategy="BETA", instrument=AAPL)
    close = close_day(
        day=day,
        account="DU1",
        records=desk.ledger.fills(),
        instrument_of=desk.ledger.instrument,
        marks=MARK,
        rates=RateTable({}, {"DU1": "USD"}, ""),
        broker=None,
        breaks=(),
        operator="ann",
        now=day_start(day + timedelta(days=1)) + timedelta(hours=9),
        overrule_reason="a test",
    )
    (bond,) = [line for line in close.lines if line.con_id == 70001]
    assert (bond.closing_quantity, bond.realized_to_date) == (6_000, 9_000), "what the next close goes on from"
    assert (bond.shown("realized"), bond.shown("realized_base"), bond.unrealized) == (None, None, None)
    assert {t.strategy: (t.realized, t.fees) for t in totals(close)} == {"ALPHA": (None, 7), "BETA": (0, 0)}
    assert ",9000" not in to_csv(close)
