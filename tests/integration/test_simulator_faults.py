"""The fault desk, seen by the installed IB client over a real socket."""

import asyncio
import contextlib
import logging
from decimal import Decimal

import pytest

from engine.simulator import FaultDesk, FaultError, GatewayConfig, GatewayThread
from tests.integration.ibclient import Future, LimitOrder, MarketOrder, Option, Stock, asked_positions, connected, until

pytestmark = pytest.mark.client

TWO = ("DU1234567", "DU7654321")
AAPL = Stock("AAPL", "SMART", "USD")
SENTINEL = 1.7976931348623157e308


@pytest.fixture
def gateway():
    with GatewayThread(GatewayConfig(accounts=TWO, tick_s=0, commission_delay_s=0.01)) as thread:
        yield thread.gateway


@pytest.fixture
def messages(gateway):
    """Every message sent, as fields, in order."""
    sent = []
    send = gateway.publish._deliver

    def listen(kind, to, encode):
        sent.append((kind, encode(176)))
        send(kind, to, encode)

    gateway.publish._deliver = listen
    return sent


def buy(quantity=10, action="BUY", **more):
    return MarketOrder(action, quantity, account=TWO[0], **more)


async def filled(ib, quantity=10, contract=AAPL, action="BUY", **more):
    trade = ib.placeOrder(contract, buy(quantity, action, **more))
    await until(lambda: trade.orderStatus.status == "Filled" and trade.fills, "filled")
    return trade


async def replay(ib):
    return {fill.execution.execId: fill for fill in await ib.reqExecutionsAsync()}


async def test_a_manual_trade_has_no_reference_no_client_and_no_order_id(gateway):
    async with connected(gateway.port) as ib:
        exec_id = gateway.faults.manual_trade("AAPL", 30, price="270.25", account=TWO[1])
        execution = (await replay(ib))[exec_id].execution
        assert (execution.orderId, execution.clientId, execution.orderRef) == (0, 0, "")
        assert (execution.shares, execution.price, execution.acctNumber) == (30.0, 270.25, TWO[1])
        assert execution.permId > 0
        (row,) = await asked_positions(ib)
        assert (row.account, row.position) == (TWO[1], 30.0)


async def test_client_zero_hears_manual_trades_live_and_others_do_not(gateway):
    async with connected(gateway.port, client_id=0) as zero, connected(gateway.port, client_id=1) as one:
        exec_id = gateway.faults.manual_trade("MSFT", -5)
        await until(lambda: any(f.execution.execId == exec_id for f in zero.fills()), "client 0 to hear")
        assert await one.reqCurrentTimeAsync()
        assert one.fills() == []


async def test_another_clients_fill_comes_with_its_identity_on_request(gateway):
    async with connected(gateway.port) as ib:
        exec_id = gateway.faults.other_client_fill("MSFT", -7, client_id=42, order_ref="THEIRS")
        execution = (await replay(ib))[exec_id].execution
        assert (execution.clientId, execution.orderRef, execution.side) == (42, "THEIRS", "SLD")


async def test_a_correction_changes_only_the_last_group_and_repeats_the_rest(gateway):
    async with connected(gateway.port) as ib:
        trade = await filled(ib, 10)
        first = trade.fills[0].execution
        corrected = gateway.faults.correction(quantity=8, price="271.00")
        await until(lambda: len(trade.fills) == 2, "the correction")
        second = trade.fills[1].execution
        assert second.execId == corrected
        assert second.execId.rpartition(".")[0] == first.execId.rpartition(".")[0]
        assert (first.execId[-2:], second.execId[-2:]) == ("01", "02")
        assert (second.shares, second.price, second.permId) == (8.0, 271.0, first.permId)
        assert set(await replay(ib)) == {first.execId, second.execId}
        (row,) = await asked_positions(ib)
        assert row.position == 8.0
    assert gateway.positions() == {(TWO[0], 265598): Decimal(8)}


async def test_a_correction_may_turn_the_side(gateway):
    async with connected(gateway.port) as ib:
        await filled(ib, 10)
        gateway.faults.correction(side="SLD", live=False)
    assert gateway.positions() == {(TWO[0], 265598): Decimal(-10)}


