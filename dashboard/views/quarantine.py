"""Quarantine: messages that could not be read, whole, with the reason; replay after a fix, or dismiss."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable

from dashboard import frames
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, notice, section, text
from dashboard.picture import Picture
from dashboard.theme import escape


class Quarantine(Screen):
    """What waits, its raw content, and the two ways out."""

    title = "Quarantine"
    needs: ClassVar[frozenset[str]] = frozenset({"quarantine"})

    def build(self) -> Viewable:
        """Make the table, the raw view and the buttons."""
        acts = self.desk.may_act
        self._sure = False
        self.replay = pmui.Button(
            label="Replay", variant="contained", disabled=True, visible=acts, on_click=self._replay
        )
        self.dismiss = pmui.Button(
            label="Dismiss", variant="outlined", color="error", disabled=True, visible=acts, on_click=self._dismiss
        )
        self.clear = pmui.Button(
            label="Clear selection", variant="text", size="small", disabled=True, on_click=self._release
        )
        self.grid = Grid(
            "Quarantined messages",
            {
                "received_at": Column("Received ({zone})", "time"),
                "door": Column("Door"),
                "strategy": Column("Strategy"),
                "reason": Column("Why it could not be read", "prose", width=420),
                "quarantine_id": Column("Id", width=170),
            },
            empty="Empty: every message could be read",
            part="quarantine",
            selectable=1,
            on_select=self._picked,
            key=("quarantine_id",),
            zone=self.zone,
        )
        self.outcome, self.raw = text(), text()
        self.raw_box = section("Raw content", self.raw, visible=False)
        return pn.Column(
            section(
                "",
                pn.FlexBox(self.replay, self.dismiss, self.clear, align_items="center", gap="10px"),
                self.outcome,
                self.grid,
            ),
            self.raw_box,
            sizing_mode="stretch_width",
            margin=0,
        )

    def _release(self, _event: Any) -> None:
        self.grid.release()

    def refresh(self, picture: Picture) -> None:
        """List what waits."""
        if self.changed("held", picture.stamp("quarantine")):
            texts = ("door", "strategy", "reason", "quarantine_id", "raw")
            self.grid.offer(frames.tidy(picture.table("quarantine"), texts, (), ("received_at",)))

    def _picked(self, rows: pd.DataFrame) -> None:
        self.replay.disabled = self.dismiss.disabled = self.clear.disabled = rows.empty
        self._sure = False
        self.dismiss.label = "Dismiss"
        self.raw_box.visible = not rows.empty
        if not rows.empty:
            self.raw.object = f"<pre tabindex='0' aria-label='Raw content'>{escape(rows.iloc[0]['raw'])}</pre>"

    async def _replay(self, _event: Any) -> None:
        await self._do("Replay", "replay_quarantine", "is replayed: the message is in the books now.")

    async def _dismiss(self, _event: Any) -> None:
        if not self._sure:  # it does not come back to this list
            self._sure = True
            self.dismiss.label = "Dismiss for good"
            self.outcome.object = notice("warn", "A dismissed message is never booked. Press again to dismiss it.")
            return
        await self._do("Dismissal", "dismiss_quarantine", "is dismissed; it stays in the journal.")

    async def _do(self, what: str, command: str, words: str) -> None:
        rows = self.grid.selected
        if rows.empty:
            return
        name = rows.iloc[0]["quarantine_id"]
        done, result = await self.desk.act(what, lambda: getattr(self.desk.books, command)(name, self.desk.user))
        self.outcome.object = notice("good", f"{name} {words}") if done else notice("error", result)
        if done:
            self.grid.release()
