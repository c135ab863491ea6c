"""The newest executions of the books, page by page, and the latest orders."""

from tests.unit.state.kit import AAPL, BAG, ES, MSFT, UNASSIGNED, Desk, at


def story():
    desk = Desk()
    for number in range(12):
        name, instrument = ("ALPHA", "BETA")[number % 2], (None, MSFT)[number % 3 == 0]
        more = {"instrument": instrument} if instrument else {}
        desk.fill(f"e{number}.01", number + 1, 100, t=60 - number % 7, strategy=name, perm_id=number + 1, **more)
    desk.fill("other.01", 5, 100, t=3, strategy="ALPHA", account="DU2", perm_id=99)
    desk.fill("bag.01", 1, 50, t=58, strategy="ALPHA", instrument=BAG, perm_id=98)
    desk.bust("e4.01")
    desk.assign("A1", ("BETA", 5, 90), t=57)
    desk.reverse("A1")
    return desk


def newest_first(desk, strategy=None, account=None):
    wanted = [r for r in desk.ledger.fills(strategy) if account is None or r.fill.account == account]
    return sorted(wanted, key=lambda r: (r.order_time, r.first_seq), reverse=True)


def test_pages_give_every_execution_once_newest_first():
    desk = story()
    for strategy, account in ((None, None), ("ALPHA", None), (None, "DU2"), ("BETA", "DU1"), ("NOBODY", None)):
        expected = newest_first(desk, strategy, account)
        found = []
        for skip in range(0, 20, 3):
            page, total = desk.ledger.page(strategy, account, skip=skip, limit=3)
            assert total == len(expected)
            found += page
        assert sorted(found, key=lambda r: r.first_seq) == sorted(expected, key=lambda r: r.first_seq)
        assert [r.order_time for r in found] == [r.order_time for r in expected]


def test_pages_after_a_restart_are_those_of_before():
    desk = story()
    again = desk.restarted()
    assert again.page(limit=100) == desk.ledger.page(limit=100)


def test_the_latest_orders_are_all_open_ones_and_the_newest_of_each_strategy(monkeypatch):
    monkeypatch.setattr("engine.state.order_table.MOST_SHOWN", 3)
    desk = Desk()
    desk.keep = desk.keep._replace(orders=3)
    for number in range(1, 11):
        name = "BETA" if number <= 2 else "ALPHA"
        desk.order("Submitted", perm_id=number, strategy=name)
        if number not in {3, 4}:
            desk.order("Cancelled", perm_id=number, strategy=name)
    shown = desk.ledger.latest_orders()
    assert sorted(o.update.perm_id for o in shown) == [1, 2, 3, 4, 8, 9, 10]
    assert {o.update.perm_id: o for o in shown} == {
        o.update.perm_id: o for o in desk.ledger.orders() if o.update.perm_id in {1, 2, 3, 4, 8, 9, 10}
    }
    again = desk.restarted()
    assert sorted(again.latest_orders(), key=str) == sorted(shown, key=str)


def test_what_some_instruments_have_is_what_a_walk_over_everything_finds_there():
    desk = Desk()
    for number in range(60):
        about = {
            "strategy": ("ALPHA", "BETA", None)[number % 3],
            "account": ("DU1", "DU2")[number % 2],
            "instrument": (AAPL, MSFT, ES)[number % 5 % 3],
            "perm_id": 100 + number,
        }
        desk.order("Submitted", quantity=10, **about)
        desk.fill(f"x{number}.01", 10 - number % 4, 100 + number, t=1000 - 7 * number, **about)
    desk.fill("x7.02", 3, 99, t=951, account="DU2", instrument=MSFT, perm_id=107)
    desk.bust("x8.01", account="DU1")
    desk.fill("bag.01", 1, 2, t=5, instrument=BAG, strategy="ALPHA", perm_id=999)
    restored = desk.restarted()
    keys = [("DU1", AAPL.con_id), ("DU2", MSFT.con_id), ("DU1", BAG.con_id), ("DU9", ES.con_id)]
    for ledger in (desk.ledger, restored):
        for strategy in (None, "BETA", UNASSIGNED):
            for since in (None, at(700)):
                found = ledger.near.fills(keys, strategy=strategy, since=since)
                there = [r for r in ledger.fills(strategy, since) if (r.fill.account, r.fill.instrument.con_id) in keys]
                assert [r.order_time for r in found] == sorted(r.order_time for r in there)
                assert sorted(found, key=lambda r: r.first_seq) == sorted(there, key=lambda r: r.first_seq)
        orders = [o for o in ledger.orders() if (o.update.account, o.update.instrument.con_id) in keys]
        near = ledger.near.orders(keys)
        assert all(order in orders for order in near)
        missed = [order for order in orders if order not in near]
        assert len(near) > 5
        assert not any(order.is_open for order in missed)
        assert desk.puts_away or not missed, "only what was put away is left out"


def test_an_order_is_found_under_the_instrument_that_it_turned_out_to_be_about():
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", instrument=None, account="")
    assert desk.ledger.near.orders([("DU1", MSFT.con_id)]) == []
    desk.fill("x.01", 4, 100, perm_id=5, instrument=MSFT)
    (found,) = desk.ledger.near.orders([("DU1", MSFT.con_id)])
    assert found.filled == 4


def test_every_leg_of_an_entry_that_was_taken_back_is_on_its_page():
    desk = Desk()
    desk.assign("X", ("ALPHA", 3, 5), ("BETA", -2, 5), ("GAMMA", -1, 5))
    desk.reverse("X")
    shown, count = desk.ledger.page()
    assert (count, {record.strategy for record in shown}) == (3, {"ALPHA", "BETA", "GAMMA"})
