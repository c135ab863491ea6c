"""Contracts that expired between our own strategies: what is left to close, and the act that closes it.

At the broker nothing expired, since the strategies' positions offset each other there: no message comes, and no break
either. Only a person can say that both books are to be closed, and at which price.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from engine.errors import AssignmentRefused
from engine.office.inputs import Quantity, decimal_or_none
from engine.recon.assign import Request

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from engine.core.events import AssignmentMade
    from engine.desk.assignments import AssignmentDesk
    from engine.office.access import Access

COLUMNS = ("account", "con_id", "symbol", "local_symbol", "expiry", "currency", "holdings", "price")


class ExpiryActs:
    """What the public face of the books offers for such contracts."""

    desk: AssignmentDesk
    access: Access

    async def _here(self, act: Coroutine[Any, Any, Any]) -> Any:
        raise NotImplementedError

    def _follow(self) -> None:
        raise NotImplementedError

    def expired_holdings(self) -> pd.DataFrame:
        """Expired contracts that offsetting strategies still hold although the broker has none.

        Returns:
            ``account, con_id, symbol, local_symbol, expiry`` (YYYYMMDD)``, currency, holdings`` (strategy and signed
            quantity, in words) and ``price``, the intrinsic value per unit; NaN when the underlying has no mark.
        """
        rows = [
            {
                "account": one.account,
                "con_id": one.instrument.con_id,
                "symbol": one.instrument.symbol,
                "local_symbol": one.instrument.local_symbol,
                "expiry": one.instrument.expiry,
                "currency": one.instrument.currency,
                "holdings": ", ".join(f"{name} {quantity:+f}" for name, quantity in one.holdings.items()),
                "price": float("nan") if one.price is None else float(one.price),
            }
            for one in self.desk.internal_expiries()
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    async def close_expired(
        self, account: str, con_id: int, price: Quantity | None = None, *, operator: str, reason: str
    ) -> AssignmentMade:
        """Close every book of such a contract at one price; audited and reversible, and the books' sum stays 0.

        Args:
            account: Where it is held.
            con_id: The contract.
            price: Per unit, instrument currency; ``None`` for the intrinsic value.
            operator: Who acts.
            reason: Stands in the journal.

        Raises:
            AssignmentRefused: It is no such contract (any more), or the price is not known.
            NotPermitted: The operator may only look.
        """
        self.access.check("close expired", operator, f"{account} {con_id} {price} {reason}")
        found = next((one for one in self.desk.internal_expiries() if one.key == (account, con_id)), None)
        if found is None:
            raise AssignmentRefused(f"{account} {con_id} is not held by offsetting strategies beyond its expiry")
        request = Request(split={}, operator=operator, reason=reason, price=decimal_or_none(price, "price"))
        made: AssignmentMade = await self._here(self.desk.expire(found, request))
        self._follow()
        return made
