"""The README's code runs as it stands there."""

from __future__ import annotations

import ast
import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from engine.settings import Settings
from engine.simulator import GatewayConfig
from engine.simulator.hosting import GatewayThread
from engine.storage import open_store
from tests.integration.broker_kit import CLIENT

TEXT = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
PATIENCE_S = 90


def block(word: str) -> str:
    """The one block of code that contains a word."""
    (found,) = [text for text in BLOCKS if word in text]
    return found


def module(word: str) -> ModuleType:
    made = ModuleType("readme")
    exec(compile(block(word).replace("sleep(60)", "sleep(3600)"), "README.md", "exec"), made.__dict__)
    return made


def test_the_strategy_takes_about_twenty_lines():
    lines = [line for line in block("class Pendulum").splitlines() if line.strip()]
    assert len(lines) <= 20


def test_every_block_is_python():
    assert len(BLOCKS) == 4
    for text in BLOCKS:
        ast.parse(text)


@pytest.mark.client
async def test_the_strategy_trades_and_its_fills_stand_in_the_books_under_its_name(tmp_path):
    code = module("class Pendulum")
    with GatewayThread(GatewayConfig(accounts=("DU1234567",), seed=7)) as gateway:
        settings = Settings(
            ib_host=gateway.host,
            ib_port=gateway.port,
            ib_client=CLIENT,
            data_dir=str(tmp_path),
            lmdb_map_gb=0.5,
            ib_timeout_s=60.0,
        )
        engine = code.MyEngine(settings)
        await engine.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while engine.portfolio_manager.positions(strategy="PENDULUM")["qty"].sum() != 100:
                    await asyncio.sleep(0.1)
        finally:
            await engine.stop()
        assert gateway.gateway.positions()["DU1234567", 265598] == 100
    store = open_store(settings.arctic_location, read_only=True)
    assert store.fills("PENDULUM").query("state == 'active'").drop_duplicates("fill_id")["qty"].sum() == 100
    assert set(store.fills("PENDULUM")["order_ref"]) == {"PENDULUM"}
    store.close()


async def test_another_strategy_manager_keeps_books_with_two_calls(tmp_path, monkeypatch):
    code = module("async def keep_books")
    monkeypatch.setattr(
        code, "Settings", SimpleNamespace(from_env=lambda: Settings(data_dir=str(tmp_path), lmdb_map_gb=0.5))
    )

    async def messages():
        contract = SimpleNamespace(conId=265598, symbol="AAPL", secType="STK", currency="USD", multiplier="")
        order = SimpleNamespace(
            orderId=1, permId=11, clientId=5, account="DU1", orderRef="X", action="BUY", totalQuantity=10.0
        )
        status = SimpleNamespace(status="Submitted", filled=0.0, remaining=10.0, avgFillPrice=0.0)
        trade = SimpleNamespace(contract=contract, order=order, orderStatus=status, log=[], fills=[])
        yield "ALPHA", trade, None
        now = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
        execution = SimpleNamespace(
            execId="0001.01.01.01", acctNumber="DU1", side="BOT", shares=10.0, cumQty=10.0, price=100.1, avgPrice=100.1,
            permId=11, orderId=1, clientId=5, orderRef="X", exchange="NASDAQ", time=now,
        )  # fmt: skip
        status.status = "Filled"
        yield "ALPHA", trade, SimpleNamespace(contract=contract, execution=execution, commissionReport=None, time=now)

    table = await code.keep_books(messages())
    assert table[["strategy", "account", "qty", "avg_cost"]].to_dict("records") == [
        {"strategy": "ALPHA", "account": "DU1", "qty": 10.0, "avg_cost": 100.1}
    ]
