"""The daily fetch of a statement: at its hour, once, patient when it fails."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from engine.errors import BrokerUnavailable, SettingsError
from engine.office.flex_timer import FlexTimer
from engine.settings import Settings

BEFORE = datetime(2026, 3, 10, 9, 29, tzinfo=UTC)  # 05:29 in New York


class Bank:
    def __init__(self):
        self.time, self.fails, self.asked, self.taken = BEFORE, "", 0, []

    def now(self):
        return self.time

    async def fetch(self):
        self.asked += 1
        if self.fails:
            raise BrokerUnavailable(self.fails)
        return b"statement"

    async def take_in(self, content):
        self.taken.append(content)
        return {"text": "nothing new"}

    def timer(self):
        return FlexTimer("05:30", self.fetch, self.take_in, self)

    def look(self, timer, **later):
        self.time += timedelta(**later)
        return asyncio.run(timer.look())


def test_it_fetches_once_a_day_from_its_hour_on():
    bank = Bank()
    timer = bank.timer()
    assert not bank.look(timer)
    assert bank.look(timer, minutes=1)
    assert not bank.look(timer, hours=5)
    assert bank.taken == [b"statement"]
    assert (timer.told, timer.fetched_at) == ("nothing new", BEFORE + timedelta(minutes=1))
    assert bank.look(timer, hours=20)
    assert len(bank.taken) == 2


def test_it_backs_off_while_it_fails_and_says_why():
    bank = Bank()
    timer, bank.fails = bank.timer(), "1018 too often"
    assert bank.look(timer, minutes=1)
    assert "1018 too often" in timer.problem
    assert not bank.look(timer, seconds=59)
    assert bank.look(timer, seconds=1)
    assert not bank.look(timer, seconds=119)
    assert bank.look(timer, seconds=1)
    assert timer.figures()["failures"] == 3
    bank.fails = ""
    assert bank.look(timer, hours=1)
    assert (timer.problem, timer.figures()["failures"], bank.asked) == ("", 0, 4)


def test_it_is_off_unless_it_is_switched_on_and_needs_a_token():
    assert Settings().flex_daily_at == ""
    assert Settings(flex_daily_at="05:30", flex_token="t", flex_query_id="1").flex_daily_at == "05:30"
    for wrong in ("5", "25:00", "05:30:00", "morning"):
        with pytest.raises(SettingsError, match="FLEX_DAILY_AT"):
            Settings(flex_daily_at=wrong, flex_token="t", flex_query_id="1")
    with pytest.raises(SettingsError, match="FLEX_DAILY_AT"):
        Settings(flex_daily_at="05:30")
