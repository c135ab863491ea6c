"""Where a session's acts go through: role, engine command, outcome in words.

An act runs in a task with an empty context, so that nothing of the session sticks to what the engine starts for it, and
goes on when the page that asked for it is closed in the middle.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import panel as pn

from dashboard.hub import Hub
from dashboard.model import SessionState
from dashboard.roles import role_of
from engine.errors import FillbookError, NotPermitted

log = logging.getLogger(__name__)


class Desk:
    """What a screen may ask for.

    Attributes:
        user: Whose name stands in the audit.
        may_act: False for viewers; the screens hide acts then, the engine refuses them in any case.
    """

    def __init__(self, engine: Any, hub: Hub, state: SessionState, user: str, *, exposed: bool = False) -> None:
        self.engine = engine
        self.hub = hub
        self.state = state
        self.user = user
        self.may_act = role_of(engine.settings, user) == "operator" and not exposed
        self.say: Callable[[str, str], None] = notify

    @property
    def books(self) -> Any:
        """The portfolio manager."""
        return self.engine.portfolio_manager

    async def act(self, what: str, command: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[bool, Any]:
        """Run an operator's command and say how it went.

        Args:
            what: In words, e.g. ``Reconciliation``.
            command: Makes the coroutine; called only when the role allows it.

        Returns:
            (done, result); when not done the result is the error, already shown.
        """
        if not self.may_act:
            error = self._refused(what)
            self.say(str(error), "error")
            return False, error
        if self.state.as_of:
            error = NotPermitted(f"The page shows the past: go back to live before you act. {what} was not done")
            self.say(str(error), "error")
            return False, error
        loop = asyncio.get_running_loop()
        task = contextvars.Context().run(loop.create_task, command())
        try:
            result = await asyncio.shield(task)
        except FillbookError as error:
            self.say(f"{what}: {error}", "error")
            return False, error
        except Exception as error:
            log.exception("%s failed", what)
            self.say(f"{what} failed: {error!r}. The log has the details.", "error")
            return False, error
        self.hub.hurry()
        return True, result

    def _refused(self, what: str) -> NotPermitted:
        """The engine's refusal, which audits that it was tried; the page hides its acts, so somebody went round it."""
        try:
            self.books.access.check(what, self.user)
        except NotPermitted as error:
            return error
        return NotPermitted(f"{self.user} may look, not act: {what} was not done")


def notify(text: str, kind: str) -> None:
    """Show a short message in the session that asked; React draws it as text."""
    area = pn.state.notifications
    if area is None:
        log.info("%s: %s", kind, text)
        return
    area.send(text, duration=0 if kind == "error" else 5000, type=kind)
