"""Messages become facts, or a quarantine fact that keeps them whole; nothing is ever raised for their content."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

from engine.broker.translate import message_facts, raw_text
from engine.core.events import Quarantined
from engine.errors import Unreadable

if TYPE_CHECKING:
    from engine.core.events import AnyFact
    from engine.ports import Clock

log = logging.getLogger(__name__)


def readable(message: object, clock: Clock, door: str, default_zone: str = "") -> list[AnyFact]:
    """Facts of a message, or the quarantine fact that keeps it whole.

    Args:
        message: Anything; see the contract for the four kinds that are read.
        clock: For the time of reception.
        door: Where it came in, for the quarantine.
        default_zone: Zone of execution times that name none.

    Returns:
        At least one fact; never raises for the content of ``message``.
    """
    now = clock.now()
    try:
        return message_facts(message, now, default_zone=default_zone)
    except Unreadable as error:
        named = message.get("strategy") if type(message) is dict else None
        log.warning("a message went to quarantine: %s", error)
        return [
            Quarantined(
                quarantine_id=uuid.uuid4().hex,
                reason=str(error),
                raw=raw_text(message),
                door=door,
                strategy=named[:200] if isinstance(named, str) else "",
                received_at=now,
            )
        ]
