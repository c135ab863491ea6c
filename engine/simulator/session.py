"""One client's connection: bytes in, requests out; messages in, bytes out.

Nothing here waits. What arrives is cut into frames and handled a slice at a time, so that a flood from one client
leaves the others their turn; what is sent is gathered and written once per turn of the loop, and a reader that lets
too much pile up is dropped. A request that cannot be read costs that request an error 320 and nothing more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, cast

from engine.simulator import answers
from engine.simulator.answers import Message
from engine.simulator.wire import BadField, Fields, Incoming, ProtocolError, choose_version, frame

if TYPE_CHECKING:
    from engine.simulator.gateway import Gateway

_LOG = logging.getLogger(__name__)
_SLICE = 200
_READ_AHEAD = 1024 * 1024
_LINGER_S = 5.0
_PACING_STRIKES = 3


class Subscriptions:
    """What a client has asked to hear regularly; keys are request ids."""

    def __init__(self) -> None:
        self.account: str = ""
        self.account_due = 0.0
        self.multi: dict[int, tuple[list[str], bool]] = {}
        self.summary: dict[int, list[str]] = {}
        self.pnl: dict[int, str] = {}
        self.pnl_single: dict[int, tuple[str, int]] = {}
        self.ticks: dict[int, int] = {}
        self.positions_multi: dict[int, list[str]] = {}


class Session(asyncio.Protocol):
    """A connection, from its first byte to its last."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.client_id = -1
        self.version = 0
        self.started = False
        self.closing = False
        self.wants_positions = False
        self.subscriptions = Subscriptions()
        self.messages_sent = 0
        self._incoming = Incoming(bytearray())
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._waiting = 0
        self._handling = False
        self._times: deque[float] = deque()
        self._strikes = 0
        self._deadline: asyncio.TimerHandle | None = None

    # the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; it has a while to say who it is."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self.gateway.config.max_buffer)
        if not self.gateway.admit(self):
            self.abort()
            return
        timeout = self.gateway.config.handshake_timeout_s
        self._deadline = self.gateway.loop.call_later(timeout, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        if exc is not None:
            _LOG.debug("client %s: connection lost: %s", self.client_id, exc)
        self.closing = True
        self._cancel_deadline()
        self.gateway.forget(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived, in whatever portions."""
        if self.closing:
            return
        self._incoming.feed(data)
        if self._incoming.pending() > _READ_AHEAD and self._transport is not None:
            self._transport.pause_reading()
        if not self._handling:
            self._work()

    def eof_received(self) -> bool:
        """The client has said its last word."""
        return False

    def pause_writing(self) -> None:
        """More than the allowed bytes wait for this reader: it is dropped, so that it costs nobody else."""
        _LOG.warning("client %s does not read: dropped", self.client_id)
        self.abort()

    def _late(self) -> None:
        if not self.started:
            self.abort()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # reading

    def _work(self) -> None:
        """Handle a slice of what has arrived, and come back for the rest."""
        self._handling = False
        try:
            for _ in range(_SLICE):
                if self.closing or not self._step():
                    break
            else:
                self._handling = True
                self.gateway.loop.call_soon(self._work)
        except ProtocolError as reason:
            _LOG.info("connection closed: %s", reason)
            self.abort()
            return
        if self._incoming.pending() <= _READ_AHEAD and self._transport is not None and not self.closing:
            self._transport.resume_reading()
        elif not self._handling and self._transport is not None and not self.closing:
            self._transport.resume_reading()  # one frame larger than the read-ahead is still arriving

    def _step(self) -> bool:
        """Handle one greeting or message.

        Returns:
            Whether there was one.
        """
        if not self._incoming.greeted:
            greeting = self._incoming.greeting()
            return greeting is not None and self._greet(*greeting)
        items = self._incoming.message()
        if items is None:
            return False
        self._request(items)
        return True

    def _greet(self, low: int, high: int) -> bool:
        version = choose_version(low, high)
        if version is None:
            message = f"client speaks versions {low} to {high}"
            raise ProtocolError(message)
        self.version = version
        now = self.gateway.world.clock.now()
        self.send([version, now.strftime("%Y%m%d %H:%M:%S UTC")])
        return True

    def _request(self, items: list[str]) -> None:
        kind = items[0].strip()
        fields = Fields(items[1:])
        if not (kind.isascii() and kind.isdigit()) or len(kind) > 6:
            self.error(-1, 320, "Error reading request: unreadable message id")
            return
        if self.started and not self._within_pace():
            return
        try:
            self.gateway.handlers.handle(self, int(kind), fields)
        except BadField as reason:
            self.error(fields.request_id, 320, f"Error reading request. Message id: {kind} {reason}")

    def _within_pace(self) -> bool:
        allowed = self.gateway.config.max_messages_per_s
        if not allowed:
            return True
        now = self.gateway.loop.time()
        while self._times and now - self._times[0] > 1.0:
            self._times.popleft()
        self._times.append(now)
        if len(self._times) <= allowed:
            return True
        self._times.pop()
        self._strikes += 1
        self.error(-1, 100, f"Max rate of messages per second has been exceeded:max={allowed} ({self._strikes})")
        if self._strikes >= _PACING_STRIKES:
            self.close()
        return False

    # writing

    def start(self, client_id: int) -> None:
        """The client has said who it is and is taken on."""
        self.client_id = client_id
        self.started = True
        self._cancel_deadline()

    def send(self, message: Message) -> None:
        """Queue a message; it leaves at the end of this turn of the loop."""
        if self.closing:
            return
        self.messages_sent += 1
        self._out.append(frame(message))
        self.gateway.flush_soon(self)

    def send_raw(self, data: bytes) -> None:
        """Queue bytes as they are (for the fault desk)."""
        if not self.closing:
            self._out.append(data)
            self.gateway.flush_soon(self)

    def error(self, request_id: int, code: int, text: str) -> None:
        """Queue an error about a request, or about none (-1)."""
        self.send(answers.error(self.version, request_id, code, text))

    def flush(self) -> None:
        """Write what is queued."""
        if not self._out or self._transport is None:
            return
        data = b"".join(self._out)
        self._out.clear()
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """End the connection after everything queued has left: the client reads its last message first.

        Closing with unread input would send a reset, which may destroy what was sent; so the writing side is shut and
        input is thrown away until the client hangs up, for a few seconds at most.
        """
        if self.closing or self._transport is None:
            return
        self.flush()
        self.closing = True
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.gateway.loop.call_later(_LINGER_S, self.abort)

    def abort(self) -> None:
        """End the connection at once."""
        self.closing = True
        self._cancel_deadline()
        if self._transport is not None:
            self._transport.abort()

    def drop(self) -> None:
        """Write what is queued and end the connection without waiting for the client."""
        self.flush()
        self.closing = True
        if self._transport is not None:
            self._transport.close()
