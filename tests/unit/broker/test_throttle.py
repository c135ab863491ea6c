"""IB's socket rests while facts pile up, and is read again as soon as they do not."""

import asyncio

from engine.broker.throttle import Throttle


class Transport:
    def __init__(self):
        self.calls = []

    def pause_reading(self):
        self.calls.append("pause")

    def resume_reading(self):
        self.calls.append("resume")


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_reading_rests_until_facts_no_longer_pile_up_and_no_answer_is_late_for_it():
    transport, looks, rested = Transport(), iter([True, True, True, False]), []
    throttle = Throttle(lambda: next(looks), lambda: transport, rested.append)
    throttle.passed(63)
    assert transport.calls == []
    throttle.passed(1)
    throttle.passed(1000)  # what was read before the pause took effect asks nothing
    assert transport.calls == ["pause"]
    await until(lambda: transport.calls[-1] == "resume")
    assert transport.calls == ["pause", "resume"]
    assert len(rested) == 3
    assert all(seconds > 0 for seconds in rested)


async def test_nothing_rests_while_facts_are_taken_at_once():
    transport, looks = Transport(), []
    throttle = Throttle(lambda: looks.append("look") is not None, lambda: transport, lambda _: None)
    for _ in range(200):
        throttle.passed(1)
    assert transport.calls == []
    assert len(looks) == 3


async def test_a_connection_that_ends_while_it_rests_ends_the_rest():
    transport, here, rested = Transport(), [True], []
    throttle = Throttle(lambda: True, lambda: transport if here else None, rested.append)
    throttle.passed(64)
    here.clear()
    await until(lambda: rested)
    throttle.passed(64)
    assert transport.calls == ["pause"]
