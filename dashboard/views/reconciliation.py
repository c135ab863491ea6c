"""Reconciliation: breaks with age, causes and evidence; a run on demand; the way to an assignment."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, ClassVar

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable

from dashboard import charts, frames
from dashboard.grid import Column, Grid
from dashboard.parts import Screen, notice, pairs, progress, section, side_by_side, text
from dashboard.picture import Picture
from dashboard.theme import BREAK_WORDS, duration_text, escape, plain_words, quantity_text
from dashboard.views.assign_dialog import AssignDialog
from dashboard.zone import UTC_ZONE, Zone


class Reconciliation(Screen):
    """Breaks above, the evidence of the chosen one below, the history of runs and the soft locks at the end."""

    title = "Reconciliation"
    travels = True
    needs: ClassVar[frozenset[str]] = frozenset({"breaks", "runs", "locks", "positions", "portfolio"})

    def build(self) -> Viewable:
        """Make the tables, the buttons and the dialog."""
        self.dialog = AssignDialog(self.desk, on_done=self._assigned)
        self.now = pmui.Button(
            label="Reconcile now", variant="contained", on_click=self._reconcile, visible=self.desk.may_act
        )
        self.assign = pmui.Button(
            label="Assign residual",
            variant="contained",
            color="warning",
            disabled=True,
            on_click=self._assign,
            visible=self.desk.may_act,
        )
        self.clear = pmui.Button(
            label="Clear selection", variant="text", size="small", disabled=True, on_click=self._release
        )
        self.progress = progress()
        self.result = text()
        self.grid = Grid(
            "Breaks",
            {
                "state": Column("State", filter=True),
                "instrument": Column("Instrument", filter=True),
                "account": Column("Account", filter=True),
                "quantity": Column("Broker − strategies", "qty"),
                "unassigned_qty": Column("In UNASSIGNED", "qty"),
                "explained": Column("Explained", "qty"),
                "residual": Column("Residual", "qty"),
                "age_min": Column("Age (min)", "count"),
                "runs": Column("Runs", "count"),
                "value_at_risk_base": Column("At risk (base)", "amount"),
                "owner": Column("Owner"),
                "note": Column("Note", width=180),
                "first_seen": Column("First seen ({zone})", "time"),
            },
            empty="No open break",
            part="breaks",
            page_size=12,
            selectable="checkbox",
            on_select=self._picked,
            key=("break_id",),
            snug=True,
            zone=self.zone,
        )
        self.export = self.grid.export("breaks.csv")
        self.evidence = text()
        self.owner = pmui.TextInput(label="Owner", size="small", width=180)
        self.note = pmui.TextInput(label="Note", size="small", width=360)
        self.save = pmui.Button(label="Save owner and note", variant="outlined", size="small", on_click=self._note)
        self.note_row = pn.FlexBox(
            self.owner, self.note, self.save, align_items="center", gap="10px", visible=self.desk.may_act
        )
        self.reading = progress()
        self.history = pn.pane.Bokeh(None, sizing_mode="stretch_width", visible=False)
        self.changes = Grid(
            "Recorded changes of the chosen break",
            {
                "recorded_at": Column("Recorded ({zone})", "time", width=164),
                "state": Column("State", width=76),
                "quantity": Column("Break", "qty"),
                "explained": Column("Explained", "qty"),
                "residual": Column("Residual", "qty"),
            },
            fit=True,
            empty="No change of this break is stored yet",
            page_size=6,
            zone=self.zone,
        )
        self.evidence_box = side_by_side(
            section("Causes and evidence", self.evidence, self.note_row),
            section("History of the residual", self.reading, self.history, self.changes),
        )
        self.evidence_box.visible = False
        self.runs = Grid(
            "Reconciliation runs",
            {
                "recorded_at": Column("At ({zone})", "time", width=162),
                "status": Column("Result", width=96),
                "reason": Column("Asked by, or why not", "prose"),
                "accounts": Column("Accounts", "count", width=84),
                "positions": Column("Positions", "count", width=84),
                "breaks": Column("Breaks", "count", width=84),
                "duration_ms": Column("Took (ms)", "amount", width=92),
            },
            empty="No run yet",
            part="runs",
            page_size=8,
            fit=True,
            zone=self.zone,
        )
        self.locks = Grid(
            "Soft locks",
            {
                "account": Column("Account", width=92),
                "instrument": Column("Instrument", least=100),
                "reason": Column("Why", "prose", least=360),
                "since": Column("Since ({zone})", "time", width=162),
            },
            empty="No soft lock",
            part="locks",
            page_size=8,
            fit=True,
            zone=self.zone,
        )
        return pn.Column(
            section(
                "Breaks: broker minus strategies",
                pn.FlexBox(self.now, self.assign, self.clear, self.export, align_items="center", gap="10px"),
                self.progress,
                self.result,
                self.grid,
            ),
            self.evidence_box,
            section("Soft locks: advice not to trade", self.locks),
            section("Runs", self.runs),
            self.dialog,
            sizing_mode="stretch_width",
            margin=0,
        )

    def _release(self, _event: Any) -> None:
        self.grid.release()

    def draw(self, picture: Picture) -> None:
        """Draw, then take over what a drill-down pointed at."""
        super().draw(picture)
        if focus := self.pointed("break_id"):
            self.grid.choose(focus["break_id"])

    def refresh(self, picture: Picture) -> None:
        """Bring the tables up to date."""
        account = self.state.account
        if not self.progress.visible:
            self.now.disabled = not picture.live
        if self.changed("breaks", picture.stamp("breaks"), account, picture.at.minute, picture.live):
            self.grid.offer(frames.breaks_table(picture.table("breaks"), account=account, now=picture.at))
            if len(self.grid.selected) == 1:
                self._explain(self.grid.selected.iloc[0])
        if self.changed("runs", picture.stamp("runs")):
            self.runs.offer(runs_table(picture.table("runs")))
        if self.changed("locks", picture.stamp("locks")):
            self.locks.offer(
                frames.tidy(
                    frames.with_instrument(picture.table("locks")),
                    ("account", "instrument", "reason"),
                    ("con_id",),
                    ("since",),
                )
            )
        if not self.desk.may_act and self.changed("role"):
            self.result.object = notice("info", f"{self.desk.user} may look, not act: acts are hidden.")

    def _picked(self, rows: pd.DataFrame) -> None:
        self.assign.disabled = self.clear.disabled = rows.empty
        self.evidence_box.visible = len(rows) == 1
        if len(rows) == 1:
            row = rows.iloc[0]
            self.owner.value, self.note.value = row["owner"], row["note"]
            self._explain(row)

    def _explain(self, row: Any) -> None:
        live = self.state.moment is None  # what is thought to be the cause now was not known then
        words = evidence(row, self.desk.books.causes(row["break_id"]) if live else None, self.zone)
        if words != self.evidence.object:
            self.evidence.object = words
            self.reading.visible = True
            self.fetch(self._remember)

    async def _remember(self) -> None:
        """Read and draw what became of the chosen break; in a thread, since it is in the store."""
        rows = self.grid.selected
        if len(rows) != 1:
            return
        name = rows.iloc[0]["break_id"]
        try:
            stored = await asyncio.to_thread(self.desk.books.breaks, history_of=name)
        finally:
            self.reading.visible = False
        chosen = self.grid.selected
        if len(chosen) != 1 or chosen.iloc[0]["break_id"] != name:
            return  # another break was chosen while the store was read
        told = history_table(stored)
        if not told.empty:
            moment = self.state.moment or datetime.now(UTC)
            told = told[pd.to_datetime(told["recorded_at"], utc=True, cache=False) <= pd.Timestamp(moment)]
        self.changes.offer(told.iloc[::-1])
        self.history.visible = not told.empty
        if not told.empty:
            until = self.state.moment or datetime.now(UTC)
            self.history.object = charts.residual_chart(told, until, self.zone)

    async def _reconcile(self, _event: Any) -> None:
        self.now.disabled = self.progress.visible = True
        self.result.object = notice("info", "Asking IB for its positions …")
        started = time.monotonic()
        try:
            done, outcome = await self.desk.act(
                "Reconciliation", lambda: self.desk.books.reconcile_positions(operator=self.desk.user)
            )
        finally:
            self.now.disabled = self.progress.visible = False
        took = duration_text(time.monotonic() - started)
        if not done:
            self.result.object = notice("error", f"Not reconciled, nothing was changed: {outcome}")
            return
        residuals = await asyncio.to_thread(self.desk.books.breaks, open_only=True)
        rows = 0 if outcome is None else len(outcome)
        words = f"{rows} rows compared in {took}: "
        if len(residuals):
            self.result.object = notice("warn", f"{words}{len(residuals)} open breaks")
        else:
            self.result.object = notice("good", f"✓ {words}square")

    def _assign(self, _event: Any) -> None:
        rows = self.grid.selected
        if not rows.empty:
            self.dialog.open(rows)

    def _assigned(self) -> None:
        self.grid.release()
        self.forget()

    async def _note(self, _event: Any) -> None:
        rows = self.grid.selected
        if len(rows) != 1:
            return
        done, _ = await self.desk.act(
            "Note",
            lambda: self.desk.books.note_break(
                rows.iloc[0]["break_id"], self.owner.value, self.note.value, self.desk.user
            ),
        )
        if done:
            self.desk.say("Owner and note are saved", "success")
            self.grid.release()


def history_table(stored: pd.DataFrame) -> pd.DataFrame:
    """What is stored of one break, oldest first, under the names on the screen."""
    if stored.index.name == "recorded_at" and "recorded_at" not in stored:
        stored = stored.reset_index()
    stored = stored.rename(columns={old: new for old, new in frames.BREAK_NAMES.items() if new not in stored})
    return frames.tidy(stored, ("state", "owner", "note"), ("quantity", "explained", "residual"), ("recorded_at",))


def runs_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Runs, newest first."""
    if frame.index.name == "recorded_at" and "recorded_at" not in frame:
        frame = frame.reset_index()
    out = frames.tidy(
        frame, ("status", "reason", "run_id"), ("accounts", "positions", "breaks", "duration_ms"), ("recorded_at",)
    )
    # Of a run that got no answer nothing was counted.
    counted = ["accounts", "positions", "breaks"]
    out[counted] = out[counted].where(out["status"] != "unavailable", float("nan"))
    return out.sort_values("recorded_at", ascending=False, kind="stable", ignore_index=True)


