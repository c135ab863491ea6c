"""What the fault desk has armed, waiting for the message or request that it will spoil.

Counters spoil the next so many occasions and then are gone; the other switches stay until cleared.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(slots=True)
class CommissionRule:
    """How the commission of one coming fill is reported: ``late``, ``sentinel``, ``missing`` or ``amount``."""

    kind: str
    delay_s: float = 0.0
    amount: Decimal | None = None


@dataclass(slots=True)
class PositionsRule:
    """How positions answers fail: ``empty``, ``hang``, ``error``, ``partial`` (only ``rows`` rows), ``late``, ``ends``.

    ``times`` counts down; ``None`` lasts until cleared. With an ``account`` only that account's rows are missing.
    A ``late`` answer's other rows and end come after ``delay_s``; of ``ends`` a second end does.
    """

    mode: str
    times: int | None
    account: str = ""
    rows: int = 1
    delay_s: float = 0.0


@dataclass(slots=True)
class Rules:
    """Everything armed."""

    counters: dict[str, int] = field(default_factory=dict)
    commissions: deque[CommissionRule] = field(default_factory=deque)
    positions: PositionsRule | None = None
    execution_delay_s: float = 0.0
    position_delay_s: float = 0.0
    reject_code: int = 201
    reject_reason: str = ""
    time_style: str = ""
    truncate: bool = False
    cost_factor: dict[tuple[str, int], Decimal] = field(default_factory=dict)
    link_down: bool = False
    hold: bool = False

    def arm(self, name: str, count: int) -> None:
        """Spoil the next ``count`` occasions of a kind, added to those already armed."""
        self.counters[name] = self.counters.get(name, 0) + count

    def take(self, name: str) -> bool:
        """Whether this occasion is to be spoiled; counts down."""
        left = self.counters.get(name, 0)
        if left > 0:
            self.counters[name] = left - 1
        return left > 0

    def take_commission(self) -> CommissionRule | None:
        """The rule for the fill that happens now, if any."""
        return self.commissions.popleft() if self.commissions else None

    def take_positions(self) -> PositionsRule | None:
        """The rule for the positions answer that is due now, if any."""
        rule = self.positions
        if rule is not None and rule.times is not None:
            rule.times -= 1
            if rule.times <= 0:
                self.positions = None
        return rule

    def clear(self) -> None:
        """Disarm everything but the state of the link."""
        fresh = Rules(link_down=self.link_down, hold=self.hold)
        for name in fresh.__dataclass_fields__:
            setattr(self, name, getattr(fresh, name))
