"""What a break is explained from, as one value: everything that was known at the time, and nothing that is fetched."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from engine.core.events import AssignmentMade
from engine.core.instrument import Instrument
from engine.core.records import ComboRecord, FillRecord, OrderRecord, PositionRecord
from engine.core.statement import CorporateAction, OptionEvent, StatementTrade, Transfer
from engine.recon.breaks import Break, break_id

StatementItem = OptionEvent | CorporateAction | Transfer | StatementTrade
"""Rows of a statement that can explain a quantity."""

ZERO: Final = Decimal(0)


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One (account, con_id) as books and broker see it.

    Attributes:
        difference: Broker minus all books.
        books: Every book of it, flat ones included.
        mark: Currency per unit.
        last_price: Unit price of the latest execution, currency per unit.
        since: When the difference was first seen; ``None`` when there is none, or it is not known.
    """

    account: str
    con_id: int
    instrument: Instrument | None
    difference: Decimal
    broker_quantity: Decimal
    books_quantity: Decimal
    broker_avg_cost: Decimal | None = None
    books: tuple[PositionRecord, ...] = ()
    mark: Decimal | None = None
    last_price: Decimal | None = None
    since: datetime | None = None

    @property
    def break_id(self) -> str:
        """Id of the break that this difference makes."""
        return break_id(self.account, self.con_id)

    @property
    def multiplier(self) -> Decimal:
        """Value of one unit of price; 1 while the instrument is unknown."""
        return Decimal(1) if self.instrument is None else self.instrument.multiplier

    @property
    def unit_cost(self) -> Decimal | None:
        """Cost per unit, averaged over all books whatever their side; ``None`` when they net to flat.

        Where one strategy is long and another short, net cost over net quantity is a price that nobody paid.
        """
        size = sum((abs(b.quantity) for b in self.books), ZERO)
        if not self.books_quantity or not size:
            return None
        return sum((abs(b.open_cost) for b in self.books), ZERO) / (size * self.multiplier)

    @property
    def broker_unit_cost(self) -> Decimal | None:
        """IB's average cost per unit (commission in it); ``None`` when unset or zero."""
        return self.broker_avg_cost / self.multiplier if self.broker_avg_cost else None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that one break is explained from.

    Attributes:
        here: The break's own instrument.
        beside: Other differences of the same account in the same comparison.
        elsewhere: Differences of the same ``con_id`` in other accounts.
        underlying: The underlying, when it is known here, whether it differs or not.
        fills: Executions of this key in the last days, current state each, oldest first (any book).
        older: Revisions of them that a correction superseded.
        orders: Orders of this key, latest sight each.
        combos: Orders of combinations in this account of which not all legs came.
        assignments: In force, of this key, oldest first.
        statement: Rows of statements of this account that name this ``con_id`` as instrument or underlying.
        own_clients: Client ids that strategies trade with.
        after_reset: Whether IB's reset was within three hours (F131).
        lag: Differences that fills in flight would make.
    """

    found: Break
    now: datetime
    here: Side
    beside: tuple[Side, ...] = ()
    elsewhere: tuple[Side, ...] = ()
    underlying: Side | None = None
    fills: tuple[FillRecord, ...] = ()
    older: tuple[FillRecord, ...] = ()
    orders: tuple[OrderRecord, ...] = ()
    combos: tuple[ComboRecord, ...] = ()
    assignments: tuple[AssignmentMade, ...] = ()
    statement: tuple[StatementItem, ...] = ()
    own_clients: frozenset[int] = frozenset()
    after_reset: bool = False
    lag: frozenset[Decimal] = frozenset()
