"""Closing days: the arithmetic, the refusals, the chain, and what leaves the house."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import reduce

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.events import AssignmentLeg, AssignmentMade, Commission, Fill, RateSeen
from engine.core.exact import add
from engine.core.instrument import Instrument
from engine.core.snapshot import Mark
from engine.desk.closed import (
    close_columns,
    close_summaries,
    latest_closes,
    read_closes,
    sealed,
    to_csv,
    to_html,
    totals,
    verify_closes,
)
from engine.desk.dayclose import broker_at, close_day, day_start
from engine.errors import BadRequest, Unreadable
from engine.recon.breaks import Break
from engine.state.ledger import Ledger
from engine.state.valuation import RateTable

DU = "DU1"
FRIDAY, MONDAY = date(2026, 3, 13), date(2026, 3, 16)
AAPL = Instrument(con_id=1, symbol="AAPL", currency="USD", local_symbol="AAPL")
ES = Instrument(con_id=2, symbol="ES", sec_type="FUT", currency="USD", multiplier=Decimal(50))
SAP = Instrument(con_id=3, symbol="SAP", currency="EUR")
D = Decimal


class House:
    def __init__(self):
        self.ledger = Ledger()
        self.seq = 0
        self.broker: dict[int, Decimal] | None = {}
        self.marks = {}

    def apply(self, *facts):
        for fact in facts:
            self.seq += 1
            self.ledger.apply(self.seq, fact)
        return self

    def trade(self, exec_id, quantity, price, when, *, strategy="ALPHA", instrument=AAPL, fee="1", account=DU):
        self.apply(
            Fill(
                received_at=when,
                account=account,
                exec_id=exec_id,
                instrument=instrument,
                quantity=D(quantity),
                price=D(price),
                executed_at=when,
                strategy=strategy,
            )
        )
        if fee is not None:
            self.apply(Commission(received_at=when, exec_id=exec_id, amount=D(fee), currency="USD"))

    def close(self, day, **more):
        given = {
            "day": day,
            "account": DU,
            "records": self.ledger.fills(),
            "instrument_of": self.ledger.instrument,
            "marks": self.marks,
            "rates": RateTable(self.ledger.rates, {DU: "USD"}, ""),
            "broker": self.broker,
            "breaks": (),
            "operator": "ann",
            "now": day_start(day + timedelta(days=1)) + timedelta(hours=9),
        }
        return close_day(**(given | more))


@pytest.fixture
def house():
    return House()


def ny(day, hour, minute=0):
    return day_start(day) + timedelta(hours=hour, minutes=minute)


def line(close, strategy="ALPHA", con_id=1):
    return next(x for x in close.lines if (x.strategy, x.con_id) == (strategy, con_id))


def found_break(state, *, con_id=1, quantity=5, account=DU):
    moment = datetime(2026, 3, 13, 15, tzinfo=UTC)
    return Break(
        break_id=f"{account}:{con_id}", account=account, con_id=con_id, kind="difference", state=state, symbol="AAPL",
        quantity=D(quantity), difference=D(quantity), unassigned=D(0), broker_quantity=D(105), books_quantity=D(100),
        first_seen=moment, born_at=moment, last_seen=moment, last_changed=moment,
    )  # fmt: skip


def test_a_day_shows_opening_trades_fees_closing_and_profit(house):
    house.trade("a.1.01", 100, 10, ny(FRIDAY, 10))
    house.broker = {1: D(100)}
    friday = house.close(FRIDAY)
    house.trade("a.2.01", -40, 12, ny(MONDAY, 10), fee="0.5")
    house.trade("a.3.01", 10, 11, ny(MONDAY, 11), fee="0.25")
    house.broker = {1: D(70)}
    house.marks = {(DU, 1): Mark(account=DU, con_id=1, price=D(13), at=ny(MONDAY, 16))}
    monday = house.close(MONDAY, previous=friday)
    found = line(monday)
    assert (found.opening_quantity, found.trades, found.bought, found.sold) == (100, 2, 10, -40)
    assert (found.adjusted, found.restated, found.closing_quantity) == (0, 0, 70)
    assert (found.realized, found.realized_to_date) == (80, 80)
    assert (found.fees, found.fees_to_date) == ({"USD": D("0.75")}, {"USD": D("1.75")})
    assert found.closing_cost == 710
    assert found.unrealized == 200
    assert found.unrealized_base == 200
    assert (monday.from_day, monday.status, monday.previous_digest) == (date(2026, 3, 14), "closed", friday.digest)
    (tie,) = monday.ties
    assert (tie.strategies, tie.unassigned, tie.broker, tie.difference) == (70, 0, 70, 0)


def test_a_trading_day_is_new_yorks_calendar_day(house):
    house.trade("a.1.01", 1, 10, datetime(2026, 3, 14, 3, 59, tzinfo=UTC))  # 23:59 on Friday in New York
    house.trade("a.2.01", 2, 10, datetime(2026, 3, 14, 4, 0, tzinfo=UTC))
    house.broker = {1: D(1)}
    assert line(house.close(FRIDAY)).closing_quantity == 1
    assert day_start(FRIDAY) == datetime(2026, 3, 13, 4, 0, tzinfo=UTC)
    assert day_start(date(2026, 1, 13)) == datetime(2026, 1, 13, 5, 0, tzinfo=UTC)


def test_a_weekend_between_two_closes_belongs_to_the_later_one(house):
    house.broker = {}
    friday = house.close(FRIDAY)
    house.trade("a.1.01", 1, 10, ny(date(2026, 3, 15), 19))
    house.broker = {1: D(1)}
    found = line(house.close(MONDAY, previous=friday))
    assert (found.trades, found.restated) == (1, 0)


def test_what_became_known_after_a_close_is_restated_in_the_next_one_f17(house):
    house.trade("a.1.01", 100, 10, ny(FRIDAY, 10))
    house.broker = {1: D(100)}
    friday = house.close(FRIDAY)
    house.trade("a.1.02", 90, 10, ny(FRIDAY, 10))
    house.trade("a.2.01", -20, 10, ny(MONDAY, 10))
    house.broker = {1: D(70)}
    found = line(house.close(MONDAY, previous=friday))
    assert (found.opening_quantity, found.sold, found.restated, found.closing_quantity) == (100, -20, -10, 70)
    assert line(friday).closing_quantity == 100


def test_a_late_fee_and_a_late_correction_of_a_closed_day_are_restated_and_not_lost_r8(house):
    friday, monday = day_start(FRIDAY) + timedelta(hours=15), day_start(MONDAY) + timedelta(hours=15)
    house.trade("a.1.01", 100, 10, friday, fee=None)
    house.trade("a.2.01", -100, 11, friday)
    house.broker = {}
    closed = house.close(FRIDAY, overrule_reason="the fee is late")
    house.apply(Commission(received_at=monday, exec_id="a.1.01", amount=D("1.25"), currency="EUR"))
    house.trade("a.2.02", -100, "11.5", friday, fee=None)  # known only from now: a correction of Friday's sale
    house.trade("a.3.01", 10, 10, monday, fee="0.5")
    house.broker = {1: D(10)}
    (line,) = house.close(MONDAY, previous=closed).lines
    assert (line.fees, line.fees_restated) == ({"EUR": D("1.25"), "USD": D("0.5")}, {"EUR": D("1.25")})
    assert (line.realized, line.realized_restated) == (50, 50)
    (row,) = csv.DictReader(io.StringIO(to_csv(house.close(MONDAY, previous=closed))))
    assert (row["fees_restated"], row["realized_restated"]) == ("1.25 EUR", "50.0")


def test_a_close_without_restatements_has_the_seal_it_always_had(house):
    house.trade("a.1.01", 100, 10, day_start(FRIDAY) + timedelta(hours=15))
    house.broker = {1: D(100)}
    close = house.close(FRIDAY)
    text = msgspec.json.encode(close).decode()
    former = text.replace(',"realized_restated":"0","fees_restated":{}', "")
    assert former != text
    assert verify_closes(read_closes([former])) == []


def test_assignments_are_adjustments_and_not_trades(house):
    when = ny(FRIDAY, 12)
    entry = AssignmentMade(
        received_at=when, assignment_id="A1", account=DU, instrument=AAPL, operator="ann", reason="expiry",
        legs=(AssignmentLeg(strategy="ALPHA", quantity=D(100), price=D(250)),), effective_at=when,
    )  # fmt: skip
    house.apply(entry)
    house.broker = {1: D(100)}
    found = line(house.close(FRIDAY))
    assert (found.trades, found.adjusted, found.closing_quantity) == (0, 100, 100)


def test_pending_fees_keep_a_day_open_until_overruled_r8(house):
    house.trade("a.1.01", 100, 10, ny(FRIDAY, 10), fee=None)
    house.broker = {1: D(100)}
    with pytest.raises(BadRequest, match=r"1 fees pending \(a\.1\.01\)"):
        house.close(FRIDAY)
    with pytest.raises(BadRequest, match="fees pending"):
        house.close(FRIDAY, overrule_reason="   ")
    close = house.close(FRIDAY, overrule_reason="IB promised it for Monday")
    assert (close.status, close.overrule_reason) == ("overruled", "IB promised it for Monday")
    assert "1 fees pending (a.1.01)" in close.obstacles
    assert line(close).fees_pending == 1


def test_half_a_character_in_a_reason_is_sealed_as_it_is_stored(house):
    """A browser can send one; neither the seal nor the store could hold it."""
    house.trade("a.1.01", 100, 10, ny(FRIDAY, 10), fee=None)
    house.broker = {1: D(100)}
    close = house.close(FRIDAY, operator="ann \ud83d", overrule_reason="later \ud83d")
    assert (close.operator, close.overrule_reason) == ("ann \\ud83d", "later \\ud83d")
    assert sealed(close) == close


def test_a_fee_pending_after_the_day_or_in_another_account_does_not_matter(house):
    house.trade("a.1.01", 100, 10, ny(MONDAY, 10), fee=None)
    house.trade("a.2.01", 100, 10, ny(FRIDAY, 10), fee=None, account="DU2")
    assert house.close(FRIDAY).status == "closed"


def test_a_confirmed_break_keeps_the_day_open_and_an_explained_one_does_not(house):
    house.trade("a.1.01", 100, 10, ny(FRIDAY, 10))
    house.broker = {1: D(105)}
    with pytest.raises(BadRequest, match=r"1 confirmed breaks \(AAPL \+5\)"):
        house.close(FRIDAY, breaks=[found_break("confirmed")])
    explained = house.close(FRIDAY, breaks=[found_break("explained"), found_break("confirmed", account="DU2")])
    assert explained.status == "closed"
    assert explained.ties[0].difference == 5


def test_a_difference_nobody_speaks_for_and_an_unknown_broker_keep_the_day_open(house):
    house.trade("a.1.01", 100, 10, ny(FRIDAY, 10))
    house.broker = {}
    with pytest.raises(BadRequest, match=r"1 differences to the broker \(AAPL -100\)"):
        house.close(FRIDAY)
    house.broker = None
    with pytest.raises(BadRequest, match="positions are unknown"):
        house.close(FRIDAY)
    assert house.close(FRIDAY, overrule_reason="IB is down").ties is None


def test_every_obstacle_is_named_at_once(house):
    house.trade("a.1.01", 100, 10, ny(FRIDAY, 10), fee=None)
    house.broker = {1: D(100)}
    with pytest.raises(BadRequest) as caught:
        house.close(FRIDAY, breaks=[found_break("confirmed")])
    assert "fees pending" in str(caught.value)
    assert "confirmed breaks" in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"operator": "  "}, "operator"),
        ({"account": ""}, "account"),
        ({"now": day_start(FRIDAY) - timedelta(seconds=1)}, "not begun"),
    ],
)
def test_a_close_needs_an_operator_an_account_and_a_day_that_began(house, changed, reason):
    with pytest.raises(BadRequest, match=reason):
        house.close(FRIDAY, **changed)


def test_a_day_that_is_not_over_is_provisional_and_can_be_closed_again(house):
    early = house.close(FRIDAY, now=ny(FRIDAY, 12))
    late = house.close(FRIDAY, replaces=early)
    assert (early.status, late.status) == ("provisional", "closed")
    assert (late.version, late.close_id, late.replaces_digest) == (2, "DU1:2026-03-13:2", early.digest)
    with pytest.raises(BadRequest, match="does not come before"):
        house.close(FRIDAY, previous=early)


def test_unassigned_is_shown_beside_the_strategies(house):
    house.trade("a.1.01", 100, 10, ny(FRIDAY, 10))
    house.trade("a.2.01", 5, 10, ny(FRIDAY, 11), strategy=None)
    house.broker = {1: D(105)}
    (tie,) = house.close(FRIDAY).ties
    assert (tie.strategies, tie.unassigned, tie.broker, tie.difference) == (100, 5, 105, 0)


def test_base_figures_need_a_rate_and_are_unknown_without(house):
    house.trade("a.1.01", 10, 100, ny(FRIDAY, 10), instrument=SAP)
    house.trade("a.2.01", -10, 110, ny(FRIDAY, 11), instrument=SAP)
    unknown = line(house.close(FRIDAY), con_id=3)
    assert (unknown.realized, unknown.realized_base, unknown.fx_rate) == (100, None, None)
    house.apply(
        RateSeen(received_at=ny(FRIDAY, 12), account=DU, currency="EUR", base="USD", rate=D("1.1"), at=ny(FRIDAY, 12))
    )
    known = line(house.close(FRIDAY), con_id=3)
    assert (known.realized_base, known.fx_rate, known.fx_at) == (110, D("1.1"), ny(FRIDAY, 12))


def test_a_position_without_a_mark_has_no_unrealized_profit_and_neither_has_its_sum(house):
    house.trade("a.1.01", 2, 6000, ny(FRIDAY, 10), instrument=ES)
    house.broker = {2: D(2)}
    close = house.close(FRIDAY)
    assert line(close, con_id=2).unrealized is None
    assert [(t.strategy, t.currency, t.unrealized, t.fees) for t in totals(close)] == [("ALPHA", "USD", None, 2 - 1)]
    assert line(close, con_id=2).turnover == 600_000


def test_what_the_broker_held_then_is_what_it_holds_now_minus_what_was_traded_since_f150(house):
    house.trade("a.1.01", 100, 10, ny(FRIDAY, 10))
    house.trade("a.2.01", -30, 10, ny(MONDAY, 10))
    held = broker_at({1: D(70)}, ny(MONDAY, 11), house.ledger.fills(), DU, day_start(date(2026, 3, 14)))
    assert held == {1: 100}
    assert broker_at({1: D(100)}, ny(MONDAY, 9), house.ledger.fills(), DU, day_start(date(2026, 3, 14))) == {1: 100}


def test_closes_form_a_chain_that_shows_tampering(house):
    first = house.close(FRIDAY)
    second = house.close(MONDAY, previous=first)
    third = house.close(date(2026, 3, 17), previous=second)
    assert verify_closes([first, second, third]) == []
    forged = msgspec.structs.replace(second, operator="bob")
    assert [text.partition(":2026")[0] for text in verify_closes([first, forged, third])] == ["DU1"]
    assert any("previous" in text for text in verify_closes([second, third]))


def test_closes_come_back_from_the_store_as_they_were(house):
    house.trade("a.1.01", 100, "10.123456789012345678901", ny(FRIDAY, 10))
    house.broker = {1: D(100)}
    close = house.close(FRIDAY)
    columns, index = close_columns([close], 7)
    assert read_closes(columns["statement"]) == [close]
    assert verify_closes(read_closes(columns["statement"])) == []
    assert index == [close.closed_at]
    assert {len(values) for values in columns.values()} == {1}
    assert close_summaries([close])[0]["digest"] == close.digest
    with pytest.raises(Unreadable):
        read_closes(["{}"])


def test_the_stored_shape_is_the_stores(house):
    from engine.storage.schema import CLOSES

    columns, _ = close_columns([house.close(FRIDAY)], 1)
    assert set(columns) == set(CLOSES.columns)


def test_the_latest_close_of_an_earlier_day_comes_before(house):
    friday = house.close(FRIDAY)
    again = house.close(FRIDAY, replaces=friday)
    assert latest_closes([friday, again], DU, MONDAY) == (again, None)
    assert latest_closes([friday, again], DU, FRIDAY) == (None, again)
    assert latest_closes([friday, again], "DU2", MONDAY) == (None, None)


def test_exports_hold_every_line_and_escape_what_is_hostile(house):
    evil = msgspec.structs.replace(AAPL, symbol="<script>alert(1)</script>")
    house.trade("a.1.01", 100, 10, ny(FRIDAY, 10), strategy='=HYPERLINK("x")', instrument=evil)
    house.broker = {1: D(100)}
    close = house.close(FRIDAY, operator='"><img src=x>')
    rows = list(csv.DictReader(io.StringIO(to_csv(close))))
    assert len(rows) == 1
    assert rows[0]["strategy"] == '\'=HYPERLINK("x")'
    assert rows[0]["closing_quantity"] == "100"
    assert rows[0]["unrealized"] == ""
    page = to_html(close)
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert close.digest in page


TRADES = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 5), st.integers(-9, 9).filter(bool), st.sampled_from(["ALPHA", "BETA"]),
        st.integers(1, 2),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(TRADES, st.booleans())
def test_opening_traded_adjusted_and_restated_make_closing_and_days_add_up(trades, late):
    days = [date(2026, 3, 9) + timedelta(days=n) for n in range(4)]
    house, closes, previous = House(), [], None
    for number, day in enumerate(days):
        for index, (on, root, quantity, strategy, revision) in enumerate(trades):
            if on == number:
                shift = 1 if late and index % 3 == 0 and on else 0
                exec_id = f"r.{root}{strategy}{'' if shift else index}.0{revision}"
                house.trade(exec_id, quantity, 10 + index, ny(days[on - shift], 10, index), strategy=strategy)
        previous = house.close(day, previous=previous, broker=None, overrule_reason="law")
        closes.append(previous)
        for x in previous.lines:
            assert x.opening_quantity + x.bought + x.sold + x.adjusted + x.restated == x.closing_quantity
    for position in house.ledger.positions():
        mine = [x for c in closes for x in c.lines if (x.strategy, x.con_id) == (position.strategy, 1)]
        assert reduce(add, (x.realized for x in mine)) == position.realized_pnl
        assert reduce(add, (x.fees.get("USD", D(0)) for x in mine)) == position.fees.get("USD", D(0))
        assert mine[-1].closing_quantity == position.quantity
    assert verify_closes(closes) == []
