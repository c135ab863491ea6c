"""A strategy's messages with the installed library's own objects say what the engine's own connection sees."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from engine.broker.library import load_library
from engine.broker.translate import facts_from_raw, message_facts, raw_text
from engine.core.events import Commission, Fill, OrderUpdate
from tests.integration.broker_kit import CLIENT, gateway, linked, until

pytestmark = pytest.mark.client

OURS, THEIRS = 40, 3


@asynccontextmanager
async def strategy(port):
    """A strategy's own connection; every event becomes a message at once, as the contract has it."""
    library = load_library(CLIENT)
    ib = library.IB()
    messages = []

    def put(kind, trade, **parts):
        message = {"type": kind, "strategy": "ALPHA", "trade": trade, **parts}
        messages.append((message, message_facts(message, datetime.now(UTC)), raw_text(message)))

    ib.newOrderEvent += lambda trade: put("order", trade)
    ib.orderStatusEvent += lambda trade: put("status_change", trade, status=trade.orderStatus.status)
    ib.execDetailsEvent += lambda trade, fill: put("fill", trade, fill=fill)
    ib.commissionReportEvent += lambda trade, fill, report: put("commission_report", trade, fill=fill, report=report)
    await ib.connectAsync("127.0.0.1", port, clientId=THEIRS, timeout=30)
    try:
        yield library, ib, messages
    finally:
        ib.disconnect()


def facts_of(messages, kind):
    return [fact for _, facts, _ in messages for fact in facts if isinstance(fact, kind)]


async def test_a_market_orders_messages_say_what_our_own_connection_sees_f11_f23():
    with gateway(master_client_id=OURS, accounts=("DU1",)) as host:
        async with linked(host.port) as link, strategy(host.port) as (library, ib, messages):
            order = library.MarketOrder("SELL", 7, orderRef="ALPHA-1")
            trade = ib.placeOrder(library.Stock("AAPL", "SMART", "USD"), order)
            await until(lambda: facts_of(messages, Commission) and link.of(Commission) and trade.isDone())
            ours, theirs = link.of(Fill)[0], facts_of(messages, Fill)[0]
            for name in (
                "account",
                "exec_id",
                "quantity",
                "price",
                "executed_at",
                "order_ref",
                "perm_id",
                "order_id",
                "client_id",
                "exchange",
                "cum_quantity",
                "liquidation",
            ):
                assert getattr(ours, name) == getattr(theirs, name), name
            assert ours.instrument.con_id == theirs.instrument.con_id == 265598
            assert (ours.strategy, theirs.strategy) == (None, "ALPHA")
            fees = link.of(Commission)[0], facts_of(messages, Commission)[0]
            assert (fees[0].exec_id, fees[0].amount, fees[0].currency) == (
                fees[1].exec_id,
                fees[1].amount,
                fees[1].currency,
            )


async def test_an_orders_life_is_told_with_what_the_library_made_up_marked_f66_f67():
    with gateway(master_client_id=OURS, accounts=("DU1",)) as host:
        async with linked(host.port) as link, strategy(host.port) as (library, ib, messages):
            trade = ib.placeOrder(
                library.Stock("AAPL", "SMART", "USD"), library.LimitOrder("BUY", 5, 1.0, account="DU1")
            )
            assert facts_of(messages, OrderUpdate)[0].local is True
            await until(lambda: trade.orderStatus.status == "Submitted")
            ib.cancelOrder(trade.order)
            await until(lambda: [s for s in link.of(OrderUpdate, status="Cancelled") if s.filled is not None])
            # Whatever the library said on the way (ib_async cancels on 202 by itself), our own last word is IB's.
            last = [sight for sight in link.of(OrderUpdate) if sight.status][-1]
            assert (last.status, last.local, last.account) == ("Cancelled", False, "DU1")


async def test_a_rejected_order_is_inactive_and_fills_nothing_f68_f69():
    with gateway(master_client_id=OURS, accounts=("DU1",)) as host:
        host.gateway.faults.run("reject_next", reason="insufficient margin")
        async with linked(host.port) as link, strategy(host.port) as (library, ib, messages):
            ib.placeOrder(library.Stock("AAPL", "SMART", "USD"), library.MarketOrder("BUY", 5))
            await until(lambda: [s for s in facts_of(messages, OrderUpdate) if s.status == "Inactive"])
            await until(lambda: link.of(OrderUpdate, status="Inactive"))
            if CLIENT == "ib_insync":
                # ib_async holds an inactive order for done, and does not pass the error on that follows it.
                rejects = await until(lambda: [s for s in facts_of(messages, OrderUpdate) if s.error_code == 201])
                assert "margin" in rejects[-1].message
            assert link.of(Fill) == facts_of(messages, Fill) == []


async def test_quarantined_messages_of_real_objects_can_be_read_again():
    with gateway(accounts=("DU1",)) as host:
        async with strategy(host.port) as (library, ib, messages):
            trade = ib.placeOrder(library.Stock("AAPL", "SMART", "USD"), library.MarketOrder("BUY", 5))
            await until(lambda: facts_of(messages, Commission) and trade.isDone())
            for _, facts, raw in messages:
                assert facts_from_raw(raw, facts[0].received_at) == facts


async def test_sixty_requests_at_once_are_paced_and_all_answered_f132():
    with gateway(max_messages_per_s=50) as host:
        async with linked(host.port) as link:
            session = link.broker._session
            assert session.ib.client.MaxRequests < 50 / 2
            for _ in range(60):
                session.ib.client.reqCurrentTime()
            assert (await session.details(265598)).instrument.symbol == "AAPL"
            assert link.broker.available
            assert not [notice for notice in link.broker.notices if notice.code == 100]
