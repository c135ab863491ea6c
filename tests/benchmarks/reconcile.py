"""Figure J: a reconciliation of many positions: what it computes, and how long it holds the loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from engine.clock import SystemClock
from engine.core.events import Fill
from engine.core.snapshot import AccountSnapshot, BrokerPosition, Confirmed, Mark
from engine.desk.reconciler import Reconciler
from engine.pipeline import turns
from engine.settings import Settings
from engine.state.ledger import Ledger
from tests.benchmarks.kit import EPOCH, Figure, figure, instruments
from tests.benchmarks.lag import Probe

_RUNS = 3


class Answer:
    """The broker's side: a complete answer that was got ready before, and a mark for every position."""

    available = True

    def __init__(self, rows: dict[str, tuple[BrokerPosition, ...]], clock: SystemClock) -> None:
        self._rows, self._clock = rows, clock
        self._marks: dict[tuple[str, int], Mark] = {}
        self.quote(Decimal(101))

    def quote(self, price: Decimal) -> None:
        """Every price is another."""
        now = self._clock.now()
        self._marks = {
            (row.account, row.instrument.con_id): Mark(
                account=row.account, con_id=row.instrument.con_id, price=price, at=now
            )
            for held in self._rows.values()
            for row in held
        }

    async def positions(self, accounts: Sequence[str] = ()) -> list[AccountSnapshot]:
        now = self._clock.now()
        return [
            Confirmed(account=account, rows=rows, requested_at=now, answered_at=now, epoch=1)
            for account, rows in self._rows.items()
            if not accounts or account in accounts
        ]

    async def refresh_executions(self) -> int:
        return 0

    def marks(self) -> dict[tuple[str, int], Mark]:
        return self._marks

    def base_currency(self, account: str) -> str:
        return "USD"

    def rate(self, account: str, currency: str) -> None:
        return None


def _built(count: int, accounts: int) -> tuple[Ledger, Answer]:
    """Books and a broker that agree in all but a few positions."""
    clock, ledger, seq = SystemClock(), Ledger(), 0
    traded = instruments(count)
    rows: dict[str, list[BrokerPosition]] = {}
    for a in range(accounts):
        account = f"DU{a}"
        for i, instrument in enumerate(traded):
            seq += 1
            fill = Fill(
                received_at=EPOCH,
                account=account,
                exec_id=f"0000e0d5.{seq:08x}.01.01",
                instrument=instrument,
                quantity=Decimal(10),
                price=Decimal(100),
                executed_at=EPOCH,
                strategy=f"S{seq % 5}",
                perm_id=seq,
            )
            ledger.apply(seq, fill)
            held = Decimal(10 if i % 1000 else 11)
            rows.setdefault(account, []).append(
                BrokerPosition(account=account, instrument=instrument, quantity=held, broker_avg_cost=Decimal(100))
            )
    return ledger, Answer({account: tuple(found) for account, found in rows.items()}, clock)


class _Measured(NamedTuple):
    """CPU seconds and longest hold of the loop in ms; of the first run, those after it, and one at new prices."""

    used: list[float]
    held: list[float]
    columns: float


async def _measured(ledger: Ledger, broker: Answer) -> _Measured:
    """The first run has everything new, the last one every price; then somebody asks for the table."""
    reconciler = Reconciler(
        ledger=ledger,
        lock=threading.RLock(),
        broker=broker,  # type: ignore[arg-type]
        settings=Settings(),
        clock=SystemClock(),
    )
    used, held = [], []
    for number in range(2 + _RUNS):
        if number == 1 + _RUNS:
            broker.quote(Decimal(102))
            gc.collect()  # the former prices are the broker's garbage, not the run's
        probe = Probe()
        await asyncio.sleep(0.05)
        before = time.process_time()
        result = await reconciler.run("benchmark")
        used.append(time.process_time() - before)
        await asyncio.sleep(0.05)
        held.append(max(await probe.stop()))
    before = time.process_time()
    table = {name: result.columns[name] for name in result.columns}
    assert len(table["qty"]) >= result.positions
    return _Measured(used, held, time.process_time() - before)


def reconcile(count: int, accounts: int, rounds: int) -> list[Figure]:
    """J: the real reconciler over real books, ``count`` instruments in each of ``accounts``, and a tenth of it.

    The broker's answer is ready in memory, so that what is measured is computing. CPU seconds of the process, and the
    longest time that a probe on the loop was late: of the first run (everything is new), of those after it, and of one in
    which every price is another. Rows are made for whoever asks first, in its own thread: that is a figure of its own.
    """
    figures, per_row = [], {}
    for size in (max(count // 10, 1), count):
        rows = size * accounts
        first, later, moved, asked = [], [], [], []
        held_first, held_later, held_moved = [], [], []
        for _ in range(rounds):
            ledger, broker = _built(size, accounts)
            gc.collect()
            gc.freeze()  # as the server does when the books are recovered
            turns.shorten()  # as every book room does, whose threads and the loop take turns
            seen = asyncio.run(_measured(ledger, broker))
            turns.put_back()
            gc.unfreeze()
            first.append(seen.used[0])
            later += seen.used[1:-1]
            moved.append(seen.used[-1])
            held_first.append(seen.held[0])
            held_later += seen.held[1:-1]
            held_moved.append(seen.held[-1])
            asked.append(seen.columns)
        per_row[size] = sorted(later)[len(later) // 2] / rows
        growth = per_row[size] / per_row[max(count // 10, 1)]
        more = {"ratio": growth, "over": "per row at a tenth"} if size == count else {}
        figures += [
            figure(f"J first reconcile of {rows:,}, CPU", first, "s", target="<= 1"),
            figure(f"J reconcile of {rows:,}, CPU", later, "s", target="<= 1, linear", **more),
            figure(f"J reconcile of {rows:,}, new prices, CPU", moved, "s", target="<= 1"),
            figure(f"J first reconcile of {rows:,}, loop held", held_first, "ms", target="<= 20"),
            figure(f"J reconcile of {rows:,}, loop held", held_later, "ms", target="<= 20"),
            figure(f"J reconcile of {rows:,}, new prices, loop held", held_moved, "ms", target="<= 20"),
            figure(f"J table of {rows:,} rows, made for the first to ask, CPU", asked, "s"),
        ]
    return figures
