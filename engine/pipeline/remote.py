"""The engine's end of the events transport: messages of strategies on other hosts, from JetStream into the journal.

A message is acknowledged only after the journal has made its facts durable. Whatever dies before that, the server
delivers the message again, and the books, which know every execution by its identity, take it once. What cannot be
read is quarantined whole and acknowledged, so that one bad message never holds up the next.

Nothing here ends the engine: while the server is away, or nats-py is missing, ``problem`` says so.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from engine.errors import FillbookError, StorageError, Unreadable
from engine.pipeline.remote_wire import (
    DURABLE,
    STREAM,
    SUBJECT,
    ClientMissing,
    Pause,
    facts_of,
    linked,
    plain,
    quarantined,
    shown,
    told_to_end,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from engine.core.events import AnyFact
    from engine.ports import Clock

log = logging.getLogger(__name__)

BATCH: Final = 128
"""Messages taken and not yet acknowledged, at most; the rest waits on the server's disk."""
_FETCH_S: Final = 2.0
_ACK_WITHIN_S: Final = 10.0


class Accepts(Protocol):
    """The door to the journal."""

    async def accept(self, facts: Sequence[AnyFact]) -> int:
        """Return when the facts are durable."""
        ...


class RemoteEvents:
    """Takes what strategies on other hosts report.

    Attributes:
        state: ``connecting``, ``connected`` or ``unavailable``.
        since: When that began.
        reason: Why it is unavailable, without credentials.
        taken: Messages that are durable here.
        refused: Messages of those that went to quarantine.
        waiting: Messages on the server as of the last look; ``None`` when not known.
    """

    def __init__(self, url: str, intake: Accepts, clock: Clock) -> None:
        """Wire the parts; nothing is connected before :meth:`run`."""
        self._url = url
        self._intake = intake
        self._clock = clock
        self._pause = Pause()
        self.state = "connecting"
        self.since: datetime = clock.now()
        self.reason = ""
        self.taken = 0
        self.refused = 0
        self.waiting: int | None = None

    @property
    def problem(self) -> str:
        """What is wrong, in words; empty when nothing is."""
        if self.state != "unavailable":
            return ""
        return f"events from {shown(self._url)} unavailable since {self.since:%Y-%m-%d %H:%M:%S} UTC: {self.reason}"

    def figures(self) -> dict[str, Any]:
        """The state for ``Engine.health``."""
        return {
            "url": shown(self._url),
            "state": self.state,
            "since": self.since,
            "reason": self.reason,
            "taken": self.taken,
            "quarantined": self.refused,
            "waiting": self.waiting,
        }

    async def run(self) -> None:
        """Take messages for ever; ends only by being cancelled."""
        while not told_to_end():
            try:
                await self._session()
            except ClientMissing as error:
                self._become("unavailable", str(error))
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if told_to_end():
                    raise
                self._become("unavailable", "the connection was lost")
            except Exception as error:  # noqa: BLE001 - named in health, and tried again; it must not end the books
                self._become("unavailable", plain(error, self._url))
            await asyncio.sleep(self._pause.take())
        raise asyncio.CancelledError

    def _become(self, state: str, reason: str = "") -> None:
        if (state, reason) == (self.state, self.reason):
            return
        if state != self.state:
            self.since = self._clock.now()
        self.state, self.reason = state, reason
        if state == "unavailable":
            self.waiting = None
            log.warning("events from %s: %s", shown(self._url), reason)
        else:
            log.info("events from %s: %s", shown(self._url), state)

    async def _session(self) -> None:
        """One connection, until it fails."""
        async with linked(self._url, "fillbook engine") as stream:
            source = await self._subscribe(stream)
            self._become("connected")
            self._pause.reset()
            # Waiting for an answer may swallow the cancellation (Python 3.11's wait_for does, when both come at once).
            while not told_to_end():
                try:
                    messages = await source.fetch(BATCH, timeout=_FETCH_S)
                except TimeoutError:
                    # Nothing came: or the consumer is gone, which this look would say.
                    self.waiting = (await source.consumer_info()).num_pending
                else:
                    await self._take(messages)

    async def _subscribe(self, stream: JetStreamContext) -> JetStreamContext.PullSubscription:
        from nats.js.api import AckPolicy, ConsumerConfig

        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=_ACK_WITHIN_S, max_ack_pending=BATCH)
        return await stream.pull_subscribe(SUBJECT, durable=DURABLE, stream=STREAM, config=config)

    async def _take(self, messages: list[Msg]) -> None:
        """Make messages durable together, then acknowledge each.

        Raises:
            StorageError: The journal refused; the messages were given back and come again.
        """
        facts: list[AnyFact] = []
        unreadable = 0
        for message in messages:
            found, good = self._read(message)
            facts += found
            unreadable += not good
        durable = False
        try:
            await self._intake.accept(facts)
            durable = True
        except StorageError:
            raise
        except FillbookError as error:
            # The books have failed and say so in health; what came is in the journal, and coming again adds nothing.
            log.error("events are in the journal but not in the books: %s", error)
            durable = True
        finally:
            if not durable:
                await self._give_back(messages)
        self.taken += len(messages)
        self.refused += unreadable
        for message in messages:
            await message.ack()

    def _read(self, message: Msg) -> tuple[list[AnyFact], bool]:
        now = self._clock.now()
        try:
            return facts_of(message.data, message.headers, now), True
        except Unreadable as error:
            place = message.metadata.sequence.stream
            log.warning("event %d went to quarantine: %s", place, error)
            return quarantined(message.data, message.headers, place, str(error), now), False

    async def _give_back(self, messages: list[Msg]) -> None:
        """Ask for another delivery at once; without it, it comes by itself after a while."""
        from nats.errors import Error

        try:
            for message in messages:
                await message.nak()
        except Error as error:
            log.info("events come again after %g s: %s", _ACK_WITHIN_S, plain(error, self._url))
