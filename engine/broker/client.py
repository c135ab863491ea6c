"""The engine's own connection to IB, and its door: a connection for ever, facts out, complete answers or none."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.broker.account import AccountBook
from engine.broker.connection import Backoff, BrokerState
from engine.broker.library import forget_all, load_library, refuse_patched_asyncio
from engine.broker.link_state import KEPT, LinkKeeper
from engine.broker.outlet import Outlet
from engine.broker.positions import PositionMemory, account_problem, snapshots
from engine.broker.repeats import LastSaid
from engine.broker.session import Session
from engine.broker.work import Work
from engine.core.events import AnyFact, Fill, InstrumentDescribed, OrderUpdate
from engine.core.snapshot import AccountSnapshot, AccountValue, Confirmed, Mark, Unknown
from engine.errors import BrokerError, BrokerUnavailable
from engine.ports import Clock
from engine.settings import Settings

log = logging.getLogger(__name__)

__all__ = ["BrokerState", "IbBroker", "Notice", "load_library"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One of IB's errors or notices, for the connection log."""

    at: datetime
    number: int
    code: int
    text: str


class IbBroker:
    """The engine's door to IB: keeps a connection for ever, hands on facts, and answers questions completely or not.

    All of it lives on one event loop; ``state`` may be read from any thread.

    Args:
        sink: Takes facts in order; what it returns may be a future, whose failure makes a replay repeat them.
        on_state: Called on the loop with each new state.
        pressed: True while facts wait in memory to be booked: IB's socket is not read meanwhile.
        sleep: Waits; tests bring their own.
        backoff: Pauses between attempts to connect.
        pause_s: Pause before a suspicious answer is asked for again.
        portfolio_every_s: Pause between two accounts' portfolio rows, when there are several.

    Attributes:
        accounts: What IB reports about accounts.
        notices: IB's last errors and notices, oldest first.
        settled: Set when the first attempt to connect and replay has an outcome, good or bad.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        sink: Callable[[Sequence[AnyFact]], object],
        clock: Clock,
        on_state: Callable[[BrokerState], None] = lambda _: None,
        pressed: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        backoff: Backoff | None = None,
        pause_s: float = 0.5,
        portfolio_every_s: float = 5.0,
    ) -> None:
        self.settings = settings
        self.accounts = AccountBook(configured_base=settings.base_currency)
        self.notices: deque[Notice] = deque(maxlen=200)
        self.settled = asyncio.Event()
        self._clock = clock
        self._pressed = pressed
        self._sleep = sleep
        self._backoff = backoff or Backoff()
        self._pause_s = pause_s
        self._portfolio_every_s = portfolio_every_s
        self._outlet = Outlet(sink, self._not_accepted)
        self._said = LastSaid()
        self._heard_at: datetime | None = None
        self._link = LinkKeeper(settings, clock, on_state, self.emit, lambda: self.heard_at)
        self._memory = PositionMemory()
        self._session: Session | None = None
        self._work: Work | None = None
        self._stopping = asyncio.Event()
        self._running = False
        self._finished = asyncio.Event()
        self._positioning = asyncio.Lock()

    # What it says.

    @property
    def state(self) -> BrokerState:
        """The link as it is now."""
        return self._link.state

    @property
    def heard_at(self) -> datetime | None:
        """When anything at all was last heard from IB, to the second; ``None`` before the first word."""
        if self._session is not None:
            silence = timedelta(seconds=self._session.silence_s())
            self._heard_at = (self._clock.now() - silence).replace(microsecond=0)
        return self._heard_at

    @property
    def available(self) -> bool:
        """True while a complete answer can be had."""
        return self._link.state.state == "connected"

    def marks(self) -> Mapping[tuple[str, int], Mark]:
        """Latest marks per (account, con_id), currency per unit."""
        return self.accounts.marks()

    def base_currency(self, account: str) -> str | None:
        """The account's base currency, ``None`` while unknown or ambiguous."""
        return self.accounts.base(account)

    def rate(self, account: str, currency: str) -> tuple[Decimal, datetime] | None:
        """Base units per unit of ``currency`` and when IB said so; ``None`` when unknown."""
        return self.accounts.rate(account, currency)

    def account_values(self, account: str = "") -> list[AccountValue]:
        """Account values as last reported."""
        return self.accounts.values(account)

    # What it does.

    def resume(self, heard_until: datetime | None) -> None:
        """Say when IB was last heard, before a process that ended; to be called before :meth:`run`."""
        self._link.heard_until = heard_until

    async def run(self) -> None:
        """Keep a connection until ``stop`` is called; connects, reconnects with back-off, never gives up.

        Raises:
            AssertionError: asyncio was patched (nest_asyncio): then nothing about the order of events holds.
            BrokerUnavailable: The client library is not installed.
        """
        refuse_patched_asyncio()
        library = load_library(self.settings.ib_client)
        self._running = True
        try:
            while not self._stopping.is_set():
                reason = await self._one_connection(library)
                if not self._stopping.is_set():
                    pause_s = self._backoff.next_s()
                    self._link.closed(reason, self._backoff.attempts)
                    self.settled.set()
                    await self._until_stopped(self._sleep(pause_s))
        finally:
            self._link.closed("stopped", 0)
            self.settled.set()
            self._finished.set()

    async def stop(self) -> None:
        """End the connection, and ``run``; returns when it has ended."""
        self._stopping.set()
        if self._running:
            await self._finished.wait()

    async def positions(self, accounts: Iterable[str] = ()) -> list[AccountSnapshot]:
        """A fresh, complete answer per account, or UNKNOWN with the reason.

        Args:
            accounts: Those asked about; empty for all that IB manages (or, without a connection, those configured).

        Returns:
            One per account. Serialised, each request timed out, never from a cache.
        """
        async with self._positioning:
            wanted = tuple(accounts) or self.state.accounts or self.settings.expected_accounts
            requested_at = self._clock.now()
            session = self._session
            if session is None or not self.available:
                return _unknown(wanted, self._why_not(), requested_at)
            try:
                answer = await self._asked(session, wanted)
                if self._memory.suspicious(answer, self.accounts.holds):
                    await self._sleep(self._pause_s)
                    answer = await self._asked(session, wanted)
                    for snapshot in answer:
                        if self._memory.lacking(snapshot):
                            await self._portfolio(session, snapshot.account)
                    answer = self._memory.doubted(answer, self.accounts.shown)
            except BrokerUnavailable as error:
                return _unknown(wanted, str(error), requested_at)
            if session is not self._session or not self.available:
                # The link broke while IB answered, perhaps from a cache of its own.
                return _unknown(wanted, self._why_not(), requested_at)
            self._memory.remember(answer)
            return answer

    async def refresh_executions(self) -> int:
        """Ask again for the day's executions, and open and completed orders; the facts go to the sink.

        Returns:
            How many executions IB reported.

        Raises:
            BrokerUnavailable: IB gave no complete answer about executions.
        """
        if self._work is None or self._link.down:
            raise BrokerUnavailable(self._why_not())
        return await self._work.synchronise()

    # For the loops of a connection.

    def emit(self, facts: Sequence[AnyFact]) -> bool:
        """Hand facts on, and ask for the details of instruments never seen. A bond's mark is never given out (F88).

        Returns:
            False when they were not taken, and IB is asked for them again.
        """
        for fact in facts:
            if isinstance(fact, Fill | OrderUpdate) and fact.instrument is not None and self._work is not None:
                self._work.describe(fact.instrument)
            if isinstance(fact, InstrumentDescribed) and not fact.instrument.is_percent_of_par:
                self.accounts.described(fact.instrument.con_id, fact.instrument.price_magnifier or 1)
        return self._outlet.emit(facts)

    def sweep(self, session: Session) -> None:
        """Compare the client library's own list of fills with what the taps saw; then it may forget them."""
        session.taps.sweep(session.ib.fills(), self._outlet.knows_execution)
        forget_all(session.ib)

    def changed(self) -> None:
        """Work out the state anew, and tell whoever listens when it changed."""
        if self._work is not None:
            self._link.judge(self._work, self._outlet.time_warning)

    # Inside.

    async def _one_connection(self, library: Any) -> str:
        """Connect and stay connected; returns why it ended."""
        session = Session(
            library,
            self.settings,
            epoch=self.state.epoch + 1,
            clock=self._clock,
            accounts=self.accounts,
            emit=self.emit,
            notice=self._noticed,
            lost=self._lost,
            pressed=self._pressed,
            said=self._said,
        )
        try:
            await self._until_stopped(session.open())
            if self._stopping.is_set():
                return "stopped"
            self._backoff.reset()
            refused = account_problem(session.accounts, self.settings.expected_accounts)
            self._link.opened(session.epoch, session.accounts, session.masters, session.server_version, refused)
            self._session = session
            self._work = Work(self, session, self._clock, self._sleep, portfolio_every_s=self._portfolio_every_s)
            self.changed()
            await self._until_stopped(self._work.run())
        except BrokerError as error:
            return str(error)
        finally:
            self._heard_at, self._session, self._work = self.heard_at, None, None
            session.close("the connection was given up")
        return session.ended.result()

    async def _until_stopped(self, doing: Awaitable[object]) -> None:
        """Wait for something, but no longer than until ``stop``; raises what it raises."""
        task = asyncio.ensure_future(doing)
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def _asked(self, session: Session, wanted: Sequence[str]) -> list[AccountSnapshot]:
        requested_at = self._clock.now()
        answer = snapshots(
            await session.positions(),
            wanted,
            managed=session.accounts,
            ready=self.accounts.ready,
            requested_at=requested_at,
            answered_at=self._clock.now(),
            epoch=session.epoch,
        )
        for snapshot in answer:
            if isinstance(snapshot, Confirmed) and self._work is not None:
                for row in snapshot.rows:
                    self._work.describe(row.instrument)
        return answer

    async def _portfolio(self, session: Session, account: str) -> None:
        """Have an account's portfolio rows told anew; without an answer the last known ones count."""
        try:
            await session.portfolio(account)
        except BrokerUnavailable as error:
            log.warning("%s", error)

    def _noticed(self, number: int, code: int, text: str) -> None:
        self.notices.append(Notice(at=self._clock.now(), number=number, code=code, text=text))
        if self._link.noticed(code) and self._work is not None:
            self._work.restored(subscriptions_lost=code != KEPT)
        self.changed()

    def _lost(self, reason: str) -> None:
        """The other side hung up: nobody may ask this connection any more, though its loops are still ending."""
        if self._session is not None:
            self._heard_at, self._session, self._work = self.heard_at, None, None
            self._link.closed(reason, self._backoff.attempts)

    def _why_not(self) -> str:
        return f"IB is {self.state.state}: {self.state.reason}" if not self.available else "the connection changed"

    def _not_accepted(self) -> None:
        """In any thread: the sink did not take facts, they must be asked for again."""
        work = self._work
        if work is not None:
            work.again_threadsafe()


def _unknown(accounts: Sequence[str], reason: str, requested_at: datetime) -> list[AccountSnapshot]:
    return [Unknown(account=account, reason=reason, requested_at=requested_at) for account in accounts or ("*",)]
