"""A walk over everything says what the books said at its last look, whatever was booked between its looks."""

from __future__ import annotations

import random
import threading
import time
from decimal import Decimal

import msgspec
import pytest

from engine.core.events import Fill
from engine.core.ids import UNASSIGNED
from engine.pipeline.keeper import BookKeeper
from engine.pipeline.outbox import Outbox
from engine.state import walk as walking
from engine.state.ledger import Ledger
from engine.state.walk import Heard
from tests.fakes import MemoryJournal
from tests.unit.state.kit import AAPL, ES, VOD, Desk, at

STRATEGIES = ("ALPHA", "BETA", UNASSIGNED)


class Busy:
    """A ledger's lock: whenever it is let go, somebody books something at once."""

    def __init__(self, desk, dice, acts):
        self.desk, self.dice, self.acts = desk, dice, acts
        self.heard = Heard()
        self.held = False
        self.expected = None
        self.holds = 0

    def __enter__(self):
        assert not self.held
        self.held = True

    def __exit__(self, *_):
        self.expected = self.desk.ledger.fills(), self.desk.ledger.orders(), self.desk.ledger.orders(open_only=True)
        self.held, self.holds = False, self.holds + 1
        if self.acts > 0:
            self.acts -= 1
            self.book()

    def book(self):
        before = len(self.desk.facts), len(self.desk.fills), len(self.desk.orders)
        act(self.desk, self.dice)
        facts, fills, orders = before
        self.heard.facts += self.desk.facts[facts:]
        self.heard.fills += self.desk.fills[fills:]
        self.heard.orders += self.desk.orders[orders:]


def new(desk, dice):
    number = len(desk.facts)
    strategy = dice.choice(("ALPHA", "BETA", None))
    instrument = dice.choice((AAPL, ES, VOD))
    perm_id = dice.randrange(1, 12)
    desk.fill(
        f"a.{number}.01",
        dice.choice((-2, 1, 3)),
        dice.randrange(90, 110),
        t=dice.randrange(1000),
        strategy=strategy,
        instrument=instrument,
        perm_id=100 * perm_id + instrument.con_id % 7,
        order_id=perm_id,
        client_id=instrument.con_id % 7,
    )


def act(desk, dice):
    """Book something: mostly about what is known already."""
    known = [record for record in desk.ledger.fills() if record.fill.source != "assignment"]
    kind = dice.choice(("new", "fee", "correction", "bust", "move", "reverse", "order", "upgrade", "describe", "away"))
    one = dice.choice(known).fill
    if kind == "new":
        new(desk, dice)
    elif kind == "fee":
        desk.fee(one.exec_id, dice.choice(("0.35", "1.2")))
    elif kind == "correction":
        root, _, revision = one.exec_id.rpartition(".")
        again = msgspec.structs.replace(
            one, exec_id=f"{root}.{int(revision) + 1:02d}", price=one.price + 1, received_at=desk.clock
        )
        desk.apply(again)
    elif kind == "bust":
        desk.bust(one.exec_id, one.account)
    elif kind == "move":
        record = desk.ledger.fill(one.account, one.exec_id.rpartition(".")[0])
        to = dice.choice([s for s in STRATEGIES if s != record.strategy])
        legs = [("ALPHA", 2, 100)] if dice.random() < 0.5 else []
        name = f"A{len(desk.facts)}"
        desk.assign(name, *legs, moves=[(record.fill.exec_id, record.strategy, to)], instrument=one.instrument)
    elif kind == "reverse":
        made = [a for a in desk.ledger.assignments() if a.assignment_id not in desk.ledger.reversed_ids]
        if made:
            desk.reverse(made[-1].assignment_id)
    elif kind == "order":
        of = {
            "order_id": one.order_id,
            "client_id": one.client_id,
            "instrument": one.instrument,
            "account": one.account,
        }
        status = dice.choice(("Submitted", "Filled", "Cancelled"))
        desk.order(status, perm_id=one.perm_id, quantity=50, filled=Decimal(dice.randrange(9)), **of)
    elif kind == "upgrade":
        number = len(desk.facts)
        desk.order("Submitted", perm_id=0, order_id=number, client_id=9, strategy="ALPHA")
        desk.order("Submitted", perm_id=9000 + number, order_id=number, client_id=9, strategy="ALPHA")
    elif kind == "describe":
        desk.describe(msgspec.structs.replace(VOD, price_magnifier=dice.choice((1, 100)), exchange="LSE"))
    else:
        desk.put_away()


