"""One connection to IB from its opening to its end, with a client object of its own.

The libraries keep positions and trades of an earlier connection when their object is used again, so every connection
has a new one. Their own ``connectAsync`` is not used: it asks for everything at once, treats what times out as empty
(F124) or lets it raise, and waits out the whole time-out when IB has already hung up. Only the library's socket,
request encoders and decoders are, with taps in front of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.broker.account import AccountBook, is_aggregate, is_master
from engine.broker.instruments import described
from engine.broker.library import hang_up
from engine.broker.repeats import LastSaid
from engine.broker.requests import COMPLETED_ORDERS, CURRENT_TIME, OPEN_ORDERS, POSITIONS, Requests
from engine.broker.sights import OrderSights
from engine.broker.taps import Taps, portfolio_key
from engine.broker.throttle import Throttle
from engine.core.events import AnyFact, InstrumentDescribed
from engine.errors import BrokerUnavailable, ClientIdInUse
from engine.ports import Clock
from engine.settings import Settings

CLIENT_ID_IN_USE: Final = 326
_GOODBYE_S: Final = 1.0

_REST: Final = 30.0
"""Completed orders are asked for again after so many times as long as the last answer took."""

MOST_REQUESTS_PER_S: Final = 24
"""IB hangs up above 50 messages in a second as *it* sees them (F132). Two of our seconds can arrive within one of its."""


class Session:
    """One connection.

    Args:
        library: The client library's module.
        epoch: Number of the connection.
        accounts: Takes values and portfolio rows.
        emit: Takes facts.
        notice: Takes IB's errors and notices that ended no request: number, code, text.
        lost: Called at once when the other side ends the connection, with the reason.
        pressed: True while facts wait to be booked, and IB's socket should not be read.
        said: What executions and fees said last, in this connection or one before.
    """

    def __init__(
        self,
        library: Any,
        settings: Settings,
        *,
        epoch: int,
        clock: Clock,
        accounts: AccountBook,
        emit: Callable[[Sequence[AnyFact]], bool],
        notice: Callable[[int, int, str], None],
        lost: Callable[[str], None] = lambda _: None,
        pressed: Callable[[], bool] = lambda: False,
        said: LastSaid | None = None,
    ) -> None:
        self.epoch = epoch
        self.accounts: tuple[str, ...] = ()
        self.masters: tuple[str, ...] = ()
        self.heard_at = clock.monotonic()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._library = library
        self._settings = settings
        self._clock = clock
        self._emit = emit
        self._notice = notice
        self._lost = lost
        self._refusal = ""
        self._replaying = asyncio.Lock()
        self._one_portfolio = asyncio.Lock()
        self._accounts = accounts
        self._completed_after = 0.0
        self.ib = library.IB()
        self.ib.RaiseRequestErrors = True
        self.ib.TimezoneTWS = settings.ib_timezone
        self.ib.wrapper.clientId = settings.ib_client_id
        self._client = self.ib.client
        self._client.MaxRequests = MOST_REQUESTS_PER_S
        self.requests = Requests(self._client.getReqId, settings.ib_timeout_s)
        connection = self._client.conn
        self.throttle = Throttle(pressed, lambda: connection.transport, self.requests.postpone)
        self._sights = OrderSights(settings.ib_client_id, settings.ib_timezone)
        self.taps = Taps(
            requests=self.requests,
            accounts=accounts,
            sights=self._sights,
            emit=self._hand_on,
            notice=self._noticed,
            heard=self._heard,
            now=clock.now,
            zone=settings.ib_timezone,
            said=said,
        )
        self.taps.install(self.ib)

    @property
    def server_version(self) -> int:
        """The protocol version that the gateway answered with."""
        return int(self._client.serverVersion())

    async def open(self) -> None:
        """Connect, and return when IB has named its accounts.

        Raises:
            ClientIdInUse: IB refuses our client id.
            BrokerUnavailable: Nobody answers, the answer is no gateway's, or its protocol is newer than the library's.
        """
        settings = self._settings
        where = f"{settings.ib_host}:{settings.ib_port}"
        self._client.conn.disconnected.connect(self._disconnected, keep_ref=True)
        opening = asyncio.ensure_future(
            self._client.connectAsync(settings.ib_host, settings.ib_port, settings.ib_client_id, settings.ib_timeout_s)
        )
        try:
            waiting: set[asyncio.Future[Any]] = {opening, self.ended}
            await asyncio.wait(waiting, timeout=settings.ib_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not opening.done():
                opening.cancel()
                await asyncio.wait({opening}, timeout=_GOODBYE_S)
        if self._refusal:
            raise ClientIdInUse(self._refusal)
        failure = None if opening.cancelled() or not opening.done() else opening.exception()
        if isinstance(failure, OSError) and not isinstance(failure, TimeoutError):
            raise BrokerUnavailable(f"IB does not answer at {where}: {failure}") from failure
        if failure is not None or opening.cancelled() or not opening.done() or self.ended.done():
            hung_up = self.ended.done()
            said = "hung up while connecting" if hung_up else f"did not complete it in {settings.ib_timeout_s:g} s"
            raise BrokerUnavailable(f"IB at {where} accepted the connection and {said}") from failure
        newest = int(self._client.MaxClientVersion)
        if self.server_version > newest:
            raise BrokerUnavailable(
                f"the gateway at {where} answers with protocol {self.server_version}, "
                f"{settings.ib_client} reads up to {newest}: its messages would be lost"
            )
        managed = [account.strip() for account in self._client.getAccounts()]
        self.accounts = tuple(a for a in managed if a and not is_master(a) and not is_aggregate(a))
        self.masters = tuple(a for a in managed if is_master(a) or is_aggregate(a))
        if len(managed) == 1:
            self._sights.only_account = managed[0]
        if settings.ib_client_id == 0:
            self._client.reqAutoOpenOrders(True)  # noqa: FBT003 - IB's flag

    def close(self, reason: str) -> None:
        """End the connection and every open request; may be called again."""
        self.requests.close(reason)
        if not self.ended.done():
            self.ended.set_result(reason)
        hang_up(self._client)

    # What can be asked; everything raises BrokerUnavailable when there is no complete answer.

    async def positions(self) -> list[Any]:
        """(account, row) as ``wire.position`` reads them, in the order of arrival.

        The subscription that the request starts is ended, so that the next answer holds nothing else than itself.
        """
        rows = await self.requests.unnumbered(POSITIONS, self._client.reqPositions)
        self._client.cancelPositions()
        return rows

    async def replay(self, *, whole: bool = True) -> tuple[int, str]:
        """Ask for everything that IB can replay: orders first, then executions; one replay at a time.

        Args:
            whole: With completed orders in any case; else only when asking for them took little of the time since then. A
                day may have a hundred thousand, and each takes the client library ten times what an execution does.

        Returns:
            Number of executions, and what went wrong with the orders in words (no reason to doubt positions).

        Raises:
            BrokerUnavailable: IB gave no complete answer about executions.
        """
        async with self._replaying:
            asked = [self.open_orders()]
            if whole or self._clock.monotonic() >= self._completed_after:
                asked.append(self.completed_orders())
            orders = await asyncio.gather(*asked, return_exceptions=True)
            odd = []
            for outcome in orders:
                if isinstance(outcome, BrokerUnavailable):
                    odd.append(str(outcome))
                elif isinstance(outcome, BaseException):
                    raise outcome
            return await self.executions(), "; ".join(odd)

    async def open_orders(self) -> int:
        """Ask for everybody's open orders; the facts go their own way. Returns how many."""
        return len(await self.requests.unnumbered(OPEN_ORDERS, self._client.reqAllOpenOrders))

    async def completed_orders(self) -> int:
        """Ask for the day's completed orders; the facts go their own way. Returns how many."""
        ask, began = self._client.reqCompletedOrders, self._clock.monotonic()
        rows = await self.requests.unnumbered(COMPLETED_ORDERS, lambda: ask(False))  # noqa: FBT003 - IB's flag
        ended = self._clock.monotonic()
        self._completed_after = ended + _REST * (ended - began)
        return len(rows)

    async def executions(self) -> int:
        """Ask for the day's executions of all clients; the facts go their own way. Returns how many."""
        everything = self._library.ExecutionFilter()
        ask = self._client.reqExecutions
        return len(await self.requests.numbered("executions", lambda number: ask(number, everything)))

    async def details(self, con_id: int) -> InstrumentDescribed:
        """Ask for an instrument's details. Never for a combination's, which IB does not answer (F78)."""
        contract = self._library.Contract(conId=con_id)
        ask = self._client.reqContractDetails
        rows = await self.requests.numbered(f"details of {con_id}", lambda number: ask(number, contract))
        for row in rows:
            found = described(row, self._clock.now())
            if found.instrument.con_id == con_id:
                return found
        raise BrokerUnavailable(f"details of {con_id}: IB knows no such contract")

    async def account_values(self, account: str) -> None:
        """Subscribe to an account's values, exchange rates included."""
        ask = self._client.reqAccountUpdatesMulti
        await self.requests.numbered(f"values of {account}", lambda number: ask(number, account, "", False))  # noqa: FBT003

    async def portfolio(self, account: str) -> None:
        """Subscribe to an account's portfolio rows; IB serves one account at a time, the last one asked for (F116)."""
        ask = self._client.reqAccountUpdates
        async with self._one_portfolio:
            self._accounts.portfolio_begins(account)
            await self.requests.unnumbered(portfolio_key(account), lambda: ask(True, account))  # noqa: FBT003 - IB's flag
            self._accounts.portfolio_ends(account)

    async def current_time(self) -> None:
        """Ask IB for its time, to hear whether it is there."""
        await self.requests.unnumbered(CURRENT_TIME, self._client.reqCurrentTime)

    def silence_s(self) -> float:
        """Seconds since the last message."""
        return self._clock.monotonic() - self.heard_at

    def _hand_on(self, facts: Sequence[AnyFact]) -> bool:
        taken = self._emit(facts)
        self.throttle.passed(len(facts))
        return taken

    def _heard(self) -> None:
        self.heard_at = self._clock.monotonic()

    def _noticed(self, number: int, code: int, text: str, ended_request: bool) -> None:
        if code == CLIENT_ID_IN_USE:
            self._refusal = f"client id {self._settings.ib_client_id} is in use at IB (error 326); no other id is tried"
        if not ended_request:
            self._notice(number, code, text)

    def _disconnected(self, message: str) -> None:
        reason = f"the connection ended{f': {message}' if message else ''}"
        self.requests.close(reason)
        if not self.ended.done():
            self.ended.set_result(reason)
            self._lost(reason)
