"""The simulated gateway, used by the installed IB client over a real socket."""

import asyncio
from decimal import Decimal

import pytest

from engine.simulator import GatewayConfig, GatewayThread
from tests.integration.ibclient import (
    Bag,
    ComboLeg,
    Contract,
    Crypto,
    ExecutionFilter,
    Forex,
    Future,
    LimitOrder,
    MarketOrder,
    Option,
    Stock,
    StopOrder,
    TagValue,
    TimeCondition,
    asked_positions,
    connected,
    until,
)

pytestmark = pytest.mark.client

TWO = ("DU1234567", "DU7654321")
AAPL = Stock("AAPL", "SMART", "USD")


@pytest.fixture
def gateway():
    with GatewayThread(GatewayConfig(accounts=TWO, tick_s=0, account_update_s=0.05)) as thread:
        yield thread.gateway


def order(action, quantity, account=TWO[0], **more):
    return MarketOrder(action, quantity, account=account, **more)


async def filled(ib, contract, placed):
    """Place an order and wait until it is filled and its commission known."""
    trade = ib.placeOrder(contract, placed)
    await until(lambda: trade.orderStatus.status == "Filled", "filled")
    await until(lambda: trade.fills and all(f.commissionReport.execId for f in trade.fills), "commission")
    return trade


async def test_the_handshake_ends_with_accounts_an_order_id_and_the_capped_version(gateway):
    async with connected(gateway.port) as ib:
        assert ib.managedAccounts() == list(TWO)
        assert ib.client.serverVersion() == 176
        assert ib.client.getReqId() >= 1


async def test_a_market_order_is_filled_with_its_commission_and_the_same_perm_id_everywhere(gateway):
    async with connected(gateway.port) as ib:
        trade = await filled(ib, AAPL, order("BUY", 100, orderRef="ALPHA"))
        (fill,) = trade.fills
        assert fill.execution.side == "BOT"
        assert (fill.execution.shares, fill.execution.orderRef) == (100.0, "ALPHA")
        assert fill.execution.permId == trade.orderStatus.permId == trade.order.permId > 0
        assert fill.execution.time.utcoffset().total_seconds() == 0
        assert fill.commissionReport.commission == 1.0
        assert fill.commissionReport.currency == "USD"
        assert [entry.status for entry in trade.log][:2] == ["PendingSubmit", "PreSubmitted"]
    assert gateway.positions() == {(TWO[0], 265598): Decimal(100)}


async def test_an_order_above_the_lot_fills_in_parts_whose_cumulative_quantities_add_up(gateway):
    async with connected(gateway.port) as ib:
        trade = await filled(ib, AAPL, order("SELL", 500))
        assert [fill.execution.shares for fill in trade.fills] == [200.0, 200.0, 100.0]
        assert [fill.execution.cumQty for fill in trade.fills] == [200.0, 400.0, 500.0]
        assert len({fill.execution.execId for fill in trade.fills}) == 3


@pytest.mark.parametrize(
    ("contract", "quantity"),
    [
        (AAPL, 7),
        (Stock("SAP", "SMART", "EUR"), 7),
        (Stock("VOD", "LSE", "GBP"), 70),
        (Forex("EURUSD"), 25000),
        (Crypto("BTC", "PAXOS", "USD"), 0.125),
    ],
    ids=["dollar stock", "euro stock", "pence stock", "currency pair", "coin"],
)
async def test_every_kind_of_instrument_is_qualified_traded_and_reported(gateway, contract, quantity):
    async with connected(gateway.port) as ib:
        (known,) = await ib.qualifyContractsAsync(contract)
        await filled(ib, known, order("BUY", quantity))
        (row,) = await asked_positions(ib)
        assert (row.contract.conId, row.position) == (known.conId, quantity)


