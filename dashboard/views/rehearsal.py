"""Rehearsal: the fault desk of the simulated gateway, and what the product does about it, side by side.

With a real IB this screen does not exist.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, ClassVar

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable

from dashboard import frames
from dashboard.parts import Screen, notice, section, side_by_side, text
from dashboard.picture import Picture
from dashboard.pulse import broker_chip, square_badge
from dashboard.theme import escape, quantity_text, time_text
from dashboard.views.health import log_table
from dashboard.zone import UTC_ZONE, Zone
from engine.errors import BadRequest
from engine.simulator.faults_base import FaultError


class Rehearsal(Screen):
    """Choose a fault, set its parameters, make it happen, and watch what the product does."""

    title = "Rehearsal"
    needs: ClassVar[frozenset[str]] = frozenset({"broker", "square", "health", "breaks", "findings", "fills"})

    def build(self) -> Viewable:
        """List the faults that the gateway's desk offers, by group."""
        gateway = self.desk.engine.gateway
        self._faults = (
            {f"{one.group}: {one.label}": one for one in gateway.faults.describe()} if gateway is not None else {}
        )
        names = list(self._faults)
        self.choice = pmui.Select(
            label="What shall happen", options=names, value=names[0] if names else None, size="small", width=420
        )
        self.words = text()
        self.fields = pn.FlexBox(gap="8px", margin=0)
        self.inject = pmui.Button(
            label="Make it happen",
            variant="contained",
            color="warning",
            on_click=self._inject,
            visible=self.desk.may_act,
        )
        self.outcome = text()
        self._inputs: dict[str, Any] = {}
        self.choice.param.watch(lambda _: self._offer(), "value")
        self._offer()
        self.seen = text()
        self._since = datetime.now(UTC)
        return side_by_side(self._desk(), section("What the product does", self.seen))

    def _desk(self) -> Viewable:
        return section(
            "Fault desk of the simulated gateway",
            text(notice("info", "This server trades on the simulated gateway. Nothing here reaches a real broker.")),
            *(
                (self.choice, self.words, self.fields, self.inject, self.outcome)
                if self.desk.may_act
                else (text(notice("info", f"{self.desk.user} may look, not act: acts are hidden.")),)
            ),
        )

    def refresh(self, picture: Picture) -> None:
        """Tell what came of it."""
        words = told(picture, self._since, self.zone)
        if words != self.seen.object:
            self.seen.object = words

    def _offer(self) -> None:
        fault = self._faults.get(self.choice.value or "")
        if fault is None:
            self.words.object = notice("warn", "The gateway offers no fault.")
            return
        self.words.object = f"<p>{escape(fault.help)}</p>"
        self.outcome.object = ""
        self._inputs = {
            parameter.name: pmui.TextInput(
                label=f"{parameter.name} ({parameter.kind})",
                value="" if parameter.default is None else str(parameter.default),
                size="small",
                width=230,
            )
            for parameter in fault.parameters
        }
        self.fields[:] = list(self._inputs.values())

    async def _inject(self, _event: Any) -> None:
        gateway, fault = self.desk.engine.gateway, self._faults.get(self.choice.value or "")
        if gateway is None or fault is None:
            return
        given = {name: widget.value.strip() for name, widget in self._inputs.items() if (widget.value or "").strip()}

        async def happen() -> Any:
            self.desk.books.access.check(f"rehearse: {fault.label}", self.desk.user, repr(given))
            try:
                # In a thread: the desk waits for the gateway's loop, which may be this one.
                return await asyncio.to_thread(gateway.faults.run, fault.name, **given)
            except FaultError as error:
                raise BadRequest(str(error)) from error

        self._since = datetime.now(UTC)
        done, result = await self.desk.act(fault.label, happen)
        more = "" if result is None else f" {result}"
        self.outcome.object = (
            notice("good", f"✓ {fault.label}: it has happened.{more}") if done else notice("error", result)
        )


def told(picture: Picture, since: datetime, zone: Zone = UTC_ZONE) -> str:
    """The state of the product after a fault, as HTML with everything escaped.

    Args:
        picture: Live.
        since: When the last fault was made to happen; what is newer is named.
    """
    square, broker = (
        square_badge(picture.parts.get("square"), picture.at, zone=zone),
        broker_chip(picture.parts.get("broker"), picture.at, zone),
    )
    kinds = {"good": "good", "bad": "error"}
    lines = [
        notice(kinds.get(square["state"], "warn"), f"{square['text']} – {square['title']}"),
        notice(kinds.get(broker["state"], "warn"), f"IB {broker['text']} {broker['title']}"),
    ]
    breaks = frames.breaks_table(picture.table("breaks"), now=picture.at)
    lines += _listed(
        "Open breaks",
        [
            f"{row['instrument']} in {row['account']}: {row['state']}, {quantity_text(row['quantity'])}"
            for row in frames.rows_of(breaks.head(6))
        ],
    )
    findings = picture.table("findings")
    if "seen_at" in findings:
        findings = findings[pd.to_datetime(findings["seen_at"], utc=True, cache=False) >= pd.Timestamp(since)]
    lines += _listed(
        "Findings since the last fault",
        [
            f"{time_text(row['seen_at'], zone, date=False)} {row['kind']}: {row['text']}"
            for row in frames.rows_of(findings.tail(6))
        ],
    )
    log = (picture.parts.get("health") or {}).get("connection_log") or []
    lines += _listed(
        "Connection log",
        [
            f"{zone.local(row['at'], 11, 19)} {zone.label} {row['state']} {row['detail']}"
            for row in frames.rows_of(log_table(log).head(5))
        ],
    )
    fills = frames.fills_table(picture.table("fills").head(5))
    lines += _listed(
        "Latest fills",
        [
            f"{zone.local(row['timestamp'], 11, 19)} {zone.label} {row['strategy']} {quantity_text(row['qty'])} "
            f"{row['instrument']}, fee {row['commission_status']}, {row['state']}"
            for row in frames.rows_of(fills)
        ],
    )
    return "".join(lines)


def _listed(title: str, entries: list[str]) -> list[str]:
    items = "".join(f"<li>{escape(entry)}</li>" for entry in entries) or "<li class='dim'>none</li>"
    return [f"<h2>{escape(title)}</h2><ul style='margin:2px 0 8px;padding-left:20px'>{items}</ul>"]
