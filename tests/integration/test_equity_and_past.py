"""What was shown at a past moment, and that strategies' equity adds up to the account's after a book is gone."""

from __future__ import annotations

import decimal
import random
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from dashboard.earnings import equity_curves, pnl_today
from engine.core.events import RateSeen
from engine.office.equity import thinned
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


def paid(exec_id, strategy_price, side="BOT", currency="USD", con_id=265598):
    done = fill(exec_id, 10.0, strategy_price, side)
    done.contract.currency, done.contract.conId = currency, con_id
    done.commissionReport = SimpleNamespace(execId=exec_id, commission=0.0, currency=currency, realizedPNL=0.0)
    return done


def earned_today(pm, clock, as_of=None):
    midnight = (as_of or clock.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    curves = equity_curves(pm.equity(as_of=as_of))
    return pnl_today(pm.positions(as_of=as_of), curves, midnight)


async def test_what_was_earned_today_leaves_out_what_was_earned_before_also_after_days_without_an_engine(
    settings, clock
):
    pm = await PortfolioManager.open(settings, clock)
    try:
        await pm.submit([rate(clock, "USD", "USD", "1"), rate(clock, "EUR", "USD", "1.5")])
        await pm.process_fill("ALPHA", trade(), paid("a.b.01", 5.0))
        await pm.process_fill("ALPHA", trade(), paid("a.c.01", 7.0, "SLD"))
        await pm.process_fill("ALPHA", trade(), paid("a.d.01", 5.0, currency="EUR", con_id=7))
        await pm.process_fill("ALPHA", trade(), paid("a.e.01", 9.0, "SLD", currency="EUR", con_id=7))
        pm.equity_log.sample()
        first_day = clock.now()
        assert earned_today(pm, clock) == {"ALPHA": 20.0 + 60.0}
        clock.advance(86_400)
        pm.equity_log.sample()  # the first of its day, of what did not change as well
        assert pm.equity()["timestamp"].nunique() == 2
        assert len(pm.equity()) == 4
        assert earned_today(pm, clock) == {"ALPHA": 0.0}
    finally:
        await pm.close()
    clock.advance(4 * 86_400)
    pm = await PortfolioManager.open(settings, clock)
    try:
        assert earned_today(pm, clock) == {"ALPHA": 0.0}
        await pm.process_fill("ALPHA", trade(), paid("b.b.01", 5.0))
        await pm.process_fill("ALPHA", trade(), paid("b.c.01", 6.0, "SLD"))
        pm.equity_log.sample()
        assert earned_today(pm, clock) == {"ALPHA": 10.0}
        assert earned_today(pm, clock, as_of=first_day) == {"ALPHA": 80.0}
    finally:
        await pm.close()


def test_a_long_day_is_told_in_larger_steps_in_which_every_part_says_what_it_was_worth_then():
    chance, rows, told = random.Random(3), [], {}
    parts = [("ALPHA", "DU1", "USD"), ("ALPHA", "DU1", "EUR"), ("BETA", "DU2", "USD")]
    start = NOON.replace(hour=0)
    for n in range(20_000):
        at = start + timedelta(seconds=9 * n)
        for part in parts if n == 0 else chance.sample(parts, 1):
            row = dict(zip(("strategy", "account", "currency"), part, strict=True))
            rows.append(row | {"timestamp": at, "realized": float(n)})
            told.setdefault(part, []).append((at, float(n)))
    kept = thinned(rows, 1_000, since=start + timedelta(days=1))
    assert len(kept) <= 1_000
    assert kept[-500:] == rows[-500:]
    for row in kept:
        part = (row["strategy"], row["account"], row["currency"])
        assert row["realized"] == [worth for at, worth in told[part] if at <= row["timestamp"]][-1]
    moments = sorted({row["timestamp"] for row in kept[:-500]})
    assert [sum(row["timestamp"] == moment for row in kept[:-500]) for moment in moments] == [3] * len(moments)
    assert sum(moment < start + timedelta(days=1) for moment in moments) == 1
    assert moments[0] >= start + timedelta(days=1) - timedelta(seconds=9)


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
