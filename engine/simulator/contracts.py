"""The contracts the gateway trades, and how a client's description finds one.

Stocks, currencies and coins carry IB's own contract ids. Futures and options expire, so theirs are made for the day the
gateway starts on: the next quarterly futures, and options of the next two months, with an id derived from the local
symbol (the same on every start while the contract lives).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from engine.simulator.model import BAG_CON_ID, Instrument

_US = "SMART,AMEX,NYSE,CBOE,PHLX,ISE,CHX,ARCA,ISLAND,DRCTEDGE,BEX,BATS,EDGEA,BYX,IEX,PSX,NASDAQ"
_MONTHS = "FGHJKMNQUVXZ"
_FRIDAY = 4
_QUARTERS = (3, 6, 9, 12)


@dataclass(slots=True, kw_only=True)
class Wanted:
    """A contract as a client describes it; empty texts and zeros leave the field open."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    strike: Decimal | None = None
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""
    sec_id_type: str = ""
    sec_id: str = ""

    def matches(self, known: Instrument) -> bool:
        """Whether ``known`` fits everything the client said."""
        if self.con_id:
            return self.con_id == known.con_id and self._venue_fits(known)
        if self.sec_id_type or self.sec_id:
            return known.sec_ids.get(self.sec_id_type) == self.sec_id != ""
        if not (self.symbol or self.local_symbol or self.trading_class):
            return False
        named = (
            (self.symbol, (known.symbol, *known.aliases)),
            (self.sec_type, (known.sec_type,)),
            (self.right[:1], (known.right,)),
            (self.currency, (known.currency,)),
            (self.local_symbol, (known.local_symbol,)),
            (self.trading_class, (known.trading_class,)),
        )
        return (
            all(not said or said in values for said, values in named)
            and known.expiry.startswith(self.expiry)
            and (not self.strike or self.strike == known.strike)
            and (not self.multiplier or Decimal(self.multiplier) == Decimal(known.multiplier or "1"))
            and self._venue_fits(known)
        )

    def _venue_fits(self, known: Instrument) -> bool:
        venues = {known.exchange, known.primary_exchange, *known.valid_exchanges.split(",")}
        if self.exchange and self.exchange not in venues:
            return False
        return not self.primary_exchange or self.primary_exchange in venues


def third_friday(year: int, month: int) -> date:
    """The day on which most listed derivatives of a month end."""
    first = date(year, month, 1)
    return first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)


def coming_expiries(today: date, count: int, months: Iterable[int]) -> list[date]:
    """The next ``count`` third Fridays that lie at least a week ahead, in the given months."""
    wanted = set(months)
    found: list[date] = []
    year, month = today.year, today.month
    while len(found) < count:
        day = third_friday(year, month)
        if month in wanted and day - today >= timedelta(days=7):
            found.append(day)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return found


def derived_con_id(local_symbol: str) -> int:
    """A lasting id for a contract that IB would number anew."""
    return 600_000_000 + zlib.crc32(local_symbol.encode()) % 200_000_000


def _stock(con_id: int, symbol: str, price: str, name: str, *, venue: str = "NASDAQ", isin: str = "") -> Instrument:
    return Instrument(
        con_id=con_id,
        symbol=symbol,
        sec_type="STK",
        currency="USD",
        exchange="SMART",
        primary_exchange=venue,
        local_symbol=symbol,
        trading_class={"NASDAQ": "NMS"}.get(venue, symbol),
        market_name={"NASDAQ": "NMS"}.get(venue, symbol),
        valid_exchanges=_US,
        long_name=name,
        stock_type="ETF" if venue == "ARCA" else "COMMON",
        industry="Technology",
        category="Computers",
        subcategory="Computers",
        sec_ids={"ISIN": isin} if isin else {},
        price=Decimal(price),
    )


def _foreign(
    con_id: int, symbol: str, price: str, name: str, venue: str, currency: str, zone: str, magnifier: int = 1
) -> Instrument:
    return Instrument(
        con_id=con_id,
        symbol=symbol,
        sec_type="STK",
        currency=currency,
        exchange="SMART",
        primary_exchange=venue,
        local_symbol=symbol,
        trading_class="XETRA" if venue == "IBIS" else "SET1",
        market_name="XETRA" if venue == "IBIS" else "SET1",
        valid_exchanges=f"SMART,{venue},EUIBSI,CHIXEN,AQUISEU",
        price_magnifier=magnifier,
        min_tick=Decimal("0.02") if magnifier == 1 else Decimal("0.05"),
        long_name=name,
        stock_type="COMMON",
        time_zone=zone,
        price=Decimal(price),
    )


