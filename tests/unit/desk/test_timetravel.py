"""What the tables said at a past moment, from records alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.events import Bust, Commission, Fill, OrderUpdate, RateSeen
from engine.core.instrument import Instrument
from engine.desk.timetravel import (
    breaks_as_of,
    fills_as_of,
    orders_as_of,
    portfolio_as_of,
    positions_as_of,
    rates_as_of,
)
from engine.errors import BadRequest
from engine.state.books import same_figures
from engine.state.ledger import Ledger
from engine.storage.unrows import order_records
from tests.property.lost_journal import store_of
from tests.unit.state.kit import Desk

START = datetime(2026, 3, 10, 14, 0, tzinfo=UTC)
AAPL = Instrument(con_id=265598, symbol="AAPL", currency="USD")
MSFT = Instrument(con_id=272093, symbol="MSFT", currency="USD")


def at(seconds):
    return START + timedelta(seconds=seconds)


def fill(exec_id, quantity, price, seconds, *, strategy="ALPHA", instrument=AAPL):
    return Fill(
        received_at=at(seconds),
        account="DU1",
        exec_id=exec_id,
        instrument=instrument,
        quantity=Decimal(quantity),
        price=Decimal(price),
        executed_at=at(seconds),
        strategy=strategy,
    )


def commission(exec_id, amount, seconds):
    return Commission(received_at=at(seconds), exec_id=exec_id, amount=Decimal(amount), currency="USD")


def play(facts):
    """Apply facts; returns the records written and what was shown after each fact."""
    ledger, records, shown = Ledger(), [], []
    for seq, fact in enumerate(facts, 1):
        records += ledger.apply(seq, fact).fills
        shown.append((fact.received_at, ledger.positions(), ledger.fills()))
    return records, shown


def test_a_fee_and_a_correction_that_came_later_do_not_reach_back():
    records, _ = play([fill("a.b.01", 100, 10, 0), commission("a.b.01", 1, 60), fill("a.b.02", 90, 11, 3600)])
    (before,) = positions_as_of(records, at(30))
    (paid,) = positions_as_of(records, at(1800))
    (corrected,) = positions_as_of(records, at(5400))
    assert (before.quantity, before.fees_pending, before.fees) == (100, 1, {})
    assert (paid.quantity, paid.fees_pending, paid.fees) == (100, 0, {"USD": 1})
    assert (corrected.quantity, corrected.avg_cost) == (90, 11)
    assert positions_as_of(records, at(-1)) == []
    assert [f.fill.exec_id for f in fills_as_of(records, at(1800))] == ["a.b.01"]
    assert [f.fill.exec_id for f in fills_as_of(records, at(5400))] == ["a.b.02"]


def test_the_moment_itself_counts_and_a_moment_needs_a_zone():
    records, _ = play([fill("a.b.01", 100, 10, 0)])
    assert len(positions_as_of(records, START)) == 1
    assert len(positions_as_of(records, START.astimezone())) == 1
    with pytest.raises(BadRequest, match="time zone"):
        positions_as_of(records, START.replace(tzinfo=None))


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["fill", "correct", "late", "bust", "fee"]),
        st.integers(0, 5),
        st.sampled_from(["ALPHA", "BETA"]),
        st.sampled_from([AAPL, MSFT]),
        st.integers(-9, 9).filter(bool),
        st.integers(1, 50),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=120, deadline=None)
@given(EVENTS)
def test_every_past_moment_shows_what_was_shown_then(events):
    facts = []
    for number, (kind, root, strategy, instrument, quantity, price) in enumerate(events):
        exec_id = f"r.{root}.01"
        home = (strategy, instrument) if kind == "fill" else ("ALPHA", AAPL)
        if kind in {"fill", "correct", "late"}:
            revision = {"fill": f"r.{root}{home[0]}{home[1].con_id}.02", "correct": f"{exec_id}.03", "late": exec_id}[
                kind
            ]
            facts.append(fill(revision, quantity, price, number, strategy=home[0], instrument=home[1]))
        elif kind == "bust":
            facts.append(Bust(received_at=at(number), account="DU1", exec_id=exec_id, reason="x"))
        else:
            facts.append(commission(exec_id, quantity, number))
    records, shown = play(facts)
    for moment, positions, fills in shown:
        assert same_figures(positions_as_of(records, moment), positions)
        then = {(f.strategy, f.fill.exec_id, f.state, f.quantity, f.commission) for f in fills_as_of(records, moment)}
        assert then == {(f.strategy, f.fill.exec_id, f.state, f.quantity, f.commission) for f in fills}


def test_orders_are_as_they_were():
    ledger, records = Ledger(), []
    for seq, status in enumerate(["Submitted", "Filled"], 1):
        update = OrderUpdate(
            received_at=at(seq), account="DU1", perm_id=7, strategy="ALPHA", instrument=AAPL, side="BUY",
            quantity=Decimal(5), status=status,
        )  # fmt: skip
        records += ledger.apply(seq, update).orders
    assert [o.update.status for o in orders_as_of(records, at(1))] == ["Submitted"]
    assert len(orders_as_of(records, at(1), open_only=True)) == 1
    assert [o.update.status for o in orders_as_of(records, at(9))] == ["Filled"]
    assert orders_as_of(records, at(0)) == []


def test_an_order_shows_the_state_and_the_progress_it_had():
    desk = Desk()
    desk.order("Submitted", strategy="ALPHA", side="BUY")
    desk.fill("a.b.01", 4, "10.5", perm_id=5)
    desk.fill("a.c.01", 3, "11.2", perm_id=5)
    shown = desk.ledger.orders()
    then = desk.clock
    desk.order("Cancelled")
    orders = order_records(store_of([], [], desk.orders).read("orders", "ALPHA"), "ALPHA")
    assert [o.state for o in orders] == [o.state for o in desk.orders]
    fills = [r for r in desk.fills if r.recorded_at < then]
    (as_of,) = orders_as_of(orders, then - timedelta(seconds=1), fills=fills)
    assert (as_of.state, as_of.is_open, as_of.filled, as_of.remaining) == ("PartiallyFilled", True, 7, 3)
    assert as_of.avg_fill_price == shown[0].avg_fill_price == Decimal("10.8")
    assert orders_as_of(orders, desk.clock, open_only=True) == []


def test_rates_are_the_newest_known_then():
    def seen(rate, seconds):
        return RateSeen(
            received_at=at(seconds), account="DU1", currency="EUR", base="USD", rate=Decimal(rate), at=at(seconds)
        )

    facts = [seen("1.1", 0), seen("1.2", 60)]
    assert rates_as_of(facts, at(30))["DU1", "EUR"].rate == Decimal("1.1")
    assert rates_as_of(facts, at(60))["DU1", "EUR"].rate == Decimal("1.2")
    assert rates_as_of(facts, at(-1)) == {}


def frame(rows):
    index = pd.DatetimeIndex([pd.Timestamp(at(row.pop("s"))) for row in rows], name="recorded_at")
    return pd.DataFrame(rows, index=index)


def test_a_break_is_shown_in_the_state_it_had():
    rows = [("DU1:1", "suspected", 0), ("DU1:2", "suspected", 1), ("DU1:1", "confirmed", 5), ("DU1:1", "closed", 9)]
    stored = frame([{"break_id": b, "state": state, "s": s} for b, state, s in rows])
    assert list(breaks_as_of(stored, at(6))["state"]) == ["suspected", "confirmed"]
    assert list(breaks_as_of(stored, at(9))["break_id"]) == ["DU1:2"]
    assert list(breaks_as_of(stored, at(9), open_only=False)["state"]) == ["suspected", "closed"]
    assert breaks_as_of(stored, at(-1)).empty


def test_reconciled_rows_come_from_the_last_run_that_stored_them():
    rows = [("r1", "ALPHA", 0), ("r1", "BETA", 0), ("r2", "ALPHA", 5)]
    stored = frame([{"account": "DU1", "con_id": 1, "run_id": r, "strategy": who, "s": s} for r, who, s in rows])
    assert list(portfolio_as_of(stored, at(4))["strategy"]) == ["ALPHA", "BETA"]
    assert list(portfolio_as_of(stored, at(5))["strategy"]) == ["ALPHA"]
    assert portfolio_as_of(stored, at(-1)).empty


def test_an_order_is_one_order_before_and_after_its_perm_id_was_known_f46():
    desk = Desk()
    desk.order("PendingSubmit", strategy="ALPHA", perm_id=0, order_id=4, client_id=2, account="")
    desk.order("Submitted", strategy="ALPHA", perm_id=9, order_id=4, client_id=2)
    desk.order("PendingSubmit", strategy="BETA", perm_id=0, order_id=4, client_id=3)
    desk.order("Cancelled", perm_id=9, order_id=4, client_id=2)
    for known, moment in ((["O:2:4"], 1), (["PDU1:9"], 2), (["PDU1:9", "ODU1:3:4"], 3), (["PDU1:9", "ODU1:3:4"], 4)):
        assert [o.order_key for o in orders_as_of(desk.orders, desk.facts[moment - 1].received_at)] == known
    assert [o.order_key for o in orders_as_of(desk.orders, desk.clock, open_only=True)] == ["ODU1:3:4"]
