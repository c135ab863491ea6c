"""The gateway on the wire: field counts per version, hostile sockets, the command line, kills and restarts."""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from engine.simulator import Gateway, GatewayConfig
from engine.simulator.state import StateError, StateFile

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
PLAIN = {157: 128, 163: 131, 165: 131, 176: 136}
NUMBER = re.compile(r"-?\d+(\.\d*[1-9])?|1\.7976931348623157E308")


def framed(*fields):
    body = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


class Wire:
    """A client that knows nothing but frames."""

    def __init__(self, reader, writer, version):
        self.reader, self.writer, self.version = reader, writer, version

    @classmethod
    async def connect(cls, port, client_id=1, version=176):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        announced = f"v100..{version}".encode()
        writer.write(b"API\0" + struct.pack(">I", len(announced)) + announced)
        wire = cls(reader, writer, version)
        wire.greeting = await wire.receive()
        writer.write(framed(71, 2, client_id, ""))
        return wire

    async def receive(self):
        async with asyncio.timeout(DEADLINE_S):
            (length,) = struct.unpack(">I", await self.reader.readexactly(4))
            body = await self.reader.readexactly(length)
        assert body.endswith(b"\0")
        return body[:-1].decode().split("\0")

    async def until(self, kind, *begin):
        """Messages up to the first of a kind whose fields begin so; that one is the last."""
        seen = []
        while True:
            seen.append(await self.receive())
            if seen[-1][0] == str(kind) and seen[-1][1 : 1 + len(begin)] == [str(field) for field in begin]:
                return seen

    def send(self, *fields):
        self.writer.write(framed(*fields))

    def order(self, order_id, action="BUY", quantity=1, kind="MKT", limit="", what_if=0, contract=()):
        contract = contract or (265598, "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")
        fields = [3, order_id, *contract, "", "", action, quantity, kind, limit, "", "DAY", "", "", "", 0, "REF", 1, 0]
        fields += [0, 0, 0, 0, 0, 0, "", "0.0", "", "", "", "", "", "", "", 0, "", -1, 0, "", "", 0, "", "", 0, 0, ""]
        fields += [0, "", "", "", "", "", 0, "", "", "", "", 0, "", "", "", "", "", "", "", "", "", "", 0, "", "", 0]
        fields += [0, "", "", what_if, "", 0, 0, 0, 0, "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", 0]
        fields += [0, 0, ""]
        gates = ((158, ""), (160, ""), (162, 0), (166, ""), (169, ""))
        fields += [value for first, value in gates if self.version >= first]
        self.send(*fields)

    def close(self):
        self.writer.close()


