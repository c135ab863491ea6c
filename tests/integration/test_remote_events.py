"""Strategies on other hosts report through a real JetStream server; the books are exact whoever dies in between."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from engine.clock import SystemClock
from engine.core.events import WIRE_VERSION, Audited, encode_facts
from engine.pipeline.remote import RemoteEvents
from engine.pipeline.remote_wire import ID_HEADER, STREAM, SUBJECT, VERSION_HEADER, linked
from engine.remote_queue import RemoteQueue
from tests.integration.broker_kit import until
from tests.integration.engine_kit import chosen, exact, flushed, running, stored_executions
from tests.integration.remote_kit import ACCOUNT, CON_ID, STRATEGY, event, placed, publish, sender, server_binary

pytest.importorskip("nats", reason="nats-py is not installed (pip install 'fillbook[nats]')")
pytestmark = pytest.mark.skipif(
    server_binary() is None, reason="nats-server is not installed (on Debian, as root: apt-get install nats-server)"
)


def booked(engine: Any) -> list[str]:
    frame = engine.portfolio_manager.fills(strategy=STRATEGY)
    return sorted(frame["fill_id"]) if len(frame) else []


def expected(count: int) -> list[str]:
    return [f"0000cccc.{number:08x}.01.01" for number in range(count)]


def the_position(engine: Any) -> tuple[Decimal, Decimal]:
    """Quantity and fees of the one book there is."""
    (row,) = engine.portfolio_manager.positions(strategy=STRATEGY).to_dict("records")
    assert (row["account"], row["con_id"]) == (ACCOUNT, CON_ID)
    return exact(row["qty"]), exact(row["commission"])


async def connected(engine: Any) -> None:
    await until(lambda: engine.remote.state == "connected", engine.remote.figures)


async def unacknowledged(url: str) -> tuple[int, int]:
    """Messages that the server still holds, and those delivered without an answer."""
    async with linked(url, "test") as stream:
        info = await stream.consumer_info(STREAM, "fillbook-engine")
        held = await stream.stream_info(STREAM)
        return held.state.messages, info.num_ack_pending


async def all_acknowledged(url: str) -> None:
    async with asyncio.timeout(60):
        while await unacknowledged(url) != (0, 0):
            await asyncio.sleep(0.05)


async def reported(url: str, messages: list[dict[str, Any]]) -> None:
    """Publish from this process; closing waits in a thread, since the way to the server leads through this loop."""
    queue = RemoteQueue(url)
    for message in messages:
        queue.put(message)
    await asyncio.to_thread(queue.close, 60.0)


async def test_five_hundred_fills_of_another_process_survive_a_restart_of_the_engine_in_the_middle(tmp_path):
    async with placed(tmp_path / "nats") as place, sender(place.url) as child:
        settings = chosen(tmp_path / "data", events_url=place.url)
        async with running(settings) as engine:
            await connected(engine)
            await publish(child, 0, 250, confirmed=False)
            await until(lambda: booked(engine), engine.health)
        # The engine is away now, perhaps with messages in its hands that it has not acknowledged.
        await publish(child, 250, 500)
        async with running(settings) as engine:
            await until(lambda: len(booked(engine)) >= 500, lambda: (len(booked(engine)), engine.health()))
            await all_acknowledged(place.url)
            await flushed(engine.room)
            assert booked(engine) == expected(500)
            assert the_position(engine) == (Decimal(50), Decimal(50))
            assert engine.portfolio_manager.quarantine().empty
            assert stored_executions(settings) == [one.rpartition(".")[0] for one in expected(500)]


async def test_a_message_that_was_journaled_but_not_acknowledged_comes_again_and_is_booked_once(tmp_path):
    async with placed(tmp_path / "nats") as place, running(chosen(tmp_path / "data")) as engine:

        class DiesBeforeTheAnswer:
            accepted = 0

            async def accept(self, facts: Any) -> int:
                seq = await engine.room.intake.accept(facts)
                self.accepted += len(facts)
                current = asyncio.current_task()
                assert current is not None
                current.cancel()
                await asyncio.sleep(0)
                return seq

        await reported(place.url, [event(number) for number in range(20)])
        door = DiesBeforeTheAnswer()
        dying = asyncio.create_task(RemoteEvents(place.url, door, SystemClock()).run())
        await asyncio.wait({dying}, timeout=60)
        assert dying.cancelled()
        assert door.accepted
        first_head = engine.room.journal.head
        assert (await unacknowledged(place.url))[0] == 20

        second = RemoteEvents(place.url, engine.room.intake, SystemClock())
        living = asyncio.create_task(second.run())
        await until(lambda: second.taken >= 20, second.figures)
        await all_acknowledged(place.url)
        living.cancel()
        await asyncio.wait({living})
        assert engine.room.journal.head > first_head, "nothing was delivered twice, so that this test shows nothing"
        assert booked(engine) == expected(20)
        assert the_position(engine) == (Decimal(2), Decimal(2))


async def test_garbage_goes_to_quarantine_whole_and_what_follows_is_booked(tmp_path):
    version = {VERSION_HEADER: str(WIRE_VERSION)}
    not_a_strategys = Audited(received_at=SystemClock().now(), user="mallory", act="assign")
    garbage = [
        (b"\x00\xff\xfe garbage", version),
        (b"", version),
        (b'{"type": "nonsense", "strategy": "FAR"}', None),
        (encode_facts([not_a_strategys]), version),
        (encode_facts([not_a_strategys]), {VERSION_HEADER: "99"}),
        (bytes(range(256)) * 400, version),
    ]
    async with placed(tmp_path / "nats") as place, running(chosen(tmp_path, events_url=place.url)) as engine:
        await connected(engine)
        async with linked(place.url, "test") as stream:
            for data, headers in garbage:
                await stream.publish(SUBJECT, data, headers=headers)
        await reported(place.url, [{"type": "riddle", "strategy": STRATEGY}, event(0)])
        await until(lambda: booked(engine) == expected(1), engine.health)
        await all_acknowledged(place.url)
        held = engine.room.ledger.quarantine.values()
        reasons = [entry.reason for entry in held if entry.door == "events"]
        assert len(reasons) == 5 + 3, reasons
        assert sum("part" in reason for reason in reasons) == 3
        assert any("Audited" in reason for reason in reasons)
        assert any("'99'" in reason for reason in reasons)
        assert [entry.raw for entry in held if "nonsense" in entry.raw] == [garbage[2][0].decode()]
        assert [entry.door for entry in held if "riddle" in entry.raw] == ["remote queue"]
        assert all(len(entry.raw) <= 64 * 1024 for entry in held)
        assert not list(engine.room.ledger.audit)


async def test_the_same_message_published_twice_is_delivered_once(tmp_path):
    async with placed(tmp_path / "nats") as place, linked(place.url, "test") as stream:
        first = await stream.publish(SUBJECT, b"one", headers={ID_HEADER: "a.1"})
        again = await stream.publish(SUBJECT, b"one", headers={ID_HEADER: "a.1"})
        assert (first.duplicate, again.duplicate) == (None, True)
        assert (await stream.stream_info(STREAM)).state.messages == 1


async def test_a_server_that_is_away_at_start_is_a_problem_in_words_and_its_return_brings_everything(tmp_path):
    async with (
        placed(tmp_path / "nats", start=False) as place,
        running(chosen(tmp_path / "data", events_url=place.url)) as engine,
        sender(place.url) as child,
    ):
        await until(lambda: engine.remote.problem, engine.remote.figures)
        await publish(child, 0, 20, confirmed=False)
        health = engine.health()
        assert any("events from nats://" in problem for problem in health["problems"]), health["problems"]
        assert "very-secret" not in json.dumps(health, default=str)
        assert health["tasks"]["events"] == "running"
        assert health["ok"], "books, journal and store are well"
        # What the machine itself reports is booked meanwhile.
        engine.strategy_manager.message_queue.put(event(20))
        await until(lambda: len(booked(engine)) == 1, engine.health)

        await place.server.start()
        await until(lambda: booked(engine) == expected(21), engine.health)
        assert not engine.remote.problem

        await place.server.end()
        await until(lambda: engine.remote.problem, engine.remote.figures)
        await publish(child, 21, 40, confirmed=False)
        await place.server.start()
        await until(lambda: booked(engine) == expected(40), engine.health)
        assert the_position(engine) == (Decimal(4), Decimal(4))
