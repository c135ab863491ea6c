"""Sights of orders, put together from messages of which none says everything."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest

from engine.broker import wire
from engine.broker.sights import OrderSights
from engine.core.events import Fill
from engine.core.instrument import Instrument

NOW = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)
OURS = 40


@pytest.fixture
def sights():
    return OrderSights(OURS)


def order(shapes, **fields):
    return shapes.trade(**({"clientId": OURS, "orderId": 10} | fields)).order


def state(**fields):
    return SimpleNamespace(
        **({"status": "Submitted", "warningText": "", "completedStatus": "", "completedTime": ""} | fields)
    )


def opened(sights, shapes, *, snapshot=False, **fields):
    return sights.opened(shapes.contract(), order(shapes, **fields), state(), received_at=NOW, snapshot=snapshot)


def status(sights, word, *, filled="0", remaining="100", average="0.0", perm_id=991, order_id=10, client_id=OURS):
    fields = ["3", order_id, word, filled, remaining, average, perm_id, 0, "0.0", client_id, "", "0.0"]
    return sights.status(wire.order_status([str(field) for field in fields]), received_at=NOW)


def test_a_status_takes_what_the_order_is_from_its_open_order(sights, shapes):
    opened(sights, shapes, orderRef="ALPHA-1")
    seen = status(sights, "Filled", filled="100", remaining="0", average="187.23")
    assert (seen.account, seen.order_ref, seen.side, seen.quantity) == ("DU1", "ALPHA-1", "BUY", Decimal(100))
    assert (seen.status, seen.filled, seen.remaining, seen.avg_fill_price) == (
        "Filled",
        Decimal(100),
        Decimal(0),
        Decimal("187.23"),
    )


def test_a_reported_zero_is_a_zero_but_no_average_price_r36(sights, shapes):
    opened(sights, shapes)
    seen = status(sights, "Submitted")
    assert (seen.filled, seen.remaining, seen.avg_fill_price) == (Decimal(0), Decimal(100), None)


def test_a_status_of_an_order_nobody_announced_takes_the_account_it_traded_in(sights):
    assert status(sights, "Submitted", perm_id=5, order_id=3, client_id=7).account == ""
    fill = Fill(
        received_at=NOW,
        account="DU2",
        exec_id="a.01",
        instrument=Instrument(con_id=1, symbol="X"),
        quantity=Decimal(1),
        price=Decimal(1),
        perm_id=6,
    )
    sights.executed(fill.perm_id, fill.account)
    assert status(sights, "Submitted", perm_id=6, order_id=4, client_id=7).account == "DU2"


def test_orders_of_two_clients_with_one_number_stay_apart_f45(sights, shapes):
    opened(sights, shapes, clientId=1, orderId=7, permId=11, orderRef="ONE")
    opened(sights, shapes, clientId=2, orderId=7, permId=22, orderRef="TWO")
    refs = [status(sights, "Filled", perm_id=p, order_id=7, client_id=c).order_ref for p, c in ((11, 1), (22, 2))]
    assert refs == ["ONE", "TWO"]


def test_manual_orders_share_the_number_zero_and_stay_apart_r11(sights, shapes):
    opened(sights, shapes, clientId=0, orderId=0, permId=11, orderRef="ONE")
    opened(sights, shapes, clientId=0, orderId=0, permId=22, orderRef="TWO")
    assert status(sights, "Filled", perm_id=11, order_id=0, client_id=0).order_ref == "ONE"
    assert status(sights, "Filled", perm_id=33, order_id=0, client_id=0).order_ref == ""


def test_a_what_if_is_no_order(sights, shapes):
    assert opened(sights, shapes, whatIf=True) is None


def test_a_snapshot_says_that_it_is_one_and_a_warning_is_its_message(sights, shapes):
    assert opened(sights, shapes, snapshot=True).source == "open"
    seen = sights.opened(
        shapes.contract(), order(shapes), state(warningText="held until Monday"), received_at=NOW, snapshot=False
    )
    assert (seen.source, seen.message, seen.local) == ("live", "held until Monday", False)


def test_a_completed_order_never_tells_a_quantity_f59(sights, shapes):
    seen = sights.completed(
        shapes.contract(),
        order(shapes, totalQuantity=0.0, filledQuantity=100.0, orderRef="ALPHA-1"),
        state(status="Filled", completedStatus="Filled Size: 100", completedTime="20240301 10:00:00 US/Eastern"),
        received_at=NOW,
    )
    assert (seen.source, seen.quantity, seen.filled, seen.order_ref) == ("completed", None, Decimal(100), "ALPHA-1")
    assert (seen.message, seen.status_at) == ("Filled Size: 100", datetime(2024, 3, 1, 15, 0, tzinfo=UTC))


def test_a_reject_tells_reason_and_code_and_no_status_of_its_own_f66_f68(sights, shapes):
    opened(sights, shapes)
    seen = sights.error(10, 201, "Order rejected - reason: margin", received_at=NOW)
    assert (seen.error_code, seen.message, seen.status, seen.source) == (
        201,
        "Order rejected - reason: margin",
        "",
        "error",
    )
    assert (seen.perm_id, seen.account, seen.filled) == (991, "DU1", None)


def test_a_failed_cancel_of_a_filled_order_changes_nothing_about_it_f66(sights, shapes):
    opened(sights, shapes)
    status(sights, "Filled", filled="100", remaining="0")
    assert sights.error(10, 10148, "cannot be cancelled, state: Filled", received_at=NOW).status == ""
    assert status(sights, "Filled", filled="100", remaining="0").message == ""


@pytest.mark.parametrize("code", [200, 354, 162, 10167])
def test_an_error_of_a_data_request_never_touches_the_order_of_the_same_number_f73(sights, shapes, code):
    opened(sights, shapes)
    assert sights.error(10, code, "No security definition has been found", received_at=NOW) is None


@pytest.mark.parametrize("number", [-1, 0, 11])
def test_an_error_of_no_known_order_invents_none_r34(sights, shapes, number):
    opened(sights, shapes)
    opened(sights, shapes, clientId=7, orderId=11, permId=55)
    assert sights.error(number, 201, "Order rejected", received_at=NOW) is None
