"""The connection comes back whatever happens to it, and says in which state it is."""

import asyncio
import socket
import struct
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from engine.core.events import ConnectionSeen, Fill, OrderUpdate, Quarantined
from tests.integration.broker_kit import desk, gateway, linked, until

pytestmark = pytest.mark.client

OURS = 40


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_a_gateway_that_comes_later_is_found():
    port = free_port()
    async with linked(port, wait=False) as link:
        await asyncio.wait_for(link.broker.settled.wait(), 60)
        await until(lambda: link.broker.state.attempts >= 2)
        assert link.broker.state.state == "unavailable"
        assert str(port) in link.broker.state.reason
        with gateway(port=port):
            await link.connected()
            assert (link.broker.state.epoch, link.broker.state.attempts) == (1, 0)
            assert link.broker.state.coverage == "own only"


async def test_a_client_id_in_use_is_said_and_no_other_is_tried_f133():
    with gateway() as host:
        async with linked(host.port) as first, linked(host.port, wait=False) as second:
            await until(lambda: second.broker.state.attempts >= 2)
            assert "326" in second.broker.state.reason
            assert "client id 40" in second.broker.state.reason
            assert first.broker.available
            await first.broker.stop()
            await second.connected()


@pytest.mark.parametrize("mid_message", [True, False])
async def test_a_cut_connection_comes_back_and_fills_of_the_gap_are_told_once_f2_f134_r1(mid_message):
    with gateway(master_client_id=OURS) as host:
        async with linked(host.port) as link:
            before = await desk(host, "manual_trade", symbol="AAPL", quantity=1)
            await until(lambda: link.of(Fill))
            await desk(host, "cut_connection", mid_message=mid_message)
            during = await desk(host, "manual_trade", symbol="AAPL", quantity=2)
            await until(lambda: link.broker.state.epoch == 2 and link.broker.available)
            after = await desk(host, "manual_trade", symbol="AAPL", quantity=3)
            await until(lambda: link.of(Fill, exec_id=after))
            assert Counter(fill.exec_id for fill in link.of(Fill)) == {before: 1, during: 1, after: 1}
            assert [(seen.state, seen.epoch) for seen in link.of(ConnectionSeen)] == [
                ("connected", 1),
                ("disconnected", 1),
                ("connected", 2),
            ]
            assert link.of(Quarantined) == []


async def test_a_dozen_cuts_lose_and_double_nothing():
    with gateway(master_client_id=OURS) as host:
        async with linked(host.port) as link:
            for number in range(12):
                if number % 2:
                    await link.connected()
                await desk(host, "manual_trade", symbol="AAPL", quantity=number + 1)
                await desk(host, "cut_connection", mid_message=bool(number % 3))
            everything = {done.exec_id for done in host.gateway.executions()}
            await until(lambda: {fill.exec_id for fill in link.of(Fill)} == everything)
            assert set(Counter(fill.exec_id for fill in link.of(Fill)).values()) == {1}


async def test_a_nightly_reset_is_outlasted():
    with gateway() as host:
        async with linked(host.port) as link:
            await desk(host, "nightly_reset", for_s=0.5)
            await until(lambda: link.broker.state.state == "unavailable")
            await link.connected()
            assert link.broker.state.epoch >= 2


@pytest.mark.parametrize(("lost", "restored"), [(1100, 1101), (1100, 1102), (2110, 2104)])
async def test_fills_while_the_link_is_down_are_told_and_a_replay_follows_f33_f129_r1_r2(lost, restored):
    with gateway(master_client_id=OURS) as host:
        async with linked(host.port) as link:
            await desk(host, "connectivity", code=lost)
            await until(lambda: link.broker.state.state == "degraded")
            seen = await desk(host, "manual_trade", symbol="AAPL", quantity=1)
            await until(lambda: link.of(Fill, exec_id=seen, source="live"))
            unseen = await desk(host, "lost_fill", symbol="AAPL", quantity=2)
            assert not link.broker.available
            await desk(host, "connectivity", code=restored)
            await until(lambda: link.of(Fill, exec_id=unseen, source="replay"))
            await link.connected()
            assert [(fact.state, fact.code) for fact in link.of(ConnectionSeen)] == [
                ("connected", 0),
                ("degraded", lost),
                ("restored", 0),
            ]
            assert [notice.code for notice in link.broker.notices][-2:] == [lost, restored]


