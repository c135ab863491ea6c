"""Assignments: the journal with its way back, the rules "always do this", and the audit of every act."""

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
from dashboard.views.expired import ExpiredHoldings


class Assignments(Screen):
    """Every entry of the journal, newest first; an entry is taken back by another entry, never erased."""

    title = "Assignments"
    needs: ClassVar[frozenset[str]] = frozenset({"assignments", "rules", "audit", "expired"})

    def build(self) -> Viewable:
        """Make journal, reversal, rules and the form for a new rule."""
        self.journal = Grid(
            "Journal of assignments",
            {
                "recorded_at": Column("Recorded ({zone})", "time"),
                "state": Column("State"),
                "strategy": Column("Strategy", filter=True),
                "instrument": Column("Instrument", filter=True),
                "account": Column("Account"),
                "qty": Column("Quantity", "qty"),
                "price": Column("Price", "price"),
                "operator": Column("Operator"),
                "reason": Column("Reason", width=240),
                "assignment_id": Column("Id", width=190),
                "reverses": Column("Reverses", width=150),
            },
            empty="Nothing has been assigned yet",
            part="assignments",
            selectable=1,
            on_select=self._picked,
            key=("assignment_id", "strategy", "recorded_at"),
            zone=self.zone,
        )
        self.export = self.journal.export("assignments.csv")
        acts = self.desk.may_act
        self.why = pmui.TextInput(label="Reason for the reversal (required)", size="small", width=360, visible=acts)
        self.reverse = pmui.Button(
            label="Reverse this assignment",
            variant="contained",
            color="warning",
            disabled=True,
            visible=acts,
            on_click=self._reverse,
        )
        self.clear = pmui.Button(
            label="Clear selection",
            variant="text",
            size="small",
            disabled=True,
            on_click=lambda _: self.journal.release(),
        )
        self.rules = Grid(
            "Rules",
            {
                "enabled": Column("In force"),
                "strategy": Column("Goes to"),
                "order_ref": Column("Order reference like"),
                "client_id": Column("Client", "count"),
                "account": Column("Account"),
                "instrument": Column("Instrument"),
                "operator": Column("Operator"),
                "reason": Column("Reason", width=220),
                "rule_id": Column("Id", width=170),
            },
            empty="No rule: nothing is ever assigned without somebody's act",
            part="rules",
            page_size=8,
            selectable=1,
            on_select=self._rule_picked,
            key=("rule_id",),
        )
        self.strategy = pmui.TextInput(label="Goes to strategy", size="small", width=180)
        self.pattern = pmui.TextInput(label="Order reference like (* any)", size="small", width=200)
        self.client = pmui.TextInput(label="Client id (empty: any)", size="small", width=170)
        self.rule_reason = pmui.TextInput(label="Reason (required)", size="small", width=260)
        self.attempt = pmui.Button(label="Try it", variant="outlined", size="small", on_click=self._try)
        self.add = pmui.Button(label="Set rule", variant="contained", size="small", on_click=self._add)
        self.toggle = pmui.Button(
            label="Switch the chosen rule on or off",
            variant="outlined",
            size="small",
            disabled=True,
            visible=acts,
            on_click=self._toggle,
        )
        self.audit = Grid(
            "Audit of all acts",
            {
                "received_at": Column("At ({zone})", "time"),
                "user": Column("Who", filter=True),
                "act": Column("Act", filter=True),
                "allowed": Column("Allowed"),
                "detail": Column("Detail", "prose", width=420),
            },
            empty="Nobody has acted yet",
            part="audit",
            page_size=8,
            zone=self.zone,
        )
        self.outcome = text()
        self.expired = ExpiredHoldings(self.desk)
        self.expired_grid = self.expired.grid
        form = pn.FlexBox(
            self.strategy,
            self.pattern,
            self.client,
            self.rule_reason,
            self.attempt,
            self.add,
            align_items="center",
            gap="8px",
            visible=acts,
        )
        return pn.Column(
            section(
                "Journal",
                pn.FlexBox(
                    self.why,
                    self.reverse,
                    self.clear,
                    self.journal.export("assignments.csv"),
                    align_items="center",
                    gap="10px",
                ),
                self.journal,
            ),
            self.expired,
            section("Rules", self.rules, self.toggle, form, self.outcome),
            section("Audit: who did what, refused acts included", self.audit),
            sizing_mode="stretch_width",
            margin=0,
        )

    def refresh(self, picture: Picture) -> None:
        """Bring both tables up to date."""
        if self.changed("journal", picture.stamp("assignments"), self.state.strategy, self.state.account):
            self.journal.offer(
                journal_table(picture.table("assignments"), strategy=self.state.strategy, account=self.state.account)
            )
        if self.changed("rules", picture.stamp("rules")):
            self.rules.offer(rules_table(picture.table("rules")))
        if self.changed("expired", picture.stamp("expired"), self.state.account):
            self.expired.offer(frames.chosen(picture.table("expired"), account=self.state.account))
        if self.changed("audit", picture.stamp("audit")):
            self.audit.offer(audit_table(picture.table("audit")))

    def _picked(self, rows: pd.DataFrame) -> None:
        self.clear.disabled = rows.empty
        self.reverse.disabled = rows.empty or rows.iloc[0]["state"] == "reversed" or bool(rows.iloc[0]["reverses"])

    def _rule_picked(self, rows: pd.DataFrame) -> None:
        self.toggle.disabled = rows.empty

    async def _reverse(self, _event: Any) -> None:
        rows, reason = self.journal.selected, (self.why.value or self.why.value_input or "").strip()
        if rows.empty:
            return
        if not reason:
            self.desk.say("A reason is needed; it stands in the journal for ever.", "error")
            return
        name = rows.iloc[0]["assignment_id"]
        done, _ = await self.desk.act(
            "Reversal", lambda: self.desk.books.reverse_assignment(name, operator=self.desk.user, reason=reason)
        )
        if done:
            self.desk.say(f"{name} is reversed: the books are as if it had never been made.", "success")
            self.why.value = ""
            self.journal.release()

    def _rule(self) -> dict[str, Any]:
        client = (self.client.value or "").strip()
        return {
            "strategy": (self.strategy.value or "").strip(),
            "order_ref": (self.pattern.value or "").strip(),
            "client_id": int(client) if client.isascii() and client.isdigit() else None,
        }

    async def _try(self, _event: Any) -> None:
        done, hits = await self.desk.act("Trying the rule", lambda: self.desk.books.try_rule(**self._rule()))
        if done:
            number = 0 if hits is None else len(hits)
            self.outcome.object = notice(
                "info", f"It would have matched {number} of the executions and residuals on record."
            )

    async def _add(self, _event: Any) -> None:
        rule, reason = self._rule(), (self.rule_reason.value or "").strip()
        if not rule["strategy"] or not reason or not (rule["order_ref"] or rule["client_id"] is not None):
            self.outcome.object = notice("error", "A rule needs a strategy, something to match, and a reason.")
            return
        done, _ = await self.desk.act(
            "Rule", lambda: self.desk.books.set_rule(**rule, enabled=True, operator=self.desk.user, reason=reason)
        )
        self.outcome.object = notice("good", "The rule is in force.") if done else ""

    async def _toggle(self, _event: Any) -> None:
        rows = self.rules.selected
        if rows.empty:
            return
        row = rows.iloc[0]
        on = row["enabled"] != "yes"
        rule = {
            "rule_id": row["rule_id"],
            "strategy": row["strategy"],
            "order_ref": row["order_ref"],
            "client_id": None if pd.isna(row["client_id"]) else int(row["client_id"]),
            "account": row["account"],
            "con_id": 0 if pd.isna(row["con_id"]) else int(row["con_id"]),
        }
        done, _ = await self.desk.act(
            "Rule",
            lambda: self.desk.books.set_rule(
                **rule, enabled=on, operator=self.desk.user, reason="switched on" if on else "switched off"
            ),
        )
        if done:
            self.rules.release()


