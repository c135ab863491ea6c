"""What stands beside every screen: filters, time travel and the zone of all times. It writes into the session's state."""

from __future__ import annotations

from typing import Any, Final

import panel as pn
import panel_material_ui as pmui

from dashboard import zone as zones
from dashboard.desk import Desk
from dashboard.model import read_moment
from dashboard.parts import text
from dashboard.picture import Picture
from dashboard.theme import escape

ALL_STRATEGIES: Final = "All strategies"
ALL_ACCOUNTS: Final = "All accounts"


class Side:
    """The controls of one page.

    Args:
        desk: Whose state is written; who is logged in.
        nav: Stands above the controls.
    """

    def __init__(self, desk: Desk, nav: Any) -> None:
        self.desk, self.state = desk, desk.state
        self._browser = ""
        self.strategy = pmui.Select(
            label="Strategy", options=[ALL_STRATEGIES], value=ALL_STRATEGIES, size="small", sizing_mode="stretch_width"
        )
        self.account = pmui.Select(
            label="Account", options=[ALL_ACCOUNTS], value=ALL_ACCOUNTS, size="small", sizing_mode="stretch_width"
        )
        self.as_of = pmui.TextInput(placeholder="2026-01-31 16:00", size="small", sizing_mode="stretch_width")
        self.travel = pmui.Button(label="Show", variant="outlined", size="small", on_click=self._travel)
        self.live = pmui.Button(
            label="Back to live",
            variant="contained",
            size="small",
            visible=False,
            on_click=lambda _: setattr(self.state, "as_of", ""),
        )
        self.zone = pmui.Select(label="Time zone", size="small", sizing_mode="stretch_width", max_height=360)
        self.show_zone()
        self.strategy.param.watch(self._chosen, "value")
        self.account.param.watch(self._chosen, "value")
        self.zone.param.watch(self._zoned, "value")
        who = "operator" if desk.may_act else "viewer, may look only"
        self.layout = pn.Column(
            nav,
            text("<h2>Filter</h2>", margin=(6, 14)),
            self.strategy,
            self.account,
            text("<h2>Time</h2>", margin=(10, 14, 0, 14)),
            self.zone,
            self.as_of,
            pn.Row(self.travel, self.live, margin=(0, 6)),
            text(f"<p class='dim'>{escape(desk.user)} · {who}</p>", margin=(12, 14)),
            sizing_mode="stretch_width",
            margin=0,
        )

    def offer(self, picture: Picture) -> None:
        """Offer the strategies and accounts there are, and show what is chosen."""
        positions = picture.table("positions")
        names = sorted({str(n) for n in positions["strategy"]}) if "strategy" in positions else []
        broker = picture.parts.get("broker")
        accounts = sorted(
            {str(a) for a in getattr(broker, "accounts", ())}
            | ({str(a) for a in positions["account"]} if "account" in positions else set())
        )
        for widget, everything, found, value in (
            (self.strategy, ALL_STRATEGIES, names, self.state.strategy),
            (self.account, ALL_ACCOUNTS, accounts, self.state.account),
        ):
            options = [everything, *found, *([value] if value and value not in found else [])]
            if widget.options != options:
                widget.param.update(options=options, value=value or everything)
            elif widget.value != (value or everything):
                widget.value = value or everything

    def show_zone(self) -> None:
        """Offer the zones, that of the browser and that of the link among them, and show the one in force."""
        zone = self.state.clock
        names = list(zones.OFFERED)
        names += [name for name in (self._browser, zone.name) if name and name not in names]
        options = {f"{name} (this browser)" if name == self._browser else name: name for name in names}
        if self.zone.options != options or self.zone.value != zone.name:
            self.zone.param.update(options=options, value=zone.name)
        self.as_of.label = f"As of ({zone.label})"
        if self.state.moment is not None:
            self.as_of.value = zone.typed(self.state.moment)

    def browser_in(self, name: str) -> None:
        """The browser has told its own zone."""
        zone = zones.find(name)
        self._browser = "" if zone is None else zone.name
        self.show_zone()

    def _chosen(self, event: Any) -> None:
        value = "" if event.new in {ALL_STRATEGIES, ALL_ACCOUNTS} else event.new
        setattr(self.state, "strategy" if event.obj is self.strategy else "account", value)

    def _zoned(self, event: Any) -> None:
        if event.new != self.state.clock.name:
            self.state.zone = "" if event.new == "UTC" else event.new

    def _travel(self, _event: Any) -> None:
        words = (self.as_of.value or self.as_of.value_input or "").strip()
        moment = read_moment(words, self.state.clock)
        if moment is None:
            self.desk.say(f"{words!r} is no moment; write it like 2026-01-31 16:00", "error")
            return
        self.state.as_of = moment.isoformat()
