"""Reads IB's socket no faster than its facts become durable and booked.

A replay of a busy day is a hundred thousand messages at once. Read as they come they would all wait in memory, a kilobyte
each; left in the socket they wait at IB, which is used to slow readers. So reading rests while facts pile up. It does not
rest because the store is away: then facts are let go from memory and wait in the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

_LOOK_EVERY: Final = 64
_REST_S: Final = 0.01


class Throttle:
    """Pauses and resumes one connection's reading.

    Args:
        pressed: True while more facts wait in memory than should. It must end by itself.
        transport: The connection's transport, ``None`` once it is gone.
        rested: Told, again and again while it rests, how many seconds nothing was read: no answer is late for these.

    Attributes:
        rests: How often reading rested.
    """

    def __init__(
        self, pressed: Callable[[], bool], transport: Callable[[], Any], rested: Callable[[float], None]
    ) -> None:
        self._pressed = pressed
        self._transport = transport
        self._rested = rested
        self._count = 0
        self.rests = 0
        self._since: float | None = None

    def passed(self, facts: int) -> None:
        """So many facts have been handed on; called on the connection's loop."""
        self._count += facts
        if self._count < _LOOK_EVERY or self._since is not None:
            return
        self._count = 0
        transport = self._transport()
        if transport is None or not self._pressed():
            return
        transport.pause_reading()
        self.rests += 1
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        loop.call_later(_REST_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._since is not None
        now = loop.time()
        self._rested(now - self._since)
        self._since = now
        transport = self._transport()
        if transport is not None and self._pressed():
            loop.call_later(_REST_S, self._look, loop)
            return
        self._since = None
        if transport is not None:
            transport.resume_reading()
