"""``/health`` and ``/metrics`` beside the page, on the same port, for the people who run it.

``panel serve`` builds its Tornado application before the app script runs and hands out no reference to it, so the
routes are added to the running application, which is looked up among the living objects once, at start. Neither route
needs a login, hence neither says anything about accounts, strategies or money. With ``--plugins dashboard.http`` the
same handlers come through Panel's own door.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from tornado.web import RequestHandler

from dashboard.exposure import servers

if TYPE_CHECKING:
    from dashboard.host import Host

log = logging.getLogger(__name__)

_ACCOUNT = re.compile(r"\b[A-Z]{1,3}\d{5,}\b")


class Probe:
    """Where the handlers find the host; one per process, like the host itself."""

    host: ClassVar[Host | None] = None
    started: ClassVar[float] = time.monotonic()


def health_report(host: Host | None) -> tuple[int, dict[str, Any]]:
    """The answer of ``/health``.

    Returns:
        200 and the report when all is well, 503 when the engine is not up, says that something is wrong, or is ending.
    """
    if host is None or not host.ready.is_set():
        return 503, {"ok": False, "problems": ["the engine is starting"]}
    report = host.engine.health()
    broker = host.engine.broker_state()
    ok = bool(report.get("ok")) and not host.stopping
    problems = [_anonymous(host.engine, p) for p in report.get("problems", [])]
    problems += ["the server is stopping"] if host.stopping else []
    return (200 if ok else 503), {
        "ok": ok,
        "problems": problems,
        "broker": broker.state,
        "broker_since": broker.since,
        "square": host.engine.square().get("ok"),
        "queue_depth": report.get("queue_depth"),
        "journal_seq": report.get("journal_seq"),
        "stored_seq": report.get("stored_seq"),
        "store": (report.get("store") or {}).get("state"),
        "loop_lag_ms": report.get("loop_lag_ms"),
        "memory_mb": report.get("memory_mb"),
        "sessions": len(host.hub),
        "uptime_s": round(time.monotonic() - Probe.started, 1),
    }


def _anonymous(engine: Any, problem: str) -> str:
    """A problem without its details, account numbers and strategy names: those are for people who have logged in."""
    text = problem.partition(": ")[0]
    for name in sorted(engine.strategies(), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "a strategy", text)
    return _ACCOUNT.sub("an account", text)


class EngineCollector:
    """Reads the engine's health at every scrape; keeps nothing."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics that are known now; an unknown one is absent, never 0."""
        engine, report = self.host.engine, self.host.engine.health()
        square = engine.square().get("ok")
        gauges: list[tuple[str, str, Any]] = [
            ("fillbook_up", "1 while the engine says that all is well", float(bool(report.get("ok")))),
            ("fillbook_broker_connected", "1 while IB answers", float(engine.broker_state().state == "connected")),
            ("fillbook_square", "1 strategies + UNASSIGNED = broker, 0 not", None if square is None else float(square)),
            ("fillbook_queue_depth", "Events not yet in the books", report.get("queue_depth")),
            ("fillbook_memory_megabytes", "Resident memory", report.get("memory_mb")),
            ("fillbook_sessions", "Open dashboard pages", len(self.host.hub)),
            (
                "fillbook_store_ok",
                "1 while ArcticDB takes writes",
                float((report.get("store") or {}).get("state") == "ok"),
            ),
            ("fillbook_open_breaks", "Breaks that are not closed", _count(engine, "breaks")),
            ("fillbook_quarantined", "Messages in quarantine", _count(engine, "quarantine")),
        ]
        for name, meaning, value in gauges:
            if value is not None:
                yield GaugeMetricFamily(name, meaning, value=float(value))
        for name in ("fill_to_store_ms", "journal_commit_ms", "loop_lag_ms"):
            family = GaugeMetricFamily(f"fillbook_{name[:-3]}_milliseconds", f"Recent {name}", labels=["quantile"])
            for quantile, value in (report.get(name) or {}).items():
                if value is not None:
                    family.add_metric([str(quantile)], float(value))
            yield family
        for name, meaning in (("journal_seq", "Facts accepted"), ("stored_seq", "Facts stored in ArcticDB")):
            if report.get(name) is not None:
                yield CounterMetricFamily(
                    f"fillbook_{name.removesuffix('_seq')}_facts", meaning, value=float(report[name])
                )


def _count(engine: Any, table: str) -> float:
    return float(len(getattr(engine.portfolio_manager, table)()))


class HealthHandler(RequestHandler):
    """GET and HEAD /health."""

    def get(self) -> None:
        """Answer 200 or 503 with a short report."""
        status, report = health_report(Probe.host)
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(report, default=str))

    head = get  # what watches a service often asks for the status alone; tornado leaves the body out


class MetricsHandler(RequestHandler):
    """GET /metrics."""

    def get(self) -> None:
        """Answer in Prometheus' text format; 503 while the engine starts."""
        if Probe.host is None or not Probe.host.ready.is_set():
            self.set_status(503)
            self.finish("the engine is starting\n")
            return
        registry = CollectorRegistry()
        registry.register(EngineCollector(Probe.host))
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest(registry))


ROUTES: list[tuple[str, type[RequestHandler], dict[str, Any]]] = [
    (r"/health", HealthHandler, {}),
    (r"/metrics", MetricsHandler, {}),
]


def install(host: Host) -> int:
    """Add the routes to this process's Bokeh server.

    Returns:
        The number of servers found (0 in a test without one; logged as a warning).
    """
    Probe.host = host
    found = servers()
    for server in found:
        routes = [(server.prefix + path, handler, options) for path, handler, options in ROUTES]
        server._tornado.add_handlers(r".*", routes)  # noqa: SLF001 - Bokeh has no public way to it
    if not found:
        log.warning("No server found in this process: /health and /metrics are not served")
    return len(found)
