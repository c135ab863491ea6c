"""What applying one fact changed: the records to store, what an operator should see, what should be asked again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from engine.core.events import Bust, Commission, Fill
    from engine.core.records import FillRecord, Finding, OrderRecord


BEFORE: Final = datetime.min.replace(tzinfo=UTC)


class Moment:
    """Which fact is being applied; one object that every room of the ledger reads, set by the ledger alone.

    Attributes:
        seq: Its journal sequence, 0 before the first.
        at: Our time of it, never going back: the recorded time of records; ``BEFORE`` all times before the first.
    """

    __slots__ = ("at", "seq")

    def __init__(self) -> None:
        """Before the first fact."""
        self.seq = 0
        self.at = BEFORE


class Changes:
    """Result of :meth:`engine.state.ledger.Ledger.apply`.

    Attributes:
        fills: Rows for ``fills/<strategy>``, in order. An execution whose place, state, fee or realized P&L changed comes
            again, so that the stored rows alone always fold to the positions.
        orders: Rows for ``orders/<strategy>``, in order.
        findings: New ones.
        resolved: Keys of findings that this fact settled.
        dirty: Strategies whose positions changed.
        requests: What to ask the broker again: ``executions`` after a gap or a fee without an execution.
        alone: Facts that no row tells of, to be stored whole: fees without their execution, busts, executions that cannot
            be booked.
    """

    __slots__ = ("alone", "dirty", "fills", "findings", "orders", "requests", "resolved")

    alone: list[Fill | Commission | Bust]
    findings: list[Finding]
    resolved: set[str]
    requests: set[str]

    def __init__(self) -> None:
        """Nothing changed so far."""
        self.fills: list[FillRecord] = []
        self.orders: list[OrderRecord] = []
        self.dirty: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        """Make what hardly any fact needs when it is first asked for."""
        if name not in self.__slots__:
            raise AttributeError(name)
        empty: list[Any] | set[str] = [] if name in {"alone", "findings"} else set()
        setattr(self, name, empty)
        return empty

    def __bool__(self) -> bool:
        """True when there is anything to store or to show."""
        return bool(self.fills or self.orders or self.findings or self.resolved or self.dirty)
