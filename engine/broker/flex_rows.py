"""Turns one row of a Flex section into its value, or says why it cannot be used.

Each function takes a :class:`~engine.broker.flex_xml.Row` and the account, and gives ``None`` after reporting the row
as lost: a row without instrument, quantity or price is never guessed at (R40).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from engine.broker.flex_options import BOOK_NOTES, Leg
from engine.broker.flex_xml import NEW_YORK, Row
from engine.core.instrument import Instrument
from engine.core.statement import (
    CashMovement,
    CorporateAction,
    FxLot,
    StatementPosition,
    StatementRate,
    StatementTrade,
    Transfer,
)

EXECUTIONS: Final = frozenset({"ExchTrade", "FracShare", "DvpTrade", "TradeCorrect", "TradeCancel", "FracShareCancel"})
BOOK_TRADE: Final = "BookTrade"
_ZERO: Final = Decimal(0)
_SAME_THING: Final = {"FSOPT": "OPT", "FSFOP": "FOP"}
_DERIVED: Final = frozenset({"OPT", "FOP", "FUT", "WAR"})


def instrument(row: Row) -> Instrument | None:
    """The row's contract; ``None`` (reported as lost) without a ``conid``."""
    con_id = row.whole("conid")
    if not con_id:
        row.report("no conid: nothing is booked by symbol", lost=True)
        return None
    kind = row.word("assetCategory")
    kind = _SAME_THING.get(kind, kind)
    full, under = row.text("symbol"), row.text("underlyingSymbol")
    symbol = (under or full) if kind in _DERIVED else full
    if kind == "CASH":
        symbol = full.partition(".")[0]
    expiry = row.day("expiry")
    multiplier = row.number("multiplier")
    return Instrument(
        con_id=con_id,
        symbol=symbol,
        sec_type=kind or "STK",
        currency=row.currency(),
        local_symbol=full,
        exchange=row.text("listingExchange"),
        multiplier=multiplier or Decimal(1),  # F89: empty, and the 0 of some book entries, mean one unit
        expiry=expiry.strftime("%Y%m%d") if expiry else "",
        strike=row.number("strike") or None,
        right=row.word("putCall") if kind in _DERIVED else "",
        under_con_id=row.whole("underlyingConid"),
    )


def trade_kind(row: Row) -> str:
    """IB's ``transactionType``, or what the row itself shows when that column was not ticked."""
    kind = row.word("transactionType")
    if kind:
        return kind
    if "(Ca.)" in row.text("buySell"):
        return "TradeCancel"
    booked = not exec_id(row) and bool(BOOK_NOTES & set(row.codes("notes")))
    return BOOK_TRADE if booked else "ExchTrade"


def exec_id(row: Row) -> str:
    """The execution's id, empty when missing (``N/A`` for CFDs; F149)."""
    return row.text("ibExecID")


def cost(row: Row, name: str) -> Decimal | None:
    """A fee as a cost: statements write what was paid as negative (F40)."""
    value = row.number(name)
    return None if value is None else _ZERO - value


def trade(row: Row, account: str) -> StatementTrade | None:
    """One execution, correction or cancellation."""
    kind = trade_kind(row)
    if kind not in EXECUTIONS:
        row.report(f"transactionType {kind[:40]!r} is not a kind of trade known: not booked", lost=True)
        return None
    contract, quantity, price = instrument(row), row.number("quantity"), row.number("tradePrice")
    if contract is None:
        return None
    if quantity is None or price is None:
        row.report("no quantity or no price", lost=True)
        return None
    executed_at, time_text = row.moment("dateTime")
    if executed_at is None:
        executed_at, time_text = row.moment("tradeDate")
    return StatementTrade(
        account=account,
        instrument=contract,
        kind=kind,
        quantity=quantity,
        price=price,
        executed_at=executed_at,
        time_text=time_text,
        trade_date=row.day("tradeDate") or (executed_at.astimezone(NEW_YORK).date() if executed_at else None),
        report_date=row.day("reportDate"),
        exec_id=exec_id(row),
        trade_id=row.text("tradeID"),
        orig_trade_id=_nonzero(row.text("origTradeID")),
        transaction_id=row.text("transactionID"),
        ib_order_id=row.text("ibOrderID"),
        order_ref=row.text("orderReference"),
        exchange=row.text("exchange"),
        commission=cost(row, "ibCommission"),
        commission_currency=row.currency("ibCommissionCurrency") or contract.currency,
        taxes=cost(row, "taxes"),
        notes=row.codes("notes"),
    )


def _nonzero(text: str) -> str:
    return "" if text.strip("0") == "" else text


def book_leg(row: Row, account: str) -> Leg | None:
    """A ``BookTrade``: exercise, assignment, expiry and the like; never an execution."""
    contract, quantity = instrument(row), row.number("quantity")
    if contract is None:
        return None
    if quantity is None:
        row.report("no quantity", lost=True)
        return None
    happened_at, _ = row.moment("dateTime")
    return Leg(
        section="Trades",
        account=account,
        instrument=contract,
        quantity=quantity,
        price=row.number("tradePrice"),
        fee=cost(row, "ibCommission"),
        fee_currency=row.currency("ibCommissionCurrency") or contract.currency,
        day=row.day("tradeDate") or row.day("dateTime"),
        happened_at=happened_at,
        trade_id=row.text("tradeID"),
        notes=row.codes("notes"),
    )


