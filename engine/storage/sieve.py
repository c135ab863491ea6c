"""A Bloom filter in which a bit that is 0 says "maybe", so whatever of it was not read yet is a true answer already.

Of millions of keys it is 8 MB, and reading them would make every start as long as the history. So its table comes from the
system, which gives zeros and no memory until they are touched, and it is read in pieces, each when it is first asked about.
A key has all of its bits in one line of 64 bytes: one piece, and one access to memory, decides about it.

A wrong "no" would book a repeat twice. Each piece has a checksum therefore, which begins with what it must be of and where
it stands: one that is damaged, stale or in another's place is not believed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np

_MIX: Final = 0x9E3779B97F4A7C15
_WORD: Final = (1 << 64) - 1
_PROBES: Final = 4
"""Bits of a key: a stranger is taken for known once in 100 to 1,000 times, as full as the table is."""
_LINE: Final = 9
_SMALLEST: Final = 16
_BITS_PER_KEY: Final = 12
_PIECE: Final = 1 << 16
_AT_ONCE: Final = 4096
_CRC_BYTES: Final = 4

FORM: Final = f"lines of {1 << _LINE}, {_PROBES} bits"
"""What a stored table must be of, beside its keys, to be understood."""

KeyArray = np.ndarray[Any, np.dtype[np.int64]]


class Sieve:
    """Which keys may be there. Whoever asks may do so while another thread adds or reads.

    Args:
        keys: How many it has to hold, which tells its size.
        stored: All of it is yet to be read; else it begins with no key.

    Attributes:
        pieces: How many there are to read and to store.
        unread: Those that were not read yet: they answer "maybe".
    """

    def __init__(self, keys: int, *, stored: bool = False) -> None:
        bits = max(_SMALLEST, (keys * _BITS_PER_KEY - 1).bit_length())
        size = 1 << (bits - 3)
        self._most = (1 << bits) // _BITS_PER_KEY
        self._cells = np.zeros(size, np.uint8) if stored else np.full(size, 0xFF, np.uint8)
        self._table = self._cells.data
        self._shift = 64 - bits
        self._piece = min(size, _PIECE)
        self.pieces = size // self._piece
        self.unread = set(range(self.pieces)) if stored else set[int]()

    def has_room(self, keys: int) -> bool:
        """False when one for so many keys is larger."""
        return keys <= self._most

    def any_of(self, keys: Sequence[int]) -> bool:
        """False when none of the keys was added; nearly always the first bit of a key answers."""
        table, shift = self._table, self._shift
        for key in keys:
            mixed = (key * _MIX) & _WORD
            place = mixed >> shift
            if table[place >> 3] >> (place & 7) & 1:
                continue
            line, step = place >> _LINE << _LINE, mixed >> (shift - _LINE) | 1
            for turn in range(1, _PROBES):
                other = line | (place + turn * step & (1 << _LINE) - 1)
                if table[other >> 3] >> (other & 7) & 1:
                    break
            else:
                return True
        return False

    def add(self, parts: Iterable[KeyArray]) -> None:
        """Add keys; all pieces were read."""
        assert not self.unread, "what is read later would undo it"
        shift, inside = np.uint64(self._shift), np.uint64((1 << _LINE) - 1)
        for part in _small(parts):
            mixed = part.astype(np.uint64) * np.uint64(_MIX)
            place = mixed >> shift
            line, step = place & ~inside, (mixed >> (shift - np.uint64(_LINE))) | np.uint64(1)
            for _ in range(_PROBES):
                bit = np.left_shift(np.uint8(1), (place & np.uint64(7)).astype(np.uint8))
                np.bitwise_and.at(self._cells, (place >> np.uint64(3)).astype(np.int64), ~bit)
                place = line | (place + step & inside)

    # ------------------------------------------------------------------------------------------------- on disk

    def piece_of(self, key: int) -> int:
        """The piece that decides about a key."""
        return (((key * _MIX) & _WORD) >> self._shift) // (8 * self._piece)

    def read(self, piece: int, stored: object, valid_for: str) -> bool:
        """Take a piece in; False when it is not what :meth:`stored` gave for the same."""
        blob = unsealed(stored, self._place(piece, valid_for))
        if blob is None or len(blob) != self._piece:
            return False
        first = piece * self._piece
        self._table[first : first + self._piece] = blob
        self.unread.discard(piece)
        return True

    def stored(self, piece: int, valid_for: str) -> bytes:
        """A piece as it is stored, with what it must be of to be believed."""
        first = piece * self._piece
        return sealed(bytes(self._table[first : first + self._piece]), self._place(piece, valid_for))

    def _place(self, piece: int, valid_for: str) -> str:
        return f"{valid_for} {piece} of {self.pieces}"


def sealed(blob: bytes, what: str) -> bytes:
    """Some bytes with a checksum of them, and of what they are."""
    return blob + zlib.crc32(blob, zlib.crc32(what.encode())).to_bytes(_CRC_BYTES, "little")


def unsealed(stored: object, what: str) -> bytes | None:
    """What :func:`sealed` was given, ``None`` when it is something else, or damaged."""
    if not isinstance(stored, bytes):
        return None
    blob = stored[:-_CRC_BYTES]
    return blob if sealed(blob, what) == stored else None


def _small(
    parts: Iterable[KeyArray],
) -> Iterator[KeyArray]:
    """The same in pieces: what is done to one at once holds the interpreter, and the server's loop with it."""
    for part in parts:
        for first in range(0, len(part), _AT_ONCE):
            yield part[first : first + _AT_ONCE]
