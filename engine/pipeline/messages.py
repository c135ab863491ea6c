"""Messages become facts, or a quarantine fact that keeps them whole; nothing is ever raised for their content."""

from __future__ import annotations

import hashlib
import logging
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.broker.translate import message_facts, raw_text
from engine.core.events import Quarantined, encode_facts, writable
from engine.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def set_aside(facts: Sequence[AnyFact]) -> list[AnyFact] | None:
    """The facts with a quarantine fact in the place of each that has no wire form, which keeps it whole.

    Returns:
        All of them, in order, fit to be written; ``None`` when each could be written as it is.
    """
    found: list[AnyFact] = []
    changed = False
    for fact in facts:
        why = _unwritable(fact)
        if why:
            log.error("a fact went to quarantine: it cannot be written down (%s)", why)
        found.append(_held(fact, why) if why else fact)
        changed = changed or bool(why)
    return found if changed else None


def _unwritable(fact: AnyFact) -> str:
    """Why a fact has no wire form, in words; empty when it has one."""
    try:
        encode_facts(writable([fact]))
    except Exception as error:  # noqa: BLE001 - whatever it holds is part of what is wrong with it
        return f"{type(error).__name__}: {error}"
    return ""


def _held(fact: AnyFact, why: str) -> Quarantined:
    """The same fact gets the same id, however often it comes."""
    content = {name: getattr(fact, name) for name in fact.__struct_fields__}
    kind = str(type(fact).__struct_config__.tag)
    said = raw_text({"fact": kind, **{k: v for k, v in content.items() if k != "received_at"}})
    strategy = content.get("strategy")
    return Quarantined(
        quarantine_id=f"fact-{hashlib.sha256(said.encode()).hexdigest()[:16]}",
        reason=f"the {kind} cannot be written down: {why}"[:1000],
        raw=raw_text({"fact": kind, **content}),
        door="journal",
        strategy=strategy[:200] if isinstance(strategy, str) else "",
        received_at=fact.received_at if isinstance(fact.received_at, datetime) else datetime.now(UTC),
    )