def _future(symbol: str, day: date, multiplier: str, venue: str, currency: str, tick: str, price: str) -> Instrument:
    local = f"{symbol}{_MONTHS[day.month - 1]}{day.year % 10}"
    return Instrument(
        con_id=derived_con_id(f"{local}{day.year}"),
        symbol=symbol,
        sec_type="FUT",
        currency=currency,
        exchange=venue,
        local_symbol=local,
        trading_class=symbol,
        market_name=symbol,
        expiry=f"{day:%Y%m%d}",
        contract_month=f"{day:%Y%m}",
        multiplier=multiplier,
        min_tick=Decimal(tick),
        valid_exchanges=venue,
        long_name=f"{symbol} Future",
        under_con_id=derived_con_id(symbol),
        under_symbol=symbol,
        under_sec_type="IND",
        time_zone="US/Central" if venue == "CME" else "America/New_York",
        price=Decimal(price),
        lot=Decimal(10),
    )


def _option(under: Instrument, day: date, strike: Decimal, right: str, price: str) -> Instrument:
    future = under.sec_type == "FUT"
    strike_text = f"{int(strike * 1000):08d}"
    local = f"{under.symbol:<6}{day:%y%m%d}{right}{strike_text}"
    if future:
        local = f"E{under.local_symbol[1:]} {right}{strike}"
    return Instrument(
        con_id=derived_con_id(f"{local}{day:%Y%m%d}"),
        symbol=under.symbol,
        sec_type="FOP" if future else "OPT",
        currency=under.currency,
        exchange=under.exchange,
        local_symbol=local,
        trading_class=under.symbol,
        market_name=under.symbol,
        expiry=f"{day:%Y%m%d}",
        contract_month=f"{day:%Y%m}",
        strike=strike,
        right=right,
        multiplier=under.multiplier if future else "100",
        valid_exchanges=under.exchange if future else "SMART,AMEX,CBOE,PHLX,ISE,BOX,NASDAQOM",
        min_tick=Decimal("0.05") if future else Decimal("0.01"),
        long_name=under.long_name,
        under_con_id=under.con_id,
        under_symbol=under.symbol if not future else under.local_symbol,
        under_sec_type=under.sec_type,
        time_zone=under.time_zone,
        price=Decimal(price),
        lot=Decimal(20),
    )


def _pair(con_id: int, base: str, quote: str, tick: str, price: str) -> Instrument:
    return Instrument(
        con_id=con_id,
        symbol=base,
        sec_type="CASH",
        currency=quote,
        exchange="IDEALPRO",
        local_symbol=f"{base}.{quote}",
        trading_class=f"{base}.{quote}",
        market_name=f"{base}.{quote}",
        valid_exchanges="IDEALPRO,FXCONV,SMART",
        min_tick=Decimal(tick),
        min_size=Decimal("0.01"),
        long_name=f"{base} against {quote}",
        price=Decimal(price),
        lot=Decimal(1_000_000),
    )


def _coin(con_id: int, symbol: str, price: str, name: str) -> Instrument:
    return Instrument(
        con_id=con_id,
        symbol=symbol,
        sec_type="CRYPTO",
        currency="USD",
        exchange="PAXOS",
        local_symbol=f"{symbol}.USD",
        trading_class=symbol,
        market_name=symbol,
        valid_exchanges="PAXOS,ZEROHASH",
        min_tick=Decimal("0.25"),
        min_size=Decimal("0.00000001"),
        long_name=name,
        price=Decimal(price),
        lot=Decimal(1),
    )


def _combination() -> Instrument:
    return Instrument(
        con_id=BAG_CON_ID,
        symbol="BAG",
        sec_type="BAG",
        currency="USD",
        exchange="SMART",
        local_symbol="28812380",
        trading_class="COMB",
        valid_exchanges="SMART,CBOE,ISE,CME",
        lot=Decimal(20),
    )


