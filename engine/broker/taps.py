"""Taps on a client library: everything that IB sends is seen here first, before the library can convert or lose it.

Why not the library's events: an execution of an unknown order has none (F1), a replayed one has none (F2), commissions
are dropped that come before their execution (F4) or whose order was never announced (F5), a raising handler is logged
and forgotten (F8), and a message that cannot be decoded is a line in a log (F9). So the decoder's entry is wrapped.
Messages that books are made of are read from their fields; three kinds whose layout depends on their content (open and
completed orders, contract details) are taken from the library's wrapper, where it hands them over decoded. What cannot
be read goes to quarantine, whole.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from engine.broker import wire
from engine.broker.account import AccountBook
from engine.broker.repeats import LastSaid
from engine.broker.requests import COMPLETED_ORDERS, CURRENT_TIME, OPEN_ORDERS, POSITIONS, Requests
from engine.broker.shapes import raw_text
from engine.broker.sights import OrderSights
from engine.broker.translate import commission_fact, fill_fact, wire_facts
from engine.broker.values import decimal_of, whole_of
from engine.core.events import AnyFact, Quarantined
from engine.errors import Unreadable

log: Final = logging.getLogger(__name__)

_DECODED_BY_LIBRARY: Final = {
    wire.OPEN_ORDER: "open order",
    wire.COMPLETED_ORDER: "completed order",
    wire.CONTRACT_DETAILS: "contract details",
    wire.BOND_DETAILS: "contract details",
}


class Taps:
    """Reads one connection's messages.

    Args:
        requests: The connection's open requests; rows and end markers go there.
        accounts: Takes account values and portfolio rows.
        sights: The connection's orders.
        emit: Takes facts, in order of arrival; False when they must come again.
        notice: Takes IB's errors and notices: number, code, text, and whether it ended a request.
        heard: Called for every message.
        now: Our clock, UTC.
        zone: Time zone of times without one.
        said: What executions and fees said last, from connections before this one.
    """

    def __init__(
        self,
        *,
        requests: Requests,
        accounts: AccountBook,
        sights: OrderSights,
        emit: Callable[[Sequence[AnyFact]], bool],
        notice: Callable[[int, int, str, bool], None],
        heard: Callable[[], None],
        now: Callable[[], datetime],
        zone: str = "",
        said: LastSaid | None = None,
    ) -> None:
        self._requests = requests
        self._accounts = accounts
        self._sights = sights
        self._emit = emit
        self._notice = notice
        self._heard = heard
        self._now = now
        self._zone = zone
        self._said = LastSaid() if said is None else said
        # Of this connection only: a new one must hear of orders again, for the statuses that follow.
        self._completed = LastSaid()
        self._words = (0, 0)
        # Message -> reader; a reader says whether the library should see the message too.
        self._readers: dict[str, Callable[[list[str]], bool]] = {
            wire.EXECUTION: self._execution,
            wire.COMMISSION: self._commission,
            wire.ORDER_STATUS: self._order_status,
            wire.ERROR: self._error,
            wire.POSITION: self._position,
            wire.PORTFOLIO: self._portfolio,
            wire.COMPLETED_ORDER: self._completed_words,
            wire.ACCOUNT_VALUE: self._account_value,
            wire.ACCOUNT_MULTI: self._account_multi,
            wire.POSITIONS_END: lambda _: self._end(POSITIONS),
            wire.OPEN_ORDERS_END: lambda _: self._end(OPEN_ORDERS),
            wire.COMPLETED_END: lambda _: self._end(COMPLETED_ORDERS),
            wire.CURRENT_TIME: lambda _: self._end(CURRENT_TIME),
            wire.ACCOUNT_END: lambda fields: self._end(portfolio_key(fields[2])),
            wire.EXECUTIONS_END: lambda fields: self._end(wire.request_id(fields, 2)),
            wire.DETAILS_END: lambda fields: self._end(wire.request_id(fields, 2)),
            wire.ACCOUNT_MULTI_END: lambda fields: self._end(wire.request_id(fields, 2)),
        }

    def install(self, ib: Any) -> None:
        """Put the taps on a library's ``IB`` object that is not connected yet."""
        decoder = ib.client.decoder
        library = decoder.interpret

        def interpret(fields: list[str]) -> None:
            self._heard()
            if self.read(fields):
                library(fields)

        decoder.interpret = interpret
        for number in _DECODED_BY_LIBRARY:
            decoder.handlers[int(number)] = self._guarded(decoder.handlers[int(number)])
        library_open_order = ib.wrapper.openOrder

        def open_order(order_id: int, contract: Any, order: Any, state: Any) -> None:
            self._open_order(contract, order, state)
            library_open_order(order_id, contract, order, state)

        ib.wrapper.openOrder = open_order
        ib.wrapper.completedOrder = self._completed_order
        ib.wrapper.contractDetails = self._requests.row
        ib.wrapper.bondContractDetails = self._requests.row

    def read(self, fields: list[str]) -> bool:
        """Read one message; True when the library should see it too."""
        reader = self._readers.get(fields[0]) if fields else None
        if reader is None:
            return bool(fields)
        try:
            return reader(fields)
        except Unreadable as error:
            self._quarantine(str(error), {"wire": fields})
        except Exception as error:
            # Ours, not IB's: it must not end the connection, and must not be lost either.
            log.exception("reading message %s failed", fields[0])
            self._quarantine(f"reading it raised {type(error).__name__}: {error}", {"wire": fields})
        return True

    def sweep(self, fills: Sequence[Any], known: Callable[[str, str], bool]) -> None:
        """Compare the library's own list of fills with what went by: a second line behind the taps.

        Args:
            fills: As ``IB.fills()`` gives them.
            known: Says whether (account, exec_id) was seen.
        """
        for fill in fills:
            exec_id = str(fill.execution.execId)
            if known(fill.execution.acctNumber, exec_id):
                continue
            try:
                facts: list[AnyFact] = [
                    fill_fact(None, None, fill, received_at=self._now(), source="replay", default_zone=self._zone)
                ]
                commission = commission_fact(fill.commissionReport, received_at=self._now(), source="replay")
            except Unreadable as error:
                self._quarantine(str(error), {"type": "fill", "fill": fill})
                continue
            log.warning("execution %s passed the taps unseen and was found in the client's list", exec_id)
            self._emit([*facts, commission] if commission is not None else facts)

    def _execution(self, fields: list[str]) -> bool:
        self._requests.row(wire.request_id(fields, 1), None)  # its number counts, and a day has very many
        key = wire.execution_key(fields)
        self._sights.executed(*wire.traded(fields))
        return self._once(key, fields[2:], fields)

    def _commission(self, fields: list[str]) -> bool:
        return self._once(wire.commission_key(fields), fields, fields)

    def _once(self, about: tuple[str, ...], words: list[str], fields: list[str]) -> bool:
        """Read an execution or a fee, unless it is word for word what was said of it last."""
        key, content, now = hash(about), hash(tuple(words)), self._now()
        if self._said.says(key, content, now):
            return False
        facts = wire_facts(fields, now, default_zone=self._zone)
        if self._emit(facts):
            self._said.note(key, content)
        return False

    def _order_status(self, fields: list[str]) -> bool:
        self._emit([self._sights.status(wire.order_status(fields), received_at=self._now())])
        return False

    def _error(self, fields: list[str]) -> bool:
        number, code, text = wire.error(fields)
        ended = self._requests.refused(number, code, text)
        if not ended:
            sight = self._sights.error(number, code, text, received_at=self._now())
            if sight is not None:
                self._emit([sight])
        self._notice(number, code, text, ended)
        return False

    def _position(self, fields: list[str]) -> bool:
        try:
            self._requests.row(POSITIONS, wire.position(fields))
        except Unreadable as error:
            self._requests.fail(POSITIONS, str(error))
            raise
        return False

    def _portfolio(self, fields: list[str]) -> bool:
        account, row = wire.portfolio(fields)
        con_id = whole_of(row.contract.conId)
        if con_id > 0:
            self._accounts.portfolio(
                account, con_id, decimal_of(row.position), decimal_of(row.marketPrice), self._now()
            )
        return False

    def _account_value(self, fields: list[str]) -> bool:
        _, _, key, value, currency, account, *_ = (*fields, "", "", "", "")
        self._accounts.value(account, key, value, currency, self._now())
        return False

    def _account_multi(self, fields: list[str]) -> bool:
        _, _, _, account, model, key, value, currency, *_ = (*fields, "", "", "", "", "", "")
        self._accounts.value(account, key, value, currency, self._now(), model=model)
        return False

    def _end(self, key: int | str) -> bool:
        self._requests.end(key)
        return True

    def _open_order(self, contract: Any, order: Any, state: Any) -> None:
        snapshot = self._requests.asking(OPEN_ORDERS)
        sight = self._sights.opened(contract, order, state, received_at=self._now(), snapshot=snapshot)
        if sight is not None:
            self._requests.row(OPEN_ORDERS, sight.perm_id)
            self._emit([sight])

    def _completed_words(self, fields: list[str]) -> bool:
        """Read a completed order, unless it says word for word what it said: then it is only counted."""
        self._words = hash(tuple(fields)), hash((COMPLETED_ORDERS, *fields))
        if not self._completed.says(*self._words, self._now()):
            return True
        self._requests.row(COMPLETED_ORDERS, None)  # its number counts
        return False

    def _completed_order(self, contract: Any, order: Any, state: Any) -> None:
        sight = self._sights.completed(contract, order, state, received_at=self._now())
        self._requests.row(COMPLETED_ORDERS, None)
        if self._emit([sight]):
            self._completed.note(*self._words)

    def _guarded(self, handler: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
        """Wrap a decoding of the library so that what it cannot decode is kept (F9)."""

        def guarded(fields: list[str]) -> None:
            whole = list(fields)
            try:
                handler(fields)
            except Exception as error:
                what = _DECODED_BY_LIBRARY[whole[0]]
                self._quarantine(f"the {what} cannot be decoded: {type(error).__name__}: {error}", {"wire": whole})
                raise

        return guarded

    def _quarantine(self, reason: str, content: dict[str, Any]) -> None:
        raw = raw_text(content)
        stable = hashlib.sha256(raw.encode()).hexdigest()[:16]
        fact = Quarantined(
            received_at=self._now(), quarantine_id=f"wire-{stable}", reason=reason[:1000], raw=raw, door="wrapper"
        )
        self._emit([fact])


def portfolio_key(account: str) -> str:
    """Name of the request for one account's portfolio rows."""
    return f"portfolio of {account}"