async def test_derivatives_carry_expiry_strike_and_multiplier(gateway):
    async with connected(gateway.port) as ib:
        futures = await ib.reqContractDetailsAsync(Future("ES", exchange="CME"))
        assert {details.contract.multiplier for details in futures} == {"50"}
        gold = await ib.reqContractDetailsAsync(Future("GC"))
        assert {details.contract.multiplier for details in gold} == {"100"}
        expiry = (await ib.reqContractDetailsAsync(Option("AAPL")))[0].contract.lastTradeDateOrContractMonth
        (call,) = await ib.qualifyContractsAsync(Option("AAPL", expiry, 270, "C", "SMART"))
        assert (call.multiplier, call.right, call.strike) == ("100", "C", 270.0)
        trade = await filled(ib, call, order("SELL", 3))
        assert trade.fills[0].contract.right == "C"
        assert trade.fills[0].commissionReport.commission == 1.95


async def test_pence_are_told_by_the_magnifier_and_average_cost_is_in_pounds(gateway):
    async with connected(gateway.port) as ib:
        (details,) = await ib.reqContractDetailsAsync(Stock("VOD", "LSE", "GBP"))
        assert details.priceMagnifier == 100
        trade = await filled(ib, details.contract, order("BUY", 1000))
        (row,) = await asked_positions(ib)
        pounds = Decimal(str(trade.fills[0].execution.price)) / 100
        assert Decimal(repr(row.avgCost)) == pytest.approx(pounds + Decimal("0.003"))


async def test_an_unknown_contract_is_error_200_and_an_ambiguous_order_too(gateway):
    async with connected(gateway.port) as ib:
        assert await ib.reqContractDetailsAsync(Stock("NOSUCH", "SMART", "USD")) == []
        errors = []
        ib.errorEvent += lambda request, code, *rest: errors.append(code)
        ib.placeOrder(Stock("VOD", "SMART", ""), order("BUY", 1))
        await until(lambda: 200 in errors, "200")
    assert gateway.orders() == []


async def test_portfolio_and_account_values_come_with_rates_and_balances_per_currency(gateway):
    async with connected(gateway.port, account=TWO[1]) as ib:
        await filled(ib, Stock("SAP", "SMART", "EUR"), order("BUY", 10, account=TWO[1]))
        row = await until(lambda: ib.portfolio(TWO[1]), "portfolio row")
        assert (row[0].position, row[0].contract.conId) == (10.0, 14204)

        def value(tag, currency):
            return {v.value for v in ib.accountValues(TWO[1]) if (v.tag, v.currency) == (tag, currency)}

        assert value("ExchangeRate", "EUR") == {"1.159"}
        assert value("ExchangeRate", "USD") == {"1"}
        assert value("AccountReady", "") == {"true"}
        await until(lambda: value("CashBalance", "EUR"), "euro balance")
        assert float(value("CashBalance", "EUR").pop()) < 0
        assert value("CashBalance", "USD") == {"1000000.00"}
        assert value("NetLiquidation", "USD")
        assert value("CashBalance", "BASE")


async def test_a_position_that_becomes_flat_is_sent_as_zero_once_and_then_left_out(gateway):
    async with connected(gateway.port) as ib:
        seen = []
        ib.positionEvent += lambda position: seen.append(position.position)
        await filled(ib, AAPL, order("BUY", 10))
        await filled(ib, AAPL, order("SELL", 10))
        await until(lambda: seen[-1:] == [0.0], "zero")
        assert await asked_positions(ib) == []


async def test_cancel_modify_and_the_errors_of_a_finished_order(gateway):
    async with connected(gateway.port) as ib:
        errors = []
        ib.errorEvent += lambda request, code, *rest: errors.append(code)
        trade = ib.placeOrder(AAPL, LimitOrder("BUY", 5, 100, account=TWO[0]))
        await until(lambda: trade.orderStatus.status == "Submitted", "resting")
        trade.order.lmtPrice = 101.0
        ib.placeOrder(AAPL, trade.order)
        await until(lambda: gateway.orders()[0].limit == 101, "modified")
        ib.cancelOrder(trade.order)
        await until(lambda: gateway.orders()[0].status == "Cancelled", "cancelled")
        await until(lambda: trade.orderStatus.status == "Cancelled", "told of it")
        assert 202 in errors
        ib.client.cancelOrder(trade.order.orderId, "")
        await until(lambda: 10148 in errors, "10148")
        ib.client.cancelOrder(trade.order.orderId + 500, "")
        await until(lambda: 10147 in errors, "10147")
        ib.client.placeOrder(trade.order.orderId, AAPL, order("BUY", 1))
        await until(lambda: 103 in errors, "103")
    assert gateway.positions() == {}


