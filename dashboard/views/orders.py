"""Orders: a table and, linked with it, who set which state when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, Range1d
from bokeh.plotting import figure
from panel.viewable import Viewable

from dashboard import frames, order_bars, theme
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, section, text
from dashboard.picture import Picture
from dashboard.theme import escape

ROW_PX: Final = 19
DRAWN: Final = 40
"""Orders in the timeline; the table goes on beyond them."""


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
                "timestamp": Column("Last state (UTC)", "time"),
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
            page_size=12,
            selectable=1,
            on_select=self._picked,
        )
        self.story = Grid(
            "States of the chosen order",
            {
                "recorded_at": Column("Recorded (UTC)", "time"),
                "timestamp": Column("Broker's time (UTC)", "time"),
                "status": Column("State"),
                "filled": Column("Filled", "count"),
                "remaining": Column("Remaining", "count"),
                "avg_fill_price": Column("Average price", "price"),
                "client_id": Column("Client", "count"),
                "message": Column("Message"),
            },
            empty="Choose an order in the table",
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
        self.bars = pn.pane.Bokeh(self.figure, sizing_mode="stretch_width", visible=False)
        self.legend = text(_legend())
        self.open_only.param.watch(lambda _: self._again(), "value")
        return pn.Column(
            section(
                "", pn.FlexBox(self.open_only, self.to_fills, self.clear, align_items="center", gap="10px"), self.grid
            ),
            self.story_box,
            section(
                "Timeline (UTC): one bar per state, open orders first",
                self.legend,
                self.bars,
                text("<p class='dim'>The same states are listed in the table when an order is chosen.</p>"),
            ),
            sizing_mode="stretch_width",
            margin=0,
        )

    def _figure(self) -> Any:
        plot = figure(
            x_range=Range1d(0, 1),
            y_range=FactorRange(factors=[]),
            x_axis_type="datetime",
            height=160,
            sizing_mode="stretch_width",
            tools="xpan,xwheel_zoom,reset,tap",
            toolbar_location="above",
        )
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
                          ("from", "@left{%F %H:%M:%S.%3N} UTC"), ("to", "@right{%F %H:%M:%S.%3N} UTC"),
                          ("filled", "@filled"), ("message", "@text")],
                formatters={"@left": "datetime", "@right": "datetime"},
            )
        )  # fmt: skip
        plot.xaxis.axis_label = "time (UTC)"
        plot.ygrid.grid_line_color = None
        self.source.selected.on_change("indices", self._tapped)
        return plot

    def _release(self, _event: Any) -> None:
        self.grid.release()

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
        if fresh or self.changed("bars", moving.second // 2 if moving else 0):
            self._draw_bars(self._orders(picture).head(DRAWN), picture)

    def _orders(self, picture: Picture) -> pd.DataFrame:
        frame = frames.orders_table(picture.table("orders"), strategy=self.state.strategy, account=self.state.account)
        return (
            frame[~frame["status"].map(frames.is_dead).astype(bool)].reset_index(drop=True)
            if self.open_only.value
            else frame
        )

    def _draw_bars(self, shown: pd.DataFrame, picture: Picture) -> None:
        hub, stories = self.desk.hub, {}
        for row in shown.to_dict("records"):
            key = row["order_key"]
            stories[key] = hub.timeline(key, (row["status"], row["timestamp"], row["filled"]))
            if not picture.live:
                moments = pd.to_datetime(stories[key]["timestamp"], utc=True)
                stories[key] = stories[key][moments <= pd.Timestamp(picture.at)]
        data = order_bars.order_segments(stories, shown, picture.at if not picture.live else datetime.now(UTC))
        data["colour"] = [theme.status_colour(status) for status in data["status"]]
        data["shade"] = data["colour"]
        last = [a != b for a, b in zip(data["order_key"], [*data["order_key"][1:], None], strict=False)]
        ends = [n and frames.is_dead(status) for n, status in zip(last, data["status"], strict=True)]
        data["mark"] = ["diamond" if end else "dot" for end in ends]
        if data == self.source.data:
            return
        labels = list(dict.fromkeys(data["label"]))[::-1]
        with pn.io.hold():
            if self.figure.y_range.factors != labels:
                self.figure.y_range.factors = labels
                self.bars.height = self.figure.height = max(160, 90 + ROW_PX * len(labels))
            self.source.data = data
            if labels:
                self._reach(min(data["left"]), max(data["right"]))
            self._light()
        self.bars.visible = bool(labels)

    def _reach(self, first: datetime, last: datetime) -> None:
        """Let the time axis hold all bars, unless somebody has moved it (reset brings it back)."""
        axis = self.figure.x_range
        if (axis.start, axis.end) in {self._reached, (0, 1)}:
            air = max(timedelta(seconds=1), (last - first) * 0.02)
            axis.update(start=first - air, end=last + air)
            axis.update(reset_start=first - air, reset_end=last + air)
            self._reached = (axis.start, axis.end)

    def _light(self) -> None:
        keys = set(self.grid.selected.get("order_key", []))
        indices = [i for i, key in enumerate(self.source.data["order_key"]) if key in keys]
        if list(self.source.selected.indices) != indices:
            self.source.selected.indices = indices

    def _picked(self, rows: pd.DataFrame) -> None:
        self.clear.disabled = self.to_fills.disabled = rows.empty
        self.story_box.visible = not rows.empty
        if not rows.empty:
            self.story.offer(story_table(self.desk.books.timeline(rows.iloc[0]["order_key"])))
        with pn.io.hold():
            self._light()

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
