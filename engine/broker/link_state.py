"""The state of the link: worked out from what is known, told when it changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from engine.broker.connection import COVERAGE_ALL, COVERAGE_OWN, BrokerState, LinkState, in_reset_window
from engine.core.events import AnyFact, ConnectionSeen
from engine.ports import Clock
from engine.settings import Settings

log: Final = logging.getLogger(__name__)

_LOST: Final = frozenset({1100, 2110})
_RESTORED: Final = frozenset({1101, 1102})
_FARM_FINE: Final = frozenset({2104, 2106, 2158})
_GOOD: Final = frozenset({"connected", "restored"})
_DEFAULT_ZONE: Final = "America/New_York"
KEPT: Final = 1102
"""The link is back and subscriptions were kept; after every other way of coming back they are made again."""


class Progress(Protocol):
    """How far a connection's work has come (see ``work.Work``)."""

    synchronised: bool
    synchronised_at: datetime | None
    problem: str
    stale: str


class LinkKeeper:
    """Holds the state of the link.

    Args:
        on_state: Called with each new state; what it raises is logged.
        emit: Takes a ``ConnectionSeen`` whenever the link itself changed.
        heard: When anything was last heard from IB.

    Attributes:
        heard_until: When IB was last heard before the present silence; to be set at a start, from the books.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        on_state: Callable[[BrokerState], None],
        emit: Callable[[Sequence[AnyFact]], object],
        heard: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self.heard_until: datetime | None = None
        self._heard = heard
        self._zone = ZoneInfo(settings.ib_timezone or _DEFAULT_ZONE)
        self._clock = clock
        self._on_state = on_state
        self._emit = emit
        self._seen = ""
        self._down = 0
        self._refused = ""
        self.state = BrokerState(
            state="unavailable",
            since=clock.now(),
            reason="not connected yet",
            client_id=settings.ib_client_id,
            client=settings.ib_client,
            coverage=COVERAGE_ALL if settings.ib_client_id == 0 else COVERAGE_OWN,
        )

    @property
    def down(self) -> bool:
        """True between IB's report that its servers are out of reach and the one that they are back."""
        return self._down != 0

    def opened(
        self, epoch: int, accounts: tuple[str, ...], masters: tuple[str, ...], version: int, refused: str
    ) -> None:
        """A connection is there.

        Args:
            refused: Why its accounts may not be compared with our books; empty when they may.
        """
        self._down, self._refused = 0, refused
        self.state = replace(self.state, epoch=epoch, accounts=accounts, masters=masters, server_version=version)

    def closed(self, reason: str, attempts: int) -> None:
        """There is no connection."""
        self._down, self._refused = 0, ""
        if in_reset_window(self._clock.now()):
            reason = f"{reason} (in the window of IB's daily or weekly reset)"
        self._become("unavailable", reason, "disconnected", attempts=attempts)

    def noticed(self, code: int) -> bool:
        """Take one of IB's notices.

        Returns:
            True when the link to IB's servers is back: then everything is asked for again (R1, F129).
        """
        if code in _LOST:
            self._down = code
            return False
        # 1101 and 1102 do not always come after 1100: a farm that reports well says the same.
        if code in _RESTORED or (self._down and code in _FARM_FINE):
            self._down = 0
            return True
        return False

    def judge(self, progress: Progress, odd: str) -> None:
        """Work out the state of an open connection.

        Args:
            odd: What is odd although the link is well, in words.
        """
        if progress.synchronised_at is not None:
            self.state = replace(self.state, last_sync=progress.synchronised_at)
        if self._refused:
            self._become(
                "unavailable", self._refused, "connected" if self._seen in {"", "disconnected"} else self._seen
            )
        elif self._down:
            reason = f"IB reports that the link to its servers is down ({self._down})"
            self._become("degraded", reason, "degraded")
        elif progress.stale:
            self._become("stale", progress.stale, "stale")
        elif not progress.synchronised:
            reason = progress.problem or "asking IB for executions and orders"
            self._become("degraded", reason, "connected" if self._seen in {"", "disconnected"} else self._seen)
        else:
            back = "restored" if self._seen in {"degraded", "stale", "restored"} else "connected"
            self._become("connected", odd or progress.problem, back)

    def _become(self, state: LinkState, reason: str, seen: str, *, attempts: int = 0) -> None:
        old = self.state
        now = self._clock.now()
        self.state = replace(
            old, state=state, reason=reason, attempts=attempts, since=now if state != old.state else old.since
        )
        if seen != self._seen:
            if self._seen in _GOOD and seen not in _GOOD:
                self.heard_until = self._heard() or now
            self._seen = seen
            log.info("the link to IB is %s: %s", seen, reason or "all is well")
            self._emit([self._told(seen, reason, now)])
        if self.state != old:
            try:
                self._on_state(self.state)
            except Exception:
                log.exception("a listener to the connection's state failed")

    def _told(self, seen: str, reason: str, now: datetime) -> ConnectionSeen:
        midnight = datetime.combine(now.astimezone(self._zone).date(), time(), self._zone)
        return ConnectionSeen(
            received_at=now,
            state=seen,
            epoch=self.state.epoch,
            code=self._down,
            detail=reason[:500],
            heard_until=self.heard_until,
            replayed_from=midnight.astimezone(UTC) if seen in _GOOD else None,
            accounts=self.state.accounts,
        )
