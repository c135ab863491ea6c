"""Who is served and who may act, on the real server with its real engine, as `panel serve` starts them."""

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from types import SimpleNamespace

import arcticdb
import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from dashboard.exposure import Exposure, Fence, check_login
from engine.errors import SettingsError

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 90
COOKIE_SECRET = "0123456789abcdef-for-this-test"
SECRETS = {
    "FILLBOOK_FLEX_TOKEN": "S3CR3T-flex-token",
    "FILLBOOK_ALERT_URLS": "json://ann:S3CR3T-alert@127.0.0.1:9/",
}


class Server:
    """``panel serve`` on a port that it chooses itself."""

    def __init__(self, folder, *arguments, **environment):
        self.log = folder / "server.log"
        self.data = folder / "data"
        command = [sys.executable, "-m", "panel", "serve", "panel_app.py", "--port", "0", "--warm", *arguments]
        given = {"FILLBOOK_DATA_DIR": str(self.data), "FILLBOOK_LMDB_MAP_GB": "1", **environment}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **given}, stdout=log, stderr=subprocess.STDOUT
            )

    def said(self):
        return self.log.read_text(errors="replace")

    def wait(self, condition):
        deadline = time.monotonic() + DEADLINE_S
        while not (found := condition()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)
        return found

    def wait_until_up(self):
        self.port = int(self.wait(lambda: re.search(r"running at: http://[^:]+:(\d+)/", self.said()))[1])
        self.wait(lambda: self.get("/health")[0] == 200)
        return self

    def get(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace"), answer.headers
        finally:
            connection.close()

    def websocket(self, host, origin):
        """Status of the answer to a websocket's handshake."""
        return self.get(
            "/panel_app/ws",
            Host=host,
            Origin=origin,
            Connection="Upgrade",
            Upgrade="websocket",
            **{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
        )[0]

    def login(self, user, password):
        """Cookies of a user, empty when the login was refused."""
        body = urllib.parse.urlencode({"username": user, "password": password})
        _, _, headers = self.get("/login", "POST", body, **{"Content-Type": "application/x-www-form-urlencoded"})
        return "; ".join(
            c.partition(";")[0] for c in headers.get_all("Set-Cookie") or () if c.startswith(("user=", "id_"))
        )

    async def page(self, cookies=""):
        """Everything that a session's page contains, as its browser gets it."""
        _, html, _ = self.get("/panel_app", Cookie=cookies)
        token = re.search(r'"token":"([^"]+)"', html)[1]
        address = f"ws://127.0.0.1:{self.port}/panel_app/ws"
        socket = await websocket_connect(
            HTTPRequest(address, headers={"Cookie": cookies}), subprotocols=["bokeh", token]
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._answer(socket, "ACK")  # the server takes nothing before
                for part in ('{"msgid": "1", "msgtype": "PULL-DOC-REQ"}', "{}", "{}"):
                    await socket.write_message(part)
                return await self._answer(socket, "PULL-DOC-REPLY")
        finally:
            socket.close()
            async with asyncio.timeout(DEADLINE_S):
                while await socket.read_message() is not None:
                    continue  # until the server has closed its side too

    async def _answer(self, socket, kind):
        """Content of the next message of a kind; it comes as header, metadata, content."""
        while (part := await socket.read_message()) is not None:
            if isinstance(part, str) and f'"msgtype":"{kind}"' in part.replace(" ", ""):
                await socket.read_message()
                return await socket.read_message()
        pytest.fail(f"the server hung up: {self.said()}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            finally:
                self.process.kill()
        return self.process.wait(10)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Started with no flag that protects anything."""
    server = Server(tmp_path_factory.mktemp("plain"), **SECRETS)
    try:
        yield server.wait_until_up()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    users = folder / "users.json"
    users.write_text(json.dumps({"ann": "act", "bob": "look", "eve": "unnamed", "local operator": "tricky"}))
    login = ("--address", "127.0.0.1", "--basic-auth", str(users), "--cookie-secret", COOKIE_SECRET)
    server = Server(folder, *login, FILLBOOK_OPERATORS="ann", FILLBOOK_VIEWERS="bob")
    try:
        yield server.wait_until_up()
    finally:
        server.stop()


def test_health_and_metrics_answer_and_name_no_account_strategy_or_secret(plain):
    status, text, headers = plain.get("/health")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(text)["ok"] is True
    status, nothing, headers = plain.get("/health", "HEAD")
    assert (status, nothing, headers["Content-Type"]) == (200, "", "application/json")
    status, metrics, headers = plain.get("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert "fillbook_up 1.0" in metrics
    for name in ("DU1234567", "DU7654321", "TORTOISE", "HARE", "AAPL", "S3CR3T", COOKIE_SECRET):
        assert name not in text + metrics


def test_a_page_from_elsewhere_gets_no_websocket(plain):
    here = f"127.0.0.1:{plain.port}"
    assert plain.websocket(here, "http://evil.example") == 403
    assert plain.websocket(here, f"http://evil.example:{plain.port}") == 403


def test_a_foreign_name_that_points_at_this_machine_is_not_served(plain):
    evil = f"evil.example:{plain.port}"
    assert plain.websocket(evil, f"http://{evil}") == 403
    for path in ("/panel_app", "/health", "/metrics", "/"):
        assert plain.get(path, Host=evil)[0] == 403
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert plain.get("/health", Host=f"{host}:{plain.port}")[0] == 200


async def test_without_a_login_on_its_own_machine_everybody_is_the_local_operator(plain):
    page = await plain.page()
    assert "local operator" in page
    assert "may look only" not in page
    assert "S3CR3T" not in page


def test_a_login_is_asked_for_and_wrong_passwords_are_refused(guarded):
    status, _, headers = guarded.get("/panel_app")
    assert status == 302
    assert "/login" in headers["Location"]
    assert guarded.login("ann", "wrong") == ""
    assert guarded.login("mallory", "act") == ""


def test_the_probes_need_no_login_and_tell_nobody_anything(guarded):
    status, text, _ = guarded.get("/health")
    assert status == 200
    assert "DU" not in text + guarded.get("/metrics")[1]


@pytest.mark.parametrize(
    ("user", "password", "may_act"),
    [("ann", "act", True), ("bob", "look", False), ("eve", "unnamed", False), ("local operator", "tricky", False)],
)
async def test_with_a_login_only_named_operators_act(guarded, user, password, may_act):
    page = await guarded.page(guarded.login(user, password))
    assert user in page
    assert ("viewer, may look only" in page) is not may_act


def test_no_secret_is_in_the_log(plain, guarded):
    assert "S3CR3T" not in plain.said()
    assert COOKIE_SECRET not in guarded.said()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--basic-auth", "one-for-all", "--cookie-secret", COOKIE_SECRET), "JSON file of users"),
        (
            (
                "--basic-auth",
                "USERS",
            ),
            "--cookie-secret",
        ),
    ],
)
def test_a_login_that_proves_nothing_ends_the_server_with_one_line(arguments, reason, tmp_path):
    users = tmp_path / "users.json"
    users.write_text('{"ann": "act"}')
    server = Server(tmp_path, *(str(users) if a == "USERS" else a for a in arguments))
    try:
        assert server.process.wait(DEADLINE_S) == 2
    finally:
        server.stop()
    assert reason in next(line for line in server.said().splitlines() if line.startswith("fillbook: "))
    assert "one-for-all" not in server.said()


def test_nothing_that_was_stored_is_pickled(plain):
    """Last in this module: the server is stopped for it."""
    assert plain.stop() == 0
    store = arcticdb.Arctic(f"lmdb://{plain.data / 'arctic'}")
    seen = [
        (name, symbol, library._nvs.is_symbol_pickled(symbol))
        for name in store.list_libraries()
        for library in [store[name]]
        for symbol in library.list_symbols()
    ]
    assert len(seen) > 3
    assert [entry for entry in seen if entry[2]] == []


# ------------------------------------------------------------------------------------------------ the rule by itself


@pytest.mark.parametrize(
    ("exposure", "beyond", "named_only"),
    [
        (Exposure(), False, False),
        (Exposure(address="127.0.0.1", origins=frozenset({"localhost:5006"})), False, False),
        (Exposure(address="127.0.0.1", login=True), False, True),
        (Exposure(address="0.0.0.0"), True, True),
        (Exposure(address="10.0.0.7"), True, True),
        (Exposure(address="127.0.0.1", origins=frozenset({"fillbook.example:443"})), True, True),
        (Exposure(address="127.0.0.1", origins=frozenset({"*"})), True, True),
    ],
)
def test_a_server_that_others_can_reach_lets_nobody_act_who_is_not_named(exposure, beyond, named_only):
    assert (exposure.beyond, exposure.named_only) == (beyond, named_only)


@pytest.mark.parametrize(
    ("exposure", "peer", "host", "served"),
    [
        (Exposure(), "127.0.0.1", "localhost:5006", True),
        (Exposure(), "::1", "[::1]:5006", True),
        (Exposure(), "10.0.0.9", "10.0.0.7:5006", False),
        (Exposure(address="0.0.0.0"), "10.0.0.9", "10.0.0.7:5006", True),
        (Exposure(address="0.0.0.0"), "10.0.0.9", "evil.example:5006", False),
        (Exposure(address="0.0.0.0", login=True), "10.0.0.9", "fillbook.lan:5006", True),
        (Exposure(address="127.0.0.1"), "127.0.0.1", "127.0.0.1.evil.example", False),
        (Exposure(address="127.0.0.1"), "127.0.0.1", "", False),
        (Exposure(address="127.0.0.1"), "127.0.0.1", "[", False),
        (Exposure(origins=frozenset({"fillbook.lan:443"})), "127.0.0.1", "FILLBOOK.lan", True),
    ],
)
def test_who_is_served(exposure, peer, host, served):
    context = SimpleNamespace(address=(peer, 50_000))
    request = SimpleNamespace(
        connection=SimpleNamespace(context=context), headers={"Host": host}, remote_ip="127.0.0.1"
    )
    assert (Fence(exposure).match(request) is None) is served


@pytest.mark.parametrize("secret", [None, "", "short"])
def test_there_is_no_default_cookie_secret_and_a_short_one_is_refused(secret, tmp_path):
    users = tmp_path / "users.json"
    users.write_text("{}")
    with pytest.raises(SettingsError, match="cookie-secret"):
        check_login(str(users), secret)
    check_login(str(users), COOKIE_SECRET)
