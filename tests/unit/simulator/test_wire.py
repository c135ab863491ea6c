"""Frames and field texts: what clients depend on to the byte."""

import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.simulator import wire


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("7", "7"),
        ("7.0", "7"),
        ("7.50", "7.5"),
        ("-0.0", "0"),
        ("1E+3", "1000"),
        ("1E-8", "0.00000001"),
        ("100000000000000000000", "100000000000000000000"),
    ],
)
def test_numbers_have_no_exponent_and_no_trailing_zeros(value, text):
    assert wire.number(Decimal(value)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=8))
def test_a_number_reads_back_as_it_was_written(value):
    assert wire.to_decimal(wire.number(value)) == value


@pytest.mark.parametrize("text", ["", "1.7976931348623157E308", "1.7976931348623157e+308", "2147483647", "Infinite"])
def test_unset_numbers_are_unknown_and_not_zero(text):
    assert wire.to_decimal(text) is None


@pytest.mark.parametrize("text", ["nan", "abc", "1e40", "0x10", "--1", "1e-40", "sNaN"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(wire.BadField):
        wire.to_decimal(text)


def test_execution_times_come_in_every_style_known_F27():
    moment = datetime(2023, 12, 14, 20, 57, 37, tzinfo=UTC)
    assert wire.timestamp(moment) == "20231214 20:57:37 UTC"
    assert wire.timestamp(moment, "dash") == "20231214-20:57:37"
    assert wire.timestamp(moment, "bare") == "20231214  20:57:37"
    assert wire.timestamp(moment, "unknown") == "20231214 20:57:37 XYZ"
    assert wire.timestamp(moment, "America/New_York") == "20231214 15:57:37 America/New_York"
    with pytest.raises(ValueError, match="sundial"):
        wire.timestamp(moment, "sundial")


@pytest.mark.parametrize(
    ("low", "high", "chosen"),
    [
        (157, 176, 176),
        (157, 178, 176),
        (100, 226, 176),
        (100, 157, 157),
        (100, 163, 163),
        (100, 156, None),
        (177, 190, None),
    ],
)
def test_the_version_is_the_clients_highest_up_to_176_and_not_below_157(low, high, chosen):
    assert wire.choose_version(low, high) == chosen


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1), st.randoms())
def test_frames_survive_any_cutting(fields, dice):
    stream = b"API\0\0\0\0\x09v157..176" + wire.frame(fields) * 3
    incoming = wire.Incoming(bytearray())
    greeting, messages = None, []
    while stream:
        cut = dice.randrange(1, len(stream) + 1)
        incoming.feed(stream[:cut])
        stream = stream[cut:]
        greeting = greeting or incoming.greeting()
        while greeting and (message := incoming.message()) is not None:
            messages.append(message)
    assert greeting == (157, 176)
    assert messages == [fields] * 3


def test_noise_is_no_greeting():
    dice = random.Random(3)
    for _ in range(200):
        incoming = wire.Incoming(bytearray())
        incoming.feed(bytes([dice.randrange(256) for _ in range(64)]).replace(b"A", b"B"))
        with pytest.raises(wire.ProtocolError):
            incoming.greeting()


def test_a_field_too_few_is_named_by_its_number():
    fields = wire.Fields(["1", "x"])
    assert fields.integer() == 1
    with pytest.raises(wire.BadField, match="field 2"):
        fields.integer()
    with pytest.raises(wire.BadField, match="after 2"):
        fields.text()
