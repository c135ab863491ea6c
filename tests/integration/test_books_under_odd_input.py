"""One odd execution must not spoil the books, the tables or the store for everybody else."""

from __future__ import annotations

import decimal
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.errors import BadRequest
from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings
from tests.messages import fill, trade


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=str(tmp_path), lmdb_map_gb=0.5, housekeeping_every_s=0.0, demo=False)


async def test_a_fills_odd_ids_times_and_numbers_leave_books_tables_and_store_whole(settings):
    pm = await PortfolioManager.open(settings)
    try:
        with decimal.localcontext() as context:
            context.prec = 4  # the strategy's thread may round as it likes
            await pm.process_fill("ALPHA", trade(), fill("a.b.01", "1143.28313142", "30.3075", "SLD"))
        await pm.process_fill("ALPHA", trade(), fill("venue.99999999999999999999999", 1.0, 30.5, "SLD"))
        await pm.process_fill("ALPHA", trade(), fill("far.01", 1.0, 31.0, at=datetime(9998, 1, 1, tzinfo=UTC)))
        await pm.process_fill("ALPHA", trade(), fill("unset.01", 1.7014118346046923e38, 31.0))
        assert pm.positions()["qty"].tolist() == [-1143.28313142]
        assert pm.positions()["timestamp"].isna().tolist() == [True]
        assert len(pm.fills()) == len(pm.fees_pending()) == 3
        assert pm.quarantine()["reason"].tolist() == ["execution.shares is not set"]
        assert pm.verify().empty
        assert pm.room.writer.state == "ok"
        with pytest.raises(BadRequest):
            pm.fills(since=datetime(2026, 1, 1))  # noqa: DTZ001 - no zone is what is refused
    finally:
        await pm.close()
    pm = await PortfolioManager.open(settings)
    try:
        assert pm.room.ledger.position("ALPHA", "DU1", 265598).quantity == Decimal("-1143.28313142")
    finally:
        await pm.close()


async def test_tables_without_rows_have_the_dtypes_of_tables_with_rows(settings):
    pm = await PortfolioManager.open(settings)
    try:
        empty = {name: getattr(pm, name)().dtypes for name in ("positions", "fills", "orders", "fees_pending")}
        await pm.process_fill("ALPHA", trade(), fill("a.b.01", 1.0, 30.5))
        await pm.record_status_change("ALPHA", trade(), "Submitted")
        for name, dtypes in empty.items():
            assert dtypes.to_dict() == getattr(pm, name)().dtypes.to_dict(), name
        assert pm.breaks()["quantity"].dtype == pm.equity()["cash"].dtype == "float64"
    finally:
        await pm.close()
