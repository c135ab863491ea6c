"""What statements told, as rows for the store and back: evidence for causes, which is no fact of the books.

The imported file lies in the data directory, and the journal holds what the books took from it. Neither holds what a
statement tells of corporate actions, transfers and option events when that directory is lost, or was another one; so the
items themselves are stored, each whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from engine.core.statement import CorporateAction, OptionEvent, StatementTrade, Transfer
from engine.recon.evidence import StatementItem

_KINDS: Final[dict[str, type[StatementItem]]] = {
    "option": OptionEvent,
    "action": CorporateAction,
    "transfer": Transfer,
    "trade": StatementTrade,
}
_NAMES: Final = {made: name for name, made in _KINDS.items()}


def statement_columns(items: Sequence[StatementItem], at: datetime) -> tuple[dict[str, list[Any]], list[datetime]]:
    """Rows of ``reconciliations/statements`` and their ``recorded_at``; ``extra`` holds the whole item.

    Args:
        at: When they were imported, UTC.
    """
    columns: dict[str, list[Any]] = {
        "kind": [_NAMES[type(item)] for item in items],
        "account": [item.account for item in items],
        "con_id": [item.instrument.con_id for item in items],
        "qty": [float(item.quantity) for item in items],
        "timestamp": [at] * len(items),
        "extra": [msgspec.json.encode(item).decode() for item in items],
    }
    return columns, [at] * len(items)


def read_statement_items(kinds: Iterable[str], texts: Iterable[str]) -> tuple[list[StatementItem], int]:
    """Items as they were imported, and how many rows could not be read.

    Args:
        kinds: Column ``kind``. ``texts``: Column ``extra``.
    """
    items: list[StatementItem] = []
    unread = 0
    for kind, text in zip(kinds, texts, strict=True):
        try:
            items.append(msgspec.json.decode(text, type=_KINDS[kind]))
        except (KeyError, msgspec.DecodeError):
            unread += 1
    return items, unread
