"""What the broker holds for each account: positions, average cost, cash, realized profit.

Average cost is IB's: per contract, with the multiplier and with the commission of the trades that built the position
(1477.3 on a future of 100 with 2.37 commission is 147732.37), and in whole currency units even where prices are
quoted in pence. The total is stored and the average derived from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from engine.simulator.contracts import Catalogue
from engine.simulator.market import Market
from engine.simulator.model import Instrument

_ZERO = Decimal(0)
_CENT = Decimal("0.01")
_MARGIN = {"FUT": Decimal("0.06"), "FOP": Decimal("0.10"), "OPT": Decimal("0.20")}
_STOCK_MARGIN = Decimal("0.25")


@dataclass(slots=True, kw_only=True)
class Holding:
    """One position. ``cost`` is the signed total paid for what is open, commission included, in the currency."""

    account: str
    con_id: int
    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO
    realized: Decimal = _ZERO
    ever_sent: bool = False

    @property
    def average_cost(self) -> Decimal:
        """Per contract, multiplier and commission included; zero when flat."""
        return self.cost / self.quantity if self.quantity else _ZERO


@dataclass(slots=True)
class Account:
    """One account's cash by currency and its holdings by contract id."""

    name: str
    base: str
    cash: dict[str, Decimal] = field(default_factory=dict)
    holdings: dict[int, Holding] = field(default_factory=dict)
    ready: bool = True

    def holding(self, con_id: int) -> Holding:
        """The holding of a contract, made when new."""
        found = self.holdings.get(con_id)
        if found is None:
            found = self.holdings[con_id] = Holding(account=self.name, con_id=con_id)
        return found

    def pay(self, currency: str, amount: Decimal) -> None:
        """Add to the balance of a currency; negative takes away."""
        self.cash[currency] = self.cash.get(currency, _ZERO) + amount

    def trade(self, instrument: Instrument, quantity: Decimal, price: Decimal, commission: Decimal) -> Decimal | None:
        """Book a trade.

        Args:
            instrument: What is traded.
            quantity: Signed.
            price: In the quoted unit.
            commission: Cost positive, in the instrument's currency.

        Returns:
            Realized profit after commissions in the instrument's currency, or ``None`` if nothing was closed.
        """
        held = self.holding(instrument.con_id)
        gross = quantity * price * instrument.factor
        realized = _apply(held, quantity, gross + commission)
        if instrument.sec_type == "CASH":
            self.pay(instrument.symbol, quantity)
            self.pay(instrument.currency, -gross - commission)
        elif instrument.sec_type == "FUT":
            self.pay(instrument.currency, (realized or _ZERO) if realized is not None else -commission)
        else:
            self.pay(instrument.currency, -gross - commission)
        return realized

    def set_position(self, con_id: int, quantity: Decimal, cost: Decimal) -> None:
        """Put a position in place without any trade (transfers, corporate actions)."""
        held = self.holding(con_id)
        held.quantity, held.cost = quantity, cost if quantity else _ZERO


def _apply(held: Holding, quantity: Decimal, paid: Decimal) -> Decimal | None:
    """Add a signed quantity at a total price to a holding; returns realized profit when something is closed."""
    before = held.quantity
    if before == 0 or (before > 0) == (quantity > 0):
        held.quantity += quantity
        held.cost += paid
        return None
    closing = min(abs(quantity), abs(before))
    share = paid * closing / abs(quantity)
    released = held.cost * closing / abs(before)
    realized = -share - released
    held.cost = held.cost - released + (paid - share)
    held.quantity = before + quantity
    if held.quantity == 0:
        held.cost = _ZERO
    held.realized += realized
    return realized


@dataclass(slots=True)
class Mark:
    """The value of a holding: price in the quoted unit, the rest in the instrument's currency."""

    price: Decimal
    value: Decimal
    unrealized: Decimal


