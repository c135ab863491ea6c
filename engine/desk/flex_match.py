"""Lays a statement's trades beside the books: which execution is which, and what the books lack.

Identity, in this order: the execution id; for rows without one, the id this desk gave an earlier import; then equal
instrument, quantity, price and second, but never for a trade IB made by itself (F57). A cancellation has neither
``tradeID`` nor execution id and is tied by ``origTradeID`` (F18, F146).

Worked example (F17): ``X.01`` sells 1143.28; next day a ``TradeCancel`` of it and ``X.02`` sells 1145.93 under the same
``tradeID``. The cancellation belongs to the correction: ``X.02`` supersedes ``X.01`` by its revision, and nothing is
busted. The same cancellation without ``X.02`` is a bust of ``X.01``, whose fee stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from engine.core.events import Bust, Commission, Fill, Quarantined, RateSeen
from engine.core.exact import add, multiply, subtract
from engine.core.ids import split_exec_id
from engine.core.instrument import Instrument
from engine.core.records import FillRecord
from engine.core.statement import StatementFinding, StatementTrade

ZERO: Final = Decimal(0)
OWN_PREFIX: Final = "flex:"
"""Start of the ids of executions for which IB gave none: ``flex:<transactionID>``, unique per row (F146)."""

_SAME_TIME: Final = timedelta(seconds=1)
_PRICE_ROUNDING: Final = Decimal("0.000001")
_FEE_ROUNDING: Final = Decimal("0.005")
_SUB_UNIT_CURRENCIES: Final = frozenset({"GBP", "ZAR", "ILS"})
"""Currencies whose shares IB quotes in a hundredth of them, while statements use the currency itself (F93)."""


class Books(Protocol):
    """What the import asks of the ledger."""

    @property
    def rates(self) -> Mapping[tuple[str, str], RateSeen]:
        """Latest rate per (account, currency)."""
        ...

    @property
    def quarantine(self) -> Mapping[str, Quarantined]:
        """Open quarantined messages by id."""
        ...

    def fill(self, account: str, root: str) -> FillRecord | None:
        """Current state of one execution."""
        ...

    def chain(self, account: str, root: str) -> list[FillRecord]:
        """Every revision of one execution."""
        ...

    def fills(self, strategy: str | None = None, since: datetime | None = None) -> list[FillRecord]:
        """Current state of every execution."""
        ...

    def net(self) -> dict[tuple[str, int], Decimal]:
        """Quantity per (account, con_id) over all strategies."""
        ...

    def instrument(self, con_id: int) -> Instrument | None:
        """What is known of an instrument."""
        ...


class Matching(msgspec.Struct, kw_only=True):
    """What came of laying both sides together.

    Attributes:
        fills: Executions the books lack, lowest revision first.
        commissions: Fees that were pending or differ.
        busts: Executions that the statement cancelled.
        seen: Ids of executions in the books that the statement lists.
        cancelled: Ids of executions that the statement cancels, those void already included.
        trade_ids: ``tradeID`` -> execution id, to tie cancellations of later statements.
    """

    fills: list[Fill] = []
    commissions: list[Commission] = []
    busts: list[Bust] = []
    findings: list[StatementFinding] = []
    seen: set[str] = set()
    cancelled: set[str] = set()
    trade_ids: dict[str, str] = {}


def finding(
    kind: str, text: str, row: StatementTrade, severity: str = "warning", exec_id: str = ""
) -> StatementFinding:
    """A finding about one row, with a key that the next import of it repeats."""
    identity = "\x1f".join((kind, row.account, row.transaction_id, row.exec_id, exec_id, str(row.instrument.con_id)))
    return StatementFinding(
        key=f"flex-{kind}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
        kind=kind,
        severity=severity,  # type: ignore[arg-type]
        text=text,
        account=row.account,
        con_id=row.instrument.con_id,
        exec_id=exec_id or row.exec_id,
    )


class Matcher:
    """One statement's trades against the books; nothing is changed."""

    def __init__(
        self, books: Books, nearby: Sequence[FillRecord], received_at: datetime, known_trades: Mapping[str, str]
    ) -> None:
        """Take the books' executions around the period, for rows that have no execution id."""
        self._books = books
        self._nearby = nearby
        self._received_at = received_at
        self._known_trades = known_trades
        self._out = Matching()
        self._pairs: list[tuple[StatementTrade, FillRecord]] = []

    def run(self, trades: Iterable[StatementTrade]) -> Matching:
        """Match every row.

        Returns:
            What the books lack; nothing when they hold everything already.
        """
        rows = sorted(trades, key=lambda t: (t.report_date or date.min, _revision(t), t.transaction_id))
        executions = [row for row in rows if not row.is_cancel]
        newest = {_root(row): _revision(row) for row in executions}
        for row in executions:
            self._execution(row, is_newest=_revision(row) == newest[_root(row)])
        self._fees()
        for row in rows:
            if row.is_cancel:
                self._cancel(row, executions)
        return self._out

    def _execution(self, row: StatementTrade, *, is_newest: bool) -> None:
        exec_id = row.exec_id or self._own_id(row)
        if not exec_id:
            self._out.findings.append(finding("unidentified", "a trade without any id is not booked", row))
            return
        known = self._known(row, exec_id)
        if known is not None:
            self._out.seen.add(known.fill.exec_id)
            self._note_trade(row, known.fill.exec_id)
            self._check(row, known)
            return
        fill = self._fill(row, exec_id)
        if fill is None:
            return
        self._note_trade(row, exec_id)
        self._out.seen.add(exec_id)
        self._out.fills.append(fill)
        if is_newest and row.commission is not None:
            self._out.commissions.append(self._commission(row, exec_id))
        if self._books.fill(row.account, split_exec_id(exec_id)[0]) is not None:
            self._out.findings.append(finding("correction", f"{exec_id} corrects an execution", row, "info"))

    def _note_trade(self, row: StatementTrade, exec_id: str) -> None:
        if row.trade_id:
            self._out.trade_ids[row.trade_id] = exec_id

    def _own_id(self, row: StatementTrade) -> str:
        return OWN_PREFIX + row.transaction_id if row.transaction_id else ""

    def _known(self, row: StatementTrade, exec_id: str) -> FillRecord | None:
        for record in reversed(self._books.chain(row.account, split_exec_id(exec_id)[0])):
            if record.fill.exec_id == exec_id:
                return record
        if row.exec_id or row.by_broker or row.executed_at is None or row.time_text:
            return None
        for record in self._nearby:
            fill = record.fill
            if (
                fill.exec_id not in self._out.seen
                and fill.instrument.con_id == row.instrument.con_id
                and fill.quantity == row.quantity
                and _same_price(record.unit_price, row.price)
                and abs(record.order_time - row.executed_at) <= _SAME_TIME
            ):
                return record
        return None

    def _check(self, row: StatementTrade, record: FillRecord) -> None:
        fill = record.fill
        if fill.quantity != row.quantity or not _same_price(record.unit_price, row.price):
            text = (
                f"{fill.exec_id}: books say {fill.quantity} @ {record.unit_price},"
                f" the statement {row.quantity} @ {row.price}"
            )
            self._out.findings.append(finding("conflict", text, row, "critical", fill.exec_id))
            return
        if record.state != "superseded" and row.commission is not None:
            self._pairs.append((row, record))

    def _fees(self) -> None:
        """Fill in pending fees; restate known ones only where the order's total differs (F41)."""
        orders: dict[str, list[tuple[StatementTrade, FillRecord]]] = {}
        for row, record in self._pairs:
            orders.setdefault(row.ib_order_id or record.fill.exec_id, []).append((row, record))
        for pairs in orders.values():
            total = ZERO
            for row, record in pairs:
                if record.commission is None or record.commission_currency != row.commission_currency:
                    self._out.commissions.append(self._commission(row, record.fill.exec_id))
                else:
                    total = add(total, subtract(row.commission or ZERO, record.commission))
            if _rounding(pairs) <= abs(total):
                self._out.commissions.extend(self._commission(*_id(pair)) for pair in pairs if _fee_differs(*pair))

    def _commission(self, row: StatementTrade, exec_id: str) -> Commission:
        return Commission(
            received_at=self._received_at,
            exec_id=exec_id,
            amount=row.commission,
            currency=row.commission_currency,
            source="flex",
        )

    def _fill(self, row: StatementTrade, exec_id: str) -> Fill | None:
        """The execution as a fact; ``None`` while the unit of its price is not known."""
        known = self._books.instrument(row.instrument.con_id)
        magnifier = known.price_magnifier if known is not None else None
        traded = row.instrument.sec_type in {"STK", "WAR", "FUND"}
        if magnifier is None and traded and row.instrument.currency in _SUB_UNIT_CURRENCIES:
            text = f"{exec_id}: statements are in {row.instrument.currency}, IB may quote in a hundredth of it; ask IB"
            text += " for the contract's details, then import again"
            self._out.findings.append(finding("needs_details", text, row, "warning", exec_id))
            return None
        return Fill(
            received_at=self._received_at,
            account=row.account,
            exec_id=exec_id,
            instrument=known or row.instrument,
            quantity=row.quantity,
            price=multiply(row.price, Decimal(magnifier or 1)),
            executed_at=row.executed_at,
            time_text=row.time_text,
            order_ref=row.order_ref,
            exchange=row.exchange,
            liquidation=row.liquidation,
            source="flex",
        )

    def _cancel(self, row: StatementTrade, executions: Sequence[StatementTrade]) -> None:
        """Tie one cancellation; a correction's is consumed by the correction (F17), any other is a bust (F18)."""
        same_trade = [t for t in executions if row.orig_trade_id and t.trade_id == row.orig_trade_id]
        original = next((t for t in same_trade if _cancels(row, t)), None)
        if original is not None:
            exec_id = original.exec_id or self._own_id(original)
            corrected = any(_root(t) == _root(original) and _revision(t) > _revision(original) for t in same_trade)
        else:
            exec_id = self._original_in_books(row)
            corrected = bool(exec_id) and any(_root(t) == split_exec_id(exec_id)[0] for t in same_trade)
            if not exec_id and same_trade:
                return  # a correction of something the books never held
        if not exec_id:
            text = f"a cancellation of {-row.quantity} @ {row.price} fits no execution known, or several"
            self._out.findings.append(finding("unmatched_cancel", text, row, "critical"))
            return
        if corrected:
            return
        current = self._books.fill(row.account, split_exec_id(exec_id)[0])
        self._out.seen.add(exec_id)
        self._out.cancelled.add(exec_id)
        if current is not None and current.state == "busted":
            return
        told = row.report_date.isoformat() if row.report_date else "an unknown day"
        reason = f"TradeCancel of {row.orig_trade_id or 'a trade'}, reported {told}, transaction {row.transaction_id}"
        self._out.busts.append(
            Bust(received_at=self._received_at, account=row.account, exec_id=exec_id, reason=reason, source="flex")
        )

    def _original_in_books(self, row: StatementTrade) -> str:
        known = self._known_trades.get(row.orig_trade_id, "")
        if known:
            return known
        found = [
            record.fill.exec_id
            for record in self._all_revisions(row)
            if record.fill.quantity == -row.quantity and _same_price(record.unit_price, row.price)
        ]
        return found[0] if len(set(found)) == 1 else ""

    def _all_revisions(self, row: StatementTrade) -> Iterable[FillRecord]:
        for record in self._nearby:
            if record.fill.instrument.con_id != row.instrument.con_id or record.state in {"moved", "reversed"}:
                continue
            if record.fill.source == "assignment" or not _same_day(record.order_time, row):
                continue
            yield from self._books.chain(row.account, split_exec_id(record.fill.exec_id)[0])


