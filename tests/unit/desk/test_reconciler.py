from __future__ import annotations

import asyncio
import math

import pytest
from desk_parts import AAPL, DU, ES, MSFT, D, House

from engine.core.events import BreakNoted
from engine.core.instrument import Instrument
from engine.core.snapshot import Unknown
from engine.errors import BrokerUnavailable
from engine.recon.breaks import BreakBook

EURUSD = Instrument(con_id=12087792, symbol="EUR", sec_type="CASH", currency="USD", exchange="IDEALPRO")


def law_holds(columns):
    """Per (account, con_id): what strategies and UNASSIGNED hold plus the residual is what the broker holds."""
    sums = {}
    for account, con_id, qty, residual, broker, status in zip(
        *(columns[c] for c in ("account", "con_id", "qty", "residual_qty", "broker_qty", "status")), strict=True
    ):
        if status not in {"unavailable", "excluded"}:
            total, reported = sums.get((account, con_id), (D(0), broker))
            assert reported == broker
            sums[account, con_id] = (total + D(qty) + D(residual), broker)
    return all(total == D(broker) for total, broker in sums.values())


async def test_books_that_agree_with_the_broker_are_square(house):
    house.fill(AAPL, 100, moves_broker=True)
    result = await house.run(after=11)
    assert result.status == "square"
    assert result.square
    assert result.columns["status"] == ["matched"]
    assert house.broker.refreshed == 0


async def test_r5_a_manual_close_at_the_broker_becomes_a_break_with_cause_external_trade(house):
    house.fill(AAPL, 100, moves_broker=True)
    assert (await house.run(after=11)).status == "square"
    house.broker.move(AAPL, -100)
    house.broker.on_refresh = lambda: house.manual(AAPL, -100) if house.broker.refreshed == 1 else 0
    assert not (await house.run(after=11)).breaks
    (found,) = (await house.run(after=11)).breaks
    assert found.quantity == -100
    assert found.kind == "unassigned"
    assert found.state in {"confirmed", "explained"}
    assert found.causes[0].kind == "external_trade"
    assert found.residual == 0


async def test_r5_a_manual_close_that_no_execution_tells_of_is_a_break_of_minus_all(house):
    house.fill(AAPL, 100, moves_broker=True)
    house.broker.move(AAPL, -100)
    (found,) = (await house.confirmed()).breaks
    assert (found.quantity, found.difference, found.state) == (-100, -100, "confirmed")
    assert "external_trade" in {c.kind for c in found.causes}


async def test_r23_a_silently_lost_fill_books_itself_before_it_becomes_a_break(house):
    house.fill(AAPL, 60, moves_broker=True)
    house.broker.move(AAPL, 40)
    house.broker.on_refresh = lambda: house.fill(AAPL, 40)
    result = await house.run(after=11)
    assert result.square
    assert house.broker.refreshed == 1
    assert house.quantity("ALPHA") == 100
    assert (await house.confirmed()).status == "square"
    assert house.changes == []


async def test_a_refresh_that_fails_is_noted_and_tried_again(house):
    house.broker.hold(AAPL, 10)
    house.broker.refresh_fails = "no answer"
    assert "no answer" in (await house.run()).notes[0]
    await house.run(after=11)
    assert house.broker.refreshed == 2


async def test_a_replay_that_took_long_is_not_repeated_for_fills_on_their_way(house):
    house.broker.on_refresh = lambda: house.clock.forward(20)
    house.fill(AAPL, 100, moves_broker=True)
    for number in range(1, 6):
        house.fill(AAPL, 1)
        house.broker.hold(AAPL, 100 + number - 1)
        await house.run(after=2, reason="timer")
        assert house.broker.refreshed == 1
    await house.run(after=2)
    assert house.broker.refreshed == 2, "who asks for a run gets a whole one"
    house.broker.on_refresh = None
    await house.run(after=11, reason="timer")
    assert house.broker.refreshed == 3, "nothing is on its way any more"


async def test_a_confirmed_break_is_not_asked_about_for_ever(house):
    house.broker.hold(AAPL, 10)
    await house.confirmed()
    asked = house.broker.refreshed
    for _ in range(5):
        await house.run(after=30)
    assert house.broker.refreshed == asked


