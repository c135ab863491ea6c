"""Overview: is all square, what did we earn, what waits for somebody."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
import panel as pn
from panel.viewable import Viewable

from dashboard import charts, frames, theme
from dashboard.accounts import ALL, accounts_table
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, notice, section, side_by_side, text, tile, tiles
from dashboard.picture import Picture
from dashboard.pulse import stale_after, standing
from dashboard.theme import duration_text, money_text, plain_words, quantity_text, time_text
from dashboard.zone import Zone


class Overview(Screen):
    """The first screen."""

    title = "Overview"
    travels = True
    needs: ClassVar[frozenset[str]] = frozenset(
        {"positions", "portfolio", "breaks", "equity", "fees", "quarantine", "fills", "findings", "alerts", "ages"}
    )

    def build(self) -> Viewable:
        """Make the tiles, tables and the curve."""
        self.tiles = text()
        self.square = text(margin=(2, 0, 8, 0))
        self.strategies = Grid(
            "P&L per strategy",
            {
                "strategy": Column("Strategy", least=100),
                "today": Column("Today", "whole", least=88),
                "net": Column("Net", "whole", least=88),
                "realized": Column("Realized", "whole", least=88),
                "unrealized": Column("Unreal.", "whole", least=88),
                "fees": Column("Fees", "rounded", least=62),
                "unknown": Column("No mark", "count", width=62),
            },
            empty="No strategy has traded yet",
            part="positions",
            selectable=1,
            on_select=self._strategy,
            key=("strategy",),
            fit=True,
        )
        self.accounts = Grid(
            "Accounts",
            {
                "account": Column("Account", width=84),
                "state": Column("Positions", least=76),
                "answered": Column("Their age", width=66),
                "priced": Column("Price age", width=66),
                "instruments": Column("Held", "count", width=44),
                "breaks": Column("Breaks", "count", width=52),
                "net": Column("Net P&L", "whole", least=84),
            },
            empty="IB has named no account yet",
            selectable=1,
            on_select=self._account,
            key=("account",),
            fit=True,
        )
        self.breaks = Grid(
            "Open breaks",
            {
                "state": Column("State", width=78),
                "instrument": Column("What", least=56),
                "account": Column("Account", width=82),
                "quantity": Column("To assign", "qty", least=92),
                "age_min": Column("Age (min)", "count", width=72),
                "value_at_risk_base": Column("Risk (base)", "rounded", least=82),
            },
            empty="No open break",
            part="breaks",
            page_size=8,
            selectable=1,
            on_select=self._break,
            key=("break_id",),
            fit=True,
        )
        self.fills = Grid(
            "Latest fills",
            {
                "timestamp": Column("{zone}", "clock", width=82),
                "strategy": Column("Strategy", least=66),
                "instrument": Column("Instrument", least=66),
                "qty": Column("Quantity", "qty", least=84),
                "price": Column("Price", "price", least=96),
                "commission_status": Column("Fee", width=62),
            },
            empty="No fill yet",
            part="fills",
            page_size=10,
            selectable=1,
            on_select=self._fill,
            key=("fill_id",),
            fit=True,
            zone=self.zone,
        )
        self.attention = text()
        self.figure, self.source = charts.equity_chart(self.zone)
        # A figure cannot be hidden by its pane, only by what it stands in.
        drawn = pn.pane.Bokeh(self.figure, sizing_mode="stretch_width")
        self.curve = pn.Column(drawn, sizing_mode="stretch_width", margin=0, visible=False)
        self.no_curve, self.legend = text(), text()
        return pn.Column(
            self.tiles,
            self.square,
            side_by_side(
                section("P&L per strategy, base currency", self.strategies),
                section("Equity per strategy, net of fees, base currency", self.curve, self.legend, self.no_curve),
                shares=((3, 560), (2, 380)),
            ),
            side_by_side(section("Accounts", self.accounts), section("Open breaks", self.breaks)),
            side_by_side(section("Latest fills", self.fills), section("Needs attention", self.attention)),
            sizing_mode="stretch_width",
            margin=0,
        )

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
            self.strategies.offer(self._per_strategy(picture, today))
        if self.changed("accounts", picture.stamp("positions", "breaks"), account, picture.at.second // 5):
            self.accounts.offer(self._accounts(picture))
        if self.changed("breaks", picture.stamp("breaks"), account, picture.at.minute):
            self.breaks.offer(frames.breaks_table(picture.table("breaks"), account=account, now=picture.at))
        if self.changed("fills", picture.stamp("fills"), account, self.state.strategy):
            self.fills.offer(self._latest(picture))
        if self.changed("attention", picture.stamp("findings", "alerts"), picture.live):
            self.attention.object = _attention(picture, self.zone)
        if self.changed("equity", picture.stamp("equity"), account):
            with pn.io.hold():
                sampled = frames.chosen(picture.table("equity"), account=account)
                total = charts.total_curve(curves, sampled)
                columns = charts.equity_columns(curves, total, self.zone.shift(picture.at))
                self.source.data, self.legend.object = columns, charts.legend_html(columns)
                charts.name_axis(self.figure, self.zone.axis(picture.at))
                if curves:
                    charts.fit_ranges(self.figure, self.source.data)
            self.curve.visible, self.no_curve.visible = bool(curves), not curves
            words = "Not known: it cannot be read now" if picture.lacks("equity") else "No equity has been sampled yet"
            self.no_curve.object = f"<p class='dim'>{words}</p>"

    def _per_strategy(self, picture: Picture, today: dict[str, float]) -> pd.DataFrame:
        account = self.state.account
        return self.desk.hub.shared(
            picture,
            ("per strategy", account),
            ("positions", "equity"),
            lambda: frames.per_strategy(picture.table("positions"), today, account=account),
            picture.at.date(),
        )

    def _latest(self, picture: Picture) -> pd.DataFrame:
        account, strategy = self.state.account, self.state.strategy

        def table() -> pd.DataFrame:
            found = frames.chosen(picture.table("fills"), strategy=strategy, account=account)
            return frames.fills_table(found.head(30))

        return self.desk.hub.shared(picture, ("latest", account, strategy), ("fills",), table)

    def _accounts(self, picture: Picture) -> pd.DataFrame:
        def table() -> pd.DataFrame:
            return accounts_table(
                (picture.parts.get("ages") or []) if picture.live else [],
                picture.table("positions"),
                None if picture.lacks("breaks") else picture.table("breaks"),
                picture.at,
                getattr(picture.parts.get("broker"), "accounts", ()) or (),
                "not asked yet" if picture.live else "—",
            )

        every_5_s = int(picture.at.timestamp()) // 5
        found = self.desk.hub.shared(picture, "accounts", ("positions", "breaks", "ages"), table, every_5_s)
        return found[found["account"] == self.state.account] if self.state.account else found

    def _strategy(self, rows: pd.DataFrame) -> None:
        if not rows.empty:
            name = str(rows.iloc[0]["strategy"])
            self.strategies.release()
            self.state.param.update(strategy="" if name == "Total" else name, view="positions", focus={})

    def _account(self, rows: pd.DataFrame) -> None:
        if not rows.empty:
            name = str(rows.iloc[0]["account"])
            self.accounts.release()
            self.state.param.update(account="" if name == ALL else name, view="positions", focus={"by": "account"})

    def _break(self, rows: pd.DataFrame) -> None:
        if not rows.empty:
            name = str(rows.iloc[0]["break_id"])
            self.breaks.release()
            self.state.go("reconciliation", break_id=name)

    def _fill(self, rows: pd.DataFrame) -> None:
        if not rows.empty:
            name = str(rows.iloc[0]["fill_id"])
            self.fills.release()
            self.state.go("fills", text=name)

    def _tiles(self, picture: Picture, today: dict[str, float]) -> str:
        positions = frames.chosen(picture.table("positions"), account=self.state.account)
        breaks = frames.chosen(picture.table("breaks"), account=self.state.account)
        base = frames.base_currency(positions, self.desk.engine.settings.base_currency)
        net, unknown = theme.partial_sum(frames.net_pnl(positions))
        earned, _ = theme.partial_sum(today.values())
        entries = [
            tile(
                f"P&L today ({base})",
                theme.partial_text(earned, unknown, decimals=0),
                _unknown(unknown),
                _sign(earned),
                "positions",
            ),
            tile(
                f"P&L in all ({base})",
                theme.partial_text(net, unknown, decimals=0),
                _unknown(unknown),
                _sign(net),
                "positions",
            ),
            self._breaks_tile(picture, breaks, base),
        ]
        if picture.live:
            fees = frames.chosen(picture.table("fees"), account=self.state.account)
            held = picture.table("quarantine")
            health = picture.parts.get("health") or {}
            times = health.get("fill_to_store_ms") or {}
            entries += [
                counted(
                    "Fees pending",
                    None if picture.lacks("fees") else len(fees),
                    "executions without a final fee",
                    "warn",
                    "fills pending",
                ),
                counted(
                    "Quarantine",
                    None if picture.lacks("quarantine") else len(held),
                    "messages that could not be read",
                    "bad",
                    "quarantine",
                ),
                tile(
                    "Fill to store",
                    "—" if times.get("p50") is None else duration_text(times["p50"] / 1000),
                    "no fill stored yet"
                    if times.get("p95") is None
                    else f"95 of 100 within {duration_text(times['p95'] / 1000)}",
                    go="health",
                ),
            ]
        return tiles(entries)

    def _breaks_tile(self, picture: Picture, breaks: pd.DataFrame, base: str) -> str:
        if picture.lacks("breaks"):
            return counted("Open breaks", None, "", "bad", "reconciliation")
        if len(breaks):
            known = "value_at_risk_base" in breaks
            risk = float(breaks["value_at_risk_base"].sum(skipna=False)) if known else None
            words = f"value at risk {money_text(risk, base, decimals=0).lstrip('+')}"
            return counted("Open breaks", len(breaks), words, "bad", "reconciliation")
        square, stale_s = picture.parts.get("square"), stale_after(self.desk.engine.settings)
        if picture.live and standing(square, picture.at, stale_s) in {"unknown", "stale"}:
            return tile("Open breaks", "0", "known; not compared now", "warn", "reconciliation")
        return tile("Open breaks", "0", "none", "good", "reconciliation")

    def _square(self, picture: Picture) -> str:
        if not picture.live:
            return notice("info", f"Strategies and breaks as they were at {time_text(picture.at, self.zone)}")
        square: dict[str, Any] = picture.parts.get("square") or {}
        rule = "strategies + UNASSIGNED = broker"
        checked = f"checked {time_text(square.get('checked_at'), self.zone)}"
        state = standing(square, picture.at, stale_after(self.desk.engine.settings))
        if state == "unknown":
            why = "; ".join(f"{name}: {reason}" for name, reason in (square.get("unknown") or {}).items())
            return notice("warn", f"? Not known whether {rule}: no complete answer of the broker. {why}")
        if state == "stale":
            return notice("warn", f"? Not known whether {rule}: last {checked}, and not since")
        if state == "square":
            return notice("good", f"✓ Square: {rule} for every account and instrument, {checked}")
        if state == "settling":
            number = square.get("settling") or 0
            return notice("warn", f"… {number} differences are fresh and may be lag: {rule} is judged when they settle")
        fails, waits = frames.unbalanced(square.get("rows"))
        words = ""
        if state == "breaks":
            told = f"✗ Not square: {rule} fails for {square.get('breaks', len(fails))}"
            words = notice("error", told + _listed(fails, "missing", "broker minus books"))
        if len(waits):
            rest = "holds for the rest" if state == "breaks" else "holds"
            told = (
                f"! {rule} {rest}, but {len(waits)} {'waits' if len(waits) == 1 else 'wait'} in UNASSIGNED for an owner"
            )
            words += notice("warn", told + _listed(waits, "quantity", "to assign"))
        return words


def _listed(rows: pd.DataFrame, column: str, what: str) -> str:
    named = frames.rows_of(frames.with_instrument(rows.head(6)))
    lines = [f"{row['instrument']} in {row['account']}: {what} {quantity_text(row[column])}" for row in named]
    more = "" if len(rows) <= 6 else f" and {len(rows) - 6} more"
    return f" – {'; '.join(lines)}{more}" if lines else ""


def counted(label: str, number: int | None, words: str, state: str, go: str) -> str:
    """A tile that counts what should not be there; ``None`` when it could not be read, which is not zero."""
    if number is None:
        return tile(label, "—", "not known: cannot be read now", "warn", go)
    return tile(label, f"{number:,}", words, state if number else "good", go)


def _unknown(rows: int) -> str:
    return f"+ {rows} positions not valued" if rows else "realized + unrealized − fees"


def _sign(value: float | None) -> str:
    return "" if value is None or value != value else "good" if value >= 0 else "bad"  # noqa: PLR0124  NaN


def _attention(picture: Picture, zone: Zone) -> str:
    if not picture.live:
        return notice("info", "Alerts and findings are live only.")
    lines = []
    for alert in (picture.parts.get("alerts") or [])[:8]:
        kind = "error" if alert.get("severity") == "critical" else "warn"
        lines.append(
            notice(kind, f"{time_text(alert.get('at'), zone)} · {alert.get('severity', '')} · {alert.get('text', '')}")
        )
    for row in picture.table("findings").tail(8).to_dict("records"):
        kind = {"critical": "error", "warning": "warn"}.get(str(row.get("severity")), "info")
        lines.append(
            notice(
                kind,
                f"{time_text(row.get('seen_at'), zone)} · {plain_words(row.get('kind', ''))} · {row.get('text', '')}",
            )
        )
    return "".join(lines) or notice("good", "Nothing: no alert and no finding.")
