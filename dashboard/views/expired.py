"""Expired holdings: contracts that expired between our own strategies, and the act that closes their books."""

from __future__ import annotations

from typing import Any

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable, Viewer

from dashboard import frames
from dashboard.desk import Desk
from dashboard.grid import Column, Grid
from dashboard.parts import section, text


class ExpiredHoldings(Viewer):
    """Offsetting positions beyond their last day; the broker has nothing there, so no message will ever close them."""

    def __init__(self, desk: Desk, **params: Any) -> None:
        super().__init__(**params)
        self.desk = desk
        acts = desk.may_act
        self.grid = Grid(
            "Expired holdings",
            {
                "expiry": Column("Last day"),
                "instrument": Column("Instrument"),
                "account": Column("Account"),
                "holdings": Column("Held by", width=260),
                "currency": Column("Ccy"),
                "price": Column("Intrinsic value", "price"),
            },
            empty="None: no strategy holds a contract beyond its last day against another one",
            part="expired",
            page_size=6,
            selectable=1,
            on_select=self._picked,
            key=("account", "con_id"),
        )
        self.price = pmui.TextInput(label="Price (empty: intrinsic value)", size="small", width=220, visible=acts)
        self.why = pmui.TextInput(label="Reason to close them (required)", size="small", width=320, visible=acts)
        self.close = pmui.Button(
            label="Close these books",
            variant="contained",
            color="warning",
            disabled=True,
            visible=acts,
            on_click=self._close,
        )
        self._layout = section(
            "Expired holdings",
            text(
                "<p class='dim'>Strategies that offset each other at the broker. Closing books each of them at one price; "
                "the entry stands in the journal above, where it can be reversed.</p>"
            ),
            self.grid,
            pn.FlexBox(self.price, self.why, self.close, align_items="center", gap="10px", visible=acts),
        )

    def __panel__(self) -> Viewable:
        return self._layout

    def offer(self, frame: pd.DataFrame) -> None:
        """Show what the books say now."""
        self.grid.offer(expired_table(frame))

    def _picked(self, rows: pd.DataFrame) -> None:
        self.close.disabled = rows.empty

    async def _close(self, _event: Any) -> None:
        rows = self.grid.selected
        words, reason = ((w.value or w.value_input or "").strip() for w in (self.price, self.why))
        if rows.empty:
            return
        if not reason:
            self.desk.say("A reason is needed; it stands in the journal for ever.", "error")
            return
        row = rows.iloc[0]
        account, con_id = str(row["account"]), int(row["con_id"])
        done, _ = await self.desk.act(
            "Closing expired holdings",
            lambda: self.desk.books.close_expired(
                account, con_id, words or None, operator=self.desk.user, reason=reason
            ),
        )
        if done:
            self.desk.say(f"{row['instrument']} in {account} is closed in every book.", "success")
            self.price.value = self.why.value = ""
            self.grid.release()


def day_text(day: str) -> str:
    """A day as IB writes it, ``20260310``, as a person does; anything else stays what it is."""
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 and day.isdigit() else day


def expired_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per account and contract, the oldest last day first."""
    source = frames.with_instrument(frame)
    if "holdings" in source:  # the books write a minus as a program does
        source = source.assign(holdings=[str(held).replace(" -", " −") for held in source["holdings"]])
    if "expiry" in source:
        source = source.assign(expiry=[day_text(str(day)) for day in source["expiry"]])
    out = frames.tidy(source, ("expiry", "instrument", "account", "holdings", "currency"), ("price", "con_id"))
    return out.sort_values(["expiry", "account", "instrument"], kind="stable", ignore_index=True)
