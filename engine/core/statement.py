"""What a Flex statement says, as values: IB's end-of-day word on one account.

A statement is a picture like those of :mod:`engine.core.snapshot`, taken at the close of its last day, with the same
rule: a section that is absent from the file is ``None`` (unknown), one that is present and empty is ``()`` (nothing
happened, or flat; F141). Quantities are signed (bought and long positive), fees are costs (positive; a rebate is
negative), whatever sign the file uses (F40). Days are New York's calendar days, moments are aware UTC.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import msgspec

from engine.core.instrument import Instrument


class StatementTrade(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution, correction or cancellation of section ``Trades`` (level EXECUTION only, F142).

    Attributes:
        kind: IB's ``transactionType``: ``ExchTrade``, ``TradeCancel``, ``FracShare`` … as it came.
        quantity: Signed; a cancellation carries the opposite sign of what it cancels (F18).
        price: Currency per unit, as statements give it (pounds, never pence; F93), without commission.
        executed_at: UTC; ``None`` when the file does not say.
        time_text: The file's own text when ``executed_at`` is uncertain (no time of day, ambiguous hour), else empty.
        report_date: When IB put it on the books; days after ``trade_date`` for corrections (F17).
        exec_id: Empty when missing (``N/A`` for CFDs, none for cancellations; F149, F146).
        trade_id: Shared by a corrected trade and its corrections (F146); empty for cancellations.
        orig_trade_id: Of a cancellation: the ``trade_id`` it cancels.
        transaction_id: Unique per row.
        ib_order_id: The order; differs per leg of a combination (F55).
        commission: Cost positive, in ``commission_currency``; ``None`` when not told.
        taxes: Cost positive, instrument currency; ``None`` when not told. Not part of ``commission``.
        notes: IB's codes (``P``, ``O``, ``AFx`` …), unknown ones included.
    """

    account: str
    instrument: Instrument
    kind: str
    quantity: Decimal
    price: Decimal
    executed_at: datetime | None = None
    time_text: str = ""
    trade_date: date | None = None
    report_date: date | None = None
    exec_id: str = ""
    trade_id: str = ""
    orig_trade_id: str = ""
    transaction_id: str = ""
    ib_order_id: str = ""
    order_ref: str = ""
    exchange: str = ""
    commission: Decimal | None = None
    commission_currency: str = ""
    taxes: Decimal | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_cancel(self) -> bool:
        """True for a row that takes an earlier one back."""
        return self.kind in {"TradeCancel", "FracShareCancel"}

    @property
    def by_broker(self) -> bool:
        """True for a trade IB made by itself: buy-in, margin, conversion, flattening, reinvestment, by hand (F57)."""
        return bool({"B", "L", "AFx", "LF", "R", "M"} & set(self.notes))

    @property
    def liquidation(self) -> bool:
        """True when IB closed the position for margin or to flatten a loss."""
        return bool({"L", "LF"} & set(self.notes))


class StatementPosition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the account held of one instrument at the close (level SUMMARY, or the sum of lots where only lots came).

    Attributes:
        quantity: Signed.
        report_date: The close it belongs to; ``None`` means the statement's last day.
        mark_price: Currency per unit; ``None`` when not told.
        cost_price: IB's cost per unit, by IB's own method (F92); a note, never a break.
    """

    account: str
    instrument: Instrument
    quantity: Decimal
    report_date: date | None = None
    mark_price: Decimal | None = None
    cost_price: Decimal | None = None
    rate_to_base: Decimal | None = None


OptionEventKind = Literal["assignment", "exercise", "expiration", "cash_settlement", "book_entry"]


class OptionEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A position that changed by exercise, assignment, expiry or another book entry: no execution exists for it.

    IB tells it up to four times (``BookTrade`` rows and ``OptionEAE`` rows, each for option and underlying); this is
    the one event they mean (F98), with both its legs.

    Attributes:
        instrument: What ceased: the option, or the future at its expiry.
        quantity: Signed change of that position (a long 3 that expires: -3; F99).
        price: Currency per unit at which it was closed (0 for options).
        underlying: What was delivered or received; ``None`` when nothing was.
        underlying_quantity: Signed change of the underlying's position.
        underlying_price: The strike, currency per unit.
        cash: Settlement in instrument currency, received positive; ``None`` when not told.
        cash_pending: True for a cash settlement whose amount is not known yet: P&L is not final (F100).
        fee: Cost positive, all legs; belongs to the strategy that gets the event (F42). ``None`` when not told.
        happened_at: UTC; ``None`` when only the day is known.
        trade_ids: IB's ids of the rows it was made of.
        sections: Which sections told it.
    """

    account: str
    kind: OptionEventKind
    instrument: Instrument
    quantity: Decimal
    price: Decimal | None = None
    underlying: Instrument | None = None
    underlying_quantity: Decimal | None = None
    underlying_price: Decimal | None = None
    cash: Decimal | None = None
    cash_pending: bool = False
    fee: Decimal | None = None
    fee_currency: str = ""
    day: date | None = None
    happened_at: datetime | None = None
    trade_ids: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class CorporateAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One leg of a corporate action (level DETAIL, F108); legs of one action share ``action_id``.

    Attributes:
        kind: IB's code (``FS``, ``RS``, ``TC``, ``SO`` …), unknown ones included.
        quantity: Signed change of the position in ``instrument``.
        cash: Received positive, in ``instrument.currency`` (cash in lieu); ``None`` when not told.
        happened_at: When the position changed, UTC (mostly 20:25 New York); the report follows days later (F106).
    """

    account: str
    kind: str
    instrument: Instrument
    quantity: Decimal
    description: str = ""
    cash: Decimal | None = None
    happened_at: datetime | None = None
    report_date: date | None = None
    action_id: str = ""
    transaction_id: str = ""


class Transfer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A position or cash that came or went without a trade (F110).

    Attributes:
        kind: ``INTERNAL``, ``ACATS``, ``FOP`` … or ``TRADE`` for section ``TradeTransfers``.
        quantity: Signed change of the position; 0 for a transfer of cash.
        cash: Signed, in ``instrument.currency``; ``None`` when not told.
        counterparty: The other account or broker, as far as told.
    """

    account: str
    kind: str
    instrument: Instrument
    quantity: Decimal
    cash: Decimal | None = None
    price: Decimal | None = None
    direction: str = ""
    counterparty: str = ""
    day: date | None = None
    transaction_id: str = ""


