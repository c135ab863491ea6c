"""Every setting of a simulated gateway, checked when it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from engine.simulator.wire import timestamp

MAX_CLIENTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Settings of a :class:`engine.simulator.gateway.Gateway`.

    Attributes:
        host: Address to listen on.
        port: TCP port; 0 picks a free one.
        accounts: Account names, in the order clients hear them.
        seed: Decides the price paths.
        base_currency: Base currency of every account.
        cash: Opening balance of every account, base currency.
        master_client_id: The client that hears everybody's orders, executions and commissions; ``None`` for nobody.
        tick_s: Seconds between price steps; 0 holds all prices.
        volatility: Scales the price steps; 1 is about 0.04 percent a step.
        fill_delay_s: Seconds from an order's acceptance to its first fill; 0 fills in the same breath.
        partial_delay_s: Seconds between the parts of an order larger than its instrument's lot.
        commission_delay_s: Seconds from a fill to its commission report; 0 sends it right behind the fill.
        position_delay_s: Seconds from a fill to its position message.
        account_update_s: Seconds within which changed portfolio rows and account values are gathered before sending.
        stream_s: Seconds between P&L messages and ticks.
        account_interval_s: Seconds between full repeats of account values (the real gateway: three minutes).
        time_style: How execution times are written, see :func:`engine.simulator.wire.timestamp`.
        replay_commissions: Whose commission reports come with re-requested executions: ``all``, ``own`` or ``none``.
        replay_corrected: Whether re-requested executions hold ``both`` revisions of a corrected one or only the
            ``last``.
        day_zone: IANA zone whose midnight begins the day of executions and completed orders.
        max_messages_per_s: Above it requests are refused with error 100; 0 switches pacing off.
        max_clients: Clients at a time.
        max_order_value: Orders worth more than this (base currency) are rejected with error 201.
        allow_fractional_stock: Whether shares may be ordered in fractions (IB's API refuses it with 10243).
        handshake_timeout_s: Seconds a connection has from accept to startApi.
        max_buffer: Bytes that may wait for a slow reader before it is dropped; the replay of a day with 100,000 orders,
            which is sent in one go, takes a hundred megabytes.
        state: File that keeps everything over a restart; ``None`` keeps nothing.
    """

    host: str = "127.0.0.1"
    port: int = 0
    accounts: Sequence[str] = ("DU1234567",)
    seed: int = 7
    base_currency: str = "USD"
    cash: Decimal = Decimal(1_000_000)
    master_client_id: int | None = None
    tick_s: float = 1.0
    volatility: Decimal = Decimal(1)
    fill_delay_s: float = 0.0
    partial_delay_s: float = 0.02
    commission_delay_s: float = 0.05
    position_delay_s: float = 0.0
    account_update_s: float = 0.2
    stream_s: float = 1.0
    account_interval_s: float = 180.0
    time_style: str = "zone"
    replay_commissions: str = "all"
    replay_corrected: str = "both"
    day_zone: str = "UTC"
    max_messages_per_s: int = 0
    max_clients: int = MAX_CLIENTS
    max_order_value: Decimal = Decimal(100_000_000)
    allow_fractional_stock: bool = False
    handshake_timeout_s: float = 10.0
    max_buffer: int = 512 * 1024 * 1024
    state: Path | str | None = None

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            ValueError: Naming the setting and what is allowed.
        """
        self._require(bool(self.accounts), "accounts", self.accounts, "at least one account name")
        self._require(len(set(self.accounts)) == len(self.accounts), "accounts", self.accounts, "different names")
        plain = all(name and name.isascii() and name.isalnum() for name in self.accounts)
        self._require(plain, "accounts", self.accounts, "names of letters and digits")
        self._require(0 <= self.port <= 65535, "port", self.port, "0 to 65535")
        self._require(
            self.replay_commissions in ("all", "own", "none"),
            "replay_commissions",
            self.replay_commissions,
            "all, own or none",
        )
        self._require(
            self.replay_corrected in ("both", "last"), "replay_corrected", self.replay_corrected, "both or last"
        )
        self._require(1 <= self.max_clients <= MAX_CLIENTS, "max_clients", self.max_clients, f"1 to {MAX_CLIENTS}")
        styles = "zone, dash, bare, unknown or an IANA zone"
        self._require(_holds(timestamp, datetime.now(UTC), self.time_style), "time_style", self.time_style, styles)
        zone = "an IANA zone, such as America/New_York"
        self._require(_holds(ZoneInfo, self.day_zone), "day_zone", self.day_zone, zone)
        for name in ("tick_s", "fill_delay_s", "partial_delay_s", "commission_delay_s", "position_delay_s"):
            self._require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more seconds")
        for name in ("account_update_s", "stream_s", "account_interval_s", "handshake_timeout_s"):
            self._require(getattr(self, name) > 0, name, getattr(self, name), "more than 0 seconds")

    @staticmethod
    def _require(holds: bool, name: str, value: object, allowed: str) -> None:
        if not holds:
            message = f"{name} is {value!r}: use {allowed}"
            raise ValueError(message)


def _holds(check: Callable[..., object], *values: object) -> bool:
    """Whether a check that knows no zone, or no style, accepts these."""
    try:
        check(*values)
    except (ValueError, LookupError, OSError):
        return False
    return True
