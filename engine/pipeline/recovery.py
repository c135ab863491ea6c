"""Start and crash recovery, one path: last checkpoint, then the journal after it; else what the store alone knows.

- The checkpoint gives the ledger at one sequence; the books thread then takes every fact after it from the journal.
- While the tail is applied, records of symbols whose stored progress is behind go to the outbox again, so a crash between
  two symbols' writes heals by itself; what a symbol already has is skipped. That is right only if the same facts give the
  same rows again, so whatever decides about rows is a fact itself, the settings' strategies included.
- A store that was lost, or put back from an older copy, gets from the books' memory what a checkpoint says it once had.
- A journal that was put back from an older copy than the store is refused: its next facts would get numbers that the store
  has seen, and takes for stored.
- With neither checkpoint nor a whole journal (a lost data directory) the store's own rows are turned back into facts.
"""

from __future__ import annotations

import logging
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from engine.core.events import (
    AnyFact,
    AssignmentMade,
    AssignmentReversed,
    Bust,
    Commission,
    InstrumentDescribed,
    StrategiesNamed,
)
from engine.core.ids import split_exec_id
from engine.errors import JournalBehind
from engine.pipeline.outbox import Batch
from engine.recon.chain import in_order
from engine.state.intake import Homes
from engine.state.ledger import Ledger
from engine.storage.unrows import fill_records, order_records, stored_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.core.records import FillRecord, OrderRecord
    from engine.pipeline.outbox import Symbol
    from engine.ports import Store
    from engine.storage.history import History
    from engine.storage.journal import SqliteJournal

log = logging.getLogger(__name__)

_LEARNT = attrgetter("strategy", "executed_at", "perm_id", "order_ref", "exchange")
"""What a later sight of the same revision can tell of an execution: who claims it, its time and what was empty."""

_NUMBERED = frozenset({"fills", "orders", "assignments", "facts"})
"""Libraries whose rows carry the number of the fact that they are from."""


class Recovered(msgspec.Struct, frozen=True):
    """What a start found.

    Attributes:
        ledger: Ready up to ``ledger.seq``; the journal's tail after it is still to be applied.
        origin: ``new``, ``checkpoint``, ``journal`` or ``store``.
        notes: What an operator should know (damage set aside, books rebuilt from the store).
    """

    ledger: Ledger
    origin: str
    notes: tuple[str, ...] = ()


def recover(journal: SqliteJournal, history: History, store: Store, patterns: Mapping[str, str]) -> Recovered:
    """Bring the ledger back.

    Args:
        journal: Opened; damage has already been set aside by it.
        history: What was put away. It belongs to the checkpoint; without one it is emptied.
        store: The stored books.
        patterns: The settings' strategies with the patterns of their order references. Only facts that are booked again
            under new numbers go by them; the journal's go by those that were in force when they came.

    Returns:
        The ledger and where it came from.

    Raises:
        StoreUnavailable: The journal is not whole and the store cannot be read either.
        StoreDamaged: The same, and a stored row lacks what none is without.
    """
    notes = [journal.damage] if journal.damage else []
    found = journal.latest_checkpoint()
    if found is not None:
        try:
            ledger = Ledger.load(found.blob, archive=history)
        except ValueError as error:
            notes.append(f"the checkpoint at {found.seq} is not used ({error})")
        else:
            return Recovered(ledger, "checkpoint", tuple(notes))
    history.clear()
    ledger = Ledger(archive=history)
    first = journal.read(0, 1)
    if first and first[0][0] == 1:
        return Recovered(ledger, "journal", tuple(notes))
    return _from_store(journal, store, ledger, notes, patterns)


def _from_store(
    journal: SqliteJournal, store: Store, ledger: Ledger, notes: list[str], patterns: Mapping[str, str]
) -> Recovered:
    stored, homes = facts_from_store(store)
    if not stored:
        return Recovered(ledger, "new" if journal.head == 0 else "journal", tuple(notes))
    ledger.restore(stored, homes)
    again = _unstored(journal, ledger.seq, {fact for _, fact in stored})
    journal.start_above(ledger.seq)
    if again:
        named = StrategiesNamed(received_at=again[0].received_at, patterns=dict(patterns))
        journal.submit([named, *again] if patterns else again).result()
    notes.append(f"the books were rebuilt from ArcticDB alone, {len(stored)} facts up to number {ledger.seq}")
    log.warning(notes[-1])
    return Recovered(ledger, "store", tuple(notes))


