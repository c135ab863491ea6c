"""What both ends of the events transport agree on: names, the wire form of a message, and how to reach the server.

A message is a group of facts in their wire form, with the form's version in a header. It comes from another host, so
that nothing in it is taken for granted: only kinds that a strategy's message can give are read, and every number, time
and text is held to what the translation of a local message would have let through.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from engine.broker.translate import decimal_of
from engine.core.events import WIRE_VERSION, Commission, Fill, OrderUpdate, Quarantined, decode_facts
from engine.errors import FillbookError, Unreadable
from engine.settings import redact

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from nats.aio.client import Client
    from nats.js import JetStreamContext

    from engine.core.events import AnyFact

log = logging.getLogger(__name__)

STREAM: Final = "FILLBOOK"
SUBJECT: Final = "fillbook.events"
DURABLE: Final = "fillbook-engine"
VERSION_HEADER: Final = "Fillbook-Wire"
ID_HEADER: Final = "Nats-Msg-Id"
MISSING: Final = "the events transport needs nats-py, which is not installed: pip install 'fillbook[nats]'"

_DUPLICATE_WINDOW_S: Final = 600.0
_CONNECT_S: Final = 5
_HANDSHAKE_S: Final = 15.0
_CLOSE_S: Final = 3.0
_PIECE: Final = 45_000
"""Bytes of a message that fit into one quarantined fact as base64 (64 KiB with what stands around it)."""
_LONGEST: Final = {"raw": 64 * 1024, "message": 64 * 1024, "reason": 64 * 1024}
_LONGEST_TEXT: Final = 1024
_ID_BOUND: Final = 2**63


class ClientMissing(FillbookError):
    """The optional package that speaks to the server is not installed."""


# --- the form of a message --------------------------------------------------------------------------------------------


def facts_of(data: bytes, headers: Mapping[str, str] | None, now: datetime) -> list[AnyFact]:
    """Read a message.

    Args:
        data: A group of facts in their wire form.
        headers: With the version of that form.
        now: The engine's own time; nothing was received later than that, whatever the sender's clock says.

    Raises:
        Unreadable: Another version, other content, or a value that no strategy's message gives.
    """
    version = (headers or {}).get(VERSION_HEADER, "")
    if version != str(WIRE_VERSION):
        raise Unreadable(f"the message has wire version {version[:20]!r}, this engine reads {WIRE_VERSION}")
    try:
        facts = decode_facts(data)
    except (msgspec.DecodeError, RecursionError, ValueError, ArithmeticError) as error:
        raise Unreadable(f"the message is not a group of facts: {error}") from error
    if not facts:
        raise Unreadable("the message is an empty group of facts")
    return [_checked(fact, now) for fact in facts]


def _checked(fact: AnyFact, now: datetime) -> AnyFact:
    if not isinstance(fact, Fill | Commission | OrderUpdate | Quarantined):
        raise Unreadable(f"a strategy cannot report a {type(fact).__name__}")
    fact = _walked(fact)
    if isinstance(fact, Fill):
        if not fact.account.strip() or not fact.exec_id.strip():
            raise Unreadable("the fill names no account or no execution")
        if fact.instrument.con_id == 0 or fact.instrument.multiplier <= 0:
            raise Unreadable("the fill's instrument has no con_id or no positive multiplier")
    if isinstance(fact, Commission) and not fact.exec_id.strip():
        raise Unreadable("the commission names no execution")
    if isinstance(fact, Quarantined) and not fact.quarantine_id.strip():
        raise Unreadable("the quarantined message has no id")
    return msgspec.structs.replace(fact, received_at=min(fact.received_at, now))


def _walked(struct: Any) -> Any:
    """The same struct, its values within bounds and its times in UTC."""
    changes = {}
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        kept = _value(name, value)
        if kept is not value:
            changes[name] = kept
    return msgspec.structs.replace(struct, **changes) if changes else struct


def _value(name: str, value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return _walked(value)
    if isinstance(value, str) and len(value) > _LONGEST.get(name, _LONGEST_TEXT):
        raise Unreadable(f"{name} has {len(value)} characters")
    if isinstance(value, Decimal) and decimal_of(value) is None:
        raise Unreadable(f"{name} is {str(value)[:40]}, which is no amount")
    if isinstance(value, int) and not -_ID_BOUND < value < _ID_BOUND:
        raise Unreadable(f"{name} has more than 64 bits")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise Unreadable(f"{name} has no time zone")
        try:
            return value.astimezone(UTC)
        except OverflowError as error:
            raise Unreadable(f"{name} is out of range") from error
    return value


def quarantined(
    data: bytes, headers: Mapping[str, str] | None, place: int, reason: str, now: datetime
) -> list[AnyFact]:
    """Keep an unreadable message whole.

    Its id is made from its content and its place in the stream: delivered again, it is the same entry.

    Args:
        place: Sequence of the message in the stream.

    Returns:
        One fact; several, in order, when one cannot hold the message.
    """
    name = hashlib.sha256(b"%d:" % place + data).hexdigest()[:32]
    text = _as_json_object(data)
    if text:
        raws = [text]
    else:
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)] or [b""]
        shown = {k[:100]: v[:200] for k, v in list((headers or {}).items())[:20]}
        raws = [
            json.dumps(
                {"base64": base64.b64encode(piece).decode(), "part": number, "parts": len(pieces), "headers": shown}
            )
            for number, piece in enumerate(pieces, start=1)
        ]
    return [
        Quarantined(
            quarantine_id=name if number == 1 else f"{name}-{number}",
            reason=reason if len(raws) == 1 else f"{reason} (part {number} of {len(raws)})",
            raw=raw,
            door="events",
            received_at=now,
        )
        for number, raw in enumerate(raws, start=1)
    ]


def _as_json_object(data: bytes) -> str:
    """The text, when it is a JSON object that fits: an operator can read it and offer it again."""
    if len(data) > _PIECE:
        return ""
    try:
        text = data.decode("utf-8")
        return text if isinstance(json.loads(text), dict) else ""
    except (ValueError, RecursionError):
        return ""


# --- the server -------------------------------------------------------------------------------------------------------


def plain(error: BaseException, url: str) -> str:
    """An error's text, fit for screens and logs: without the user, password or token that the URL carries."""
    text = str(error) or type(error).__name__
    user = url.partition("://")[2].rpartition("@")[0]
    hidden = {user, unquote(user), *user.split(":", 1), *(unquote(part) for part in user.split(":", 1))}
    for secret in sorted(hidden - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def shown(url: str) -> str:
    """The URL without credentials."""
    return redact(url)


class Pause:
    """How long to wait before the next attempt: longer each time, and not in step with others."""

    FIRST_S: Final = 0.2
    MOST_S: Final = 5.0

    def __init__(self) -> None:
        """Start with the shortest."""
        self._next_s = self.FIRST_S

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._next_s = self.FIRST_S

    def take(self) -> float:
        """Seconds to wait now."""
        now_s, self._next_s = self._next_s, min(self.MOST_S, self._next_s * 2)
        return now_s * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, not a secret


def told_to_end() -> bool:
    """Whether a cancellation is meant for the current task.

    A connection that breaks cancels what waits for an answer on it; that is no more than a lost connection.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@asynccontextmanager
async def linked(url: str, name: str) -> AsyncIterator[JetStreamContext]:
    """A connection with the stream in place; it is never mended, whoever uses it makes a new one.

    Raises:
        ClientMissing: nats-py is not installed.
        Exception: Whatever nats-py raises when the server is away, refuses, or has no JetStream.
    """
    try:
        from nats.aio.client import Client
    except ImportError as error:
        raise ClientMissing(MISSING) from error
    client = Client()
    try:
        await _connect(client, url, name)
        stream = client.jetstream(timeout=_CONNECT_S)
        await _ensure_stream(stream)
        yield stream
    finally:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await client.close()
        except TimeoutError:
            log.info("the connection to %s did not close in time and was dropped", shown(url))


async def _connect(client: Client, url: str, name: str) -> None:
    """Connect, or say why not; nats-py itself would try for minutes and then only say that no server was there.

    Raises:
        ConnectionError: With what went wrong last, without credentials.
    """
    from nats.errors import NoServersError

    last = "no answer"

    async def note(error: BaseException) -> None:
        # Once connected, what matters comes as an exception where the connection is used.
        nonlocal last
        last = plain(error, url)
        log.debug("events server: %s", last)

    try:
        async with asyncio.timeout(_HANDSHAKE_S):
            await client.connect(
                servers=[url],
                name=name,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=_CONNECT_S,
                error_cb=note,
            )
    except (TimeoutError, NoServersError) as error:
        raise ConnectionError(f"no connection: {last}") from error


async def _ensure_stream(stream: JetStreamContext) -> None:
    """Make the stream if nobody has; one that an administrator made to other measures is used as it is."""
    from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
    from nats.js.errors import NotFoundError

    try:
        await stream.stream_info(STREAM)
    except NotFoundError:
        await stream.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=[SUBJECT],
                retention=RetentionPolicy.WORK_QUEUE,  # what the engine has acknowledged need not be kept
                storage=StorageType.FILE,
                discard=DiscardPolicy.NEW,  # a full stream refuses what is new; it never forgets what it accepted
                duplicate_window=_DUPLICATE_WINDOW_S,
            )
        )
