"""What comes back when half of what keeps the books is lost: the store, or the journal."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from engine.core.events import AssignmentLeg, AssignmentMade, AssignmentReversed, Bust, Commission, Fill, OrderUpdate
from engine.core.instrument import Instrument
from engine.errors import JournalBehind
from engine.portfolio_manager import PortfolioManager
from engine.recon.chain import seal
from engine.settings import Settings

APPLE = Instrument(con_id=265598, symbol="AAPL", currency="USD")
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
FIGURES = ["strategy", "account", "con_id", "qty", "avg_cost", "realized_pnl", "commission"]


def facts(first: int, count: int):
    for number in range(first, first + count):
        at = START + timedelta(seconds=number)
        exec_id = f"0000aaaa.{number:08x}.01.01"
        strategy = ("ALPHA", "BETA")[number % 2]
        common = {
            "received_at": at,
            "account": "DU1234567",
            "perm_id": 100 + number,
            "order_id": number,
            "client_id": 5,
        }
        yield OrderUpdate(**common, strategy=strategy, side="BUY", status="Submitted", quantity=Decimal(10))
        yield Fill(
            **common,
            exec_id=exec_id,
            instrument=APPLE,
            quantity=Decimal(10 if number % 3 else -7),
            price=Decimal("100.01") + number,
            executed_at=at,
            strategy=strategy,
        )
        yield Commission(received_at=at, exec_id=exec_id, amount=Decimal("0.35"), currency="USD")


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=str(tmp_path / "data"), lmdb_map_gb=0.5, housekeeping_every_s=0.0, demo=False)


async def submit(settings, new):
    manager = await PortfolioManager.open(settings)
    try:
        if new:
            await manager.submit(list(new))
        return manager.positions()[FIGURES], manager.fills(), manager.orders(), manager.verify()
    finally:
        await manager.close()


def same(left, right):
    assert left.sort_values(FIGURES[:3]).to_dict("records") == right.sort_values(FIGURES[:3]).to_dict("records")


async def test_a_lost_store_is_written_again_from_checkpoint_and_journal(settings):
    books, fills, orders, _ = await submit(settings, facts(1, 12))
    shutil.rmtree(Path(settings.data_dir) / "arctic")
    again, same_fills, same_orders, differences = await submit(settings, [])
    same(again, books)
    assert len(same_fills) == len(fills) == 12
    assert len(same_orders) == len(orders) == 12
    assert differences.empty


async def test_a_store_that_has_everything_is_said_to_lack_nothing_at_the_next_start(settings, caplog):
    """An instrument that only executions told of was looked for among the broker's descriptions, and written there."""
    pm = await PortfolioManager.open(settings)
    await pm.submit(list(facts(1, 4)))
    await pm.close()
    pm = await PortfolioManager.open(settings)
    assert pm.room.store.symbols("facts") == []
    await pm.close()
    assert "lacks rows" not in caplog.text


async def test_a_store_put_back_from_an_older_copy_gets_what_it_lacks(settings, tmp_path):
    await submit(settings, facts(1, 4))
    shutil.copytree(Path(settings.data_dir) / "arctic", tmp_path / "copy")
    books, fills, _, _ = await submit(settings, facts(5, 8))
    shutil.rmtree(Path(settings.data_dir) / "arctic")
    shutil.copytree(tmp_path / "copy", Path(settings.data_dir) / "arctic")
    again, same_fills, _, differences = await submit(settings, [])
    same(again, books)
    assert len(same_fills) == len(fills) == 12
    assert differences.empty


@pytest.mark.parametrize("keep", ["store", "journal"])
async def test_a_journal_put_back_from_an_older_copy_is_refused_and_either_is_enough(settings, tmp_path, keep):
    folder = Path(settings.data_dir)
    older, _, _, _ = await submit(settings, facts(1, 4))
    copies = {file.name: file.read_bytes() for file in folder.glob("*.sqlite*")}
    newer, _, _, _ = await submit(settings, facts(5, 8))
    for file in folder.glob("*.sqlite*"):
        file.unlink()
    for name, content in copies.items():
        (folder / name).write_bytes(content)
    for _ in range(2):
        with pytest.raises(JournalBehind, match=r"move journal\.sqlite and history\.sqlite away"):
            await PortfolioManager.open(settings)
    for file in [folder / "arctic"] if keep == "journal" else list(folder.glob("*.sqlite*")):
        file.rename(tmp_path / file.name)
    books, fills, _, differences = await submit(settings, [])
    same(books, newer if keep == "store" else older)
    assert len(fills) == (12 if keep == "store" else 4)
    assert differences.empty


