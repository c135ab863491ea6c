"""One engine per server process, started once and stopped cleanly.

The app script runs anew for every session and its globals are wiped with it, so the engine lives here, in an installed
module, under ``pn.state.as_cached``. It starts in an empty context: a task made in a session's context would carry that
session's document for ever. Signals are taken on the loop, since only there can everything still be flushed.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import panel as pn
import tornado.process
from tornado.ioloop import IOLoop

from dashboard import exposure, http
from dashboard.hub import Hub
from engine.errors import FillbookError, SettingsError

log = logging.getLogger(__name__)

CANNOT_START: Final = 2
STOP_WITHIN_S: Final = 10.0

Factory = Callable[[], Any]


class Host:
    """Owns the engine, its hub and their end.

    Attributes:
        engine: The engine; ``None`` never.
        ready: Set when ``engine.start()`` returned.
    """

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.hub = Hub(engine)
        self.ready = asyncio.Event()
        self.stopping = False
        self.task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    def guard(self) -> None:
        """Keep out who should not be served, and let nobody act unless named where others can reach the server.

        The engine takes over its settings when it starts, hence this comes before. With ``--warm`` the script runs
        before there is a server, without it in the middle of the first request: so it is called at both moments.
        """
        found = exposure.servers()
        try:
            exposed = exposure.fenced(found)
        except FillbookError as error:
            refuse(error)
        if exposed.named_only and not self.engine.settings.named_only:
            self.engine.settings = replace(self.engine.settings, named_only=True)
            if not self.engine.settings.operator_names:
                log.warning(
                    "Others can reach this server, or it has a login, and FILLBOOK_OPERATORS names nobody: nobody may act"
                )

    async def main(self) -> None:
        """Start, tick until a signal, stop, end the server."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)
        # Before the engine starts: the probes say "starting" meanwhile, and nobody is served who should not be.
        self.guard()
        http.install(self)
        try:
            await self.engine.start()
        except FillbookError as error:
            refuse(error)
        gc.collect()
        gc.freeze()  # a full collection over what lives for ever would stall the loop for a tenth of a second
        self.ready.set()
        hub = loop.create_task(self.hub.run(), name="dashboard hub")
        stop = loop.create_task(self._stop.wait(), name="wait for a signal")
        engine = loop.create_task(self.engine.run_forever(), name="wait for the engine")
        await asyncio.wait({stop, engine}, return_when=asyncio.FIRST_COMPLETED)
        failure = engine.exception() if engine.done() and not engine.cancelled() else None
        if failure is not None:
            log.critical(
                "The engine has failed; the server ends, so that nobody trusts a frozen page", exc_info=failure
            )
        self.stopping = True
        hub.cancel()
        engine.cancel()
        await self._end(1 if failure is not None else 0)

    async def _end(self, code: int) -> None:
        try:
            await asyncio.wait_for(self.engine.stop(), STOP_WITHIN_S)
        except TimeoutError:
            log.critical("The engine did not stop within %s s; what was accepted is in the journal", STOP_WITHIN_S)
            code = 1
        except Exception:
            log.critical("The engine could not stop cleanly; what was accepted is in the journal", exc_info=True)
            code = 1
        # Everything is on disk and every file is closed. Python would now spend seconds on taking apart, object by object,
        # what the books and the pages held, and the pages would be drawn meanwhile.
        logging.shutdown()
        sys.stdout.flush()
        _exit(code)

    def _signalled(self, number: int) -> None:
        if self.stopping:
            log.critical("Second signal: leaving at once; what was accepted is in the journal")
            _exit(128 + number)
        self.stopping = True
        log.info("Stopping: flushing the books")
        self._stop.set()


def get(factory: Factory) -> Host:
    """The process's one host; made and started at the first call.

    Args:
        factory: Makes the engine, unstarted; a ``FillbookError`` of it ends the process with one line and status 2.
    """
    # The factory stays out of the cache's key: every session brings a new function, and there is one engine.
    host: Host = pn.state.as_cached("fillbook-host", lambda: _start(factory))
    return host


def _start(factory: Factory) -> Host:
    if tornado.process.task_id() is not None:
        refuse(SettingsError("One engine per deployment: start panel serve without --num-procs"))
    try:
        engine = factory()
    except FillbookError as error:
        refuse(error)
    host = Host(engine)
    host.guard()
    loop = IOLoop.current().asyncio_loop  # type: ignore[attr-defined]
    host.task = contextvars.Context().run(loop.create_task, host.main())
    host.task.add_done_callback(_died)
    return host


def _died(task: asyncio.Task[None]) -> None:
    if task.cancelled() or task.exception() is None:
        return
    log.critical("The engine has died; the server ends, so that nobody trusts a frozen page", exc_info=task.exception())
    _exit(1)


def forget(doc: Any) -> None:
    """Drop what Panel keeps of a session that has ended.

    It drops a page's own views, but not that of the notification area, through which the whole session would be kept.

    Args:
        doc: The session's document.
    """
    views = pn.state._views  # noqa: SLF001 - Panel has no public way to it
    for ref in [ref for ref, view in views.items() if view[2] is doc]:
        del views[ref]


def refuse(error: FillbookError) -> Any:
    """Say in one line why the server cannot run, and end the process (nothing was accepted yet)."""
    sys.stderr.write(f"fillbook: {error}\n")
    _exit(CANNOT_START)


def _exit(code: int) -> None:
    # Panel turns an exception of an app script, SystemExit included, into a page; only this ends the process.
    sys.stderr.flush()
    os._exit(code)
