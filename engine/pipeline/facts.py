"""Low-rate facts as text rows, so that the store alone can rebuild everything the books know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

    from engine.core.events import AnyFact


class FactRow(msgspec.Struct, frozen=True):
    """One row of ``facts/<kind>``: the fact as JSON, with its place in the journal."""

    seq: int
    recorded_at: datetime
    text: str


def fact_row(seq: int, fact: AnyFact) -> FactRow:
    """Render a fact as its stored row."""
    return FactRow(seq, fact.received_at, msgspec.json.encode(fact).decode())


def read_fact(text: str) -> AnyFact:
    """Read a stored fact.

    Raises:
        msgspec.DecodeError: The text is not a fact.
    """
    return _decoder.decode(text)


def _make_decoder() -> msgspec.json.Decoder[AnyFact]:
    from engine.core.events import AnyFact as Union  # noqa: PLC0415 - a type at run time, kept out of the hot import

    return msgspec.json.Decoder(Union)


_decoder = _make_decoder()
