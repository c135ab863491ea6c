"""The broker's door when no IB is configured: every question has the honest answer "unknown"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.broker.connection import BrokerState
from engine.core.snapshot import Unknown
from engine.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from decimal import Decimal

    from engine.core.snapshot import AccountSnapshot, Mark
    from engine.ports import Clock

_WHY = "no IB is configured (set FILLBOOK_IB_HOST and FILLBOOK_IB_PORT)"


class AbsentBroker:
    """Answers for a broker that is not there."""

    def __init__(self, clock: Clock, accounts: Iterable[str] = ()) -> None:
        """Take the accounts that are expected, to say of each that it is unknown."""
        self._clock = clock
        self._accounts = tuple(accounts)
        self.state = BrokerState(state="unavailable", since=clock.now(), reason=_WHY)
        self.heard_at: datetime | None = None

    @property
    def available(self) -> bool:
        """Never."""
        return False

    async def positions(self, accounts: Iterable[str] = ()) -> list[AccountSnapshot]:
        """Unknown for every account asked about."""
        now = self._clock.now()
        return [
            Unknown(account=a, reason=_WHY, requested_at=now) for a in (tuple(accounts) or self._accounts or ("*",))
        ]

    async def refresh_executions(self) -> int:
        """Cannot be done.

        Raises:
            BrokerUnavailable: Always.
        """
        raise BrokerUnavailable(_WHY)

    def marks(self) -> Mapping[tuple[str, int], Mark]:
        """None are known."""
        return {}

    def base_currency(self, account: str) -> str | None:
        """Unknown."""
        return None

    def rate(self, account: str, currency: str) -> tuple[Decimal, datetime] | None:
        """Unknown."""
        return None
