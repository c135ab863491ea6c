"""Dictionaries that look like objects, and objects written down as text: into quarantine and back again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from engine.errors import Unreadable

LONGEST_RAW: Final = 64 * 1024
_ORDER: Final = ("type", "strategy", "status", "report", "fill", "trade")
_LIMITS: Final = ((40, 4000, 3000), (5, 500, 600), (2, 80, 150))
"""Attempts at rendering: entries per collection, characters per text, nodes in all."""


class Shape:
    """A dictionary whose keys are read as attributes, all the way down; a missing one is a missing attribute."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        """Read one field."""
        try:
            return shaped(self._fields[name])
        except KeyError:
            raise AttributeError(name) from None


def shaped(value: Any) -> Any:
    """Give a dictionary attributes; everything else is returned as it is."""
    if type(value) is dict:
        return Shape(value)
    if type(value) is list:
        return [shaped(item) for item in value]
    return value


class Attributes:
    """Reads many attributes of an object in one step; what it lacks reads as its default.

    Strategies wait for this: thirty single readings take longer than everything else that is done with a message.
    """

    __slots__ = ("_all", "_defaults")

    def __init__(self, **defaults: Any) -> None:
        """Name the attributes, in the order in which they are given back."""
        self._all = attrgetter(*defaults)
        self._defaults = tuple(defaults.items())

    def __call__(self, held: Any) -> tuple[Any, ...]:
        """The attributes of one object."""
        try:
            return self._all(held)
        except AttributeError:
            return tuple([getattr(held, name, default) for name, default in self._defaults])


def raw_text(message: Any) -> str:
    """Write a message down for quarantine.

    Args:
        message: Anything at all.

    Returns:
        JSON of at most 64 KiB (UTF-8), objects as dictionaries of their fields, cut where it is too large; never raises
        for what the message is.
    """
    text = ""
    for entries, characters, nodes in _LIMITS:
        text = json.dumps(_Writer(entries, characters, nodes).write(message, 0), ensure_ascii=True, default=_unknown)
        if len(text) <= LONGEST_RAW:
            return text
    return json.dumps({"cut": text[: LONGEST_RAW // 4]})


def parse_raw(text: str) -> Any:
    """Read what :func:`raw_text` wrote.

    Raises:
        Unreadable: It is no JSON, or was cut.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("the raw content is not JSON and cannot be replayed") from None
    if isinstance(value, dict) and set(value) == {"cut"}:
        raise Unreadable("the raw content was cut and cannot be replayed")
    return value


class _Writer:
    """Turns objects into what JSON can hold, within bounds of depth, breadth and number."""

    def __init__(self, entries: int, characters: int, nodes: int) -> None:
        self._entries = entries
        self._characters = characters
        self._left = nodes

    def write(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > 8:
            return "..."
        try:
            return self._write(value, depth)
        except Exception as error:  # noqa: BLE001 - whatever a hostile object raises is part of what it is
            return f"<unprintable {type(value).__name__}: {type(error).__name__}>"

    def _write(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, str | int | Decimal | datetime | bytes | bytearray):
            return self._scalar(value)
        if isinstance(value, Mapping):
            return self._fields(dict(value), depth)
        names = getattr(type(value), "_fields", None)
        if isinstance(value, tuple) and names:
            return self._fields(dict(zip(names, value, strict=False)), depth)
        if isinstance(value, list | tuple | set | frozenset):
            # The end of a log or of a list of fills is what explains the message.
            return [self.write(item, depth + 1) for item in list(value)[-self._entries :]]
        held = getattr(value, "__dict__", None)
        if isinstance(held, dict) and held:
            return self._fields({k: v for k, v in held.items() if type(v).__name__ != "Event"}, depth)
        return self._cut(repr(value))

    def _scalar(self, value: str | int | Decimal | datetime | bytes | bytearray) -> str | int:
        if isinstance(value, str):
            return self._cut(str.__str__(value))
        if isinstance(value, int):
            return int(value) if -(2**63) <= value < 2**63 else f"<whole number of {value.bit_length()} bits>"
        if isinstance(value, Decimal):
            return self._cut(str(value))
        if isinstance(value, datetime):
            return value.isoformat()
        return self._cut(bytes(value[: self._characters + 1]).decode("latin-1"))

    def _fields(self, fields: dict[Any, Any], depth: int) -> dict[str, Any]:
        keys = list(fields)
        if depth == 0:
            keys.sort(key=lambda key: _ORDER.index(key) if isinstance(key, str) and key in _ORDER else -1)
        room = max(self._entries, 200)
        return {self._cut(str(key)): self.write(fields[key], depth + 1) for key in keys[:room]}

    def _cut(self, text: str) -> str:
        return text if len(text) <= self._characters else text[: self._characters] + "..."


def _unknown(value: Any) -> str:
    return f"<{type(value).__name__}>"
