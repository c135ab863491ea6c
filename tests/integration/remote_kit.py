"""A real NATS server on loopback, behind an address that stays while servers come and go, and events to send."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DEADLINE_S = 60.0
STRATEGY = "FAR"
ACCOUNT = "DU1"
CON_ID = 76792991
ROOT = Path(__file__).resolve().parents[2]


def server_binary() -> str | None:
    """Debian puts it where only root looks."""
    return shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin:/usr/local/bin")


def event(number: int) -> dict[str, Any]:
    """Fill ``number`` with its fee, as a strategy reports it; quantities and prices that floats cannot add exactly."""
    when = datetime(2026, 1, 5, 15, tzinfo=UTC) + timedelta(seconds=number)
    contract = {"conId": CON_ID, "symbol": "TSLA", "secType": "STK", "currency": "USD", "exchange": "SMART"}
    exec_id = f"0000cccc.{number:08x}.01.01"
    execution = {
        "execId": exec_id,
        "time": when,
        "acctNumber": ACCOUNT,
        "exchange": "NASDAQ",
        "side": "BOT",
        "shares": 0.1,
        "price": 100.1 + number,
        "permId": 7,
        "clientId": 77,
        "orderId": 7,
        "orderRef": STRATEGY,
    }
    fee = {"execId": exec_id, "commission": 0.1, "currency": "USD", "realizedPNL": 0.0}
    fill = {"contract": contract, "execution": execution, "commissionReport": fee, "time": when}
    return {"type": "fill", "strategy": STRATEGY, "trade": {"contract": contract, "fills": []}, "fill": fill}


class Server:
    """A NATS server with JetStream that can be ended and started again on the same files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    async def start(self) -> None:
        ports = self._folder / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir(parents=True)
        self._process = self._launched(ports)
        end = time.monotonic() + DEADLINE_S
        while not self.port:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < end, "the server wrote no port"
            await asyncio.sleep(0.02)
            for file in ports.glob("*.ports"):
                with contextlib.suppress(ValueError):  # written only in part as yet
                    self.port = int(json.loads(file.read_text())["nats"][0].rpartition(":")[2])

    def _launched(self, ports: Path) -> subprocess.Popen[bytes]:
        binary = server_binary()
        assert binary is not None
        command = [binary, "-js", "-sd", str(self._folder / "js"), "-a", "127.0.0.1", "-p", "-1"]
        command += ["--ports_file_dir", str(ports), "-l", str(self._folder / "log")]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)

    async def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, DEADLINE_S)
            self._process, self.port = None, 0


class Place:
    """An address with a server behind it, or none: what arrives while it is away is turned away."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._listener: asyncio.Server

    @property
    def url(self) -> str:
        port = self._listener.sockets[0].getsockname()[1]
        return f"nats://somebody:very-secret@127.0.0.1:{port}"

    async def listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        self._closing = True
        self._listener.close()
        for writer in list(self._open):
            writer.close()  # its reader then ends, and so does whoever reads
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DEADLINE_S)
        await self._listener.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            if self.server.port:
                back_reader, back = await asyncio.open_connection("127.0.0.1", self.server.port)
                self._open.add(back)
                if self._closing:
                    back.close()
                await asyncio.gather(self._pump(reader, back), self._pump(back_reader, writer))
        except OSError:
            writer.close()  # the server went away just now
        finally:
            writer.close()
            self._open.discard(writer)
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            writer.close()  # either side may break the connection
        finally:
            writer.close()
            self._open.discard(writer)


@asynccontextmanager
async def placed(folder: Path, *, start: bool = True):
    """An address, with a server behind it from the start or not."""
    server = Server(folder)
    place = Place(server)
    await place.listen()
    try:
        if start:
            await server.start()
        yield place
    finally:
        await place.close()
        await server.end()


@asynccontextmanager
async def sender(url: str):
    """Another process that publishes: it reads how many, publishes them, and says so when they are confirmed."""
    command = [sys.executable, "-m", "tests.integration.remote_child", url]
    child = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield child
        assert child.stdin is not None
        child.stdin.close()
        assert await asyncio.wait_for(child.wait(), DEADLINE_S) == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def publish(child: asyncio.subprocess.Process, first: int, last: int, *, confirmed: bool = True) -> None:
    """Have the child publish a range and wait until JetStream has confirmed it."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{first} {last}\n".encode())
    if confirmed:
        assert (await asyncio.wait_for(child.stdout.readline(), DEADLINE_S)).strip() == b"confirmed"
