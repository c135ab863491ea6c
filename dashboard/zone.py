"""The time zone that a page shows its times in. The books, the store and the link's ``as_of`` are UTC, whatever it is.

A table's moments stay UTC text until they are handed to the browser or to a file: that text sorts, and is what other
screens are asked with. In the hour that a zone lives through twice a year, the offset stands behind the time; on a time axis
the offset is the same everywhere and stands in its name, so that no line runs backwards there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

OFFERED: Final = (
    "UTC",
    "America/New_York",
    "America/Chicago",
    "America/Toronto",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Zurich",
    "Europe/Berlin",
    "Europe/Paris",
    "Asia/Kolkata",
    "Asia/Hong_Kong",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
)
"""Where most exchanges are; any other name of the IANA database can stand in the link."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone of the IANA database.

    Attributes:
        name: Such as ``America/New_York``.
        info: Its rules.
    """

    name: str
    info: tzinfo

    @property
    def label(self) -> str:
        """Short name for the head of a column: the city."""
        return self.name.rpartition("/")[2].replace("_", " ")

    def moment(self, at: datetime, form: str = "%Y-%m-%d %H:%M:%S") -> str:
        """Write a moment and its zone, such as ``2026-03-04 07:30:00 EST``."""
        return at.astimezone(self.info).strftime(f"{form} %Z")

    def local(self, text: str, start: int = 0, stop: int | None = None) -> str:
        """Turn the UTC text of a table (see :func:`dashboard.frames.clock`) into that of this zone.

        Args:
            text: Such as ``2026-01-31 14:05:09.120``; empty stays empty.
            start: First character wanted.
            stop: The one behind the last, such as 19 for whole seconds.
        """
        if not text or self.info is UTC:
            return text[start:stop]
        at = datetime.fromisoformat(text).replace(tzinfo=UTC).astimezone(self.info)
        words = at.replace(tzinfo=None).isoformat(" ", "milliseconds")[start:stop]
        return f"{words} {offset_text(at.utcoffset())}" if _twice(at) else words

    def locals(self, texts: Iterable[str], start: int = 0, stop: int | None = None) -> list[str]:
        """Turn a column."""
        return [self.local(text, start, stop) for text in texts]

    def dated(self, text: str) -> str:
        """Turn the UTC text of a table into one for a file, which says its own offset."""
        if not text:
            return text
        return datetime.fromisoformat(text).replace(tzinfo=UTC).astimezone(self.info).isoformat(" ", "milliseconds")

    def typed(self, moment: datetime) -> str:
        """Write an aware moment as somebody would type it who means this zone; :meth:`naive` reads it back."""
        at = moment.astimezone(self.info)
        return (at if _twice(at) else at.replace(tzinfo=None)).isoformat(" ", "seconds")

    def shift(self, at: datetime) -> timedelta:
        """What a time axis adds to UTC; ``at`` is aware."""
        return at.astimezone(self.info).utcoffset() or timedelta(0)

    def axis(self, at: datetime) -> str:
        """Name of a time axis that :meth:`shift` was added to."""
        return "time (UTC)" if self.info is UTC else f"time ({self.label}, UTC{offset_text(self.shift(at))})"

    def naive(self, moment: datetime) -> datetime:
        """Read a moment without a zone as one of this zone; others stay what they are."""
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=self.info)


UTC_ZONE: Final = Zone("UTC", UTC)


def _twice(at: datetime) -> bool:
    """True in the hour that comes twice when clocks are put back."""
    return at.utcoffset() != at.replace(fold=1 - at.fold).utcoffset()


def offset_text(offset: timedelta | None) -> str:
    """Write an offset from UTC in hours and minutes, sign always."""
    minutes = round((offset or timedelta(0)).total_seconds() / 60)
    return f"{'−' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def find(name: str) -> Zone | None:
    """The zone of this name; UTC for none, ``None`` for a name that is not in the database."""
    if name in {"", "UTC"}:
        return UTC_ZONE
    return Zone(name, ZoneInfo(name)) if name in _known() else None


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())
