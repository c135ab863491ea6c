from __future__ import annotations

import math

import msgspec
from recon_parts import AAPL, DU, EURUSD, MSFT, START, D, answer, at, holding, instrument_of, no_answer, row

from engine.core.snapshot import Mark
from engine.recon.compare import compare_groups
from engine.recon.grouped import Grouping
from engine.recon.row import COLUMNS, Valuation
from engine.recon.table import ReconciledTable


class Desk:
    """One table over several runs."""

    def __init__(self):
        self.table = ReconciledTable()
        self.grouping = Grouping()
        self.marks = {}
        self.runs = 0

    def run(self, books, *answers, breaks=None):
        self.runs += 1
        groups = self.grouping.take(list(books))
        return self.table.build(
            run_id=f"r{self.runs}",
            at=START,
            groups=groups,
            comparison=compare_groups(groups, answers, instrument_of=instrument_of),
            answers=answers,
            breaks=breaks or {},
            instrument_of=instrument_of,
            value=Valuation(marks=self.marks, rate=lambda _a, _c: (D("0.5"), START), base=lambda _: "EUR"),
        )

    def mark(self, instrument, price):
        self.marks[DU, instrument.con_id] = Mark(account=DU, con_id=instrument.con_id, price=D(price), at=START)


def column(built, *names):
    return list(zip(*(built.columns[n] for n in names), strict=True))


def test_the_table_has_exactly_the_columns_of_the_store_also_when_empty():
    built = Desk().run([])
    assert set(built.columns) == set(COLUMNS)
    assert built.columns["qty"] == []


def test_strategies_come_by_name_and_unassigned_last_with_the_residual():
    books = [holding("UNASSIGNED", 5), holding("BETA", -20), holding("ALPHA", 100)]
    built = Desk().run(books, answer(row(AAPL, 92)))
    assert column(built, "strategy", "qty", "residual_qty", "broker_qty", "status") == [
        ("ALPHA", 100, 0, 92, "settling"),
        ("BETA", -20, 0, 92, "settling"),
        ("UNASSIGNED", 5, 7, 92, "settling"),
    ]


def test_what_nobody_has_booked_stands_on_an_unassigned_row_of_its_own():
    built = Desk().run([holding("ALPHA", 100)], answer(row(AAPL, 100), row(MSFT, 3, avg_cost=40)))
    assert column(built, "symbol", "strategy", "qty", "residual_qty")[1] == ("MSFT", "UNASSIGNED", 0, 3)


def test_r3_r42_an_unavailable_account_has_no_broker_figures_instead_of_zeros():
    built = Desk().run([holding("ALPHA", 100)], no_answer())
    (found,) = column(built, "status", "broker_qty", "residual_qty", "qty", "timestamp")
    assert found[0] == "unavailable"
    assert math.isnan(found[1])
    assert math.isnan(found[2])
    assert found[3:] == (100, START)


def test_currency_pairs_are_shown_as_excluded():
    built = Desk().run([holding("ALPHA", 1000, "1.08", instrument=EURUSD)], answer())
    (found,) = column(built, "status", "qty")
    assert found == ("excluded", 1000)


def test_money_is_unknown_without_a_mark_and_base_figures_follow_the_rate():
    desk = Desk()
    assert math.isnan(desk.run([holding("ALPHA", 10)], answer(row(AAPL, 10))).columns["unrealized_pnl"][0])
    desk.mark(AAPL, 110)
    built = desk.run([holding("ALPHA", 10)], answer(row(AAPL, 10)))
    assert column(built, "unrealized_pnl", "unrealized_pnl_base", "market_value", "market_value_base") == [
        (100, 50, 1100, 550)
    ]


def test_fees_in_several_currencies_are_summed_in_base_only():
    book = msgspec.structs.replace(holding("ALPHA", 10), fees={"USD": D(1), "EUR": D(3)})
    (found,) = column(Desk().run([book], answer(row(AAPL, 10))), "commission", "commission_base")
    assert math.isnan(found[0])
    assert found[1] == 2


def test_pending_fees_are_unknown_and_not_zero():
    book = msgspec.structs.replace(holding("ALPHA", 10), fees_pending=1)
    (found,) = column(Desk().run([book], answer(row(AAPL, 10))), "commission", "commission_base")
    assert all(map(math.isnan, found))


