"""Visible rules "always do this": which strategy gets executions that no strategy owns.

A rule only ever matches executions in UNASSIGNED; every condition that it names must hold. The first rule in the order
of their making wins. A rule is tried on history before it is switched on, and what it does is signed ``rule <id>`` in
the journal of assignments, reversible like anything else there.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from engine.core.events import RuleSet
from engine.core.ids import UNASSIGNED
from engine.core.records import FillRecord


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule would have done with one execution of the past.

    Attributes:
        actual: The book it is in now.
        agrees: True when that is the rule's strategy too.
        acts: True when the rule would move it, since no strategy owns it.
    """

    exec_id: str
    account: str
    con_id: int
    symbol: str
    quantity: str
    order_time: datetime
    actual: str
    proposed: str
    agrees: bool
    acts: bool


def rule_matches(rule: RuleSet, record: FillRecord) -> bool:
    """Whether every condition that the rule names holds for an execution; a rule without conditions matches nothing."""
    fill = record.fill
    if not (rule.order_ref or rule.client_id is not None or rule.account or rule.con_id):
        return False
    return (
        (not rule.order_ref or fnmatch.fnmatchcase(fill.order_ref, rule.order_ref))
        and (rule.client_id is None or fill.client_id == rule.client_id)
        and (not rule.account or fill.account == rule.account)
        and (not rule.con_id or fill.instrument.con_id == rule.con_id)
    )


def match_rule(rules: Iterable[RuleSet], record: FillRecord) -> RuleSet | None:
    """The first rule in force for an execution in UNASSIGNED, ``None`` for none."""
    if record.strategy != UNASSIGNED or record.state != "active" or record.fill.source == "assignment":
        return None
    return next((r for r in rules if r.enabled and rule_matches(r, record)), None)


def try_rule(rule: RuleSet, history: Sequence[FillRecord]) -> list[Trial]:
    """Try a rule on past executions, changing nothing.

    Args:
        rule: Switched on or not.
        history: Executions, current state each.

    Returns:
        One row per execution that it matches, whoever owns it: those that another strategy owns show where the rule
        would have been wrong.
    """
    return [
        Trial(
            exec_id=r.fill.exec_id,
            account=r.fill.account,
            con_id=r.fill.instrument.con_id,
            symbol=r.fill.instrument.symbol,
            quantity=f"{r.fill.quantity:+f}",
            order_time=r.order_time,
            actual=r.strategy,
            proposed=rule.strategy,
            agrees=r.strategy == rule.strategy,
            acts=r.strategy == UNASSIGNED and r.state == "active",
        )
        for r in history
        if r.fill.source != "assignment" and r.state in {"active", "moved"} and rule_matches(rule, r)
    ]
