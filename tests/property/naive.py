"""The naive recount that the ledger is compared with: everything from the raw facts, each time from the start.

It knows nothing of the ledger's ways (no index, no kept state, no folding from a place); what it shares is the definition:
average cost in exact decimals, where a partial close takes a share of the cost that is rounded to 34 digits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal

from engine.core.events import (
    AssignmentMade,
    AssignmentReversed,
    Bust,
    Commission,
    Fill,
    InstrumentDescribed,
    OrderUpdate,
)
from engine.core.ids import UNASSIGNED, leg_exec_id, split_exec_id, venue_sequence

BIG = Context(prec=5000)
SHARE = Context(prec=34)
ZERO = Decimal(0)


@dataclass
class Book:
    quantity: Decimal = ZERO
    open_cost: Decimal = ZERO
    realized: Decimal = ZERO
    cash: Decimal = ZERO
    fees: dict = field(default_factory=dict)
    pending: int = 0
    fills: int = 0
    last: datetime | None = None

    def trade(self, quantity, value):
        self.fills += 1
        self.cash = BIG.subtract(self.cash, BIG.multiply(quantity, value))
        if self.quantity != 0 and (self.quantity > 0) != (quantity > 0) and quantity != 0:
            closed = quantity if quantity.copy_abs() <= self.quantity.copy_abs() else self.quantity.copy_negate()
            if closed == self.quantity.copy_negate():
                part = self.open_cost
            else:
                part = SHARE.divide(BIG.multiply(self.open_cost, closed), self.quantity).copy_negate()
            self.realized = BIG.subtract(BIG.subtract(self.realized, BIG.multiply(closed, value)), part)
            self.open_cost = BIG.subtract(self.open_cost, part)
            self.quantity = BIG.add(self.quantity, closed)
            quantity = BIG.subtract(quantity, closed)
        self.quantity = BIG.add(self.quantity, quantity)
        self.open_cost = BIG.add(self.open_cost, BIG.multiply(quantity, value))

    def figures(self):
        return (self.quantity, self.open_cost, self.realized, self.cash, self.fees, self.pending, self.fills, self.last)


def executions(facts):
    """(account, root) -> everything that was reported about it."""
    found = {}
    for seq, fact in facts:
        if not isinstance(fact, Fill):
            continue
        root, revision = split_exec_id(fact.exec_id)
        one = found.setdefault((fact.account, root), {"first": seq, "revisions": {}, "fill": fact})
        known = one["revisions"].setdefault(revision, [fact.quantity, fact.price, None, fact.received_at])
        if known[2] is None and (fact.quantity, fact.price) == (known[0], known[1]):
            known[2] = fact.executed_at
    return found


def owners(facts):
    """permId -> the strategy that some message named for it."""
    return {
        (f.account, f.perm_id): f.strategy
        for _, f in facts
        if isinstance(f, Fill | OrderUpdate) and f.strategy is not None and f.perm_id
    }


def moved_to(facts):
    """(account, root) -> strategy, for executions that an assignment in force moved."""
    taken_back = {f.assignment_id for _, f in facts if isinstance(f, AssignmentReversed)}
    return {
        (f.account, split_exec_id(move.exec_id)[0]): move.to_strategy
        for _, f in facts
        if isinstance(f, AssignmentMade) and f.assignment_id not in taken_back
        for move in f.moves
    }


def terms(facts):
    """con_id -> (multiplier, magnifier): the first execution's, then what the contract details say."""
    found, said = {}, {}
    for _, fact in facts:
        if isinstance(fact, Fill | AssignmentMade):
            found.setdefault(fact.instrument.con_id, (fact.instrument.multiplier, fact.instrument.price_magnifier or 1))
        elif isinstance(fact, InstrumentDescribed):
            said[fact.instrument.con_id] = (fact.instrument.multiplier, fact.instrument.price_magnifier or 1)
    return found | said


