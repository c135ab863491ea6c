"""What an operator should see: open findings, each shown once under a stable key until it settles."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.core.events import Fill
from engine.core.records import Finding, FindingKind
from engine.state.changes import Changes, Moment


class Findings:
    """The open findings.

    Attributes:
        open: Key -> finding, in order of first sight.
    """

    def __init__(self, moment: Moment) -> None:
        """Nothing found yet.

        Args:
            moment: Which fact is being applied.
        """
        self.open: dict[str, Finding] = {}
        self._moment = moment

    def add(
        self,
        changes: Changes,
        kind: FindingKind,
        severity: Literal["info", "warning", "critical"],
        subject: str,
        text: str,
        **about: Any,
    ) -> None:
        """Raise a finding unless the same one is open with the same text.

        Args:
            subject: What it is about; with ``kind`` the stable key.
            about: ``account``, ``con_id``, ``exec_id``, ``strategy`` where known.
        """
        key = f"{kind}:{subject}"
        known = self.open.get(key)
        if known is not None and known.text == text:
            return
        seen_at = self._moment.at if known is None else known.seen_at
        found = Finding(key=key, kind=kind, severity=severity, text=text, seen_at=seen_at, **about)
        self.open[key] = found
        changes.findings.append(found)
        changes.resolved.discard(key)

    def about(
        self,
        changes: Changes,
        kind: FindingKind,
        severity: Literal["info", "warning", "critical"],
        fill: Fill,
        text: str,
        *,
        strategy: str = "",
        subject: str = "",
    ) -> None:
        """Raise a finding about an execution."""
        self.add(
            changes,
            kind,
            severity,
            subject or f"{fill.account}:{fill.exec_id}",
            text,
            account=fill.account,
            con_id=fill.instrument.con_id,
            exec_id=fill.exec_id,
            strategy=strategy,
        )

    def settle(self, changes: Changes, kind: FindingKind, subject: str) -> None:
        """Close a finding, if it is open."""
        if self.open and self.open.pop(f"{kind}:{subject}", None) is not None:
            changes.resolved.add(f"{kind}:{subject}")

    def load(self, findings: list[Finding]) -> None:
        """Take over stored findings."""
        self.open = {f.key: f for f in findings}


def dump_findings(findings: Findings) -> list[Any]:
    """Plain values of the open findings."""
    return [msgspec.to_builtins(f) for f in findings.open.values()]
