"""Fills: a blotter that asks the engine for one page at a time, so that a million rows cost as much as fifty."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable

from dashboard import frames
from dashboard.files import csv_of
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, section, text
from dashboard.picture import Picture, known_by

PAGE: Final = 25
SORTS: Final = {
    "Newest first": "-timestamp",
    "Oldest first": "timestamp",
    "Largest quantity": "-qty",
    "Smallest quantity": "qty",
    "Largest fee": "-commission",
}
MOST_EXPORTED: Final = 100_000

FILL_COLUMNS: Final = {
    "timestamp": Column("Executed ({zone})", "time"),
    "strategy": Column("Strategy"),
    "account": Column("Account"),
    "instrument": Column("Instrument"),
    "side": Column("Side"),
    "qty": Column("Quantity", "qty"),
    "price": Column("Price", "price"),
    "currency": Column("Ccy"),
    "commission": Column("Fee", "amount"),
    "commission_status": Column("Fee state"),
    "realized_pnl": Column("Realized", "money"),
    "state": Column("State"),
    "source": Column("Source"),
    "order_ref": Column("Order reference", width=170),
    "fill_id": Column("Execution id", width=190),
}


class Fills(Screen):
    """The blotter and, below it, the chain of the chosen execution."""

    title = "Fills"
    travels = True
    needs: ClassVar[frozenset[str]] = frozenset({"fills"})

    def build(self) -> Viewable:
        """Make filters, table, pager and the chain."""
        self._offset: int = 0
        self._total: int = 0
        self._busy = False
        self.search = pmui.TextInput(
            label="Search", placeholder="instrument, reference, execution id …", size="small", width=200
        )
        self.pending = pmui.Switch(label="Without a final fee", value=False)
        self.sort = pmui.Select(label="Sort", options=SORTS, value="-timestamp", size="small", width=150)
        self.first = pmui.Button(label="First", variant="outlined", size="small", on_click=lambda _: self._to(0))
        self.back = pmui.Button(
            label="Previous", variant="outlined", size="small", on_click=lambda _: self._to(self._offset - PAGE)
        )
        self.forth = pmui.Button(
            label="Next", variant="outlined", size="small", on_click=lambda _: self._to(self._offset + PAGE)
        )
        self.last = pmui.Button(
            label="Last",
            variant="outlined",
            size="small",
            on_click=lambda _: self._to((max(0, self._total - 1) // PAGE) * PAGE),
        )
        self.where = text(width=260)
        self.export = pmui.FileDownload(
            callback=self._csv, filename="fills.csv", label="Download CSV", variant="outlined", size="small"
        )
        self.grid = Grid(
            "Fills",
            FILL_COLUMNS,
            empty="No fill yet, or none that matches",
            part="fills",
            page_size=PAGE,
            selectable=1,
            on_select=self._picked,
            key=("account", "fill_id"),
            snug=True,
            sortable=False,
            zone=self.zone,
        )
        self.chain = Grid(
            "Revisions of the chosen execution",
            FILL_COLUMNS | {"supersedes": Column("Supersedes", width=190)},
            empty="Choose a fill above",
            zone=self.zone,
        )
        self.chain_box = section("Correction chain of the chosen execution", self.chain, visible=False)
        self.clear = pmui.Button(
            label="Clear selection", variant="text", size="small", disabled=True, on_click=lambda _: self.grid.release()
        )
        self.to_order = pmui.Button(
            label="Order of this fill", variant="outlined", size="small", disabled=True, on_click=self._order
        )
        self.pending.param.watch(lambda _: self._to(0), "value")
        self.search.param.watch(lambda _: self._to(0), "value")
        self.sort.param.watch(lambda _: self._to(0), "value")
        return pn.Column(
            section(
                "",
                pn.FlexBox(
                    self.search,
                    self.sort,
                    self.pending,
                    self.to_order,
                    self.clear,
                    self.export,
                    align_items="center",
                    gap="0px",
                ),
                self.grid,
                pn.FlexBox(self.first, self.back, self.forth, self.last, self.where, align_items="center", gap="6px"),
            ),
            self.chain_box,
            sizing_mode="stretch_width",
            margin=0,
        )

    def draw(self, picture: Picture) -> None:
        """Take over what a drill-down pointed at, then draw."""
        if focus := self.pointed("text", "pending"):
            self.grid.release()
            self.search.value, self.pending.value = str(focus.get("text", "")), "pending" in focus
        super().draw(picture)

    def refresh(self, picture: Picture) -> None:
        """Ask for the page again when the books changed and the operator is not working on it."""
        state = self.state
        if self.changed(
            "page",
            picture.stamp("fills"),
            state.strategy,
            state.account,
            self._offset,
            self.sort.value,
            self.search.value,
            self.pending.value,
            picture.live,
            None if picture.live else picture.at,
        ):
            self.fetch(self._load)

    def _to(self, offset: int) -> None:
        self.grid.release()  # another page was asked for: what is chosen is not on it
        self._offset = min(max(0, offset), max(0, (max(0, self._total - 1) // PAGE) * PAGE))
        if self.state.picture is not None:
            self.refresh(self.state.picture)

    async def _load(self) -> None:
        if self._busy:
            self.forget()  # the next tick asks again
            return
        self._busy = True
        try:
            page, total = await asyncio.to_thread(self._one_page, self._offset)
        finally:
            self._busy = False
        self._total = total
        self.grid.offer(page)
        up_to = min(self._offset + PAGE, total)
        self.where.object = f"<p>Rows {self._offset + 1 if total else 0:,} to {up_to:,} of {total:,}</p>"
        self.first.disabled = self.back.disabled = self._offset == 0
        self.forth.disabled = self.last.disabled = up_to >= total

    def _one_page(self, offset: int) -> tuple[pd.DataFrame, int]:
        """One page as it is shown; read once for all sessions that look at the same one."""
        state = self.state
        key = ("fills", state.strategy, state.account, self.search.value, self.sort.value, self.pending.value, offset)

        def found() -> tuple[pd.DataFrame, int]:
            page, total = self._query(offset, PAGE)
            return frames.fills_table(page), total

        return self.desk.hub.shared(state.picture, key, ("fills",), found, state.picture.version)

    def _query(self, offset: int, limit: int) -> tuple[pd.DataFrame, int]:
        state, words = self.state, self.search.value.strip()
        moment = state.moment
        if moment is None and self.pending.value:
            frame = frames.chosen(self.desk.books.fees_pending(), strategy=state.strategy, account=state.account)
            return self._cut(frame, words, offset, limit)
        if moment is None:
            return self.desk.books.fills_page(  # type: ignore[no-any-return]
                strategy=state.strategy or None,
                account=state.account or None,
                text=words or None,
                sort=self.sort.value,
                offset=offset,
                limit=limit,
            )
        frame = frames.chosen(self.desk.books.fills(as_of=moment), strategy=state.strategy, account=state.account)
        if self.pending.value and "commission_status" in frame:
            frame = frame[frame["commission_status"] == "pending"]
        return self._cut(frame, words, offset, limit)

    def _cut(self, frame: pd.DataFrame, words: str, offset: int, limit: int) -> tuple[pd.DataFrame, int]:
        """Search, sort and page a table that is here whole."""
        frame = frames.matching(frame, words)
        column = self.sort.value.lstrip("-")
        if column in frame:
            frame = frame.sort_values(column, ascending=not self.sort.value.startswith("-"), kind="stable")
        return frame.iloc[offset : offset + limit], len(frame)

    def _picked(self, rows: pd.DataFrame) -> None:
        self.clear.disabled = rows.empty
        self.to_order.disabled = rows.empty or not rows.iloc[0]["perm_id"] > 0
        self.chain_box.visible = not rows.empty
        if not rows.empty:
            chain = known_by(self.desk.books.chain(rows.iloc[0]["fill_id"]), self.state.moment)
            self.chain.offer(frames.fills_table(chain, more=("supersedes",)))

    def _order(self, _event: Any) -> None:
        rows = self.grid.selected
        if not rows.empty:
            row = rows.iloc[0]
            self.state.go("orders", order_key=f"P{row['account']}:{int(row['perm_id'])}")

    def _csv(self) -> Any:
        frame, total = self._query(0, MOST_EXPORTED)
        if total > MOST_EXPORTED:
            self.desk.say(
                f"The file holds the first {MOST_EXPORTED:,} of {total:,} rows; narrow the search for the rest.",
                "warning",
            )
        return csv_of(frames.fills_table(frame), self.zone)
