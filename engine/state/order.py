"""One order: what is known of it, merged from all its sights, and how far its executions have come."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from engine.core.events import Fill, OrderUpdate
from engine.core.exact import ZERO, quotient, remainder, subtract, unsigned
from engine.core.ids import UNASSIGNED
from engine.core.instrument import BAG_CON_ID
from engine.core.records import OrderRecord
from engine.state.order_state import derive, plain

Progress = tuple[Decimal, Decimal]
"""(signed quantity, signed quantity times quoted price) of the executions in one instrument."""

Figures = tuple[Decimal | None, Decimal | None, Decimal | None]
"""(filled, remaining, average price); unsigned, ``None`` is unknown."""

_NOTHING: Final[Progress] = (ZERO, ZERO)


class Order(msgspec.Struct, kw_only=True, gc=False):
    """What is known of one order.

    Attributes:
        seen: Everything known of it, merged from all sights.
        word: The broker's word in force; ``local`` when the client library invented it.
        worked: The broker once said that it works at the market.
        rejected: Error 201 came while it had never worked.
        acked: Quantity, limit and stop price as the broker last confirmed them, for a modification that fails (F71).
        traded: con_id -> progress; a combination has one entry per leg and one for itself.
        gaps: con_id -> cumulative quantity that the broker reported and we do not have.
        timeline: Its rows in order; a tuple, which the garbage collector leaves alone once it has seen it.
    """

    key: str
    strategy: str
    claimed: bool
    seen: OrderUpdate
    word: str = ""
    local: bool = False
    worked: bool = False
    rejected: bool = False
    message: str = ""
    acked: tuple[Decimal | None, Decimal | None, Decimal | None] | None = None
    traded: dict[int, Progress] = {}
    gaps: dict[int, Decimal] = {}
    timeline: tuple[OrderRecord, ...] = ()

    @property
    def executed(self) -> Progress:
        """Progress in what the order is about: a combination's own executions, not its legs'."""
        if not self.traded:
            return _NOTHING
        instrument = self.seen.instrument
        if instrument is not None:
            own = self.traded.get(instrument.con_id)
            if own is not None and (own[0] or instrument.is_combo):
                return own
            if instrument.is_combo:
                return _NOTHING
        # What a correction named another instrument for is still the order's.
        return next((done for done in self.traded.values() if done[0]), _NOTHING)

    @property
    def is_combo(self) -> bool:
        """True when it is about a combination, or has traded as one."""
        instrument = self.seen.instrument
        return (instrument is not None and instrument.is_combo) or BAG_CON_ID in self.traded

    def combination(self) -> tuple[Decimal, dict[int, Decimal]]:
        """How many combinations executed (unsigned, 0 for unknown), and the signed quantity of each leg that did."""
        own = unsigned(self.traded.get(BAG_CON_ID, _NOTHING)[0])
        legs = {con_id: done[0] for con_id, done in self.traded.items() if con_id != BAG_CON_ID and done[0]}
        return max(own, self.seen.filled or ZERO), legs

    def lacks(self) -> str:
        """What a combination's executions still lack, in words; empty when they are whole as far as can be told (F76).

        How many of each leg make one combination is not told with executions. So much is sure: there are two legs at
        least, and each has executed a whole multiple of what the combination did.
        """
        done, legs = self.combination()
        if not done and not legs:
            return ""
        if len(legs) < 2:
            came = ", ".join(f"{plain(q)} of con_id {con_id}" for con_id, q in legs.items())
            return f"{plain(done) if done else 'some'} executed, and of its legs only {came or 'none'} came"
        odd = [f"{plain(q)} of con_id {con_id}" for con_id, q in legs.items() if done and remainder(q, done)]
        return f"{plain(done)} executed, and of its legs {', '.join(odd)}" if odd else ""

    @property
    def disputed(self) -> bool:
        """True while the broker's count of it and our executions are not the same: somebody may have to explain that."""
        if self.gaps or (self.is_combo and self.lacks()):
            return True
        seen, done = self.seen, unsigned(self.executed[0])
        if seen.filled is not None and seen.filled > done:
            return True
        if self.word != "Filled" or not seen.quantity or seen.remaining is None:
            return False
        return subtract(seen.quantity, seen.remaining) < done

    @property
    def grouped(self) -> bool:
        """True when it may have siblings: one cancels the other, or they have one parent."""
        seen = self.seen
        return seen.parent_id > 0 or bool(seen.oca_group)

    def state(self) -> tuple[str, bool]:
        """The derived state, and whether the order may still trade."""
        return derive(
            self.word,
            local=self.local,
            rejected=self.rejected,
            executed=unsigned(self.executed[0]),
            total=self.seen.quantity,
        )

    def figures(self) -> Figures:
        """Filled, remaining, average price."""
        quantity, value = self.executed
        return self._figures(quantity, value, unsigned(quantity))

    def stands(self) -> tuple[str, bool, Figures]:
        """:meth:`state` and :meth:`figures` in one, for every row asks for both."""
        quantity, value = self.executed
        done = unsigned(quantity)
        state, is_open = derive(
            self.word, local=self.local, rejected=self.rejected, executed=done, total=self.seen.quantity
        )
        return state, is_open, self._figures(quantity, value, done)

    def _figures(self, quantity: Decimal, value: Decimal, done: Decimal) -> Figures:
        seen = self.seen
        total, remaining = seen.quantity, seen.remaining
        filled = _one(done, seen.filled) if self.traded else seen.filled
        average = _one(quotient(value, quantity), seen.avg_fill_price) if quantity else seen.avg_fill_price
        if total is None or filled is None or (remaining is not None and self.word == "Filled"):
            return filled, remaining, average
        left = subtract(total, filled)
        return filled, max(left, ZERO), average


