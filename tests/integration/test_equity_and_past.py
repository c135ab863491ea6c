"""What was shown at a past moment, and that strategies' equity adds up to the account's after a book is gone."""

from __future__ import annotations

import decimal
from decimal import Decimal
from types import SimpleNamespace

import pytest

from engine.core.events import RateSeen
from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings
from tests.fakes import FakeClock
from tests.messages import NOON, fill, trade


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=str(tmp_path), lmdb_map_gb=0.5, housekeeping_every_s=0.0, demo=False)


@pytest.fixture
def clock():
    return FakeClock(NOON)


def rate(clock, currency, base, value):
    now = clock.now()
    return RateSeen(received_at=now, account="DU1", currency=currency, base=base, rate=Decimal(value), at=now)


async def test_a_past_moment_keeps_the_base_currency_that_the_account_had_then_f136_f137(settings, clock):
    pm = await PortfolioManager.open(settings, clock)
    try:
        await pm.submit([rate(clock, "USD", "CHF", "0.9")])
        await pm.process_fill("ALPHA", trade(), fill("a.b.01", 10.0, 5.0))
        await pm.process_fill("ALPHA", trade(), fill("a.c.01", 4.0, 7.5, "SLD"))
        then = clock.now()
        clock.advance(60)
        await pm.submit([rate(clock, "USD", "EUR", "0.8")])
        columns = ["base_currency", "fx_rate", "realized_pnl_base"]
        assert pm.positions()[columns].values.tolist() == [["EUR", 0.8, 8.0]]
        assert pm.positions(as_of=then)[columns].values.tolist() == [["CHF", 0.9, 9.0]]
    finally:
        await pm.close()


async def test_equity_of_strategies_adds_up_after_a_claim_emptied_a_book_f1(settings, clock):
    pm = await PortfolioManager.open(settings, clock)
    try:
        await pm.process_fill("UNASSIGNED", trade(), fill("a.b.01", 10.0, 5.0))
        pm.equity_log.sample()
    finally:
        await pm.close()
    pm = await PortfolioManager.open(settings, clock)
    try:
        clock.advance(60)
        await pm.process_fill("ALPHA", trade(), fill("a.b.01", 10.0, 5.0))
        pm.equity_log.sample()
        latest = pm.equity().groupby("strategy")["cash"].last()
        assert latest.to_dict() == {"UNASSIGNED": 0.0, "ALPHA": -50.0}
    finally:
        await pm.close()


async def test_a_callers_precision_rounds_no_figure_of_a_table(settings, clock):
    pm = await PortfolioManager.open(settings, clock)
    try:
        await pm.submit([rate(clock, "USD", "EUR", "0.87654321")])
        bought = fill("a.b.01", 1143.28, 5.07)
        bought.commissionReport = SimpleNamespace(execId="a.b.01", commission=1.23456, currency="USD", realizedPNL=0.0)
        await pm.process_fill("ALPHA", trade(), bought)
        await pm.process_fill("ALPHA", trade(), fill("a.c.01", 1143.28, 6.0713, "SLD"))
        assert pm.positions()["net_pnl"].tolist() == [1143.531704]
        usual = pm.positions().drop(columns="as_of")
        with decimal.localcontext() as context:
            context.prec = 3
            pm.equity_log.sample()
            assert pm.positions().drop(columns="as_of").equals(usual)
            assert pm.verify().empty
        assert pm.equity()["realized_base"].tolist()[-1] == float(Decimal("1144.766264") * Decimal("0.87654321"))
    finally:
        await pm.close()


async def test_an_assignment_is_the_same_whatever_precision_its_caller_has(settings, clock):
    pm = await PortfolioManager.open(settings, clock)
    try:
        await pm.process_fill("UNASSIGNED", trade(), fill("a.b.01", "1143.28313142", "30.3075"))
        await pm.process_fill("UNASSIGNED", trade(), fill("a.c.01", "100.5", "31.3075"))
        split = {"ALPHA": "1000.28313142", "BETA": "43.123"}
        with decimal.localcontext() as context:
            context.prec = 3
            before = pm.preview_assignment("DU1", 265598, split)
            await pm.assign_residual("DU1", 265598, split, operator="op", reason="theirs")
        books = pm.positions().set_index("strategy")["qty"]
        assert books.to_dict() == {"UNASSIGNED": 200.377, "ALPHA": 1000.28313142, "BETA": 43.123}
        assert before.set_index("strategy")["qty_after"].to_dict() == books.to_dict()
    finally:
        await pm.close()
