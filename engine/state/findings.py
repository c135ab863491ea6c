"""What an operator should see: open findings, each shown once under a stable key until it settles."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from engine.core.events import Fill
from engine.core.records import Finding, FindingKind
from engine.state.changes import Changes


class Findings:
    """The open findings.

    Attributes:
        open: Key -> finding, in order of first sight.
        at: Time of the fact being applied; set by the ledger.
    """

    def __init__(self) -> None:
        """Nothing found yet."""
        self.open: dict[str, Finding] = {}
        self.at: datetime | None = None

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
        assert self.at is not None, "findings are made while a fact is applied"
        key = f"{kind}:{subject}"
        known = self.open.get(key)
        if known is not None and known.text == text:
            return
        seen_at = self.at if known is None else known.seen_at
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
