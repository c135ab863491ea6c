"""A whole engine on a simulated gateway, and the truth to compare it to."""

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from engine.app import Engine
from engine.errors import BrokerUnavailable
from engine.settings import Settings
from engine.storage import open_store
from tests.integration.broker_kit import CLIENT, DEADLINE_S, desk, gateway, until
from tests.integration.ibclient import Contract, MarketOrder, connected

__all__ = ["CLIENT", "DEADLINE_S", "Trader", "chosen", "desk", "gateway", "running", "trading", "until"]

UNASSIGNED = "UNASSIGNED"
AAPL, ES = 265598, 0
EXACT = ["strategy", "account", "con_id", "qty", "avg_cost", "realized_pnl", "commission"]


def chosen(folder: Any, port: int = 0, **changes: Any) -> Settings:
    """Settings for an engine in a folder, on a gateway of this machine when a port is given."""
    values: dict[str, Any] = {
        "data_dir": str(folder),
        "lmdb_map_gb": 0.5,
        "ib_client": CLIENT,
        "ib_timeout_s": 30.0,
        "reconcile_every_s": 0.0,
        "settle_s": 0.2,
        "confirm_runs": 1,
        "housekeeping_every_s": 0.0,
        "flush_every_s": 0.05,
        "demo": False,
    }
    if port:
        values |= {"ib_host": "127.0.0.1", "ib_port": port}
    return Settings(**(values | changes))


@asynccontextmanager
async def running(settings: Settings):
    """An engine that is stopped at the end."""
    engine = Engine(settings)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def online(engine: Engine) -> Engine:
    """Wait until IB is connected."""
    await until(lambda: engine.broker_state().state == "connected", engine.broker_state)
    return engine


class Trader:
    """What a strategy is: a client of its own that reports everything it hears."""

    def __init__(self, ib: Any, name: str, account: str) -> None:
        self.ib = ib
        self.name = name
        self.account = account
        self.trades: list[Any] = []

    def report_to(self, queue: Any) -> None:
        name = self.name

        def order(trade: Any) -> None:
            queue.put({"type": "order", "strategy": name, "trade": trade})

        def status(trade: Any) -> None:
            queue.put({"type": "status_change", "strategy": name, "trade": trade, "status": trade.orderStatus.status})

        def fill(trade: Any, fill: Any) -> None:
            queue.put({"type": "fill", "strategy": name, "trade": trade, "fill": fill})

        def commission(trade: Any, fill: Any, report: Any) -> None:
            queue.put({"type": "commission_report", "strategy": name, "trade": trade, "fill": fill, "report": report})

        self.ib.newOrderEvent += order
        self.ib.orderStatusEvent += status
        self.ib.execDetailsEvent += fill
        self.ib.commissionReportEvent += commission

    async def contract(self, con_id: int) -> Any:
        found = await self.ib.reqContractDetailsAsync(Contract(conId=con_id))
        return found[0].contract

    def market(self, contract: Any, quantity: float) -> Any:
        order = MarketOrder("BUY" if quantity > 0 else "SELL", abs(quantity))
        order.orderRef, order.account = self.name, self.account
        trade = self.ib.placeOrder(contract, order)
        self.trades.append(trade)
        return trade

    async def done(self) -> None:
        await until(
            lambda: all(t.isDone() and all(f.commissionReport.execId for f in t.fills) for t in self.trades),
            "orders and commissions",
        )


@asynccontextmanager
async def trading(port: int, name: str, client_id: int, *, account: str = "DU1", queue: Any = None):
    """A connected trader."""
    async with connected(port, client_id) as ib:
        trader = Trader(ib, name, account)
        if queue is not None:
            trader.report_to(queue)
        yield trader


def truth(host: Any) -> dict[tuple[str, str, int], Decimal]:
    """What each order reference holds, counted from the gateway's executions; flat ones left out."""
    held: Counter[tuple[str, str, int]] = Counter()
    for done in host.gateway.executions():
        if not done.superseded and not done.hidden:
            held[done.order_ref or UNASSIGNED, done.account, done.con_id] += done.signed  # type: ignore[assignment]
    return {key: Decimal(quantity) for key, quantity in held.items() if quantity}


def exact(number: float) -> Decimal:
    return Decimal(repr(float(number)))


def by_book(frame: Any, strategy: str = "") -> dict[tuple[str, str, int], Decimal]:
    """Positions that are not flat."""
    return {
        (strategy or row["strategy"], row["account"], int(row["con_id"])): exact(row["qty"])
        for row in frame.to_dict("records")
        if row["qty"]
    }


def stored_books(settings: Settings) -> dict[tuple[str, str, int], Decimal]:
    """Positions as another reader finds them."""
    store = open_store(settings.arctic_location, read_only=True)
    try:
        found: dict[tuple[str, str, int], Decimal] = {}
        for strategy in store.symbols("positions"):
            found |= by_book(store.read("positions", strategy), strategy)
        return found
    finally:
        store.close()


def stored_executions(settings: Settings) -> list[str]:
    """Root of every execution that the store holds in force: neither moved away, superseded nor busted."""
    store = open_store(settings.arctic_location, read_only=True)
    try:
        roots: set[tuple[str, str]] = set()
        for strategy in store.symbols("fills"):
            frame = store.read("fills", strategy)
            roots |= {(a, f.rpartition(".")[0]) for a, f in zip(frame["account"], frame["fill_id"], strict=True)}
        return sorted(root for _, root in roots)
    finally:
        store.close()


def gateway_executions(host: Any) -> list[str]:
    return sorted({done.exec_id.rpartition(".")[0] for done in host.gateway.executions() if not done.hidden})


async def flushed(room: Any) -> None:
    """Wait until everything accepted is booked and stored."""
    await until(
        lambda: room.keeper.seq >= room.journal.head and room.writer.stored_seq >= room.keeper.seq,
        lambda: (room.journal.head, room.keeper.seq, room.writer.stored_seq, room.writer.trouble, room.keeper.failure),
    )


def in_force(host: Any) -> list[str]:
    """The revision that counts of each execution at the gateway."""
    return sorted(done.exec_id for done in host.gateway.executions() if not done.superseded and not done.hidden)


async def asked_again(engine: Engine) -> None:
    """Have the engine ask for the day's executions, whatever happens to the connection meanwhile."""
    end = time.monotonic() + DEADLINE_S
    while True:
        await online(engine)
        try:
            await engine._broker.refresh_executions()
        except BrokerUnavailable:
            assert time.monotonic() < end, engine.broker_state()
            await asyncio.sleep(0.05)
        else:
            return


async def equal_to(host: Any, engine: Engine) -> None:
    """Wait until books in memory and in the store are what the gateway says, to the revision of each execution."""
    pm = engine.portfolio_manager
    wanted = truth(host), in_force(host)

    def found() -> Any:
        return by_book(pm.positions()), sorted(pm.fills()["fill_id"])

    await until(lambda: found() == wanted, lambda: (found(), wanted))
    await flushed(pm.room)
    assert stored_books(engine.settings) == wanted[0]
    assert stored_executions(engine.settings) == gateway_executions(host)


def figures(frame: Any) -> list[dict[str, Any]]:
    """Every exact figure of every book, comparable."""
    return frame.sort_values(EXACT[:3])[EXACT].astype(object).where(lambda f: f.notna(), None).to_dict("records")