def _unstored(journal: SqliteJournal, up_to: int, stored: set[AnyFact]) -> list[AnyFact]:
    """Facts that the journal still has and the store's rows did not give, up to a number.

    The books count from ``up_to`` on, so nothing at or below it would be applied; a crash between two symbols' writes
    leaves such facts, and so do rows that share a number. They are booked once more under new numbers.
    """
    found: list[AnyFact] = []
    after = 0
    while group := journal.read(after, 5_000):
        found += [fact for seq, fact in group if seq <= up_to and fact not in stored]
        after = group[-1][0]
        if after > up_to:
            break
    return found


def facts_from_store(store: Store) -> tuple[list[tuple[int, AnyFact]], Homes]:
    """Turn the stored rows back into the facts they came from, in their order.

    Returns:
        (sequence, fact) with rising sequences (rows that only say what another row's fact implies give none), and whose
        everything was.
    """
    rows: list[tuple[int, int, AnyFact]] = []
    for kind in store.symbols("facts"):
        rows += [(seq, 0, fact) for seq, fact in stored_facts(store.read("facts", kind))]
    records = [r for symbol in store.symbols("fills") for r in fill_records(store.read("fills", symbol), symbol)]
    seen: dict[tuple[str, str], FillRecord] = {}
    for record in sorted(records, key=lambda r: (r.seq, split_exec_id(r.fill.exec_id)[1], r.state == "moved")):
        rows += [(record.seq, 1, fact) for fact in _facts_of(record, seen)]
    orders = [o for symbol in store.symbols("orders") for o in order_records(store.read("orders", symbol), symbol)]
    rows += [(order.seq, 2, order.update) for order in orders]
    rows.sort(key=lambda row: (row[0], row[1]))
    return _renumbered(rows), _whose(records, orders)


def _whose(records: list[FillRecord], orders: list[OrderRecord]) -> Homes:
    first: dict[tuple[str, str], str] = {}
    latest: dict[tuple[tuple[str, str], str], FillRecord] = {}
    for record in sorted(records, key=lambda r: r.seq):
        key = record.fill.account, split_exec_id(record.fill.exec_id)[0]
        first.setdefault(key, record.strategy)
        latest[key, record.strategy] = record  # one fact may change an execution's figures, and then move it
    last = {key: r.strategy for (key, _), r in latest.items() if r.state not in {"moved", "superseded"}}
    return Homes(first, last, {o.order_key: o.strategy for o in sorted(orders, key=lambda o: o.seq)})


def _facts_of(record: FillRecord, seen: dict[tuple[str, str], FillRecord]) -> list[AnyFact]:
    fill = record.fill
    if fill.source == "assignment" or record.state == "reversed":
        return []
    key = (fill.account, fill.exec_id)
    before = seen.get(key)
    facts: list[AnyFact] = []
    if before is None or _LEARNT(before.fill) != _LEARNT(fill):
        facts.append(fill)
    if record.commission_status == "final" and (before is None or _fee(before) != _fee(record)):
        facts.append(
            Commission(
                exec_id=fill.exec_id,
                amount=record.commission,
                currency=record.commission_currency,
                ib_realized_pnl=record.ib_realized_pnl,
                received_at=record.recorded_at,
            )
        )
    if record.state == "busted" and (before is None or before.state != "busted"):
        facts.append(
            Bust(account=fill.account, exec_id=fill.exec_id, reason=record.reason, received_at=record.recorded_at)
        )
    seen[key] = record
    return facts


def _fee(record: FillRecord) -> tuple[object, ...]:
    return (record.commission_status, record.commission, record.commission_currency)


def _renumbered(rows: list[tuple[int, int, AnyFact]]) -> list[tuple[int, AnyFact]]:
    """Give facts that share a sequence (one journal fact, several rows) numbers of their own, still rising."""
    numbered: list[tuple[int, AnyFact]] = []
    last = 0
    for seq, _rank, fact in rows:
        last = max(seq, last + 1)
        numbered.append((last, fact))
    return numbered


