"""IB's numbers, times and texts, read without guessing.

IB has no word for "unknown": it sends the largest double, the largest integer, an empty text, NaN or -1, depending on
the field, and its client libraries pass most of that on. Times come in three forms, one of which has no zone. What
stands here turns such a value into what it means, or says that it cannot: unknown is ``None``, unreadable an exception.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.errors import Unreadable

UNSET_INTS: Final = frozenset({2**31 - 1, 2**63 - 1, 2**127 - 1})
"""Largest 32 and 64 bit integers, and the largest 128 bit one that newer gateways send for "no decimal"."""

_UNSET_FLOATS: Final = frozenset({float(2**63 - 1), float(2**127 - 1)})
"""The same after a client library has made floats of them (that of 32 bits is an amount somebody may hold)."""

_HUGE: Final = 1e300
_HUGE_DECIMAL: Final = Decimal("1e300")
_TINY: Final = 1e-30
_TINY_EXPONENT: Final = -30
_LONGEST_NUMBER: Final = 64
_EXACT_INT: Final = 1e15
USUAL: Final = 2**31 - 1
"""Below this a whole number is never IB's "not set"."""
_SHORT: Final = 200
_ID_BOUND: Final = 2**63
_REMEMBERED: Final = 20_000
_known: Final[dict[float, Decimal]] = {}
"""The same prices, quantities and fees come again and again; one object for each is also less to keep and to store."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(-| +)(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?(?: +(\S+))?")


def plain(joined: str) -> bool:
    """True when texts mean themselves, whatever field they stand in: all ASCII, and short together."""
    return len(joined) <= _SHORT and joined.isascii()


def decimal_of(value: Any) -> Decimal | None:
    """Read a number exactly.

    Args:
        value: Float (by its shortest text, so that 0.1 is 0.1), whole number, Decimal or numeric text.

    Returns:
        The number; ``None`` when IB means "not set": ``None``, empty text, NaN, infinite, at least 1e300, or one of the
        largest integers.

    Raises:
        Unreadable: It is no number, has more than 64 characters, or is smaller than any amount IB deals in.
    """
    kind = type(value)
    if kind is float:
        known = _known.get(value)
        if known is not None:
            return known
        return None if value >= _HUGE else _of_float(value)  # "not set" is the commonest of what is not remembered
    if kind is int:
        return _of_int(value)
    if value is None:
        return None
    if kind is str:
        return _of_text(value)
    if kind is Decimal:
        return _checked(value)
    return _of_relative(value)


def _remembered(value: float, number: Decimal) -> Decimal:
    if len(_known) >= _REMEMBERED:
        _known.clear()
    _known[value] = number
    return number


def _of_int(value: int) -> Decimal | None:
    if -USUAL < value < USUAL:
        known = _known.get(value)
        return known if known is not None else _remembered(value, Decimal(value))
    if value in UNSET_INTS:
        return None
    if not -_ID_BOUND < value < _ID_BOUND:
        raise Unreadable("a whole number of more than 64 bits")
    return Decimal(value)


def _of_relative(value: Any) -> Decimal | None:
    """Numbers of other libraries, and subclasses: numpy's floats and integers, mostly."""
    if isinstance(value, bool):
        raise Unreadable(f"{value} is not a number")
    if isinstance(value, float):
        return _of_float(float(value))
    if isinstance(value, str):
        return _of_text(str.__str__(value))
    if isinstance(value, Decimal):
        return _checked(Decimal(value))
    if hasattr(value, "__index__"):
        return _of_int(int(value.__index__()))
    raise Unreadable(f"a {type(value).__name__} is not a number")


def _of_float(value: float) -> Decimal | None:
    if -_EXACT_INT < value < _EXACT_INT:
        whole = int(value)
        if whole == value:
            number = Decimal(whole)
        elif -_TINY < value < _TINY:
            raise Unreadable(f"{value!r} is smaller than any amount IB deals in")
        else:
            number = Decimal(repr(value))
        return _remembered(value, number)
    if value != value or value >= _HUGE or value <= -_HUGE or value in _UNSET_FLOATS:  # noqa: PLR0124 - NaN differs from itself
        return None
    return Decimal(repr(value))


def _of_text(text: str) -> Decimal | None:
    text = text.strip()
    if not text:
        return None
    if len(text) > _LONGEST_NUMBER:
        raise Unreadable(f"a number of {len(text)} characters")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Unreadable(f"{text!r} is not a number") from None
    return _checked(number)


def _checked(number: Decimal) -> Decimal | None:
    if not number.is_finite() or number.copy_abs() >= _HUGE_DECIMAL or number in UNSET_INTS:
        return None
    if number and number.adjusted() < _TINY_EXPONENT:
        raise Unreadable(f"{number} is smaller than any amount IB deals in")
    return number


def whole_of(value: Any) -> int:
    """Read an id.

    Returns:
        The whole number; 0 when IB means "none" (unset, empty, missing).

    Raises:
        Unreadable: It is no whole number of 64 bits.
    """
    if type(value) is int:
        if -USUAL < value < USUAL:
            return value
        if value in UNSET_INTS:
            return 0
        if -_ID_BOUND < value < _ID_BOUND:
            return value
        raise Unreadable("a whole number of more than 64 bits")
    number = decimal_of(value)
    if number is None:
        return 0
    if number != int(number):
        raise Unreadable(f"{number} is not a whole number")
    return whole_of(int(number))


