"""What a strategy hands over, as plain namespaces: nothing of a client library."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)


def contract(con_id=265598, symbol="AAPL", **fields):
    """A contract; fields by IB's names."""
    known = {
        "conId": con_id,
        "symbol": symbol,
        "secType": "STK",
        "currency": "USD",
        "multiplier": "",
        "exchange": "SMART",
    }
    return SimpleNamespace(**(known | fields))


def fill(exec_id, shares, price, side="BOT", *, of=None, at=NOON, **fields):
    """A fill without its fee; fields of the execution by IB's names."""
    known = {
        "execId": exec_id,
        "time": at,
        "acctNumber": "DU1",
        "exchange": "NYSE",
        "side": side,
        "shares": shares,
        "price": price,
        "permId": 0,
        "clientId": 5,
        "orderId": 0,
    }
    return SimpleNamespace(contract=of or contract(), execution=SimpleNamespace(**(known | fields)), time=at)


def trade(*, of=None, perm_id=7, order_id=3, status="Submitted", **order):
    """A trade whose order has a permId."""
    known = {"permId": perm_id, "orderId": order_id, "clientId": 5, "action": "BUY", "totalQuantity": 10.0}
    return SimpleNamespace(
        contract=of or contract(),
        order=SimpleNamespace(**(known | {"orderType": "LMT", "lmtPrice": 10.0, "account": "DU1"} | order)),
        orderStatus=SimpleNamespace(status=status),
        fills=[],
        log=[],
    )
