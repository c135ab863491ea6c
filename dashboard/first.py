"""What a page shows before its programs have arrived: the same figures, as plain text in the page that is sent.

A browser takes a second or two to load and run what makes the living page. Until then the reader sees the screen that was
asked for, with the books as of that moment and the words that they do not move yet. The living page takes it away; should
it never come, the page says so and loads itself again. Every text is escaped; screen readers wait for the living page, so
that nothing is read to them twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from panel_material_ui.base import BASE_TEMPLATE

from dashboard import frames
from dashboard.files import MOMENTS
from dashboard.picture import Picture, read
from dashboard.theme import escape, time_text
from dashboard.zone import UTC_ZONE, Zone

log = logging.getLogger(__name__)

ROWS: Final = 25
STARTING: Final = "The engine is starting: it reads its books. They are shown here as soon as they are there …"
NUMBERS: Final = "iufb"

# A page whose websocket or programs did not come has nobody in it yet who could notice: this stands in the page that is
# sent. It gives up once anything living was heard of, and waits twice as long after each try, since a machine that is too
# busy to open the page in time must not be asked ever faster.
WAKE: Final = """
(() => {
  const words = document.querySelector("#fillbook-first[data-starting]")
    ? "The engine is still starting. The page is loaded again as soon as the server answers …"
    : "The page does not come to life. It is tried again as soon as the server answers …"
  const tries = Number(sessionStorage.getItem("fillbook-tries") ?? 0)
  const patience = 30000 * 2 ** Math.min(tries, 3), born = Date.now()
  const watch = setInterval(async () => {
    if (document.documentElement.dataset.fillbookSeq) {
      clearInterval(watch)
      sessionStorage.removeItem("fillbook-tries")
      return
    }
    if (Date.now() - born < patience) { return }
    const told = document.querySelector("#fillbook-first p")
    if (told) { told.textContent = words }
    try {
      if (!(await fetch("./favicon.ico", {cache: "no-store"})).ok) { return }
    } catch (error) {
      console.debug("the server does not answer", error)
      return
    }
    clearInterval(watch)
    sessionStorage.setItem("fillbook-tries", String(tries + 1))
    location.reload()
  }, 1000)
})()
"""

# The programs come behind the figures, so that the browser paints before it loads them.
TEMPLATE: Final = BASE_TEMPLATE.environment.from_string(
    """{% extends "base.html" %}
{% block js_resources %}{% endblock %}
{% block postamble %}
{% if resources %}
{% for css in resources.css.values() %}<link rel="stylesheet" href="{{ css }}">
{% endfor %}
{% for raw in resources.raw_css %}<style type="text/css">{{ raw }}</style>
{% endfor %}
{% endif %}
{% endblock %}
{% block inner_body %}
{{ first }}
<script>"""
    + WAKE
    + """</script>
{{ bokeh_js if bokeh_js }}
{% if resources %}
{% for src in resources.js.values() %}<script src="{{ src }}"></script>
{% endfor %}
{% for src in resources.js_modules.values() %}<script src="{{ src }}" type="module"></script>
{% endfor %}
{% endif %}
{{ super() }}
{% endblock %}"""
)

STYLE: Final = """
#fillbook-first { position: fixed; inset: 0; z-index: 1200; overflow: hidden; pointer-events: none; display: grid;
  grid-template: 64px 1fr / 216px 1fr; background: #f5f7f9; color: #17212b;
  font: 13px Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; }
#fillbook-first.dark { background: #10161c; color: #e4eaf0; }
#fillbook-first header { grid-column: 1 / 3; background: #173d60; color: #fff; padding: 0 24px; font-size: 20px;
  line-height: 64px; }
