"""A second set of planted events, written from what IB is known to do and without sight of the explaining code.

The set was committed before it was played for the first time. First play: 33 of 40 (and one break, of pence against
pounds with a long and a short book, that closed by itself). The rules were mended in general since, no story was.

Twelve more were written afterwards, each to be told wrongly. At their first play 6 were right. Five misses were the
rules'; in the sixth the story was wrong: a reference that starts with a strategy's name and a separator is that
strategy's by the documented default.
"""

from __future__ import annotations

import pytest
from day_market import RUN_EVERY
from weekend_fridays import FRIDAYS
from weekend_market import WeekendMarket
from weekend_nasty import NASTY, only_the_price_is_corrected, positions_lag_far_behind_a_fill
from weekend_overnight import OVERNIGHT


@pytest.mark.parametrize(
    "fills",
    [800, pytest.param(8_000, marks=[pytest.mark.slow, pytest.mark.soak])],
    ids=["quiet weekend", "busy weekend"],
)
async def test_forty_stories_of_a_weekend_become_their_breaks_with_the_true_cause_first(fills):
    market = WeekendMarket(seed=23, fills=fills)
    stories = [plant(market) for plant in (*FRIDAYS, *OVERNIGHT)]
    assert len(stories) == 40
    await market.run()

    breaks = {b.break_id: b for b in market.house.reconciler.book.listed(open_only=False)}
    wanted = {name for story in stories for name in story.truth}
    assert set(breaks) == wanted, "each story its breaks, and nothing else"
    assert {b.episode for b in breaks.values()} == {1}
    assert all(b.state in {"confirmed", "explained"} for b in breaks.values())
    assert all(b.quantity == b.explained + b.residual for b in breaks.values())
    market.house.ledger.check()

    right = []
    for story in stories:
        for name in story.truth:
            waited = (breaks[name].opened_at - market.time(story.told)).total_seconds()
            assert waited <= 2 * RUN_EVERY + 1, f"{story.name} is a break one run after its grace"
        firsts = {name: breaks[name].causes[0].kind if breaks[name].causes else "" for name in story.truth}
        right.append(all(firsts[name] in kinds for name, kinds in story.truth.items()))
        if not right[-1]:
            print(story.name, firsts)
    print(f"{sum(right)} of {len(right)} true causes ranked first")
    assert sum(right) >= 38


async def test_twelve_nasty_stories_are_told_for_what_they_are():
    market = WeekendMarket(seed=31, fills=100)
    stories = {plant: plant(market) for plant in NASTY}
    assert len(stories) == 12
    await market.run()

    breaks = {b.break_id: b for b in market.house.reconciler.book.listed(open_only=False)}
    assert set(breaks) == {name for story in stories.values() for name in story.truth}
    assert not stories[only_the_price_is_corrected].truth, "no difference, no break"
    assert {b.episode for b in breaks.values()} == {1}
    (lagging,) = stories[positions_lag_far_behind_a_fill].truth
    assert [n for n, b in breaks.items() if b.state == "closed"] == [lagging], (
        "the lag went by itself, nothing else did"
    )
    wrong = {
        name: market.said[name]
        for story in stories.values()
        for name, kinds in story.truth.items()
        if market.said[name] not in kinds
    }
    assert not wrong
