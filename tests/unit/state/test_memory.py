"""What is settled leaves nothing in memory: a day of any length needs what stays, not what was."""

from collections import Counter

import pytest

from engine.state.ledger import Ledger
from engine.state.putaway import Keep
from tests.unit.state.kit import AAPL, VOD, Desk
from tests.unit.state.memory_archive import MemoryArchive


class Day(Desk):
    """A desk that puts away when it is told to."""

    keep = Keep(executions=0, lines=2, smallest=1, orders=2)

    def __init__(self):
        super().__init__()
        self.archive = MemoryArchive()
        self.ledger = Ledger(archive=self.archive)

    def put_away(self):
        pass

    def go_home(self):
        super().put_away()
        self.ledger._away.forget_read()

    def trade(self, number):
        """A market order's life as a strategy's client tells it: without account, then permId, then all of it."""
        instrument, client = (AAPL, VOD)[number % 2], 11 + number % 3
        who = {"strategy": f"S{number % 3}", "order_id": number, "client_id": client, "instrument": instrument}
        self.order("PendingSubmit", perm_id=0, account="", local=True, **who)
        if number % 4:
            self.order("PreSubmitted", perm_id=0, **who)
        self.order("Submitted", perm_id=9_000 + number, **who)
        exec_id = f"0001.{number:06d}.01.01"
        side = 1 if number // 6 % 2 else -1  # two trades later each book is where it was
        self.fill(exec_id, 10 * side, 5, t=number, perm_id=9_000 + number, **who)
        self.order("Filled", perm_id=9_000 + number, filled=10, remaining=0, **who)
        self.fee(exec_id, 1)


def held(ledger):
    """Path -> how many things are in each container that can be reached, the archive left out."""
    found, seen = Counter(), set()

    def walk(thing, path):
        if id(thing) in seen or isinstance(thing, MemoryArchive | str | bytes | type):
            return
        seen.add(id(thing))
        if isinstance(thing, dict | list | tuple | set | frozenset) or hasattr(thing, "popleft"):
            found[path] += len(thing)
            inside = [*thing.keys(), *thing.values()] if isinstance(thing, dict) else list(thing)
            for one in inside:
                walk(one, f"{path}[]")
            return
        if not type(thing).__module__.startswith("engine."):
            return
        names = getattr(thing, "__struct_fields__", ()) or [
            name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())
        ]
        for name in {*names, *getattr(thing, "__dict__", ())}:
            walk(getattr(thing, name, None), f"{path}.{name}")

    walk(ledger, "ledger")
    return found


def test_three_days_hold_no_more_than_one():
    day, number = Day(), 0
    sizes = []
    for _ in range(3):
        for _ in range(60):
            number += 1
            day.trade(number)
        day.go_home()
        sizes.append(held(day.ledger))
    assert sum(sizes[0].values()) > 100
    assert sizes[1] == sizes[0]
    assert sizes[2] == sizes[0]


@pytest.mark.parametrize("away", [False, True], ids=["here", "away"])
def test_an_order_is_found_by_every_key_it_had(away):
    day = Day()
    for number in range(1, 30):
        day.trade(number)
    if away:
        day.go_home()
    now = day.ledger.timeline("PDU1:9003")
    assert [row.order_key for row in now][-1] == "PDU1:9003"
    assert day.ledger.timeline("O:11:3") == now
    assert day.ledger.timeline("ODU1:11:3") == now
    again = Ledger.load(day.ledger.dump(), archive=day.archive)
    assert again.timeline("O:11:3") == again.timeline("PDU1:9003") == now


class Asked(MemoryArchive):
    """Notes what it is asked about."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def may_have_any(self, keys):
        self.asked.append(tuple(keys))
        return super().may_have_any(keys)


def test_the_archive_is_asked_once_about_an_execution_and_its_order_until_something_is_put_there():
    day = Day()
    day.archive = Asked()
    day.ledger = Ledger(archive=day.archive)
    day.trade(1)
    day.go_home()
    who = {"strategy": "S1", "order_id": 50, "client_id": 3, "instrument": AAPL, "perm_id": 700}
    final = {**who, "quantity": 20, "filled": 20, "remaining": 0}
    day.archive.asked.clear()
    day.fill("0001.aa.01.01", 10, 5, **who)
    day.fee("0001.aa.01.01", 1)
    day.order("Submitted", **{**final, "filled": 10, "remaining": 10})
    assert [len(keys) for keys in day.archive.asked] == [3]
    day.fill("0001.bb.01.01", 10, 5, **who)
    day.fee("0001.bb.01.01", 1)
    day.order("Filled", **final)
    assert [len(keys) for keys in day.archive.asked] == [3, 1]
    before = day.ledger.fills()
    day.keep = Keep(executions=0, lines=0, smallest=1, orders=0)
    day.go_home()
    day.archive.asked.clear()
    day.fee("0001.aa.01.01", 1)
    day.order("Filled", **final)
    day.fill("0001.aa.01.01", 10, 5, **who)
    assert [len(keys) for keys in day.archive.asked] == [1, 2, 3]
    assert day.ledger.fills() == before
    assert len(day.ledger.timeline("PDU1:700")) == len([row for row in day.orders if row.order_key == "PDU1:700"])
