"""The strategies' end of the events transport: a queue for a process that is not the engine's.

``RemoteQueue`` is used like ``StrategyManager.message_queue``. ``put`` freezes what the (mutable) IB objects say at that
moment and returns; a thread of its own publishes and waits for JetStream's confirmation of every message. Until it is
confirmed a message is held in memory, over any number of lost connections; a process that dies before that loses it
here, and the engine learns of the execution from IB itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import threading
import uuid
from collections import deque
from itertools import islice
from queue import Full
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from engine.clock import SystemClock
from engine.core.events import WIRE_VERSION, encode_facts
from engine.errors import FillbookError
from engine.pipeline.messages import readable
from engine.pipeline.remote_wire import (
    ID_HEADER,
    MISSING,
    STREAM,
    SUBJECT,
    VERSION_HEADER,
    ClientMissing,
    Pause,
    linked,
    plain,
    shown,
    told_to_end,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.js import JetStreamContext

    from engine.ports import Clock

log = logging.getLogger(__name__)

MOST_BYTES: Final = 64 * 1024 * 1024
"""Encoded messages held at most: about 200,000 fills."""
_TOGETHER: Final = 64
_CONFIRM_S: Final = 5.0
_LOOK_S: Final = 1.0


class _Letter(NamedTuple):
    number: int
    name: str
    data: bytes


class RemoteQueue:
    """What strategies on other hosts put on; safe from any thread, and never waits for the network.

    Attributes:
        problem: Why nothing is confirmed at present, without credentials; empty when all is well.
        rejected: Messages that the server takes under no circumstances (larger than it allows); logged one by one.
    """

    def __init__(
        self, url: str, *, default_zone: str = "", most_bytes: int = MOST_BYTES, clock: Clock | None = None
    ) -> None:
        """Start publishing in the background; the server need not be there yet.

        Args:
            url: ``nats://[USER:PASSWORD@]HOST:PORT`` or ``tls://…``.
            default_zone: Zone of execution times that name none.
            most_bytes: Encoded messages held in memory at most.

        Raises:
            ClientMissing: nats-py is not installed.
        """
        if importlib.util.find_spec("nats") is None:
            raise ClientMissing(MISSING)
        self._url = url
        self._zone = default_zone
        self._most = most_bytes
        self._clock = clock or SystemClock()
        self._name = uuid.uuid4().hex
        self._held: deque[_Letter] = deque()
        self._bytes = 0
        self._number = 0
        self._extra_done = 0
        self._changed = threading.Condition()
        self._pause = Pause()
        self.problem = ""
        self.rejected = 0
        self.closed = False
        self._ended = False
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._live, name="remote queue", daemon=True)
        self._thread.start()

    # --- what strategies call -----------------------------------------------------------------------------------------

    def put(self, message: Mapping[str, object], block: bool = True, timeout: float | None = None) -> None:
        """Take a message; what it refers to is read before this returns.

        Args:
            message: One of the contract's four kinds; anything else reaches the engine's quarantine.
            block: With a ``timeout``: wait for room when the memory allowed is used up.
            timeout: Seconds to wait for room; ``None`` waits not at all, since a strategy must not hang on a network.

        Raises:
            queue.Full: The memory allowed is used up; nothing was accepted.
            RuntimeError: The queue is closed; nothing was accepted.
        """
        data = encode_facts(readable(message, self._clock, "remote queue", self._zone))
        with self._changed:
            if not self._has_room(data) and block and timeout:
                self._changed.wait_for(lambda: self.closed or self._has_room(data), timeout)
            if self.closed:
                raise RuntimeError("the queue is closed; this message was not accepted")
            if not self._has_room(data):
                raise Full(f"{len(self._held)} messages wait for {shown(self._url)}: {self.problem or 'it is slow'}")
            self._number += 1
            self._held.append(_Letter(self._number, f"{self._name}.{self._number}", data))
            self._bytes += len(data)
            # Inside the lock, so that close() cannot end the loop between the two.
            self._loop.call_soon_threadsafe(self._wake.set)

    def put_nowait(self, message: Mapping[str, object]) -> None:
        """The same as :meth:`put`, which does not wait either unless told to."""
        self.put(message, block=False)

    def qsize(self) -> int:
        """Messages that JetStream has not confirmed yet."""
        with self._changed:
            return len(self._held)

    def empty(self) -> bool:
        """True when JetStream has confirmed every message."""
        return self.qsize() == 0

    def join(self) -> None:
        """Block the calling thread until JetStream has confirmed every message put so far.

        Raises:
            FillbookError: The queue was closed before that.
        """
        with self._changed:
            last = self._number
            self._changed.wait_for(lambda: self._confirmed(last) or self._ended)
            if not self._confirmed(last):
                raise FillbookError(self._left())

    def task_done(self) -> None:
        """Accepted for a ``queue.Queue``'s sake: the queue itself keeps count of what is confirmed.

        Raises:
            ValueError: Called more often than messages wait.
        """
        with self._changed:
            if self._extra_done >= len(self._held):
                raise ValueError("task_done() called too many times")
            self._extra_done += 1

    def close(self, timeout: float = 30.0) -> None:
        """Accept no more, publish what is held, let go; idempotent.

        Args:
            timeout: Seconds allowed for publishing what is held.

        Raises:
            FillbookError: Messages are left that JetStream has not confirmed; the text counts them.
        """
        with self._changed:
            if not self.closed:
                self.closed = True
                self._loop.call_soon_threadsafe(self._wake.set)
            self._changed.notify_all()
        self._thread.join(timeout)
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it ended by itself at this very moment
                self._loop.call_soon_threadsafe(self._give_up)
            self._thread.join()
        if self._held:
            raise FillbookError(self._left())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the queue's own thread ---------------------------------------------------------------------------------------

    def _has_room(self, data: bytes) -> bool:
        return self._bytes + len(data) <= self._most

    def _confirmed(self, last: int) -> bool:
        return not self._held or self._held[0].number > last

    def _left(self) -> str:
        return f"{len(self._held)} messages were not confirmed by {shown(self._url)}: {self.problem or 'no time left'}"

    def _give_up(self) -> None:
        if self._work is not None:
            self._work.cancel()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._work = self._loop.create_task(self._publish_for_ever())
            with contextlib.suppress(asyncio.CancelledError):  # close() has waited long enough
                self._loop.run_until_complete(self._work)
        finally:
            with self._changed:
                self.closed = self._ended = True
                self._loop.close()
                self._changed.notify_all()

    async def _publish_for_ever(self) -> None:
        # What waits for an answer may swallow the cancellation of close(), so that it is also looked for.
        while not (self.closed and self.empty()) and not told_to_end():
            try:
                await self._session()
            except asyncio.CancelledError:
                if told_to_end():
                    raise
                await self._rest("the connection was lost")
            except Exception as error:  # noqa: BLE001 - shown as the problem, logged, and tried again
                await self._rest(plain(error, self._url))

    async def _rest(self, reason: str) -> None:
        if reason != self.problem:
            log.warning("events to %s wait in memory: %s", shown(self._url), reason)
        self.problem = reason
        await asyncio.sleep(self._pause.take())

    async def _session(self) -> None:
        """One connection, until it fails or all is done after :meth:`close`."""
        async with linked(self._url, "fillbook strategies") as stream:
            self.problem = ""
            self._pause.reset()
            while not told_to_end():
                self._wake.clear()
                with self._changed:
                    letters = list(islice(self._held, _TOGETHER))
                if letters:
                    await self._send(stream, letters)
                elif self.closed:
                    return
                else:
                    await self._idle(stream)

    async def _idle(self, stream: JetStreamContext) -> None:
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._wake.wait()
        except TimeoutError:
            if not stream._nc.is_connected:  # noqa: SLF001 - the context has no public word for it
                raise ConnectionError("the connection was lost") from None

    async def _send(self, stream: JetStreamContext, letters: list[_Letter]) -> None:
        """Publish together and take off the queue what is confirmed.

        Raises:
            Exception: The first failure; what failed is still held and goes out again under the same id.
        """
        from nats.errors import MaxPayloadError

        results = await asyncio.gather(*(self._publish(stream, one) for one in letters), return_exceptions=True)
        failures: list[BaseException] = []
        kept: list[_Letter] = []
        for letter, result in zip(letters, results, strict=True):
            if isinstance(result, MaxPayloadError):
                self.rejected += 1
                log.critical("a message of %d bytes is lost: the server allows no such size", len(letter.data))
            elif isinstance(result, BaseException):
                failures.append(result)
                kept.append(letter)
        self._settle(letters, kept)
        if failures:
            raise failures[0]

    def _settle(self, letters: list[_Letter], kept: list[_Letter]) -> None:
        with self._changed:
            for letter in letters:
                self._held.popleft()
                self._bytes -= len(letter.data)
            self._held.extendleft(reversed(kept))
            self._bytes += sum(len(letter.data) for letter in kept)
            self._extra_done = max(0, self._extra_done - len(letters) + len(kept))
            self._changed.notify_all()

    async def _publish(self, stream: JetStreamContext, letter: _Letter) -> Any:
        headers = {ID_HEADER: letter.name, VERSION_HEADER: str(WIRE_VERSION)}
        return await stream.publish(SUBJECT, letter.data, timeout=_CONFIRM_S, stream=STREAM, headers=headers)
