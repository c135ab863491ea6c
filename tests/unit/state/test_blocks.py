"""The wire form of blocks, and the one of orders that was written before: an archive outlives the version that wrote it."""

import msgspec

from engine.state.attribution import Claim
from engine.state.blocks import Closed, decode_block, encode_block
from tests.unit.state.kit import Desk, dec


class Here(Desk):
    puts_away = False


def traded():
    """Orders with one row and several, of which as much is known as their last row says, or more."""
    desk, done = Here(), {"quantity": 5, "filled": dec(5), "remaining": dec(0)}
    desk.fill("0001.01.01", 5, 10, strategy="S1", perm_id=1, order_id=1, client_id=7)
    desk.fill("0002.01.01", 5, 10, strategy="S1", perm_id=2, order_id=2, client_id=7)
    desk.order("Filled", strategy="S1", perm_id=2, order_id=2, client_id=7, **done)
    desk.order("Filled", strategy="S1", perm_id=2, order_id=2, client_id=7, **done)
    desk.order("Cancelled", strategy="S1", perm_id=3, order_id=3, client_id=7, quantity=5)
    orders = list(desk.ledger._orders.by_key.values())
    known = [order.seen is order.timeline[-1].update for order in orders]
    assert sorted(known) == [False, True, True], "both kinds are among them"
    return orders


def test_orders_come_out_of_a_block_as_they_went_in():
    orders = traded()
    block = Closed(
        orders=orders,
        aliases=[("O:7:1", "PDU1:1")],
        perms=[("DU1", 1, "S1")],
        claims=[(7, 1, (Claim("DU1", 1, "S1", "S1"),))],
    )
    before = msgspec.msgpack.encode(orders)
    found = decode_block(encode_block(block))
    assert (found.orders, found.aliases, found.perms, found.claims) == (
        block.orders,
        block.aliases,
        block.perms,
        block.claims,
    )
    assert msgspec.msgpack.encode(orders) == before, "whoever still reads them is not disturbed"
    seen = [order.seen is order.timeline[-1].update for order in found.orders]
    assert seen == [order.seen is order.timeline[-1].update for order in orders], "not one object more than before"


def test_a_block_of_orders_of_the_former_form_is_read():
    orders = traded()
    claims = [(7, 1, (Claim("DU1", 1, "S1", "S1"),))]
    blob = msgspec.msgpack.encode(["orders", orders, [("O:7:1", "PDU1:1")], [("DU1", 1, "S1")], claims])
    found = decode_block(blob)
    assert isinstance(found, Closed)
    assert found.orders == orders
    assert (found.aliases, found.perms, found.claims) == ([("O:7:1", "PDU1:1")], [("DU1", 1, "S1")], claims)