@contextlib.asynccontextmanager
async def gateway(**settings):
    settings = {"accounts": ("DU1234567", "DU7654321"), "tick_s": 0, "commission_delay_s": 0.01} | settings
    running = Gateway(GatewayConfig(**settings))
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@pytest.mark.parametrize("version", [157, 163, 165, 176])
async def test_every_message_has_exactly_the_fields_of_its_version(version):
    async with gateway() as running:
        wire = await Wire.connect(running.port, version=version)
        assert wire.greeting[0] == str(version)
        start = await wire.until(4, 2, -1, 2158)
        assert [message[0] for message in start] == ["15", "9", "4", "4", "4"]
        assert start[0] == ["15", "1", "DU1234567,DU7654321"]
        assert start[1] == ["9", "1", "1"]
        assert {len(message) for message in start[2:]} == {6 if version >= 166 else 5}
        wire.order(1)
        told = await wire.until(59)
        lengths = {message[0]: len(message) for message in told}
        assert lengths == {"5": PLAIN[version], "3": 12, "11": 31, "59": 8}
        wire.send(61, 1)
        assert [len(message) for message in await wire.until(62, 1)] == [16, 2]
        wire.send(6, 2, 1, "DU1234567")
        window = {message[0]: len(message) for message in await wire.until(54, 1, "DU1234567")}
        assert window == {"6": 6, "7": 20, "8": 3, "54": 3}
        wire.send(9, 8, 7, 0, "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "", 0, "", "")
        details = (await wire.until(52, 1, 7))[0]
        assert len(details) == {157: 41, 163: 42, 165: 42, 176: 42}[version]
        wire.send(99, 0)
        completed = await wire.until(102)
        assert [len(message) for message in completed] == [96 if version < 170 else 101, 1]
        wire.send(7, 3, 8, 0, "", "", "", "", "", "")
        assert [len(message) for message in await wire.until(55, 1, 8)] == [31, 8, 3]
        wire.close()


async def test_a_market_order_is_told_in_the_real_gateways_sequence():
    async with gateway() as running:
        wire = await Wire.connect(running.port)
        await wire.until(4, 2, -1, 2158)
        wire.order(1, quantity=100)
        told = await wire.until(59)
        names = {"5": "open", "3": "status", "11": "execution", "59": "commission"}
        assert [names[message[0]] for message in told] == [
            "open",
            "status",
            "execution",
            "open",
            "status",
            "open",
            "status",
            "commission",
        ]
        statuses = [message for message in told if message[0] == "3"]
        assert [status[2:5] for status in statuses] == [
            ["PreSubmitted", "0", "100"],
            ["Filled", "100", "0"],
            ["Filled", "100", "0"],
        ]
        execution = next(message for message in told if message[0] == "11")
        assert execution[1] == "-1"
        assert re.fullmatch(r"[0-9a-f]{8}\.[0-9a-f]{8}\.01\.01", execution[14])
        assert re.fullmatch(r"\d{8} \d\d:\d\d:\d\d UTC", execution[15])
        assert told[-1][2] == execution[14]
        assert told[-1][5] == "1.7976931348623157E308"
        wire.close()


async def test_whole_numbers_are_bare_and_none_has_an_exponent():
    async with gateway() as running:
        wire = await Wire.connect(running.port)
        contract = ("479624278", "BTC", "CRYPTO", "", "0.0", "", "", "PAXOS", "", "USD", "", "")
        wire.order(1, quantity="0.00000005", contract=contract)
        told = await wire.until(59)
        execution = next(message for message in told if message[0] == "11")
        assert execution[19] == "0.00000005"
        for position in (19, 20, 21, 22, 24, 25):
            assert NUMBER.fullmatch(execution[position])
        wire.order(2, quantity="7.0")
        told = await wire.until(59)
        assert next(message for message in told if message[0] == "11")[19] == "7"
        wire.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"API\0\xff\xff\xff\xff",
        b"API\0\0\0\0\x09v100..156",
        b"API\0\0\0\0\x06hello!",
        b"API\0\0\0\0\x00",
        os.urandom(4096),
    ],
    ids=["http", "tls", "endless greeting", "too old", "no version", "empty version", "noise"],
)
async def test_a_stranger_is_shown_out(garbage):
    async with gateway() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(garbage)
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        (await Wire.connect(running.port)).close()


async def test_a_silent_crowd_keeps_nobody_out():
    async with gateway() as running:
        crowd = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(300)]
        wire = await Wire.connect(running.port)
        await wire.until(9)
        for _, writer in crowd:
            writer.transport.abort()
        wire.close()


async def test_half_a_handshake_times_out_and_holds_up_nobody():
    async with gateway(handshake_timeout_s=0.5) as running:
        halves = [b"", b"AP", b"API\0\0\0", b"API\0\0\0\0\x09v157..176"]
        connections = [await asyncio.open_connection("127.0.0.1", running.port) for _ in halves]
        for (_, writer), half in zip(connections, halves, strict=True):
            writer.write(half)
        whole = await Wire.connect(running.port)
        await whole.until(9)
        async with asyncio.timeout(DEADLINE_S):
            for reader, writer in connections:
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                writer.close()
        whole.send(49, 1)
        assert (await whole.until(49, 1))[-1][2].isdigit()
        whole.close()


