"""A third set of planted events, to measure the rules after two earlier sets had been used to mend them.

The set was committed before it was played for the first time. First play: 37 of 40 told rightly, all 60 breaks there,
no other one. All three misses were the rules' and none the stories': an option on a future delivered as many futures as
its multiplier says, a split was not seen behind a later trade where one strategy was long and another short, nor a merger
into a share that was held already. The rules were mended in general since, no story was.
"""

from __future__ import annotations

from day_market import RUN_EVERY
from quarterday_events import QUARTERDAY
from weekend_market import WeekendMarket


async def test_forty_events_around_a_quarters_expiry_become_their_breaks_with_the_true_cause_first():
    market = WeekendMarket(seed=47, fills=600)
    events = [plant(market) for plant in QUARTERDAY]
    assert len(events) == 40
    await market.run()

    breaks = {b.break_id: b for b in market.house.reconciler.book.listed(open_only=False)}
    right = 0
    for event in events:
        firsts = {
            name: breaks[name].causes[0].kind if name in breaks and breaks[name].causes else "" for name in event.truth
        }
        told = all(firsts[name] in kinds for name, kinds in event.truth.items())
        right += told
        if not told:
            print(event.name)
            for name, kinds in event.truth.items():
                print("  ", name, sorted(kinds), breaks[name].quantity if name in breaks else "no break")
                for cause in breaks[name].causes if name in breaks else ():
                    print("       ", cause.score, cause.kind, cause.quantity, cause.arithmetic)
    print(f"{right} of {len(events)} true causes ranked first")

    wanted = {name for event in events for name in event.truth}
    print(len(wanted), "expected", sorted(wanted - set(breaks)), "missing", sorted(set(breaks) - wanted), "false")
    assert set(breaks) == wanted, "each event its breaks, and nothing else"
    assert {b.episode for b in breaks.values()} == {1}
    assert all(b.state in {"confirmed", "explained"} for b in breaks.values())
    assert all(b.quantity == b.explained + b.residual for b in breaks.values())
    market.house.ledger.check()
    for event in events:
        for name in event.truth:
            waited = (breaks[name].opened_at - market.time(event.told)).total_seconds()
            assert waited <= 2 * RUN_EVERY + 1, f"{event.name} is a break one run after its grace"
    assert right >= 36
