"""Symbol names: plain ones unchanged, all others reversible."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.storage.names import (
    LONGEST,
    decode_symbol,
    encode_symbol,
    is_shortened,
    portfolio_name,
    split_portfolio_name,
)

HELD = re.compile(r"[ -)+-;=?-~]{1,254}")
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


@pytest.mark.parametrize(
    "name", ["ALPHA", "mean-rev_2", "BRK/B", "DU1234567/ES", "50%", "6E Jun'26", "a.b", "100% long"]
)
def test_plain_names_are_stored_as_they_are(name):
    assert encode_symbol(name) == name


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("", "%~"),
        ("é", "%C3%A9"),
        ("a*b", "a%2Ab"),
        ("%41", "%2541"),
        ("a//b", "a/%2Fb"),
        ("%~", "%25~"),
        ("😀", "%F0%9F%98%80"),
    ],
)
def test_names_that_cannot_be_held_are_escaped(name, symbol):
    assert encode_symbol(name) == symbol
    assert decode_symbol(symbol) == name


@given(ANY_TEXT)
def test_every_name_comes_back_and_can_be_held(name):
    symbol = encode_symbol(name)
    assert HELD.fullmatch(symbol)
    assert "//" not in symbol
    assert is_shortened(symbol) or decode_symbol(symbol) == name


@given(st.text("%~0A/é*", max_size=8), st.text("%~0A/é*", max_size=8))
def test_different_names_have_different_symbols(one, other):
    assert (encode_symbol(one) == encode_symbol(other)) == (one == other)


@given(st.text(min_size=LONGEST + 1, max_size=2 * LONGEST))
def test_a_name_that_is_too_long_is_shortened_to_its_hash(name):
    symbol = encode_symbol(name)
    assert is_shortened(symbol)
    assert len(symbol) <= LONGEST
    assert encode_symbol(name + "x") != symbol


@given(st.text(max_size=10), st.text(max_size=10))
def test_a_portfolio_name_comes_apart_again(account, symbol):
    assert split_portfolio_name(portfolio_name(account, symbol)) == (account, symbol)


def test_the_aggregated_table_belongs_to_no_account():
    assert split_portfolio_name("aggregated") == ("", "aggregated")