async def test_unreadable_requests_cost_an_error_each_and_never_the_connection():
    dice = random.Random(11)
    async with gateway() as running:
        wire = await Wire.connect(running.port)
        await wire.until(4, 2, -1, 2158)
        wire.send(3, 5, "not a number")
        assert (await wire.until(4))[-1][2:4] == ["5", "320"]
        wire.send(31337)
        assert (await wire.until(4))[-1][2:4] == ["-1", "505"]
        wire.send("")
        assert (await wire.until(4))[-1][2:4] == ["-1", "320"]
        words = [
            "",
            "0",
            "-1",
            "1e400",
            "nan",
            "AAPL",
            "\u2603",
            "9" * 40,
            "STK",
            "BAG",
            "2147483647",
            "1.5",
            "x" * 500,
        ]
        for _ in range(3000):
            kind = dice.choice([*range(1, 105), 100000, -3])
            if kind in (58, 71):
                continue
            wire.send(kind, *(dice.choice(words) for _ in range(dice.randrange(0, 30))))
        wire.writer.write(struct.pack(">I", 0))
        wire.writer.write(struct.pack(">I", 3) + b"\xff\xfe\0")
        wire.send(49, 1)
        assert (await wire.until(49, 1))[-1][0] == "49"
        other = await Wire.connect(running.port, client_id=2)
        await other.until(9)
        wire.close()
        other.close()


async def test_a_frame_beyond_sixteen_mebibytes_ends_the_connection():
    async with gateway() as running:
        wire = await Wire.connect(running.port)
        await wire.until(4, 2, -1, 2158)
        wire.writer.write(struct.pack(">I", 16 * 1024 * 1024 + 1))
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionError):
                assert await wire.reader.read() == b""
        wire.close()


async def test_requests_may_arrive_byte_by_byte_or_all_at_once():
    async with gateway() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        stream = b"API\0" + struct.pack(">I", 9) + b"v157..176" + framed(71, 2, 1, "") + framed(49, 1)
        for byte in stream:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        wire = Wire(reader, writer, 176)
        assert (await wire.receive())[0] == "176"
        await wire.until(49, 1)
        writer.write(b"".join(framed(49, 1) for _ in range(5000)))
        for _ in range(5000):
            await wire.until(49, 1)
        wire.close()


async def test_a_reader_that_sleeps_is_dropped_and_others_are_served():
    async with gateway(max_buffer=200_000) as running:
        sleeper = await Wire.connect(running.port, client_id=1)
        sleeper.writer.transport.pause_reading()
        awake = await Wire.connect(running.port, client_id=2)
        await awake.until(9)
        request = framed(9, 8, 7, 0, "", "OPT", "", "0.0", "", "", "", "", "", "", "AAPL", 0, "", "")
        end = time.monotonic() + DEADLINE_S
        while any(session.client_id == 1 for session in running.listeners()):
            assert time.monotonic() < end
            with contextlib.suppress(ConnectionError):
                sleeper.writer.write(request * 50)
            await asyncio.sleep(0.01)
            awake.send(49, 1)
            await awake.until(49, 1)
        sleeper.writer.transport.abort()
        awake.close()


async def test_pacing_refuses_what_is_too_fast_when_it_is_switched_on():
    async with gateway(max_messages_per_s=50) as running:
        wire = await Wire.connect(running.port)
        await wire.until(4, 2, -1, 2158)
        wire.writer.write(b"".join(framed(49, 1) for _ in range(60)))
        seen = await wire.until(4, 2, -1, 100)
        assert [message[0] for message in seen].count("49") == 50
        wire.close()


async def test_a_clock_may_be_given_and_midnight_begins_a_new_day():
    from datetime import UTC, datetime, timedelta

    class Clock:
        moment = datetime(2026, 11, 27, 23, 59, 50, tzinfo=UTC)

        def now(self):
            return self.moment

    clock = Clock()
    running = Gateway(GatewayConfig(tick_s=0), clock)
    await running.start()
    try:
        wire = await Wire.connect(running.port)
        wire.order(1)
        told = await wire.until(59)
        assert next(m for m in told if m[0] == "11")[15] == "20261127 23:59:50 UTC"
        clock.moment += timedelta(seconds=20)
        wire.send(7, 3, 8, 0, "", "", "", "", "", "")
        assert [m[0] for m in await wire.until(55, 1, 8)] == ["55"]
        wire.close()
    finally:
        await running.stop()


# the command line, kills and restarts


@contextlib.contextmanager
def process(*arguments):
    command = [sys.executable, "-m", "engine.simulator", "--port", "0", *arguments]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = child.stdout.readline()
        found = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", line)
        assert found, line + child.stderr.read()
        yield child, int(found.group(1))
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate(timeout=DEADLINE_S)


