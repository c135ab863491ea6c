"""What the desk asks of the ledger, as a Protocol, so that its services are tested with the real one or a small one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from engine.core.events import AssignmentMade, BreakNoted, ConnectionSeen, RuleSet
from engine.core.instrument import Instrument
from engine.core.records import ComboRecord, FillRecord, OrderRecord, PositionRecord


class Near(Protocol):
    """Questions about some (account, con_id), at the cost of these and not of all."""

    def fills(
        self, keys: Iterable[tuple[str, int]], *, strategy: str | None = None, since: datetime | None = None
    ) -> list[FillRecord]:
        """Current state of the executions, in the books' order."""
        ...

    def orders(self, keys: Iterable[tuple[str, int]]) -> list[OrderRecord]:
        """Latest record of every order."""
        ...

    def combos(self, account: str) -> list[ComboRecord]:
        """Orders of combinations of which not all legs came."""
        ...

    @property
    def clients(self) -> frozenset[int]:
        """Client ids of orders that a message named a strategy for."""
        ...


class Books(Protocol):
    """The part of :class:`engine.state.ledger.Ledger` that the desk reads, always under the ledger's lock."""

    @property
    def seq(self) -> int:
        """Journal sequence of the last fact in the books."""
        ...

    @property
    def assignment_head(self) -> str:
        """Hash of the last entry of the journal of assignments, empty before the first."""
        ...

    @property
    def reversed_ids(self) -> Mapping[str, Any]:
        """Assignment id -> its reversal."""
        ...

    @property
    def break_notes(self) -> Mapping[str, BreakNoted]:
        """Break id -> latest owner and note."""
        ...

    @property
    def connections(self) -> Sequence[ConnectionSeen]:
        """Recent changes of the link to IB, oldest first."""
        ...

    def net(self) -> dict[tuple[str, int], Decimal]:
        """Signed quantity per (account, con_id) over all books."""
        ...

    def positions(self, strategy: str | None = None, account: str | None = None) -> list[PositionRecord]:
        """Every book."""
        ...

    def position(self, strategy: str, account: str, con_id: int) -> PositionRecord | None:
        """One book."""
        ...

    def instrument(self, con_id: int) -> Instrument | None:
        """What is known of an instrument."""
        ...

    def fills(self, strategy: str | None = None, since: datetime | None = None) -> list[FillRecord]:
        """Current state of each execution."""
        ...

    @property
    def near(self) -> Near:
        """Questions about some instruments."""
        ...

    def chain_of(self, account: str, exec_id: str) -> list[FillRecord]:
        """Every revision of the execution that any of its ids names, lowest first."""
        ...

    def fill(self, account: str, root: str) -> FillRecord | None:
        """Current state of one execution."""
        ...

    def orders(self, strategy: str | None = None, *, open_only: bool = False) -> list[OrderRecord]:
        """Latest sight of each order."""
        ...

    def assignments(self) -> list[AssignmentMade]:
        """Every assignment ever made, in order."""
        ...

    def rules(self) -> list[RuleSet]:
        """Latest state of each rule."""
        ...

    def activity(self, account: str, con_id: int) -> datetime | None:
        """When a fact last touched this instrument here."""
        ...

    def preview(self, assignment: AssignmentMade) -> list[tuple[PositionRecord | None, PositionRecord]]:
        """Before and after of every book that an assignment would touch; changes nothing."""
        ...


class Everything(Protocol):
    """All executions and all orders, for who does not hold the ledger's lock."""

    def fills(self, strategy: str | None = None) -> list[FillRecord]:
        """Current state of each execution, in order of first sight."""
        ...

    def orders(self, strategy: str | None = None) -> list[OrderRecord]:
        """Latest sight of each order, in order of first sight."""
        ...