async def test_a_bust_returns_the_position_and_says_nothing(gateway, messages):
    async with connected(gateway.port) as ib:
        await filled(ib, 10)
        await until(lambda: "commission" in [kind for kind, _ in messages], "commission")
        before = len(messages)
        gateway.faults.bust()
        assert [kind for kind, _ in messages[before:]] == ["position"]
    assert gateway.positions() == {}


async def test_a_lost_fill_moves_the_position_and_shows_only_on_request(gateway):
    async with connected(gateway.port) as ib:
        await filled(ib, 10, orderRef="ALPHA")
        events = []
        ib.execDetailsEvent += lambda trade, fill: events.append(fill)
        exec_id = gateway.faults.lost_fill("AAPL", 4)
        rows = []
        await until(lambda: [p.position for p in ib.positions()] == [14.0], "the position")
        rows = await replay(ib)
        assert events == []
        assert rows[exec_id].execution.orderRef == "ALPHA"
        assert rows[exec_id].commissionReport.commission > 0


async def test_the_next_fill_of_an_order_can_be_lost(gateway):
    async with connected(gateway.port) as ib:
        gateway.faults.lose_next_fill()
        trade = ib.placeOrder(AAPL, buy(10))
        await until(gateway.executions, "executed")
        await until(ib.positions, "the position")
        assert trade.fills == []
        assert len(await replay(ib)) == 1


@pytest.mark.parametrize("kind", ["execution", "commission", "status", "position", "open order"])
async def test_the_next_message_of_a_kind_is_sent_twice(gateway, kind):
    async with connected(gateway.port) as ib:
        gateway.faults.duplicate_messages(kind)
        ids = {"execution": 11, "commission": 59, "status": 3, "position": 61, "open order": 5}
        counted = []
        interpret = ib.client.decoder.interpret

        def counting(fields):
            if int(fields[0]) == ids[kind]:
                counted.append(tuple(fields))
            interpret(fields)

        ib.client.decoder.interpret = counting
        await filled(ib, 10)
        await until(lambda: len(counted) > 1, "two of them")
        assert counted[0] == counted[1]


async def test_a_reordered_fill_tells_of_the_commission_first_and_the_execution_last(gateway, messages):
    async with connected(gateway.port) as ib:
        gateway.faults.reorder_messages()
        await filled(ib, 10)
        kinds = [kind for kind, _ in messages]
        assert kinds.index("commission") < kinds.index("position") < kinds.index("execution")
        assert "Filled" in [fields[2] for kind, fields in messages[: kinds.index("execution")] if kind == "status"]


async def test_commissions_can_be_late_sentinel_missing_restated_and_negative(gateway):
    async with connected(gateway.port) as ib:
        gateway.faults.late_commission(delay_s=0.3)
        late = (await filled(ib, 10)).fills[0]
        assert late.commissionReport.execId == ""
        assert (await replay(ib))[late.execution.execId].commissionReport.execId == ""
        await until(lambda: late.commissionReport.commission == 1.0, "late commission")

        gateway.faults.sentinel_commission()
        sentinel = (await filled(ib, 10)).fills[0]
        await until(lambda: sentinel.commissionReport.execId, "sentinel")
        assert sentinel.commissionReport.commission == SENTINEL

        gateway.faults.commission_amount("-0.35")
        rebate = (await filled(ib, 10)).fills[0]
        await until(lambda: rebate.commissionReport.commission == -0.35, "rebate")

        gateway.faults.missing_commission()
        missing = (await filled(ib, 10)).fills[0]
        after = (await filled(ib, 10)).fills[0]
        await until(lambda: after.commissionReport.execId, "the next commission")
        assert missing.commissionReport.execId == ""

        gateway.faults.restated_commission(missing.execution.execId, "0.30")
        await until(lambda: missing.commissionReport.commission == 0.3, "restated")