def evidence(row: Any, causes: list[dict[str, Any]] | None, zone: Zone = UTC_ZONE) -> str:
    """The chosen break and what may explain it, best first; ``None`` for a past moment. All of it is escaped."""
    head = pairs(
        [
            ("Break", f"{row['instrument']} in {row['account']} ({row['break_id']})"),
            ("State", BREAK_WORDS.get(row["state"], row["state"])),
            ("Broker minus strategies", quantity_text(row["quantity"])),
            ("Of it in UNASSIGNED", quantity_text(row["unassigned_qty"])),
            ("Residual, explained by nothing", quantity_text(row["residual"])),
            ("First seen", f"{zone.local(row['first_seen'])} {zone.label}" if row["first_seen"] else "—"),
        ]
    )
    if causes is None:
        return head + notice("info", "Causes are live only; how the residual went until then stands beside.")
    items = []
    for number, cause in enumerate(causes, start=1):
        kind = plain_words(cause.get("kind", "cause"))
        confidence = cause.get("confidence")
        sure = (
            f", confidence {confidence:.0%}"
            if isinstance(confidence, (int, float))
            else f", {confidence}"
            if confidence
            else ""
        )
        quantity = cause.get("quantity")
        amount = quantity_text(float(quantity)) if quantity is not None else "no quantity"
        items.append(
            f"<h2>{number}. {escape(kind)} – explains {escape(amount)}{escape(sure)}</h2>"
            f"<p>{escape(cause.get('text', ''))}</p><p class='dim'>{escape(cause.get('arithmetic', ''))}</p>"
            + "".join(f"<p class='dim'>· {escape(line)}</p>" for line in cause.get("evidence") or [])
            + (f"<p>Proposed: {escape(cause['proposal'])}</p>" if cause.get("proposal") else "")
        )
    return head + ("".join(items) or notice("warn", "No cause found: the whole break is residual."))