def test_only_symbols_of_which_more_than_the_price_changed_are_named_as_changed():
    desk, books = Desk(), [holding("ALPHA", 10), holding("BETA", 5, instrument=MSFT)]
    rows = (row(AAPL, 10), row(MSFT, 5))
    assert set(desk.run(books, answer(*rows)).changed) == {(DU, "AAPL"), (DU, "MSFT")}
    assert desk.run(books, answer(*rows, asked=30)).changed == {}
    desk.mark(AAPL, 111)
    assert desk.run(books, answer(*rows, asked=60)).changed == {}
    books = [holding("ALPHA", 11), books[1]]
    built = desk.run(books, answer(row(AAPL, 11), row(MSFT, 5), asked=90))
    assert set(built.changed) == {(DU, "AAPL")}
    assert built.symbol_columns(DU, "AAPL")["qty"] == [11]
    assert built.symbol_columns(DU, "AAPL")["timestamp"] == [at(90.2)]


def test_a_kept_row_still_carries_the_present_run_and_time():
    desk, books = Desk(), [holding("ALPHA", 10)]
    desk.run(books, answer(row(AAPL, 10)))
    built = desk.run(books, answer(row(AAPL, 10), asked=30))
    assert column(built, "run_id", "timestamp") == [("r2", at(30.2))]


def test_an_account_that_falls_silent_is_shown_as_such_at_once():
    desk, books = Desk(), [holding("ALPHA", 10)]
    desk.run(books, answer(row(AAPL, 10)))
    assert desk.run(books, no_answer()).columns["status"] == ["unavailable"]
    assert desk.run(books, answer(row(AAPL, 10))).columns["status"] == ["matched"]


def test_a_row_that_is_no_longer_shown_is_stored_once_more_as_gone():
    desk, flat = Desk(), [holding("ALPHA", 0)]
    assert set(desk.run(flat, answer(row(AAPL, 3))).changed) == {(DU, "AAPL")}
    built = desk.run(flat, answer(row(AAPL, 0)))
    assert built.columns["qty"] == []
    stored = built.symbol_columns(DU, "AAPL")
    assert (stored["strategy"], stored["qty"], stored["broker_qty"]) == (["UNASSIGNED"], [0], [0])
    assert "gone" in stored["extra"][0]
    assert desk.run(flat, answer(row(AAPL, 0))).changed == {}


def test_what_neither_side_has_any_more_is_stored_once_more_as_gone():
    desk = Desk()
    desk.run([], answer(row(AAPL, 3), row(MSFT, 4)))
    built = desk.run([], answer(row(MSFT, 4)))
    assert built.columns["symbol"] == ["MSFT"]
    assert "gone" in built.symbol_columns(DU, "AAPL")["extra"][0]
    assert set(desk.run([], answer(row(AAPL, 3), row(MSFT, 4))).changed) == {(DU, "AAPL")}


def test_the_rate_of_a_fee_in_a_third_currency_moves_the_row():
    book = msgspec.structs.replace(holding("ALPHA", 10), fees={"CHF": D(3)})
    rates = {"USD": D("0.9")}
    table, grouping = ReconciledTable(), Grouping()

    def commission_base():
        groups = grouping.take([book])
        answers = (answer(row(AAPL, 10)),)
        built = table.build(
            run_id="r",
            at=START,
            groups=groups,
            comparison=compare_groups(groups, answers, instrument_of=instrument_of),
            answers=answers,
            breaks={},
            instrument_of=instrument_of,
            value=Valuation(
                marks={}, rate=lambda _a, c: (rates[c], START) if c in rates else None, base=lambda _: "EUR"
            ),
        )
        return built.columns["commission_base"][0]

    assert math.isnan(commission_base())
    rates["CHF"] = D("1.1")
    assert commission_base() == 3.3
    rates["CHF"] = D("1.2")
    assert commission_base() == 3.6


def test_a_fee_in_one_of_several_currencies_is_stored_although_no_lasting_column_shows_it():
    """The one column of fees is unknown before and after; what the fees are in base currency is not the same."""
    desk, held = Desk(), holding("ALPHA", 100)
    before, after = ({"EUR": D("0.333"), other: D(2)} for other in ("USD", "CHF"))
    desk.run([msgspec.structs.replace(held, fees=before)], answer(row(AAPL, 100)))
    built = desk.run([msgspec.structs.replace(held, fees=after)], answer(row(AAPL, 100)))
    assert list(built.changed) == [(DU, "AAPL")]
    assert '"CHF"' in built.symbol_columns(DU, "AAPL")["extra"][0]
    again = desk.run([msgspec.structs.replace(held, fees=dict(after))], answer(row(AAPL, 100)))
    assert again.changed == {}
