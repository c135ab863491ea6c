"""Messages as a strategy would send them, from plain namespaces: nothing of a client library."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

NOW = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)
EXECUTED = datetime(2024, 3, 1, 15, 29, 58, tzinfo=UTC)
UNSET = 1.7976931348623157e308


@pytest.fixture
def now():
    return NOW


def contract(**fields):
    return SimpleNamespace(
        **{
            "conId": 265598,
            "symbol": "AAPL",
            "secType": "STK",
            "exchange": "NASDAQ",
            "currency": "USD",
            "multiplier": "",
            "localSymbol": "AAPL",
            "lastTradeDateOrContractMonth": "",
            "strike": 0.0,
            "right": "?",
            "tradingClass": "NMS",
            "primaryExchange": "",
        }
        | fields
    )


def execution(**fields):
    return SimpleNamespace(
        **{
            "execId": "0000e0d5.67fe667b.01.01",
            "time": EXECUTED,
            "acctNumber": "DU1",
            "exchange": "NASDAQ",
            "side": "BOT",
            "shares": 10.0,
            "price": 187.23,
            "permId": 991,
            "clientId": 3,
            "orderId": 7,
            "liquidation": 0,
            "cumQty": 10.0,
            "avgPrice": 187.23,
            "orderRef": "ALPHA-1",
        }
        | fields
    )


def report(**fields):
    return SimpleNamespace(
        **{"execId": "0000e0d5.67fe667b.01.01", "commission": 1.24, "currency": "USD", "realizedPNL": 0.0} | fields
    )


def empty_report():
    """What a fresh fill carries: the library's default."""
    return report(execId="", commission=0.0, currency="")


def fill(*, of=None, carrying=None, at=None, **fields):
    return SimpleNamespace(
        contract=of or contract(),
        execution=execution(**fields),
        commissionReport=carrying or empty_report(),
        time=at or NOW,
    )


def trade(*, status="Submitted", log=(), fills=(), of=None, seen=None, **order):
    return SimpleNamespace(
        contract=of or contract(),
        order=SimpleNamespace(
            **{
                "orderId": 7,
                "clientId": 3,
                "permId": 991,
                "action": "BUY",
                "totalQuantity": 100.0,
                "orderType": "LMT",
                "lmtPrice": 187.25,
                "auxPrice": UNSET,
                "tif": "DAY",
                "orderRef": "ALPHA-1",
                "account": "DU1",
                "parentId": 0,
                "ocaGroup": "",
            }
            | order
        ),
        orderStatus=SimpleNamespace(
            **{
                "orderId": 7,
                "status": status,
                "filled": 10.0,
                "remaining": 90.0,
                "avgFillPrice": 187.23,
                "permId": 991,
                "clientId": 3,
                "parentId": 0,
                "whyHeld": "",
            }
            | (seen or {})
        ),
        fills=list(fills),
        log=list(log),
        advancedError="",
    )


def entry(status, message="", code=0):
    return SimpleNamespace(time=NOW, status=status, message=message, errorCode=code)


@pytest.fixture
def shapes():
    """The builders above, for tests (folders of tests are no packages)."""
    return SimpleNamespace(
        contract=contract,
        execution=execution,
        report=report,
        empty_report=empty_report,
        fill=fill,
        trade=trade,
        entry=entry,
    )