async def test_subscriptions_that_were_lost_are_made_again_f129():
    with gateway() as host:
        async with linked(host.port) as link:
            subscribed = []
            values = link.broker._session.account_values

            async def recording(account):
                subscribed.append(account)
                await values(account)

            link.broker._session.account_values = recording
            await desk(host, "connectivity", code=1101)
            await until(lambda: subscribed == ["DU1", "DU2"])


async def test_a_cancel_while_degraded_is_told_r2():
    with gateway(master_client_id=OURS) as host:
        perm_id = await desk(host, "unknown_client_order", symbol="AAPL", quantity=10, limit=1, client_id=98)
        async with linked(host.port) as link:
            await desk(host, "connectivity", code=1100)
            await until(lambda: link.broker.state.state == "degraded")
            order = host.gateway.world.orders[perm_id]
            host.gateway.loop.call_soon_threadsafe(host.gateway.exchange.cancel, order, "")
            await until(lambda: link.of(OrderUpdate, perm_id=perm_id, status="Cancelled"))


async def test_stopping_ends_everything_also_while_it_waits_to_connect():
    async with linked(free_port(), wait=False) as link:
        await until(lambda: link.broker.state.attempts)
        await link.broker.stop()
        assert link.broker.state.reason.startswith("stopped")


def message(*fields):
    body = "".join(f"{field}\x00" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


@asynccontextmanager
async def stub(*, version=176, accounts="DU1", says_anything=True):
    """A server that shakes hands and then falls silent."""
    greeted = []

    async def serve(reader, writer):
        try:
            await reader.readexactly(4)
            greeted.append(True)
            if says_anything:
                writer.write(message(version, "20240301 10:00:00 UTC"))
                writer.write(message(15, 1, accounts) + message(9, 1, 1))
            while await reader.read(65536):
                pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], greeted
    finally:
        server.close()


async def test_a_gateway_that_falls_silent_is_stale_then_given_up_and_tried_again_r24_r26():
    async with stub() as (port, greeted), linked(port, wait=False, ib_timeout_s=0.2, stale_after_s=0.2) as link:
        await until(lambda: "stale" in link.states, lambda: link.states)
        await until(lambda: len(greeted) >= 2)
        assert "connected" not in link.states
        assert [fact.state for fact in link.of(ConnectionSeen)][:3] == ["connected", "stale", "disconnected"]


async def test_a_quiet_gateway_that_still_answers_is_not_stale():
    with gateway() as host:
        async with linked(host.port, stale_after_s=0.2) as link:
            heard = link.broker._session.heard_at
            await until(lambda: link.broker._session.heard_at > heard + 1.0)
            assert "stale" not in link.states
            assert link.broker.state.epoch == 1


async def test_a_server_that_accepts_and_says_nothing_is_given_up():
    async with stub(says_anything=False) as (port, greeted), linked(port, wait=False, ib_timeout_s=0.2) as link:
        await until(lambda: len(greeted) >= 2)
        assert "did not complete it" in link.broker.state.reason or "hung up" in link.broker.state.reason


async def test_a_protocol_newer_than_the_librarys_is_refused_instead_of_losing_messages():
    async with stub(version=900) as (port, _), linked(port, wait=False) as link:
        await until(lambda: "protocol 900" in link.broker.state.reason)
        assert link.broker.state.state == "unavailable"


async def test_executions_that_cannot_be_replayed_keep_the_connection_from_counting_r3():
    async with stub() as (port, _), linked(port, wait=False, ib_timeout_s=0.2) as link:
        await until(lambda: "executions: no complete answer" in link.broker.state.reason)
        assert link.broker.state.state == "degraded"