async def test_a_lost_journal_leaves_books_that_the_store_alone_brings_back(settings):
    books, _, _, _ = await submit(settings, facts(1, 12))
    for file in Path(settings.data_dir).glob("journal.sqlite*"):
        file.unlink()
    again, fills, _, differences = await submit(settings, [])
    same(again, books)
    assert len(fills) == 12
    assert differences.empty
    # And it goes on from there, without a number used twice.
    _, more, _, differences = await submit(settings, facts(13, 2))
    assert len(more) == 14
    assert differences.empty


async def test_positions_go_on_after_a_lost_journal_whose_last_facts_left_no_row(settings):
    """The positions were written with a number that the new journal has yet to reach."""
    await submit(settings, facts(1, 4))
    manager = await PortfolioManager.open(settings)
    for _ in range(5):
        await manager.submit(list(facts(1, 4)))  # all of it known
    manager.room.writer.refresh_positions()
    await manager.close()
    for file in Path(settings.data_dir).glob("*.sqlite*"):
        file.unlink()
    for first in (5, 7):  # the second start finds the new journal
        manager = await PortfolioManager.open(settings)
        await manager.submit(list(facts(first, 2)))
        assert manager.room.writer.wait_stored(manager.room.keeper.seq, 60)
        stored = manager.room.store.positions().sort_values("strategy")
        assert stored["qty"].tolist() == manager.positions().sort_values("strategy")["qty"].tolist()
        await manager.close()


async def test_what_no_row_tells_of_outlives_the_store_and_then_the_journal(settings):
    """A fee and a bust without their execution, and an assignment: written again with a lost store, read from it alone."""
    early = Commission(received_at=START, exec_id="0000aaaa.000000ff.01.01", amount=Decimal("1.5"), currency="USD")
    void = Bust(received_at=START, account="DU1234567", exec_id="0000aaaa.000000fe.01.01", reason="cancelled")
    books, _, _, _ = await submit(settings, [*facts(1, 4), assignment(), early, void])
    shutil.rmtree(Path(settings.data_dir) / "arctic")
    await submit(settings, [])
    for file in Path(settings.data_dir).glob("*.sqlite*"):
        file.unlink()
    again, _, _, differences = await submit(settings, [])
    same(again, books)
    assert differences.empty
    manager = await PortfolioManager.open(settings)
    try:
        assert list(manager.room.ledger.orphan_commissions) == [early.exec_id]
        assert [entry.assignment_id for entry in manager.room.ledger.assignments()] == ["A-1"]
        at = {
            "received_at": START,
            "account": "DU1234567",
            "instrument": APPLE,
            "price": Decimal(9),
            "strategy": "ALPHA",
        }
        await manager.submit(
            [Fill(**at, exec_id=exec_id, quantity=Decimal(1)) for exec_id in (early.exec_id, void.exec_id)]
        )
        fills = manager.fills().set_index("fill_id")
        assert fills.loc[early.exec_id, "commission"] == 1.5
        assert fills.loc[void.exec_id, "state"] == "busted"
        assert manager.room.ledger.orphan_commissions == {}
    finally:
        await manager.close()


async def test_what_both_losses_leave_includes_an_assignment(settings):
    made = assignment()
    books, _, _, _ = await submit(settings, [*facts(1, 4), made])
    shutil.rmtree(Path(settings.data_dir) / "arctic")
    again, _, _, differences = await submit(settings, [])
    same(again, books)
    assert differences.empty


async def test_the_links_of_the_journal_of_assignments_outlive_both_losses(settings):
    """An entry, its reversal and another entry, all of one moment: nothing but the links knows which came first."""
    first = assignment()
    back = AssignmentReversed(
        received_at=first.received_at, reversal_id="R-1", assignment_id="A-1", operator="somebody", reason="mistaken"
    )
    back = seal(back, first.entry_hash)
    second = seal(msgspec.structs.replace(first, assignment_id="A-2"), back.entry_hash)
    await submit(settings, [*facts(1, 4), first, back, second])
    shutil.rmtree(Path(settings.data_dir) / "arctic")
    _, _, _, differences = await submit(settings, [])
    assert differences.empty, differences.to_string()
    for file in Path(settings.data_dir).glob("*.sqlite*"):
        file.unlink()
    _, _, _, differences = await submit(settings, [])
    assert differences.empty, differences.to_string()
    manager = await PortfolioManager.open(settings)
    try:
        assert manager.room.origin == "store"
        assert manager.room.ledger.assignment_head == second.entry_hash
        third = msgspec.structs.replace(first, assignment_id="A-3")
        await manager.submit([seal(third, manager.room.ledger.assignment_head)])
        assert manager.verify().empty
    finally:
        await manager.close()


def assignment():
    made = AssignmentMade(
        received_at=START + timedelta(minutes=5),
        assignment_id="A-1",
        account="DU1234567",
        instrument=APPLE,
        legs=(AssignmentLeg(strategy="ALPHA", quantity=Decimal(3), price=Decimal(99)),),
        operator="somebody",
        reason="found",
        effective_at=START + timedelta(minutes=5),
    )
    return seal(made, "")
