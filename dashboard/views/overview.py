"""Overview: is all square, what did we earn, what waits for somebody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pandas as pd
import panel as pn
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure
from panel.viewable import Viewable

from dashboard import frames, theme
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, notice, section, side_by_side, text, tile, tiles
from dashboard.picture import Picture
from dashboard.theme import duration_text, money_text, quantity_text, time_text


class Overview(Screen):
    """The first screen."""

    title = "Overview"
    travels = True
    needs: ClassVar[frozenset[str]] = frozenset(
        {"positions", "portfolio", "breaks", "equity", "fees", "quarantine", "fills", "findings", "alerts"}
    )

    def build(self) -> Viewable:
        """Make the tiles, tables and the curve."""
        self.tiles = text()
        self.square = text()
        self.strategies = Grid(
            "P&L per strategy",
            {
                "strategy": Column("Strategy"),
                "today": Column("Today", "whole"),
                "net": Column("Net", "whole"),
                "realized": Column("Realized", "whole"),
                "unrealized": Column("Unrealized", "whole"),
                "fees": Column("Fees", "amount"),
                "unknown": Column("No mark", "count", width=66),
            },
            empty="No strategy has traded yet",
            fit=True,
        )
        self.breaks = Grid(
            "Open breaks",
            {
                "state": Column("State", width=86),
                "instrument": Column("Instrument"),
                "account": Column("Account", width=92),
                "quantity": Column("To assign", "qty"),
                "age_min": Column("Minutes", "count", width=82),
                "value_at_risk_base": Column("At risk", "count"),
            },
            empty="No open break: the books and the broker agree",
            page_size=8,
            fit=True,
        )
        self.fills = Grid(
            "Latest fills",
            {
                "at": Column("UTC", "time", width=82),
                "strategy": Column("Strategy"),
                "instrument": Column("Instrument"),
                "qty": Column("Quantity", "qty"),
                "price": Column("Price", "price"),
                "commission_status": Column("Fee", width=70),
            },
            empty="No fill yet",
            page_size=10,
            fit=True,
        )
        self.attention = text()
        self.source = ColumnDataSource({"xs": [], "ys": [], "name": [], "colour": []})
        self.figure = self._figure()
        self.curve = pn.pane.Bokeh(self.figure, sizing_mode="stretch_width", visible=False)
        self.no_curve = text("<p class='dim'>No equity has been sampled yet.</p>")
        return pn.Column(
            self.tiles,
            self.square,
            side_by_side(
                section("P&L per strategy, base currency", self.strategies),
                section("Equity per strategy, net of fees, base currency", self.curve, self.no_curve),
            ),
            side_by_side(section("Latest fills", self.fills), section("Open breaks", self.breaks)),
            section("Needs attention", self.attention),
            sizing_mode="stretch_width",
            margin=0,
        )

    def _figure(self) -> Any:
        # Ranges of our own: Bokeh cannot derive any from a source that is still empty, and complains in the console.
        plot = figure(
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            height=280,
            x_axis_type="datetime",
            sizing_mode="stretch_width",
            toolbar_location=None,
            tools="",
        )
        plot.multi_line("xs", "ys", source=self.source, line_color="colour", line_width=2, legend_field="name")
        plot.add_layout(plot.legend[0], "right")
        plot.add_tools(HoverTool(tooltips=[("strategy", "@name"), ("at", "$x{%H:%M} UTC"), ("equity", "$y{+0,0.00}")],
                                 formatters={"$x": "datetime"}, line_policy="nearest"))  # fmt: skip
        plot.legend.label_text_font_size = "11px"
        plot.legend.background_fill_alpha = 0.6
        plot.legend.spacing, plot.legend.padding = 0, 4
        plot.xaxis.axis_label = "time (UTC)"
        plot.yaxis.formatter.use_scientific = False
        return plot

    def refresh(self, picture: Picture) -> None:
        """Tiles every time, tables and curve when their parts changed."""
        account = self.state.account
        curves, today = self.desk.hub.earnings(picture, account)
        if self.changed("tiles", picture.at, account):
            words = self._tiles(picture, today)
            if words != self.tiles.object:
                self.tiles.object = words
            square = self._square(picture)
            if square != self.square.object:
                self.square.object = square
        if self.changed("strategies", picture.stamp("positions", "equity"), account, picture.at.minute):
            self.strategies.offer(frames.per_strategy(picture.table("positions"), today, account=account))
        if self.changed("breaks", picture.stamp("breaks"), account, picture.at.minute):
            self.breaks.offer(frames.breaks_table(picture.table("breaks"), account=account, now=picture.at))
        if self.changed("fills", picture.stamp("fills"), account, self.state.strategy):
            table = frames.fills_table(
                frames.chosen(picture.table("fills"), strategy=self.state.strategy, account=account)
            )
            self.fills.offer(table.assign(at=table["timestamp"].str[11:19]).head(30))
        if self.changed("attention", picture.stamp("findings", "alerts"), picture.live):
            self.attention.object = _attention(picture)
        if self.changed("equity", picture.stamp("equity"), account):
            with pn.io.hold():
                self.source.data = curve_columns(curves)
                if curves:
                    fit_ranges(self.figure, self.source.data)
            self.curve.visible, self.no_curve.visible = bool(curves), not curves

    def _tiles(self, picture: Picture, today: dict[str, float]) -> str:
        positions = frames.chosen(picture.table("positions"), account=self.state.account)
        breaks = frames.chosen(picture.table("breaks"), account=self.state.account)
        base = frames.base_currency(positions, self.desk.engine.settings.base_currency)
        net, unknown = theme.partial_sum(frames.net_pnl(positions))
        earned, _ = theme.partial_sum(today.values())
        risk = float(breaks["value_at_risk_base"].sum(skipna=False)) if "value_at_risk_base" in breaks else 0.0
        entries = [
            tile(
                f"P&L today ({base})", theme.partial_text(earned, unknown, decimals=0), _unknown(unknown), _sign(earned)
            ),
            tile(f"P&L in all ({base})", theme.partial_text(net, unknown, decimals=0), _unknown(unknown), _sign(net)),
            tile(
                "Open breaks",
                str(len(breaks)),
                f"value at risk {money_text(risk, base, decimals=0)}" if len(breaks) else "none",
                "bad" if len(breaks) else "good",
            ),
        ]
        if picture.live:
            fees, held = picture.table("fees"), picture.table("quarantine")
            health = picture.parts.get("health") or {}
            times = health.get("fill_to_store_ms") or {}
            entries += [
                tile("Fees pending", str(len(fees)), "executions without a final fee", "warn" if len(fees) else "good"),
                tile("Quarantine", str(len(held)), "messages that could not be read", "bad" if len(held) else "good"),
                tile(
                    "Fill to store",
                    "—" if times.get("p50") is None else duration_text(times["p50"] / 1000),
                    "" if times.get("p95") is None else f"95 of 100 within {duration_text(times['p95'] / 1000)}",
                ),
            ]
        return tiles(entries)

    def _square(self, picture: Picture) -> str:
        if not picture.live:
            return notice("info", f"Strategies and breaks as they were at {time_text(picture.at)}")
        square = picture.parts.get("square") or {}
        rule = "strategies + UNASSIGNED = broker"
        if square.get("ok") is None:
            return notice("warn", f"? Not known whether {rule}: no complete answer of the broker yet")
        if square["ok"]:
            return notice(
                "good",
                f"✓ Square: {rule} for every account and instrument, checked {time_text(square.get('checked_at'))}",
            )
        fails, waits = frames.unbalanced(square.get("rows"))
        words = ""
        if len(fails) or waits.empty:
            told = f"✗ Not square: {rule} fails for {len(fails)}"
            words = notice("error", told + _listed(fails, "missing", "broker minus books"))
        if len(waits):
            rest = "holds" if fails.empty else "holds for the rest"
            told = f"! {rule} {rest}, but {len(waits)} wait in UNASSIGNED for an owner"
            words += notice("warn", told + _listed(waits, "quantity", "to assign"))
        return words


def _listed(rows: pd.DataFrame, column: str, what: str) -> str:
    named = frames.rows_of(frames.with_instrument(rows.head(6)))
    lines = [f"{row['instrument']} in {row['account']}: {what} {quantity_text(row[column])}" for row in named]
    more = "" if len(rows) <= 6 else f" and {len(rows) - 6} more"
    return f" – {'; '.join(lines)}{more}" if lines else ""


def _unknown(rows: int) -> str:
    return f"+ {rows} positions not valued" if rows else "realized + unrealized − fees"


def _sign(value: float | None) -> str:
    return "" if value is None or value != value else "good" if value >= 0 else "bad"  # noqa: PLR0124  NaN


def _attention(picture: Picture) -> str:
    if not picture.live:
        return notice("info", "Alerts and findings are live only.")
    lines = []
    for alert in (picture.parts.get("alerts") or [])[:8]:
        kind = "error" if alert.get("severity") == "critical" else "warn"
        lines.append(
            notice(kind, f"{time_text(alert.get('at'))} · {alert.get('severity', '')} · {alert.get('text', '')}")
        )
    for row in picture.table("findings").tail(8).to_dict("records"):
        kind = {"critical": "error", "warning": "warn"}.get(str(row.get("severity")), "info")
        lines.append(notice(kind, f"{time_text(row.get('seen_at'))} · {row.get('kind', '')} · {row.get('text', '')}"))
    return "".join(lines) or notice("good", "Nothing: no alert and no finding.")


def curve_columns(curves: dict[str, tuple[list[datetime], list[float]]]) -> dict[str, list[Any]]:
    """Columns of the multi-line source; naive UTC, since Bokeh draws a naive time as it is."""
    names = list(curves)
    return {
        "xs": [[moment.astimezone(UTC).replace(tzinfo=None) for moment in curves[n][0]] for n in names],
        "ys": [curves[n][1] for n in names],
        "name": [n if len(n) <= 16 else n[:15] + "…" for n in names],
        "colour": [theme.STRATEGY_COLOURS[i % len(theme.STRATEGY_COLOURS)] for i in range(len(names))],
    }


def fit_ranges(plot: Any, columns: dict[str, list[Any]]) -> None:
    """Let both axes hold all curves, with some air above and below."""
    times = [moment for line in columns["xs"] for moment in line]
    values = [value for line in columns["ys"] for value in line]
    air = 0.06 * ((max(values) - min(values)) or 1.0)
    plot.x_range.update(start=min(times), end=max(times) + timedelta(seconds=1))
    plot.y_range.update(start=min(values) - air, end=max(values) + air)
