"""Positions: per strategy, per instrument against the broker, per account; two clicks from the raw facts."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable

from dashboard import frames
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, section, text
from dashboard.picture import Picture

BY_STRATEGY, BY_INSTRUMENT, BY_ACCOUNT = "By strategy", "By instrument", "By account"
DRILLED: Final = 10
"""Fills of the chosen position on show; the rest is on the screen of fills."""


class Positions(Screen):
    """Three ways to look at the same books, and the latest fills of a chosen position."""

    title = "Positions"
    travels = True
    needs: ClassVar[frozenset[str]] = frozenset({"positions", "portfolio"})

    def build(self) -> Viewable:
        """Make the two tables and the choice between them."""
        self.mode = pmui.RadioButtonGroup(
            options=[BY_STRATEGY, BY_INSTRUMENT, BY_ACCOUNT],
            value=BY_STRATEGY,
            label="Grouping",
            size="small",
            width=320,
        )
        self.flat = pmui.Switch(label="Show flat", value=False)
        self.books = Grid(
            "Positions per strategy",
            {
                "strategy": Column("Strategy", filter=True),
                "account": Column("Account", filter=True),
                "instrument": Column("Instrument", filter=True),
                "currency": Column("Ccy"),
                "qty": Column("Quantity", "qty"),
                "avg_cost": Column("Avg cost", "price"),
                "market_price": Column("Mark", "price"),
                "unrealized_pnl": Column("Unrealized", "money"),
                "realized_pnl": Column("Realized", "money"),
                "commission": Column("Fees", "amount"),
                "unrealized_pnl_base": Column("Unreal. (base)", "money"),
                "realized_pnl_base": Column("Real. (base)", "money"),
            },
            empty="No open position",
            part="positions",
            page_size=25,
            selectable=1,
            on_select=self._picked,
            key=("strategy", "account", "con_id"),
            snug=True,
        )
        self.drilled = Grid(
            "Latest fills of the chosen position",
            {
                "timestamp": Column("Executed ({zone})", "time"),
                "side": Column("Side"),
                "qty": Column("Quantity", "qty"),
                "price": Column("Price", "price"),
                "currency": Column("Ccy"),
                "commission": Column("Fee", "amount"),
                "realized_pnl": Column("Realized", "money"),
                "order_ref": Column("Order reference", width=170),
                "fill_id": Column("Execution id", width=220),
            },
            empty="No fill of this position is known: it came with an assignment, or from before these books",
            page_size=DRILLED,
            zone=self.zone,
        )
        self.drilled_box = section("Latest fills of the chosen position", self.drilled, visible=False)
        self.sums = Grid(
            "P&L per account and strategy",
            {
                "account": Column("Account", filter=True),
                "strategy": Column("Strategy", filter=True),
                "held": Column("Instruments held", "count"),
                "net": Column("Net P&L (base)", "money"),
                "realized": Column("Realized (base)", "money"),
                "unrealized": Column("Unrealized (base)", "money"),
                "fees": Column("Fees (base)", "amount"),
                "unknown": Column("Not valued", "count"),
            },
            empty="No position",
            part="positions",
            page_size=25,
        )
        self.nets = Grid(
            "Positions per instrument against the broker",
            {
                "instrument": Column("Instrument", filter=True),
                "account": Column("Account", filter=True),
                "currency": Column("Ccy"),
                "long": Column("Long", "prose", filter=True),
                "short": Column("Short", "prose", filter=True),
                "books_qty": Column("Books", "qty"),
                "broker_qty": Column("Broker", "qty"),
                "residual_qty": Column("Residual", "qty"),
                "status": Column("Status"),
            },
            empty="No position",
            part="portfolio",
            page_size=25,
        )
        self.nets_box = pn.Column(self.nets, visible=False, sizing_mode="stretch_width", margin=0)
        self.sums_box = pn.Column(self.sums, visible=False, sizing_mode="stretch_width", margin=0)
        self.books_box = pn.Column(self.books, sizing_mode="stretch_width", margin=0)
        self.to_fills = pmui.Button(
            label="Fills of this position", variant="outlined", size="small", disabled=True, on_click=self._fills
        )
        self.to_orders = pmui.Button(
            label="Orders of this strategy", variant="outlined", size="small", disabled=True, on_click=self._orders
        )
        self.release = pmui.Button(
            label="Clear selection",
            variant="text",
            size="small",
            disabled=True,
            on_click=lambda _: self.books.release(),
        )
        self.export = pmui.FileDownload(
            callback=self._csv, filename="positions.csv", label="Download CSV", variant="outlined", size="small"
        )
        self.mode.param.watch(self._switched, "value")
        self.flat.param.watch(lambda _: self._again(), "value")
        card = section(
            "",
            pn.FlexBox(
                self.mode,
                self.flat,
                self.to_fills,
                self.to_orders,
                self.release,
                self.export,
                align_items="center",
                gap="0px",
            ),
            text(
                "<p class='dim'>Amounts in the instrument's currency unless marked; "
                "cost is per unit, without commission. A dash is unknown.</p>"
            ),
            self.books_box,
            self.nets_box,
            self.sums_box,
        )
        return pn.Column(card, self.drilled_box, sizing_mode="stretch_width", margin=0)

    def draw(self, picture: Picture) -> None:
        """Take over what a drill-down pointed at, then draw."""
        if self.pointed("by"):
            self.mode.value = BY_ACCOUNT
        super().draw(picture)

    def refresh(self, picture: Picture) -> None:
        """Show the table on show."""
        self._picture = picture
        state = self.state
        if self.mode.value == BY_STRATEGY:
            if self.changed(
                "books",
                picture.stamp("positions"),
                state.strategy,
                state.account,
                self.flat.value,
                picture.live,
                picture.at if not picture.live else 0,
            ):
                self.books.offer(self._books(picture))
        elif self.mode.value == BY_ACCOUNT:
            if self.changed("sums", picture.stamp("positions"), state.account, None if picture.live else picture.at):
                self.sums.offer(per_account(picture.table("positions"), account=state.account))
        elif self.changed(
            "nets",
            picture.stamp("positions", "portfolio"),
            state.account,
            picture.live,
            picture.at if not picture.live else 0,
        ):
            self.nets.offer(
                frames.by_instrument(picture.table("positions"), picture.table("portfolio"), account=state.account)
            )

    def _books(self, picture: Picture) -> pd.DataFrame:
        chosen = {"strategy": self.state.strategy, "account": self.state.account, "flat": self.flat.value}
        return self.desk.hub.shared(
            picture,
            ("books", *chosen.values()),
            ("positions",),
            lambda: frames.positions_table(picture.table("positions"), **chosen),
        )

    def _again(self) -> None:
        self.forget()
        if self.state.picture is not None:
            self.refresh(self.state.picture)

    def _switched(self, event: Any) -> None:
        by_strategy = event.new == BY_STRATEGY
        self.books_box.visible, self.nets_box.visible = by_strategy, event.new == BY_INSTRUMENT
        self.sums_box.visible = event.new == BY_ACCOUNT
        self.flat.visible = self.to_fills.visible = self.to_orders.visible = self.release.visible = by_strategy
        self.drilled_box.visible = by_strategy and not self.books.selected.empty
        self._again()

    def _picked(self, rows: pd.DataFrame) -> None:
        self.to_fills.disabled = self.to_orders.disabled = self.release.disabled = rows.empty
        self.drilled_box.visible = not rows.empty
        if not rows.empty:
            self.fetch(self._drill)

    async def _drill(self) -> None:
        """Show the facts behind the chosen position; read in a thread, since it may be one of a million fills."""
        rows = self.books.selected
        if rows.empty:
            return
        row = rows.iloc[0]
        page, _ = await asyncio.to_thread(
            fills_of_position, self.desk.books, row, self.state.moment, self.state.picture.live
        )
        self.drilled.offer(frames.fills_table(page))

    def _fills(self, _event: Any) -> None:
        rows = self.books.selected
        if not rows.empty:
            row = rows.iloc[0]
            self.state.param.update(
                strategy=row["strategy"], account=row["account"], view="fills", focus={"text": row["instrument"]}
            )

    def _orders(self, _event: Any) -> None:
        rows = self.books.selected
        if not rows.empty:
            self.state.param.update(strategy=rows.iloc[0]["strategy"], view="orders", focus={})

    def _csv(self) -> Any:
        return {BY_STRATEGY: self.books, BY_INSTRUMENT: self.nets, BY_ACCOUNT: self.sums}[self.mode.value].csv()


def per_account(positions: pd.DataFrame, *, account: str = "") -> pd.DataFrame:
    """P&L of each strategy in each account in base currency, and each account's total behind its strategies."""
    tables = []
    for name in sorted({str(one) for one in frames.chosen(positions, account=account).get("account", [])}):
        held = frames.chosen(positions, account=name)
        open_here = frames.number_column(held, "qty") != 0
        counts = held[open_here].groupby("strategy")["con_id"].nunique()
        table = frames.per_strategy(positions, {}, account=name).assign(account=name)
        total = held["con_id"][open_here].nunique()
        table["held"] = [total if s == "Total" else counts.get(s, 0) for s in table["strategy"]]
        tables.append(table)
    numbers = ("held", "net", "realized", "unrealized", "fees", "unknown")
    return frames.tidy(pd.concat(tables) if tables else None, ("account", "strategy"), numbers)


def fills_of_position(books: Any, row: Any, moment: Any, live: bool) -> tuple[pd.DataFrame, int]:
    """The latest fills of one strategy's position, newest first, and how many there are among those looked at."""
    strategy, account, con_id = str(row["strategy"]), str(row["account"]), int(row["con_id"])
    if live:
        page, _ = books.fills_page(strategy=strategy, account=account, text=str(row["symbol"]) or None, limit=1000)
    else:
        page = frames.chosen(books.fills(strategy, as_of=moment), account=account).iloc[::-1]
    mine = page[frames.number_column(page, "con_id") == con_id]
    return mine.head(DRILLED), len(mine)
