"""Fees: joined to their execution by execution id only, in any order of arrival (R45).

Three states: pending (never 0), known, and orphan (a fee whose execution has not come). A correction keeps the fee known
for the revision before it until a report of its own comes; of several reports the one for the highest revision counts,
and of one revision the latest.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from engine.core.events import Commission
from engine.core.ids import split_exec_id
from engine.state.booking import Booking
from engine.state.changes import Changes
from engine.state.executions import Execution

_UNSET: Final = Decimal(-1)
"""With a currency, else it would have been translated to pending (F38)."""


class Fees:
    """Takes in commission reports.

    Attributes:
        early: Orphans: root of the execution id -> revision -> report.
    """

    def __init__(self, booking: Booking) -> None:
        """Wire the parts."""
        self._booking = booking
        self.early: dict[str, dict[int, Commission]] = {}

    @property
    def orphans(self) -> dict[str, Commission]:
        """Fees whose execution is not known yet, by execution id."""
        return {report.exec_id: report for early in self.early.values() for report in early.values()}

    def load(self, reports: list[Commission]) -> None:
        """Take over stored orphans."""
        for report in reports:
            root, revision = split_exec_id(report.exec_id)
            self.early.setdefault(root, {})[revision] = report

    def report(self, report: Commission, changes: Changes) -> None:
        """Take in a report, known execution or not (R2, R7)."""
        root, revision = split_exec_id(report.exec_id)
        booking = self._booking
        execution = booking.index.by_root(root)
        if execution is None or revision > execution.revision:
            self._orphan(report, changes)
            return
        amount = report.amount
        if amount is None or revision < execution.fee_revision:
            return
        known = execution.commission
        execution.fee_revision = revision
        if known is not None and known == amount and execution.commission_currency == report.currency:
            noted = report.ib_realized_pnl
            if noted is None or noted == execution.ib_realized_pnl:
                return
        execution.ib_realized_pnl = report.ib_realized_pnl
        booking.shelf.refee(execution, amount, report.currency)
        booking.pending.pop(execution.sort[2], None)
        booking.touch(execution.fill, report.received_at)
        booking.show(execution, changes)
        if amount == _UNSET:
            self._odd(execution, changes)

    def adopt(self, execution: Execution, root: str, changes: Changes) -> None:
        """Give an execution, while it is in no book, the fees that came before it, for its revision and those below."""
        early = self.early.get(root)
        if early is None:
            return
        for revision in sorted(early):
            if revision <= execution.revision:
                self._take_over(execution, revision, early.pop(revision), changes)
        if not early:
            del self.early[root]

    def _take_over(self, execution: Execution, revision: int, report: Commission, changes: Changes) -> None:
        self._booking.findings.settle(changes, "orphan_commission", report.exec_id)
        if report.amount is None or revision < execution.fee_revision:
            return
        execution.commission, execution.commission_currency = report.amount, report.currency
        execution.ib_realized_pnl, execution.fee_revision = report.ib_realized_pnl, revision
        self._booking.pending.pop(execution.sort[2], None)
        if report.amount == _UNSET:
            self._odd(execution, changes)

    def _odd(self, execution: Execution, changes: Changes) -> None:
        text = f"the fee of {execution.fill.exec_id} is -1, a rebate or IB's sign for unset: check the statement"
        self._booking.findings.about(
            changes, "negative_fee_sentinel", "warning", execution.fill, text, strategy=execution.strategy
        )

    def _orphan(self, report: Commission, changes: Changes) -> None:
        root, revision = split_exec_id(report.exec_id)
        early = self.early.setdefault(root, {})
        had = early.get(revision)
        if report.amount is None and had is not None and had.amount is not None:
            return
        early[revision] = report
        changes.alone.append(report)
        changes.requests.add("executions")
        self._booking.findings.add(
            changes,
            "orphan_commission",
            "warning",
            report.exec_id,
            f"a fee came for {report.exec_id}, whose execution has not",
            exec_id=report.exec_id,
        )
