"""Sights of orders on our own connection, put together from messages of which none says everything.

An open order says what the order is but not how much of it is done; a status says how much but not what, and names no
account; an error has nothing but a number. Each sight is completed with what was last seen of the same order.
"""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final

import msgspec

from engine.broker.orders import order_fact
from engine.broker.values import decimal_of, parse_time, text_of, whole_of
from engine.core.events import OrderSource, OrderUpdate

DATA_CODES: Final = frozenset({162, 165, 200, 354, 366, 420, 430, 501, 10089, 10090, 10167, 10168, 10182, 10186, 10187})
"""Errors of data requests. Orders share their sequence of numbers, so these never concern an order (F73)."""

_MOST: Final = 20_000


class OrderSights:
    """What was last seen of each order on one connection.

    Args:
        client_id: Ours; errors name orders of ours only.
        zone: Time zone of times without one.
    """

    def __init__(self, client_id: int, zone: str = "") -> None:
        self.only_account = ""
        self._client_id = client_id
        self._zone = zone
        self._by_perm: dict[int, OrderUpdate] = {}
        self._by_number: dict[tuple[int, int], OrderUpdate] = {}
        self._accounts: dict[int, str] = {}

    def opened(
        self, contract: Any, order: Any, state: Any, *, received_at: datetime, snapshot: bool
    ) -> OrderUpdate | None:
        """Take an open order; ``None`` for the answer to a what-if question.

        Raises:
            Unreadable: A field makes no sense.
        """
        if getattr(order, "whatIf", False):
            return None
        seen = SimpleNamespace(status=getattr(state, "status", ""))
        trade = SimpleNamespace(contract=contract, order=order, orderStatus=seen, log=None, fills=None)
        source: OrderSource = "open" if snapshot else "live"
        found = order_fact(None, trade, received_at=received_at, source=source)
        warning = text_of(getattr(state, "warningText", ""))
        if warning:
            found = msgspec.structs.replace(found, message=warning)
        # The word is IB's own here, whatever the permanent id.
        found = msgspec.structs.replace(found, local=False, account=found.account or self._account(found.perm_id))
        self._remember(found)
        return found

    def completed(self, contract: Any, order: Any, state: Any, *, received_at: datetime) -> OrderUpdate:
        """Take a completed order: it tells reference and end of the order, never its quantity (F59).

        Raises:
            Unreadable: A field makes no sense.
        """
        seen = SimpleNamespace(status=getattr(state, "status", ""), filled=getattr(order, "filledQuantity", None))
        trade = SimpleNamespace(contract=contract, order=order, orderStatus=seen, log=None, fills=None)
        found = order_fact(None, trade, received_at=received_at, source="completed")
        found = msgspec.structs.replace(
            found,
            quantity=None,
            local=False,
            message=text_of(getattr(state, "completedStatus", "")),
            status_at=parse_time(getattr(state, "completedTime", ""), self._zone)[0],
            account=found.account or self._account(found.perm_id),
        )
        if found.perm_id not in self._by_perm:
            self._remember(found)
        return found

    def status(self, report: Any, *, received_at: datetime) -> OrderUpdate:
        """Take an order status.

        Raises:
            Unreadable: A field makes no sense.
        """
        perm_id, order_id, client_id = whole_of(report.permId), whole_of(report.orderId), whole_of(report.clientId)
        known = self._known(perm_id, client_id, order_id) or OrderUpdate(
            received_at=received_at, account=self._account(perm_id)
        )
        found = msgspec.structs.replace(
            known,
            received_at=received_at,
            perm_id=perm_id or known.perm_id,
            order_id=order_id or known.order_id,
            client_id=client_id or known.client_id,
            parent_id=whole_of(report.parentId) or known.parent_id,
            status=text_of(report.status, 50),
            filled=decimal_of(report.filled),
            remaining=decimal_of(report.remaining),
            avg_fill_price=decimal_of(report.avgFillPrice) or None,
            why_held=text_of(report.whyHeld, 200),
            message="",
            error_code=0,
            status_at=None,
            local=False,
            source="live",
        )
        self._remember(found)
        return found

    def error(self, number: int, code: int, text: str, *, received_at: datetime) -> OrderUpdate | None:
        """Take an error that may concern an order of ours. It names no status: IB sends that apart (F66).

        Returns:
            ``None`` when the code is one of data requests, or no order of ours has the number.
        """
        if number <= 0 or code in DATA_CODES:
            return None
        known = self._by_number.get((self._client_id, number))
        if known is None:
            return None
        return msgspec.structs.replace(
            known,
            received_at=received_at,
            status="",
            filled=None,
            remaining=None,
            avg_fill_price=None,
            message=text_of(text),
            error_code=code,
            status_at=None,
            source="error",
        )

    def executed(self, perm_id: int, account: str) -> None:
        """Remember in which account an order trades, for statuses that come without an open order."""
        if perm_id:
            if len(self._accounts) >= _MOST:
                self._accounts.clear()
            self._accounts[perm_id] = account

    def _known(self, perm_id: int, client_id: int, order_id: int) -> OrderUpdate | None:
        if perm_id and perm_id in self._by_perm:
            return self._by_perm[perm_id]
        return self._by_number.get((client_id, order_id)) if order_id > 0 else None

    def _account(self, perm_id: int) -> str:
        return self._accounts.get(perm_id, self.only_account)

    def _remember(self, seen: OrderUpdate) -> None:
        if len(self._by_perm) >= _MOST:
            self._by_perm.clear()
            self._by_number.clear()
        if seen.perm_id:
            self._by_perm[seen.perm_id] = seen
        if seen.order_id > 0:
            self._by_number[seen.client_id, seen.order_id] = seen