def journal_table(frame: pd.DataFrame, *, strategy: str = "", account: str = "") -> pd.DataFrame:
    """Entries, newest first, each with its state: made, reversed, or reversal."""
    source = frames.chosen(frame, strategy=strategy, account=account)
    if source.index.name == "recorded_at" and "recorded_at" not in source:
        source = source.reset_index()
    out = frames.tidy(
        frames.with_instrument(source),
        ("state", "strategy", "instrument", "account", "operator", "reason", "assignment_id", "reverses"),
        ("qty", "price", "con_id"),
        ("recorded_at",),
    )
    undone = set(out["reverses"]) - {""}
    known = out["state"] != ""
    state = [
        "reversal" if r else "reversed" if a in undone else "made"
        for r, a in zip(out["reverses"], out["assignment_id"], strict=True)
    ]
    out["state"] = out["state"].where(known, pd.Series(state, index=out.index, dtype="object"))
    return out.sort_values("recorded_at", ascending=False, kind="stable", ignore_index=True)


def rules_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rules with ``enabled`` as yes or no."""
    texts = ("enabled", "strategy", "order_ref", "account", "instrument", "operator", "reason", "rule_id")
    source = frames.with_instrument(frame)
    if not source.empty and "con_id" in source:
        source = source.assign(
            instrument=["any" if not c else n for c, n in zip(source["con_id"], source["instrument"], strict=True)]
        )
    out = frames.tidy(source, texts, ("client_id", "con_id"))
    return out.assign(enabled=["yes" if value == "True" else "no" for value in out["enabled"]])


def audit_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Acts, latest first, with ``allowed`` as yes or refused."""
    out = frames.tidy(frame, ("user", "act", "allowed", "detail"), (), ("received_at",))
    return out.assign(allowed=["yes" if value == "True" else "refused" for value in out["allowed"]])
