"""The state of the link to IB, how long to wait before trying again, and when IB resets its servers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

LinkState = Literal["connected", "degraded", "stale", "unavailable"]

COVERAGE_ALL: Final = "all (client 0)"
COVERAGE_OWN: Final = "own only"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerState:
    """What is known of the link, immutable.

    Attributes:
        state: ``connected``; ``degraded`` (TWS is there, IB's servers are not, or the replay is not complete: what
            comes is booked, nothing is compared); ``stale`` (nothing is heard, and IB does not answer when asked);
            ``unavailable``.
        since: When this state began, UTC.
        reason: Why it is not connected, or what is odd although it is, in words; empty when all is well.
        epoch: Number of the connection, 0 before the first.
        accounts: Accounts that count, as IB manages them: no masters, no aggregates.
        masters: Advisors' master and aggregate accounts, whose rows repeat the others'.
        coverage: Whose executions are reported live: ``own only``, or ``all (client 0)`` (F50). A master client id set
            in TWS cannot be seen from here.
        attempts: Failed attempts since the last connection.
        heard_at: When anything at all was last heard from IB, UTC, to the second; ``None`` before the first word. Only
            what :meth:`engine.app.Engine.broker_state` gives carries it.
    """

    state: LinkState
    since: datetime
    reason: str = ""
    epoch: int = 0
    accounts: tuple[str, ...] = ()
    masters: tuple[str, ...] = ()
    coverage: str = COVERAGE_OWN
    client_id: int = 0
    client: str = ""
    server_version: int = 0
    attempts: int = 0
    last_sync: datetime | None = None
    heard_at: datetime | None = None


class Backoff:
    """Growing, jittered pauses between attempts.

    Args:
        first_s: Longest first pause.
        most_s: Longest pause.
        chance: Source of the jitter; each pause is between half of its length and all of it.
    """

    def __init__(self, first_s: float = 1.0, most_s: float = 60.0, chance: random.Random | None = None) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not cryptography
        self.attempts = 0

    def next_s(self) -> float:
        """The next pause in seconds."""
        length = min(self._most_s, self._first_s * 2.0 ** min(self.attempts, 30))
        self.attempts += 1
        return length * (0.5 + self._chance.random() / 2)

    def reset(self) -> None:
        """Start again from the first pause."""
        self.attempts = 0


_NEW_YORK: Final = ZoneInfo("America/New_York")
_ZURICH: Final = ZoneInfo("Europe/Zurich")
_HONG_KONG: Final = ZoneInfo("Asia/Hong_Kong")
_FRIDAY: Final = 4

Region = Literal["america", "europe", "asia"]

_DAILY: Final[dict[Region, tuple[tuple[ZoneInfo, time, time], ...]]] = {
    "america": ((_NEW_YORK, time(23, 45), time(0, 45)),),
    "europe": ((_ZURICH, time(5, 45), time(6, 45)),),
    "asia": ((_NEW_YORK, time(16, 30), time(17, 0)), (_HONG_KONG, time(20, 15), time(21, 0))),
}
_WEEKEND: Final = (_NEW_YORK, time(23, 0), time(3, 0))


def in_reset_window(now: datetime, regions: tuple[Region, ...] = ("america", "europe")) -> bool:
    """Say whether IB may be resetting its servers (F130): then a silence or a difference means little.

    Args:
        now: Aware.
        regions: Whose servers the account is on. Asia's windows lie in the trading hours of the others, so they are
            left out unless asked for.

    Returns:
        True inside the daily window of a region (Saturday to Thursday) or the weekend's, Friday 23:00 to Saturday 03:00
        in New York.
    """
    if _inside(now, *_WEEKEND, only=_FRIDAY):
        return True
    return any(_inside(now, zone, start, end) for region in regions for zone, start, end in _DAILY[region])


def _inside(now: datetime, zone: ZoneInfo, start: time, end: time, only: int | None = None) -> bool:
    local = now.astimezone(zone)
    clock = local.time()
    if start <= end:
        inside, day = start <= clock < end, local.weekday()
    elif clock >= start:
        inside, day = True, local.weekday()
    else:
        inside, day = clock < end, (local - timedelta(days=1)).weekday()
    return inside and (day == only if only is not None else day != _FRIDAY)
