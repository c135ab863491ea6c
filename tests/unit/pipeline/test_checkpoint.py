"""When the books' own thread looks for what may leave memory."""

from itertools import pairwise
from types import SimpleNamespace

from engine.clock import SystemClock
from engine.pipeline import checkpoint
from engine.pipeline.checkpoint import Checkpointer
from engine.state.ledger import Ledger
from tests.benchmarks.kit import fill_facts, instruments
from tests.unit.state.kit import MemoryArchive


def test_orders_that_never_end_are_not_looked_at_after_every_fact(monkeypatch):
    """Strategies that report fills alone never say that an order is over: looking at all of them again for each fill
    would cost more with every fill.
    """
    monkeypatch.setattr(checkpoint, "_MOST_IN_MEMORY", 100)
    ledger, looked = Ledger(archive=MemoryArchive()), []
    put_away = ledger.put_away

    def counted():
        looked.append(ledger.in_memory)
        return put_away()

    ledger.put_away = counted
    keeper = SimpleNamespace(ledger=ledger, seq=0)
    checkpointer = Checkpointer(keeper, None, None, None, SystemClock())
    seq = 0
    for pair in fill_facts(0, 3000, instruments()):
        for fact in pair:
            seq += 1
            ledger.apply(seq, fact)
        checkpointer.keep_up()
    assert ledger.in_memory > 3000, "orders that are not over stay"
    assert looked[0] == 102
    assert all(after > 1.2 * before for before, after in pairwise(looked))
