"""When IB resets its servers, and so when a position answer deserves no belief (F130, F131).

The times are IB's published windows per region, read in the region's own zone so that daylight saving is right. They
are a reason to wait, never a reason to act: inside a window a difference is seen and shown, but not confirmed.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final, Literal, cast
from zoneinfo import ZoneInfo

Region = Literal["america", "europe", "asia"]

_NEW_YORK: Final = "America/New_York"
_SATURDAY: Final = 5
_FRIDAY: Final = 4

# (zone, start, minutes). They start on Saturday to Thursday evenings; Friday night has the long weekend window instead.
_DAILY: Final[dict[Region, tuple[tuple[str, time, int], ...]]] = {
    "america": ((_NEW_YORK, time(23, 45), 60),),
    "europe": (("Europe/Zurich", time(5, 45), 60),),
    "asia": ((_NEW_YORK, time(16, 30), 30), ("Asia/Hong_Kong", time(20, 15), 45)),
}
_WEEKEND: Final = (_NEW_YORK, time(23, 0), 240)


def region_of(zone: str, named: str = "") -> Region | None:
    """The server region to assume for a TWS login zone such as ``Europe/Zurich``; America when nothing is known.

    Args:
        named: The region itself, if somebody named it; ``none`` for a gateway that is not IB's and never resets.
    """
    if named:
        return None if named == "none" else cast("Region", named)
    head = zone.partition("/")[0].lower()
    if head in {"europe", "africa"}:
        return "europe"
    if head in {"asia", "australia", "pacific", "indian"}:
        return "asia"
    return "america"


def reset_window(now: datetime, region: Region | None = "america") -> tuple[datetime, datetime] | None:
    """The reset window that ``now`` lies in.

    Args:
        now: Aware.
        region: Whose daily window counts; the weekend window counts for all. ``None`` for servers that never reset.

    Returns:
        Start and end (aware, UTC of ``now``'s zone), or ``None`` outside.
    """
    if region is None:
        return None
    windows = [(*daily, False) for daily in _DAILY[region]] + [(*_WEEKEND, True)]
    for zone, start, minutes, weekend in windows:
        local = now.astimezone(ZoneInfo(zone))
        for day in (local.date() - timedelta(days=1), local.date()):
            # A window is named by the evening it starts on; Friday's is the weekend's.
            if (day.weekday() == _FRIDAY) != weekend:
                continue
            begin = datetime.combine(day, start, tzinfo=ZoneInfo(zone))
            end = begin + timedelta(minutes=minutes)
            if begin <= local < end:
                return begin.astimezone(now.tzinfo), end.astimezone(now.tzinfo)
    return None


def in_reset_window(now: datetime, region: Region | None = "america") -> bool:
    """True while IB resets the region's servers."""
    return reset_window(now, region) is not None


def after_reset(now: datetime, region: Region | None = "america", hours: float = 3.0) -> bool:
    """True within ``hours`` after a reset window's end, when overnight changes show up (F131)."""
    step = timedelta(minutes=30)
    moment = now
    while now - moment <= timedelta(hours=hours):
        window = reset_window(moment, region)
        if window is not None:
            return True
        moment -= step
    return False
