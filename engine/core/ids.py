"""Identities, and the few rules that turn one into another.

An ``exec_id`` such as ``0000e0d5.67fe667b.01.01`` is opaque except for what follows its *last* dot: the revision. A
correction repeats the execution in full under the same root and a higher revision, so identity is (account, root) and
the revision is an attribute. (IBKR Campus, "ExecID Behavior"; combination legs can have five groups, so the number of
groups means nothing.)
"""

from __future__ import annotations

import re
from typing import Final, NewType

Account = NewType("Account", str)
ConId = NewType("ConId", int)
StrategyName = NewType("StrategyName", str)
ExecId = NewType("ExecId", str)
ExecRoot = NewType("ExecRoot", str)
PermId = NewType("PermId", int)

UNASSIGNED: Final = StrategyName("UNASSIGNED")
"""The reserved book for executions and residuals that belong to no strategy yet."""

_IB_FORM: Final = re.compile(
    r"[0-9a-fA-F]{1,8}\.([0-9a-fA-F]{8})\.[0-9a-fA-F]{2}(?:\.[0-9a-fA-F]{2})?|leg([0-9]{1,9}):.*", re.DOTALL
)
_match: Final = _IB_FORM.fullmatch
_LONGEST_REVISION: Final = 9
"""IB counts to 99; more digits than this are part of a foreign venue's name, and no column could hold them."""


def split_exec_id(exec_id: str) -> tuple[ExecRoot, int]:
    """Split an execution id into its root and its revision.

    Args:
        exec_id: As reported; ``"X.Y.01.02"`` gives ``("X.Y.01", 2)``.

    Returns:
        Root and revision. An id without a numeric last group (or one of more than nine digits) is its own root with
        revision 0, since nothing in it says that it revises anything.
    """
    root = exec_id[:-3]
    if root and exec_id[-3:] == ".01":  # nearly all are first ones
        return root, 1  # type: ignore[return-value]
    head, _, tail = exec_id.rpartition(".")
    if head and tail.isdigit() and tail.isascii() and len(tail) <= _LONGEST_REVISION:
        return head, int(tail)  # type: ignore[return-value]
    return exec_id, 0  # type: ignore[return-value]


def venue_sequence(root: str) -> int:
    """The broker's own sequence number inside an execution root, to order executions of one second.

    Args:
        root: An execution root as :func:`split_exec_id` gives it.

    Returns:
        The second group read as hexadecimal when the root has IB's form, the leg's number for an assignment's leg, else 0
        (then the order of arrival decides).
    """
    found = _match(root)
    if found is None:
        return 0
    sequence = found[1]
    return int(sequence, 16) if sequence is not None else int(found[2])


def leg_exec_id(assignment_id: str, number: int, strategy: str) -> ExecId:
    """Execution id of an assignment's leg: its root is unique per leg whatever the names are, its revision is 0."""
    return ExecId(f"leg{number}:{assignment_id}:{strategy}.0")
