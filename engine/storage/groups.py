"""A journal's group read back: checked, and with one object for equal instruments.

What is read from disk brings an instrument of its own with every fact. Thousands of equal ones take memory, and the books
and the columns, which ask an instrument once and know the answer by the object, would ask thousands of times: a fill took
a tenth longer all in all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from engine.core.events import AnyFact, Fill, OrderUpdate, decode_facts
from engine.core.instrument import Instrument
from engine.errors import JournalDamaged
from engine.storage.journal_file import GroupRow

Group = list[tuple[int, AnyFact]]

_MOST: Final = 20_000


def read_group(row: GroupRow, path: Path, known: dict[int, Instrument]) -> Group:
    """The facts of one row, with their numbers.

    Args:
        known: ``con_id`` -> instrument that came before; what is new is added, within bounds.

    Raises:
        JournalDamaged: Checksum, form or count is wrong; the text names file and row.
    """
    if zlib.crc32(row.blob) != row.crc:
        raise JournalDamaged(f"journal {path}: row {row.first} is damaged (its checksum is wrong)")
    try:
        facts = decode_facts(row.blob)
    except msgspec.DecodeError as error:
        raise JournalDamaged(f"journal {path}: row {row.first} cannot be read ({error})") from error
    if len(facts) != row.size:
        raise JournalDamaged(f"journal {path}: row {row.first} has {len(facts)} facts instead of {row.size}")
    _share(facts, known)
    return list(enumerate(facts, row.first))


def _share(facts: Iterable[AnyFact], known: dict[int, Instrument]) -> None:
    """Let executions and orders, which are in nobody else's hands yet, name the instrument that is known."""
    for fact in facts:
        if not isinstance(fact, Fill | OrderUpdate) or fact.instrument is None:
            continue
        first = known.get(fact.instrument.con_id)
        if first is None:
            if len(known) < _MOST:
                known[fact.instrument.con_id] = fact.instrument
        elif first == fact.instrument:
            msgspec.structs.force_setattr(fact, "instrument", first)
