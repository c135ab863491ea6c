"""Rehearsal: the fault desk of the simulated gateway. With a real IB this screen does not exist."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable

from dashboard.parts import Screen, notice, section, text
from dashboard.picture import Picture
from dashboard.theme import escape
from engine.errors import BadRequest
from engine.simulator.faults_base import FaultError


class Rehearsal(Screen):
    """Choose a fault, set its parameters, make it happen, and watch what the product does."""

    title = "Rehearsal"
    needs: ClassVar[frozenset[str]] = frozenset()

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
        return section(
            "Fault desk of the simulated gateway",
            text(notice("info", "This server trades on the simulated gateway. Nothing here reaches a real broker.")),
            self.choice,
            self.words,
            self.fields,
            self.inject,
            self.outcome,
        )

    def refresh(self, picture: Picture) -> None:
        """Nothing moves here by itself."""
        del picture

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

        done, result = await self.desk.act(fault.label, happen)
        more = "" if result is None else f" {result}"
        self.outcome.object = (
            notice("good", f"✓ {fault.label}: it has happened.{more}") if done else notice("error", result)
        )
