"""What a break can be explained by, as values.

Causes are *alternatives*, ranked; an explanation picks the ones that together account for the break::

    quantity of the break = sum of the accepted causes' quantities + residual

The score says how much stands behind a cause. It is an ordinal, made of countable things, not a probability:

======  ====================================================================================================
 score  what stands behind it
======  ====================================================================================================
   95   the broker's own record names the event and its quantity is exact (Flex row, execution we hold)
   80   exact arithmetic, and two independent circumstances agree (both legs of an exercise, ratio and price)
   60   exact arithmetic, one circumstance (one fill of equal and opposite quantity, an order's fill count)
   40   a circumstance only (an expiry date has passed, another client trades here)
   20   nothing but shape (a difference below one share)
======  ====================================================================================================

Within three hours after IB's reset, 5 points go from intraday causes to overnight ones (F131); each further candidate
that would fit as well costs 5. A cause below 90 is *provisional*: only the broker's own record confirms it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal

import msgspec

from engine.core.events import AssignmentLeg, ExecutionMove

CauseKind = Literal[
    "external_trade",
    "other_client",
    "unclaimed_execution",
    "liquidation",
    "missing_fill",
    "combo_incomplete",
    "correction",
    "bust",
    "assignment_superseded",
    "option_expiry",
    "option_exercise",
    "option_assignment",
    "futures_expiry",
    "split",
    "merger",
    "spin_off",
    "dividend_reinvestment",
    "transfer",
    "fractional_truncation",
    "drift",
    "price_unit",
    "settling_lag",
    "position_before_fill",
    "maturity",
    "statement_trade",
]

RECORDED: Final = 95
CORROBORATED: Final = 80
ARITHMETIC: Final = 60
CIRCUMSTANCE: Final = 40
SHAPE: Final = 20
CONFIRMED_FROM: Final = 90

OVERNIGHT: Final[frozenset[str]] = frozenset(
    {
        "option_expiry",
        "option_exercise",
        "option_assignment",
        "futures_expiry",
        "split",
        "merger",
        "spin_off",
        "transfer",
        "dividend_reinvestment",
        "maturity",
    }
)
"""Causes without an API execution, which cluster after resets (F131)."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What would close the break, for an operator to accept; nothing here acts.

    Attributes:
        act: ``move`` executions between books, ``legs`` at a price, ``request`` executions again, ``reverse`` an
            assignment, ``wait`` for the broker, or ``none``.
        legs: Per strategy, signed; price in instrument currency per unit.
        moves: Executions to re-book, whole. ``to_strategy`` is empty where the operator has to choose.
        assignment_id: For ``reverse``.
        cash: What the event pays besides, instrument currency, received positive (cash in lieu, settlement).
        text: The same in words.
    """

    act: Literal["move", "legs", "request", "reverse", "wait", "none"]
    text: str
    legs: tuple[AssignmentLeg, ...] = ()
    moves: tuple[ExecutionMove, ...] = ()
    assignment_id: str = ""
    cash: Decimal | None = None


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate.

    Attributes:
        quantity: Signed part of the break that it accounts for.
        arithmetic: The sum that an operator can follow.
        evidence: Execution ids, order keys, statement references and the like that it rests on.
        score: See the module's table, 0 to 100.
        provisional: True until the broker's own record confirms it.
        linked: Ids of other breaks that the same event made.
    """

    kind: CauseKind
    title: str
    quantity: Decimal
    arithmetic: str
    evidence: tuple[str, ...]
    score: int
    provisional: bool
    proposal: Proposal
    linked: tuple[str, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Ranked causes of one break, and what they leave.

    Attributes:
        causes: Best first.
        accepted: The ones that together account for ``explained``, best first.
        explained: Sum of the accepted quantities.
        residual: What no cause explains: the break minus ``explained``.
    """

    causes: tuple[Cause, ...] = ()
    accepted: tuple[Cause, ...] = ()
    explained: Decimal = Decimal(0)
    residual: Decimal = Decimal(0)
