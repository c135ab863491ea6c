from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from engine.core.events import Commission, Fill, decode_facts, encode_facts
from engine.core.instrument import Instrument

NOW = datetime(2026, 3, 2, 14, 30, 0, 123456, tzinfo=UTC)


def test_facts_come_back_from_their_wire_form_as_they_were():
    facts = [
        Fill(
            received_at=NOW,
            account="DU1",
            exec_id="a.01",
            instrument=Instrument(con_id=1, symbol="Ä", strike=Decimal("12.5")),
            quantity=Decimal("-0.10"),
            price=Decimal("1E+3"),
            executed_at=None,
        ),
        Commission(received_at=NOW, exec_id="a.01", amount=None),
    ]
    found = decode_facts(encode_facts(facts))
    assert found == facts
    assert str(found[0].quantity) == "-0.10"
    assert found[0].received_at.utcoffset() is not None


def test_what_is_no_group_of_facts_is_refused():
    with pytest.raises(msgspec.DecodeError):
        decode_facts(b"\x91\x81\xa4fact\xa6rubble")


@pytest.mark.parametrize(("magnifier", "unit"), [(None, "947"), (1, "947"), (100, "9.47")])
def test_a_quoted_price_becomes_currency_by_the_magnifier(magnifier, unit):
    """F93: London shares are quoted in pence."""
    vod = Instrument(con_id=1, symbol="VOD", currency="GBP", price_magnifier=magnifier)
    assert vod.unit_price(Decimal(947)) == Decimal(unit)
