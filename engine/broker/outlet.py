"""Where facts leave the broker's room: repeats held back, refused ones asked for again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from engine.broker.repeats import Repeats
from engine.core.events import AnyFact, Fill

log: Final = logging.getLogger(__name__)

_AHEAD: Final = timedelta(minutes=2)


class Outlet:
    """Hands facts to the sink.

    Args:
        sink: Takes facts in order, and keeps those that the journal refuses until it takes them.
        refused: Called when the sink did not take facts: they must come again.

    Attributes:
        time_warning: Set when executions come from the future, which means that times without a zone are read in the
            wrong one (F31).
    """

    def __init__(self, sink: Callable[[Sequence[AnyFact]], object], refused: Callable[[], None]) -> None:
        self.time_warning = ""
        self._sink = sink
        self._refused = refused
        self._repeats = Repeats()

    def emit(self, facts: Sequence[AnyFact]) -> bool:
        """Hand on what is new; False when the sink did not take it."""
        for fact in facts:
            if isinstance(fact, Fill):
                self._check_time(fact)
        fresh = self._repeats.fresh(facts)
        if not fresh:
            return True
        try:
            self._sink(fresh)
        except Exception:
            log.exception("%d facts were not accepted; IB will be asked for them again", len(fresh))
            self._repeats.forget()
            self._refused()
            return False
        return True

    def knows_execution(self, account: str, exec_id: str) -> bool:
        """True when the execution went out before."""
        return self._repeats.knows_execution(account, exec_id)

    def _check_time(self, fill: Fill) -> None:
        if fill.executed_at is not None and fill.executed_at - fill.received_at > _AHEAD and not self.time_warning:
            self.time_warning = "execution times are ahead of our clock: check FILLBOOK_IB_TIMEZONE (F31)"
            log.warning("%s: %s at %s", self.time_warning, fill.exec_id, fill.executed_at)
