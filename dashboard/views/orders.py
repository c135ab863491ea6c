"""Orders: a table and, linked with it, who set which state when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, Range1d
from bokeh.plotting import figure
from panel.viewable import Viewable

from dashboard import charts, frames, order_bars, theme
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, section, text
from dashboard.picture import Picture, known_by
from dashboard.theme import escape
from dashboard.zone import UTC_ZONE, Zone

ROW_PX: Final = 19
SLIM_PX: Final = 13
"""Height of an order's bar: with room for few orders, slim for many."""
DRAWN: Final = [20, 40, 100, 200]
"""Orders in the timeline, to choose from; the table goes on beyond them."""
SPANS: Final = {
    "Fit to closed orders": 0,
    "Everything": -1,
    "Last minute": 60,
    "Last 15 minutes": 900,
    "Last hour": 3600,
    "Last 8 hours": 28800,
}
"""How much time the timeline shows, in seconds; an order that waits for hours must not squeeze the others."""


class Orders(Screen):
    """Open orders first; the bars show each state for as long as it lasted."""

    title = "Orders"
    travels = True
    needs: ClassVar[frozenset[str]] = frozenset({"orders"})

    def build(self) -> Viewable:
        """Make table, timeline and the story of the chosen order."""
        self.open_only = pmui.Switch(label="Open orders only", value=False)
        self.clear = pmui.Button(
            label="Clear selection", variant="text", size="small", disabled=True, on_click=self._release
        )
        self.to_fills = pmui.Button(
            label="Fills of this order", variant="outlined", size="small", disabled=True, on_click=self._fills
        )
        self.grid = Grid(
            "Orders",
            {
                "timestamp": Column("Last state ({zone})", "time"),
                "status": Column("State", filter=True),
                "strategy": Column("Strategy", filter=True),
                "account": Column("Account"),
                "instrument": Column("Instrument", filter=True),
                "side": Column("Side"),
                "order_type": Column("Type"),
                "qty": Column("Quantity", "count"),
                "filled": Column("Filled", "count"),
                "remaining": Column("Remaining", "count"),
                "limit_price": Column("Limit", "price"),
                "avg_fill_price": Column("Average price", "price"),
                "order_ref": Column("Order reference", width=170),
                "message": Column("Message", width=220),
            },
            empty="No order yet",
            part="orders",
            page_size=8,
            selectable=1,
            on_select=self._picked,
            key=("order_key",),
            snug=True,
            zone=self.zone,
        )
        self.export = self.grid.export("orders.csv")
        self.many = pmui.Select(label="Orders drawn", options=DRAWN, value=40, size="small", width=120)
        self.span = pmui.Select(label="Time shown", options=SPANS, value=0, size="small", width=190)
        self.story = Grid(
            "States of the chosen order",
            {
                "recorded_at": Column("Recorded ({zone})", "time"),
                "timestamp": Column("Broker's time ({zone})", "time"),
                "status": Column("State"),
                "filled": Column("Filled", "count"),
                "remaining": Column("Remaining", "count"),
                "avg_fill_price": Column("Average price", "price"),
                "client_id": Column("Client", "number"),
                "message": Column("Message"),
            },
            empty="Choose an order in the table",
            zone=self.zone,
        )
        self.story_box = section("Every state of the chosen order", self.story, visible=False)
        self.source = ColumnDataSource(
            {
                n: []
                for n in ("label", "status", "left", "right", "filled", "text", "order_key", "colour", "shade", "mark")
            }
        )
        self.figure = self._figure()
        self._reached: tuple[Any, Any] = (0, 1)
        self._drawing = False
        self.bars = pn.pane.Bokeh(self.figure, sizing_mode="stretch_width")
        self.scroll = pn.Column(
            self.bars,
            sizing_mode="stretch_width",
            margin=0,
            styles={"max-height": "620px", "overflow-y": "auto", "overflow-x": "hidden"},
            visible=False,
        )
        self.no_bars = text("<p class='dim'>No order to draw</p>")
        self.legend = text(_legend())
        self.open_only.param.watch(lambda _: self._again(), "value")
        self.many.param.watch(lambda _: self._again(), "value")
        self.span.param.watch(self._spanned, "value")
        return pn.Column(
            section(
                "",
                pn.FlexBox(self.open_only, self.to_fills, self.clear, self.export, align_items="center", gap="10px"),
                self.grid,
            ),
            self.story_box,
            section(
                f"Timeline ({self.zone.label}): one bar per state, open orders first",
                pn.FlexBox(self.many, self.span, align_items="center", gap="10px"),
                self.legend,
                self.scroll,
                self.no_bars,
                text(
                    "<p class='dim'>A diamond ends an order, a dot is a change of state or a partial fill. Drag to move in "
                    "time; the wheel goes through the orders, or zooms when that is switched on above the chart. Click a "
                    "bar to choose its order: the table lists its states and who set them.</p>"
                ),
            ),
            sizing_mode="stretch_width",
            margin=0,
        )

    def _figure(self) -> Any:
        zone = self.zone.label
        plot = figure(
            x_range=Range1d(0, 1),
            y_range=FactorRange(factors=[]),
            x_axis_type="datetime",
            x_axis_location="above",  # the newest order is at the top, and stays in sight with its times
            height=160,
            sizing_mode="stretch_width",
            tools="xpan,xwheel_zoom,reset,tap",
            toolbar_location="above",
        )
        plot.toolbar.logo = None
        plot.min_border_right = 34  # half of the last time, which would be cut
        plot.hbar(
            y="label", left="left", right="right", height=0.62, source=self.source,
            fill_color="colour", line_color="shade",
            line_width=1.5, nonselection_fill_alpha=0.18, nonselection_line_alpha=0.2,
        )  # fmt: skip
        plot.scatter(
            x="right", y="label", source=self.source, size=9, marker="mark", fill_color="colour", line_color="shade",
            nonselection_fill_alpha=0.18,
        )  # fmt: skip
        plot.add_tools(
            HoverTool(
                tooltips=[("state", "@status"),
                          ("from", f"@left{{%F %H:%M:%S.%3N}} {zone}"), ("to", f"@right{{%F %H:%M:%S.%3N}} {zone}"),
                          ("filled", "@filled"), ("message", "@text")],
                formatters={"@left": "datetime", "@right": "datetime"},
            )
        )  # fmt: skip
        plot.xaxis.axis_label = f"time ({zone})"
        plot.ygrid.grid_line_color = None
        self.source.selected.on_change("indices", self._tapped)
        return plot

    def _release(self, _event: Any) -> None:
        self.grid.release()

    def draw(self, picture: Picture) -> None:
        """Draw, then take over what a drill-down pointed at."""
        super().draw(picture)
        focus = self.pointed("order_key")
        if focus and not self.grid.choose(focus["order_key"]):
            self._tell(focus["order_key"])  # an order of long ago, which is not among those listed

    def refresh(self, picture: Picture) -> None:
        """Bring table and bars up to date."""
        state = self.state
        past = None if picture.live else picture.at
        fresh = self.changed(
            "orders", picture.stamp("orders"), state.strategy, state.account, self.open_only.value, past
        )
        if fresh:
            self.grid.offer(self._orders(picture))
        moving = picture.at.replace(microsecond=0) if picture.live else past
        # Once a second: a drawing of many orders is what costs a browser most on this screen.
        if self.changed("bars", moving, state.strategy, state.account, self.open_only.value, self.many.value):
            self._bars_of = (self._orders(picture).head(self.many.value), picture)
            if not self._drawing:
                self.fetch(self._load_bars)

    def _orders(self, picture: Picture) -> pd.DataFrame:
        strategy, account = self.state.strategy, self.state.account
        frame = self.desk.hub.shared(
            picture,
            ("orders", strategy, account),
            ("orders",),
            lambda: frames.orders_table(picture.table("orders"), strategy=strategy, account=account),
        )
        return (
            frame[~frame["status"].map(frames.is_dead).astype(bool)].reset_index(drop=True)
            if self.open_only.value
            else frame
        )

    async def _load_bars(self) -> None:
        """Read the stories of the orders on show in a thread: two hundred of them would hold up everybody's page."""
        self._drawing = True
        try:
            shown, picture = self._bars_of
            data = await asyncio.to_thread(bar_columns, self.desk.hub, shown, picture, self.zone)
        finally:
            self._drawing = False
        self._draw_bars(data, self.zone.axis(picture.at))

    def _draw_bars(self, data: dict[str, list[Any]], axis: str) -> None:
        if data == self.source.data:
            return
        labels = list(dict.fromkeys(data["label"]))[::-1]
        with pn.io.hold():
            if self.figure.y_range.factors != labels:
                self.figure.y_range.factors = labels
                slim = len(labels) > 60
                height = max(160, 90 + (SLIM_PX if slim else ROW_PX) * len(labels))
                self.bars.height = self.figure.height = height
                # Else the box that scrolls would squeeze it, two hundred bars and all, until nothing had to be scrolled.
                self.figure.min_height = height
                self.figure.yaxis.major_label_text_font_size = "9px" if slim else "11px"
            self.source.data = data
            charts.name_axis(self.figure, axis)
            if labels:
                self._reach(first_shown(data, self.span.value), max(data["right"]))
            self._light()
        self.scroll.visible, self.no_bars.visible = bool(labels), not labels

    def _reach(self, first: datetime, last: datetime) -> None:
        """Let the time axis hold all bars, unless somebody has moved it (reset brings it back)."""
        axis = self.figure.x_range
        if (axis.start, axis.end) in {self._reached, (0, 1)}:
            air = max(timedelta(seconds=1), (last - first) * 0.02)
            axis.update(start=first - air, end=last + air)
            axis.update(reset_start=first - air, reset_end=last + air)
            self._reached = (axis.start, axis.end)

    def _spanned(self, _event: Any) -> None:
        axis = self.figure.x_range
        self._reached = (axis.start, axis.end)  # whatever it shows, it may be moved now
        if self.source.data["left"]:
            # The document is not always locked here, and Bokeh refuses what is then written past Panel.
            with pn.io.hold():
                last = max(self.source.data["right"])
                self._reach(first_shown(self.source.data, self.span.value), last)

    def _light(self) -> None:
        keys = set(self.grid.selected.get("order_key", []))
        indices = [i for i, key in enumerate(self.source.data["order_key"]) if key in keys]
        if list(self.source.selected.indices) != indices:
            self.source.selected.indices = indices

    def _picked(self, rows: pd.DataFrame) -> None:
        self.clear.disabled = self.to_fills.disabled = rows.empty
        self.story_box.visible = not rows.empty
        if not rows.empty:
            self._tell(rows.iloc[0]["order_key"])
        with pn.io.hold():
            self._light()

    def _tell(self, order_key: str) -> None:
        self.story_box.visible = True
        self.story.offer(story_table(known_by(self.desk.books.timeline(order_key), self.state.moment)))

    def _tapped(self, _attr: str, _old: list[int], new: list[int]) -> None:
        if not new or self.grid._shown is None:  # noqa: SLF001  its own table
            return
        key = self.source.data["order_key"][new[0]]
        if set(self.grid.selected.get("order_key", [])) == {key}:
            return
        rows = self.grid._shown.index[self.grid._shown["order_key"] == key]  # noqa: SLF001
        if len(rows):
            self.grid.table.selection = [int(rows[0])]

    def _fills(self, _event: Any) -> None:
        rows = self.grid.selected
        if not rows.empty:
            self.state.go("fills", text=str(rows.iloc[0]["order_ref"]))

    def _again(self) -> None:
        self.forget()
        if self.state.picture is not None:
            self.refresh(self.state.picture)


