"""The newest executions of the books, page by page, and the latest orders."""

from tests.unit.state.kit import BAG, MSFT, Desk


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
    monkeypatch.setattr("engine.state.orders.MOST_SHOWN", 3)
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
