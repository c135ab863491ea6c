"""Importing statements: what is submitted, what is only shown, and that a second import changes nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from engine.broker.flex import read_flex
from engine.core.events import Bust, Commission, Fill, InstrumentDescribed, Quarantined, RateSeen
from engine.core.instrument import BAG_CON_ID, Instrument
from engine.core.statement import FlexStatement, StatementTrade
from engine.desk.flex_import import plan_import
from engine.state.ledger import Ledger

DATA = Path(__file__).parents[2] / "data" / "flex"
NOW = datetime(2025, 10, 20, 12, 0, tzinfo=UTC)
AAPL = Instrument(con_id=265598, symbol="AAPL", currency="USD")
XYZ = Instrument(con_id=4001, symbol="XYZ", currency="USD")
ACCOUNT = "DU1111111"
D = Decimal


class Desk:
    """A ledger and the sequence of facts that made it."""

    def __init__(self):
        self.ledger = Ledger()
        self.seq = 0

    def apply(self, *facts):
        for fact in facts:
            self.seq += 1
            self.ledger.apply(self.seq, fact)

    def plan(self, statement, **more):
        return plan_import(statement, self.ledger, received_at=NOW, **more)

    def net(self, con_id):
        return self.ledger.net().get((ACCOUNT, con_id), D(0))

    def counted(self, root):
        record = self.ledger.fill(ACCOUNT, root)
        return None if record is None else record.quantity


@pytest.fixture
def desk():
    return Desk()


def load(name: str) -> FlexStatement:
    (statement,) = read_flex((DATA / name).read_bytes())
    return statement


def api_fill(exec_id, quantity, price, at, *, instrument=AAPL, strategy="ALPHA", **more):
    return Fill(
        received_at=at,
        account=ACCOUNT,
        exec_id=exec_id,
        instrument=instrument,
        quantity=D(quantity),
        price=D(price),
        executed_at=at,
        strategy=strategy,
        **more,
    )


def fee(exec_id, amount, currency="USD"):
    return Commission(received_at=NOW, exec_id=exec_id, amount=D(amount), currency=currency)


FIRST = datetime(2025, 10, 17, 14, 5, 1, tzinfo=UTC)
SECOND = datetime(2025, 10, 17, 14, 5, 2, tzinfo=UTC)
ONE, TWO = "0000e0d5.68f1a001.01.01", "0000e0d5.68f1a002.01.01"


def row(**changed) -> StatementTrade:
    base = StatementTrade(
        account=ACCOUNT,
        instrument=XYZ,
        kind="ExchTrade",
        quantity=D(5),
        price=D(10),
        executed_at=FIRST,
        trade_date=date(2025, 10, 17),
        report_date=date(2025, 10, 17),
        exec_id="a.b.01.01",
        trade_id="1",
        transaction_id="9",
        ib_order_id="77",
        commission=D(1),
        commission_currency="USD",
    )
    return msgspec.structs.replace(base, **changed)


def statement(*trades, **changed) -> FlexStatement:
    base = FlexStatement(
        account=ACCOUNT,
        from_date=date(2025, 10, 17),
        to_date=date(2025, 10, 17),
        generated_at=datetime(2025, 10, 18, 12, 0, tzinfo=UTC),
        base_currency="USD",
        trades=tuple(trades),
    )
    return msgspec.structs.replace(base, **changed)


def kinds(plan):
    return [type(fact).__name__ for fact in plan.facts]


def test_executions_the_api_never_brought_are_back_filled_with_their_fees_f24(desk):
    plan = desk.plan(load("day.xml"))
    fills = {f.exec_id: f for f in plan.facts if isinstance(f, Fill)}
    assert set(fills) == {ONE, TWO, "FXSMLCUS.68f1a003.01.01", "flex:31000004"}
    assert {f.source for f in fills.values()} == {"flex"}
    assert fills[ONE].order_ref == "ALPHA-1"
    assert fills[ONE].strategy is None
    desk.apply(*plan.facts)
    assert desk.net(265598) == 150
    assert desk.ledger.fill(ACCOUNT, ONE.rpartition(".")[0]).commission == D("1.24")


@pytest.mark.parametrize("name", ["day.xml", "correction.xml", "bust.xml", "actions.xml"])
def test_importing_a_statement_again_changes_nothing(desk, name):
    first = desk.plan(load(name))
    desk.apply(*first.facts)
    again = desk.plan(load(name), known_trades=first.trade_ids)
    assert again.facts == ()
    assert desk.plan(load(name)).facts == ()
    assert {f.key for f in again.findings} <= {f.key for f in first.findings}


def test_a_fill_known_from_the_api_is_not_booked_twice_and_keeps_its_strategy_f54(desk):
    desk.apply(api_fill(ONE, 100, "247.05", FIRST, strategy="BETA"), fee(ONE, "1.24"))
    without_reference = load("day.xml")
    trades = tuple(msgspec.structs.replace(t, order_ref="") for t in without_reference.trades)
    plan = desk.plan(msgspec.structs.replace(without_reference, trades=trades))
    assert ONE not in {f.exec_id for f in plan.facts if isinstance(f, (Fill, Commission))}
    desk.apply(*plan.facts)
    assert desk.ledger.fill(ACCOUNT, ONE.rpartition(".")[0]).strategy == "BETA"


def test_a_pending_fee_is_fixed_from_the_statement_r8_f35(desk):
    desk.apply(api_fill(ONE, 100, "247.05", FIRST), api_fill(TWO, 50, "247.20", SECOND), fee(TWO, "0.36"))
    plan = desk.plan(load("day.xml"))
    restated = [f for f in plan.facts if isinstance(f, Commission) and f.exec_id in {ONE, TWO}]
    assert [(f.exec_id, f.amount, f.currency, f.source) for f in restated] == [(ONE, D("1.24"), "USD", "flex")]


def test_fees_spread_differently_over_one_order_are_left_alone_f41_f40(desk):
    desk.apply(api_fill(ONE, 100, "247.05", FIRST), fee(ONE, "1.60"))
    desk.apply(api_fill(TWO, 50, "247.20", SECOND), fee(TWO, "0.00"))
    plan = desk.plan(load("day.xml"))
    assert not [f for f in plan.facts if isinstance(f, Commission) and f.exec_id in {ONE, TWO}]


def test_an_order_whose_total_fee_differs_is_restated_f40(desk):
    desk.apply(api_fill(ONE, 100, "247.05", FIRST), fee(ONE, "1.24"))
    desk.apply(api_fill(TWO, 50, "247.20", SECOND), fee(TWO, "0.00"))
    plan = desk.plan(load("day.xml"))
    assert [(f.exec_id, f.amount) for f in plan.facts if isinstance(f, Commission) and f.exec_id in {ONE, TWO}] == [
        (TWO, D("0.36"))
    ]


def test_fewer_digits_in_the_statement_are_no_difference(desk):
    desk.apply(api_fill("a.b.01.01", 5, 10, FIRST, instrument=XYZ), fee("a.b.01.01", "1.002375"))
    assert desk.plan(statement(row(commission=D("1.00")))).facts == ()


def test_a_correction_replaces_its_execution_in_quantity_and_price_f17_c2(desk):
    plan = desk.plan(load("correction.xml"))
    desk.apply(*plan.facts)
    assert desk.net(4001) == D("-1145.929445")
    assert not [f for f in plan.facts if isinstance(f, Bust)]
    corrected = desk.ledger.fill(ACCOUNT, "00013911.64f30a01.01")
    assert corrected.fill.exec_id.endswith(".02")
    assert corrected.fill.executed_at.date() == date(2025, 9, 11)  # traded then …
    assert corrected.fill.received_at == NOW  # … and known since now
    assert corrected.commission == D("2.5")


def test_a_correction_that_comes_alone_next_day_corrects_what_the_api_brought_f17(desk):
    traded = datetime(2025, 9, 11, 18, 30, tzinfo=UTC)
    desk.apply(api_fill("00013911.64f30a01.01.01", "-1143.28313142", "30.3075", traded, instrument=XYZ))
    whole = load("correction.xml")
    plan = desk.plan(msgspec.structs.replace(whole, trades=whole.trades[1:]))
    assert not [f for f in plan.facts if isinstance(f, Bust)]
    desk.apply(*plan.facts)
    assert desk.net(4001) == D("-1145.929445")
    assert desk.ledger.fill(ACCOUNT, "00013911.64f30a01.01").strategy == "ALPHA"
    assert any(f.kind == "correction" for f in plan.findings)


def test_a_correction_of_the_price_alone_is_no_bust_f17(desk):
    old, new = row(), row(exec_id="a.b.01.02", price=D(11), transaction_id="11", report_date=date(2025, 10, 18))
    cancel = row(kind="TradeCancel", quantity=D(-5), exec_id="", trade_id="", orig_trade_id="1", transaction_id="10")
    desk.apply(*desk.plan(statement(old, cancel, new)).facts)
    assert desk.net(4001) == 5
    assert desk.ledger.fill(ACCOUNT, "a.b.01").unit_price == 11
    other = Desk()
    other.apply(api_fill("a.b.01.01", 5, 10, FIRST, instrument=XYZ))
    other.apply(*other.plan(statement(cancel, new)).facts)
    assert other.net(4001) == 5
    assert other.ledger.fill(ACCOUNT, "a.b.01").unit_price == 11


def test_a_bust_is_tied_by_the_original_trade_and_keeps_the_fee_f18_f146(desk):
    traded = datetime(2025, 9, 15, 18, 30, tzinfo=UTC)
    desk.apply(api_fill("00013911.64f40b01.01.01", -200, 30, traded, instrument=XYZ), fee("00013911.64f40b01.01.01", 1))
    plan = desk.plan(load("bust.xml"))
    assert kinds(plan) == ["Bust"]
    assert plan.facts[0].exec_id == "00013911.64f40b01.01.01"
    assert "2025-09-17" in plan.facts[0].reason
    desk.apply(*plan.facts)
    busted = desk.ledger.fill(ACCOUNT, "00013911.64f40b01.01")
    assert (busted.state, busted.strategy, busted.commission) == ("busted", "ALPHA", 1)
    assert desk.net(4001) == 0


def test_a_bust_reported_alone_finds_its_execution_in_the_books_or_says_so_f18(desk):
    whole = load("bust.xml")
    alone = msgspec.structs.replace(whole, trades=whole.trades[1:])
    (finding,) = desk.plan(alone).findings
    assert (finding.kind, finding.severity) == ("unmatched_cancel", "critical")
    traded = datetime(2025, 9, 15, 18, 30, tzinfo=UTC)
    desk.apply(api_fill("x.y.01.01", -200, 30, traded, instrument=XYZ))
    assert [f.exec_id for f in desk.plan(alone).facts if isinstance(f, Bust)] == ["x.y.01.01"]
    desk.apply(api_fill("x.z.01.01", -200, 30, traded, instrument=XYZ))
    assert not [f for f in desk.plan(alone).facts if isinstance(f, Bust)]
    known = desk.plan(alone, known_trades={"81001": "x.z.01.01"})
    assert [f.exec_id for f in known.facts if isinstance(f, Bust)] == ["x.z.01.01"]


def test_a_bust_nobody_confirmed_is_shown_f19(desk):
    desk.apply(api_fill("a.b.01.01", 5, 10, FIRST, instrument=XYZ))
    desk.apply(Bust(received_at=NOW, account=ACCOUNT, exec_id="a.b.01.01", reason="supposed"))
    assert [f.kind for f in desk.plan(statement(row())).findings] == ["bust_unconfirmed"]
    cancel = row(kind="TradeCancel", quantity=D(-5), exec_id="", trade_id="", orig_trade_id="1", transaction_id="10")
    assert desk.plan(statement(row(), cancel)).findings == ()


def test_one_execution_with_two_contents_is_shown_and_not_rebooked_f7(desk):
    desk.apply(api_fill("a.b.01.01", 6, 10, FIRST, instrument=XYZ))
    plan = desk.plan(statement(row()))
    assert [(f.kind, f.severity) for f in plan.findings] == [("conflict", "critical")]
    assert plan.facts == ()


def test_a_trade_without_execution_id_matches_by_its_content_once_f149(desk):
    cfd = row(exec_id="", transaction_id="31", ib_order_id="")
    desk.apply(api_fill("c.f.01.01", 5, 10, FIRST, instrument=XYZ), fee("c.f.01.01", 1))
    assert desk.plan(statement(cfd)).facts == ()
    twin = row(exec_id="", transaction_id="32", ib_order_id="")
    plan = desk.plan(statement(cfd, twin))
    assert [f.exec_id for f in plan.facts if isinstance(f, Fill)] == ["flex:32"]


def test_a_trade_ib_made_by_itself_never_matches_by_its_content_f57(desk):
    desk.apply(api_fill("c.f.01.01", 5, 10, FIRST, instrument=XYZ))
    plan = desk.plan(statement(row(exec_id="", transaction_id="33", notes=("L",))))
    (fill,) = [f for f in plan.facts if isinstance(f, Fill)]
    assert (fill.exec_id, fill.liquidation, fill.strategy) == ("flex:33", True, None)


def test_a_trade_without_any_id_is_listed_and_not_booked(desk):
    plan = desk.plan(statement(row(exec_id="", transaction_id="")))
    assert plan.facts == ()
    assert [f.kind for f in plan.findings] == ["unidentified"]


def test_combination_legs_join_and_the_parent_is_expected_missing_f55_f75(desk):
    bag = Instrument(con_id=BAG_CON_ID, symbol="XYZ", sec_type="BAG", currency="USD")
    near, far = Instrument(con_id=1, symbol="X1", currency="USD"), Instrument(con_id=2, symbol="X2", currency="USD")
    desk.apply(
        api_fill("s.q.01.01", 1, "-1.25", FIRST, instrument=bag),
        api_fill("s.q.02.01", 1, 10, FIRST, instrument=near),
        api_fill("s.q.03.01", -1, 11, FIRST, instrument=far),
        *(fee(exec_id, 1) for exec_id in ("s.q.02.01", "s.q.03.01")),
    )
    legs = (
        row(instrument=near, exec_id="s.q.02.01", quantity=D(1), ib_order_id="3901", transaction_id="1"),
        row(instrument=far, exec_id="s.q.03.01", quantity=D(-1), price=D(11), ib_order_id="3902", transaction_id="2"),
    )
    plan = desk.plan(statement(*legs))
    assert plan.expected_missing == ("s.q.01.01",)
    assert plan.combos == (("s.q.02.01", "s.q.03.01"),)
    assert (plan.facts, plan.findings) == ((), ())


def test_an_execution_of_ours_that_the_statement_lacks_is_shown_unless_the_section_is_unknown_f141(desk):
    desk.apply(api_fill("lost.b.01.01", 5, 10, FIRST, instrument=XYZ))
    assert [(f.kind, f.exec_id) for f in desk.plan(statement()).findings] == [("missing_in_statement", "lost.b.01.01")]
    assert desk.plan(statement(trades=None)).findings == ()


def test_closing_positions_are_compared_with_what_was_traded_since_f150(desk):
    plan = desk.plan(load("day.xml"))
    desk.apply(*plan.facts)
    desk.apply(api_fill("m.o.01.01", -50, 250, datetime(2025, 10, 20, 14, 0, tzinfo=UTC)))
    compared = {c.con_id: c for c in desk.plan(load("day.xml")).comparisons}
    aapl = compared[265598]
    assert (aapl.statement_quantity, aapl.after_cut_off, aapl.expected, aapl.books_quantity) == (250, -50, 200, 100)
    assert (aapl.difference, aapl.events) == (100, 100)  # the assigned shares, which no execution brings
    assert compared[120550477].difference == 0
    assert 12087817 not in compared  # F80: a currency pair trades cash


def test_the_comparison_counts_what_the_import_itself_will_book(desk):
    positions = load("day.xml").positions
    plan = desk.plan(msgspec.structs.replace(load("day.xml"), positions=positions[1:]))
    assert {c.con_id: c.difference for c in plan.comparisons} == {120550477: 0, 265598: -150}
    assert [c.con_id for c in plan.differences] == [265598]


def test_unknown_positions_compare_nothing_and_flat_ones_compare_all_f141(desk):
    desk.apply(api_fill("a.b.01.01", 5, 10, FIRST, instrument=XYZ), fee("a.b.01.01", 1))
    unknown, flat = desk.plan(statement(row(), positions=None)), desk.plan(statement(row(), positions=()))
    assert unknown.comparisons is None
    assert [(c.con_id, c.difference) for c in flat.comparisons] == [(4001, -5)]


def test_a_difference_below_one_is_called_a_fraction_f86(desk):
    from engine.core.statement import StatementPosition

    desk.apply(api_fill("a.b.01.01", 1, 10, FIRST, instrument=XYZ), fee("a.b.01.01", 1))
    held = StatementPosition(account=ACCOUNT, instrument=XYZ, quantity=D("1.4"))
    (compared,) = desk.plan(statement(row(quantity=D(1)), positions=(held,))).comparisons
    assert (compared.difference, compared.note) == (D("0.4"), "fraction")


def test_without_trades_the_clock_decides_what_came_after_the_close_f150(desk):
    evening = datetime(2025, 10, 17, 21, 30, tzinfo=UTC)  # 17:30 New York
    desk.apply(api_fill("e.s.01.01", 3, 10, evening, instrument=XYZ))
    future = Instrument(con_id=9, symbol="ES", sec_type="FUT", currency="USD", multiplier=D(50))
    desk.apply(api_fill("e.f.01.01", 1, 6000, evening, instrument=future))
    compared = {c.con_id: c.after_cut_off for c in desk.plan(statement(trades=None, positions=())).comparisons}
    assert compared == {4001: 0, 9: 1}


def test_rates_become_facts_once_and_never_replace_a_newer_one(desk):
    plan = desk.plan(load("day.xml"))
    rates = {f.currency: f for f in plan.facts if isinstance(f, RateSeen)}
    assert {c: r.rate for c, r in rates.items()} == {"EUR": D("1.1653"), "CHF": D("1.2612")}
    assert {(r.base, r.source) for r in rates.values()} == {("USD", "flex")}
    newer = msgspec.structs.replace(rates["EUR"], at=NOW, rate=D("1.17"), source="broker")
    desk.apply(newer)
    assert [f.currency for f in desk.plan(load("day.xml")).facts if isinstance(f, RateSeen)] == ["CHF"]


def test_pence_are_told_from_pounds_or_asked_about_f93(desk):
    london = Instrument(con_id=7, symbol="VOD", currency="GBP")
    trade = row(instrument=london, price=D("9.47"), commission_currency="GBP")
    waiting = desk.plan(statement(trade))
    assert waiting.facts == ()
    assert [f.kind for f in waiting.findings] == ["needs_details"]
    known = msgspec.structs.replace(london, price_magnifier=100)
    desk.apply(InstrumentDescribed(received_at=NOW, instrument=known))
    (fill,) = [f for f in desk.plan(statement(trade)).facts if isinstance(f, Fill)]
    assert fill.price == 947
    desk.apply(*desk.plan(statement(trade)).facts)
    assert desk.ledger.fill(ACCOUNT, "a.b.01").unit_price == D("9.47")
    assert desk.plan(statement(trade)).facts == ()


def test_rows_that_were_lost_are_quarantined_once_r40(desk):
    text = (
        (DATA / "day.xml").read_text().replace('transactionType="ExchTrade" exchange="ARCA"', 'transactionType="Gift"')
    )
    (read,) = read_flex(text)
    plan = desk.plan(read)
    (lost,) = [f for f in plan.facts if isinstance(f, Quarantined)]
    assert lost.door == "flex"
    assert "Gift" in lost.raw
    desk.apply(*plan.facts)
    assert desk.plan(read).facts == ()
    assert not [f for f in Desk().plan(read, known_quarantine={lost.quarantine_id}).facts if isinstance(f, Quarantined)]


def test_events_are_handed_on_as_evidence_and_book_nothing_f98_r43_r44(desk):
    day, actions = desk.plan(load("day.xml")), desk.plan(load("actions.xml"))
    assert [e.kind for e in day.events] == ["assignment"]
    assert [type(e).__name__ for e in actions.events] == ["CorporateAction"] * 2 + ["Transfer"] * 2
    assert actions.facts == ()
    assert actions.comparisons is None


def test_a_day_is_provisional_until_five_next_morning_f140(desk):
    early = statement(generated_at=datetime(2025, 10, 18, 3, 0, tzinfo=UTC))
    assert desk.plan(early).provisional
    assert desk.plan(statement(generated_at=None)).provisional
    assert not desk.plan(statement()).provisional


def test_only_the_statements_own_account_is_touched_r17(desk):
    other = msgspec.structs.replace(api_fill("a.b.01.01", 5, 10, FIRST, instrument=XYZ), account="DU2222222")
    desk.apply(other)
    plan = desk.plan(statement(row(), positions=()))
    assert [f.exec_id for f in plan.facts if isinstance(f, Fill)] == ["a.b.01.01"]
    assert [c.books_quantity for c in plan.comparisons] == [5]


def test_the_summary_fits_an_operator(desk):
    text = desk.plan(load("day.xml")).summary()
    assert "4 Fill" in text
    assert "differences" in text