async def test_a_position_can_come_before_and_long_after_its_fill(gateway, messages):
    async with connected(gateway.port) as ib:
        gateway.faults.position_before_fill(delay_s=0.3)
        await filled(ib, 10)
        kinds = [kind for kind, _ in messages]
        assert kinds.index("position") < kinds.index("execution")
        messages.clear()
        gateway.faults.position_after_fill(delay_s=0.3)
        await filled(ib, 10)
        await until(lambda: [p.position for p in ib.positions()] == [20.0], "late position")
        kinds = [kind for kind, _ in messages]
        assert kinds.index("commission") < kinds.index("position")


async def test_positions_answers_can_be_empty_partial_failing_and_endless(gateway):
    async with connected(gateway.port) as ib:
        gateway.faults.manual_trade("AAPL", 1)
        gateway.faults.manual_trade("MSFT", 2)
        gateway.faults.manual_trade("AAPL", 3, account=TWO[1])
        assert len(await asked_positions(ib)) == 3
        gateway.faults.empty_positions()
        assert await asked_positions(ib) == []
        gateway.faults.empty_positions(account=TWO[0])
        assert [row.account for row in await asked_positions(ib)] == [TWO[1]]
        gateway.faults.partial_positions(rows=1)
        assert len(await asked_positions(ib)) == 1
        errors = []
        ib.errorEvent += lambda request, code, *rest: errors.append((request, code))
        gateway.faults.failing_positions()
        pending = asyncio.ensure_future(ib.reqPositionsAsync())
        await until(lambda: (-1, 321) in errors, "321")
        assert not pending.done()
        gateway.faults.hanging_positions(times=0)
        pending.cancel()
    async with connected(gateway.port, client_id=2, readonly=True, timeout=1) as ib:  # its positions never end
        pass_on = asyncio.ensure_future(ib.reqPositionsAsync())
        assert await ib.reqCurrentTimeAsync()
        assert not pass_on.done()
        pass_on.cancel()
        gateway.faults.clear_positions()
        assert len(await asked_positions(ib)) == 3


async def test_connectivity_messages_reach_everybody_and_held_fills_come_with_1102(gateway):
    async with connected(gateway.port) as ib:
        codes = []
        ib.errorEvent += lambda request, code, *rest: codes.append(code)
        gateway.faults.connectivity(1100, hold=True)
        await until(lambda: codes == [1100], "1100")
        trade = ib.placeOrder(AAPL, buy(10))
        await until(gateway.executions, "executed")
        assert trade.fills == []
        gateway.faults.connectivity(1102)
        await until(lambda: trade.orderStatus.status == "Filled", "told after 1102")
        gateway.faults.connectivity(2110)
        gateway.faults.connectivity(2104)
        await until(lambda: codes[-2:] == [2110, 2104], "2110, 2104")


async def test_1101_loses_held_messages_and_subscriptions(gateway):
    async with connected(gateway.port) as ib:
        gateway.faults.connection_lost(for_s=0.2, data_lost=True)
        trade = ib.placeOrder(AAPL, buy(10))
        codes = []
        ib.errorEvent += lambda request, code, *rest: codes.append(code)
        await until(lambda: 1101 in codes, "1101")
        gateway.faults.manual_trade("MSFT", 1)
        assert len(await replay(ib)) == 2
        assert trade.orderStatus.status == "PendingSubmit"
        assert ib.positions() == []
        assert len(await asked_positions(ib)) == 2


async def test_a_socket_cut_in_a_message_ends_the_connection_and_the_next_one_works(gateway):
    async with connected(gateway.port) as ib:
        lost = []
        ib.disconnectedEvent += lambda: lost.append(True)
        assert gateway.faults.cut_connection() == 1
        await until(lambda: lost, "disconnected")
    async with connected(gateway.port) as ib:
        assert await ib.reqCurrentTimeAsync()


async def test_the_nightly_reset_ends_everything_and_refuses_for_a_while(gateway):
    async with connected(gateway.port, client_id=1) as one, connected(gateway.port, client_id=2) as two:
        assert gateway.faults.nightly_reset(for_s=0.5) == 2
        await until(lambda: not one.isConnected() and not two.isConnected(), "all gone")
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        with contextlib.suppress(ConnectionError):  # a reset is as good a refusal as an end
            writer.write(b"API\0\0\0\0\x09v157..176")
            assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()
        await until(lambda: not gateway.refusing, "open again")
    async with connected(gateway.port, client_id=1) as ib:
        assert ib.managedAccounts() == list(TWO)


