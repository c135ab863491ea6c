"""What applying one fact changed: the records to store, what an operator should see, what should be asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.core.records import FillRecord, Finding, OrderRecord


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
    """

    __slots__ = ("dirty", "fills", "findings", "orders", "requests", "resolved")

    def __init__(self) -> None:
        """Nothing changed so far."""
        self.fills: list[FillRecord] = []
        self.orders: list[OrderRecord] = []
        self.findings: list[Finding] = []
        self.resolved: set[str] = set()
        self.dirty: set[str] = set()
        self.requests: set[str] = set()

    def __bool__(self) -> bool:
        """True when there is anything to store or to show."""
        return bool(self.fills or self.orders or self.findings or self.resolved or self.dirty)