#fillbook-first ul { margin: 0; padding: 16px; list-style: none; line-height: 36px; opacity: 0.75; }
#fillbook-first main { padding: 14px 18px; overflow: hidden; }
#fillbook-first h1 { font: 650 20px Inter, 'Segoe UI', Roboto, sans-serif; margin: 0 0 6px; }
#fillbook-first h2 { font: 650 15px Inter, 'Segoe UI', Roboto, sans-serif; margin: 14px 0 6px; }
#fillbook-first table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
#fillbook-first :is(td, th) { padding: 3px 12px 3px 0; text-align: left; max-width: 210px; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
#fillbook-first .number { text-align: right; }
"""

Tables = Mapping[str, pd.DataFrame]


def _overview(picture: Picture, strategy: str, account: str) -> Tables:
    per = frames.per_strategy(picture.table("positions"), {}, account=account)
    fills = frames.fills_table(frames.chosen(picture.table("fills"), strategy=strategy, account=account))
    return {
        "P&L per strategy, base currency": per[["strategy", "net", "realized", "unrealized", "fees"]],
        "Latest fills": fills[["timestamp", "strategy", "instrument", "qty", "price"]].head(10),
    }


def _positions(picture: Picture, strategy: str, account: str) -> Tables:
    table = frames.positions_table(picture.table("positions"), strategy=strategy, account=account)
    return {"": table[["strategy", "account", "instrument", "currency", "qty", "avg_cost", "unrealized_pnl"]]}


def _fills(picture: Picture, strategy: str, account: str) -> Tables:
    table = frames.fills_table(frames.chosen(picture.table("fills"), strategy=strategy, account=account))
    return {"": table[["timestamp", "strategy", "account", "instrument", "side", "qty", "price", "commission"]]}


def _orders(picture: Picture, strategy: str, account: str) -> Tables:
    table = frames.orders_table(picture.table("orders"), strategy=strategy, account=account, limit=ROWS)
    return {"": table[["timestamp", "status", "strategy", "account", "instrument", "side", "qty", "filled"]]}


def _breaks(picture: Picture, _strategy: str, account: str) -> Tables:
    table = frames.breaks_table(picture.table("breaks"), account=account, now=picture.at)
    return {"Open breaks": table[["state", "account", "instrument", "quantity", "explained", "residual"]]}


def _part(name: str, *columns: str) -> Callable[[Picture, str, str], Tables]:
    def tables(picture: Picture, _strategy: str, _account: str) -> Tables:
        table = picture.table(name)
        return {"": table[[column for column in columns if column in table]]}

    return tables


def _health(picture: Picture, _strategy: str, _account: str) -> Tables:
    found = picture.parts.get("health") or {}
    names = ("ok", "queue_depth", "journal_seq", "stored_seq", "memory_mb")
    return {
        "": pd.DataFrame({"figure": names, "value": ["—" if found.get(n) is None else str(found[n]) for n in names]})
    }


CONTENT: Final[Mapping[str, tuple[frozenset[str], Callable[[Picture, str, str], Tables]]]] = {
    "overview": (frozenset({"positions", "fills"}), _overview),
    "positions": (frozenset({"positions"}), _positions),
    "fills": (frozenset({"fills"}), _fills),
    "orders": (frozenset({"orders"}), _orders),
    "reconciliation": (frozenset({"breaks"}), _breaks),
    "assignments": (frozenset({"breaks"}), _breaks),
    "dayclose": (frozenset({"closes"}), _part("closes", "date", "account", "closed_at", "operator")),
    "quarantine": (frozenset({"quarantine"}), _part("quarantine", "received_at", "strategy", "door", "reason")),
    "health": (frozenset({"health"}), _health),
}
"""Screen -> parts of the picture, and what is made of them; the others show their heading only."""


def first_sight(shell: Any, titles: Mapping[str, str]) -> str:
    """The first sight of a session's page; empty when it cannot be had, since the living page tells what is wrong.

    Args:
        shell: The session's page.
        titles: Screen -> its title, in the order of the navigation.
    """
    state = shell.state
    view = state.shown if state.shown in titles else "overview"
    try:
        live = shell.hub.running and not state.as_of
        picture = first_picture(shell.engine, view, shell.recent()) if live else None
        return first_html(
            view,
            titles,
            picture,
            strategy=state.strategy,
            account=state.account,
            dark=bool(shell.page.dark_theme),
            zone=state.clock,
            running=shell.hub.running,
        )
    except Exception:
        log.exception("The first sight of %s cannot be drawn", view)
        return ""


def first_picture(engine: Any, view: str, recent: Picture | None) -> Picture | None:
    """The parts that a screen's first sight needs: those of ``recent`` when it has them, else read now."""
    parts, _ = CONTENT.get(view, (frozenset(), None))
    if not parts:
        return None
    if recent is not None and parts <= recent.parts.keys():
        return recent
    return read(engine, parts, None, {}, time.monotonic())


