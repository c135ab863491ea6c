"""What IB reports about accounts: values, exchange rates, marks, and whether an account is ready to be asked.

IB does not state an account's base currency (F136). Each account's values hold an ``ExchangeRate`` per currency, from
that currency to the base, so the base is the currency whose rate is exactly 1; two of those are ambiguous, and then the
configured one is needed. The pseudo-currency ``BASE`` and rows of a model (F138, F139) repeat what other rows say.

Marks come with the portfolio rows in quoted units. Until the contract details have told an instrument's price magnifier
its mark is not given out: a London price is wrong by a factor of 100 or it is not, and nobody can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from engine.broker.values import decimal_of
from engine.core.events import RateSeen
from engine.core.exact import share
from engine.core.snapshot import AccountValue, Mark
from engine.errors import Unreadable

PSEUDO_CURRENCY: Final = "BASE"
_LONGEST_SILENCE: Final = timedelta(hours=1)


class AccountBook:
    """Values, rates and marks of all accounts, as last reported; survives a reconnect, with the ages it has.

    Args:
        configured_base: Base currency for accounts whose values do not decide it; empty for none.
        rate_every: Shortest time between two facts about one rate. An unchanged rate is repeated hourly, so that its
            age stays true.
    """

    def __init__(self, *, configured_base: str = "", rate_every: timedelta = timedelta(seconds=60)) -> None:
        self._configured_base = configured_base
        self._rate_every = rate_every
        self._values: dict[tuple[str, str, str], AccountValue] = {}
        self._rates: dict[tuple[str, str], tuple[Decimal, datetime]] = {}
        self._told: dict[tuple[str, str], tuple[Decimal, str, datetime]] = {}
        self._quotes: dict[tuple[str, int], tuple[Decimal, datetime]] = {}
        self._held: dict[tuple[str, int], Decimal] = {}
        self._untold: dict[str, set[int]] = {}
        self._magnifiers: dict[int, int] = {}
        self._ready: dict[str, bool] = {}

    def value(self, account: str, key: str, text: str, currency: str, at: datetime, *, model: str = "") -> None:
        """Take in one account value; rows of a model are left out, since the account's own rows contain them (F139).

        Raises:
            Unreadable: An exchange rate is no number.
        """
        if model:
            return
        if key == "AccountReady":
            self._ready[account] = text.strip().lower() != "false"
        self._values[account, key, currency] = AccountValue(
            account=account, key=key, value=text, currency=currency, at=at
        )
        if key == "ExchangeRate" and currency and currency != PSEUDO_CURRENCY:
            try:
                rate = decimal_of(text)
            except Unreadable as error:
                raise Unreadable(f"the rate of {currency} in {account}: {error}") from None
            if rate is not None and rate > 0:
                self._rates[account, currency] = (rate, at)

    def portfolio(
        self, account: str, con_id: int, quantity: Decimal | None, quoted: Decimal | None, at: datetime
    ) -> None:
        """Take in one portfolio row; one of quantity 0 says nothing about an instrument (F122).

        Args:
            quoted: Market price in quoted units; ``None`` when unset.
        """
        if quantity is not None:
            self._held[account, con_id] = quantity
            self._untold.get(account, set()).discard(con_id)
        if quantity and quoted is not None:
            self._quotes[account, con_id] = (quoted, at)

    def portfolio_begins(self, account: str) -> None:
        """An account's portfolio rows are asked for anew: what is not told until they end is not held any more."""
        self._untold[account] = {con_id for owner, con_id in self._held if owner == account}

    def portfolio_ends(self, account: str) -> None:
        """All rows of an account's portfolio were told: IB leaves out what was closed while nobody listened (F120)."""
        for con_id in self._untold.pop(account, ()):
            del self._held[account, con_id]

    def described(self, con_id: int, magnifier: int) -> None:
        """Take in an instrument's price magnifier."""
        self._magnifiers[con_id] = magnifier

    def marks(self) -> Mapping[tuple[str, int], Mark]:
        """Marks per (account, con_id): currency per unit, of instruments whose magnifier is known."""
        found = {}
        for (account, con_id), (quoted, at) in self._quotes.items():
            magnifier = self._magnifiers.get(con_id)
            if magnifier is not None:
                price = quoted if magnifier == 1 else share(quoted, Decimal(magnifier))
                found[account, con_id] = Mark(account=account, con_id=con_id, price=price, at=at)
        return found

    def holds(self, account: str) -> bool:
        """True when the portfolio rows last showed a position; their absence says nothing (F115, F117)."""
        return any(quantity for (owner, _), quantity in self._held.items() if owner == account)

    def shown(self, account: str) -> frozenset[int]:
        """Instruments of which the portfolio rows last showed a position; see :meth:`holds`."""
        return frozenset(con_id for (owner, con_id), quantity in self._held.items() if quantity and owner == account)

    def base(self, account: str) -> str | None:
        """The account's base currency; ``None`` while unknown, or ambiguous with none configured (F136)."""
        ones = [currency for (owner, currency), (rate, _) in self._rates.items() if owner == account and rate == 1]
        if len(ones) == 1:
            return ones[0]
        if not ones or self._configured_base in ones:
            return self._configured_base or None
        return None

    def rate(self, account: str, currency: str) -> tuple[Decimal, datetime] | None:
        """Base units per unit of ``currency`` and when IB said so; ``None`` when unknown, never 1 by default."""
        return self._rates.get((account, currency))

    def ready(self, account: str) -> bool:
        """False while IB says that the account's values are being reset (F128)."""
        return self._ready.get(account, True)

    def values(self, account: str = "") -> list[AccountValue]:
        """Account values as last reported, models left out; those in ``BASE`` repeat the others (F138)."""
        return [value for value in self._values.values() if not account or value.account == account]

    def rates_due(self, now: datetime) -> list[RateSeen]:
        """Facts about rates that changed (or were not repeated for an hour), no more often than the shortest time.

        They count as told once returned.
        """
        facts = []
        bases = {account: self.base(account) for account, _ in self._rates}
        for (account, currency), (rate, at) in self._rates.items():
            base = bases[account]
            if base is None:
                continue
            told = self._told.get((account, currency))
            if told is not None:
                age = now - told[2]
                changed = (rate, base) != told[:2]
                if not (changed and age >= self._rate_every) and not (age >= _LONGEST_SILENCE and at > told[2]):
                    continue
            self._told[account, currency] = (rate, base, now)
            facts.append(RateSeen(received_at=now, account=account, currency=currency, base=base, rate=rate, at=at))
        return facts


def is_master(account: str) -> bool:
    """True for an advisor's master account (``F`` or ``DF`` and digits): its rows repeat its members' (F79a)."""
    return any(account.startswith(prefix) and account[len(prefix) :].isdigit() for prefix in ("DF", "F"))


def is_aggregate(account: str) -> bool:
    """True for the pseudo-account of all members, a master's name with an ``A`` behind it (F79c), or ``All``."""
    return account == "All" or (account.endswith("A") and is_master(account[:-1]))