async def test_a_resting_order_fills_when_the_market_comes_to_it(gateway):
    async with connected(gateway.port) as ib:
        limit = ib.placeOrder(AAPL, LimitOrder("BUY", 5, 271.0, account=TWO[0]))
        stop = ib.placeOrder(AAPL, StopOrder("SELL", 7, 270.5, account=TWO[0]))
        await until(lambda: limit.orderStatus.status == "Submitted", "limit rests")
        await until(lambda: stop.orderStatus.status == "PreSubmitted", "stop waits")

        def crash():
            gateway.world.market.set_price(gateway.world.catalogue.get(265598), Decimal(270))
            for resting in list(gateway.world.live.values()):
                gateway.exchange.work(resting)

        gateway.loop.call_soon_threadsafe(crash)
        await until(lambda: limit.orderStatus.status == stop.orderStatus.status == "Filled", "both filled")
        assert limit.fills[0].execution.price == 270.01
        assert stop.fills[0].execution.price == 270.0


async def test_a_bracket_waits_for_its_parent_and_its_exits_cancel_each_other(gateway):
    async with connected(gateway.port) as ib:
        parent, target, stop = ib.bracketOrder("BUY", 10, 300, 260, 250)
        for part in (parent, target, stop):
            part.account = TWO[0]
        trades = [ib.placeOrder(AAPL, part) for part in (parent, target, stop)]
        await until(lambda: all(trade.orderStatus.status == "Filled" for trade in trades[:2]), "entry and target")
        await until(lambda: trades[2].orderStatus.status == "Cancelled", "stop cancelled")
    assert gateway.positions() == {}


async def test_one_cancels_other_orders_leave_one_fill(gateway):
    async with connected(gateway.port) as ib:
        resting = LimitOrder("BUY", 10, 100, account=TWO[0], ocaGroup="pair", ocaType=1)
        taking = LimitOrder("BUY", 10, 300, account=TWO[0], ocaGroup="pair", ocaType=1)
        trades = [ib.placeOrder(AAPL, one) for one in (resting, taking)]
        await until(lambda: trades[0].orderStatus.status == "Cancelled", "the other")
        await until(lambda: trades[1].orderStatus.status == "Filled", "the one")
    assert gateway.positions() == {(TWO[0], 265598): Decimal(10)}


async def test_a_combination_reports_itself_and_its_legs_and_only_legs_have_positions(gateway):
    async with connected(gateway.port) as ib:
        legs = [ComboLeg(conId=265598, ratio=1, action="BUY"), ComboLeg(conId=272093, ratio=2, action="SELL")]
        bag = Bag(symbol="AAPL,MSFT", exchange="SMART", currency="USD", comboLegs=legs)
        trade = ib.placeOrder(bag, order("BUY", 3))
        await until(lambda: len(trade.fills) == 3, "three executions")
        assert [fill.contract.secType for fill in trade.fills] == ["BAG", "STK", "STK"]
        assert [fill.execution.execId.split(".")[2] for fill in trade.fills] == ["01", "02", "03"]
        assert trade.fills[0].contract.conId == 28812380
        assert trade.fills[0].execution.price < 0
    assert gateway.positions() == {(TWO[0], 265598): Decimal(3), (TWO[0], 272093): Decimal(-6)}