def first_html(
    view: str,
    titles: Mapping[str, str],
    picture: Picture | None,
    *,
    strategy: str,
    account: str,
    dark: bool,
    zone: Zone = UTC_ZONE,
    running: bool = True,
) -> str:
    """The first sight of a page.

    Args:
        view: Key of the screen.
        titles: Screen -> its title, in the order of the navigation.
        picture: From :func:`first_picture`; ``None`` where there is nothing to show yet.
        strategy: Only this one, empty for all.
        account: Only this one, empty for all.
        dark: In the dark theme's colours.
        zone: What moments are shown in.
        running: False while the engine is still starting.
    """
    words = "Loading …" if running else STARTING
    shown = ""
    lacking = picture is not None and not picture.errors.keys().isdisjoint(CONTENT[view][0])
    if picture is not None and not lacking:
        at = time_text(min(picture.at, datetime.now(UTC)), zone)
        words = f"Books as of {at}. They do not move yet: the page is loading …"
        tables = CONTENT[view][1](picture, strategy, account)
        shown = "".join(
            (f"<h2>{escape(name)}</h2>" if name else "") + _table(table, zone) for name, table in tables.items()
        )
    starting = "" if running else " data-starting"
    menu = "".join(f"<li>{escape(title)}</li>" for title in titles.values())
    return (
        f'<style>{STYLE}</style><div id="fillbook-first" class="{"dark" if dark else "light"}"{starting} aria-hidden="true">'
        f"<header>Fillbook</header><ul>{menu}</ul><main><h1>{escape(titles[view])}</h1><p>{escape(words)}</p>{shown}</main></div>"
    )


def _table(table: pd.DataFrame, zone: Zone) -> str:
    if table.empty:
        return "<p>Nothing here.</p>"
    table = table.head(ROWS)
    moments = [name for name in table if name in MOMENTS]
    for name in moments:
        words = table[name] if table[name].dtype == object else pd.Series(frames.clock(table[name]))
        table = table.assign(**{name: zone.locals(words.tolist(), 0, 19)})
    columns = [(name, table[name].dtype.kind in NUMBERS) for name in table]
    head = "".join(f"<th{_side(number)}>{escape(_title(str(name), zone))}</th>" for name, number in columns)
    cells = [[_cell(value, number) for value in table[name].tolist()] for name, number in columns]
    return (
        f"<table><tr>{head}</tr>{''.join('<tr>' + ''.join(row) + '</tr>' for row in zip(*cells, strict=True))}</table>"
    )


def _title(name: str, zone: Zone) -> str:
    return name.replace("_", " ") + (f" ({zone.label})" if name in MOMENTS else "")


def _side(number: bool) -> str:
    return " class='number'" if number else ""


def _cell(value: Any, number: bool) -> str:
    if number:
        text = "—" if not np.isfinite(value) else f"{value:,.8f}".rstrip("0").rstrip(".").replace("-", "−")
    else:
        text = "" if value is None else str(value)
    return f"<td{_side(number)}>{escape(text)}</td>"
