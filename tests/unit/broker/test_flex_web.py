"""The Flex web service, against a server of our own on loopback."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.broker.flex_web import download_flex
from engine.errors import BadRequest, BrokerUnavailable

TOKEN = "secret token/42"
STATEMENT = b'<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="0"/></FlexQueryResponse>'


def answer(status: str, **fields: str) -> bytes:
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return f"<FlexStatementResponse timestamp='x'><Status>{status}</Status>{inside}</FlexStatementResponse>".encode()


GRANTED = answer("Success", ReferenceCode="REF1", Url="https://elsewhere.invalid/steal")
BUSY = answer("Warn", ErrorCode="1019", ErrorMessage="Statement generation in progress.")
OFTEN = answer("Fail", ErrorCode="1018", ErrorMessage="Too many requests.")
REFUSED = answer("Fail", ErrorCode="1015", ErrorMessage=f"Token {TOKEN} is invalid.")


class Service:
    """Answers each path with its next prepared answer, and remembers what was asked."""

    def __init__(self):
        service = self
        self.answers: dict[str, list] = {}
        self.asked: list[tuple[str, dict]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                step = parts.path.rpartition("/")[2]
                service.asked.append((step, parse_qs(parts.query)))
                found = service.answers[step].pop(0)
                if isinstance(found, int):
                    self.send_response(found)
                    if 300 <= found < 400:
                        self.send_header("Location", f"{service.url}/Stolen?{parts.query}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                self.wfile.write(found)

            def log_message(self, *args):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/flex"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


@pytest.fixture
def service():
    made = Service()
    yield made
    made.close()


async def fetch(service, waits=None, **more):
    async def sleep(seconds):
        if waits is not None:
            waits.append(seconds)

    return await download_flex(TOKEN, "77", base_url=service.url, sleep=sleep, **more)


async def test_a_statement_is_asked_for_and_fetched_with_the_reference(service):
    service.answers = {"SendRequest": [GRANTED], "GetStatement": [STATEMENT]}
    assert await fetch(service) == STATEMENT
    assert service.asked == [
        ("SendRequest", {"t": [TOKEN], "q": ["77"], "v": ["3"]}),
        ("GetStatement", {"t": [TOKEN], "q": ["REF1"], "v": ["3"]}),
    ]


async def test_in_progress_and_too_often_are_asked_again_f140(service):
    service.answers = {"SendRequest": [OFTEN, GRANTED], "GetStatement": [BUSY, BUSY, STATEMENT]}
    waits: list[float] = []
    assert await fetch(service, waits, pause_s=5) == STATEMENT
    assert waits == [10, 5, 5]


async def test_patience_has_an_end(service):
    service.answers = {"SendRequest": [GRANTED], "GetStatement": [BUSY]}
    with pytest.raises(BrokerUnavailable, match="not ready within 0 s"):
        await fetch(service, patience_s=0)


@pytest.mark.parametrize(
    "answers",
    [
        {"SendRequest": [REFUSED]},
        {"SendRequest": [GRANTED], "GetStatement": [REFUSED]},
        {"SendRequest": [b"<html>please log in</html>"]},
        {"SendRequest": [b"not xml"]},
        {"SendRequest": [500]},
        {"SendRequest": [302]},
        {"SendRequest": [GRANTED], "GetStatement": [404]},
    ],
)
async def test_every_refusal_is_one_clear_error_without_the_token(service, answers, caplog):
    caplog.set_level("DEBUG")
    service.answers = answers
    with pytest.raises(BrokerUnavailable) as caught:
        await fetch(service)
    told = str(caught.value) + caplog.text
    assert "secret" not in told
    assert "Stolen" not in {step for step, _ in service.asked}


async def test_a_service_that_is_away_is_unavailable(service):
    service.close()
    with pytest.raises(BrokerUnavailable, match="cannot be used"):
        await fetch(service)


@pytest.mark.parametrize(("token", "query"), [("", "77"), ("x", "")])
async def test_without_token_or_query_the_download_is_off(token, query):
    with pytest.raises(BadRequest, match="off"):
        await download_flex(token, query)