@pytest.mark.parametrize("way", ["raises", "unknown", "no accounts"])
async def test_r3_f124_f125_f134_a_bad_answer_changes_nothing_a_thousand_times(house, way):
    house.fill(AAPL, 100, moves_broker=True)
    house.broker.hold(MSFT, 5)
    await house.confirmed()
    books, breaks, told = house.ledger.dump(), house.reconciler.book.dump(), len(house.changes)
    if way == "raises":
        house.broker.down = "timed out"
    elif way == "unknown":
        house.broker.unknown = {DU: "no end marker"}
    else:
        house.broker.accounts = []
    for _ in range(1000):
        with pytest.raises(BrokerUnavailable, match="nothing was changed"):
            await house.run(after=30)
    assert house.ledger.dump() == books
    assert house.reconciler.book.dump() == breaks
    assert len(house.changes) == told
    runs = [columns for library, symbol, columns, _ in house.stored if symbol == "runs"]
    assert [c["status"] for c in runs[-1000:]] == [["unavailable"]] * 1000


async def test_r42_an_account_without_an_answer_is_unavailable_and_not_flat(house):
    house.broker.accounts = ["DU1", "DU2"]
    house.broker.base["DU2"] = "USD"
    house.fill(AAPL, 10, moves_broker=True)
    house.fill(AAPL, 20, account="DU2", moves_broker=True)
    house.broker.unknown = {"DU2": "timed out"}
    result = await house.run(after=11)
    status = dict(zip(result.columns["account"], result.columns["status"], strict=True))
    assert status == {"DU1": "matched", "DU2": "unavailable"}
    broker = dict(zip(result.columns["account"], result.columns["broker_qty"], strict=True))
    assert broker["DU1"] == 10
    assert math.isnan(broker["DU2"])
    assert result.unknown == {"DU2": "timed out"}
    assert (await house.confirmed()).status == "square"


async def test_r17_r42_sixty_accounts_each_have_their_own_break(house):
    house.broker.accounts = [f"DU{n}" for n in range(60)]
    for name in house.broker.accounts:
        house.broker.base[name] = "USD"
        house.fill(AAPL, 10, account=name, moves_broker=True)
    house.broker.move(AAPL, 1, account="DU7")
    house.broker.move(AAPL, -2, account="DU31")
    assert {(b.account, b.quantity) for b in (await house.confirmed()).breaks} == {("DU7", 1), ("DU31", -2)}


async def test_r19_opposite_strategies_on_one_account_are_square(house):
    house.fill(ES, 5, 5000, moves_broker=True)
    house.fill(ES, -3, 5001, strategy="BETA", order_ref="BETA-1", perm_id=701, order_id=8, moves_broker=True)
    result = await house.run(after=11)
    assert result.square
    assert dict(zip(result.columns["strategy"], result.columns["qty"], strict=True)) == {"ALPHA": 5, "BETA": -3}
    assert set(result.columns["broker_qty"]) == {2}


async def test_r27_positions_that_lag_within_the_grace_make_no_break(house):
    house.fill(AAPL, 100)
    for _ in range(3):
        assert (await house.run(after=3)).breaks == ()
    house.broker.move(AAPL, 100)
    assert (await house.run(after=3)).square
    assert house.changes == []


async def test_a_fill_between_question_and_answer_makes_no_break(house):
    house.fill(AAPL, 100, moves_broker=True)
    house.clock.forward(30)

    async def fill_meanwhile():
        house.clock.forward(0.1)
        house.fill(AAPL, 10)

    house.broker.on_ask = fill_meanwhile
    assert (await house.run()).breaks == ()
    house.broker.on_ask = None
    house.broker.move(AAPL, 10)
    assert (await house.run(after=11)).square


async def test_r15_what_nothing_explains_stays_one_break_and_the_system_runs_on(house):
    house.broker.hold(AAPL, 17)
    for _ in range(20):
        result = await house.run(after=30)
    assert [b.break_id for b in result.breaks] == [f"{DU}:{AAPL.con_id}"]
    assert len(house.reconciler.book.breaks) == 1
    assert len([c for c in house.changes if c.found.state == "confirmed"]) == 1


async def test_r16_breaks_survive_a_restart_under_their_name(house):
    house.broker.hold(AAPL, 17)
    await house.confirmed()
    (before,) = house.reconciler.breaks()
    texts = [c for lib, sym, cols, _ in house.stored if sym == "breaks" for c in cols["extra"]]
    for book in (BreakBook.load(house.reconciler.book.dump()), BreakBook.from_rows(texts)):
        house.reconciler = house.restarted(book)
        (after,) = (await house.run(after=30)).breaks
        assert (after.break_id, after.first_seen, after.episode) == (before.break_id, before.first_seen, 1)


