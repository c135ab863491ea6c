"""A gateway on a thread of its own, so that a client may run beside it in the same process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

from engine.simulator.config import GatewayConfig
from engine.simulator.gateway import Gateway
from engine.simulator.model import Clock

_PATIENCE_S = 60.0


class GatewayThread:
    """Runs a :class:`Gateway` on its own event loop in its own thread.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. ``gateway.faults``, ``gateway.positions()`` and
    ``gateway.executions()`` may be used from any thread.

    Args:
        config: The gateway's settings.
        clock: Its clock; the machine's by default.
    """

    def __init__(self, config: GatewayConfig | None = None, clock: Clock | None = None) -> None:
        self.gateway = Gateway(config, clock)
        self._thread = threading.Thread(target=self._run, name="simulated-gateway", daemon=True)
        self._ready = threading.Event()
        self._trouble: BaseException | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self.gateway.config.host

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.gateway.port

    def start(self) -> Self:
        """Start; returns when clients can connect.

        Raises:
            OSError: The address cannot be listened on.
            engine.simulator.state.StateError: The state file cannot be used.
        """
        self._thread.start()
        if not self._ready.wait(_PATIENCE_S):
            raise TimeoutError("the simulated gateway did not start")
        if self._trouble is not None:
            raise self._trouble
        return self

    def stop(self) -> None:
        """Stop and wait for the end; idempotent."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop may end between the question and the call
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as trouble:  # noqa: BLE001  # handed to the thread that starts it
            self._trouble = trouble
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await self.gateway.start()
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            await self.gateway.stop()
