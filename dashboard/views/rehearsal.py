"""Rehearsal: the fault desk of the simulated gateway. With a real IB this screen does not exist."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any, ClassVar

import panel as pn
import panel_material_ui as pmui
from panel.viewable import Viewable

from dashboard.parts import Screen, notice, section, text
from dashboard.picture import Picture
from dashboard.theme import escape
from engine.errors import BadRequest


class Rehearsal(Screen):
    """Choose a fault, set its parameters, make it happen, and watch what the product does."""

    title = "Rehearsal"
    needs: ClassVar[frozenset[str]] = frozenset()

    def build(self) -> Viewable:
        """List the faults that the gateway's desk offers."""
        self._faults = (
            fault_list(self.desk.engine.gateway.faults.describe()) if self.desk.engine.gateway is not None else {}
        )
        names = list(self._faults)
        self.choice = pmui.Select(
            label="What shall happen", options=names, value=names[0] if names else None, size="small", width=330
        )
        self.words = text()
        self.fields = pn.Column(margin=0)
        self.inject = pmui.Button(
            label="Make it happen",
            variant="contained",
            color="warning",
            on_click=self._inject,
            visible=self.desk.may_act,
        )
        self.outcome = text()
        self.choice.param.watch(lambda _: self._offer(), "value")
        self._inputs: dict[str, Any] = {}
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
        self.words.object = f"<p>{escape(fault['text'])}</p>"
        self._inputs = {
            name: pmui.TextInput(label=name, value="" if default is None else str(default), size="small", width=260)
            for name, default in fault["parameters"].items()
        }
        self.fields[:] = list(self._inputs.values())

    async def _inject(self, _event: Any) -> None:
        name = self.choice.value
        if self.desk.engine.gateway is None or name not in self._faults:
            return
        given = {
            key: read_value(widget.value or "") for key, widget in self._inputs.items() if (widget.value or "").strip()
        }

        async def happen() -> Any:
            try:
                result = getattr(self.desk.engine.gateway.faults, name)(**given)
                return await result if inspect.isawaitable(result) else result
            except (TypeError, ValueError, KeyError, LookupError) as error:
                raise BadRequest(f"{name} cannot happen like this: {error}") from error

        done, result = await self.desk.act("The fault", happen)
        self.outcome.object = (
            notice("good", f"✓ {name} has happened. {'' if result is None else result}")
            if done
            else notice("error", result)
        )


def read_value(words: str) -> Any:
    """Read a parameter: JSON where it is JSON (numbers, true, lists), else the text itself."""
    try:
        return json.loads(words)
    except ValueError:
        return words.strip()


def fault_list(described: Any) -> dict[str, dict[str, Any]]:
    """Bring the fault desk's own listing into name -> {text, parameters}.

    Args:
        described: A mapping name -> description, or a list of mappings or pairs; parameters as a mapping name -> default,
            or a list of names.
    """
    entries = described.items() if isinstance(described, Mapping) else [_pair(entry) for entry in described]
    out = {}
    for name, entry in entries:
        details = entry if isinstance(entry, Mapping) else {"text": str(entry)}
        parameters = details.get("parameters") or {}
        if not isinstance(parameters, Mapping):
            parameters = {
                (p["name"] if isinstance(p, Mapping) else str(p)): (
                    p.get("default") if isinstance(p, Mapping) else None
                )
                for p in parameters
            }
        out[str(name)] = {"text": str(details.get("text") or details.get("doc") or ""), "parameters": dict(parameters)}
    return out


def _pair(entry: Any) -> tuple[str, Any]:
    if isinstance(entry, Mapping):
        return str(entry["name"]), entry
    return str(entry[0]), entry[1]
