"""Frames, field texts and the handshake of the TWS protocol.

A frame is a four-byte big-endian length followed by fields that each end in a zero byte. Everything is text, and the
text has habits that clients depend on: whole numbers stay bare (``7``, never ``7.0``), exponents never appear, and
"no value" is a particular text that differs by field (see :data:`NO_DOUBLE`, :data:`NO_INT`, :data:`NO_LONG`). A
client that meets ``10.0`` where it expects an integer drops the message, or worse, stops listening.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

MAX_VERSION = 176
"""The highest protocol version answered: above it ib_insync's layouts and the gateway's drift apart."""

MIN_VERSION = 157
"""The lowest version answered: that of the oldest official client still around."""

MAX_FRAME = 16 * 1024 * 1024
"""Longest frame accepted, in bytes."""

MAX_HANDSHAKE = 1024
"""Longest version announcement accepted, in bytes."""

NO_DOUBLE = "1.7976931348623157E308"
NO_INT = "2147483647"
NO_LONG = "9223372036854775807"

_PREAMBLE = b"API\0"
_ANNOUNCED = re.compile(rb"v(\d{1,6})(?:\.\.(\d{1,6}))?(?: .*)?", re.DOTALL)

Field = str | int | bool | Decimal | None


class ProtocolError(Exception):
    """The bytes of a connection are not the TWS protocol; the connection cannot go on."""


class BadField(Exception):
    """One field of one request cannot be read; the request is refused, the connection lives."""


def number(value: Decimal) -> str:
    """Write a finite decimal as clients expect it: no exponent, no trailing zeros, no negative zero."""
    if value == 0:
        return "0"
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text


def text_of(field: Field) -> str:
    """The wire's text for one value; ``None`` is an empty field."""
    if isinstance(field, str):
        return field
    if field is None:
        return ""
    if isinstance(field, bool):
        return "1" if field else "0"
    if isinstance(field, int):
        return str(field)
    return number(field)


def double(value: Decimal | None) -> str:
    """A number, or the protocol's largest double where there is none."""
    return NO_DOUBLE if value is None else number(value)


def frame(fields: Iterable[Field]) -> bytes:
    """One complete message, length included."""
    body = "".join([f"{text_of(field)}\0" for field in fields]).encode("utf-8", "replace")
    return struct.pack(">I", len(body)) + body


def timestamp(moment: datetime, style: str = "zone") -> str:
    """Write an execution's time in one of the styles gateways are known to use.

    Args:
        moment: Timezone-aware.
        style: ``zone`` (``20261127 14:30:00 UTC``, the default), ``dash`` (``20261127-14:30:00``, UTC), ``bare``
            (``20261127  14:30:00``, two spaces, no zone), ``unknown`` (a zone no machine knows), or the name of an
            IANA zone such as ``America/New_York``.

    Raises:
        ValueError: ``style`` is none of these.
    """
    utc = moment.astimezone(UTC)
    if style == "zone":
        return utc.strftime("%Y%m%d %H:%M:%S UTC")
    if style == "dash":
        return utc.strftime("%Y%m%d-%H:%M:%S")
    if style == "bare":
        return utc.strftime("%Y%m%d  %H:%M:%S")
    if style == "unknown":
        return utc.strftime("%Y%m%d %H:%M:%S XYZ")
    if "/" not in style:
        message = f"unknown time style {style!r}: use zone, dash, bare, unknown or an IANA zone"
        raise ValueError(message)
    return utc.astimezone(ZoneInfo(style)).strftime("%Y%m%d %H:%M:%S ") + style