async def _option(ib, right):
    expiry = (await ib.reqContractDetailsAsync(Option("AAPL")))[0].contract.lastTradeDateOrContractMonth
    (known,) = await ib.qualifyContractsAsync(Option("AAPL", expiry, 270, right, "SMART"))
    return known


@pytest.mark.parametrize(
    ("right", "action", "shares"), [("C", "SELL", -200), ("P", "SELL", 200), ("C", "BUY", 200), ("P", "BUY", -200)]
)
async def test_assignment_and_exercise_move_both_legs_at_the_strike_without_an_execution(
    gateway, right, action, shares
):
    async with connected(gateway.port) as ib:
        option = await _option(ib, right)
        await filled(ib, 2, option, action)
        happen = gateway.faults.assign_option if action == "SELL" else gateway.faults.exercise_option
        assert happen() == (option.conId, 265598)
        (row,) = await asked_positions(ib)
        assert (row.contract.conId, row.position, row.avgCost) == (265598, float(shares), 270.0)
        assert len(await replay(ib)) == 1


async def test_an_expired_option_and_a_settled_future_become_zero(gateway):
    async with connected(gateway.port) as ib:
        zeros = []
        ib.positionEvent += lambda p: zeros.append(p.contract.conId) if p.position == 0 else None
        option = await _option(ib, "C")
        await filled(ib, 2, option)
        gateway.faults.expire_option()
        await until(lambda: zeros == [option.conId], "zero")
        future = (await ib.reqContractDetailsAsync(Future("ES")))[0].contract
        await filled(ib, 1, future)
        gateway.faults.expire_future(price=6900)
        await until(lambda: zeros == [option.conId, future.conId], "zero")
    assert gateway.positions() == {}


async def test_a_split_with_a_new_con_id_moves_the_holding_and_pays_the_fraction(gateway):
    async with connected(gateway.port) as ib:
        await filled(ib, 130)
        new = gateway.faults.split("AAPL", new=1, old=25, new_con_id=True)
        assert gateway.positions() == {(TWO[0], new): Decimal(5)}
        (details,) = await ib.reqContractDetailsAsync(AAPL)
        assert details.contract.conId == new != 265598


async def test_a_split_with_the_same_con_id_keeps_the_cost(gateway):
    async with connected(gateway.port) as ib:
        await filled(ib, 10)
        before = (await asked_positions(ib))[0]
        assert gateway.faults.split("AAPL", new=4, old=1) == 265598
        (after,) = await asked_positions(ib)
        assert after.position == 40.0
        assert after.avgCost * 40 == pytest.approx(before.avgCost * 10)


async def test_transfers_drift_and_liquidation(gateway):
    async with connected(gateway.port) as ib:
        gateway.faults.transfer("MSFT", 50, price=400)
        gateway.faults.drift("AAPL", 20)
        assert await replay(ib) == {}
        exec_id = gateway.faults.liquidation("AAPL", -20)
        execution = (await replay(ib))[exec_id].execution
        assert (execution.liquidation, execution.orderId, execution.clientId) == (1, -1, 0)
        assert execution.orderRef == ""
    assert gateway.positions() == {(TWO[0], 272093): Decimal(50)}


