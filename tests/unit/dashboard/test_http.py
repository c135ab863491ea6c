import json
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from dashboard.http import EngineCollector, health_report
from dashboard.hub import Hub


@pytest.fixture
def host(engine):
    ready = SimpleNamespace(is_set=lambda: True)
    return SimpleNamespace(engine=engine, hub=Hub(engine), ready=ready, stopping=False)


def test_health_is_503_until_the_engine_is_up(host):
    assert health_report(None)[0] == 503
    host.ready = SimpleNamespace(is_set=lambda: False)
    assert health_report(host)[0] == 503


def test_health_says_what_is_wrong(host):
    assert health_report(host)[0] == 200
    host.engine.health = lambda: {"ok": False, "problems": ["store full"]}
    status, report = health_report(host)
    assert (status, report["problems"]) == (503, ["store full"])
    json.dumps(report, default=str)


def test_health_is_503_while_the_server_stops(host):
    host.stopping = True
    assert health_report(host)[0] == 503


def test_metrics_leave_out_what_is_unknown_and_name_nobody(host):
    host.engine.square = lambda: {"ok": None}
    registry = CollectorRegistry()
    registry.register(EngineCollector(host))
    text = generate_latest(registry).decode()
    assert "fillbook_up 1.0" in text
    assert "fillbook_square" not in text
    assert "fillbook_open_breaks 2.0" in text
    assert "DU1234567" not in text
    assert "ALPHA" not in text
