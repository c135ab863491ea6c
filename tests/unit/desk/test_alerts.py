"""Alerts: once each, an all-clear, and no silence about failing to tell."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from engine.core.events import Fill, Quarantined
from engine.core.instrument import Instrument
from engine.core.records import Finding
from engine.desk.alerts import AlertCondition, Alerts, SendingFailed, apprise_sender, gather
from engine.errors import SettingsError
from engine.recon.breaks import Break
from engine.state.ledger import Ledger

NOW = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
LOST = {"connection_lost": AlertCondition(kind="connection_lost", text="IB does not answer", severity="critical")}
WAIT_S = 60
# Apprise loads a plug-in that asks for a module that Python 3.13 has dropped; it copes by itself.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Post:
    """A sender that keeps what it was given, and fails as often as it is told to."""

    def __init__(self, failures=0, error=None):
        self.sent = []
        self.tried = 0
        self.failures = failures
        self.error = error or SendingFailed("no")

    def __call__(self, title, body, severity):
        self.tried += 1
        if self.tried <= self.failures:
            raise self.error
        self.sent.append((title, body, severity))


@pytest.fixture
def make():
    made = []

    def build(sender, **more):
        alerts = Alerts(sender, **({"retry_s": 0.01} | more))
        made.append(alerts)
        return alerts

    yield build
    for alerts in made:
        alerts.close()


def later(seconds):
    return NOW + timedelta(seconds=seconds)


def test_a_trouble_is_told_once_and_its_end_once(make):
    post = Post()
    alerts = make(post)
    assert [m.title for m in alerts.update(NOW, LOST)] == ["Connection lost"]
    reworded = {"connection_lost": AlertCondition(kind="connection_lost", text="still nothing", severity="critical")}
    assert alerts.update(later(30), LOST) == []
    assert alerts.update(later(60), reworded) == []
    assert alerts.active()[0].text == "still nothing"
    assert alerts.wait_idle(WAIT_S)
    (clear,) = alerts.update(later(600), {})
    assert (clear.title, clear.cleared) == ("All clear: connection lost", True)
    assert "10 minutes" in clear.body
    assert alerts.update(later(630), {}) == []
    assert alerts.wait_idle(WAIT_S)
    assert [(title, severity) for title, _, severity in post.sent] == [
        ("Fillbook: Connection lost", "critical"),
        ("Fillbook: All clear: connection lost", "info"),
    ]
    assert alerts.active() == []
    assert (alerts.ended()[0].since, alerts.ended()[0].cleared_at) == (NOW, later(600))


@pytest.mark.parametrize(
    "kind",
    ["confirmed_break", "liquidation", "store_trouble", "connection_lost", "quarantine", "fees_missing"],
)
def test_each_kind_of_trouble_is_told_once_with_an_all_clear(make, kind):
    post = Post()
    alerts = make(post)
    trouble = {kind: AlertCondition(kind=kind, text="what there is", severity="critical")}
    told = [m.cleared for second in range(5) for m in alerts.update(later(second), trouble)]
    assert alerts.wait_idle(WAIT_S)
    told += [m.cleared for second in range(600, 1_200, 60) for m in alerts.update(later(second), {})]
    assert told == [False, True]
    assert alerts.wait_idle(WAIT_S)
    assert len(post.sent) == 2


def test_the_same_trouble_later_is_a_new_one(make):
    alerts = make(None)
    alerts.update(NOW, LOST)
    alerts.update(later(1), {})
    assert [m.cleared for m in alerts.update(later(2), LOST)] == [False]
    assert alerts.active()[0].since == later(2)


def test_a_trouble_that_flickers_is_one_trouble(make):
    alerts = make(None, linger_s=30)
    assert len(alerts.update(NOW, LOST)) == 1
    for second in range(1, 20):
        assert alerts.update(later(second), LOST if second % 2 else {}) == []
    assert alerts.update(later(49), LOST) == []
    assert alerts.update(later(50), {}) == []
    assert [m.cleared for m in alerts.update(later(80), {})] == [True]


def test_without_addresses_nothing_leaves_but_everything_is_shown(make):
    alerts = make(None)
    assert not alerts.enabled
    alerts.update(NOW, LOST)
    (row,) = alerts.rows()
    assert (row["kind"], row["at"], row["cleared_at"], row["delivery"]) == ("connection_lost", NOW, None, "off")
    alerts.update(later(5), {})
    assert [r["cleared_at"] for r in alerts.rows()] == [later(5)]
    assert alerts.rows(active_only=True) == []
    assert alerts.undelivered() == []


def test_a_message_is_tried_again_and_then_arrives(make):
    post = Post(failures=2)
    alerts = make(post)
    alerts.update(NOW, LOST)
    assert alerts.wait_idle(WAIT_S)
    assert (post.tried, alerts.active()[0].delivery) == (3, "sent")


@pytest.mark.parametrize("error", [SendingFailed("refused"), RuntimeError("a plug-in broke"), OSError("no route")])
def test_a_message_that_cannot_be_sent_is_shown_and_the_next_one_still_goes(make, error):
    post = Post(failures=2, error=error)
    alerts = make(post, attempts=2)
    alerts.update(NOW, LOST)
    assert alerts.wait_idle(WAIT_S)
    (row,) = alerts.rows()
    assert row["delivery"] == "failed"
    assert str(error) in row["error"]
    assert "not sent" in alerts.undelivered()[0]
    alerts.update(later(1), {})
    assert alerts.wait_idle(WAIT_S)
    assert len(post.sent) == 1
    assert alerts.undelivered() == []


def test_a_sender_that_hangs_is_given_up_and_holds_nobody(make):
    release, entered = threading.Event(), threading.Event()

    def hang(title, body, severity):
        entered.set()
        release.wait(WAIT_S)

    alerts = make(hang, timeout_s=0.05, attempts=1)
    alerts.update(NOW, LOST)
    assert entered.wait(WAIT_S)
    assert alerts.update(later(1), LOST) == []
    assert alerts.wait_idle(WAIT_S)
    assert "no answer within" in alerts.active()[0].error
    release.set()


def test_what_is_told_at_one_time_goes_as_one_message(make):
    post = Post()
    alerts = make(post)
    many = {f"b{n}": AlertCondition(kind="confirmed_break", text=f"break {n}") for n in range(40)}
    assert len(alerts.update(NOW, many | LOST)) == 41
    assert alerts.wait_idle(WAIT_S)
    (sent,) = post.sent
    assert sent[0].endswith("and 40 more")
    assert sent[2] == "critical"
    assert "break 39" in sent[1]
    assert {a.delivery for a in alerts.active()} == {"sent"}


def test_no_message_and_no_error_carries_a_secret(make):
    post = Post(failures=1, error=SendingFailed("mailto://joe:hunter2@example.org failed, token TOPSECRET"))
    alerts = make(post, secrets=["TOPSECRET", ""], attempts=1)
    condition = AlertCondition(kind="store_trouble", text="s3://key:pass@host refused TOPSECRET")
    (message,) = alerts.update(NOW, {"store_trouble": condition})
    assert alerts.wait_idle(WAIT_S)
    shown = message.body + json.dumps(alerts.rows(), default=str) + "".join(alerts.undelivered())
    for secret in ("TOPSECRET", "hunter2", "key:pass"):
        assert secret not in shown


def test_closing_twice_is_fine_and_what_waits_is_shown_as_not_sent(make):
    entered, release = threading.Event(), threading.Event()

    def slow(title, body, severity):
        entered.set()
        release.wait(WAIT_S)

    alerts = make(slow)
    alerts.update(NOW, LOST)
    assert entered.wait(WAIT_S)
    alerts.update(later(1), LOST | {"q": AlertCondition(kind="quarantine", text="1")})
    closer = threading.Thread(target=alerts.close, args=(WAIT_S,))
    closer.start()
    while not alerts._closed.is_set():
        closer.join(0.01)
    release.set()
    closer.join(WAIT_S)
    alerts.close()
    assert {a.key: a.delivery for a in alerts.active()} == {"connection_lost": "sent", "q": "failed"}


def test_apprise_delivers_to_a_webhook_and_a_refusal_is_an_error(make):
    received, status = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        send = apprise_sender([f"json://127.0.0.1:{server.server_address[1]}/hook"])
        alerts = make(send)
        alerts.update(NOW, LOST)
        assert alerts.wait_idle(WAIT_S)
        assert received[0]["title"] == "Fillbook: Connection lost"
        assert "IB does not answer" in received[0]["message"]
        assert alerts.active()[0].delivery == "sent"
        status[0] = 500
        with pytest.raises(SendingFailed):
            send("t", "b", "warning")
    finally:
        server.shutdown()
        server.server_close()
        thread.join(WAIT_S)


def test_an_address_nobody_understands_is_refused_by_its_place_alone():
    with pytest.raises(SettingsError, match="number 2") as caught:
        apprise_sender(["json://127.0.0.1:1/x", "bogus://joe:hunter2@example.org"])
    assert "hunter2" not in str(caught.value)


def found_break(state, con_id=1):
    return Break(
        break_id=f"DU1:{con_id}", account="DU1", con_id=con_id, kind="difference", state=state, symbol="AAPL",
        quantity=Decimal(-83), difference=Decimal(-83), unassigned=Decimal(0), broker_quantity=Decimal(0),
        books_quantity=Decimal(83), first_seen=NOW, born_at=NOW, last_seen=NOW, last_changed=NOW,
    )  # fmt: skip


def test_conditions_are_gathered_from_what_the_engine_knows_r8_r20():
    ledger = Ledger()
    aapl = Instrument(con_id=1, symbol="AAPL", currency="USD")
    ledger.apply(
        1,
        Fill(
            received_at=NOW,
            account="DU1",
            exec_id="a.b.01",
            instrument=aapl,
            quantity=Decimal(1),
            price=Decimal(1),
            executed_at=NOW,
        ),
    )
    liquidation = Finding(
        key="liq", kind="liquidation", severity="critical", text="IB sold 231", account="DU1", con_id=1, seen_at=NOW
    )
    raw = Quarantined(received_at=NOW, quarantine_id="q", reason="no con_id", raw="{}")
    found = gather(
        breaks=[found_break("confirmed"), found_break("suspected", 2), found_break("explained", 3)],
        findings=[liquidation],
        store_problem="map full",
        connection_problem="1100",
        quarantine=[raw],
        fees_missing=ledger.fees_pending(NOW),
    )
    assert {key: c.kind for key, c in found.items()} == {
        "liquidation:liq": "liquidation",
        "confirmed_break:DU1:1": "confirmed_break",
        "store_trouble": "store_trouble",
        "connection_lost": "connection_lost",
        "quarantine": "quarantine",
        "fees_missing": "fees_missing",
    }
    assert "-83" in found["confirmed_break:DU1:1"].text
    assert gather() == {}
    assert gather(findings=[liquidation], breaks=[found_break("closed")]) == {}
