"""What is done while a connection lasts: replay, watch, subscribe, describe, tidy.

Five small loops beside one another. The first that ends ends the connection: the others are cancelled, and what went
wrong is the reason that the next attempt shows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from engine.broker.account import AccountBook
from engine.broker.session import Session
from engine.core.events import AnyFact
from engine.core.instrument import Instrument
from engine.errors import BrokerUnavailable
from engine.ports import Clock
from engine.settings import Settings

log: Final = logging.getLogger(__name__)

_UNANSWERED: Final = 3
"""Questions in a row that IB may leave unanswered before the connection is given up (R24)."""

_AGAIN_S: Final = 5.0
_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 60.0
_DETAILS_RETRY_S: Final = 60.0
_DETAILS_LONGEST_S: Final = 3600.0
_TIDY_EVERY_S: Final = 5.0
_SINGLE_PORTFOLIO_S: Final = 170.0


class Owner(Protocol):
    """What the loops need of the broker."""

    settings: Settings
    accounts: AccountBook
    settled: asyncio.Event

    def emit(self, facts: Sequence[AnyFact]) -> bool:
        """Hand on facts."""
        ...

    def sweep(self, session: Session) -> None:
        """Compare the library's own list of fills with what went by."""
        ...

    def changed(self) -> None:
        """Work out the state anew."""
        ...


class Work:
    """The loops of one connection.

    Attributes:
        synchronised: True when everything was replayed since the link was last restored.
        synchronised_at: When that was last the case.
        problem: What the last replay lacked, in words.
        stale: Why the connection counts as stale; empty when something is heard.
    """

    def __init__(
        self,
        broker: Owner,
        session: Session,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        *,
        portfolio_every_s: float,
    ) -> None:
        self.synchronised = False
        self.synchronised_at: datetime | None = None
        self.problem = ""
        self.stale = ""
        self._broker = broker
        self._session = session
        self._clock = clock
        self._sleep = sleep
        self._portfolio_every_s = portfolio_every_s
        self._loop = asyncio.get_running_loop()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._round = 0
        self._subscribe = asyncio.Event()
        self._subscribe.set()
        self._undescribed: dict[int, tuple[float, int]] = {}
        self._described: set[int] = set()
        self._new_instrument = asyncio.Event()

    async def run(self) -> None:
        """Do everything until the connection ends.

        Raises:
            BrokerUnavailable: IB stopped answering.
        """
        loops = (self._replay(), self._watch(), self._values(), self._portfolios(), self._details(), self._tidy())
        tasks: set[asyncio.Future[Any]] = {asyncio.ensure_future(loop) for loop in loops}
        try:
            await asyncio.wait({*tasks, self._session.ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            failure = None if task.cancelled() else task.exception()
            if isinstance(failure, BrokerUnavailable):
                raise failure
            if failure is not None:
                log.error("looking after the connection failed", exc_info=failure)
                raise BrokerUnavailable(f"looking after the connection failed: {failure!r}") from failure

    async def synchronise(self) -> int:
        """Replay everything, and count the connection as synchronised when nothing happened meanwhile.

        Raises:
            BrokerUnavailable: IB gave no complete answer about executions.
        """
        started = self._round
        executions, self.problem = await self._session.replay(whole=not self.synchronised)
        self._broker.sweep(self._session)
        if started == self._round:
            self.synchronised = True
            self.synchronised_at = self._clock.now()
        self._broker.changed()
        return executions

    def restored(self, *, subscriptions_lost: bool) -> None:
        """The link between TWS and IB came back: ask for everything again (R1, F129)."""
        self.again()
        if subscriptions_lost:
            self._subscribe.set()

    def again(self) -> None:
        """Replay again; until that is done nothing counts as complete."""
        self._round += 1
        self.synchronised = False
        self._wanted.set()

    def again_threadsafe(self) -> None:
        """Replay again a little later, asked for by any thread; what was complete stays so meanwhile."""
        try:
            self._loop.call_soon_threadsafe(self._loop.call_later, _AGAIN_S, self._wanted.set)
        except RuntimeError:
            log.warning("the loop is closed: the next connection will ask for the executions")

    def describe(self, instrument: Instrument) -> None:
        """Ask for an instrument's details soon, once; never for a combination (F78)."""
        con_id = instrument.con_id
        if not con_id or instrument.is_combo or con_id in self._described or con_id in self._undescribed:
            return
        self._undescribed[con_id] = (0.0, 0)
        self._new_instrument.set()

    async def _replay(self) -> None:
        pause_s = _FIRST_RETRY_S
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.synchronise()
                pause_s = _FIRST_RETRY_S
            except BrokerUnavailable as error:
                self.problem = str(error)
                log.warning("executions could not be replayed: %s", error)
                self._broker.changed()
                self._broker.settled.set()
                await self._sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_RETRY_S)
                self._wanted.set()
            self._broker.settled.set()

    async def _watch(self) -> None:
        """Ask whether IB is there when nothing is heard (R24)."""
        limit = self._broker.settings.stale_after_s
        unanswered = 0
        while True:
            await self._sleep(min(limit / 4, 5.0))
            if self._session.silence_s() < limit:
                unanswered = 0
                if self.stale:
                    self.stale = ""
                    self.again()
                    self._broker.changed()
                continue
            try:
                await self._session.current_time()
            except BrokerUnavailable as error:
                unanswered += 1
                self.stale = (
                    f"nothing heard for {self._session.silence_s():.0f} s, and IB does not say its time: {error}"
                )
                self._broker.changed()
                if unanswered >= _UNANSWERED:
                    raise BrokerUnavailable(self.stale) from error

    async def _values(self) -> None:
        while True:
            await self._subscribe.wait()
            self._subscribe.clear()
            for account in self._session.accounts:
                try:
                    await self._session.account_values(account)
                except BrokerUnavailable as error:
                    log.warning("%s", error)
            self._broker.emit(self._broker.accounts.rates_due(self._clock.now()))

    async def _portfolios(self) -> None:
        """Marks of one account after the other, since IB serves one at a time (F116)."""
        accounts = self._session.accounts
        pause_s = self._portfolio_every_s if len(accounts) > 1 else _SINGLE_PORTFOLIO_S
        while True:
            for account in accounts:
                try:
                    await self._session.portfolio(account)
                except BrokerUnavailable as error:
                    log.warning("%s", error)
                await self._sleep(pause_s)
            if not accounts:
                await self._sleep(pause_s)

    async def _details(self) -> None:
        while True:
            due = [con_id for con_id, (at, _) in self._undescribed.items() if at <= self._clock.monotonic()]
            if not due:
                self._new_instrument.clear()
                try:
                    async with asyncio.timeout(_TIDY_EVERY_S):
                        await self._new_instrument.wait()
                except TimeoutError:
                    log.debug("no new instruments")
            for con_id in due:
                await self._describe(con_id)

    async def _describe(self, con_id: int) -> None:
        try:
            found = await self._session.details(con_id)
        except BrokerUnavailable as error:
            failures = self._undescribed[con_id][1]
            pause_s = min(_DETAILS_RETRY_S * 2**failures, _DETAILS_LONGEST_S)
            self._undescribed[con_id] = (self._clock.monotonic() + pause_s, failures + 1)
            log.info("%s; asking again in %.0f s", error, pause_s)
            return
        self._undescribed.pop(con_id, None)
        self._described.add(con_id)
        self._broker.emit([found])

    async def _tidy(self) -> None:
        while True:
            await self._sleep(_TIDY_EVERY_S)
            self._broker.sweep(self._session)
            self._broker.emit(self._broker.accounts.rates_due(self._clock.now()))
