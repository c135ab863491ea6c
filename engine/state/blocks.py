"""Blocks: what is put away goes in pieces of some hundred lines or orders, each in one wire form, and found by keys.

A block of lines is the end of a book's history at that time: it holds the state before its first line and names the block
below it, so a book's past is a chain that is walked downwards. A key is a number below 2**63 made of what the world calls a
thing: the root of an execution id, a permId, a client's order id.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import Final

import msgspec

from engine.core.book import SortKey
from engine.core.events import Fill, OrderUpdate
from engine.state.attribution import Claims
from engine.state.changes import BEFORE
from engine.state.executions import Execution
from engine.state.order import Order

_LOW: Final = (1 << 61) - 1
_PERM: Final = 1 << 61
_CLIENT: Final = 2 << 61


class Lines(msgspec.Struct, kw_only=True, array_like=True, tag="lines", gc=False):
    """Consecutive lines of one book.

    Attributes:
        key: (strategy, account, con_id) of the book.
        base: State before the first line.
        edge: Place of the line before it, ``None`` for none.
        below: Number of the block with the lines before, 0 for none.
    """

    key: tuple[str, str, int]
    base: tuple[Decimal, Decimal, Decimal]
    edge: SortKey | None
    below: int
    lines: list[Execution]


class Closed(msgspec.Struct, kw_only=True, array_like=True, tag="closed", gc=False):
    """Orders that are over, with what belongs to them.

    Attributes:
        aliases: (former key, key).
        perms: (account, permId, strategy that claimed it).
        claims: (client id, order id, claims on it).
        brief: Places of orders of which no more is known than their last row says; nearly all, so it is not written twice.
    """

    orders: list[Order]
    aliases: list[tuple[str, str]]
    perms: list[tuple[str, int, str]]
    claims: list[tuple[int, int, Claims]]
    brief: list[int] = []


class _InFull(msgspec.Struct, kw_only=True, array_like=True, tag="orders", gc=False):
    """The same as it was written first: what is known of an order stands there, whatever its last row says."""

    orders: list[Order]
    aliases: list[tuple[str, str]]
    perms: list[tuple[str, int, str]]
    claims: list[tuple[int, int, Claims]]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Lines | Closed | _InFull).decode
_AS_IN_ROW: Final = OrderUpdate(received_at=BEFORE)


def encode_block(block: Lines | Closed) -> bytes:
    """The wire form of a block."""
    if isinstance(block, Lines):
        return _encode(block)
    orders, brief = list(block.orders), []
    for place, order in enumerate(orders):
        if order.timeline and order.seen is order.timeline[-1].update:
            orders[place] = msgspec.structs.replace(order, seen=_AS_IN_ROW)
            brief.append(place)
    return _encode(msgspec.structs.replace(block, orders=orders, brief=brief))


def decode_block(blob: bytes) -> Lines | Closed:
    """Read what :func:`encode_block` wrote.

    Raises:
        msgspec.DecodeError: It is no block.
    """
    block: Lines | Closed | _InFull = _decode(blob)
    if isinstance(block, Lines):
        return block
    if isinstance(block, _InFull):
        return Closed(orders=block.orders, aliases=block.aliases, perms=block.perms, claims=block.claims)
    for place in block.brief:
        order = block.orders[place]
        order.seen = order.timeline[-1].update
    return block


def execution_key(root: str) -> int:
    """Key of an execution, by its root."""
    return int.from_bytes(blake2b(root.encode(), digest_size=8).digest(), "little") & _LOW


def order_keys(sight: Fill | OrderUpdate) -> list[int]:
    """Keys of the order that a sight is about: by permId, and by client and order id."""
    keys = []
    if sight.perm_id:
        keys.append(_PERM | (sight.perm_id & _LOW))
    if sight.order_id > 0:
        keys.append(client_key(sight.client_id, sight.order_id))
    return keys


def client_key(client_id: int, order_id: int) -> int:
    """Key of an order id, which is unique within one client only."""
    return _CLIENT | (((client_id & 0x1FFFFFFF) << 32) | (order_id & 0xFFFFFFFF))


def key_in_name(name: str) -> int | None:
    """Key of an order that is named by its key (see ``order.key_of``); ``None`` when it is no such name."""
    parts = name.partition("#")[0][1:].split(":")
    try:
        if name[:1] == "P" and len(parts) == 2:
            return _PERM | (int(parts[1]) & _LOW)
        if name[:1] == "O" and len(parts) == 3:
            return client_key(int(parts[1]), int(parts[2]))
    except ValueError:
        return None
    return None