def by_arrival(records):
    return sorted(records, key=lambda r: (r.first_seq, r.fill.exec_id))


def by_first_row(records):
    return sorted(records, key=lambda r: (r.order_key, r.seq))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("what", ["fills", "orders"])
def test_what_is_booked_during_a_walk_is_in_its_answer_as_of_one_moment(seed, what, monkeypatch):
    monkeypatch.setattr(walking, "_HOLD_S", -1.0)
    monkeypatch.setattr(walking, "_LOOK_EVERY", 1)
    monkeypatch.setattr(walking, "_REST_S", 0.0)
    monkeypatch.setattr(walking, "_FEW", 2)
    dice, desk = random.Random(seed), Desk()
    for _ in range(25):
        new(desk, dice)
    for _ in range(25):
        act(desk, dice)
    strategy = dice.choice((None, "ALPHA"))
    lock = Busy(desk, dice, acts=60)
    walk = desk.ledger.walk(lock, lock.heard)
    if what == "fills":
        since = dice.choice((None, at(500)))
        found = walk.fills(strategy, since)
        told = lock.expected[0]
        wanted = [
            r for r in told if (strategy is None or r.strategy == strategy) and (since is None or r.order_time >= since)
        ]
        assert by_arrival(found) == by_arrival(wanted)
        assert [r.first_seq for r in found] == sorted(r.first_seq for r in found)
    else:
        open_only = dice.random() < 0.4
        found = walk.orders(strategy, open_only=open_only)
        told = lock.expected[2 if open_only else 1]
        assert by_first_row(found) == by_first_row([r for r in told if strategy is None or r.strategy == strategy])
    assert lock.holds > 20, "everything was taken in one look, so that this test shows nothing"


def test_books_go_on_while_all_of_them_are_asked_for():
    """A thread that books on, another that asks: each answer is of one moment, and none keeps the books waiting."""
    keeper = BookKeeper(Ledger(), MemoryJournal(), Outbox(limit=10**9))
    ready = [(number, trade(number)) for number in range(1, 12_001)]
    keeper.start()
    keeper.offer(ready[:6_000])
    assert keeper.wait_applied(6_000, 60)
    stopping = threading.Event()

    def book():
        for first in range(6_000, 12_000, 50):
            keeper.offer(ready[first : first + 50])
            if stopping.wait(0.001):
                return

    writer = threading.Thread(target=book)
    writer.start()
    try:
        grew = []
        while keeper.seq < 12_000:
            before = keeper.seq
            began = time.perf_counter()
            records = keeper.fills()
            orders = keeper.orders()
            after = keeper.seq
            grew.append((after - before, time.perf_counter() - began))
            # Each fact is an execution of an order of its own, so a moment's answer has all up to it and none after it.
            for found in (records, orders):
                assert before <= len(found) <= after
                assert {r.seq for r in found} == set(range(1, len(found) + 1))
            assert sum(r.quantity for r in records) == len(records)
        assert any(count for count, _ in grew), "nothing was booked during an answer, so that this test shows nothing"
    finally:
        stopping.set()
        writer.join()
        keeper.stop()
    assert keeper._listening == []


def trade(number):
    return Fill(
        received_at=at(number),
        account="DU1",
        exec_id=f"0000e0d5.{number:08x}.01.01",
        instrument=AAPL,
        quantity=Decimal(1),
        price=Decimal(100),
        executed_at=at(number),
        strategy="ALPHA",
        perm_id=number,
        order_id=number,
        client_id=5,
    )