def _id(pair: tuple[StatementTrade, FillRecord]) -> tuple[StatementTrade, str]:
    return pair[0], pair[1].fill.exec_id


def _root(row: StatementTrade) -> str:
    return split_exec_id(row.exec_id)[0] if row.exec_id else OWN_PREFIX + row.transaction_id


def _revision(row: StatementTrade) -> int:
    return split_exec_id(row.exec_id)[1]


def _same_price(one: Decimal, other: Decimal) -> bool:
    return abs(subtract(one, other)) <= multiply(max(abs(one), abs(other)), _PRICE_ROUNDING)


def _same_day(moment: datetime, row: StatementTrade) -> bool:
    return row.executed_at is None or abs(moment - row.executed_at) <= timedelta(days=1)


def _cancels(cancel: StatementTrade, row: StatementTrade) -> bool:
    return row.quantity == -cancel.quantity and _same_price(row.price, cancel.price)


def _fee_differs(row: StatementTrade, record: FillRecord) -> bool:
    if record.commission is None or record.commission_currency != row.commission_currency:
        return False
    return row.commission != record.commission


def _rounding(pairs: Sequence[tuple[StatementTrade, FillRecord]]) -> Decimal:
    """How far two totals may lie apart because the statement shows fewer digits: under one unit of its last digit."""
    last_digits = [Decimal(1).scaleb(int(row.commission.as_tuple().exponent)) for row, _ in pairs if row.commission]
    return min([*last_digits, _FEE_ROUNDING]) * len(pairs)
