"""Figure C: the books in memory, one fact at a time."""

from __future__ import annotations

import time

import msgspec

from engine.core.events import AnyFact
from engine.state.fold import fold
from engine.state.ledger import Ledger
from tests.benchmarks.kit import Figure, figure, fill_facts, instruments, settle

_REPEATED = 100
_CORRECTED = 50


def workload(count: int) -> list[AnyFact]:
    """Fills and fees; every 100th fill comes twice, every 50th is corrected by a cent."""
    facts: list[AnyFact] = []
    for number, (fill, fee) in enumerate(fill_facts(0, count, instruments())):
        facts += [fill, fee]
        if number % _REPEATED == 0:
            facts.append(fill)
        if number % _CORRECTED == 1:
            corrected = fill.exec_id[:-2] + "02"
            facts.append(msgspec.structs.replace(fill, exec_id=corrected, price=fill.price + fill.price / 100))
    return facts


def books(count: int, rounds: int) -> list[Figure]:
    """C: ``Ledger.apply`` over fills, fees, repeats and corrections; checked against the independent recount.

    The first round is the warm-up and is not counted. No peer is measured here.
    """
    facts = workload(count)
    speeds = []
    for turn in range(rounds + 1):
        ledger = Ledger()
        settle()
        started = time.perf_counter()
        for seq, fact in enumerate(facts, 1):
            ledger.apply(seq, fact)
        taken = time.perf_counter() - started
        if turn:
            speeds.append(count / taken)
    recount = fold(ledger.fills())
    for position in ledger.positions():
        again = recount[position.strategy, position.account, position.instrument_key]
        assert (again.quantity, again.fills) == (position.quantity, position.fills), "the books are not exact"
        assert (again.cash, again.fees) == (position.cash, position.fees), "the books are not exact"
    return [figure(f"C books in memory, {count:,} fills", speeds, "fills/s", target=">= 10 x the peer")]
