"""Books from stored rows alone: what is left when the journal is lost, without a disk."""

from __future__ import annotations

from engine.pipeline.keeper import _KEPT_FACTS
from engine.pipeline.recovery import facts_from_store
from engine.state.fold import recount
from engine.state.ledger import Ledger
from engine.storage.lines import fill_lines
from engine.storage.rows import fact_columns, fill_columns, order_columns
from engine.storage.schema import FILLS, build_frame
from tests.fakes import MemoryStore


def store_of(facts, fills, orders):
    """A store that holds what facts led to.

    Args:
        facts: (seq, fact) in order.
        fills: Records in the order they were handed out, of any strategies; ``orders`` likewise.
    """
    store = MemoryStore()
    for library, columns_of, records in (("fills", fill_columns, fills), ("orders", order_columns, orders)):
        for strategy in dict.fromkeys(record.strategy for record in records):
            rows = [record for record in records if record.strategy == strategy]
            store.append(library, strategy, *columns_of(rows), max(record.seq for record in rows))
    ledger, whole = Ledger(), []
    for seq, fact in facts:
        alone = ledger.apply(seq, fact).alone
        whole += [(seq, each) for each in ([fact] if type(fact) in _KEPT_FACTS else alone)]
    for tag in dict.fromkeys(type(fact) for _, fact in whole):
        kept = [(seq, fact) for seq, fact in whole if type(fact) is tag]
        store.append("facts", str(tag.__struct_config__.tag), *fact_columns(kept), kept[-1][0])
    return store


def rebuilt(facts, fills, orders, **kwargs):
    """The ledger that the store alone brings back."""
    ledger = Ledger(**kwargs)
    ledger.restore(*facts_from_store(store_of(facts, fills, orders)))
    return ledger


def recounted_from_rows(records):
    """The books as verify recounts them, from what is stored of records."""
    found = {}
    for strategy in {record.strategy for record in records}:
        frame = build_frame(FILLS, *fill_columns([record for record in records if record.strategy == strategy]))
        for told in fill_lines(frame, strategy, at_once=3):
            found |= recount(told.lines)
    return found