def _one(counted: Decimal, reported: Decimal | None) -> Decimal:
    """What we count; where the broker reports the same number, that object, of which there is one already."""
    return counted if reported is None or reported != counted else reported


def key_of(seen: OrderUpdate) -> str:
    """``P<account>:<permId>``, or ``O<account>:<client>:<order id>`` while there is no permId."""
    if seen.perm_id:
        return f"P{seen.account}:{seen.perm_id}"
    return f"O{seen.account}:{seen.client_id}:{seen.order_id}"


def merged(known: OrderUpdate, new: OrderUpdate, *, keep_words: bool = False) -> OrderUpdate:
    """Lay a new sight over what is known; what it does not say stays, and the first order reference counts (F12).

    Args:
        keep_words: Take only identity and instrument, no status, prices or quantities.
    """
    if not keep_words and _says_everything(new, known):
        return new
    instrument = known.instrument
    if new.instrument is not None and (instrument is None or not instrument.con_id):
        instrument = new.instrument
    said = msgspec.structs.replace(
        known if keep_words else new,
        account=known.account or new.account,
        perm_id=known.perm_id or new.perm_id,
        order_id=known.order_id or new.order_id,
        client_id=known.client_id or new.client_id,
        order_ref=known.order_ref or new.order_ref,
        strategy=known.strategy or new.strategy,
        instrument=instrument,
        side=known.side or new.side,
    )
    if keep_words:
        return said
    stale = (
        new.filled is not None and known.filled is not None and new.filled < known.filled
    )  # told later, said earlier
    return msgspec.structs.replace(
        said,
        quantity=known.quantity if new.quantity is None else new.quantity,
        order_type=new.order_type or known.order_type,
        limit_price=known.limit_price if new.limit_price is None else new.limit_price,
        stop_price=known.stop_price if new.stop_price is None else new.stop_price,
        tif=new.tif or known.tif,
        parent_id=new.parent_id or known.parent_id,
        oca_group=new.oca_group or known.oca_group,
        filled=_most(known.filled, new.filled),
        remaining=known.remaining if stale or new.remaining is None else new.remaining,
        avg_fill_price=known.avg_fill_price if stale or new.avg_fill_price is None else new.avg_fill_price,
    )


def _says_everything(new: OrderUpdate, known: OrderUpdate) -> bool:
    """True when a sight alone is what there is to know: the usual one, and by far the quicker to lay over another."""
    if (
        known.instrument is not new.instrument
        or known.account != new.account
        or known.perm_id != new.perm_id
        or known.order_id != new.order_id
        or known.client_id != new.client_id
        or known.order_ref != new.order_ref
        or known.strategy != new.strategy
        or known.side != new.side
    ):
        return False
    if known.filled is not None and (new.filled is None or new.filled < known.filled):
        return False
    return (
        (known.quantity is None or new.quantity is not None)
        and (known.limit_price is None or new.limit_price is not None)
        and (known.stop_price is None or new.stop_price is not None)
        and (known.remaining is None or new.remaining is not None)
        and (known.avg_fill_price is None or new.avg_fill_price is not None)
        and not (known.order_type and not new.order_type)
        and not (known.tif and not new.tif)
        and not (known.parent_id and not new.parent_id)
        and not (known.oca_group and not new.oca_group)
    )


def ended_so(order: Order, update: OrderUpdate) -> bool:
    """True when a completed order's message says nothing of an order that is not known of it.

    Args:
        order: Any; one that has no row, or may still trade, is never said again.
        update: From the broker's list of completed orders, which only adds what was unknown and says the final word (F59).
    """
    last, seen = order.timeline[-1], order.seen
    if (
        last.is_open
        or order.local
        or order.strategy == UNASSIGNED
        or update.strategy
        or update.message
        or update.error_code
    ):
        return False
    if update.status not in {"", last.status} or update.account != seen.account:
        return False
    told = merged(
        seen, msgspec.structs.replace(update, quantity=None, filled=None, remaining=None, avg_fill_price=None)
    )
    return _lasting(told) == _lasting(seen)


def _lasting(seen: OrderUpdate) -> tuple[object, ...]:
    """What stays of an order that is over, words and moments apart."""
    return (
        *asked(seen),
        *(seen.account, seen.perm_id, seen.order_id, seen.client_id, seen.order_ref, seen.strategy, seen.side),
        *(seen.instrument, seen.parent_id, seen.oca_group, seen.filled, seen.remaining, seen.avg_fill_price),
    )


def _most(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def asked(seen: OrderUpdate) -> tuple[object, ...]:
    """What the order asks for: a change of it is a modification, and a row."""
    return seen.quantity, seen.limit_price, seen.stop_price, seen.order_type, seen.tif


def seen_from(fill: Fill) -> OrderUpdate:
    """What an execution says about its order."""
    return OrderUpdate(
        received_at=fill.received_at,
        account=fill.account,
        perm_id=fill.perm_id,
        order_id=fill.order_id,
        client_id=fill.client_id,
        strategy=fill.strategy,
        order_ref=fill.order_ref,
        instrument=fill.instrument,
        side="BUY" if fill.quantity > 0 else "SELL",
        status_at=fill.executed_at,
    )
