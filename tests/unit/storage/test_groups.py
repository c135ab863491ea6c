"""Facts that are read back name one object for equal instruments, and keep what differs."""

import zlib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from engine.core.events import Fill, OrderUpdate, encode_facts
from engine.core.instrument import Instrument
from engine.errors import JournalDamaged
from engine.storage.groups import read_group
from engine.storage.journal_file import GroupRow

AT = datetime(2026, 3, 2, 15, tzinfo=UTC)
SHARE = Instrument(con_id=7, symbol="ABC", currency="USD")
OTHER = msgspec.structs.replace(SHARE, multiplier=Decimal(100))


def fill(number: int, instrument: Instrument) -> Fill:
    return Fill(
        received_at=AT,
        account="DU1",
        exec_id=f"0001.{number:08x}.01.01",
        instrument=instrument,
        quantity=Decimal(1),
        price=Decimal(10),
    )


def row(first, *facts):
    blob = encode_facts(list(facts))
    return GroupRow(first, len(facts), zlib.crc32(blob), blob)


def test_equal_instruments_of_several_groups_are_one_object_and_others_stay_what_they_were():
    known: dict[int, Instrument] = {}
    order = OrderUpdate(received_at=AT, instrument=SHARE)
    written = [(fill(1, SHARE), order), (fill(2, SHARE), fill(3, OTHER), OrderUpdate(received_at=AT))]
    read = [pair for n, facts in enumerate(written) for pair in read_group(row(1 + 2 * n, *facts), Path("j"), known)]
    assert read == list(enumerate([fact for facts in written for fact in facts], 1))
    first, second, third, odd, nothing = (fact.instrument for _, fact in read)
    assert first is second is third is known[7]
    assert odd == OTHER
    assert nothing is None


def test_a_row_with_fewer_facts_than_it_says_is_damaged():
    with pytest.raises(JournalDamaged, match="has 1 facts instead of 2"):
        read_group(row(1, fill(1, SHARE))._replace(size=2), Path("j"), {})
