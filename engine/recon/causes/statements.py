"""What the broker's own statement says: rows that change a quantity and are not in the books yet.

They are the only causes that are not provisional besides executions we hold (F106, F141). Cash rows never explain a
quantity (F111). An option event explains both its legs (F96, F98, F101).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal
from typing import Final

from engine.core.events import AssignmentLeg
from engine.core.ids import split_exec_id
from engine.core.statement import CorporateAction, OptionEvent, StatementTrade, Transfer
from engine.recon.cause import RECORDED, Cause, CauseKind, Proposal
from engine.recon.causes.shares import pro_rata
from engine.recon.evidence import ZERO, Evidence

_OPTION: Final[dict[str, CauseKind]] = {
    "assignment": "option_assignment",
    "exercise": "option_exercise",
    "expiration": "option_expiry",
    "cash_settlement": "option_expiry",
    "book_entry": "futures_expiry",
}
_ACTION: Final[dict[str, CauseKind]] = {
    "FS": "split",
    "RS": "split",
    "FI": "split",
    "SO": "spin_off",
    "SD": "spin_off",
    "HD": "spin_off",
    "HI": "spin_off",
    "RI": "spin_off",
    "DI": "dividend_reinvestment",
    "TM": "maturity",
    "BM": "maturity",
    "PC": "maturity",
    "BC": "maturity",
}
_NAMES: Final[dict[str, str]] = {
    "split": "Split",
    "spin_off": "Spin-off, rights or stock dividend",
    "dividend_reinvestment": "Reinvested dividend",
    "maturity": "Maturity or redemption",
    "merger": "Merger or other corporate action",
}


def causes(evidence: Evidence) -> Iterator[Cause]:
    """One cause per statement row that fits the sign of the difference."""
    difference = evidence.found.difference
    for item in evidence.statement:
        if isinstance(item, OptionEvent):
            made = _option(evidence, item)
        elif isinstance(item, CorporateAction):
            made = _action(evidence, item)
        elif isinstance(item, Transfer):
            made = _transfer(evidence, item)
        else:
            made = _trade(evidence, item)
        if made is not None and made.quantity * difference > 0 and abs(made.quantity) <= abs(difference):
            yield made


def _option(evidence: Evidence, item: OptionEvent) -> Cause | None:
    here = evidence.here
    other: tuple[str, ...] = ()
    if item.instrument.con_id == here.con_id:
        quantity, price = item.quantity, item.price if item.price is not None else ZERO
        if item.underlying is not None:
            other = (f"{here.account}:{item.underlying.con_id}",)
    elif item.underlying is not None and item.underlying.con_id == here.con_id and item.underlying_quantity:
        quantity, price = item.underlying_quantity, item.underlying_price or item.price or ZERO
        other = (f"{here.account}:{item.instrument.con_id}",)
    else:
        return None
    return _recorded(
        _OPTION[item.kind],
        f"{item.kind.replace('_', ' ').capitalize()} on the statement",
        quantity,
        f"statement: {item.kind} of {item.instrument.symbol}, {quantity:+f} at {price:f}",
        item.trade_ids or (f"{item.kind} {item.instrument.con_id} {item.day}",),
        Proposal(act="legs", text="book the event at its price", legs=pro_rata(here, quantity, price), cash=item.cash),
        other,
    )


def _action(evidence: Evidence, item: CorporateAction) -> Cause | None:
    if item.instrument.con_id != evidence.here.con_id:
        return None
    kind = _ACTION.get(item.kind, "merger")
    reference = item.transaction_id or item.action_id or f"{item.kind} {item.report_date}"
    quantity = _without_fraction(item.quantity, evidence.found.difference)
    paid = "" if quantity == item.quantity else f"; {item.quantity - quantity:+f} of it is a fraction that is paid out"
    return _recorded(
        kind,
        f"{_NAMES[kind]} on the statement: {item.description or item.kind}",
        quantity,
        f"statement: {item.kind} changes the position by {item.quantity:+f}{paid}",
        (reference,),
        Proposal(
            act="legs",
            text="book the change pro rata; its cost moves with it",
            legs=pro_rata(evidence.here, quantity, ZERO),
            cash=item.cash,
        ),
    )


def _without_fraction(told: Decimal, difference: Decimal) -> Decimal:
    """What an action leaves in the position: a fraction of a share is paid in cash, and the API shows whole ones (F86)."""
    whole = told.to_integral_value(rounding=ROUND_DOWN)
    return whole if whole == difference else told


def _transfer(evidence: Evidence, item: Transfer) -> Cause | None:
    if item.instrument.con_id != evidence.here.con_id or not item.quantity:
        return None
    return _recorded(
        "transfer",
        f"Transfer on the statement ({item.kind} {item.counterparty})".replace(" )", ")"),
        item.quantity,
        f"statement: {item.kind} of {item.quantity:+f}",
        (item.transaction_id or f"{item.kind} {item.day}",),
        Proposal(act="none", text="held in UNASSIGNED until it is assigned; the price is the operator's to say")
        if item.price is None
        else Proposal(
            act="legs",
            text="hold it in UNASSIGNED at the statement's price",
            legs=(AssignmentLeg(strategy="UNASSIGNED", quantity=item.quantity, price=item.price),),
        ),
    )


def _trade(evidence: Evidence, item: StatementTrade) -> Cause | None:
    if item.instrument.con_id != evidence.here.con_id:
        return None
    held = {split_exec_id(r.fill.exec_id)[0] for r in evidence.fills if r.state == "active"}
    known = bool(item.exec_id) and split_exec_id(item.exec_id)[0] in held
    reference = item.exec_id or item.transaction_id or item.trade_id
    if item.is_cancel:
        return _recorded(
            "bust",
            "Cancelled trade on the statement",
            item.quantity,
            f"statement: trade {item.orig_trade_id} cancelled, {item.quantity:+f}",
            (reference,),
            Proposal(act="none", text="importing the statement takes the execution back in its own book"),
        )
    if known:
        return None
    kind: CauseKind = "dividend_reinvestment" if "R" in item.notes else "statement_trade"
    if item.liquidation:
        kind = "liquidation"
    return _recorded(
        kind,
        "Reinvested dividend on the statement" if kind == "dividend_reinvestment" else "Trade on the statement",
        item.quantity,
        f"statement: {item.quantity:+f} at {item.price:f} that the books do not have",
        (reference,),
        Proposal(act="none", text="importing the statement books the execution with its price, time and fee"),
    )


def _recorded(
    kind: CauseKind,
    title: str,
    quantity: Decimal,
    arithmetic: str,
    evidence: tuple[str, ...],
    proposal: Proposal,
    linked: tuple[str, ...] = (),
) -> Cause:
    return Cause(
        kind=kind,
        title=title,
        quantity=quantity,
        arithmetic=arithmetic,
        evidence=evidence,
        score=RECORDED,
        provisional=False,
        proposal=proposal,
        linked=linked,
    )
