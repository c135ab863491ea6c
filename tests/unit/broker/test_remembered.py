"""Millions of numbers at some bytes each, and always the latest word."""

import random
import sys

from engine.broker.remembered import Remembered


def test_it_says_what_a_dictionary_says():
    chance, held, told = random.Random(5), Remembered(), {}
    keys = [hash(f"e{n}") for n in range(60_000)] + [0, -1, 2**63 - 1, -(2**63)]
    for _ in range(3):
        for key in chance.sample(keys, len(keys) // 2):
            told[key] = chance.choice((0, -1, hash(str(key)), 2**63 - 1, -(2**63)))
            held.put(key, told[key])
    assert all(held.get(key) == told.get(key) for key in keys)
    assert len(told) > 50_000


def test_an_unknown_key_has_no_value():
    assert Remembered().get(7) is None


def test_a_day_of_a_quarter_of_a_million_is_small():
    held = Remembered()
    for key in range(250_000):
        held.put(hash(str(key)), key)
    arrays = sum(keys.nbytes + values.nbytes for keys, values in zip(held._keys, held._values, strict=True))
    loose = sum(map(len, held._loose))
    assert arrays == (250_000 - loose) * 16
    assert loose < 64 * 512
    assert sum(sys.getsizeof(shelf) for shelf in held._loose) < 2_000_000
