"""Fetches the day's Flex statement by itself, once a day: off unless ``FILLBOOK_FLEX_DAILY_AT`` names an hour.

IB finishes a day's statement in New York's night; at the hour given (New York's clock) it is fetched and imported like a
file. What fails is tried again after a minute, then after twice as long each time, an hour at most, until the next day's
turn comes. Importing again changes nothing, so a restart may fetch a day twice.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from engine.errors import FillbookError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.ports import Clock

log = logging.getLogger(__name__)

NEW_YORK: Final = ZoneInfo("America/New_York")
_FIRST_S: Final = 60.0
_MOST_S: Final = 3600.0
_LOOK_S: Final = 30.0


class FlexTimer:
    """One task that fetches and imports.

    Attributes:
        problem: Why the last attempt failed, empty when it did not.
        fetched_at: When a statement was last imported, ``None`` for never.
        told: What the last import came to, in one line.
    """

    def __init__(
        self,
        at: str,
        fetch: Callable[[], Awaitable[bytes]],
        take_in: Callable[[bytes], Awaitable[dict[str, Any]]],
        clock: Clock,
    ) -> None:
        """Take the hour (``HH:MM``, New York), how a statement is fetched, and what takes it in."""
        self._at = time.fromisoformat(at)
        self._fetch = fetch
        self._take_in = take_in
        self._clock = clock
        self._done: date | None = None
        self._failures = 0
        self._not_before: datetime | None = None
        self.problem = ""
        self.fetched_at: datetime | None = None
        self.told = ""

    async def run(self) -> None:
        """Look for ever whether it is time."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> bool:
        """Fetch when it is due; says whether it was tried."""
        now = self._clock.now()
        local = now.astimezone(NEW_YORK)
        if local.time() < self._at or self._done == local.date():
            return False
        if self._not_before is not None and now < self._not_before:
            return False
        try:
            result = await self._take_in(await self._fetch())
        except FillbookError as error:
            pause_s = min(_MOST_S, _FIRST_S * 2.0 ** min(self._failures, 30))
            self._failures += 1
            self._not_before = now + timedelta(seconds=pause_s)
            self.problem = f"the Flex statement was not fetched: {error}"
            log.warning("%s; trying again in %.0f s", self.problem, pause_s)
            return True
        self._done, self._failures, self._not_before = local.date(), 0, None
        self.problem, self.fetched_at, self.told = "", now, str(result["text"])
        return True

    def figures(self) -> dict[str, Any]:
        """For the health screen: at, fetched_at, told, problem, failures, next_try."""
        return {
            "at": f"{self._at:%H:%M} New York",
            "fetched_at": self.fetched_at,
            "told": self.told,
            "problem": self.problem,
            "failures": self._failures,
            "next_try": self._not_before,
        }
