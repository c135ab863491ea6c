"""Who may act. The engine decides, whatever a screen shows; every act is audited, the refused ones too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.events import Audited
from engine.errors import NotPermitted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.core.events import AnyFact
    from engine.ports import Clock
    from engine.settings import Settings


class Access:
    """Checks an operator's name against the settings and writes the audit."""

    def __init__(self, settings: Settings, clock: Clock, put: Callable[[Sequence[AnyFact]], object]) -> None:
        """Take the settings and the door for audit facts."""
        self._settings = settings
        self._clock = clock
        self._put = put

    def check(self, act: str, operator: str | None, detail: str = "") -> None:
        """Audit an act and refuse it where the role does not allow it.

        Args:
            act: In words, e.g. ``assign``.
            operator: Who acts; ``None`` for the program itself (a timer, a script on this machine).
            detail: What about, bounded.

        Raises:
            NotPermitted: The operator may only look.
        """
        allowed = operator is None or self._settings.may_act(operator)
        who = "engine" if operator is None else operator.strip() or "nobody"
        self._put([Audited(user=who, act=act, detail=detail[:500], allowed=allowed, received_at=self._clock.now())])
        if not allowed:
            raise NotPermitted(f"{who} may look, not act: {act} was not done")
