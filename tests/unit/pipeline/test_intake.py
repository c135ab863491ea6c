"""Facts that the journal's disk refuses are kept, offered again in order, and never twice or not at all."""

import threading

import pytest

from engine.errors import JournalFull, StorageError
from engine.pipeline import intake as intake_module
from engine.pipeline.intake import Intake
from engine.pipeline.keeper import BookKeeper
from engine.pipeline.outbox import Outbox
from engine.receipt import Receipt
from engine.state.ledger import Ledger
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