async def test_r25_f119_concurrent_callers_share_runs_that_asked_after_their_call(house):
    house.fill(AAPL, 100, moves_broker=True)
    gate = asyncio.Event()

    async def wait():
        await gate.wait()

    house.broker.on_ask = wait
    first = asyncio.create_task(house.run())
    while house.broker.asked == 0:
        await asyncio.sleep(0)
    others = [asyncio.create_task(house.run()) for _ in range(50)]
    await asyncio.sleep(0)
    gate.set()
    one, *rest = await asyncio.gather(first, *others)
    assert house.broker.asked == 2
    assert len({r.run_id for r in rest}) == 1
    assert rest[0].run_id != one.run_id


async def test_a_caller_that_goes_away_does_not_stop_the_run_of_others(house):
    gate = asyncio.Event()

    async def wait():
        await gate.wait()

    house.broker.on_ask = wait
    leaver, stayer = asyncio.create_task(house.run()), asyncio.create_task(house.run())
    while house.broker.asked == 0:
        await asyncio.sleep(0)
    leaver.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert (await stayer).status == "square"


async def test_r25_a_run_records_when_the_broker_was_asked_and_answered(house):
    await house.run()
    (columns,) = [c for lib, sym, c, _ in house.stored if (lib, sym) == ("reconciliations", "runs")]
    assert "requested_at" in columns["extra"][0]
    assert "answered_at" in columns["extra"][0]


async def test_c1_f80_f84_currency_rows_are_excluded_and_shown_as_such(house):
    house.broker.hold(EURUSD, 165700)
    house.fill(EURUSD, 1000, "1.08")
    result = await house.run(after=11)
    assert result.square
    assert result.columns["status"] == ["excluded"]
    assert [e.con_id for e in result.excluded] == [EURUSD.con_id]


async def test_the_unassigned_row_carries_the_residual_and_the_law_holds(house):
    house.fill(AAPL, 100, moves_broker=True)
    house.manual(AAPL, -30, moves_broker=True)
    house.broker.move(AAPL, 7)
    result = await house.confirmed()
    rows = dict(
        zip(
            result.columns["strategy"],
            zip(result.columns["qty"], result.columns["residual_qty"], strict=True),
            strict=True,
        )
    )
    assert rows == {"ALPHA": (100, 0), "UNASSIGNED": (-30, 7)}
    assert set(result.columns["status"]) == {"confirmed"}
    assert law_holds(result.columns)
    (found,) = result.breaks
    assert found.quantity == -23
    assert found.quantity == found.explained + found.residual


async def test_r20_a_liquidation_heads_the_list_at_once(house):
    house.fill(AAPL, 314, moves_broker=True)
    house.broker.hold(MSFT, 9)
    await house.confirmed()
    house.manual(AAPL, -231, 165, liquidation=True, order_id=-1, moves_broker=True)
    first, second = (await house.run(after=0.5)).breaks
    assert (first.con_id, first.quantity, first.urgent) == (AAPL.con_id, -231, True)
    assert first.causes[0].kind == "liquidation"
    assert second.con_id == MSFT.con_id


async def test_value_at_risk_is_in_base_currency_and_unknown_without_a_rate(house):
    house.broker.hold(AAPL, -10)
    house.broker.mark(AAPL, 200)
    house.broker.base[DU] = "EUR"
    (found,) = (await house.confirmed()).breaks
    assert found.value_at_risk_base is None
    house.broker.rates[DU, "USD"] = D("0.9")
    (found,) = (await house.run(after=11)).breaks
    assert (found.value_at_risk_base, found.base_currency) == (D(1800), "EUR")


async def test_f137_base_figures_carry_the_time_of_their_rate(house):
    house.fill(AAPL, 10, 100, moves_broker=True)
    house.broker.mark(AAPL, 110)
    house.broker.base[DU] = "EUR"
    house.broker.rates[DU, "USD"] = D("0.5")
    columns = (await house.run(after=11)).columns
    assert columns["unrealized_pnl"] == [100]
    assert columns["unrealized_pnl_base"] == [50]
    assert "rate_at" in columns["extra"][0]


