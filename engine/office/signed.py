"""Verify what was signed: the stored journal of assignments against its links, and against everything that tells of it.

The links alone show an entry that was changed, removed, inserted or moved (``recon.chain``). They cannot show that the end
was cut off, nor that somebody sealed everything anew. But each entry is written down more than once: as rows of
``assignments/journal``, whole under ``facts``, and in ``fills`` as the legs that it booked and the executions that it
moved; a running engine remembers it besides. What one of them has and another lacks is told, with its place.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pandas as pd

from engine.core.events import AssignmentMade, AssignmentReversed
from engine.core.ids import split_exec_id
from engine.desk.closed import read_closes, verify_closes
from engine.errors import Unreadable
from engine.recon.chain import Entry, chain_faults, name_of
from engine.storage.rows import assignment_columns
from engine.storage.schema import ASSIGNMENTS, build_frame, localize, times
from engine.storage.unrows import stored_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.ports import Store

_JOURNAL: Final = "assignment journal"
_CLOSED: Final = "closed days"
_decoder: Final = msgspec.json.Decoder(AssignmentMade)
_LEG: Final = re.compile(r"leg\d+:([^:]+):")
_MOVED: Final = re.compile(r"assignment (\S+) by ")
_BACK: Final = "reversed by "
_UNSIGNED: Final = frozenset({"seq", "exact"})
"""Columns that a row's entry says nothing of: our own numbering, and the text that the entry was read from."""

_OF_EXECUTION: Final = ("qty", "price")
_LAG_S: Final = 3.0
"""How long the symbols of one batch may be apart while another process writes them."""

Execution = tuple[str, str]


class Signed(msgspec.Struct, frozen=True):
    """The journal of assignments as the books in memory hold it: entries in any order, and the last one's hash."""

    entries: Sequence[Entry]
    head: str


class StoredEntry(msgspec.Struct, frozen=True):
    """One entry as its rows tell it.

    Attributes:
        entry: ``None`` where the rows are none.
        wrong: What the rows say and the entry does not, in words; empty when they agree.
        seq: Number of its last row.
    """

    entry: Entry | None
    name: str
    account: str
    con_id: int
    wrong: str
    seq: int


class Evidence:
    """What stored executions say of assignments, gathered strategy by strategy."""

    def __init__(self, store: Store, up_to: int | None = None) -> None:
        """Take the store; executions that its journal says were moved are looked at more closely.

        Args:
            up_to: Legs and moves above this sequence are left out.
        """
        self._up_to = up_to
        self._moved_ones = {
            (str(a), split_exec_id(str(e))[0])
            for a, e in _columns(store.read("assignments", "journal", columns=["account", "exec_id"]))
            if e
        }
        self.legs: dict[str, tuple[str, bool]] = {}  # assignment id -> account, taken back
        self.moves: dict[str, str] = {}  # assignment id -> account
        self.back: set[Execution] = set()
        self.told: dict[Execution, set[tuple[float, float]]] = {}

    def look(self, frame: pd.DataFrame) -> None:
        """Take the rows of a strategy's ``fills``; of several of one execution the last counts."""
        self._look_for_moved(frame)
        if self._up_to is not None:
            frame = frame[frame["seq"] <= self._up_to]
        legs = frame[frame["source"] == "assignment"]
        for account, fill_id, state in _columns(legs[["account", "fill_id", "state"]]):
            found = _LEG.match(fill_id)
            if found is not None:
                self.legs[found[1]] = account, state == "reversed"
        for account, fill_id, reason in _columns(frame[frame["state"] == "moved"][["account", "fill_id", "reason"]]):
            found = _MOVED.match(reason)
            if found is not None:
                self.moves[found[1]] = account
            elif reason.startswith(_BACK):
                self.back.add((account, split_exec_id(fill_id)[0]))

    def _look_for_moved(self, frame: pd.DataFrame) -> None:
        if not self._moved_ones:
            return
        roots = {root for _, root in self._moved_ones}
        rows = frame[[split_exec_id(fill_id)[0] in roots for fill_id in frame["fill_id"]]]
        for account, fill_id, quantity, price in _columns(rows[["account", "fill_id", "reported_qty", "price"]]):
            self.told.setdefault((account, split_exec_id(fill_id)[0]), set()).add((quantity, price))

    def entries(self, store: Store, up_to: int | None) -> list[StoredEntry]:
        """The stored journal, entry by entry, with what of its rows is not what the entry says."""
        frame = store.read("assignments", "journal")
        if up_to is not None:
            frame = frame[frame["seq"] <= up_to]
        found: list[StoredEntry] = []
        made: dict[str, AssignmentMade] = {}
        rows: list[dict[str, Any]] = []
        for row in frame.reset_index().to_dict("records"):
            rows.append({str(name): value for name, value in row.items()})
            if row["exact"] or row["kind"] == "reversal":
                found.append(self._entry(rows, made))
                rows = []
        if rows:
            found.append(self._entry(rows, made))
        return found

    def _entry(self, rows: Sequence[dict[str, Any]], made: dict[str, AssignmentMade]) -> StoredEntry:
        last = rows[-1]
        wrong = ""
        entry: Entry | None = None
        try:
            entry = _read(last)
        except (msgspec.MsgspecError, ValueError) as error:
            wrong = f"cannot be read ({error})"
        else:
            if isinstance(entry, AssignmentMade):
                made.setdefault(entry.assignment_id, entry)
            wrong = self._wrong(rows, entry, made)
        return StoredEntry(
            entry=entry,
            name=str(last["assignment_id"]) if entry is None else name_of(entry),
            account=str(last["account"]),
            con_id=int(last["con_id"]),
            wrong=wrong,
            seq=int(last["seq"]),
        )

    def _wrong(self, rows: Sequence[dict[str, Any]], entry: Entry, made: Mapping[str, AssignmentMade]) -> str:
        """What rows say and their entry does not: the columns' names, or that there are more or fewer of them."""
        columns, index = assignment_columns([(0, entry)], made.get)
        expected = localize(build_frame(ASSIGNMENTS, columns, times(index))).to_dict("records")
        if len(expected) != len(rows):
            return f"has {len(rows)} rows instead of {len(expected)}"
        odd: dict[str, None] = {}
        for row, wanted in zip(rows, expected, strict=True):
            names = [str(name) for name in wanted if name not in _UNSIGNED]
            if wanted["kind"] == "move":
                names = [name for name in names if name not in _OF_EXECUTION]
                told = self.told.get((str(row["account"]), split_exec_id(str(row["exec_id"]))[0]))
                if told is not None and (row["qty"], row["price"]) not in told:
                    odd["qty or price"] = None
            odd |= {name: None for name in names if not _same(row[name], wanted[name])}
        return f"its rows say something else than what was signed: {', '.join(odd)}" if odd else ""


