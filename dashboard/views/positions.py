"""Positions: per strategy, per instrument against the broker, per account; two clicks from the raw facts."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable

from dashboard import frames
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, section, text
from dashboard.picture import Picture

BY_STRATEGY, BY_INSTRUMENT = "By strategy", "By instrument"


class Positions(Screen):
    """Two ways to look at the same books."""

    title = "Positions"
    travels = True
    needs: ClassVar[frozenset[str]] = frozenset({"positions", "portfolio"})

    def build(self) -> Viewable:
        """Make the two tables and the choice between them."""
        self.mode = pmui.RadioButtonGroup(
            options=[BY_STRATEGY, BY_INSTRUMENT], value=BY_STRATEGY, label="Grouping", size="small"
        )
        self.flat = pmui.Switch(label="Show flat positions", value=False)
        self.books = Grid(
            "Positions per strategy",
            {
                "strategy": Column("Strategy", filter=True),
                "account": Column("Account", filter=True),
                "instrument": Column("Instrument", filter=True),
                "sec_type": Column("Type"),
                "currency": Column("Ccy"),
                "qty": Column("Quantity", "qty"),
                "avg_cost": Column("Average cost", "price"),
                "market_price": Column("Mark", "price"),
                "unrealized_pnl": Column("Unrealized", "money"),
                "realized_pnl": Column("Realized", "money"),
                "commission": Column("Fees", "amount"),
                "unrealized_pnl_base": Column("Unrealized (base)", "money"),
                "realized_pnl_base": Column("Realized (base)", "money"),
            },
            empty="No open position",
            page_size=25,
            selectable=1,
            on_select=self._picked,
        )
        self.nets = Grid(
            "Positions per instrument against the broker",
            {
                "instrument": Column("Instrument", filter=True),
                "account": Column("Account", filter=True),
                "currency": Column("Ccy"),
                "long": Column("Long", filter=True),
                "short": Column("Short", filter=True),
                "books_qty": Column("Books", "qty"),
                "broker_qty": Column("Broker", "qty"),
                "residual_qty": Column("Residual", "qty"),
                "status": Column("Status"),
            },
            empty="No position",
            page_size=25,
        )
        self.nets_box = pn.Column(self.nets, visible=False, sizing_mode="stretch_width", margin=0)
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
        return section(
            "",
            pn.FlexBox(
                self.mode,
                self.flat,
                self.to_fills,
                self.to_orders,
                self.release,
                self.export,
                align_items="center",
                gap="8px",
            ),
            text(
                "<p class='dim'>Amounts in the instrument's currency unless marked; "
                "cost is per unit, without commission. A dash is unknown.</p>"
            ),
            self.books_box,
            self.nets_box,
        )

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
        return frames.positions_table(
            picture.table("positions"), strategy=self.state.strategy, account=self.state.account, flat=self.flat.value
        )

    def _again(self) -> None:
        self.forget()
        if self.state.picture is not None:
            self.refresh(self.state.picture)

    def _switched(self, event: Any) -> None:
        by_strategy = event.new == BY_STRATEGY
        self.books_box.visible, self.nets_box.visible = by_strategy, not by_strategy
        self.flat.visible = self.to_fills.visible = self.to_orders.visible = by_strategy
        self._again()

    def _picked(self, rows: pd.DataFrame) -> None:
        self.to_fills.disabled = self.to_orders.disabled = self.release.disabled = rows.empty

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
        import io

        picture = self.state.picture
        if picture is None:
            return io.StringIO("")
        by_strategy = self.mode.value == BY_STRATEGY
        frame = (
            self._books(picture)
            if by_strategy
            else frames.by_instrument(
                picture.table("positions"), picture.table("portfolio"), account=self.state.account
            )
        )
        return io.StringIO(frames.harmless(frame).to_csv(index=False))