class Accounts:
    """All accounts, their valuation and the rows of the account window."""

    def __init__(self, names: Iterable[str], base: str, cash: Decimal, catalogue: Catalogue, market: Market) -> None:
        self.by_name = {name: Account(name, base, {base: cash}) for name in names}
        self.base = base
        self._catalogue = catalogue
        self._market = market

    def __getitem__(self, name: str) -> Account:
        return self.by_name[name]

    def rate(self, currency: str) -> Decimal:
        """Units of the base currency for one unit of ``currency``; one where no pair is known."""
        if currency == self.base:
            return Decimal(1)
        to_dollar = self._to_dollar(currency)
        from_dollar = self._to_dollar(self.base)
        return (to_dollar / from_dollar).quantize(Decimal("0.0000001")).normalize() + 0

    def _to_dollar(self, currency: str) -> Decimal:
        if currency == "USD":
            return Decimal(1)
        for known in self._catalogue.all():
            if known.sec_type == "CASH" and {known.symbol, known.currency} == {currency, "USD"}:
                last = self._market.quote(known).last
                return last if known.symbol == currency else 1 / last
        return Decimal(1)

    def mark(self, held: Holding) -> Mark:
        """Value a holding at the market's last price."""
        instrument = self._catalogue.get(held.con_id)
        price = self._market.quote(instrument).last
        value = held.quantity * price * instrument.factor
        return Mark(price, value, value - held.cost if held.quantity else _ZERO)

    def profit(self, account: str, con_id: int | None = None) -> tuple[Decimal, Decimal]:
        """Unrealized and realized profit of an account, or of one holding, in base currency."""
        unrealized = realized = _ZERO
        for held in self[account].holdings.values():
            if con_id in (None, held.con_id):
                rate = self.rate(self._catalogue.get(held.con_id).currency)
                unrealized += self.mark(held).unrealized * rate
                realized += held.realized * rate
        return unrealized, realized

    def currencies(self, account: str) -> list[str]:
        """Currencies in which the account has cash or holdings, base first."""
        own = self[account]
        seen = {self.base, *own.cash}
        seen.update(self._catalogue.get(con_id).currency for con_id in own.holdings)
        return [self.base, *sorted(seen - {self.base})]

    def ledger(self, account: str) -> list[tuple[str, str, str]]:
        """The rows that exist once per currency and once for BASE: (key, value, currency)."""
        own = self[account]
        rows: list[tuple[str, str, str]] = []
        totals: dict[str, Decimal] = {}
        for currency in self.currencies(account):
            sums = self._sums(own, currency)
            rate = self.rate(currency)
            rows += [("Currency", currency, currency), *((key, money(sums[key]), currency) for key in sums)]
            rows.append(("ExchangeRate", format(rate.normalize(), "f"), currency))
            rows.append(("RealCurrency", currency, currency))
            for key, value in sums.items():
                totals[key] = totals.get(key, _ZERO) + value * rate
        rows += [("Currency", "BASE", "BASE"), *((key, money(value), "BASE") for key, value in totals.items())]
        rows += [("ExchangeRate", "1.00", "BASE"), ("RealCurrency", self.base, "BASE")]
        return rows

    def _sums(self, own: Account, currency: str) -> dict[str, Decimal]:
        cash = own.cash.get(currency, _ZERO)
        kinds = {"STK": _ZERO, "OPT": _ZERO, "FOP": _ZERO, "FUT": _ZERO, "CRYPTO": _ZERO}
        unrealized = realized = _ZERO
        for held in own.holdings.values():
            instrument = self._catalogue.get(held.con_id)
            if instrument.currency != currency or instrument.sec_type == "CASH":
                continue
            mark = self.mark(held)
            unrealized += mark.unrealized
            realized += held.realized
            kinds[instrument.sec_type] += mark.unrealized if instrument.sec_type == "FUT" else mark.value
        invested = sum(kinds.values(), _ZERO)
        return {
            "CashBalance": cash,
            "TotalCashBalance": cash + kinds["FUT"],
            "AccruedCash": _ZERO,
            "StockMarketValue": kinds["STK"],
            "OptionMarketValue": kinds["OPT"],
            "FutureOptionValue": kinds["FOP"],
            "FuturesPNL": kinds["FUT"],
            "Cryptocurrency": kinds["CRYPTO"],
            "NetLiquidationByCurrency": cash + invested,
            "UnrealizedPnL": unrealized,
            "RealizedPnL": realized,
            "FxCashBalance": _ZERO,
        }

    def totals(self, account: str) -> dict[str, Decimal]:
        """Account-wide amounts in base currency, by IB's tag."""
        own = self[account]
        net = gross = margin = cash = _ZERO
        for currency in self.currencies(account):
            sums = self._sums(own, currency)
            rate = self.rate(currency)
            net += sums["NetLiquidationByCurrency"] * rate
            cash += sums["TotalCashBalance"] * rate
        for held in own.holdings.values():
            instrument = self._catalogue.get(held.con_id)
            if instrument.sec_type == "CASH":
                continue
            value = abs(self.mark(held).value) * self.rate(instrument.currency)
            if instrument.sec_type != "FUT":
                gross += value
            margin += value * _MARGIN.get(instrument.sec_type, _STOCK_MARGIN)
        return {
            "NetLiquidation": net,
            "EquityWithLoanValue": net,
            "TotalCashValue": cash,
            "SettledCash": cash,
            "AccruedCash": _ZERO,
            "AccruedDividend": _ZERO,
            "GrossPositionValue": gross,
            "InitMarginReq": margin,
            "MaintMarginReq": margin,
            "FullInitMarginReq": margin,
            "FullMaintMarginReq": margin,
            "AvailableFunds": net - margin,
            "FullAvailableFunds": net - margin,
            "ExcessLiquidity": net - margin,
            "FullExcessLiquidity": net - margin,
            "LookAheadInitMarginReq": margin,
            "LookAheadMaintMarginReq": margin,
            "LookAheadAvailableFunds": net - margin,
            "LookAheadExcessLiquidity": net - margin,
            "BuyingPower": (net - margin) * 4,
        }

    def values(self, account: str) -> list[tuple[str, str, str]]:
        """Every row of reqAccountUpdates: (key, value, currency)."""
        own = self[account]
        totals = self.totals(account)
        net = totals["NetLiquidation"]
        cushion = totals["ExcessLiquidity"] / net if net > 0 else _ZERO
        rows = [
            ("AccountCode", account, ""),
            ("AccountOrGroup", account, self.base),
            ("AccountReady", "true" if own.ready else "false", ""),
            ("AccountType", "INDIVIDUAL", ""),
            ("Cushion", format(cushion.quantize(Decimal("0.000001")), "f"), ""),
            ("DayTradesRemaining", "-1", ""),
            ("Leverage-S", "0.00", ""),
            ("TradingType-S", "STKNOPT", ""),
        ]
        rows += [(tag, money(value), self.base) for tag, value in totals.items()]
        return rows + self.ledger(account)

    def summary(self, account: str, tags: Iterable[str]) -> list[tuple[str, str, str]]:
        """The rows of reqAccountSummary for the tags asked, ``$LEDGER``, ``$LEDGER:EUR``, ``$LEDGER:ALL``."""
        single = {key: (value, currency) for key, value, currency in self.values(account) if currency != "BASE"}
        totals = self.totals(account)
        rows: list[tuple[str, str, str]] = []
        for tag in tags:
            if tag.startswith("$LEDGER"):
                wanted = tag.partition(":")[2] or "BASE"
                rows += [row for row in self.ledger(account) if wanted in ("ALL", row[2])]
            elif tag in totals:
                rows.append((tag, money(totals[tag]), self.base))
            elif tag in single:
                rows.append((tag, *single[tag]))
        return rows


def money(amount: Decimal) -> str:
    """An amount as the account window shows it, two decimals."""
    rounded = amount.quantize(_CENT)
    return format(rounded or _ZERO.quantize(_CENT), "f")
