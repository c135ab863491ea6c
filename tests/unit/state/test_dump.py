"""A checkpoint that is written in pieces is the one that would be written at once."""

import msgspec
import pytest

from engine.state.dump import in_pieces


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 255, 256, 257, 271, 272, 65_535, 65_536, 65_792])
def test_a_list_in_pieces_is_written_as_the_whole_list_is(count):
    items = [("one", n) for n in range(count)]
    plain = msgspec.msgpack.encode(items)
    assert bytes(in_pieces(items)) == plain
    assert bytes(in_pieces(iter(items))) == plain
