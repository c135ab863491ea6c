"""Positions are confirmed or unknown: what the gateway does wrong never looks like flat."""

import asyncio
from decimal import Decimal

import pytest

from engine.core.snapshot import Confirmed, Unknown
from engine.errors import BrokerUnavailable
from tests.integration.broker_kit import desk, gateway, linked, until

pytestmark = pytest.mark.client


@pytest.fixture
async def host():
    with gateway() as running:
        await desk(running, "manual_trade", symbol="AAPL", quantity=10, account="DU1")
        await desk(running, "manual_trade", symbol="MSFT", quantity=-5, account="DU1")
        await desk(running, "manual_trade", symbol="AAPL", quantity=7, account="DU2")
        yield running


TRUE = {("DU1", "AAPL"): Decimal(10), ("DU1", "MSFT"): Decimal(-5), ("DU2", "AAPL"): Decimal(7)}


def held(answer):
    assert all(isinstance(snapshot, Confirmed) for snapshot in answer), answer
    return {(row.account, row.instrument.symbol): row.quantity for snapshot in answer for row in snapshot.rows}


def unknown(answer):
    assert all(isinstance(snapshot, Unknown) for snapshot in answer), answer
    return {snapshot.account for snapshot in answer}


async def test_a_complete_answer_is_confirmed_per_account_with_its_times_r17_r25(host):
    async with linked(host.port) as link:
        answer = await link.broker.positions()
        assert held(answer) == TRUE
        assert [snapshot.account for snapshot in answer] == ["DU1", "DU2"]
        assert all(snapshot.requested_at <= snapshot.answered_at for snapshot in answer)
        assert {snapshot.epoch for snapshot in answer} == {1}
        one = await link.broker.positions(["DU2"])
        assert held(one) == {("DU2", "AAPL"): Decimal(7)}


async def test_every_answer_is_fresh_r25_r5(host):
    async with linked(host.port) as link:
        await link.broker.positions()
        await desk(host, "manual_trade", symbol="AAPL", quantity=-10, account="DU1")
        assert held(await link.broker.positions()).get(("DU1", "AAPL"), 0) == 0


async def test_an_empty_answer_is_asked_for_again_f120_f126_r3(host):
    async with linked(host.port) as link:
        await link.broker.positions()
        await desk(host, "empty_positions", times=1)
        assert held(await link.broker.positions()) == TRUE


async def test_a_lasting_empty_answer_that_the_portfolio_contradicts_is_unknown_not_flat_f120_r3(host):
    async with linked(host.port) as link:
        await link.broker.positions()
        await until(lambda: link.broker.accounts.holds("DU1"), "portfolio rows of DU1")
        await desk(host, "empty_positions", times=0)
        for _ in range(3):
            assert unknown(await link.broker.positions(["DU1"])) == {"DU1"}
        await desk(host, "clear_positions")
        assert held(await link.broker.positions()) == TRUE


async def test_an_account_that_was_really_sold_out_is_confirmed_flat_f126(host):
    async with linked(host.port) as link:
        await link.broker.positions()
        await until(lambda: link.broker.accounts.holds("DU1"), "portfolio rows of DU1")
        await desk(host, "manual_trade", symbol="AAPL", quantity=-10, account="DU1")
        await desk(host, "manual_trade", symbol="MSFT", quantity=5, account="DU1")
        await until(lambda: not link.broker.accounts.holds("DU1"), "portfolio rows that say flat")
        answer = await link.broker.positions(["DU1"])
        assert all(quantity == 0 for quantity in held(answer).values())


async def test_the_first_empty_answer_is_asked_for_again_too(host):
    async with linked(host.port) as link:
        await desk(host, "empty_positions", times=1)
        assert held(await link.broker.positions()) == TRUE


async def test_an_answer_that_suddenly_lacks_rows_is_asked_for_again(host):
    async with linked(host.port) as link:
        await link.broker.positions()
        await desk(host, "partial_positions", times=1, rows=1)
        assert held(await link.broker.positions()) == TRUE
        await desk(host, "empty_positions", times=1, account="DU2")
        assert held(await link.broker.positions()) == TRUE