class CashMovement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Cash that moved without moving a position: dividends, tax, interest, fees, deposits (F111).

    Attributes:
        amount: Received positive, in ``currency``.
        con_id: The instrument it is about, 0 for none.
    """

    account: str
    kind: str
    currency: str
    amount: Decimal
    con_id: int = 0
    symbol: str = ""
    description: str = ""
    day: date | None = None
    transaction_id: str = ""


class FxLot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A currency held, or one lot of it; sums over one ``level`` only are meaningful (F148).

    Attributes:
        quantity: Signed, in ``currency``.
        close_rate: Units of ``base`` for one unit of ``currency``; ``None`` when not told.
        level: IB's word: ``SUMMARY`` or ``LOT``; empty when not told.
    """

    account: str
    currency: str
    base: str
    quantity: Decimal
    close_rate: Decimal | None = None
    level: str = ""
    day: date | None = None


class StatementRate(msgspec.Struct, frozen=True, kw_only=True):
    """Units of ``base`` for one unit of ``currency`` on one day, positive."""

    day: date
    currency: str
    base: str
    rate: Decimal


class StatementProblem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something in the file that could not be read as documented.

    Attributes:
        key: Stable identity: the same file gives the same keys.
        lost: True when the row could not be used; then it must be quarantined (R40). False when it was read anyway.
        raw: The row as XML, at most 64 KiB.
    """

    key: str
    section: str
    text: str
    lost: bool = False
    raw: str = ""


class FlexStatement(msgspec.Struct, frozen=True, kw_only=True):
    """One account's statement. A section that is ``None`` is unknown, one that is ``()`` is empty.

    Attributes:
        from_date: First New York day; ``None`` when not told.
        to_date: Last New York day, whose close the positions show; ``None`` when not told.
        generated_at: When IB made it, UTC; ``None`` when not told.
        problems: What could not be read; nothing else of the statement is affected by them.
        sections: Names of the sections that were present.
    """

    account: str
    from_date: date | None
    to_date: date | None
    generated_at: datetime | None
    base_currency: str = ""
    trades: tuple[StatementTrade, ...] | None = None
    positions: tuple[StatementPosition, ...] | None = None
    option_events: tuple[OptionEvent, ...] | None = None
    corporate_actions: tuple[CorporateAction, ...] | None = None
    transfers: tuple[Transfer, ...] | None = None
    cash: tuple[CashMovement, ...] | None = None
    fx_lots: tuple[FxLot, ...] | None = None
    rates: tuple[StatementRate, ...] | None = None
    problems: tuple[StatementProblem, ...] = ()
    sections: frozenset[str] = frozenset()


StatementEvent = OptionEvent | CorporateAction | Transfer
"""What explains a position change that no execution does."""


class StatementFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A difference between statement and books that an operator should see; nothing is changed because of it.

    Attributes:
        key: Stable identity: importing the file again gives the same keys.
        kind: ``conflict`` (one execution, two contents), ``missing_in_statement``, ``unmatched_cancel``,
            ``bust_unconfirmed``, ``needs_details``, ``unidentified``, ``taxes`` or ``correction``.
    """

    key: str
    kind: str
    severity: Literal["info", "warning", "critical"]
    text: str
    account: str
    con_id: int = 0
    exec_id: str = ""


class PositionComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument at the statement's close, against the books as they will stand after the import (F150).

    Attributes:
        statement_quantity: 0 when the section is there and does not list it.
        after_cut_off: Signed quantity executed after the close the statement shows.
        expected: ``statement_quantity + after_cut_off``: what the books should hold now.
        books_quantity: Over all strategies and UNASSIGNED, this import included.
        difference: ``expected - books_quantity``, broker minus books like every break.
        events: Signed quantity that the statement's own book entries, actions and transfers moved.
        note: ``fraction`` for a difference below one (F86), else empty.
    """

    account: str
    con_id: int
    instrument: Instrument
    statement_quantity: Decimal
    after_cut_off: Decimal
    expected: Decimal
    books_quantity: Decimal
    difference: Decimal
    events: Decimal = Decimal(0)
    note: str = ""
