"""Figure C: the books in memory, one fact at a time."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator

import msgspec

from engine.core.events import AnyFact
from engine.core.instrument import Instrument
from engine.state.fold import fold
from engine.state.ledger import Ledger
from tests.benchmarks import peer
from tests.benchmarks.kit import Figure, figure, fill_facts, instruments, settle

_REPEATED = 100
_CORRECTED = 50
_PART = 1000


def workload(first: int, count: int, traded: list[Instrument]) -> Iterator[AnyFact]:
    """Fills and fees; every 100th fill comes twice, every 50th is corrected by a cent."""
    for number, (fill, fee) in enumerate(fill_facts(first, count, traded), first):
        yield fill
        yield fee
        if number % _REPEATED == 0:
            yield fill
        if number % _CORRECTED == 1:
            corrected = fill.exec_id[:-2] + "02"
            yield msgspec.structs.replace(fill, exec_id=corrected, price=fill.price + fill.price / 100)


def books(count: int, growth: int, rounds: int) -> list[Figure]:
    """C: ``Ledger.apply`` over fills, fees, repeats and corrections; checked against the independent recount.

    CPU time of the one thread, which other programs on the machine disturb less than the clock. Every fill begins an
    order; its fee is a fact of its own. The first round is the warm-up and is not counted. Beside each round
    NautilusTrader's engine takes the same trades, when it is there (see ``tests.benchmarks.peer``). Then one ledger takes
    ``growth`` fills with everything kept in memory: what a fill costs over all of them, against over a thousand. For that
    the collector leaves alone what lives for ever (the imports), as the server has it do after its start.
    """
    traded = instruments()
    facts = list(workload(0, count, traded))
    speeds, peers = [], []
    for turn in range(rounds + 1):
        ledger = Ledger()
        settle()
        started = time.process_time()
        for seq, fact in enumerate(facts, 1):
            ledger.apply(seq, fact)
        taken = time.process_time() - started
        if turn:
            speeds.append(count / taken)
            peers += [found] if (found := peer.speed(count)) is not None else []
    _assert_exact(ledger)
    ratio = statistics.median(speeds) / statistics.median(peers) if peers else None
    found = [
        figure(
            f"C books in memory, {count:,} fills",
            speeds,
            "fills/s",
            ratio=ratio,
            over="NautilusTrader" if peers else "",
            target=">= 10 x the peer",
        )
    ]
    if peers:
        found.append(figure(f"C NautilusTrader, {count:,} fills", peers, "fills/s"))
    settle()
    gc.freeze()
    try:
        small = statistics.median(_cost(_PART, traded) for _ in range(2 * rounds + 1))
        large = _cost(growth, traded)
    finally:
        gc.unfreeze()
    over = f"that over {_PART:,}"
    return [
        *found,
        figure(f"C per fill over {growth:,}", [large], "us", ratio=large / small, over=over, target="<= 1.3 x"),
    ]


def _cost(fills: int, traded: list[Instrument]) -> float:
    """CPU microseconds a fill, over that many in one ledger; making the facts is not counted."""
    ledger, taken, seq = Ledger(), 0.0, 0
    for first in range(0, fills, _PART):
        facts = list(workload(first, min(_PART, fills - first), traded))
        started = time.process_time()
        for fact in facts:
            seq += 1
            ledger.apply(seq, fact)
        taken += time.process_time() - started
    return taken / fills * 1e6


def _assert_exact(ledger: Ledger) -> None:
    recount = fold(ledger.fills())
    for position in ledger.positions():
        again = recount[position.strategy, position.account, position.instrument_key]
        assert (again.quantity, again.fills) == (position.quantity, position.fills), "the books are not exact"
        assert (again.cash, again.fees) == (position.cash, position.fees), "the books are not exact"
