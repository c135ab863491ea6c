"""The queue for other hosts' strategies, without a server: it takes, counts, bounds and says what is left."""

import asyncio
import logging
import sys
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from queue import Full

import msgspec
import pytest

from engine.clock import SystemClock
from engine.core.events import WIRE_VERSION, Fill, decode_facts, encode_facts
from engine.core.instrument import Instrument
from engine.errors import FillbookError, Unreadable
from engine.pipeline import remote
from engine.pipeline.remote import RemoteEvents
from engine.pipeline.remote_wire import VERSION_HEADER, facts_of, plain, quarantined
from engine.remote_queue import RemoteQueue
from tests.integration.remote_kit import event

pytest.importorskip("nats", reason="nats-py is not installed (pip install 'fillbook[nats]')")

# Port 1 of this machine: nothing listens there, and nothing may without being root.
NOWHERE = "nats://somebody:very-secret@127.0.0.1:1"
NOW = datetime(2026, 1, 5, 16, tzinfo=UTC)
HEADERS = {VERSION_HEADER: str(WIRE_VERSION)}


@pytest.fixture
def queue():
    """A queue whose server is away; what it holds at the end is dropped."""
    made = RemoteQueue(NOWHERE)
    yield made
    if made.empty():
        made.close(60)
    else:
        with pytest.raises(FillbookError):
            made.close(0)


def fill(**changes):
    instrument = Instrument(con_id=1, symbol="A", currency="USD")
    fact = Fill(
        received_at=NOW, account="DU1", exec_id="a.01", instrument=instrument, quantity=Decimal(1), price=Decimal(2)
    )
    return msgspec.structs.replace(fact, **changes)


def test_what_is_put_is_frozen_before_put_returns(queue):
    message = event(3)
    queue.put(message)
    message["fill"]["execution"]["price"] = 1.0
    (letter,) = queue._held
    taken, fee = decode_facts(letter.data)
    assert (taken.price, fee.amount) == (Decimal("103.1"), Decimal("0.1"))


def test_messages_are_counted_until_they_are_confirmed(queue):
    assert queue.empty()
    queue.put(event(0))
    queue.put_nowait(event(1))
    assert queue.qsize() == 2
    assert not queue.empty()
    assert len({letter.name for letter in queue._held}) == 2


def test_task_done_is_accepted_as_often_as_messages_wait(queue):
    queue.put(event(0))
    queue.task_done()
    with pytest.raises(ValueError, match="too many"):
        queue.task_done()


def test_memory_is_bounded_and_a_full_queue_says_so():
    queue = RemoteQueue(NOWHERE, most_bytes=1000)
    queue.put(event(0))
    queue.put(event(1))
    with pytest.raises(Full, match="2 messages wait"):
        queue.put(event(2))
    held = queue.qsize()
    assert held == 2
    with pytest.raises(Full):
        queue.put(event(0), timeout=0.01)
    with pytest.raises(FillbookError, match=f"{held} messages were not confirmed"):
        queue.close(0)


def test_closing_says_how_many_messages_are_left_and_ends_whoever_waits(caplog):
    caplog.set_level(logging.DEBUG)
    queue = RemoteQueue(NOWHERE)
    queue.put(event(0))
    seen = []

    def join() -> None:
        try:
            queue.join()
        except FillbookError as error:
            seen.append(str(error))

    waiting = threading.Thread(target=join)
    waiting.start()
    with pytest.raises(FillbookError, match="1 messages were not confirmed") as raised:
        queue.close(0)
    waiting.join(60)
    assert len(seen) == 1
    assert "very-secret" not in seen[0] + str(raised.value) + caplog.text
    with pytest.raises(RuntimeError, match="closed"):
        queue.put(event(1))


def test_an_unused_queue_closes_although_the_server_is_away():
    queue = RemoteQueue(NOWHERE)
    queue.join()
    queue.close(60)
    queue.close(60)
    assert not queue._thread.is_alive()


def test_a_message_that_cannot_be_read_is_sent_for_quarantine_and_raises_nothing(queue):
    queue.put({"type": "riddle"})
    (letter,) = queue._held
    (fact,) = decode_facts(letter.data)
    assert type(fact).__name__ == "Quarantined"
    assert "riddle" in fact.raw


def test_a_group_of_facts_is_read_as_it_was_written():
    assert facts_of(encode_facts([fill()]), HEADERS, NOW) == [fill()]


def test_nothing_was_received_later_than_the_engines_own_time():
    (fact,) = facts_of(encode_facts([fill(received_at=datetime(2030, 1, 1, tzinfo=UTC))]), HEADERS, NOW)
    assert fact.received_at == NOW


@pytest.mark.parametrize(
    "changes",
    [
        {"price": Decimal("NaN")},
        {"price": Decimal("1e400")},
        {"quantity": Decimal("Infinity")},
        {"executed_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is what is wrong with it
        {"received_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - likewise
        {"account": " "},
        {"exec_id": ""},
        {"exec_id": "x" * 5000},
        {"perm_id": 2**64 - 1},
        {"instrument": Instrument(con_id=0, symbol="A")},
        {"instrument": Instrument(con_id=1, symbol="A", multiplier=Decimal(0))},
    ],
    ids=lambda changes: f"{next(iter(changes))}",
)
def test_a_value_that_no_local_message_would_give_is_refused(changes):
    with pytest.raises(Unreadable):
        facts_of(encode_facts([fill(**changes)]), HEADERS, NOW)


def test_an_unreadable_message_has_the_same_quarantine_entry_whenever_it_comes():
    first = quarantined(b"\xff", HEADERS, 7, "bad", NOW)
    again = quarantined(b"\xff", HEADERS, 7, "bad", SystemClock().now())
    other = quarantined(b"\xff", HEADERS, 8, "bad", NOW)
    assert first[0].quarantine_id == again[0].quarantine_id != other[0].quarantine_id


async def test_a_missing_client_is_a_problem_in_words_and_the_task_lives_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "nats.aio.client", None)
    events = RemoteEvents(NOWHERE, None, SystemClock())
    task = asyncio.create_task(events.run())
    async with asyncio.timeout(60):
        while not events.problem:
            await asyncio.sleep(0.01)
    assert "pip install" in events.problem
    assert "very-secret" not in events.problem + str(events.figures())
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_a_cancellation_that_waiting_for_messages_swallows_ends_the_task_all_the_same(monkeypatch):
    waits = asyncio.Event()

    class Swallows:
        """What Python 3.11's ``wait_for`` does when the answer and the cancellation come at the same moment."""

        async def pull_subscribe(self, *_, **__):
            return self

        async def fetch(self, *_, **__):
            waits.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return []

    @asynccontextmanager
    async def linked(*_):
        yield Swallows()

    class Accepts:
        async def accept(self, facts):
            return len(facts)

    monkeypatch.setattr(remote, "linked", linked)
    task = asyncio.create_task(RemoteEvents(NOWHERE, Accepts(), SystemClock()).run())
    await waits.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=60)
    assert task.cancelled()


def test_no_part_of_the_credentials_is_left_in_an_errors_text():
    url = "nats://some%40body:very%2Fsecret@host:4222"
    text = plain(OSError("some@body very/secret very%2Fsecret at nats://some%40body:very%2Fsecret@host"), url)
    assert "secret" not in text
    assert "body" not in text