def bar_columns(hub: Any, shown: pd.DataFrame, picture: Picture, zone: Zone = UTC_ZONE) -> dict[str, list[Any]]:
    """Columns of the timeline's source; reads each order's states from the engine, so it may take a while."""
    rows = frames.rows_of(shown)
    stories = hub.timelines({row["order_key"]: (row["status"], row["timestamp"], row["filled"]) for row in rows})
    if not picture.live:
        stories = {key: known_by(story, picture.at) for key, story in stories.items()}
    data = order_bars.order_segments(stories, shown, picture.at if not picture.live else datetime.now(UTC))
    if shift := zone.shift(picture.at):
        data |= {side: [moment + shift for moment in data[side]] for side in ("left", "right")}
    data["colour"] = [theme.status_colour(status) for status in data["status"]]
    data["shade"] = data["colour"]
    last = [a != b for a, b in zip(data["order_key"], [*data["order_key"][1:], None], strict=False)]
    ends = [n and frames.is_dead(status) for n, status in zip(last, data["status"], strict=True)]
    data["mark"] = ["diamond" if end else "dot" for end in ends]
    return data


def first_shown(data: dict[str, list[Any]], span_s: int) -> datetime:
    """Where the time axis begins: so many seconds before its end, or (0) with the first closed order, or (-1) with all."""
    first: datetime = min(data["left"])
    if span_s > 0:
        return max(data["right"]) - timedelta(seconds=span_s)  # type: ignore[no-any-return]
    closed = {key for key, mark in zip(data["order_key"], data["mark"], strict=True) if mark == "diamond"}
    begun = [left for key, left in zip(data["order_key"], data["left"], strict=True) if key in closed]
    return min(begun, default=first) if span_s == 0 else first


def story_table(frame: pd.DataFrame) -> pd.DataFrame:
    """All states of one order, in the order they came."""
    if frame.index.name == "recorded_at" and "recorded_at" not in frame:
        frame = frame.reset_index()
    numbers = ("filled", "remaining", "avg_fill_price", "client_id")
    return frames.tidy(frame, ("status", "message"), numbers, ("recorded_at", "timestamp"))


def _legend() -> str:
    swatches = "".join(
        f'<span style="display:inline-flex;align-items:center;margin-right:14px"><span style="width:12px;height:12px;'
        f'border-radius:2px;background:{colour};margin-right:5px"></span>{escape(status)}</span>'
        for status, colour in theme.STATUS_COLOURS.items()
    )
    return f"<p>{swatches}</p>"
