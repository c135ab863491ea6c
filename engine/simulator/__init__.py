"""A TWS-protocol gateway of our own, for tests, demonstrations and rehearsals.

It speaks IB's wire protocol over a real socket, well enough that ib_insync, ib_async and IB's official client use it
without knowing. It knows nothing of the engine it serves.

- ``wire``: frames, field texts, the handshake; ``requests`` reads what clients ask, ``answers`` and ``order_answers``
  write what they hear.
- ``model``: instruments, orders, executions; ``contracts``: which instruments there are; ``market``: what they cost;
  ``account``: who holds what; ``world``: all of it; ``state``: all of it on disk.
- ``intake`` checks orders, ``exchange`` works them, ``publish`` tells whom it concerns.
- ``session``: one connection; ``handlers``, ``lookups``, ``replay`` and ``streams``: what is done with each request.
- ``faults``: the fault desk. ``gateway`` wires it all, ``hosting`` runs it on a thread, ``__main__`` from the command
  line.
"""

from engine.simulator.config import GatewayConfig
from engine.simulator.faults import FaultDesk, FaultError, FaultInfo, Parameter
from engine.simulator.gateway import Gateway
from engine.simulator.hosting import GatewayThread
from engine.simulator.model import Clock, Execution, Instrument, Order

__all__ = [
    "Clock",
    "Execution",
    "FaultDesk",
    "FaultError",
    "FaultInfo",
    "Gateway",
    "GatewayConfig",
    "GatewayThread",
    "Instrument",
    "Order",
    "Parameter",
]
