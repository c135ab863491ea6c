"""Known behaviour of IB that no other room's tests answer to; each test names its number."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from engine.broker.client import IbBroker
from engine.broker.library import load_library
from engine.broker.translate import fill_fact, instrument_of
from engine.core.events import InstrumentDescribed
from engine.core.instrument import Instrument
from engine.core.snapshot import Mark
from engine.settings import Settings
from engine.state.ledger import Ledger
from engine.state.valuation import RateTable, value
from tests.fakes import FakeClock
from tests.unit.state.kit import AAPL, EURCHF, UNASSIGNED, Desk, at

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
TREASURY = Instrument(con_id=70001, symbol="US-T", sec_type="BOND", currency="USD")


class Shape:
    def __init__(self, **fields):
        self.__dict__.update(fields)


@pytest.fixture
def broker():
    return IbBroker(Settings(ib_host="127.0.0.1"), sink=lambda _facts: None, clock=FakeClock())


# ------------------------------------------------------------------------------------------------------ F25


def test_the_default_library_cannot_ask_for_the_executions_of_former_days_f25():
    """The premise of demanding a statement after a long outage: should this fail, the library has learnt more."""
    library = load_library("ib_insync")
    assert library.IB().client.MaxClientVersion <= 178
    fields = {name.lower() for name in vars(library.ExecutionFilter())}
    assert fields == {"clientid", "acctcode", "time", "symbol", "sectype", "exchange", "side"}
    assert "days" not in str(inspect.signature(library.ExecutionFilter)).lower()


# ------------------------------------------------------------------------------------------------------ F34


def test_orders_come_back_from_our_own_memory_and_a_snapshot_resets_nothing_f34():
    desk = Desk()
    for word in ("PendingSubmit", "PreSubmitted", "Submitted"):
        desk.order(word, strategy="ALPHA")
    desk.fill("1.1.1.01", 4, 100, strategy="ALPHA", perm_id=5)
    before = desk.ledger.timeline("PDU1:5")
    again = Ledger.load(desk.ledger.dump())
    assert again.timeline("PDU1:5") == before
    desk.ledger = again
    # The new session can only ask which orders are open: one more sight, and not the history over again.
    for _ in range(3):
        desk.order("Submitted", source="open")
    timeline = desk.ledger.timeline("PDU1:5")
    assert timeline[: len(before)] == before
    assert len(timeline) <= len(before) + 1
    assert desk.state() == "PartiallyFilled"
    assert desk.ledger.order("PDU1:5").filled == 4


# ------------------------------------------------------------------------------------------------------ F52, F60


def test_an_order_known_from_a_list_alone_says_so_and_when_it_was_seen_f52_f60():
    desk = Desk()
    changes = desk.order("Submitted", source="open", client_id=9, received_at=at(3600))
    (record,) = changes.orders
    assert (record.update.source, record.recorded_at) == ("open", at(3600))
    # A list that leaves an order out tells nothing: there is no fact for an absence, and the order stays as it is.
    desk.order("Submitted", perm_id=6, source="open", client_id=9, received_at=at(7200))
    assert desk.ledger.order("PDU1:5").is_open
    assert desk.ledger.order("PDU1:5").recorded_at == at(3600)


def test_what_only_a_list_told_of_an_order_grows_old_and_another_sight_makes_it_new_f52():
    desk = Desk()
    desk.order("Submitted", source="open", client_id=9, received_at=at(3600))
    desk.order("Submitted", perm_id=6, source="live", client_id=9, received_at=at(3600))
    desk.order("Submitted", perm_id=7, source="open", client_id=3, strategy="ALPHA", received_at=at(3600))
    desk.order("Filled", perm_id=8, source="open", client_id=9, received_at=at(3600), filled=Decimal(10))
    near = desk.ledger.near
    assert near.grown_old(at(3600)) == frozenset()
    assert near.grown_old(at(3601)) == {"PDU1:5"}, "not what is over, comes by itself, or a strategy follows"
    desk.order("Submitted", source="open", client_id=9, received_at=at(7200))
    assert near.grown_old(at(3601)) == frozenset()
    assert near.grown_old(at(7201)) == {"PDU1:5"}


def test_an_account_that_only_has_rows_of_groups_is_known_for_its_chains_f79a():
    desk = Desk()
    desk.fill("3.3.3.01", 10, 100, strategy="ALPHA", account="F1234567")
    assert desk.ledger.positions() == []
    assert desk.ledger.near.accounts == {"F1234567"}


# ------------------------------------------------------------------------------------------------------ F58


@pytest.mark.parametrize("order_id", [0, -1])
def test_a_trade_that_another_system_made_over_fix_is_nobodys_f58(order_id):
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", order_id=7, client_id=3)
    desk.fill("9.9.9.01", 25, 100, perm_id=777, order_id=order_id, client_id=0)
    assert desk.quantity(UNASSIGNED) == 25
    assert desk.quantity("ALPHA") == 0


# ------------------------------------------------------------------------------------------------------ F82


def test_a_conversion_moves_cash_and_no_position_is_expected_for_it_f82():
    desk = Desk()
    desk.fill("8.8.8.01", "-21612.04", "0.92541", strategy="ALPHA", instrument=EURCHF, exchange="FXCONV")
    assert desk.book(instrument=EURCHF).cash == {"EUR": Decimal("-21612.04"), "CHF": Decimal("19999.9979364")}
    assert desk.ledger.net() == {}


# ------------------------------------------------------------------------------------------------------ F88


def test_a_bond_reconciles_by_quantity_and_has_no_value_f88(broker):
    desk = Desk()
    desk.fill("7.7.7.01", 10_000, "98.75", strategy="ALPHA", instrument=TREASURY)
    assert desk.ledger.net() == {("DU1", 70001): Decimal(10_000)}
    broker.accounts.portfolio("DU1", 70001, Decimal(10_000), Decimal("99.10"), NOW)
    broker.emit([InstrumentDescribed(received_at=NOW, instrument=TREASURY)])
    assert broker.marks() == {}
    worth = value(desk.book(instrument=TREASURY), TREASURY, None, RateTable({}, {"DU1": "USD"}, ""))
    assert (worth.market_value, worth.unrealized_pnl, worth.market_value_base) == (None, None, None)


def test_a_stocks_mark_is_given_out_once_it_was_described(broker):
    broker.accounts.portfolio("DU1", AAPL.con_id, Decimal(10), Decimal("99.10"), NOW)
    broker.emit([InstrumentDescribed(received_at=NOW, instrument=AAPL)])
    assert broker.marks() == {
        ("DU1", AAPL.con_id): Mark(account="DU1", con_id=AAPL.con_id, price=Decimal("99.10"), at=NOW)
    }


# ------------------------------------------------------------------------------------------------------ F104


def test_fields_that_a_newer_protocol_has_or_lacks_change_nothing_f104():
    contract = Shape(conId=265598, symbol="AAPL", secType="STK", currency="USD", multiplier="")
    needed = {
        "execId": "1.1.1.01", "acctNumber": "DU1", "side": "BOT", "shares": 10.0, "price": 1.5, "time": NOW, "permId": 4,
    }  # fmt: skip
    plain = fill_fact("ALPHA", None, Shape(contract=contract, execution=Shape(**needed), time=NOW), received_at=NOW)
    newer = Shape(**needed, optExerciseOrLapseType=1, submitter="somebody")
    assert fill_fact("ALPHA", None, Shape(contract=contract, execution=newer, time=NOW), received_at=NOW) == plain
    assert plain.instrument == instrument_of(contract)


# ------------------------------------------------------------------------------------------------------ F44, F115


def test_what_the_account_window_says_of_profit_has_no_way_into_the_books_f44():
    """IB's realized P&L drops to zero every evening. No kind of fact carries it but a commission, where it is a note."""
    desk = Desk()
    desk.fill("6.6.6.01", 10, 100, strategy="ALPHA")
    desk.fill("6.6.6.02", 10, 100, strategy="ALPHA")
    desk.fill("6.6.7.01", -10, 103, strategy="ALPHA", t=5)
    before = desk.figures()
    desk.fee("6.6.7.01", "0.35", ib_realized_pnl=Decimal(-9999))
    desk.fee("6.6.7.01", "0.35", ib_realized_pnl=Decimal(0))
    assert desk.book().realized_pnl == 30
    assert {key: figures[:3] for key, figures in desk.figures().items()} == {
        key: figures[:3] for key, figures in before.items()
    }


def test_an_account_window_that_says_nothing_is_no_evidence_of_flat_f115_f123(broker):
    assert broker.accounts.holds("DU1") is False
    assert broker.marks() == {}
    broker.accounts.portfolio("DU1", AAPL.con_id, None, None, NOW)
    assert broker.accounts.holds("DU1") is False
    broker.accounts.portfolio("DU1", AAPL.con_id, Decimal(5), None, NOW)
    assert broker.accounts.holds("DU1") is True


def test_an_instruments_kind_survives_the_wire():
    assert msgspec.json.decode(msgspec.json.encode(TREASURY), type=Instrument).is_percent_of_par
    assert not AAPL.is_percent_of_par
