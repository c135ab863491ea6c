"""R47: the store refuses for a while; intake goes on, nothing is lost or overwritten, and the store catches up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from engine.core.events import Commission, Fill
from engine.core.instrument import Instrument
from engine.errors import StoreUnavailable
from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings

APPLE = Instrument(con_id=265598, symbol="AAPL", currency="USD")
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
PATIENCE_S = 60


def facts(first: int, count: int):
    for number in range(first, first + count):
        at = START + timedelta(seconds=number)
        exec_id = f"0000bbbb.{number:08x}.01.01"
        yield Fill(
            received_at=at,
            account="DU1",
            exec_id=exec_id,
            instrument=APPLE,
            quantity=Decimal(10),
            price=Decimal("100.01"),
            executed_at=at,
            strategy="ALPHA",
        )
        yield Commission(received_at=at, exec_id=exec_id, amount=Decimal("0.35"), currency="USD")


async def test_r47_a_store_that_is_full_costs_no_fact_and_is_caught_up_when_there_is_room(tmp_path, monkeypatch):
    settings = Settings(data_dir=str(tmp_path), lmdb_map_gb=0.5, housekeeping_every_s=0.0, demo=False)
    manager = await PortfolioManager.open(settings)
    room = manager.room
    try:
        await manager.submit(list(facts(1, 20)))
        await asyncio.to_thread(room.writer.wait_stored, room.keeper.seq, PATIENCE_S)
        stored = len(room.store.fills("ALPHA"))

        def refuse(*_args, **_kwargs):
            raise StoreUnavailable("the map is full")

        with monkeypatch.context() as full:
            full.setattr(type(room.store), "append", refuse)
            await manager.submit(list(facts(21, 50)))
            assert manager.positions(strategy="ALPHA")["qty"].tolist() == [700.0]
            async with asyncio.timeout(PATIENCE_S):
                while not room.writer.trouble:
                    await asyncio.sleep(0.05)
            assert "the map is full" in room.writer.trouble
            assert room.writer.state == "unavailable"
            assert len(room.store.fills("ALPHA")) == stored
        assert await asyncio.to_thread(room.writer.wait_stored, room.keeper.seq, PATIENCE_S)
        assert room.writer.state == "ok"
        assert manager.verify().empty
        assert len(room.store.fills("ALPHA")["fill_id"].unique()) == 70
    finally:
        await manager.close()


async def test_r47_what_a_full_store_never_took_is_in_the_journal_for_the_next_start(tmp_path, monkeypatch):
    settings = Settings(data_dir=str(tmp_path), lmdb_map_gb=0.5, housekeeping_every_s=0.0, demo=False)
    manager = await PortfolioManager.open(settings)

    def refuse(*_args, **_kwargs):
        raise StoreUnavailable("the map is full")

    with monkeypatch.context() as full:
        full.setattr(type(manager.room.store), "append", refuse)
        await manager.submit(list(facts(1, 30)))
        books = manager.positions()
        await asyncio.to_thread(manager.room.close, 2.0)
    manager = await PortfolioManager.open(settings)
    try:
        assert manager.positions()["qty"].tolist() == books["qty"].tolist() == [300.0]
        assert manager.verify().empty
        assert len(manager.room.store.fills("ALPHA")["fill_id"].unique()) == 30
    finally:
        await manager.close()
