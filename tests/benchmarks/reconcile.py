"""Figure J: a reconciliation of many positions: what it computes, and how long it holds the loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Sequence
from decimal import Decimal

from engine.clock import SystemClock
from engine.core.events import Fill
from engine.core.snapshot import AccountSnapshot, BrokerPosition, Confirmed, Mark
from engine.desk.reconciler import Reconciler
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
        now = clock.now()
        self._marks = {
            (row.account, row.instrument.con_id): Mark(
                account=row.account, con_id=row.instrument.con_id, price=Decimal(101), at=now
            )
            for held in rows.values()
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


async def _measured(ledger: Ledger, broker: Answer) -> tuple[list[float], list[float]]:
    """(CPU seconds, longest hold of the loop in ms) of each run, the first one with everything new."""
    reconciler = Reconciler(
        ledger=ledger,
        lock=threading.RLock(),
        broker=broker,  # type: ignore[arg-type]
        settings=Settings(),
        clock=SystemClock(),
    )
    used, held = [], []
    for _ in range(1 + _RUNS):
        probe = Probe()
        await asyncio.sleep(0.05)
        before = time.process_time()
        await reconciler.run("benchmark")
        used.append(time.process_time() - before)
        await asyncio.sleep(0.05)
        held.append(max(await probe.stop()))
    return used, held


def reconcile(count: int, accounts: int, rounds: int) -> list[Figure]:
    """J: the real reconciler over real books, ``count`` instruments in each of ``accounts``, and a tenth of it.

    The broker's answer is ready in memory, so that what is measured is computing. CPU seconds of the process, and the
    longest time that a probe on the loop was late; the first run (everything is new) and the ones after it apart.
    """
    figures, per_row = [], {}
    for size in (max(count // 10, 1), count):
        rows = size * accounts
        first, later, longest_first, longest = [], [], [], []
        for _ in range(rounds):
            ledger, broker = _built(size, accounts)
            gc.collect()
            gc.freeze()  # as the server does when the books are recovered
            used, held = asyncio.run(_measured(ledger, broker))
            gc.unfreeze()
            first.append(used[0])
            later += used[1:]
            longest_first.append(held[0])
            longest += held[1:]
        per_row[size] = sorted(later)[len(later) // 2] / rows
        growth = per_row[size] / per_row[max(count // 10, 1)]
        more = {"ratio": growth, "over": "per row at a tenth"} if size == count else {}
        figures += [
            figure(f"J first reconcile of {rows:,}, CPU", first, "s", target="<= 1"),
            figure(f"J reconcile of {rows:,}, CPU", later, "s", target="<= 1, linear", **more),
            figure(f"J first reconcile of {rows:,}, loop held", longest_first, "ms", target="<= 20"),
            figure(f"J reconcile of {rows:,}, loop held", longest, "ms", target="<= 20"),
        ]
    return figures