def fee_of(facts, account, root, highest):
    """The report for the highest revision that counts, of one revision the latest that says an amount."""
    best, amount, currency = -1, None, ""
    for _, fact in facts:
        if isinstance(fact, Commission) and fact.amount is not None:
            own, revision = split_exec_id(fact.exec_id)
            if own == root and best <= revision <= highest:
                best, amount, currency = revision, fact.amount, fact.currency
    return amount, currency


def recount(facts):
    """(strategy, account, con_id) -> Book, from all facts."""
    lines = {}
    owner, moves, units = owners(facts), moved_to(facts), terms(facts)
    busts = {}
    for _, fact in facts:
        if isinstance(fact, Bust):
            root, revision = split_exec_id(fact.exec_id)
            key = (fact.account, root)
            busts[key] = max(busts.get(key, -1), revision)
    for (account, root), one in executions(facts).items():
        highest, lowest = max(one["revisions"]), min(one["revisions"])
        quantity, price, _, _ = one["revisions"][highest]
        _, _, at, received = one["revisions"][lowest]
        con_id = one["fill"].instrument.con_id
        multiplier, magnifier = units[con_id]
        strategy = moves.get((account, root)) or owner.get((account, one["fill"].perm_id)) or UNASSIGNED
        value = BIG.multiply(BIG.divide(price, Decimal(magnifier)), multiplier)
        void = busts.get((account, root), -1) >= highest
        place = (at or received, venue_sequence(root), one["first"])
        lines.setdefault((strategy, account, con_id), []).append(
            (place, quantity, value, void, fee_of(facts, account, root, highest))
        )
    taken_back = {f.assignment_id for _, f in facts if isinstance(f, AssignmentReversed)}
    for seq, fact in facts:
        if isinstance(fact, AssignmentMade) and fact.assignment_id not in taken_back:
            multiplier, _ = units[fact.instrument.con_id]
            for number, leg in enumerate(fact.legs):
                root = split_exec_id(leg_exec_id(fact.assignment_id, number, leg.strategy))[0]
                place = (fact.effective_at, venue_sequence(root), seq)
                fee = (ZERO, fact.instrument.currency)
                lines.setdefault((leg.strategy, fact.account, fact.instrument.con_id), []).append(
                    (place, leg.quantity, BIG.multiply(leg.price, multiplier), False, fee)
                )
    return {key: _fold(found) for key, found in lines.items()}


def _fold(found):
    book = Book()
    for place, quantity, value, void, (amount, currency) in sorted(found, key=lambda line: line[0]):
        if not void:
            book.trade(quantity, value)
            book.last = place[0]
        if amount is None:
            book.pending += 1
        else:
            book.fees[currency] = BIG.add(book.fees.get(currency, ZERO), amount)
    return book


def order_states(facts):
    """(account, permId) -> (state, filled): the broker's final word, else what the executions make up."""
    busts = {}
    for _, fact in facts:
        if isinstance(fact, Bust):
            root, revision = split_exec_id(fact.exec_id)
            busts[fact.account, root] = max(busts.get((fact.account, root), -1), revision)
    words, totals, done = {}, {}, {}
    for _, fact in facts:
        if isinstance(fact, OrderUpdate):
            words.setdefault((fact.account, fact.perm_id), []).append(fact.status)
            totals[fact.account, fact.perm_id] = fact.quantity
    for (account, root), one in executions(facts).items():
        highest = max(one["revisions"])
        key = (account, one["fill"].perm_id)
        part = ZERO if busts.get((account, root), -1) >= highest else one["revisions"][highest][0]
        done[key] = BIG.add(done.get(key, ZERO), part)
    states = {}
    for key in {*words, *done}:
        said, filled, total = words.get(key, []), done.get(key, ZERO).copy_abs(), totals.get(key)
        text = format(filled.normalize(BIG), "f")
        if "Filled" in said:
            state = "Filled"
        elif "Cancelled" in said:
            state = f"Cancelled, filled {text}" if filled else "Cancelled"
        elif total is not None and filled >= total:
            state = "Filled"
        elif filled:
            state = "PartiallyFilled"
        else:
            state = said[-1] if said else "Unknown"
        states[key] = state, filled if key in done else None
    return states
