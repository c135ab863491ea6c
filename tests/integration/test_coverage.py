"""What no replay of IB covers is named until a statement has shown it (F24)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.core.events import ConnectionSeen
from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings
from engine.state.notes import heard_until

STATEMENT = Path(__file__).parents[1] / "data" / "flex" / "correction.xml"
"""The account DU1111111 from 11 to 12 September 2025, New York days; made at 05:00:10 on the 13th."""
HEARD = datetime(2025, 9, 11, 20, 59, tzinfo=UTC)
MIDNIGHT = datetime(2025, 9, 13, 4, tzinfo=UTC)
BACK = datetime(2025, 9, 13, 14, tzinfo=UTC)


def link(state, at, **more):
    return ConnectionSeen(received_at=at, state=state, **more)


def back(accounts, heard=HEARD, midnight=MIDNIGHT):
    return link("connected", BACK, heard_until=heard, replayed_from=midnight, accounts=accounts)


def coverage(pm):
    frame = pm.findings()
    return frame[frame["kind"] == "coverage_gap"] if len(frame) else frame


async def test_days_that_no_replay_covers_are_named_until_a_statement_shows_them_f24(tmp_path):
    settings = Settings(data_dir=str(tmp_path))
    pm = await PortfolioManager.open(settings)
    await pm.submit([back(("DU1111111", "DU2222222"))])
    named = coverage(pm)
    assert sorted(named["account"]) == ["DU1111111", "DU2222222"]
    assert set(named["severity"]) == {"warning"}
    assert "from 2025-09-11 20:59 to 2025-09-13 04:00 UTC" in named["text"].iloc[0]
    await pm.close()

    pm = await PortfolioManager.open(settings)
    assert sorted(coverage(pm)["account"]) == ["DU1111111", "DU2222222"]
    await pm.import_flex(STATEMENT.read_bytes())
    assert list(coverage(pm)["account"]) == ["DU2222222"]
    again = await pm.import_flex(STATEMENT.read_bytes())
    assert again["new"] == 0
    assert [one.state for one in pm.room.ledger.connections] == ["connected", "covered"]
    await pm.close()

    pm = await PortfolioManager.open(settings)
    assert list(coverage(pm)["account"]) == ["DU2222222"]
    await pm.close()


async def test_a_statement_that_ends_before_the_gap_does_leaves_it_named(tmp_path):
    pm = await PortfolioManager.open(Settings(data_dir=str(tmp_path)))
    await pm.submit([back(("DU1111111",), midnight=MIDNIGHT + timedelta(days=1))])
    await pm.import_flex(STATEMENT.read_bytes())
    assert list(coverage(pm)["account"]) == ["DU1111111"]
    await pm.close()


async def test_an_absence_that_the_replay_covers_is_no_gap_and_ibs_own_reset_only_a_note(tmp_path):
    pm = await PortfolioManager.open(Settings(data_dir=str(tmp_path)))
    await pm.submit([back(("DU1",), heard=MIDNIGHT)])
    assert coverage(pm).empty
    await pm.submit([back(("DU1",), heard=MIDNIGHT - timedelta(minutes=15))])
    assert list(coverage(pm)["severity"]) == ["info"]
    await pm.close()


def test_a_process_that_starts_knows_when_ib_was_last_heard():
    lost = link("disconnected", HEARD, heard_until=HEARD - timedelta(minutes=1))
    away = link("disconnected", BACK, heard_until=HEARD)
    good = link("connected", BACK)
    covered = link("covered", BACK)
    assert heard_until([], BACK) is None
    assert heard_until([good], BACK + timedelta(hours=1)) == BACK + timedelta(hours=1), "it died while connected"
    assert heard_until([good, lost], BACK) == HEARD - timedelta(minutes=1)
    assert heard_until([good, lost, away, covered], BACK) == HEARD, "a start without IB is no word from it"