async def test_rejects_late_fills_and_orders_of_strangers(gateway):
    async with connected(gateway.port) as ib:
        errors = []
        ib.errorEvent += lambda request, code, *rest: errors.append(code)
        gateway.faults.reject_next(reason="no margin")
        rejected = ib.placeOrder(AAPL, buy(10))
        await until(lambda: 201 in errors, "201")
        assert gateway.positions() == {}
        gateway.faults.reject_with_position()
        ib.placeOrder(AAPL, buy(3))
        await until(lambda: [p.position for p in ib.positions()] == [3.0], "a position all the same")
        assert await replay(ib) == {}
        gateway.faults.cancelled_then_filled()
        trade = ib.placeOrder(AAPL, LimitOrder("BUY", 5, 100, account=TWO[0]))
        await until(lambda: trade.orderStatus.status == "Submitted", "resting")
        ib.cancelOrder(trade.order)
        await until(lambda: trade.fills and trade.orderStatus.status == "Filled", "filled after its cancel")
        perm_id = gateway.faults.unknown_client_order("MSFT", 10, limit=1, client_id=77)
        listed = {t.order.permId: t.order.clientId for t in await ib.reqAllOpenOrdersAsync()}
        assert listed[perm_id] == 77
        assert rejected.fills == []


async def test_an_execution_with_an_unreadable_time_is_dropped_by_the_client_and_comes_good_on_request(gateway):
    async with connected(gateway.port) as ib:
        gateway.faults.undecodable_execution()
        ib.placeOrder(AAPL, buy(10))
        await until(ib.positions, "the position")
        assert ib.fills() == []
        assert len(await replay(ib)) == 1
        gateway.faults.time_style("dash")
        await filled(ib, 1)


async def test_position_reports_can_be_truncated_and_cost_and_readiness_wrong(gateway):
    async with connected(gateway.port, account=TWO[0]) as ib:
        gateway.faults.transfer("AAPL", "1.4", price=200)
        gateway.faults.truncate_positions()
        assert [row.position for row in await asked_positions(ib)] == [1.0]
        gateway.faults.truncate_positions(on=False)
        gateway.faults.wrong_average_cost("AAPL", "0.5", for_s=0)
        assert [row.avgCost for row in await asked_positions(ib)] == [100.0]
        gateway.faults.clear()
        assert [(row.position, row.avgCost) for row in await asked_positions(ib)] == [(1.4, 200.0)]

        def ready():
            return {v.value for v in ib.accountValues(TWO[0]) if v.tag == "AccountReady"}

        gateway.faults.account_not_ready(for_s=0.3)
        await until(lambda: ready() == {"false"}, "not ready")
        await until(lambda: ready() == {"true"}, "ready")


def test_every_fault_is_described_for_people():
    described = FaultDesk.describe()
    assert len(described) > 35
    for one in described:
        assert one.label
        assert one.group
        assert len(one.help) > 20
        assert not one.name.startswith("_")
    defaults = {p.name: p.default for one in described if one.name == "manual_trade" for p in one.parameters}
    assert defaults == {"symbol": "AAPL", "quantity": 10, "price": None, "account": ""}


async def test_faults_run_by_name_with_texts_and_on_schedule(gateway):
    gateway.faults.run("manual_trade", symbol="MSFT", quantity="2.0", account=TWO[1])
    gateway.faults.schedule("manual_trade:symbol=IBM,quantity=3@0.05")
    await until(lambda: len(gateway.positions()) == 2, "both")
    assert set(gateway.positions().values()) == {Decimal(2), Decimal(3)}
    for name, parameters in [("nonsense", {}), ("manual_trade", {"colour": 1}), ("manual_trade", {"symbol": "ZZZ"})]:
        with pytest.raises(FaultError):
            gateway.faults.run(name, **parameters)
    for script in ("manual_trade@soon", "manual_trade:symbol", "_after@1", "split:new=x"):
        with pytest.raises(FaultError):
            gateway.faults.schedule(script)


async def test_a_scheduled_fault_that_cannot_happen_is_told_and_the_gateway_goes_on(gateway, caplog):
    gateway.faults.schedule("manual_trade:symbol=NOPE")
    gateway.faults.schedule("manual_trade:symbol=IBM,quantity=3@0.05")
    await until(lambda: set(gateway.positions().values()) == {Decimal(3)}, "the one that can")
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [(record.name, record.exc_info) for record in told] == [("engine.simulator.faults", None)]


def test_a_count_that_no_list_can_have_is_refused_by_name(gateway):
    for fault in ("sentinel_commission", "late_commission"):
        with pytest.raises(FaultError, match="count must be"):
            gateway.faults.run(fault, count=10**400)
