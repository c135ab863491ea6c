"""What leaves the broker's room: news, once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from engine.broker.outlet import Outlet
from engine.broker.repeats import Repeats
from engine.core.events import Commission, ConnectionSeen, Fill, InstrumentDescribed, OrderUpdate, Quarantined
from engine.core.instrument import Instrument

NOW = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
AAPL = Instrument(con_id=265598, symbol="AAPL")
FILL = Fill(received_at=NOW, account="DU1", exec_id="a.01", instrument=AAPL, quantity=Decimal(5), price=Decimal(10))
FEE = Commission(received_at=NOW, exec_id="a.01", amount=Decimal(1), currency="USD")
ORDER = OrderUpdate(received_at=NOW, account="DU1", perm_id=9, status="Submitted", filled=Decimal(0))


def test_a_replay_of_the_day_hands_on_only_what_is_new():
    repeats = Repeats()
    assert repeats.fresh([FILL, FEE, ORDER]) == [FILL, FEE, ORDER]
    again = [
        replace(FILL, received_at=LATER, source="replay"),
        replace(FEE, received_at=LATER),
        replace(ORDER, received_at=LATER),
    ]
    assert repeats.fresh(again) == []


def test_the_same_execution_with_another_content_goes_on_f7():
    repeats = Repeats()
    repeats.fresh([FILL])
    changed = replace(FILL, quantity=Decimal(7))
    assert repeats.fresh([changed]) == [changed]


def test_the_same_execution_with_another_time_is_no_news_but_a_first_readable_one_is_f29_f30():
    repeats = Repeats()
    repeats.fresh([replace(FILL, time_text="20240301 10:00:00 XYZ")])
    readable = replace(FILL, executed_at=NOW)
    assert repeats.fresh([readable]) == [readable]
    assert repeats.fresh([replace(FILL, executed_at=LATER)]) == []


def test_a_restated_fee_goes_on_f6():
    repeats = Repeats()
    repeats.fresh([FEE])
    restated = replace(FEE, amount=Decimal("0.30"))
    assert repeats.fresh([restated, FEE]) == [restated, FEE]


def test_an_order_that_returns_to_an_earlier_state_is_news():
    repeats = Repeats()
    pending = replace(ORDER, status="PendingCancel")
    assert repeats.fresh([ORDER, pending, ORDER]) == [ORDER, pending, ORDER]


def test_a_day_that_is_replayed_a_day_later_is_still_known_and_after_three_days_it_is_forgotten():
    repeats = Repeats()
    repeats.fresh([FILL, FEE])
    for hours in (20, 40, 60):
        assert repeats.fresh([replace(FILL, received_at=NOW + timedelta(hours=hours))]) == []
    assert repeats.knows_execution("DU1", "a.01")
    assert repeats.fresh([replace(FEE, received_at=NOW + timedelta(hours=90))]) != []


def test_other_kinds_pass_and_described_instruments_and_quarantine_do_not_repeat():
    repeats = Repeats()
    link = ConnectionSeen(received_at=NOW, state="connected")
    bad = Quarantined(received_at=NOW, quarantine_id="q", reason="r", raw="x")
    what = InstrumentDescribed(received_at=NOW, instrument=AAPL)
    assert repeats.fresh([link, bad, what]) == [link, bad, what]
    assert repeats.fresh([link, bad, what]) == [link]


class Sink:
    def __init__(self, error=None):
        self.error, self.facts, self.refused = error, [], 0

    def __call__(self, facts):
        if self.error:
            raise self.error
        self.facts += facts

    def count(self):
        self.refused += 1


def test_facts_that_the_sink_refuses_are_not_taken_for_known():
    sink = Sink(error=RuntimeError("journal is full"))
    outlet = Outlet(sink, sink.count)
    outlet.emit([FILL])
    assert sink.refused == 1
    sink.error = None
    outlet.emit([FILL])
    assert sink.facts == [FILL]


def test_executions_from_the_future_warn_that_a_zone_is_wrong_f31():
    outlet = Outlet(lambda _: None, lambda: None)
    outlet.emit([replace(FILL, executed_at=NOW)])
    assert outlet.time_warning == ""
    outlet.emit([replace(FILL, exec_id="b.01", executed_at=NOW + timedelta(hours=5))])
    assert "FILLBOOK_IB_TIMEZONE" in outlet.time_warning
