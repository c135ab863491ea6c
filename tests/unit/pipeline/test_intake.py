"""Facts that the journal's disk refuses are kept, offered again in order, and never twice or not at all."""

import json
import threading

import msgspec
import pytest

from engine.core.events import Fill, Quarantined
from engine.errors import JournalFull, NotWritable, StorageError
from engine.pipeline import intake as intake_module
from engine.pipeline.intake import Intake
from engine.pipeline.keeper import BookKeeper
from engine.pipeline.outbox import Outbox
from engine.receipt import Receipt
from engine.state.ledger import Ledger
from engine.storage.journal import SqliteJournal
from tests.fakes import MemoryJournal
from tests.integration.storage_kit import fill, until


def opened(journal):
    return Intake(journal, BookKeeper(Ledger(), journal, Outbox()))


def kept(journal):
    return [fact.exec_id for _, fact in journal.facts]


def ids(*numbers):
    return [fill(n).exec_id for n in numbers]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(intake_module, "_RETRY_S", 0.01)


def test_what_was_refused_is_offered_again_in_order_until_it_is_accepted():
    journal = MemoryJournal()
    intake = opened(journal)
    journal.failing = JournalFull("disk full")
    for number in (1, 2, 3):
        intake.put([fill(number)])
    assert intake.waiting == 3
    assert intake.refusal == "disk full"
    journal.failing = None
    until(lambda: not intake.waiting and not intake.refusal)
    assert kept(journal) == ids(1, 2, 3)


def test_two_that_offer_again_at_once_neither_drop_nor_double_a_group():
    class Slow(MemoryJournal):
        """Answers only when told to."""

        def __init__(self):
            super().__init__()
            self.asked = 0
            self.hold = threading.Event()

        def submit(self, facts, refused=None):
            if self.failing is None and facts:
                self.asked += 1
                self.hold.wait(60)
            return super().submit(facts, refused)

    journal = Slow()
    intake = opened(journal)
    journal.failing = JournalFull("disk full")
    intake.put([fill(1)])
    intake.put([fill(2)])
    journal.failing = None
    until(lambda: journal.asked == 1)
    others = [threading.Thread(target=intake._retry) for _ in range(3)]
    for other in others:
        other.start()
    journal.hold.set()
    for other in others:
        other.join(60)
    until(lambda: not intake.waiting)
    assert kept(journal) == ids(1, 2)


def test_an_answer_that_takes_too_long_is_waited_for_and_not_asked_for_a_second_time(monkeypatch):
    monkeypatch.setattr(intake_module, "_ANSWER_S", 0.01)

    class Late(MemoryJournal):
        def __init__(self):
            super().__init__()
            self.late = []

        def submit(self, facts, refused=None):
            if self.failing is not None or not facts:
                return super().submit(facts, refused)
            self.late.append((facts, Receipt(facts, refused)))
            return self.late[-1][1]

    journal = Late()
    intake = opened(journal)
    journal.failing = JournalFull("disk full")
    intake.put([fill(1)])
    journal.failing = None
    until(lambda: intake.refusal == "the journal does not answer")
    until(lambda: len(journal.late) == 1)
    facts, answer = journal.late[0]
    journal.facts += list(enumerate(facts, 1))
    answer.settle(1)
    until(lambda: not intake.waiting)
    assert len(journal.late) == 1
    assert kept(journal) == ids(1)


def test_closing_waits_for_what_is_on_its_way_and_offers_it_once_more():
    class Deciding(MemoryJournal):
        def __init__(self):
            super().__init__()
            self.pending = []

        def submit(self, facts, refused=None):
            if self.pending is not None and facts:
                self.pending.append(Receipt(facts, refused))
                return self.pending[-1]
            return super().submit(facts, refused)

    journal = Deciding()
    intake = opened(journal)
    intake.put([fill(1)])
    waiting, journal.pending = journal.pending, None
    closing = threading.Thread(target=intake.close)
    closing.start()
    until(lambda: intake.closed)
    waiting[0].settle(error=JournalFull("disk full"))
    closing.join(60)
    assert not closing.is_alive()
    assert kept(journal) == ids(1)


def test_closing_says_so_when_the_disk_still_refuses():
    journal = MemoryJournal()
    intake = opened(journal)
    journal.failing = JournalFull("disk full")
    intake.put([fill(1)])
    with pytest.raises(StorageError, match="disk full"):
        intake.close()


async def test_accepting_raises_what_the_journal_says_and_keeps_nothing():
    journal = MemoryJournal()
    intake = opened(journal)
    journal.failing = JournalFull("disk full")
    with pytest.raises(JournalFull):
        await intake.accept([fill(1)])
    assert intake.waiting == 0


def huge(number):
    return msgspec.structs.replace(fill(number), perm_id=10**400)


def test_a_fact_that_cannot_be_written_is_in_quarantine_whole_and_nothing_else_of_its_group_is_lost(tmp_path):
    """The real journal, one group: other submissions, and other facts of the same submission, are accepted."""
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    keeper = BookKeeper(Ledger(), journal, Outbox())
    journal.on_group = keeper.offer
    keeper.start()
    intake = Intake(journal, keeper)
    append, entered, free = journal._file.append, threading.Event(), threading.Event()

    def slow(row):
        entered.set()
        assert free.wait(60)
        append(row)

    journal._file.append = slow
    intake.put([fill(1)])
    assert entered.wait(60)
    intake.put([fill(2)])
    refused = intake.put([fill(3), huge(4), fill(5)])
    intake.put([fill(6)])
    free.set()
    try:
        assert isinstance(refused.exception(60), NotWritable)
        until(lambda: keeper.ledger.seq == 6)
        facts = [fact for _, fact in journal.read(0, 100)]
        assert sorted(f.exec_id for f in facts if isinstance(f, Fill)) == ids(1, 2, 3, 5, 6)
        (held,) = keeper.ledger.quarantine.values()
        assert "cannot be written down" in held.reason
        raw = json.loads(held.raw)
        assert (raw["fact"], raw["exec_id"], raw["account"]) == ("fill", fill(4).exec_id, "DU1234567")
        assert set(raw) == {"fact", *Fill.__struct_fields__}
        assert (intake.waiting, intake.refusal, journal.failing) == (0, "", "")
        # The same again, as a replay brings it, is the same entry and no second one.
        intake.put([huge(4)])
        until(lambda: keeper.ledger.seq == 7)
        assert len(keeper.ledger.quarantine) == 1
    finally:
        intake.close()
        keeper.stop()
        journal.close()


def test_what_the_disk_refused_first_and_cannot_be_written_then_is_in_quarantine_too(tmp_path):
    class Full(MemoryJournal):
        """Refuses as a full disk does, then as the real one what has no wire form."""

        def submit(self, facts, refused=None):
            if self.failing is None and any(getattr(f, "perm_id", 0) > 2**64 for f in facts):
                receipt = Receipt(facts, refused)
                receipt.settle(error=NotWritable("the facts cannot be written down"))
                return receipt
            return super().submit(facts, refused)

    journal = Full()
    intake = opened(journal)
    journal.failing = JournalFull("disk full")
    for facts in ([fill(1)], [huge(2), fill(3)], [fill(4)]):
        intake.put(facts)
    assert intake.waiting == 3
    journal.failing = None
    until(lambda: not intake.waiting and not intake.refusal)
    facts = [fact for _, fact in journal.facts]
    assert [type(fact) for fact in facts] == [Fill, Quarantined, Fill, Fill]
    assert [fact.exec_id for fact in facts if isinstance(fact, Fill)] == ids(1, 3, 4)
    intake.close()
