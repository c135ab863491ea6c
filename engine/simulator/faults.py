"""The fault desk: everything that can go wrong between IB and its clients, on demand.

Every fault is a method. It may be called from any thread while the gateway runs
(``gateway.faults.manual_trade("AAPL", 10)``), by name with texts (``gateway.faults.run("manual_trade",
symbol="AAPL")``, as the rehearsal page does), or be scheduled from the command line (``--fault
manual_trade:symbol=AAPL,quantity=10@5``). :meth:`FaultDesk.describe` lists them with their parameters.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.simulator.faults_base import FaultError, FaultInfo, Parameter, fault, info
from engine.simulator.faults_events import EventFaults
from engine.simulator.faults_link import LinkFaults
from engine.simulator.faults_messages import MessageFaults
from engine.simulator.faults_trades import TradeFaults

if TYPE_CHECKING:
    from engine.simulator.gateway import Gateway

log = logging.getLogger(__name__)

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off", "")


class FaultDesk(TradeFaults, MessageFaults, LinkFaults, EventFaults):
    """All faults of one running gateway.

    Args:
        gateway: The gateway they happen to.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    @classmethod
    def describe(cls) -> list[FaultInfo]:
        """Every fault with its label, group, help text and parameters with defaults, by group."""
        found = [
            info(name, method)
            for name, method in inspect.getmembers(cls)
            if hasattr(method, "__fault__") and not name.startswith("_")
        ]
        groups = ["Trades", "Messages", "Positions", "Connection"]
        return sorted(
            found, key=lambda one: (groups.index(one.group) if one.group in groups else 9, one.group, one.label)
        )

    def run(self, name: str, **parameters: Any) -> Any:
        """Make a fault happen by its name; texts are converted to what its parameters need.

        Raises:
            FaultError: No such fault or parameter, or it cannot happen as asked.
        """
        return self._prepared(name, parameters)()

    def schedule(self, script: str) -> float:
        """Schedule a fault from its command-line spelling ``NAME[:key=value,...][@SECONDS]``.

        Returns:
            Seconds from now until it happens.

        Raises:
            FaultError: The spelling, the name or a parameter is wrong.
        """
        call, _, when = script.partition("@")
        try:
            delay_s = float(when or 0)
        except ValueError as wrong:
            raise FaultError(f"fault {script!r}: {when!r} is not a number of seconds") from wrong
        name, _, rest = call.partition(":")
        parameters: dict[str, str] = {}
        for pair in filter(None, rest.split(",")):
            key, equals, value = pair.partition("=")
            if not equals:
                raise FaultError(f"fault {script!r}: {pair!r} is not key=value")
            parameters[key.strip()] = value.strip()
        act = self._prepared(name.strip(), parameters)

        def happen() -> None:
            try:
                act()
            except FaultError as wrong:  # nobody waits for it: the gateway goes on without
                log.warning("fault %r cannot happen: %s", script, wrong)

        self._after(delay_s, happen)
        return delay_s

    @fault("Desk", "Do something later")
    def _after(self, delay_s: float, act: Callable[[], Any]) -> None:
        self.gateway.later(max(delay_s, 0.0), act)

    def _prepared(self, name: str, given: dict[str, Any]) -> Callable[[], Any]:
        method = getattr(self, name, None) if not name.startswith("_") else None
        if method is None or not hasattr(method, "__fault__"):
            known = ", ".join(one.name for one in self.describe())
            raise FaultError(f"no fault {name!r}: there are {known}")
        parameters = {one.name: one for one in info(name, getattr(type(self), name)).parameters}
        unknown = set(given) - set(parameters)
        if unknown:
            raise FaultError(
                f"fault {name} has no {', '.join(sorted(unknown))}: it takes {', '.join(parameters) or 'nothing'}"
            )
        values = {key: _convert(name, parameters[key], value) for key, value in given.items()}
        return lambda: method(**values)


def _convert(name: str, parameter: Parameter, value: Any) -> Any:
    """A text as the parameter's kind; other values pass."""
    if not isinstance(value, str) or parameter.kind in ("text", "number"):
        return value
    try:
        if parameter.kind == "integer":
            return int(value)
        if parameter.kind == "seconds":
            return float(value)
    except ValueError as wrong:
        raise FaultError(f"fault {name}: {parameter.name} is {value!r}, not a number") from wrong
    lowered = value.lower()
    if lowered not in _TRUE + _FALSE:
        raise FaultError(f"fault {name}: {parameter.name} is {value!r}: use yes or no")
    return lowered in _TRUE


__all__ = ["FaultDesk", "FaultError", "FaultInfo", "Parameter"]
