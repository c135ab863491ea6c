"""Start and crash recovery, one path: last checkpoint, then the journal after it, then what the store alone knows.

- The checkpoint gives the ledger at one sequence; the journal gives every fact after it.
- While the tail is replayed, records of symbols whose stored progress is behind are handed to the outbox again, so a crash
  between two symbols' writes heals by itself; what a symbol already has is skipped.
- With neither checkpoint nor journal (a lost data directory) the store's own rows are turned back into facts.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from engine.core.events import AnyFact, Bust, Commission
from engine.pipeline.facts import read_fact
from engine.state.ledger import Ledger
from engine.storage.schema import fill_records, order_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.core.records import FillRecord
    from engine.ports import Store
    from engine.storage.journal import SqliteJournal

log = logging.getLogger(__name__)


class Recovered(msgspec.Struct, frozen=True):
    """What a start found.

    Attributes:
        ledger: Ready up to ``ledger.seq``; the journal's tail after it is still to be applied by the books thread.
        origin: ``new``, ``checkpoint``, ``journal`` or ``store``.
        notes: What an operator should know (damage set aside, books rebuilt from the store).
    """

    ledger: Ledger
    origin: str
    notes: tuple[str, ...] = ()


def recover(journal: SqliteJournal, store: Store | None, patterns: Mapping[str, str]) -> Recovered:
    """Bring the ledger back.

    Args:
        journal: Opened; damage has already been set aside by it.
        store: The stored books, ``None`` when they cannot be reached now.
        patterns: Strategy name -> pattern of its order references.

    Returns:
        The ledger and where it came from.
    """
    found = journal.latest_checkpoint()
    notes: list[str] = list(journal.notes)
    if found is not None:
        seq, blob = found
        ledger = Ledger.load(blob, patterns=patterns)
        assert ledger.seq == seq, "a checkpoint's content belongs to its sequence"
        return Recovered(ledger, "checkpoint", tuple(notes))
    if journal.first_seq() == 1:
        return Recovered(Ledger(patterns=patterns), "journal", tuple(notes))
    stored = facts_from_store(store) if store is not None else []
    if not stored:
        return Recovered(Ledger(patterns=patterns), "new", tuple(notes))
    ledger = Ledger(patterns=patterns)
    for seq, fact in stored:
        ledger.apply(seq, fact)
    journal.advance(ledger.seq)
    notes.append(f"the books were rebuilt from ArcticDB alone, {len(stored)} facts up to {ledger.seq}")
    log.warning(notes[-1])
    return Recovered(ledger, "store", tuple(notes))


def facts_from_store(store: Store) -> list[tuple[int, AnyFact]]:
    """Turn the stored rows back into the facts they came from, in their order.

    Returns:
        (sequence, fact) with rising sequences; rows that say what another row's fact already says give none.
    """
    rows: list[tuple[int, int, AnyFact]] = []
    for kind in store.symbols("facts"):
        frame = store.read("facts", kind)
        rows += [(int(seq), 0, read_fact(text)) for seq, text in zip(frame["seq"], frame["text"], strict=True)]
    seen: dict[tuple[str, str], FillRecord] = {}
    records = [r for symbol in store.symbols("fills") for r in fill_records(store.read("fills", symbol), symbol)]
    for record in sorted(records, key=lambda r: (r.seq, r.state == "moved")):
        rows += [(record.seq, 1, fact) for fact in _facts_of(record, seen)]
    for symbol in store.symbols("orders"):
        for order in order_records(store.read("orders", symbol), symbol):
            rows.append((order.seq, 2, msgspec.structs.replace(order.update, strategy=symbol)))
    rows.sort(key=lambda row: (row[0], row[1]))
    return _renumbered(rows)


def _facts_of(record: FillRecord, seen: dict[tuple[str, str], FillRecord]) -> list[AnyFact]:
    fill = record.fill
    if fill.source == "assignment":
        return []
    key = (fill.account, fill.exec_id)
    before = seen.get(key)
    facts: list[AnyFact] = []
    if before is None:
        facts.append(msgspec.structs.replace(fill, strategy=record.strategy))
    if record.commission_status == "final" and (before is None or before.commission != record.commission):
        facts.append(_commission_of(record))
    if record.state == "busted" and (before is None or before.state != "busted"):
        facts.append(Bust(account=fill.account, exec_id=fill.exec_id, reason=record.reason, received_at=record.recorded_at))
    seen[key] = record
    return facts


def _commission_of(record: FillRecord) -> Commission:
    return Commission(
        exec_id=record.fill.exec_id,
        amount=record.commission,
        currency=record.commission_currency,
        ib_realized_pnl=record.ib_realized_pnl,
        received_at=record.recorded_at,
    )


def _renumbered(rows: list[tuple[int, int, AnyFact]]) -> list[tuple[int, AnyFact]]:
    """Give facts that share a sequence (one journal fact, several rows) rising numbers without leaving the last one."""
    numbered: list[tuple[int, AnyFact]] = []
    last = 0
    for seq, _rank, fact in rows:
        last = max(seq, last + 1)
        numbered.append((last, fact))
    return numbered


