"""The outbox: bounded, ordered, and never short of a row that it says is there."""

from datetime import timedelta
from decimal import Decimal

import msgspec

from engine.core.events import InstrumentDescribed
from engine.pipeline.keeper import BookKeeper
from engine.pipeline.outbox import Batch, Outbox
from engine.state.changes import Changes
from engine.state.ledger import Ledger
from tests.fakes import MemoryJournal
from tests.integration.storage_kit import AAPL, T0, fill, record, until


def numbers(batch, symbol=("fills", "ALPHA")):
    return [row.seq for row in batch.rows.get(symbol, ())]


def changed(seq):
    changes = Changes()
    changes.fills.append(record(seq))
    return changes


def with_fills(*seqs):
    return Batch(seq=seqs[-1], rows={("fills", "ALPHA"): [record(n) for n in seqs]})


def test_what_could_not_be_stored_comes_before_what_came_meanwhile():
    outbox = Outbox()
    outbox.add(changed(1), 1)
    failed = outbox.take()
    outbox.add(changed(2), 2)
    outbox.give_back(failed)
    batch = outbox.take()
    assert (numbers(batch), batch.seq, len(outbox)) == ([1, 2], 2, 0)


def test_rows_that_the_store_has_are_not_added_again():
    outbox = Outbox()
    outbox.resume_from({("fills", "ALPHA"): 2})
    for seq in (1, 2, 3):
        outbox.add(changed(seq), seq)
    batch = outbox.take()
    assert (numbers(batch), batch.seq) == ([3], 3)


def test_a_refill_from_memory_and_what_waited_do_not_hold_a_record_twice():
    refilled, waiting = with_fills(1, 2, 3), with_fills(3, 4)
    waiting.rows["orders", "ALPHA"] = []
    waiting.leave_out(refilled)
    refilled.merge(waiting)
    assert numbers(refilled) == [1, 2, 3, 4]
    whole = with_fills(3)
    whole.leave_out(refilled)
    assert whole.empty


def test_rows_that_a_refill_has_already_are_not_added_behind_it():
    refilled = with_fills(1, 2, 3)
    refilled.merge(with_fills(2, 3, 4))
    refilled.merge(with_fills(5))
    assert numbers(refilled) == [1, 2, 3, 4, 5]


def test_a_batch_that_is_taken_in_the_middle_of_a_fact_does_not_claim_the_fact():
    """The writer takes at any moment; a sequence it is told to be complete must have all its rows."""
    seen = []

    class Watched(Outbox):
        def add_row(self, library, symbol, seq, row):
            super().add_row(library, symbol, seq, row)
            seen.append((self._batch.seq, seq))

    outbox, journal = Watched(), MemoryJournal()
    keeper = BookKeeper(Ledger(), journal, outbox)
    journal.on_group = keeper.offer
    keeper.start()
    journal.submit([InstrumentDescribed(instrument=AAPL, received_at=T0)])
    assert keeper.wait_applied(1, 60)
    keeper.stop()
    assert seen == [(0, 1)]
    batch = outbox.take()
    assert batch.seq == 1
    assert batch.rows["facts", "instrument"]


def test_a_fact_counts_as_booked_only_when_the_whole_of_it_is():
    """Who waited for a fact reads the books without the lock; they must hold it then."""
    seen = []

    class Watched(Outbox):
        def add(self, changes, seq):
            seen.append((keeper.ledger.seq, keeper.seq, keeper.backlog, keeper.wait_applied(seq, 0)))
            super().add(changes, seq)

    outbox, journal = Watched(), MemoryJournal()
    keeper = BookKeeper(Ledger(), journal, outbox)
    journal.on_group = keeper.offer
    keeper.start()
    journal.submit([fill(1)])
    assert keeper.wait_applied(1, 60)
    keeper.stop()
    assert seen == [(1, 0, 1, False)]
    assert (keeper.seq, keeper.backlog) == (1, 0)


def test_books_pause_when_the_outbox_is_full_and_go_on_when_it_is_emptied():
    outbox, journal = Outbox(limit=10), MemoryJournal()
    keeper = BookKeeper(Ledger(), journal, outbox)
    journal.on_group = keeper.offer
    keeper.start()
    for number in range(1, 101):
        journal.submit([fill(number)])
    until(lambda: keeper.paused)
    assert keeper.seq < 100
    assert keeper.backlog == 100 - keeper.seq
    taken = []

    def emptied():
        taken.extend(numbers(outbox.take()))
        return keeper.seq == 100 and len(taken) >= 100

    until(emptied)
    assert taken == list(range(1, 101))
    keeper.stop()


def test_books_that_are_paused_end_when_they_are_told_to():
    outbox, journal = Outbox(limit=1), MemoryJournal()
    keeper = BookKeeper(Ledger(), journal, outbox)
    journal.on_group = keeper.offer
    keeper.start()
    for number in range(1, 2_001):
        journal.submit([fill(number)])
    until(lambda: keeper.paused)
    keeper.stop(60)
    assert not keeper._thread.is_alive()
    assert keeper.seq < 2_000


def test_groups_beyond_what_memory_may_hold_are_read_from_the_journal_when_their_turn_comes(monkeypatch):
    monkeypatch.setattr("engine.pipeline.keeper._MOST_IN_MEMORY", 5)
    outbox, journal = Outbox(), MemoryJournal()
    keeper = BookKeeper(Ledger(), journal, outbox)
    journal.on_group = keeper.offer
    for number in range(1, 51):
        journal.submit([fill(number)])
    assert len(keeper._groups) == 5
    keeper.start()
    assert keeper.wait_applied(50, 60)
    assert numbers(outbox.take()) == list(range(1, 51))
    keeper.stop()


def kept(*records):
    """Execution, state and time of what an outbox keeps of records added in one or in several steps."""
    found = []
    for steps in ([records], [[r] for r in records]):
        outbox = Outbox()
        for step in steps:
            changes = Changes()
            changes.fills += step
            outbox.add(changes, step[-1].seq)
        found.append(outbox.take().rows["fills", "ALPHA"])
        assert len(outbox) == 0
    assert found[0] == found[1]
    return [(row.seq, row.commission) for row in found[0]]


def test_an_execution_and_the_fee_of_the_same_message_are_one_row_and_a_later_fee_is_another():
    first = record(1)
    fee = msgspec.structs.replace(first, seq=2, commission=Decimal("1.05"), commission_status="final")
    later = msgspec.structs.replace(
        fee, seq=9, commission=Decimal(2), recorded_at=first.recorded_at + timedelta(seconds=1)
    )
    assert kept(first, fee) == [(2, Decimal("1.05"))]
    assert kept(first, fee, later) == [(2, Decimal("1.05")), (9, Decimal(2))]


def test_rows_of_other_states_and_other_executions_of_one_moment_all_stay():
    first = record(1)
    busted = msgspec.structs.replace(first, seq=2, state="busted")
    other = msgspec.structs.replace(record(3), recorded_at=first.recorded_at)
    assert [seq for seq, _ in kept(first, busted, other)] == [1, 2, 3]