@pytest.mark.parametrize("rows", [0, 2])
async def test_an_answer_that_never_ends_is_unknown_and_the_next_one_is_whole_r3_r26_f124_f127(host, rows):
    async with linked(host.port) as link:
        link.broker._session.requests._timeout_s = 0.3
        await desk(host, "hanging_positions", times=1, rows=rows)
        answer = await link.broker.positions()
        assert unknown(answer) == {"DU1", "DU2"}
        assert "no complete answer" in answer[0].reason
        link.broker._session.requests._timeout_s = 30.0
        assert held(await link.broker.positions()) == TRUE


async def test_a_failing_answer_is_unknown_f125_r34(host):
    async with linked(host.port) as link:
        await desk(host, "failing_positions", times=1)
        assert unknown(await link.broker.positions()) == {"DU1", "DU2"}
        assert held(await link.broker.positions()) == TRUE


async def test_requests_at_the_same_time_all_get_whole_answers_f119(host):
    async with linked(host.port) as link:
        answers = await asyncio.gather(*(link.broker.positions() for _ in range(5)))
        assert [held(answer) for answer in answers] == [TRUE] * 5


async def test_a_connection_that_ends_while_asking_is_unknown_at_once_f134(host):
    async with linked(host.port) as link:
        await desk(host, "hanging_positions", times=1, rows=1)
        asking = asyncio.create_task(link.broker.positions())
        await until(lambda: link.broker._session is not None and link.broker._session.requests.asking("positions"))
        await desk(host, "cut_connection")
        assert unknown(await asking) == {"DU1", "DU2"}
        await link.connected()
        answer = await link.broker.positions()
        assert held(answer) == TRUE
        assert {snapshot.epoch for snapshot in answer} == {2}


async def test_without_a_link_to_ibs_servers_nothing_is_compared_f129(host):
    async with linked(host.port) as link:
        await desk(host, "connectivity", code=1100)
        await until(lambda: link.broker.state.state == "degraded")
        answer = await link.broker.positions()
        assert unknown(answer) == {"DU1", "DU2"}
        assert "1100" in answer[0].reason
        with pytest.raises(BrokerUnavailable, match="1100"):
            await link.broker.refresh_executions()


async def test_an_account_that_ib_resets_is_unknown_alone_f128(host):
    async with linked(host.port) as link:
        taps = link.broker._session.taps
        taps.read(["6", "2", "AccountReady", "false", "", "DU1"])
        one, two = await link.broker.positions()
        assert isinstance(one, Unknown)
        assert isinstance(two, Confirmed)
        taps.read(["73", "1", "9", "DU1", "", "AccountReady", "true", ""])
        assert held(await link.broker.positions()) == TRUE


async def test_other_accounts_than_configured_are_refused_f135(host):
    async with linked(host.port, wait=False, ib_accounts="U7654321") as link:
        await until(lambda: "U7654321 is configured" in link.broker.state.reason)
        assert link.broker.state.state == "unavailable"
        assert unknown(await link.broker.positions()) == {"DU1", "DU2"}


async def test_sixty_accounts_are_refused_loudly_and_none_looks_flat_f118_r42():
    with gateway(accounts=[f"DU{number}" for number in range(60)]) as host:
        async with linked(host.port, wait=False) as link:
            await until(lambda: "60 accounts" in link.broker.state.reason)
            assert len(unknown(await link.broker.positions())) == 60


async def test_an_advisors_master_is_reported_and_not_asked_for_f79a():
    with gateway(accounts=("F123456", "DU1", "DU2")) as host:
        await desk(host, "manual_trade", symbol="AAPL", quantity=20, account="F123456")
        await desk(host, "manual_trade", symbol="AAPL", quantity=20, account="DU2")
        async with linked(host.port) as link:
            assert (link.broker.state.accounts, link.broker.state.masters) == (("DU1", "DU2"), ("F123456",))
            assert held(await link.broker.positions()) == {("DU2", "AAPL"): Decimal(20)}
            assert unknown(await link.broker.positions(["F123456"])) == {"F123456"}


async def test_without_a_connection_the_configured_accounts_are_unknown():
    with gateway() as host:
        port = host.port
    async with linked(port, wait=False, ib_accounts="DU1, DU2") as link:
        await until(lambda: link.broker.state.attempts)
        assert unknown(await link.broker.positions()) == {"DU1", "DU2"}