def signed_differences(
    store: Store,
    evidence: Evidence,
    running: Signed | None = None,
    up_to: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Everything that is wrong with the stored journal of assignments and the chain of closed days.

    Args:
        evidence: Has looked at every strategy's executions, before this call.
        running: What the books in memory hold, ``None`` to leave them out.
        up_to: Leave out what has a higher number.

    Returns:
        Rows as :data:`engine.office.verify.COLUMNS` names them: ``where`` is the place (entries are counted from 1 in
        stored order), ``field`` the entry and what is wrong with it.
    """
    stored, facts = _settled(store, evidence, up_to, patient=running is None)
    entries: list[Entry] = []
    places: list[int] = []
    seen: set[Entry] = set()
    for place, found in enumerate(stored, 1):
        if found.wrong:
            yield _row(place, found.name, found.wrong, found.account, found.con_id)
        # A store that was put back from an older copy is filled from the beginning: the same entry twice says nothing new.
        if found.entry is not None and found.entry not in seen:
            seen.add(found.entry)
            entries.append(found.entry)
            places.append(place)
    for fault in chain_faults(entries, None if running is None else running.head):
        place = places[fault.position] if fault.position < len(places) else len(stored) + 1
        about = stored[min(place, len(stored)) - 1] if stored else None
        yield _row(place, fault.entry_id, fault.text, about.account if about else "", about.con_id if about else 0)
    yield from _compared(entries, places, facts, "stored facts")
    if running is not None:
        yield from _compared(entries, places, running.entries, "books in memory")
    yield from _against_fills(entries, evidence, len(stored) + 1)
    yield from _closes(store)


def _settled(
    store: Store, evidence: Evidence, up_to: int | None, *, patient: bool
) -> tuple[list[StoredEntry], list[Entry]]:
    """The stored journal, and the entries that are stored as facts.

    Fills are written first, then facts: what was seen of them must be in the journal, and what is there must be among the
    facts of after. Beside a process that writes, this is read again until its last batch is in all.
    """
    end = time.monotonic() + (_LAG_S if patient else 0.0)
    while True:
        before = _facts(store, up_to)
        stored = evidence.entries(store, up_to)
        entries = [found.entry for found in stored if found.entry is not None]
        held = {name_of(entry) for entry in entries}
        complete = all(name_of(entry) in held for entry in before) and not any(_against_fills(entries, evidence, 0))
        if complete or time.monotonic() >= end:
            known = {name_of(entry) for entry in before}
            later = (entry for entry in _facts(store, up_to) if name_of(entry) in held - known)
            return stored, [*before, *later]
        time.sleep(0.2)


def _facts(store: Store, up_to: int | None) -> list[Entry]:
    found: list[tuple[int, Any]] = []
    for kind in ("assignment", "reversal"):
        found += stored_facts(store.read("facts", kind))
    return [fact for seq, fact in found if up_to is None or seq <= up_to]


def _compared(
    entries: Sequence[Entry], places: Sequence[int], others: Sequence[Entry], where: str
) -> Iterator[dict[str, Any]]:
    """What the journal and another place that holds entries do not have in common."""
    theirs = {name_of(entry): entry for entry in others}
    mine = {name_of(entry): entry for entry in entries}
    for entry, place in zip(entries, places, strict=True):
        other = theirs.get(name_of(entry))
        if other != entry:
            text = f"the {where} hold another entry of that name" if other else f"the {where} do not know it"
            yield _row(place, name_of(entry), text, *_of(entry, mine))
    end = max(places, default=0) + 1
    for name, entry in theirs.items():
        if name not in mine:
            yield _row(end, name, f"is missing here, the {where} hold it", *_of(entry, {**theirs, **mine}))


def _of(entry: Entry, known: Mapping[str, Entry]) -> tuple[str, int]:
    made = entry if isinstance(entry, AssignmentMade) else known.get(entry.assignment_id)
    return (made.account, made.instrument.con_id) if isinstance(made, AssignmentMade) else ("", 0)


def _against_fills(entries: Sequence[Entry], evidence: Evidence, end: int) -> Iterator[dict[str, Any]]:
    made = {e.assignment_id: e for e in entries if isinstance(e, AssignmentMade)}
    undone = {e.assignment_id for e in entries if isinstance(e, AssignmentReversed)}
    for name, (account, back) in evidence.legs.items():
        if name not in made:
            yield _row(end, name, "is missing here, stored fills have its legs", account)
        elif back and name not in undone:
            yield _row(end, name, "its reversal is missing here, stored fills have its legs reversed", account)
    for name in evidence.moves.keys() - made.keys():
        yield _row(end, name, "is missing here, stored fills were moved by it", evidence.moves[name])
    taken = {
        (made[name].account, split_exec_id(m.exec_id)[0]) for name in undone & made.keys() for m in made[name].moves
    }
    for account, root in sorted(evidence.back - taken):
        yield _row(end, root, "a reversal is missing here, stored fills were moved back by it", account)


def _closes(store: Store) -> Iterator[dict[str, Any]]:
    """The closed days, whose seals name each the one before."""
    closes, place_of = [], {}
    for place, statement in enumerate(store.read("reconciliations", "closes")["statement"], 1):
        try:
            (close,) = read_closes([statement])
        except Unreadable as error:
            yield _row(place, "", str(error), where=_CLOSED)
        else:
            closes.append(close)
            place_of[close.close_id] = place
    for told in verify_closes(closes):
        name, _, text = told.partition(": ")
        yield _row(place_of[name], name, text, name.partition(":")[0], where=_CLOSED)


def _read(row: Mapping[str, Any]) -> Entry:
    """The entry that a row ends.

    Raises:
        ValueError: It is none.
    """
    if row["kind"] != "reversal":
        return _decoder.decode(row["exact"])
    if pd.isna(row["timestamp"]):
        raise ValueError("it has no time")
    return AssignmentReversed(
        received_at=row["timestamp"].to_pydatetime().astimezone(UTC),
        reversal_id=row["assignment_id"],
        assignment_id=row["reverses"],
        operator=row["operator"],
        reason=row["reason"],
        previous_hash=row["previous_hash"],
        entry_hash=row["entry_hash"],
    )


def _columns(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    return zip(*(frame[name].tolist() for name in frame.columns), strict=True)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or bool(pd.isna(one) and pd.isna(other))


def _row(
    place: int, name: str, text: str, account: str = "", con_id: int = 0, *, where: str = _JOURNAL
) -> dict[str, Any]:
    return {
        "where": f"{where}, entry {place}",
        "strategy": "",
        "account": account,
        "con_id": con_id,
        "field": f"{name} {text}".strip(),
        "recomputed": None,
        "found": None,
        "difference": None,
    }