async def test_owner_and_note_of_an_operator_stay_with_the_break(house):
    house.broker.hold(AAPL, 17)
    await house.confirmed()
    house.book(BreakNoted(received_at=house.clock.now(), break_id=f"{DU}:{AAPL.con_id}", owner="mary", note="asked IB"))
    (found,) = house.reconciler.breaks()
    assert (found.owner, found.note) == ("mary", "asked IB")


async def test_breaks_advise_not_to_trade_and_release_by_themselves(house):
    house.broker.hold(AAPL, 17)
    await house.run()
    assert house.reconciler.locks() == []
    await house.confirmed()
    (lock,) = house.reconciler.locks()
    assert (lock.account, lock.con_id) == (DU, AAPL.con_id)
    house.broker.hold(AAPL, 0)
    await house.run(after=30)
    assert house.reconciler.locks() == []


async def test_portfolio_rows_are_stored_only_when_something_but_the_market_changed(house):
    house.fill(AAPL, 10, moves_broker=True)
    for price in (100, 101, 102):
        house.broker.mark(AAPL, price)
        await house.run(after=11)
    assert len([1 for lib, sym, *_ in house.stored if (lib, sym) == ("portfolio", f"{DU}/AAPL")]) == 1
    house.fill(AAPL, 1, moves_broker=True)
    await house.run(after=11)
    assert len([1 for lib, sym, *_ in house.stored if (lib, sym) == ("portfolio", f"{DU}/AAPL")]) == 2
    assert len([1 for lib, sym, *_ in house.stored if (lib, sym) == ("portfolio", "aggregated")]) == 4


async def test_f130_inside_the_reset_window_a_difference_is_suspected_but_not_confirmed(house):
    house.clock.forward(13 * 3600 - 60 * 5)  # 10 March 2026, 23:55 in New York
    house.broker.hold(AAPL, 17)
    (found,) = (await house.confirmed()).breaks
    assert found.state == "suspected"
    assert "F130" in found.deferred
    assert house.reconciler.locks() == []
    (found,) = (await house.run(after=3600)).breaks
    assert found.state == "confirmed"


async def test_settle_runs_until_nothing_is_settling(house):
    house.broker.hold(AAPL, 17)
    moving = house.broker.positions

    async def with_time(accounts=()):
        house.clock.forward(6)
        return await moving(accounts)

    house.broker.positions = with_time
    result = await house.reconciler.settle("command line", deadline_s=60)
    assert result.settling == 0
    assert [b.quantity for b in result.breaks] == [17]


async def test_r43_r44_causes_come_with_the_break(house):
    option = Instrument(
        con_id=77,
        symbol="AAPL",
        sec_type="OPT",
        currency="USD",
        multiplier=D(100),
        expiry="20260310",
        strike=D(150),
        right="C",
    )
    house.fill(option, -1, 2, moves_broker=True)
    house.fill(AAPL, 300, moves_broker=True)
    house.broker.hold(option, 0)
    house.broker.move(AAPL, -100)
    found = {b.con_id: b for b in (await house.confirmed()).breaks}
    assert found[77].causes[0].kind == "option_assignment"
    assert found[AAPL.con_id].causes[0].kind == "option_assignment"
    assert found[77].causes[0].linked == (f"{DU}:{AAPL.con_id}",)
    assert all(b.quantity == b.explained + b.residual for b in found.values())


async def test_an_unknown_answer_for_expected_accounts_names_them():
    house = House(ib_accounts="DU1,DU2")
    house.broker.down = "gone"
    with pytest.raises(BrokerUnavailable, match="DU1: gone; DU2: gone"):
        await house.run()
    assert isinstance((await house.reconciler._ask(house.clock.now()))[0], Unknown)


async def test_trouble_of_our_own_is_raised_and_the_next_run_is_free(house):
    def broken(*_):
        raise RuntimeError("store is broken")

    house.reconciler._store._store_rows = broken
    with pytest.raises(RuntimeError, match="store is broken"):
        await house.run()
    house.reconciler._store._store_rows = None
    assert (await house.run()).status == "square"


async def test_f93_pence_stay_a_break_where_one_strategy_is_long_and_another_short(house):
    house.fill(AAPL, 3000, "71.3")
    house.fill(AAPL, -500, "71.4", strategy="BETA", order_ref="BETA-1", perm_id=701)
    house.broker.hold(AAPL, 2500, avg_cost="0.7132")
    await house.confirmed()
    (found,) = house.reconciler.breaks()
    assert (found.kind, found.quantity, found.causes[0].kind) == ("cost", 0, "price_unit")
