import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fake_engine import FakeEngine

from dashboard.hub import MOST_SHARED, Hub
from dashboard.picture import READERS, Picture, equal, read, read_past


class Page:
    def __init__(self, parts=("positions",), fails=False):
        self.wanted = frozenset(parts)
        self.fails = fails
        self.got = []

    def parts(self):
        return self.wanted

    def deliver(self, picture):
        if self.fails:
            raise AttributeError("the document is gone")
        self.got.append(picture)


async def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


@pytest.fixture
async def hub():
    made = Hub(FakeEngine(), tick_s=0.02)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()


async def test_a_page_gets_the_next_picture_only_after_it_answered(hub):
    page, other = Page(), Page()
    hub.add(page)
    await until(lambda: page.got)
    hub.add(other)
    ticks = hub.ticks
    await until(lambda: hub.ticks > ticks + 5)
    assert len(page.got) == 1
    hub.answered(page)
    await until(lambda: len(page.got) == 2)


async def test_a_page_that_fails_is_dropped_and_harms_no_other(hub):
    broken, sound = Page(fails=True), Page()
    hub.add(broken)
    hub.add(sound)
    await until(lambda: sound.got)
    await until(lambda: hub.dropped == 1)
    assert len(hub) == 1


async def test_a_page_that_left_gets_nothing_more(hub):
    page = Page()
    hub.add(page)
    await until(lambda: page.got)
    hub.remove(page)
    hub.answered(page)
    other = Page()
    hub.add(other)
    await until(lambda: other.got)
    assert len(page.got) == 1


async def test_a_tick_that_fails_is_not_the_last_one(hub):
    page = Page()
    hub.engine.version = "not a number"
    hub.add(page)
    await asyncio.sleep(0.1)
    assert page.got == []
    hub.engine.version = 5
    await until(lambda: page.got)


async def test_only_what_some_page_shows_is_read(hub):
    page = Page(parts=("breaks",))
    hub.add(page)
    await until(lambda: page.got)
    assert "breaks" in page.got[0].parts
    assert "orders" not in page.got[0].parts


def test_timelines_of_orders_are_read_once_for_all_pages_and_all_at_once(engine):
    hub, calls, books = Hub(engine), [], engine.portfolio_manager
    whole = books.timelines
    books.timelines = lambda keys: calls.append(list(keys)) or whole(keys)
    first, second = list(dict.fromkeys(row["order_key"] for row in books.order_rows))[:2]
    for _ in range(3):
        found = hub.timelines({first: "stamp", second: "stamp"})
    assert len(found[first]) == len(books.timeline(first))
    assert set(found[second]["order_key"]) == {second}
    hub.timelines({first: "stamp", second: "later"})
    assert calls == [[first, second], [second]]
    assert len(hub.timelines({"unknown": "stamp"})["unknown"]) == 0


async def test_a_change_is_shown_sooner_than_the_slow_tick(engine):
    hub, page = Hub(engine, tick_s=3600), Page()
    task = asyncio.create_task(hub.run())
    hub.add(page)
    await until(lambda: page.got)
    hub.answered(page)
    engine.portfolio_manager.trade()
    await until(lambda: len(page.got) == 2)
    task.cancel()


def test_a_part_that_cannot_be_read_leaves_the_others_alone(engine):
    engine.portfolio_manager.breaks = lambda **_: 1 / 0
    picture = read(engine, frozenset({"breaks", "positions"}), None, {}, 0.0)
    assert "division by zero" in picture.errors["breaks"]
    assert len(picture.table("positions"))


def test_a_part_that_can_be_read_again_is_no_error_any_more(engine):
    sound = engine.portfolio_manager.breaks
    engine.portfolio_manager.breaks = lambda **_: 1 / 0
    first = read(engine, frozenset({"breaks"}), None, {}, 0.0)
    engine.portfolio_manager.breaks = sound
    engine.bump()
    second = read(engine, frozenset({"breaks"}), first, {}, 1.0)
    assert second.errors == {}
    assert second.stamp("breaks") != first.stamp("breaks")


def test_a_stamp_stays_while_nothing_shown_changed(engine):
    seen = {}
    first = read(engine, frozenset({"quarantine"}), None, seen, 0.0)
    engine.bump()
    second = read(engine, frozenset({"quarantine"}), first, seen, 1.0)
    assert first.stamp("quarantine") == second.stamp("quarantine")
    engine.portfolio_manager.held = []
    engine.bump()
    assert read(engine, frozenset({"quarantine"}), second, seen, 2.0).stamp("quarantine") != first.stamp("quarantine")


def test_the_past_is_marked_as_not_live(engine):
    moment = engine.portfolio_manager.started
    past = read_past(engine, moment)
    assert not past.live
    assert past.at == moment
    assert "health" not in past.parts


def test_parts_with_tables_inside_are_compared_as_tables(engine):
    assert equal(engine.square(), engine.square()) is False  # its time of check moves
    rows = engine.portfolio_manager.rules()
    assert equal({"ok": True, "rows": rows}, {"ok": True, "rows": rows.copy()})


def test_every_reader_answers_on_the_stand_in(engine):
    picture = read(engine, frozenset(READERS), None, {}, 0.0)
    assert picture.errors == {}
    assert isinstance(picture, Picture)


def test_what_pages_show_alike_is_made_once_until_its_parts_change(engine):
    hub, made = Hub(engine), []

    def shown(picture, key="books", more=0):
        return hub.shared(picture, key, ("positions",), lambda: made.append(key) or len(made), more)

    picture = Picture(at=datetime.now(UTC), stamps={"positions": 1, "fills": 1})
    assert shown(picture) == shown(replace(picture, stamps={"positions": 1, "fills": 2})) == 1
    assert shown(replace(picture, stamps={"positions": 2})) == 2
    assert shown(replace(picture, stamps={"positions": 2}), more=1) == 3
    past = replace(picture, live=False)
    assert (shown(past), shown(past)) == (4, 5)
    for number in range(MOST_SHARED + 5):
        shown(picture, number)
    assert len(hub._shared) == MOST_SHARED


def test_the_curves_of_a_long_day_are_summed_up_when_they_are_sampled_and_not_with_every_fill(engine, picture):
    hub = Hub(engine)
    curves, today = hub.earnings(picture)
    assert curves
    assert today
    moved = replace(picture, stamps={**picture.stamps, "positions": 99})
    assert hub.earnings(moved)[0] is curves
    assert hub.earnings(replace(moved, stamps={**moved.stamps, "equity": 99}))[0] is not curves
