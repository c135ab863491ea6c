"""A trading day to look at: three strategies, two accounts, one correction, one fee that never came.

``make_day`` plays it through the real ``PortfolioManager`` into an ArcticDB of its own, on a clock that shows the day's
time. The day is invented; with the same seed it is always the same one.
"""

from __future__ import annotations

import asyncio
import atexit
import random
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings

DAY = datetime(2026, 3, 6, tzinfo=UTC)
OPENS, CLOSES = DAY + timedelta(hours=14, minutes=30), DAY + timedelta(hours=21)
ACCOUNTS = ("DU1234567", "DU7654321")
CENT = Decimal("0.01")

AAPL = SimpleNamespace(
    conId=265598, symbol="AAPL", localSymbol="AAPL", secType="STK", exchange="NASDAQ", currency="USD", multiplier=""
)
ES = SimpleNamespace(
    conId=620731015, symbol="ES", localSymbol="ESM6", secType="FUT", exchange="CME", currency="USD", multiplier="50"
)


class DayClock:
    """A clock that is set by hand."""

    def __init__(self, start: datetime) -> None:
        self.time = start

    def now(self) -> datetime:
        """The time that was set."""
        return self.time

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.time.timestamp()


class Day:
    """Makes the day's messages in the shape of IB's client libraries, and hands them to the books."""

    def __init__(self, manager: PortfolioManager, clock: DayClock, seed: int) -> None:
        self.manager, self.clock, self.dice = manager, clock, random.Random(seed)
        self.prices = {AAPL.conId: Decimal("230.00"), ES.conId: Decimal("5800.00")}
        self.orders = 0

    def price(self, contract: SimpleNamespace) -> Decimal:
        """The next price of a random walk, in ticks of the contract."""
        tick = CENT if contract is AAPL else Decimal("0.25")
        steps = self.dice.randint(-40, 41) if contract is AAPL else self.dice.randint(-12, 12)
        self.prices[contract.conId] += steps * tick
        return self.prices[contract.conId]

    async def trade(
        self, strategy: str, contract: SimpleNamespace, quantity: int, *, fee: str | None = "0.35"
    ) -> tuple[SimpleNamespace, SimpleNamespace]:
        """One market order that is filled at once; ``fee`` ``None`` leaves the commission pending."""
        self.orders += 1
        account = ACCOUNTS[1] if contract is ES else ACCOUNTS[0]
        price = self.price(contract)
        order = SimpleNamespace(
            orderId=self.orders, permId=900_000 + self.orders, clientId=11, account=account, orderRef=strategy,
            action="BUY" if quantity > 0 else "SELL", totalQuantity=float(abs(quantity)), orderType="MKT",
        )  # fmt: skip
        status = SimpleNamespace(status="Submitted", filled=0.0, remaining=float(abs(quantity)), avgFillPrice=0.0)
        trade = SimpleNamespace(contract=contract, order=order, orderStatus=status, fills=[], log=[])
        await self.manager.record_status_change(strategy, trade, "Submitted")
        self.clock.time += timedelta(milliseconds=400)
        fill = self.fill(trade, f"0000{self.orders:04x}.69aaa000.01.01", price, fee)
        await self.manager.process_fill(strategy, trade, fill)
        status.status, status.filled, status.remaining = "Filled", status.remaining, 0.0
        await self.manager.record_status_change(strategy, trade, "Filled")
        return trade, fill

    def fill(self, trade: SimpleNamespace, exec_id: str, price: Decimal, fee: str | None) -> SimpleNamespace:
        """An execution of the whole order."""
        order, now = trade.order, self.clock.time
        execution = SimpleNamespace(
            execId=exec_id, acctNumber=order.account, side="BOT" if order.action == "BUY" else "SLD",
            shares=order.totalQuantity, cumQty=order.totalQuantity, price=float(price), avgPrice=float(price),
            exchange=trade.contract.exchange, permId=order.permId, orderId=order.orderId, clientId=order.clientId,
            orderRef=order.orderRef, time=now, liquidation=0,
        )  # fmt: skip
        report = SimpleNamespace(execId="", commission=0.0, currency="", realizedPNL=0.0)
        if fee is not None:
            report = SimpleNamespace(execId=exec_id, commission=float(fee), currency="USD", realizedPNL=0.0)
        return SimpleNamespace(contract=trade.contract, execution=execution, commissionReport=report, time=now)

    async def play(self) -> None:
        """The whole day, one trade every few minutes."""
        held = {"TORTOISE": 0, "HARE": 0, "HARVEST": 0}
        ranges = {"TORTOISE": (0, 500), "HARE": (-500, 0), "HARVEST": (-6, 6)}
        corrected: tuple[SimpleNamespace, SimpleNamespace] | None = None
        while self.clock.time < CLOSES:
            name = self.dice.choice(sorted(held))
            contract, lot = (ES, 1) if name == "HARVEST" else (AAPL, 100)
            low, high = ranges[name]
            quantity = self.dice.choice([q for q in (-lot, lot, 2 * lot) if low <= held[name] + q <= high])
            pair = await self.trade(name, contract, quantity, fee="2.25" if contract is ES else "0.35")
            held[name] += quantity
            if name == "TORTOISE" and corrected is None:
                corrected = pair
            self.clock.time += timedelta(seconds=self.dice.randint(60, 300))
        # After the close IB corrects the Tortoise's first execution by one cent: the same id but for its last part.
        assert corrected is not None
        trade, first = corrected
        again = self.fill(
            trade, first.execution.execId[:-2] + "02", Decimal(repr(first.execution.price)) + CENT, "0.35"
        )
        again.execution.time = first.execution.time
        await self.manager.process_fill("TORTOISE", trade, again)
        # And the last trade of the day never got its commission report.
        await self.trade("HARE", AAPL, 100 if held["HARE"] < 0 else -100, fee=None)


def new_folder() -> Path:
    """An empty folder that nobody else uses; it goes when the kernel ends."""
    folder = Path(tempfile.mkdtemp(prefix="fillbook-notebook-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


async def make_day(folder: Path | None = None, seed: int = 7) -> Settings:
    """Play the day into a new store.

    Args:
        folder: Where journal and store go; by default a temporary folder that goes when this process ends.
        seed: Decides prices and trades.

    Returns:
        The settings that the books were kept with; ``settings.arctic_location`` is the store's address.
    """
    # The map is sparse, but a notebook has no use for the usual 100 GiB.
    settings = Settings(data_dir=str(folder or new_folder()), lmdb_map_gb=1.0, housekeeping_every_s=0.0, demo=False)
    clock = DayClock(OPENS)
    manager = await PortfolioManager.open(settings, clock)
    try:
        await Day(manager, clock, seed).play()
    finally:
        await manager.close()
    return settings


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python notebooks/demo_store.py FOLDER (where the invented day's books are to lie)")
    print(asyncio.run(make_day(Path(sys.argv[1]))).arctic_location)