def standard(today: date) -> list[Instrument]:
    """The instruments of a gateway that starts on ``today``: one of every kind, several of most."""
    apple = _stock(265598, "AAPL", "271.50", "APPLE INC", isin="US0378331005")
    spy = _stock(756733, "SPY", "676.20", "SPDR S&P 500 ETF TRUST", venue="ARCA", isin="US78462F1030")
    known = [
        apple,
        spy,
        _stock(272093, "MSFT", "484.10", "MICROSOFT CORP", isin="US5949181045"),
        _stock(8314, "IBM", "305.40", "INTL BUSINESS MACHINES CORP", venue="NYSE", isin="US4592001014"),
        _stock(4815747, "NVDA", "181.30", "NVIDIA CORP", isin="US67066G1040"),
        _stock(76792991, "TSLA", "427.80", "TESLA INC", isin="US88160R1014"),
        _stock(166090175, "VOD", "12.40", "VODAFONE GROUP PLC-SP ADR"),
        _foreign(14204, "SAP", "208.50", "SAP SE", "IBIS", "EUR", "MET"),
        _foreign(13937, "SIE", "229.40", "SIEMENS AG-REG", "IBIS", "EUR", "MET"),
        _foreign(152791428, "VOD", "94.30", "VODAFONE GROUP PLC", "LSE", "GBP", "Europe/London", 100),
        _foreign(4521596, "BARC", "428.15", "BARCLAYS PLC", "LSE", "GBP", "Europe/London", 100),
        _pair(12087792, "EUR", "USD", "0.00005", "1.15900"),
        _pair(12087797, "GBP", "USD", "0.00005", "1.32350"),
        _pair(15016059, "USD", "JPY", "0.005", "156.200"),
        _coin(479624278, "BTC", "91250.00", "Bitcoin cryptocurrency"),
        _coin(495759171, "ETH", "3025.50", "Ethereum cryptocurrency"),
        _combination(),
    ]
    for day in coming_expiries(today, 2, _QUARTERS):
        index = _future("ES", day, "50", "CME", "USD", "0.25", "6820.00")
        known += [
            index,
            _future("MES", day, "5", "CME", "USD", "0.25", "6820.00"),
            _future("GC", day, "100", "COMEX", "USD", "0.1", "4150.0"),
            _future("ESTX50", day, "10", "EUREX", "EUR", "1", "5650"),
            _option(index, day, Decimal(6800), "C", "95.00"),
            _option(index, day, Decimal(6800), "P", "82.50"),
        ]
    for day in coming_expiries(today, 2, range(1, 13)):
        for strike in (260, 270, 280):
            known += [
                _option(apple, day, Decimal(strike), "C", f"{max(281 - strike, 2)}.40"),
                _option(apple, day, Decimal(strike), "P", f"{max(strike - 262, 2)}.15"),
            ]
        known += [_option(spy, day, Decimal(670), right, "11.80") for right in "CP"]
    return known


class Catalogue:
    """All instruments by id, and the search that qualifies a client's contract."""

    def __init__(self, known: Iterable[Instrument]) -> None:
        self._known = {instrument.con_id: instrument for instrument in known}

    def add(self, instrument: Instrument) -> None:
        """Make a further instrument known; one with the same id is replaced."""
        self._known[instrument.con_id] = instrument

    def get(self, con_id: int) -> Instrument:
        """The instrument with this id.

        Raises:
            KeyError: There is none.
        """
        return self._known[con_id]

    def all(self) -> list[Instrument]:
        """Every instrument, in order of being made known."""
        return list(self._known.values())

    def find(self, wanted: Wanted) -> list[Instrument]:
        """Every instrument that fits, without combinations.

        ``CONTFUT`` finds the future that ends first.
        """
        if wanted.con_id and not wanted.exchange and wanted.con_id in self._known:
            return [self._known[wanted.con_id]]
        if wanted.sec_type == "CONTFUT":
            wanted.sec_type = "FUT"
            return sorted(self.find(wanted), key=lambda known: known.expiry)[:1]
        return [known for known in self._known.values() if known.sec_type != "BAG" and wanted.matches(known)]

    def named(self, name: str | int) -> Instrument:
        """The one instrument meant by an id, a local symbol, or a symbol (its first listing).

        Raises:
            KeyError: Nothing has that name.
        """
        if isinstance(name, int) or (name.isascii() and name.isdigit()):
            return self._known[int(name)]
        for attribute in ("local_symbol", "symbol"):
            for known in self._known.values():
                if getattr(known, attribute) == name:
                    return known
        raise KeyError(name)