def option_leg(row: Row, account: str) -> Leg | None:
    """A row of section ``OptionEAE``; its quantity is the change of the position (F99)."""
    contract = instrument(row)
    if contract is None:
        return None
    return Leg(
        section="OptionEAE",
        account=account,
        instrument=contract,
        quantity=row.number("quantity") or _ZERO,
        price=row.number("tradePrice"),
        fee=cost(row, "commisionsAndTax"),
        fee_currency=contract.currency,
        day=row.day("date"),
        trade_id=row.text("tradeID"),
        action=row.word("transactionType"),
        cash=row.number("proceeds"),
    )


def position(row: Row, account: str) -> StatementPosition | None:
    """One holding at the close."""
    contract, quantity = instrument(row), row.number("position")
    if contract is None:
        return None
    if quantity is None:
        row.report("no position", lost=True)
        return None
    return StatementPosition(
        account=account,
        instrument=contract,
        quantity=quantity,
        report_date=row.day("reportDate"),
        mark_price=row.number("markPrice"),
        cost_price=row.number("costBasisPrice"),
        rate_to_base=row.number("fxRateToBase"),
    )


def corporate_action(row: Row, account: str) -> CorporateAction | None:
    """One leg of a corporate action."""
    contract = instrument(row)
    if contract is None:
        return None
    happened_at, _ = row.moment("dateTime")
    return CorporateAction(
        account=account,
        kind=row.word("type"),
        instrument=contract,
        quantity=row.number("quantity") or _ZERO,
        description=row.text("actionDescription") or row.text("description"),
        cash=row.number("amount"),
        happened_at=happened_at,
        report_date=row.day("reportDate"),
        action_id=row.text("actionID"),
        transaction_id=row.text("transactionID"),
    )


def transfer(row: Row, account: str) -> Transfer | None:
    """A transfer of a position, or of cash (which has no ``conid``)."""
    quantity, cash = row.number("quantity") or _ZERO, row.number("cashTransfer")
    if row.text("conid") or quantity:
        contract = instrument(row)
    else:
        contract = Instrument(con_id=0, symbol="", sec_type="CASH", currency=row.currency())
    if contract is None:
        return None
    return Transfer(
        account=account,
        kind=row.word("type"),
        instrument=contract,
        quantity=quantity,
        cash=cash,
        price=row.number("transferPrice"),
        direction=row.word("direction"),
        counterparty=row.text("account") or row.text("deliveringBroker") or row.text("company"),
        day=row.day("date") or row.day("dateTime") or row.day("reportDate"),
        transaction_id=row.text("transactionID"),
    )


def trade_transfer(row: Row, account: str) -> Transfer | None:
    """A trade given up to, or taken in from, another broker."""
    contract, quantity = instrument(row), row.number("quantity")
    if contract is None:
        return None
    return Transfer(
        account=account,
        kind="TRADE",
        instrument=contract,
        quantity=quantity or _ZERO,
        price=row.number("tradePrice"),
        direction=row.word("direction"),
        counterparty=row.text("brokerName") or row.text("brokerAccount"),
        day=row.day("tradeDate") or row.day("reportDate"),
        transaction_id=row.text("transactionID"),
    )


def cash_movement(row: Row, account: str) -> CashMovement | None:
    """A dividend, tax, interest, fee, deposit …: it never moves a position (F111)."""
    amount = row.number("amount")
    if amount is None:
        row.report("no amount", lost=True)
        return None
    return CashMovement(
        account=account,
        kind=row.word("type"),
        currency=row.currency(),
        amount=amount,
        con_id=row.whole("conid"),
        symbol=row.text("symbol"),
        description=row.text("description"),
        day=row.day("dateTime") or row.day("reportDate"),
        transaction_id=row.text("transactionID"),
    )


def fx_lot(row: Row, account: str) -> FxLot | None:
    """One currency holding, or one lot of it (``level`` tells which)."""
    quantity = row.number("quantity")
    if quantity is None:
        row.report("no quantity", lost=True)
        return None
    return FxLot(
        account=account,
        currency=row.currency("fxCurrency"),
        base=row.currency("functionalCurrency"),
        quantity=quantity,
        close_rate=row.number("closePrice"),
        level=row.text("levelOfDetail"),
        day=row.day("reportDate"),
    )


def rate(row: Row, account: str) -> StatementRate | None:  # noqa: ARG001 - rates are no account's, rows of all kinds are read alike
    """One conversion rate; one that is not positive is reported and left out."""
    day, value = row.day("reportDate"), row.number("rate")
    source, base = row.currency("fromCurrency"), row.currency("toCurrency")
    if day is None or value is None or value <= 0 or not source or not base:
        row.report("not a usable rate")
        return None
    return StatementRate(day=day, currency=source, base=base, rate=value)
