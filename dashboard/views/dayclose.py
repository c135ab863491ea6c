"""Day close: a signed statement per account, and the broker's own statement read against the books."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from typing import Any, ClassVar

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable

from dashboard import frames
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, notice, pairs, progress, section, side_by_side, text
from dashboard.picture import Picture
from dashboard.pulse import stale_after, standing


class DayClose(Screen):
    """Close a day when its breaks are explained; import a Flex statement by dropping its file."""

    title = "Day close and statements"
    needs: ClassVar[frozenset[str]] = frozenset({"closes", "breaks", "fees"})

    def build(self) -> Viewable:
        """Make the closing form, the Flex drop and the list of closed days."""
        acts = self.desk.may_act
        today = datetime.now(UTC).date()
        self.ready = text()
        self.date = pmui.DatePicker(
            label="Day (UTC)",
            value=today,
            size="small",
            width=180,
            visible=acts,
            # The library paints the calendar nearly black, in the dark too.
            stylesheets=[".MuiIconButton-root { color: var(--panel-on-background-color) !important; }"],
        )
        self.account = pmui.Select(label="Account to close", options=[], size="small", width=190, visible=acts)
        self.overrule = pmui.TextInput(
            label="Reason to close in spite of open breaks (empty: refuse)",
            size="small",
            sizing_mode="stretch_width",
            visible=acts,
        )
        self.close = pmui.Button(label="Close the day", variant="contained", visible=acts, on_click=self._close)
        self.closed = text()
        self.flex = pmui.FileInput(
            label="Flex statement (XML): drop it here", accept=".xml", visible=acts, sizing_mode="stretch_width"
        )
        self.load = pmui.Button(
            label="Import the statement", variant="contained", disabled=True, visible=acts, on_click=self._import
        )
        self.progress = progress()
        self.read = text()
        self.flex.param.watch(self._dropped, "value")
        self.closes = Grid(
            "Closed days",
            {
                "date": Column("Day"),
                "account": Column("Account"),
                "status": Column("Status"),
                "operator": Column("Operator"),
                "overrule_reason": Column("Closed in spite of breaks because", width=260),
                "digest": Column("Digest", width=200),
                "closed_at": Column("Closed ({zone})", "time"),
            },
            empty="No day has been closed yet",
            part="closes",
            selectable=1,
            on_select=self._picked,
            key=("close_id",),
            zone=self.zone,
        )
        self.as_csv = self._statement("csv", "Statement as CSV")
        self.as_html = self._statement("html", "Statement as a page")
        self.clear = pmui.Button(
            label="Clear selection",
            variant="text",
            size="small",
            disabled=True,
            on_click=lambda _: self.closes.release(),
        )
        words = text(
            "<p class='dim'>The statement is compared with the books: new executions are booked once, "
            "differences are listed, nothing is overwritten.</p>"
        )
        return pn.Column(
            side_by_side(
                section(
                    "Close a day",
                    self.ready,
                    pn.FlexBox(self.date, self.account, gap="10px", align_items="center", margin=(8, 0, 0, 0)),
                    self.overrule,
                    self.close,
                    self.closed,
                ),
                section("Import a Flex statement", words, self.flex, self.load, self.progress, self.read),
            ),
            section(
                "Closed days",
                pn.FlexBox(self.as_csv, self.as_html, self.clear, align_items="center", gap="10px"),
                self.closes,
            ),
            sizing_mode="stretch_width",
            margin=0,
        )

    def _statement(self, kind: str, label: str) -> pmui.FileDownload:
        """A button that hands out the chosen day's statement."""

        def content() -> io.StringIO:
            rows = self.closes.selected
            words = "" if rows.empty else self.desk.books.close_statement(rows.iloc[0]["close_id"], kind)
            return io.StringIO(words)

        return pmui.FileDownload(
            callback=content,
            filename=f"statement.{kind}",
            label=label,
            variant="outlined",
            size="small",
            disabled=True,
        )

    def _picked(self, rows: pd.DataFrame) -> None:
        self.as_csv.disabled = self.as_html.disabled = self.clear.disabled = rows.empty
        if not rows.empty:
            row = rows.iloc[0]
            name = "".join(c if c.isalnum() else "-" for c in f"{row['account']}-{row['date']}")
            self.as_csv.filename, self.as_html.filename = f"{name}.csv", f"{name}.html"

    def refresh(self, picture: Picture) -> None:
        """Say what still stands in the way, and list what was closed."""
        accounts = sorted(str(a) for a in getattr(picture.parts.get("broker"), "accounts", ()))
        if accounts and accounts != self.account.options:
            self.account.param.update(
                options=accounts, value=self.account.value if self.account.value in accounts else accounts[0]
            )
        state = standing(picture.parts.get("square"), picture.at, stale_after(self.desk.engine.settings))
        words = in_the_way(picture, compared=state not in {"unknown", "stale"})
        if not self.desk.may_act:
            words += notice("info", f"{self.desk.user} may look, not act: acts are hidden.")
        if words != self.ready.object:
            self.ready.object = words
        if self.changed("closes", picture.stamp("closes")):
            self.closes.offer(closes_table(picture.table("closes")))

    async def _close(self, _event: Any) -> None:
        self.close.disabled = True
        try:
            done, result = await self.desk.act(
                "Day close",
                lambda: self.desk.books.close_day(
                    self.date.value,
                    self.account.value,
                    self.desk.user,
                    overrule_reason=(self.overrule.value or "").strip() or None,
                ),
            )
        finally:
            self.close.disabled = False
        day = f"{self.date.value} in {self.account.value}"
        self.closed.object = (
            notice("good", f"✓ {day} is closed.") if done else notice("error", f"{day} is not closed: {result}")
        )

    def _dropped(self, event: Any) -> None:
        self.load.disabled = not event.new
        self.read.object = (
            notice("info", f"{self.flex.filename}: {len(event.new):,} bytes, not imported yet") if event.new else ""
        )

    async def _import(self, _event: Any) -> None:
        content = self.flex.value
        if not content:
            return
        self.load.disabled = self.progress.visible = True
        try:
            await asyncio.sleep(0)
            done, report = await self.desk.act(
                "Flex import", lambda: self.desk.books.import_flex(content, self.desk.user)
            )
        finally:
            self.progress.visible = False
            self.load.disabled = False
        if done:
            self.read.object = notice("good", "✓ Imported") + report_html(report)
        else:
            self.read.object = notice("error", f"Not imported, nothing was changed: {report}")


