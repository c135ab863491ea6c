"""The journal of assignments is hash-linked, so that a changed, removed or reordered entry shows.

Each entry carries the hash of the one before and its own: SHA-256 over the previous hash, a line feed, and the entry as
canonical JSON (sorted keys, no spaces, Decimals and times as text, its own ``entry_hash`` left out). Reversals are
entries of the same chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from engine.core.events import AssignmentMade, AssignmentReversed, writable

Entry = AssignmentMade | AssignmentReversed
E = TypeVar("E", AssignmentMade, AssignmentReversed)


class ChainFault(msgspec.Struct, frozen=True, kw_only=True):
    """The first entry at which the chain does not hold.

    Attributes:
        position: Counted from 0.
        entry_id: ``assignment_id`` or ``reversal_id`` of that entry.
        text: What is wrong, in words.
    """

    position: int
    entry_id: str
    text: str


def canonical(entry: Entry) -> str:
    """The entry as the one text that is hashed."""
    content = msgspec.to_builtins(entry)
    content.pop("entry_hash", None)
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def entry_hash(entry: Entry) -> str:
    """SHA-256 (hex) over the entry's previous hash and its canonical text."""
    return hashlib.sha256(f"{entry.previous_hash}\n{canonical(entry)}".encode()).hexdigest()


def seal(entry: E, previous_hash: str) -> E:
    """Link an entry to the one before and give it its own hash."""
    linked: E = msgspec.structs.replace(entry, previous_hash=previous_hash, entry_hash="")
    (linked,) = writable([linked])  # type: ignore[assignment] # as the journal will hold it, or the hash would not fit
    return msgspec.structs.replace(linked, entry_hash=entry_hash(linked))


def verify_chain(entries: Iterable[Entry], head: str | None = None) -> ChainFault | None:
    """Check a journal from its first entry on.

    Args:
        entries: In the order in which they were written.
        head: The hash the last entry should have, when it is known from elsewhere; it shows a cut-off tail.

    Returns:
        The first fault, or ``None`` when the chain holds.
    """
    return next(chain_faults(entries, head), None)


def chain_faults(entries: Iterable[Entry], head: str | None = None) -> Iterator[ChainFault]:
    """Every fault of a journal, in order; see :func:`verify_chain`."""
    previous = ""
    position = -1
    name = ""
    for position, entry in enumerate(entries):
        name = name_of(entry)
        if entry.previous_hash != previous:
            yield ChainFault(
                position=position,
                entry_id=name,
                text="does not follow the entry before it: one was removed, inserted or moved",
            )
        if entry.entry_hash != entry_hash(entry):
            yield ChainFault(position=position, entry_id=name, text="its content is not what was signed")
        previous = entry.entry_hash
    if head is not None and head != previous:
        yield ChainFault(position=position + 1, entry_id=name, text="entries at the end are missing")


def name_of(entry: Entry) -> str:
    """The entry's own id: of an assignment, or of its reversal."""
    return entry.assignment_id if isinstance(entry, AssignmentMade) else entry.reversal_id


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Entries as their links say that they were made; those that no link leads to follow, by time.

    Two entries can be of one moment, and a clock can be set back: only the links know the order for certain.
    """
    left = sorted(entries, key=lambda entry: entry.received_at)
    follows: dict[str, Entry] = {}
    for entry in left:
        if entry.entry_hash:
            follows.setdefault(entry.previous_hash, entry)
    found: list[Entry] = []
    head = ""
    while (following := follows.pop(head, None)) is not None:
        found.append(following)
        head = following.entry_hash
    linked = {entry.entry_hash for entry in found}
    return found + [entry for entry in left if entry.entry_hash not in linked]