class Fields:
    """Reads the fields of one request in order.

    Empty and sentinel numbers read as ``None`` or as the given default; anything else that is no number raises
    :class:`BadField`, which the session turns into error 320.
    """

    def __init__(self, items: list[str]) -> None:
        self._items = items
        self._next = 0
        self.request_id = -1

    def text(self) -> str:
        """The next field as it stands.

        Raises:
            BadField: There are no more fields.
        """
        if self._next >= len(self._items):
            message = f"message ends after {len(self._items)} fields"
            raise BadField(message)
        self._next += 1
        return self._items[self._next - 1]

    def integer(self, default: int = 0) -> int:
        """The next field as an integer; empty and unset give ``default``."""
        text = self.text().strip()
        if text in ("", NO_INT, NO_LONG):
            return default
        if not re.fullmatch(r"[+-]?\d{1,19}", text):
            message = f"field {self._next} is {text[:40]!r}, not an integer"
            raise BadField(message)
        return int(text)

    def decimal(self) -> Decimal | None:
        """The next field as a decimal; empty and unset give ``None``."""
        return to_decimal(self.text())

    def flag(self) -> bool:
        """The next field as a truth value."""
        text = self.text().strip().lower()
        if text in ("", "0", "false"):
            return False
        if text in ("1", "true"):
            return True
        message = f"field {self._next} is {text[:40]!r}, not a flag"
        raise BadField(message)

    def request(self) -> int:
        """The next field as the request's id, which an error about the rest of it will name."""
        self.request_id = self.integer()
        return self.request_id

    def more(self) -> bool:
        """Whether fields are left."""
        return self._next < len(self._items)


def to_decimal(text: str) -> Decimal | None:
    """Read a client's number exactly; empty, unset and "infinite" give ``None``.

    Raises:
        BadField: The text is no number, or one no market has seen.
    """
    text = text.strip()
    if text in ("", "Infinite", "Infinity", NO_INT, NO_LONG):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        message = f"{text[:40]!r} is not a number"
        raise BadField(message)
    if abs(value) > Decimal("1e300"):
        return None
    if value and not -12 <= value.adjusted() <= 18:  # a quintillion is beyond any order
        message = f"{text[:40]!r} is out of range"
        raise BadField(message)
    return value.normalize() + 0


@dataclass(slots=True)
class Incoming:
    """Cuts the byte stream of one connection into the handshake and then frames."""

    data: bytearray
    greeted: bool = False
    offset: int = 0

    def feed(self, chunk: bytes) -> None:
        """Take what arrived; clients split and join frames as they like."""
        if self.offset:
            del self.data[: self.offset]
            self.offset = 0
        self.data += chunk

    def pending(self) -> int:
        """Bytes not yet consumed."""
        return len(self.data) - self.offset

    def greeting(self) -> tuple[int, int] | None:
        """The client's lowest and highest version, or ``None`` until they have arrived whole.

        Raises:
            ProtocolError: This is no TWS client.
        """
        start = bytes(self.data[: len(_PREAMBLE)])
        if not _PREAMBLE.startswith(start):
            message = "connection does not start with the API preamble"
            raise ProtocolError(message)
        if len(self.data) < len(_PREAMBLE) + 4:
            return None
        (length,) = struct.unpack_from(">I", self.data, len(_PREAMBLE))
        if not 0 < length <= MAX_HANDSHAKE:
            message = f"version announcement of {length} bytes"
            raise ProtocolError(message)
        begin = len(_PREAMBLE) + 4
        if len(self.data) < begin + length:
            return None
        found = _ANNOUNCED.fullmatch(bytes(self.data[begin : begin + length]).rstrip(b"\0"))
        if found is None:
            message = "unreadable version announcement"
            raise ProtocolError(message)
        self.offset = begin + length
        self.greeted = True
        low = int(found.group(1))
        return low, int(found.group(2) or low)

    def message(self) -> list[str] | None:
        """The fields of the next whole frame, or ``None``.

        Raises:
            ProtocolError: The announced length is beyond :data:`MAX_FRAME`.
        """
        if self.pending() < 4:  # the length itself
            return None
        (length,) = struct.unpack_from(">I", self.data, self.offset)
        if length > MAX_FRAME:
            message = f"frame of {length} bytes announced"
            raise ProtocolError(message)
        begin = self.offset + 4
        if len(self.data) - begin < length:
            return None
        self.offset = begin + length
        text = bytes(self.data[begin : self.offset]).decode("utf-8", "replace")
        text = text.removesuffix("\0")
        return text.split("\0")


def choose_version(low: int, high: int) -> int | None:
    """The version to speak with a client, or ``None`` to refuse it."""
    chosen = min(high, MAX_VERSION)
    return chosen if chosen >= MIN_VERSION and low <= chosen else None
