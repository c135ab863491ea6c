"""A network that breaks anywhere, and a broker that answers badly, under the whole engine while a strategy trades."""

import asyncio
import random
import time
from contextlib import asynccontextmanager

import pytest

from engine.errors import BrokerUnavailable
from tests.integration.engine_kit import (
    AAPL,
    asked_again,
    chosen,
    desk,
    equal_to,
    gateway,
    online,
    running,
    trading,
    until,
)


class Cutter:
    """A wire to the gateway that breaks after a number of bytes, wherever in a message that is.

    Attributes:
        port: Where clients connect.
        cuts: How often it has broken.
    """

    def __init__(self, beyond):
        self.port = 0
        self.cuts = 0
        self._beyond = beyond
        self._left = None
        self._writers = set()

    def arm(self, bytes_left):
        """Break after so many further bytes from the gateway."""
        self._left = bytes_left

    async def serve(self):
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _client(self, reader, writer):
        try:
            other_reader, other = await asyncio.open_connection("127.0.0.1", self._beyond)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, other}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._up(reader, other))
                both.create_task(self._down(other_reader, writer, other))
        finally:
            self._writers -= {writer, other}

    async def _up(self, reader, writer):
        try:
            while data := await reader.read(4096):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.transport.abort()

    async def _down(self, reader, writer, other):
        try:
            while data := await reader.read(4096):
                if self._left is not None:
                    if len(data) >= self._left:
                        writer.write(data[: self._left])
                        self._left, self.cuts = None, self.cuts + 1
                        break
                    self._left -= len(data)
                writer.write(data)
        except OSError:
            pass
        finally:
            for end in (writer, other):
                end.transport.abort() if self.cuts % 2 else end.close()

    def close(self):
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def cut_wire(port):
    cutter = Cutter(port)
    server = await cutter.serve()
    try:
        yield cutter
    finally:
        cutter.close()
        server.close()


async def reconciled(engine):
    """Reconcile; whether IB answers or not, it is no break, and no wait without end. Returns the seconds it took."""
    began = time.monotonic()
    try:
        table = await engine.portfolio_manager.reconcile_positions()
        assert set(table["status"]) <= {"matched", "settling", "unavailable"}, table
    except BrokerUnavailable:
        pass
    opened = engine.portfolio_manager.breaks()
    assert opened.empty, opened.to_string()
    return time.monotonic() - began


async def cut_anywhere(folder, count, seed):
    """Break the engine's wire again and again: in greetings, replays, positions, and while fills come."""
    dice = random.Random(seed)
    longest_s = 0.0
    with gateway() as host:
        async with cut_wire(host.port) as cutter:
            # Only an hour's quiet confirms a break here: whatever else is said of one would be false.
            settings = chosen(folder, cutter.port, settle_s=3600.0, ib_client_id=0)
            async with running(settings) as engine:
                await online(engine)
                queue = engine.strategy_manager.message_queue
                async with trading(host.port, "TORN", 11, queue=queue) as trader:
                    apple = await trader.contract(AAPL)
                    for number in range(count):
                        cutter.arm(
                            dice.choice((dice.randrange(1, 60), dice.randrange(1, 600), dice.randrange(1, 6000)))
                        )
                        for _ in range(dice.randrange(1, 4)):
                            trader.market(apple, dice.choice((-3, 2, 5)))
                        if number % 4 == 3:
                            await trader.done()
                            executions = host.gateway.executions()
                            taken = {done.exec_id.rpartition(".")[0] for done in executions if done.superseded}
                            fresh = [d.exec_id for d in executions if d.exec_id.rpartition(".")[0] not in taken]
                            await desk(host, "correction", exec_id=fresh[-1])
                        longest_s = max(longest_s, await reconciled(engine))
                        while cutter.cuts <= number:
                            await asked_again(engine)
                    await trader.done()
                await asked_again(engine)
                await equal_to(host, engine)
                assert cutter.cuts == count
                table = await engine.portfolio_manager.reconcile_positions()
                assert set(table["status"]) == {"matched"}
                assert engine.portfolio_manager.verify().empty
    print(f"{count} cuts; the longest reconciliation took {longest_s:.2f} s")


async def test_a_wire_that_breaks_at_random_bytes_loses_and_doubles_nothing_and_makes_no_break(tmp_path):
    await cut_anywhere(tmp_path, 10, 7)


@pytest.mark.soak
async def test_a_hundred_breaks_at_random_bytes_lose_and_double_nothing_and_make_no_break(tmp_path):
    await cut_anywhere(tmp_path, 100, 8)


async def test_bad_positions_answers_while_fills_come_are_no_break_and_no_endless_wait_r3_r26_f120_f124(tmp_path):
    with gateway(accounts=("DU1", "DU2")) as host:
        async with running(chosen(tmp_path, host.port, ib_timeout_s=3.0, settle_s=3600.0)) as engine:
            await online(engine)
            async with trading(host.port, "CALM", 11, queue=engine.strategy_manager.message_queue) as trader:
                apple = await trader.contract(AAPL)
                for number, (fault, parameters) in enumerate(
                    (
                        ("empty_positions", {"times": 2}),
                        ("partial_positions", {"times": 2, "rows": 0}),
                        ("hanging_positions", {"times": 1, "rows": 0}),
                        ("failing_positions", {"times": 1}),
                        ("hanging_positions", {"times": 1, "rows": 1}),
                    )
                ):
                    trader.market(apple, 3 + number)
                    await trader.done()
                    await desk(host, fault, **parameters)
                    async with asyncio.timeout(60):
                        took_s = await reconciled(engine)
                    print(f"{fault} {parameters}: {took_s:.2f} s")
                    await desk(host, "clear_positions")
                    await desk(host, "connectivity", code=1100, hold=True)
                    trader.market(apple, 1)
                    await until(lambda: engine.broker_state().state != "connected", engine.broker_state)
                    await reconciled(engine)
                    await desk(host, "connectivity", code=1102)
                    await online(engine)
                await trader.done()
            await asked_again(engine)
            await equal_to(host, engine)
            table = await engine.portfolio_manager.reconcile_positions()
            assert set(table["status"]) == {"matched"}
