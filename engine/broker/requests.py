"""Requests to IB that end, one way or another: by their end marker, an error, a time-out or the end of the connection.

The client libraries end a failed request with an empty list unless told otherwise (F125), and leave the first of two
equal requests hanging for ever (F119). Here every request has a deadline, a failed one raises, and requests that IB's
protocol cannot tell apart (positions, open orders, completed orders have no request id) are made one after another.

Such an unnumbered request that timed out leaves a trap behind: its end marker may still come, and would end the *next*
request of its kind half-way. Rows between two consecutive end markers are always one whole answer, so after a time-out
the next request is made twice and the first answer thrown away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from engine.errors import BrokerUnavailable

POSITIONS: Final = "positions"
OPEN_ORDERS: Final = "open orders"
COMPLETED_ORDERS: Final = "completed orders"
CURRENT_TIME: Final = "current time"

UNREADABLE_REQUEST: Final = frozenset({320, 321, 322})
"""IB could not read or validate a request; without a request id it may be any of the unnumbered ones."""


class _Pending:
    __slots__ = ("answer", "deadline", "rows", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.deadline: asyncio.Timeout | None = None
        self.rows: list[Any] = []
        self.answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def fail(self, reason: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(BrokerUnavailable(f"{self.what}: {reason}"))


class Requests:
    """The open requests of one connection.

    Args:
        next_id: Draws the next request id; raises ``ConnectionError`` when there is no connection.
        timeout_s: Longest time for one answer.
    """

    def __init__(self, next_id: Callable[[], int], timeout_s: float) -> None:
        self._next_id = next_id
        self._timeout_s = timeout_s
        self._pending: dict[int | str, _Pending] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._unanswered: set[str] = set()
        self._closed = ""

    async def numbered(self, what: str, send: Callable[[int], object]) -> list[Any]:
        """Make a request that has an id.

        Args:
            what: What is asked for, in words.
            send: Sends it under the id it is given.

        Returns:
            The rows before the end marker.

        Raises:
            BrokerUnavailable: It failed, timed out, or the connection ended.
        """
        try:
            number = self._next_id()
        except ConnectionError as error:
            raise BrokerUnavailable(f"{what}: {self._closed or error}") from error
        return await self._ask(number, what, lambda: send(number))

    async def unnumbered(self, what: str, send: Callable[[], object]) -> list[Any]:
        """Make a request that has no id; serialised per kind, and repeated after one that timed out.

        Raises:
            BrokerUnavailable: It failed, timed out, or the connection ended.
        """
        async with self._locks.setdefault(what, asyncio.Lock()):
            if what in self._unanswered:
                await self._ask(what, what, send)
            self._unanswered.add(what)
            rows = await self._ask(what, what, send)
            self._unanswered.discard(what)
            return rows

    async def _ask(self, key: int | str, what: str, send: Callable[[], object]) -> list[Any]:
        if self._closed:
            raise BrokerUnavailable(f"{what}: {self._closed}")
        pending = self._pending[key] = _Pending(what)
        try:
            send()
            async with asyncio.timeout(self._timeout_s) as pending.deadline:
                return await pending.answer
        except TimeoutError:
            raise BrokerUnavailable(f"{what}: no complete answer within {self._timeout_s:g} s") from None
        except ConnectionError as error:
            raise BrokerUnavailable(f"{what}: {error}") from error
        finally:
            self._pending.pop(key, None)

    def asking(self, key: int | str) -> bool:
        """True while the request is open."""
        return key in self._pending

    def row(self, key: int | str, row: Any) -> None:
        """Add a row to an open request; rows of a stream that nobody asked for are not kept."""
        pending = self._pending.get(key)
        if pending is not None:
            pending.rows.append(row)

    def end(self, key: int | str) -> None:
        """The end marker came."""
        pending = self._pending.get(key)
        if pending is not None and not pending.answer.done():
            pending.answer.set_result(pending.rows)

    def postpone(self, seconds: float) -> None:
        """Give every open request so many seconds more: nothing was read for as long, by us."""
        for pending in self._pending.values():
            deadline = pending.deadline
            if deadline is not None and not deadline.expired() and (when := deadline.when()) is not None:
                deadline.reschedule(when + seconds)

    def fail(self, key: int | str, reason: str) -> bool:
        """End an open request as failed; False when it is not open."""
        pending = self._pending.get(key)
        if pending is None:
            return False
        pending.fail(reason)
        return True

    def refused(self, number: int, code: int, text: str) -> bool:
        """Take an error of IB.

        Returns:
            True when it ended a request: then it says nothing about an order of the same number (F73).
        """
        if number >= 0:
            return self.fail(number, f"IB answers {code}: {text}")
        if code not in UNREADABLE_REQUEST:
            return False
        unnumbered = [key for key in self._pending if isinstance(key, str)]
        for key in unnumbered:
            self.fail(key, f"IB answers {code}: {text}")
        return bool(unnumbered)

    def close(self, reason: str) -> None:
        """The connection ended: every open request fails, and so does every later one (F134)."""
        self._closed = reason
        for pending in self._pending.values():
            pending.fail(reason)