def in_the_way(picture: Picture, *, compared: bool) -> str:
    """What still stands in the way of closing a day.

    Args:
        picture: Live.
        compared: False when books and broker were not compared lately: then there may be breaks that nobody knows of.
    """
    lacking = [name for name in ("breaks", "fees") if picture.lacks(name)]
    if lacking:
        return notice("error", f"Not known what is still open: {' and '.join(lacking)} cannot be read now.")
    breaks, fees = len(picture.table("breaks")), len(picture.table("fees"))
    words = ""
    if breaks or fees:
        words = notice("warn", f"Still open: {breaks} breaks, {fees} executions whose fee is pending.")
    if not compared:
        words += notice("warn", "Books and broker are not compared now: there may be breaks that are not known yet.")
    return words or notice("good", "Nothing stands in the way: no open break, no fee pending.")


def report_html(report: Any) -> str:
    """What an import reported, whatever its shape, escaped."""
    if isinstance(report, dict):
        return pairs((str(key).replace("_", " "), value) for key, value in report.items())
    if isinstance(report, pd.DataFrame):
        return notice("info", f"{len(report)} differences")
    summary = getattr(report, "summary", None)
    return notice("info", summary() if callable(summary) else summary or report)


def closes_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Closed days, newest first."""
    source = frame.reset_index() if frame.index.name == "recorded_at" and "recorded_at" not in frame else frame
    if "closed_at" not in source and "recorded_at" in source:
        source = source.assign(closed_at=source["recorded_at"])
    texts = ("date", "account", "status", "operator", "overrule_reason", "digest", "close_id")
    return frames.tidy(source, texts, (), ("closed_at",)).sort_values(
        ["date", "account"], ascending=False, ignore_index=True
    )
