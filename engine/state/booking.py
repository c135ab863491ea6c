"""Moving executions in and out of books, and handing out the records of all whose figures changed by it.

The pattern of every change but a plain append: take the execution out of its book, change it, put it back. The book folds
again from there; the changed execution and all others whose realized P&L changed are handed out again, so that the stored
rows alone always fold to the positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.core.events import Fill
from engine.state.books import Shelf
from engine.state.changes import Changes, Moment
from engine.state.executions import Execution, moved_record, record_of
from engine.state.findings import Findings
from engine.state.index import Index


class Booking:
    """Books, index and findings, and what every handler needs of them.

    Attributes:
        pending: Executions whose fee is not known, by their first sequence.
        activity: (account, con_id) -> our time of the last fact that touched it.
        moment: Which fact is being applied.
    """

    def __init__(self) -> None:
        """Start with empty books."""
        self.moment = Moment()
        self.shelf = Shelf(self.moment)
        self.index = Index()
        self.findings = Findings(self.moment)
        self.pending: dict[int, Execution] = {}
        self.activity: dict[tuple[str, int], datetime] = {}

    @property
    def seq(self) -> int:
        """Sequence of the fact being applied."""
        return self.moment.seq

    def now(self) -> datetime:
        """Recorded time of the fact being applied."""
        return self.moment.at

    def put_back(self, execution: Execution, changed: list[Execution], changes: Changes) -> None:
        """Book a changed execution and hand out everything that changed.

        Args:
            changed: What taking it out had changed.
        """
        others = self.shelf.put(execution) or []
        self.touch(execution.fill)
        seen = {id(execution)}
        again = [execution]
        for other in (*changed, *others):
            if id(other) not in seen:
                seen.add(id(other))
                again.append(other)
        self.again(again, changes)

    def again(self, executions: Iterable[Execution], changes: Changes) -> None:
        """Hand out the records of executions whose figures changed."""
        for execution in executions:
            self.show(execution, changes)

    def show(self, execution: Execution, changes: Changes) -> None:
        """Hand out the record of an execution whose figures changed."""
        moment = self.moment
        execution.seq, execution.recorded_at = moment.seq, moment.at
        changes.dirty.add(execution.strategy)
        changes.fills.append(record_of(execution, self.shelf.terms_for(execution)))

    def rebook(self, execution: Execution, strategy: str, reason: str, changes: Changes) -> None:
        """Take an execution over into another strategy's book, whole, with its time, price and fee."""
        old = execution.strategy
        if old == strategy:
            return
        changed = self.shelf.take(execution)
        execution.strategy = strategy
        execution.seq, execution.recorded_at = self.seq, self.now()
        changes.fills.append(moved_record(execution, self.shelf.terms_for(execution), old, execution.fill, reason))
        changes.dirty.update((old, strategy))
        self.put_back(execution, changed, changes)

    def touch(self, fill: Fill, at: datetime | None = None) -> None:
        """Note that something about an instrument in an account was heard."""
        key = (fill.account, fill.instrument.con_id)
        moment = at or self.now()
        last = self.activity.get(key)
        if last is None or moment > last:
            self.activity[key] = moment


def resort(execution: Execution) -> None:
    """Give an execution the place of its lowest known revision; call it while it is in no book."""
    lowest, revision = execution.fill, execution.revision
    for old in execution.extra.older if execution.extra is not None else ():
        if old.revision < revision:
            lowest, revision = old.fill, old.revision
    execution.sort = (lowest.executed_at or lowest.received_at, execution.sort[1], execution.sort[2])
