"""What an imported statement leaves behind: facts that outlive its file, and nothing that a second import would change."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings

DATA = Path(__file__).parents[1] / "data" / "flex"
FILES = sorted(DATA.glob("*.xml"))


def books(pm):
    with pm.room.lock:
        return sorted(
            (p.strategy, p.account, p.instrument_key, p.quantity, p.open_cost, p.realized_pnl, sorted(p.fees.items()))
            for p in pm.room.ledger.positions()
        )


def settings(folder):
    return Settings(data_dir=str(folder / "data"), arctic_uri=f"lmdb://{folder / 'store'}", settle_s=0.0)


async def opened(folder, act):
    pm = await PortfolioManager.open(settings(folder))
    try:
        return await act(pm)
    finally:
        await pm.close()


async def imported(pm):
    """Import every file; returns how many facts were new in each, and the books."""
    new = [(await pm.import_flex(file.read_bytes()))["new"] for file in FILES]
    return new, books(pm)


async def looked(pm):
    return len(pm.back_office.events), books(pm)


@pytest.mark.parametrize("lost", ["nothing", "the files", "the data directory"])
def test_importing_again_changes_no_book_whatever_was_lost_meanwhile(tmp_path, lost):
    first, made = asyncio.run(opened(tmp_path, imported))
    told, _ = asyncio.run(opened(tmp_path, looked))
    assert sum(first) > 0
    assert made
    if lost == "the files":
        shutil.rmtree(tmp_path / "data" / "flex")
    elif lost == "the data directory":
        shutil.rmtree(tmp_path / "data")
    events, after = asyncio.run(opened(tmp_path, looked))
    assert after == made, "books come from facts, not from the kept files"
    assert events == told > 0, "what the statements told of positions is evidence still"
    again, finally_ = asyncio.run(opened(tmp_path, imported))
    assert finally_ == made
    assert again == [0] * len(FILES)