async def test_an_order_with_every_optional_block_is_read_to_its_end(gateway):
    async with connected(gateway.port) as ib:
        rich = LimitOrder("BUY", 5, 100, account=TWO[0], orderRef="rich", hedgeType="D", hedgeParam="1")
        rich.algoStrategy, rich.algoParams = "Adaptive", [TagValue("adaptivePriority", "Normal")]
        rich.scalePriceIncrement, rich.scaleInitLevelSize, rich.scaleSubsLevelSize = 0.5, 2, 1
        rich.conditions = [TimeCondition(isMore=True, time="20401212 10:00:00")]
        trade = ib.placeOrder(AAPL, rich)
        await until(lambda: trade.orderStatus.status == "Submitted", "resting")
        (kept,) = [t.order for t in await ib.reqAllOpenOrdersAsync()]
        assert (kept.orderRef, kept.lmtPrice, kept.account) == ("rich", 100.0, TWO[0])


async def test_a_what_if_answers_margins_and_leaves_no_order(gateway):
    async with connected(gateway.port) as ib:
        state = await ib.whatIfOrderAsync(AAPL, order("BUY", 100))
        assert float(state.initMarginChange) > 0
        assert state.commission == 1.0
    assert gateway.orders() == []


async def test_the_days_executions_are_given_to_a_new_connection_and_to_another_client(gateway):
    async with connected(gateway.port, client_id=1) as ib:
        trade = await filled(ib, AAPL, order("BUY", 10, orderRef="ALPHA"))
        (exec_id,) = [fill.execution.execId for fill in trade.fills]
    for client_id in (1, 2):
        async with connected(gateway.port, client_id=client_id) as ib:
            (fill,) = ib.fills()
            assert (fill.execution.execId, fill.execution.orderRef) == (exec_id, "ALPHA")
            assert fill.execution.clientId == 1
            assert fill.commissionReport.commission == 1.0


async def test_the_execution_filter_is_honoured_in_every_field(gateway):
    async with connected(gateway.port, client_id=3) as ib:
        await filled(ib, AAPL, order("BUY", 10))
        await filled(ib, Forex("EURUSD"), order("SELL", 1000, account=TWO[1]))

        async def count(**fields):
            return len(await ib.reqExecutionsAsync(ExecutionFilter(**fields)))

        assert await count() == 2
        assert [await count(clientId=3), await count(clientId=4)] == [2, 0]
        assert [await count(acctCode=TWO[0]), await count(acctCode=TWO[1])] == [1, 1]
        assert [await count(symbol="AAPL"), await count(symbol="MSFT")] == [1, 0]
        assert [await count(secType="CASH"), await count(secType="FUT")] == [1, 0]
        assert [await count(side="BUY"), await count(side="SELL")] == [1, 1]
        assert [await count(exchange="ISLAND"), await count(exchange="IDEALPRO")] == [1, 1]
        assert [await count(time="20200101 00:00:00"), await count(time="20991231-00:00:00")] == [2, 0]


async def test_open_orders_of_all_clients_and_completed_ones_are_listed(gateway):
    async with connected(gateway.port, client_id=1) as one, connected(gateway.port, client_id=2) as two:
        mine = one.placeOrder(AAPL, LimitOrder("BUY", 5, 100, account=TWO[0], orderRef="mine"))
        await until(lambda: mine.orderStatus.status == "Submitted", "resting")
        await filled(one, AAPL, order("BUY", 1))
        assert [t.order.orderRef for t in await two.reqOpenOrdersAsync()] == []
        (seen,) = await two.reqAllOpenOrdersAsync()
        assert (seen.order.orderRef, seen.order.clientId, seen.order.permId) == ("mine", 1, mine.order.permId)
        (ended,) = await two.reqCompletedOrdersAsync(apiOnly=False)
        assert (ended.order.filledQuantity, ended.order.totalQuantity) == (1.0, 0.0)
        assert ended.orderStatus.status == "Filled"


async def test_the_second_use_of_a_client_id_is_told_326_and_the_first_stays(gateway):
    async with connected(gateway.port, client_id=5) as first:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        announce = b"v157..176"
        writer.write(b"API\0" + len(announce).to_bytes(4, "big") + announce)
        start = b"71\x002\x005\x00\x00"
        writer.write(len(start).to_bytes(4, "big") + start)
        said = await asyncio.wait_for(reader.read(), 60)
        assert b"\x00326\x00" in said
        writer.close()
        assert await first.reqCurrentTimeAsync()