async def test_the_command_line_prints_one_line_serves_and_ends_when_interrupted():
    accounts = ("--accounts", "DU1234567,DU7654321", "--seed", "7")
    with process(*accounts, "--fault", "manual_trade:symbol=MSFT,quantity=5@0.1") as (child, port):
        wire = await Wire.connect(port)
        assert (await wire.until(15))[-1][2] == "DU1234567,DU7654321"
        wire.send(61, 1)
        row = (await wire.until(61, 3, "DU1234567", 272093))[-1]
        assert row[14] == "5"
        wire.close()
        child.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(child.communicate, timeout=DEADLINE_S)
        assert (child.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--accounts", ""], "accounts"),
        (["--port", "70000"], "port"),
        (["--fault", "nonsense"], "no fault 'nonsense'"),
        (["--day-zone", "Mars/Olympus"], "day_zone"),
        (["--time-style", "sundial"], "time_style"),
        (["--state", "/nonexistent/place/state"], "state file"),
    ],
)
def test_a_wrong_argument_gives_one_clear_line(arguments, said):
    command = [sys.executable, "-m", "engine.simulator", "--port", "0", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


async def test_a_port_in_use_gives_one_clear_line():
    async with gateway() as running:
        command = [sys.executable, "-m", "engine.simulator", "--port", str(running.port)]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert done.returncode == 2
        assert f"cannot listen on 127.0.0.1:{running.port}" in done.stderr


async def test_after_a_kill_no_identity_is_used_again_and_the_days_executions_are_there(tmp_path):
    state = str(tmp_path / "state.db")
    exec_ids, perm_ids, bought = [], [], 0
    for _ in range(3):
        with process("--state", state, "--tick", "0") as (child, port):
            wire = await Wire.connect(port)
            first = int((await wire.until(9))[-1][2])
            assert first == len(exec_ids) + 1
            for order_id in range(first, first + 20):
                wire.order(order_id, quantity=3)
            told = []
            while sum(message[0] == "11" for message in told) < 20:
                told.append(await wire.receive())
            child.kill()
            exec_ids += [message[14] for message in told if message[0] == "11"]
            perm_ids += sorted({message[6] for message in told if message[0] == "3"})
            bought += 60
            wire.close()
    assert len(set(exec_ids)) == len(exec_ids) == 60
    assert len(set(perm_ids)) == 60
    with process("--state", state, "--tick", "0") as (_, port):
        wire = await Wire.connect(port, client_id=2)
        wire.send(7, 3, 8, 0, "", "", "", "", "", "")
        replayed = [message for message in await wire.until(55, 1, 8) if message[0] == "11"]
        assert [message[14] for message in replayed] == exec_ids
        wire.send(61, 1)
        assert (await wire.until(61))[-1][14] == str(bought)
        wire.close()


async def test_state_keeps_resting_orders_cash_prices_and_new_contracts(tmp_path):
    state = tmp_path / "state.db"
    async with gateway(state=state) as running:
        wire = await Wire.connect(running.port)
        wire.order(1, quantity=10)
        await wire.until(59)
        wire.order(2, quantity=10, kind="LMT", limit="100.0")
        await wire.until(3, 2, "Submitted")
        new = running.faults.split("AAPL", 1, 25, new_con_id=True)
        cash = dict(running.world.accounts["DU1234567"].cash)
        positions = running.positions()
        wire.close()
    async with gateway(state=state) as running:
        assert running.world.accounts["DU1234567"].cash == cash
        assert running.positions() == positions
        assert running.world.catalogue.get(new).symbol == "AAPL"
        assert [order.status for order in running.orders()] == ["Filled", "Submitted"]
        assert running.world.market.quote(running.world.catalogue.get(new)).last > Decimal(6000)


def test_a_state_file_that_is_none_is_refused(tmp_path):
    from engine.simulator.model import SystemClock
    from engine.simulator.world import World

    path = tmp_path / "state.db"
    path.write_text(json.dumps({"this": "is no database"}) * 100)
    world = World(GatewayConfig(), SystemClock())
    with pytest.raises(StateError, match="cannot be used"):
        StateFile(path, world).open()
