"""The header strip's Python side: what it says, and the answer that the page gives after painting."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from panel.custom import JSComponent

from dashboard.frames import net_pnl, unbalanced
from dashboard.model import VIEWS
from dashboard.picture import Picture
from dashboard.theme import duration_text, partial_sum, partial_text, time_text
from dashboard.zone import UTC_ZONE, Zone

HERE = Path(__file__).parent


class Pulse(JSComponent):
    """Header strip: invariant badge, IB, data age, queue, fill to store, P&L today."""

    # One module for the browser: what a component imports by name would be asked of another host.
    _esm = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("mend.js", "quick.js", "pulse.js"))
    _stylesheets = [(HERE / "pulse.css").read_text(encoding="utf-8")]  # noqa: RUF012  Panel's own spelling of a class option

    def __init__(
        self,
        on_answer: Callable[[], None],
        on_go: Callable[[str, str], None],
        on_zone: Callable[[str], None],
        **params: Any,
    ) -> None:
        super().__init__(**params)
        self._on_answer = on_answer
        self._on_go = on_go
        self._on_zone = on_zone
        self._seq = 0

    def say(self, content: dict[str, Any]) -> None:
        """Send one message; the page acknowledges it after painting."""
        self._seq += 1
        self._send_msg(json.dumps({"seq": self._seq, **content}))

    def _handle_msg(self, msg: Any) -> None:
        if isinstance(msg, dict) and "ack" in msg:
            self._on_answer()
        elif isinstance(msg, dict) and "zone" in msg:
            self._on_zone(str(msg["zone"]))
        elif isinstance(msg, dict):
            view, _, what = str(msg.get("go")).partition(" ")
            if view in VIEWS:
                self._on_go(view, what)


def strip(
    picture: Picture,
    today: dict[str, float],
    now: datetime,
    base: str,
    stale_s: float | None = None,
    zone: Zone = UTC_ZONE,
) -> dict[str, Any]:
    """Put the strip's content into words.

    Args:
        picture: Live picture.
        today: Strategy -> net P&L today over its positions that can be valued, NaN where none can.
        now: Aware.
        base: Base currency's name for display.
        stale_s: See :func:`stale_after`.
        zone: What moments are written in.
    """
    health = picture.parts.get("health") or {}
    total, strategies = partial_sum(today.values())
    _, positions = partial_sum(net_pnl(picture.table("positions")))
    unknown = max(positions, strategies)
    unread = picture.errors.get("positions")
    store = health.get("store") or {}
    depth = health.get("queue_depth")
    times = health.get("fill_to_store_ms") or {}
    store_bad = store.get("state", "ok") != "ok"
    return {
        "chips": {
            "broker": broker_chip(picture.parts.get("broker"), now, zone),
            "age": age_chip(heard_at(picture), now, zone),
            "queue": {
                "text": "—" if depth is None else f"{depth:,}",
                "state": "warn" if depth and depth > 1000 else "good",
                "title": "events accepted and not yet in the books",
            },
            "store": {
                "text": store.get("state", "?").upper() if store_bad else _ms(times.get("p50")),
                "state": "bad" if store_bad else "" if times.get("p50") is None else "good",
                "title": store.get("reason") or f"95 of 100 within {_ms(times.get('p95'))}",
            },
            "pnl": {
                "text": partial_text(total, unknown, base, decimals=0),
                "state": "warn" if unknown or unread else "" if total is None else "good",
                "title": f"positions cannot be read now, this may be old: {unread}"
                if unread
                else "net of fees, realized and unrealized, since midnight UTC"
                + (f"; not known for {unknown} positions" if unknown else ""),
            },
        },
        "square": square_badge(picture.parts.get("square"), now, stale_s, zone),
    }


def _ms(value: float | None) -> str:
    return "—" if value is None else duration_text(value / 1000)


def broker_chip(broker: Any, now: datetime, zone: Zone = UTC_ZONE) -> dict[str, str]:
    """Connection in words and colour."""
    if broker is None:
        return {"text": "unknown", "state": "warn", "title": ""}
    since = f"since {time_text(broker.since, zone, date=False)}" if broker.since else ""
    words = {"connected": "connected", "degraded": "degraded", "unavailable": "unavailable", "stale": "not answering"}
    state = {"connected": "good", "degraded": "warn"}.get(broker.state, "bad")
    text = words.get(broker.state, str(broker.state))
    if state != "good" and broker.since:
        text = f"{text} {duration_text((now - broker.since).total_seconds())}"
    return {"text": text, "state": state, "title": f"{since} {broker.reason or ''}".strip()}


def heard_at(picture: Picture) -> datetime | None:
    """When IB last told us anything: as the link says, else the newest mark of any position."""
    broker = picture.parts.get("broker")
    known = getattr(broker, "heard_at", None) or getattr(broker, "data_at", None)
    positions = picture.table("positions")
    if known is None and "market_at" in positions:
        newest = pd.to_datetime(positions["market_at"], utc=True, cache=False, errors="coerce").max()
        known = None if pd.isna(newest) else newest.to_pydatetime()
    return known or getattr(broker, "last_sync", None)


def age_chip(at: datetime | None, now: datetime, zone: Zone = UTC_ZONE) -> dict[str, str]:
    """Age of the last thing heard from IB."""
    if at is None:
        return {"text": "—", "state": "warn", "title": "nothing heard from IB yet"}
    seconds = (now - at).total_seconds()
    return {
        "text": duration_text(max(0.0, seconds)),
        "state": "good" if seconds < 60 else "warn",
        "title": time_text(at, zone),
    }


def stale_after(settings: Any) -> float | None:
    """Seconds after which a comparison is too old to stand for now; ``None`` when there is no timer to expect one of."""
    every = float(settings.reconcile_every_s)
    return max(120.0, 4 * every) if every else None


def standing(square: dict[str, Any] | None, now: datetime, stale_s: float | None = None) -> str:
    """Where the invariant stands: ``square``, ``unassigned``, ``settling``, ``breaks``, ``unknown`` or ``stale``.

    Args:
        square: As the engine gives it; ``state`` where it says so itself.
        now: Aware.
        stale_s: A comparison that is older does not count any more, however good it was.
    """
    if square is None or square.get("ok", square.get("state")) is None:
        return "unknown"
    state = square.get("state")
    if state is None:
        fails, waits = unbalanced(square.get("rows"))
        state = "square" if square["ok"] else "unassigned" if fails.empty and len(waits) else "breaks"
    at = square.get("checked_at")
    old = stale_s is not None and at is not None and (now - at).total_seconds() > stale_s
    return "stale" if old and state != "breaks" else str(state)


def square_badge(
    square: dict[str, Any] | None, now: datetime, stale_s: float | None = None, zone: Zone = UTC_ZONE
) -> dict[str, str]:
    """The invariant strategies + UNASSIGNED = broker, in words and colour; see :func:`standing`."""
    rule = "strategies + UNASSIGNED = broker"
    at = None if square is None else square.get("checked_at")
    checked = f"checked {time_text(at, zone)}" if at else "not checked yet"
    state = standing(square, now, stale_s)
    told = square or {}
    failing, waiting = unbalanced(told.get("rows"))
    fails, waits = told.get("breaks", len(failing)), told.get("unassigned", len(waiting))
    if state == "square":
        return {"text": "✓ Square", "state": "good", "title": f"{rule}: holds, {checked}"}
    if state == "unassigned":
        title = f"{rule}: holds, but {waits} of it wait in UNASSIGNED for an owner, {checked}"
        return {"text": f"! {waits} unassigned", "state": "unknown", "title": title}
    if state == "settling":
        number = told.get("settling") or 0
        title = f"{rule}: {number} differences are fresh and may be lag; not judged yet, {checked}"
        return {"text": f"… {number} settling", "state": "unknown", "title": title}
    if state == "breaks":
        title = f"{rule}: does not hold for {fails}, {checked}"
        return {"text": f"✗ {fails} not square", "state": "bad", "title": title}
    if state == "stale":
        return {"text": "? Not checked lately", "state": "unknown", "title": f"{rule}: not known now, last {checked}"}
    return {"text": "? Not known", "state": "unknown", "title": f"{rule}: unknown, {checked}"}
