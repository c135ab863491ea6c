"""Health: is the machinery well; for whoever runs it."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
import panel as pn
from panel.viewable import Viewable

from dashboard import frames
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, notice, pairs, section, side_by_side, text, tile, tiles
from dashboard.picture import Picture
from dashboard.theme import duration_text, time_text


class Health(Screen):
    """Loop lag, memory, journal, store, connection log, tasks, alerts."""

    title = "Health"
    needs: ClassVar[frozenset[str]] = frozenset({"health", "broker", "alerts", "findings"})

    def build(self) -> Viewable:
        """Make tiles, lists and logs."""
        self.verdict, self.store, self.broker, self.tasks = text(), text(), text(), text()
        self.tiles = text(margin=(2, 0, 10, 0))
        self.log = Grid(
            "Connection log",
            {
                "at": Column("At ({zone})", "time"),
                "state": Column("State"),
                "code": Column("Code", "number"),
                "detail": Column("Detail", "prose", width=320),
            },
            empty="No connection yet",
            page_size=10,
            zone=self.zone,
        )
        self.alerts = Grid(
            "Alerts",
            {
                "at": Column("At ({zone})", "time"),
                "severity": Column("Severity"),
                "text": Column("Alert", "prose", width=420),
            },
            empty="No alert",
            part="alerts",
            page_size=8,
            zone=self.zone,
        )
        self.findings = Grid(
            "Findings in the data",
            {
                "seen_at": Column("Seen ({zone})", "time"),
                "severity": Column("Severity", filter=True),
                "kind": Column("Kind", filter=True),
                "account": Column("Account"),
                "strategy": Column("Strategy"),
                "text": Column("Finding", "prose", width=420),
            },
            empty="No finding",
            part="findings",
            page_size=10,
            zone=self.zone,
        )
        return pn.Column(
            self.verdict,
            self.tiles,
            side_by_side(
                section("Store", self.store), section("IB", self.broker), section("Tasks", self.tasks), least=280
            ),
            section("Connection log", self.log),
            section("Alerts", self.alerts),
            section("Findings", self.findings),
            text(
                "<p class='dim'>For programs: <a href='./health'>/health</a> and <a href='./metrics'>/metrics</a>.</p>"
            ),
            sizing_mode="stretch_width",
            margin=0,
        )

    def refresh(self, picture: Picture) -> None:
        """Bring everything up to date."""
        health: dict[str, Any] = picture.parts.get("health") or {}
        if self.changed("health", picture.stamp("health", "broker")):
            self.verdict.object = verdict(health)
            self.tiles.object = tiles(_figures(health))
            store = health.get("store") or {}
            self.store.object = pairs(
                [
                    ("State", store.get("state", "—")),
                    ("Since", time_text(store.get("since"), self.zone)),
                    ("Reason", store.get("reason") or "—"),
                    ("Where", store.get("uri", "—")),
                    ("Facts accepted", _count(health.get("journal_seq"))),
                    ("Facts stored", _count(health.get("stored_seq"))),
                ]
            )
            broker = picture.parts.get("broker")
            self.broker.object = pairs(
                [
                    ("State", getattr(broker, "state", "—")),
                    ("Since", time_text(getattr(broker, "since", None), self.zone)),
                    ("Reason", getattr(broker, "reason", "") or "—"),
                    ("Sees", getattr(broker, "coverage", "—")),
                    ("Accounts", ", ".join(getattr(broker, "accounts", ())) or "—"),
                    ("Connection number", getattr(broker, "epoch", "—")),
                ]
            )
            self.tasks.object = pairs((health.get("tasks") or {"—": "not known"}).items())
            self.log.offer(log_table(health.get("connection_log") or []))
        if self.changed("alerts", picture.stamp("alerts")):
            self.alerts.offer(newest(pd.DataFrame(picture.parts.get("alerts") or []), ("severity", "text"), "at"))
        if self.changed("findings", picture.stamp("findings")):
            self.findings.offer(
                newest(picture.table("findings"), ("severity", "kind", "account", "strategy", "text"), "seen_at")
            )


def verdict(health: dict[str, Any]) -> str:
    """Is the machinery well; what is wrong is told even while the engine can live with it, such as an IB that is away."""
    problems = [str(problem) for problem in health.get("problems") or []]
    if not health.get("ok"):
        return "".join(notice("error", problem) for problem in problems) or notice("error", "The engine is not well")
    if problems:
        return "".join(notice("warn", problem) for problem in problems)
    return notice("good", "✓ Engine, store and connection are well")


def _count(number: int | None) -> str:
    return "—" if number is None else f"{number:,}"


def _figures(health: dict[str, Any]) -> list[str]:
    lag, commit, store = (health.get(name) or {} for name in ("loop_lag_ms", "journal_commit_ms", "fill_to_store_ms"))
    memory = health.get("memory_mb")
    depth = health.get("queue_depth")
    return [
        tile("Loop lag, 99 of 100", _ms(lag.get("p99")), f"median {_ms(lag.get('p50'))}, worst {_ms(lag.get('max'))}"),
        tile("Journal commit, 95 of 100", _ms(commit.get("p95")), f"median {_ms(commit.get('p50'))}"),
        tile(
            "Fill to store, 95 of 100",
            _ms(store.get("p95")),
            f"median {_ms(store.get('p50'))}" if store.get("p50") is not None else "no fill stored yet",
        ),
        tile("Queue", _count(depth), "accepted, not yet in the books"),
        tile("Memory", "—" if memory is None else f"{memory:,.0f} MB", "resident"),
    ]


def _ms(value: float | None) -> str:
    return "—" if value is None else duration_text(value / 1000)


def log_table(log: list[Any]) -> pd.DataFrame:
    """The connection log, newest first; entries may be dicts or facts."""
    rows = [
        entry
        if isinstance(entry, dict)
        else {n: getattr(entry, n, None) for n in ("received_at", "state", "code", "detail")}
        for entry in log
    ]
    for row in rows:
        row.setdefault("at", row.get("received_at"))
    return newest(pd.DataFrame(rows), ("state", "detail"), "at", ("code",))


def newest(frame: pd.DataFrame, texts: tuple[str, ...], at: str, numbers: tuple[str, ...] = ()) -> pd.DataFrame:
    """Rows, newest first."""
    return frames.tidy(frame, texts, numbers, (at,)).sort_values(at, ascending=False, kind="stable", ignore_index=True)
