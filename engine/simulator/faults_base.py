"""What every part of the fault desk shares: how a fault is marked, described, and called from any thread."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from engine.simulator.model import Execution, Instrument

if TYPE_CHECKING:
    from engine.simulator.gateway import Gateway

P = ParamSpec("P")
R = TypeVar("R")

Number = Decimal | int | float | str
"""A quantity or price; texts and floats are taken by their shortest text, never by their binary value."""
_MOST = 1_000_000
"""Most that a fault may be asked for at once."""


class FaultError(Exception):
    """A fault cannot be made to happen as asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a fault: ``kind`` is ``text``, ``integer``, ``number``, ``seconds`` or ``flag``."""

    name: str
    kind: str
    default: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """A fault as the rehearsal page shows it."""

    name: str
    label: str
    group: str
    help: str
    parameters: tuple[Parameter, ...]


def fault(group: str, label: str) -> Callable[[Callable[Concatenate[Any, P], R]], Callable[Concatenate[Any, P], R]]:
    """Mark a method as a fault, and let it be called from any thread.

    On the gateway's own thread it runs at once; from any other thread it runs on the gateway's loop and the caller
    waits for its result. What it raises, it raises in the caller.

    Args:
        group: Heading under which it is shown.
        label: What it is called for people.
    """

    def mark(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
        @functools.wraps(method)
        def called(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
            gateway: Gateway = self.gateway

            def act() -> R:
                result = method(self, *args, **kwargs)
                if gateway.thread_id:
                    gateway.flush_soon(None)
                return result

            return gateway.ask(act)

        called.__fault__ = (group, label)  # type: ignore[attr-defined]
        return called

    return mark


def info(name: str, method: Callable[..., Any]) -> FaultInfo:
    """Describe a marked method."""
    group, label = method.__fault__  # type: ignore[attr-defined]
    parameters = []
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        default = parameter.default
        kind = "text"
        if isinstance(default, bool):
            kind = "flag"
        elif parameter.name.endswith("_s"):
            kind = "seconds"
        elif "Number" in str(parameter.annotation):
            kind = "number"
        elif "int" in str(parameter.annotation):
            kind = "integer"
        shown = None if default is inspect.Parameter.empty else default
        parameters.append(Parameter(parameter.name, kind, shown))
    words = inspect.getdoc(method) or ""
    return FaultInfo(name, label, group, words.split("\n\n")[0].replace("\n", " "), tuple(parameters))


def exact(value: Number) -> Decimal:
    """A number by its shortest text.

    Raises:
        FaultError: It is none.
    """
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation as wrong:
        raise FaultError(f"{value!r} is not a number") from wrong
    if not number.is_finite():
        raise FaultError(f"{value!r} is not a finite number")
    return number


class Desk:
    """The ground under every part of the desk."""

    gateway: Gateway

    def _instrument(self, name: str | int) -> Instrument:
        try:
            return self.gateway.world.catalogue.named(name)
        except KeyError as unknown:
            raise FaultError(f"no contract {name!r}: use a symbol, a local symbol or a con_id") from unknown

    def _account(self, name: str) -> str:
        """An account by name; empty means the first."""
        chosen = name or self.gateway.config.accounts[0]
        if chosen not in self.gateway.world.accounts.by_name:
            raise FaultError(f"no account {name!r}: there are {', '.join(self.gateway.config.accounts)}")
        return chosen

    def _quantity(self, value: Number, known: Instrument) -> Decimal:
        quantity = exact(value)
        if quantity == 0:
            raise FaultError("quantity must not be 0")
        if known.sec_type == "BAG":
            raise FaultError("a combination has no position of its own")
        return quantity

    def _price(self, value: Number | None, known: Instrument, quantity: Decimal) -> Decimal:
        """A given price, or the market's for buying or selling."""
        if value is not None and value != "":
            return exact(value)
        quote = self.gateway.world.market.quote(known)
        return quote.ask if quantity > 0 else quote.bid

    def _execution(self, exec_id: str) -> Execution:
        """An execution by id; empty means the latest one of an order."""
        world = self.gateway.world
        if exec_id:
            if exec_id not in world.executions:
                raise FaultError(f"no execution {exec_id!r}")
            return world.executions[exec_id]
        for done in reversed(list(world.executions.values())):
            if not done.superseded and not done.hidden and world.instrument(done).sec_type != "BAG":
                return done
        raise FaultError("nothing has been executed yet")

    def _count(self, count: int) -> int:
        if not 1 <= count <= _MOST:
            raise FaultError(f"count must be 1 to {_MOST}")
        return int(count)