async def test_order_ids_go_on_above_those_used_before(gateway):
    async with connected(gateway.port, client_id=6) as ib:
        last = (await filled(ib, AAPL, order("BUY", 1))).order.orderId
    async with connected(gateway.port, client_id=6) as ib:
        assert ib.client.getReqId() > last
    assert gateway.world.ids.next_order_id(7) == 1


async def test_a_master_client_hears_the_orders_and_executions_of_others():
    with GatewayThread(GatewayConfig(accounts=TWO, tick_s=0, master_client_id=9)) as thread:
        async with connected(thread.port, client_id=9) as master, connected(thread.port, client_id=1) as ib:
            executed, paid = [], []
            master.execDetailsEvent += lambda trade, fill: executed.append(fill.execution.execId)
            master.commissionReportEvent += lambda trade, fill, report: paid.append(report.execId)
            trade = await filled(ib, AAPL, order("BUY", 1))
            await until(lambda: executed and paid, "the master to hear")
            assert executed == [trade.fills[0].execution.execId] == paid


async def test_thirty_two_clients_are_served_and_a_further_one_is_not(gateway):
    clients = []
    try:
        for client_id in range(32):
            context = connected(gateway.port, client_id=client_id, readonly=True)
            clients.append((context, await context.__aenter__()))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        announce, start = b"v157..176", b"71\x002\x0099\x00\x00"
        for part in (b"API\0", len(announce).to_bytes(4, "big"), announce, len(start).to_bytes(4, "big"), start):
            writer.write(part)
        said = await asyncio.wait_for(reader.read(), 60)
        assert b"326" in said
        assert b"\x0015\x001\x00" not in said
        writer.close()
        assert all(ib.isConnected() for _, ib in clients)
    finally:
        for context, _ in clients:
            await context.__aexit__(None, None, None)


async def test_a_thousand_market_orders_in_a_burst_end_in_exact_positions(gateway):
    async with connected(gateway.port) as ib:
        trades = [
            ib.placeOrder(AAPL, order("SELL" if number % 3 == 0 else "BUY", 1 + number % 7, account=TWO[number % 2]))
            for number in range(1000)
        ]
        expected = {}
        for number in range(1000):
            key = (TWO[number % 2], 265598)
            signed = (1 + number % 7) * (-1 if number % 3 == 0 else 1)
            expected[key] = expected.get(key, 0) + signed
        await until(lambda: all(t.fills and t.fills[0].commissionReport.execId for t in trades), "all paid")
        assert gateway.positions() == expected
        rows = {(row.account, row.contract.conId): row.position for row in await asked_positions(ib)}
        assert rows == expected
        assert len({fill.execution.execId for t in trades for fill in t.fills}) == 1000
        assert len({t.order.permId for t in trades}) == 1000


async def test_profit_and_summary_streams(gateway):
    async with connected(gateway.port) as ib:
        await filled(ib, AAPL, order("BUY", 10))
        profit = ib.reqPnL(TWO[0])
        single = ib.reqPnLSingle(TWO[0], "", 265598)
        await until(lambda: profit.unrealizedPnL == profit.unrealizedPnL and single.position == 10, "profit")
        assert single.value == 2715.0
        rows = await ib.accountSummaryAsync()
        assert {row.account for row in rows if row.tag == "NetLiquidation"} == set(TWO)


async def test_prices_move_by_the_seed_and_are_streamed():
    config = GatewayConfig(accounts=TWO, tick_s=0.02, volatility=Decimal(20))
    with GatewayThread(config) as thread:
        async with connected(thread.port) as ib:
            ticker = ib.reqMktData(Contract(conId=265598, exchange="SMART"))
            bids = set()
            ticker.updateEvent += lambda t: bids.add(t.bid)
            await until(lambda: len(bids) > 3, "moving prices")
            assert ticker.ask == pytest.approx(ticker.bid + 0.01)