def text_of(value: Any, longest: int = 1024) -> str:
    """Read a descriptive text: cut at ``longest``, never refused for its content.

    Half surrogate pairs, which the journal's encoding cannot hold, are written out as escapes.

    Raises:
        Unreadable: It is not a text (numbers are taken as their digits; ``None`` is empty).
    """
    if type(value) is str:
        if not value:
            return value
    else:
        if value is None:
            return ""
        if isinstance(value, str):
            value = str.__str__(value)
        elif isinstance(value, int | float | Decimal):
            value = str(value)
        else:
            raise Unreadable(f"a {type(value).__name__} is not a text")
    if len(value) > longest:
        value = value[:longest]
    if value.isascii():
        return str(value)
    return str(value.encode("utf-8", "backslashreplace").decode("utf-8"))


def name_of(value: Any, what: str, longest: int = 200) -> str:
    """Read a text that identifies something: it must be there and is never cut.

    Raises:
        Unreadable: It is missing, empty or longer than ``longest``.
    """
    if type(value) is str and 0 < len(value) <= longest and value.isascii() and not value.isspace():
        return value
    if isinstance(value, str):
        if not value or value.isspace():
            raise Unreadable(f"{what} is empty")
        if len(value) > longest:
            raise Unreadable(f"{what} has {len(value)} characters, {longest} are allowed")
        return text_of(value, longest)
    if value is None:
        raise Unreadable(f"{what} is missing")
    raise Unreadable(f"{what} is a {type(value).__name__}, not a text")


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo | None:
    """Find a time zone by its name; ``None`` when this machine's zone database does not know it (F29)."""
    if name in {"UTC", "GMT", "Z"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # Also what a folder of the database ("America") or a path raises. The caller keeps the text.
        return None


def parse_time(value: Any, default_zone: str = "") -> tuple[datetime | None, bool]:
    """Read a time of IB's.

    The forms (F27): ``20231214-20:57:37`` is UTC, ``20231107 09:30:00 US/Eastern`` names its zone, and
    ``20231107  09:30:00`` is in the zone of the TWS login. ISO 8601 texts and datetimes are taken too.

    Args:
        default_zone: Zone of times that name none; empty when it is not known.

    Returns:
        The time in UTC, and whether it is uncertain. A zone that nobody knows gives ``(None, True)``; a time without a
        zone while ``default_zone`` is empty is taken as UTC and uncertain. Nothing at all, or the libraries' 1970
        default, gives ``(None, False)``.
    """
    if isinstance(value, datetime):
        return _of_datetime(value, default_zone)
    if value is None or value == "":
        return None, False
    if not isinstance(value, str) or len(value) > 100:
        return None, True
    found = _TIME.fullmatch(value.strip())
    if found is None:
        return _of_iso(value.strip(), default_zone)
    year, month, day, gap, hour, minute, second, fraction, zone_name = found.groups()
    if gap == "-" and not zone_name:
        zone_name = "UTC"
    try:
        naive = datetime(  # noqa: DTZ001 - the zone is put on below
            int(year), int(month), int(day), int(hour), int(minute), int(second), int((fraction or "").ljust(6, "0"))
        )
    except ValueError:
        return None, True
    if not zone_name:
        return _in_zone(naive, default_zone)
    zone = zone_of(zone_name)
    if zone is None:
        return None, True
    return _placed(naive, zone)


def _of_datetime(value: datetime, default_zone: str) -> tuple[datetime | None, bool]:
    if type(value) is not datetime:  # a table library's timestamp, say: the journal takes plain datetimes only
        value = datetime(
            value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.tzinfo
        )
    if value.tzinfo is UTC:
        return (None, False) if value == _EPOCH else (value, False)
    if value.tzinfo is None:
        return (None, False) if value.year <= 1970 else _in_zone(value, default_zone)
    moved = _to_utc(value)
    if moved is None:
        return None, True
    return (None, False) if moved == _EPOCH else (moved, False)


def _of_iso(text: str, default_zone: str) -> tuple[datetime | None, bool]:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None, True
    return _of_datetime(value, default_zone)


def _in_zone(naive: datetime, default_zone: str) -> tuple[datetime | None, bool]:
    zone = zone_of(default_zone) if default_zone else None
    if zone is None:
        return naive.replace(tzinfo=UTC), True
    return _placed(naive, zone)


def _placed(naive: datetime, zone: tzinfo) -> tuple[datetime | None, bool]:
    """A clock's time in a zone; uncertain in the hour that comes twice, or never, when the clocks change."""
    first = naive.replace(tzinfo=zone)
    return _to_utc(first), zone is not UTC and first.utcoffset() != first.replace(fold=1).utcoffset()


def _to_utc(value: datetime) -> datetime | None:
    try:
        return value.astimezone(UTC)
    except (OverflowError, ValueError):
        # The years 1 and 9999 have no neighbours to shift into: nobody traded then.
        return None
