"""Everything that IB tells becomes a fact, once, whatever the client library makes of it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from engine.broker.translate import facts_from_raw, wire_facts
from engine.core.events import Commission, Fill, InstrumentDescribed, OrderUpdate, Quarantined, RateSeen
from tests.integration.broker_kit import desk, gateway, linked, until

pytestmark = pytest.mark.client

OURS = 40


@pytest.fixture
def host():
    with gateway(master_client_id=OURS, commission_delay_s=0.0) as running:
        yield running


async def test_a_fill_from_before_the_connection_is_told_once_with_its_fee_f2_f3_r35(host):
    exec_id = await desk(host, "manual_trade", symbol="AAPL", quantity=10, price=187.25)
    async with linked(host.port) as link:
        (fill,) = link.of(Fill)
        assert (fill.exec_id, fill.account, fill.quantity, fill.price) == (
            exec_id,
            "DU1",
            Decimal(10),
            Decimal("187.25"),
        )
        assert (fill.source, fill.strategy, fill.order_id) == ("replay", None, 0)
        assert [fee.exec_id for fee in link.of(Commission)] == [exec_id]
        assert await link.broker.refresh_executions() == 1
        assert len(link.of(Fill)) == len(link.of(Commission)) == 1


async def test_a_live_fill_of_an_order_nobody_announced_is_told_f1_f5(host):
    async with linked(host.port) as link:
        exec_id = await desk(host, "liquidation", symbol="AAPL", quantity=-10)
        (fill,) = await until(lambda: link.of(Fill))
        assert (fill.exec_id, fill.quantity, fill.liquidation, fill.source) == (exec_id, Decimal(-10), True, "live")
        await until(lambda: link.of(Commission, exec_id=exec_id))
        assert link.broker._session.ib.trades() == []


async def test_an_execution_whose_zone_nobody_knows_is_told_and_later_its_time_f29_f9(host):
    async with linked(host.port) as link:
        await desk(host, "undecodable_execution")
        exec_id = await desk(host, "manual_trade", symbol="AAPL", quantity=3)
        (fill,) = await until(lambda: link.of(Fill))
        assert (fill.exec_id, fill.executed_at, fill.quantity) == (exec_id, None, Decimal(3))
        assert fill.time_text
        await link.broker.refresh_executions()
        _, again = link.of(Fill, exec_id=exec_id)
        assert again.executed_at is not None


@pytest.mark.parametrize("style", ["zone", "dash", "America/New_York", "Europe/Zurich"])
async def test_every_form_of_a_time_gives_the_true_time_f27_f28(host, style):
    await desk(host, "time_style", style=style)
    async with linked(host.port) as link:
        await desk(host, "manual_trade", symbol="AAPL", quantity=3)
        (fill,) = await until(lambda: link.of(Fill))
        assert abs(fill.executed_at - datetime.now(UTC)) < timedelta(minutes=5)
        assert fill.time_text == ""


async def test_a_commission_that_comes_before_its_execution_is_told_f4_r7(host):
    async with linked(host.port) as link:
        await desk(host, "reorder_messages")
        exec_id = await desk(host, "manual_trade", symbol="AAPL", quantity=3)
        await until(lambda: link.of(Fill))
        kinds = [type(fact) for fact in link.facts if getattr(fact, "exec_id", "") == exec_id]
        assert kinds == [Commission, Fill]


async def test_late_missing_sentinel_and_restated_commissions_f6_f36_r4(host):
    async with linked(host.port) as link:
        await desk(host, "missing_commission")
        missing = await desk(host, "manual_trade", symbol="AAPL", quantity=1)
        await desk(host, "sentinel_commission")
        sentinel = await desk(host, "manual_trade", symbol="AAPL", quantity=2)
        await desk(host, "commission_amount", amount="-0.35")
        rebate = await desk(host, "manual_trade", symbol="AAPL", quantity=3)
        await until(lambda: link.of(Commission, exec_id=rebate) and link.of(Commission, exec_id=sentinel))
        assert link.of(Commission, exec_id=missing) == []
        assert [fee.amount for fee in link.of(Commission, exec_id=sentinel)] == [None]
        assert [fee.amount for fee in link.of(Commission, exec_id=rebate)] == [Decimal("-0.35")]
        for exec_id in (missing, sentinel, rebate):
            await desk(host, "restated_commission", exec_id=exec_id, amount="0.30")
            await until(lambda exec_id=exec_id: link.of(Commission, exec_id=exec_id, amount=Decimal("0.30")))


async def test_duplicates_are_told_once_and_the_same_id_with_another_content_is_told_f7(host):
    async with linked(host.port) as link:
        await desk(host, "duplicate_messages", kind="execution")
        exec_id = await desk(host, "manual_trade", symbol="AAPL", quantity=3)
        await desk(host, "repeat_execution", exec_id=exec_id, quantity=7)
        await until(lambda: link.of(Fill, quantity=Decimal(7)))
        assert [fill.quantity for fill in link.of(Fill, exec_id=exec_id)] == [Decimal(3), Decimal(7)]


async def test_a_correction_and_what_it_corrects_are_both_told_f10_f15(host):
    async with linked(host.port) as link:
        first = await desk(host, "manual_trade", symbol="AAPL", quantity=10)
        second = await desk(host, "correction", exec_id=first, quantity=8)
        await until(lambda: link.of(Fill, exec_id=second))
        assert {fill.exec_id: fill.quantity for fill in link.of(Fill)} == {first: Decimal(10), second: Decimal(8)}


async def test_a_fill_whose_messages_were_lost_comes_with_a_replay_r23_f51():
    with gateway() as host:
        async with linked(host.port) as link:
            exec_id = await desk(host, "lost_fill", symbol="MSFT", quantity=-5, client_id=9, order_ref="BETA-1")
            assert link.of(Fill) == []
            assert await link.broker.refresh_executions() == 1
            (fill,) = link.of(Fill)
            assert (fill.exec_id, fill.client_id, fill.order_ref) == (exec_id, 9, "BETA-1")


async def test_orders_of_others_are_seen_open_and_completed_f51_f59(host):
    perm_id = await desk(
        host, "unknown_client_order", symbol="AAPL", quantity=10, limit=1, client_id=98, order_ref="GAMMA"
    )
    await desk(host, "other_client_fill", symbol="MSFT", quantity=5, client_id=97, order_ref="DELTA")
    async with linked(host.port) as link:
        sights = link.of(OrderUpdate, perm_id=perm_id, source="open")
        assert (sights[0].account, sights[0].order_ref, sights[0].quantity, sights[0].limit_price) == (
            "DU1",
            "GAMMA",
            Decimal(10),
            Decimal(1),
        )
        assert sights[0].side == "BUY"
        (done,) = link.of(OrderUpdate, source="completed")
        assert (done.order_ref, done.status, done.quantity, done.local) == ("DELTA", "Filled", None, False)


async def test_a_status_is_completed_with_what_is_known_of_its_order(host):
    async with linked(host.port) as link:
        await desk(host, "other_client_fill", symbol="AAPL", quantity=10, client_id=98, order_ref="GAMMA")
        filled = await until(lambda: [s for s in link.of(OrderUpdate, status="Filled") if s.filled is not None])
        assert (filled[-1].account, filled[-1].order_ref, filled[-1].filled, filled[-1].side) == (
            "DU1",
            "GAMMA",
            Decimal(10),
            "BUY",
        )
        assert filled[-1].instrument.con_id == 265598


async def test_each_instrument_is_described_once_and_a_london_price_has_its_magnifier_f93(host):
    async with linked(host.port) as link:
        await desk(host, "manual_trade", symbol="BARC", quantity=100)
        await desk(host, "manual_trade", symbol="AAPL", quantity=1)
        found = await until(lambda: link.of(InstrumentDescribed)[1:] and link.of(InstrumentDescribed))
        magnifiers = {fact.instrument.symbol: fact.instrument.price_magnifier for fact in found}
        assert magnifiers == {"BARC": 100, "AAPL": 1}
        await link.broker.refresh_executions()
        assert len(link.of(InstrumentDescribed)) == 2


async def test_a_combination_is_never_asked_about_f78_r30(host):
    async with linked(host.port) as link:
        asked = []
        details = link.broker._session.details

        async def recording(con_id):
            asked.append(con_id)
            return await details(con_id)

        link.broker._session.details = recording
        contract = "28812380|SPY|BAG||0|||SMART|USD|SPY|COMB"
        report = "c.1.01.01|20240301-15:30:00|DU1|SMART|BOT|1|-1.25|77|0|0|1|-1.25|||||0"
        bag = f"11|-1|5|{contract}|{report}"
        link.broker._session.taps.read(bag.split("|"))
        await desk(host, "manual_trade", symbol="AAPL", quantity=1)
        await until(lambda: link.of(InstrumentDescribed))
        assert asked == [265598]
        assert link.of(Fill)[0].price == Decimal("-1.25")


async def test_marks_rates_and_base_currency_of_every_account_f116_f117_f136():
    with gateway(account_update_s=0.05) as host:
        await desk(host, "manual_trade", symbol="AAPL", quantity=10, account="DU1")
        await desk(host, "manual_trade", symbol="BARC", quantity=10, account="DU2")
        async with linked(host.port) as link:
            marks = await until(lambda: len(link.broker.marks()) == 2 and link.broker.marks(), link.broker.marks)
            prices = {account: mark.price for (account, _), mark in marks.items()}
            assert prices["DU2"] < 10 < prices["DU1"]
            assert [link.broker.base_currency(account) for account in ("DU1", "DU2", "DU3")] == ["USD", "USD", None]
            assert link.broker.rate("DU1", "USD")[0] == 1
            assert link.broker.rate("DU1", "XXX") is None
            assert {value.account for value in link.broker.account_values()} == {"DU1", "DU2"}
            await until(lambda: {rate.account for rate in link.of(RateSeen)} == {"DU1", "DU2"})


async def test_facts_that_were_refused_come_again_with_a_replay(host, monkeypatch):
    monkeypatch.setattr("engine.broker.work._AGAIN_S", 0.05)
    async with linked(host.port) as link:
        taken = link.broker._outlet._sink

        def full(facts):
            link.broker._outlet._sink = taken
            raise OSError("no space left on device")

        link.broker._outlet._sink = full
        exec_id = await desk(host, "manual_trade", symbol="AAPL", quantity=10)
        await until(lambda: link.of(Fill, exec_id=exec_id))


async def test_a_second_replay_of_the_day_is_counted_not_read_and_the_library_keeps_nothing_of_it(host, monkeypatch):
    read = []
    monkeypatch.setattr(
        "engine.broker.taps.wire_facts", lambda fields, *a, **k: read.append(fields[0]) or wire_facts(fields, *a, **k)
    )
    async with linked(host.port) as link:
        first = await desk(host, "manual_trade", symbol="AAPL", quantity=10)
        await desk(host, "manual_trade", symbol="MSFT", quantity=-5)
        assert await link.broker.refresh_executions() == 2
        read.clear()
        assert await link.broker.refresh_executions() == 2
        assert read == []
        corrected = await desk(host, "correction", exec_id=first, quantity=8)
        await link.broker.refresh_executions()
        assert "11" in read
        assert len(link.of(Fill, exec_id=corrected)) == 1
        assert link.broker._session.ib.fills() == []


async def test_a_tap_that_fails_is_made_good_by_the_sweep_f8(host):
    async with linked(host.port) as link:
        readers = link.broker._session.taps._readers
        broken = readers.pop("11")
        exec_id = await desk(host, "manual_trade", symbol="AAPL", quantity=10)
        await until(link.broker._session.ib.fills)
        assert link.of(Fill) == []
        readers["11"] = broken
        link.broker.sweep(link.broker._session)
        link.broker.sweep(link.broker._session)
        (fill,) = link.of(Fill)
        assert (fill.exec_id, fill.quantity) == (exec_id, Decimal(10))


async def test_what_cannot_be_decoded_is_quarantined_whole_once_and_harms_nothing_f9(host):
    async with linked(host.port) as link:
        decoder = link.broker._session.ib.client.decoder
        garbage = (
            ["11", "-1", "7", "265598", "AAPL"],  # an execution cut short
            ["59", "1"],
            ["5", "7", "not", "an", "order"],
            ["10", "nonsense"],
            ["3", "x"],
            ["4", "2", "not a number", "201", "text"],
            ["7", "8", "1"],
            ["55", "1", "not a number"],
            ["61", "3", "DU1"],
        )
        for fields in (*garbage, *garbage):
            decoder.interpret(list(fields))
        for fields in ([], ["9999"], ["not a number"]):
            decoder.interpret(fields)
        quarantined = link.of(Quarantined)
        assert len(quarantined) == len(garbage)
        assert {fact.door for fact in quarantined} == {"wrapper"}
        for fact, fields in zip(quarantined, garbage, strict=True):
            assert json.loads(fact.raw) == {"wire": fields}
            assert fact.reason
        exec_id = await desk(host, "manual_trade", symbol="AAPL", quantity=3)
        await until(lambda: link.of(Fill, exec_id=exec_id))


async def test_an_execution_without_an_account_is_quarantined_and_readable_after_a_fix(host):
    async with linked(host.port) as link:
        contract = "265598|AAPL|STK||0|||NASDAQ|USD|AAPL|NMS"
        report = "a.1.01.01|20240301-15:30:00||NASDAQ|BOT|3|187.23|77|0|0|3|187.23|||||0"
        link.broker._session.taps.read(f"11|-1|5|{contract}|{report}".split("|"))
        (fact,) = link.of(Quarantined)
        assert "acctNumber" in fact.reason
        mended = json.loads(fact.raw)
        mended["wire"][16] = "DU1"
        (fill,) = facts_from_raw(json.dumps(mended), fact.received_at)
        assert (fill.account, fill.quantity, fill.source) == ("DU1", Decimal(3), "live")


async def test_facts_keep_the_order_of_arrival_also_within_one_packet_f32(host):
    async with linked(host.port) as link:

        def at_once():
            host.gateway.loop.call_soon_threadsafe(
                lambda: [host.gateway.faults.manual_trade("AAPL", number) for number in range(1, 21)]
            )

        at_once()
        await until(lambda: len(link.of(Fill)) == 20)
        assert [int(fill.quantity) for fill in link.of(Fill)] == list(range(1, 21))


async def test_a_completed_order_that_says_what_it_said_is_only_counted(host, monkeypatch):
    for _ in range(20):
        await desk(host, "other_client_fill", symbol="MSFT", quantity=5, client_id=97, order_ref="DELTA")
    async with linked(host.port) as link:
        assert len(link.of(OrderUpdate, source="completed")) == 20
        session = link.broker._session
        read = []
        library = session.ib.client.decoder.handlers[101]
        monkeypatch.setitem(
            session.ib.client.decoder.handlers, 101, lambda fields: (read.append(fields), library(fields))
        )
        assert await session.completed_orders() == 20
        assert read == []
        await desk(host, "other_client_fill", symbol="MSFT", quantity=5, client_id=97, order_ref="DELTA")
        assert await session.completed_orders() == 21
        assert len(read) == 1
        assert len(link.of(OrderUpdate, source="completed")) == 21


async def test_a_replay_waits_in_the_socket_while_facts_pile_up_and_comes_whole():
    """The day of a busy account must not stand in memory at once; while nothing is read, no answer counts as late."""
    with gateway(accounts=("DU1",)) as host:
        for _ in range(150):
            await desk(host, "other_client_fill", symbol="MSFT", quantity=5, client_id=97, order_ref="DELTA")
        piled_up = [True]
        async with linked(host.port, wait=False, pressed=lambda: bool(piled_up), ib_timeout_s=0.5) as link:
            rests = await until(lambda: link.broker._session is not None and link.broker._session.throttle.rests)
            assert rests == 1
            waiting = len(link.facts)
            await asyncio.sleep(1.0)  # twice as long as an answer may take
            assert len(link.facts) == waiting < 300
            assert link.broker._session.throttle.rests == 1
            piled_up.clear()
            await link.connected()
            assert await link.broker.refresh_executions() == 150
        assert len(link.of(Fill)) == 150
        assert len(link.of(OrderUpdate, source="completed")) == 150