def refuse_older(head: int, progress: Mapping[Symbol, int]) -> None:
    """Make sure that the journal is not older than the store.

    Args:
        head: The journal's last number.
        progress: Symbol -> sequence up to which the store has it. Positions say nothing: they are numbered by the last fact
            of all, which may have left no row, and a journal that was lost since may not have come as far again.

    Raises:
        JournalBehind: The store holds rows of facts that the journal does not know.
    """
    stored = max((seq for (library, _), seq in progress.items() if library in _NUMBERED), default=0)
    if stored > head:
        raise JournalBehind(
            f"the journal ends with fact {head}, but the store has rows up to {stored}: they are not of one copy."
            " Put back both from the same backup; or move journal.sqlite and history.sqlite away, and the books are"
            " rebuilt from the store; or move the store away, and it is written again from the journal"
        )


def behind(ledger: Ledger, progress: Mapping[Symbol, int]) -> dict[Symbol, int]:
    """Symbols that lack records which the books remember: the store was lost or replaced while nobody looked.

    Args:
        ledger: As recovered, before the journal's tail; the store must have everything up to it.
        progress: Symbol -> sequence up to which the store has it.

    Returns:
        Symbol -> sequence that the store still has (-1 for nothing); one more than necessary does no harm.
    """
    rows = ledger.newest_order_rows()
    newest: dict[Symbol, int] = {("orders", strategy): rows.get(strategy, -1) for strategy in ledger.strategies()}
    for strategy in ledger.strategies():
        newest["fills", strategy] = max((p.seq for p in ledger.positions(strategy=strategy)), default=-1)
    for fact in _kept(ledger) if ledger.at is not None else ():  # their numbers are not remembered: all, or none
        newest["facts", str(type(fact).__struct_config__.tag)] = 0
    if _journal(ledger):
        newest["assignments", "journal"] = 0
    return {symbol: progress.get(symbol, -1) for symbol, seq in newest.items() if progress.get(symbol, -1) < seq}


def refill(ledger: Ledger, lost: Mapping[Symbol, int]) -> Batch:
    """Records that a store has lost, from the books' memory.

    Args:
        ledger: The caller holds its lock.
        lost: (library, symbol) -> sequence that the store still has (-1 for nothing).

    Returns:
        What to append; every execution's chain and every order's timeline above that sequence.
    """
    batch = Batch(seq=ledger.seq)
    for (library, symbol), have in lost.items():
        rows: list[object] = []
        if library == "fills":
            for chain in ledger.chains(symbol):
                rows += [link for link in chain if link.seq > have and link.strategy == symbol]
            rows.sort(key=lambda r: r.seq)  # type: ignore[attr-defined]
        elif library == "orders":
            rows += [step for step in ledger.timelines(symbol) if step.seq > have]
            rows.sort(key=lambda r: r.seq)  # type: ignore[attr-defined]
        elif library == "assignments":
            rows += [(ledger.seq, entry) for entry in _journal(ledger)]
        elif library == "facts":
            rows += [(ledger.seq, fact) for fact in _kept(ledger) if type(fact).__struct_config__.tag == symbol]
        if rows:
            batch.rows[library, symbol] = rows
    batch.dirty = set(ledger.strategies())
    return batch


def _journal(ledger: Ledger) -> list[AssignmentMade | AssignmentReversed]:
    """Assignments and their reversals, in the order of their making."""
    return in_order([*ledger.assignments(), *ledger.reversed_ids.values()])


def _kept(ledger: Ledger) -> list[AnyFact]:
    """What the books remember of the kinds that are stored whole."""
    now = ledger.at
    assert now is not None, "a store lost something, so there was a fact"
    # Without a magnifier it was never described: what its executions say of it stands in their rows, and is no last word.
    told = [i for i in ledger.instruments() if i.price_magnifier is not None]
    described = [InstrumentDescribed(instrument=i, received_at=now) for i in told]
    return [
        *described,
        *ledger.rates.values(),
        *ledger.rules(),
        *ledger.break_notes.values(),
        *_journal(ledger),
        *ledger.quarantine.values(),
        *ledger.connections,
        *ledger.audit,
        *ledger.alone(now),
    ]
