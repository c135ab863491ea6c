"""The badge: a difference, something that waits in UNASSIGNED and lag are three things."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "desk"))

from desk_parts import AAPL, DU, House

from engine.office.square import ages_of, square_of


def badge(house, *, available=True):
    last = house.reconciler.last
    return square_of(
        house.reconciler.breaks(open_only=False),
        checked_at=None if last is None else last.at,
        unknown={} if last is None else last.unknown,
        available=available,
    )


def told(house, **more):
    found = badge(house, **more)
    return found["state"], found["ok"], found["text"]


def test_it_says_by_name_what_is_not_as_it_should_be():
    house = House()
    assert told(house)[:2] == ("unknown", None)
    house.fill(AAPL, 10, moves_broker=True)

    async def day():
        await house.confirmed()
        assert told(house) == ("square", True, "square")
        house.broker.move(AAPL, 5)
        await house.run(after=11)
        assert told(house) == ("settling", False, "1 settling")
        await house.confirmed()
        assert told(house) == ("breaks", False, "1 not square")
        house.manual(AAPL, 5)
        await house.confirmed()
        assert told(house) == ("unassigned", True, "square, 1 unassigned")
        assert told(house, available=False)[:2] == ("unknown", None)

    asyncio.run(day())


def test_a_silent_account_is_not_known_but_a_break_elsewhere_is():
    house = House()
    house.broker.accounts = [DU, "DU2"]
    house.broker.unknown["DU2"] = "no end marker"

    async def day():
        await house.confirmed()
        assert told(house) == ("unknown", None, "not known: DU2: no end marker")
        house.broker.move(AAPL, 5)
        await house.confirmed()
        assert told(house)[:2] == ("breaks", False)

    asyncio.run(day())


def test_each_account_says_how_old_its_picture_is():
    house = House()
    house.broker.accounts = [DU, "DU2"]

    async def day():
        await house.run()
        house.broker.unknown["DU2"] = "no end marker"
        await house.run(after=30)
        answers, good = house.reconciler.answers()
        rows = ages_of(answers, good, house.clock.now() + timedelta(seconds=1))
        assert [(r["account"], r["state"], r["age_s"]) for r in rows] == [(DU, "confirmed", 1), ("DU2", "unknown", 31)]
        assert rows[1]["reason"] == "no end marker"

    asyncio.run(day())
