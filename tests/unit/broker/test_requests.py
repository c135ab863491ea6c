"""Requests end: with everything, or with an error."""

import asyncio

import pytest

from engine.broker.requests import POSITIONS, Requests
from engine.errors import BrokerUnavailable

LONG, SHORT = 60.0, 0.05


def numbers():
    return iter(range(1, 1000)).__next__


async def started(requests, key):
    async with asyncio.timeout(30):
        while not requests.asking(key):
            await asyncio.sleep(0)


async def test_rows_until_the_end_marker_are_the_answer_f127():
    requests = Requests(numbers(), LONG)
    asking = asyncio.create_task(requests.numbered("executions", lambda _: None))
    await started(requests, 1)
    requests.row(1, "a")
    requests.row(2, "another request's")
    requests.row(1, "b")
    requests.end(1)
    assert await asking == ["a", "b"]
    requests.row(1, "a stream's")
    assert not requests.asking(1)


async def test_no_end_marker_is_no_answer_r3_r26():
    requests = Requests(numbers(), SHORT)
    with pytest.raises(BrokerUnavailable, match="no complete answer within"):
        await requests.unnumbered(POSITIONS, lambda: requests.row(POSITIONS, "half"))


async def test_time_in_which_we_did_not_read_does_not_count_against_an_answer():
    requests = Requests(numbers(), 0.2)
    loop = asyncio.get_running_loop()
    asking = asyncio.create_task(requests.unnumbered(POSITIONS, lambda: None))
    await started(requests, POSITIONS)
    began = loop.time()
    requests.postpone(0.3)
    requests.postpone(0.3)
    with pytest.raises(BrokerUnavailable, match="no complete answer within"):
        await asking
    assert loop.time() - began >= 0.6
    requests.postpone(1.0)  # nothing is open any more


async def test_an_error_fails_its_request_instead_of_ending_it_empty_f125_r34():
    requests = Requests(numbers(), LONG)
    asking = asyncio.create_task(requests.numbered("executions", lambda _: None))
    await started(requests, 1)
    assert requests.refused(2, 200, "not ours") is False
    assert requests.refused(1, 322, "cannot process") is True
    with pytest.raises(BrokerUnavailable, match="322"):
        await asking


async def test_an_unreadable_request_without_a_number_fails_those_that_have_none():
    requests = Requests(numbers(), LONG)
    asking = asyncio.create_task(requests.unnumbered(POSITIONS, lambda: None))
    await started(requests, POSITIONS)
    assert requests.refused(-1, 2104, "farm is fine") is False
    assert requests.refused(-1, 321, "server error when validating a request") is True
    with pytest.raises(BrokerUnavailable, match="321"):
        await asking


async def test_the_end_of_the_connection_fails_what_is_open_and_what_comes_later_f134():
    requests = Requests(numbers(), LONG)
    asking = asyncio.create_task(requests.unnumbered(POSITIONS, lambda: None))
    await started(requests, POSITIONS)
    requests.close("the peer hung up")
    with pytest.raises(BrokerUnavailable, match="hung up"):
        await asking
    with pytest.raises(BrokerUnavailable, match="hung up"):
        await requests.unnumbered(POSITIONS, lambda: None)


async def test_two_equal_requests_are_made_one_after_the_other_f119():
    requests = Requests(numbers(), LONG)
    sent = []
    first = asyncio.create_task(requests.unnumbered(POSITIONS, lambda: sent.append(1)))
    second = asyncio.create_task(requests.unnumbered(POSITIONS, lambda: sent.append(2)))
    await started(requests, POSITIONS)
    assert sent == [1]
    requests.row(POSITIONS, "a")
    requests.end(POSITIONS)
    assert await first == ["a"]
    async with asyncio.timeout(30):
        while sent != [1, 2]:
            await asyncio.sleep(0)
    requests.end(POSITIONS)
    assert await second == []


async def test_a_late_end_marker_does_not_end_the_next_request_half_way_f127():
    requests = Requests(numbers(), SHORT)
    with pytest.raises(BrokerUnavailable):
        await requests.unnumbered(POSITIONS, lambda: None)
    sent = []

    def send():
        sent.append(len(sent))
        if sent == [0]:
            # The tail of the first answer, then the marker that came too late for it.
            requests.row(POSITIONS, "tail")
            requests.end(POSITIONS)
        else:
            for whole in ("a", "b", "c"):
                requests.row(POSITIONS, whole)
            requests.end(POSITIONS)

    assert await requests.unnumbered(POSITIONS, send) == ["a", "b", "c"]
    assert sent == [0, 1]


async def test_a_request_without_a_connection_says_so():
    def unconnected():
        raise ConnectionError("Not connected")

    with pytest.raises(BrokerUnavailable, match="Not connected"):
        await Requests(unconnected, LONG).numbered("executions", lambda _: None)

    with pytest.raises(BrokerUnavailable, match="Not connected"):
        await Requests(numbers(), LONG).unnumbered(POSITIONS, unconnected)


async def test_a_cancelled_request_leaves_nothing_behind():
    requests = Requests(numbers(), LONG)
    asking = asyncio.create_task(requests.numbered("executions", lambda _: None))
    await started(requests, 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not requests.asking(1)
