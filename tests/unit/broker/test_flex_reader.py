"""The Flex reader: what a statement says, and what it does not say. Samples are made up from the facts they show."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.broker.flex import read_flex
from engine.errors import Unreadable

DATA = Path(__file__).parents[2] / "data" / "flex"
D = Decimal


def one(name: str):
    (statement,) = read_flex((DATA / name).read_bytes())
    return statement


def wrap(inside: str, *, count: str = "1", account: str = "DU1111111", head: str = "") -> str:
    return (
        f'<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="{count}">'
        f'<FlexStatement accountId="{account}" '
        f'fromDate="2025-10-17" toDate="2025-10-17" whenGenerated="2025-10-18;05:00:00" {head}>{inside}'
        "</FlexStatement></FlexStatements></FlexQueryResponse>"
    )


def trade(**changed: str) -> str:
    row = {
        "accountId": "DU1111111",
        "currency": "USD",
        "assetCategory": "STK",
        "symbol": "XYZ",
        "conid": "4001",
        "dateTime": "2025-10-17;10:00:00",
        "tradeDate": "2025-10-17",
        "transactionType": "ExchTrade",
        "quantity": "5",
        "tradePrice": "10",
        "ibCommission": "-1",
        "ibCommissionCurrency": "USD",
        "notes": "P",
        "ibExecID": "a.b.01.01",
        "tradeID": "1",
        "transactionID": "9",
        "levelOfDetail": "EXECUTION",
    } | changed
    return "<Trade " + " ".join(f'{k}="{v}"' for k, v in row.items()) + " />"


def read_one(text: str):
    (statement,) = read_flex(text)
    return statement


def test_only_executions_count_where_a_section_mixes_levels_f142():
    trades = one("day.xml").trades
    assert [t.transaction_id for t in trades] == ["31000001", "31000002", "31000003", "31000004"]
    assert sum(t.quantity for t in trades if t.instrument.con_id == 265598) == 150


def test_summary_positions_count_and_their_lots_do_not_f142():
    held = {p.instrument.symbol: p.quantity for p in one("day.xml").positions}
    assert held == {"AAPL": D(250), "IBUS500": D(2)}


def test_lots_alone_are_added_up_and_that_is_said_f142():
    lot = '<OpenPosition conid="1" symbol="X" assetCategory="STK" currency="USD" position="{}" levelOfDetail="LOT" />'
    statement = read_one(wrap(f"<OpenPositions>{lot.format(3)}{lot.format(4)}</OpenPositions>"))
    assert [p.quantity for p in statement.positions] == [7]
    assert any("only lots" in p.text for p in statement.problems)


def test_a_holding_split_over_model_portfolios_is_added_up():
    row = '<OpenPosition conid="1" symbol="X" assetCategory="STK" currency="USD" position="{}" model="{}" />'
    statement = read_one(wrap(f"<OpenPositions>{row.format(3, 'm1')}{row.format(4, 'm2')}</OpenPositions>"))
    assert [p.quantity for p in statement.positions] == [7]


def test_an_absent_section_is_unknown_and_an_empty_one_is_flat_f141():
    absent, empty = read_one(wrap("")), read_one(wrap("<OpenPositions/><Trades/><OptionEAE/><Transfers/>"))
    assert absent.positions is None
    assert absent.trades is None
    assert absent.option_events is None
    assert absent.transfers is None
    assert empty.positions == ()
    assert empty.trades == ()
    assert empty.option_events == ()
    assert empty.transfers == ()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2025-10-17;16:20:00", datetime(2025, 10, 17, 20, 20, tzinfo=UTC)),
        ("2025-12-17;16:20:00", datetime(2025, 12, 17, 21, 20, tzinfo=UTC)),
        ("20251017;162000", datetime(2025, 10, 17, 20, 20, tzinfo=UTC)),
        ("2025-10-17T16:20:00+0200", datetime(2025, 10, 17, 14, 20, tzinfo=UTC)),
    ],
)
def test_times_are_new_yorks_unless_an_offset_says_otherwise_f143(text, meant):
    (found,) = read_one(wrap(f"<Trades>{trade(dateTime=text)}</Trades>")).trades
    assert (found.executed_at, found.time_text) == (meant, "")


@pytest.mark.parametrize("text", ["2025-10-17", "2025-11-02;01:30:00"])
def test_a_day_without_a_time_and_an_hour_that_comes_twice_are_uncertain_f143(text):
    (found,) = read_one(wrap(f"<Trades>{trade(dateTime=text)}</Trades>")).trades
    assert found.time_text == text
    assert found.executed_at is not None


def test_dates_with_slashes_are_read_by_what_the_file_proves_f143():
    both = trade(dateTime="05/10/2025;10:00:00") + trade(dateTime="17/10/2025;10:00:00", transactionID="10")
    found = read_one(wrap(f"<Trades>{both}</Trades>")).trades
    assert [t.executed_at.date() for t in found] == [date(2025, 10, 5), date(2025, 10, 17)]
    unclear = read_one(wrap(f"<Trades>{trade(dateTime='05/10/2025;10:00:00')}</Trades>"))
    assert unclear.trades[0].time_text == "05/10/2025;10:00:00"
    assert any("slashes" in p.text for p in unclear.problems)


@pytest.mark.parametrize(
    "changed",
    [
        {"notes": "P;ZZ9"},
        {"assetCategory": "NEWKIND"},
        {"currency": "QQQ"},
        {"ibCommissionCurrency": "QQQ"},
        {"openCloseIndicator": "both"},
        {"isAPIOrder": "perhaps"},
        {"orderType": "SNAILMAIL"},
        {"neverSeenBefore": "1"},
    ],
)
def test_one_unknown_code_costs_neither_its_row_nor_the_statement_f144(changed):
    statement = read_one(wrap(f"<Trades>{trade(**changed)}{trade(transactionID='10', ibExecID='a.c.01.01')}</Trades>"))
    assert [t.quantity for t in statement.trades] == [5, 5]
    assert not [p for p in statement.problems if p.lost]
    for name in ("notes", "assetCategory", "currency"):
        if name in changed:
            assert any(changed[name] in p.text and "<Trade" in p.raw for p in statement.problems)


def test_a_wrong_count_of_statements_is_a_word_and_not_a_refusal_f144():
    statement = read_one(wrap("<OpenPositions/>", count="2"))
    assert statement.positions == ()
    assert any("announces '2'" in p.text for p in statement.problems)


@pytest.mark.parametrize(
    "row",
    [
        "<Barter conid='1' quantity='5' />",
        trade(transactionType="Gift"),
        trade(levelOfDetail="NEW_LEVEL"),
        trade(conid=""),
        trade(conid="AAPL"),
        trade(quantity="many"),
        trade(quantity="1,5"),
        trade(quantity="NaN"),
        trade(tradePrice="1e999"),
    ],
)
def test_a_row_that_is_no_trade_known_is_listed_as_lost_and_never_booked_r40(row):
    statement = read_one(wrap(f"<Trades>{row}{trade(transactionID='10', ibExecID='a.c.01.01')}</Trades>"))
    assert len(statement.trades) == 1
    (lost,) = [p for p in statement.problems if p.lost]
    assert lost.raw.startswith("<")


def test_numbers_have_commas_and_words_for_nothing_f149():
    statement = one("day.xml")
    conversion, cfd = statement.trades[2], statement.trades[3]
    assert conversion.quantity == D("-21612.04")
    assert cfd.price == D("6664.10")
    assert cfd.exec_id == ""
    for null in ("", "-", "--", "N/A"):
        (found,) = read_one(wrap(f"<Trades>{trade(ibCommission=null, ibExecID=null)}</Trades>")).trades
        assert found.commission is None
        assert found.exec_id == ""


def test_what_was_paid_is_a_cost_and_a_rebate_is_negative_f40():
    first = one("day.xml").trades[0]
    assert (first.commission, first.commission_currency) == (D("1.24"), "USD")
    (rebate,) = read_one(wrap(f"<Trades>{trade(ibCommission='0.35')}</Trades>")).trades
    assert rebate.commission == D("-0.35")


def test_a_fee_keeps_its_own_currency_f39():
    conversion = one("day.xml").trades[2]
    assert (conversion.instrument.currency, conversion.commission_currency) == ("CHF", "EUR")
    assert (conversion.instrument.symbol, conversion.instrument.sec_type) == ("EUR", "CASH")


def test_ids_stay_text_with_their_zeros_f145():
    (found,) = read_one(wrap(f"<Trades>{trade(tradeID='00123', ibExecID='0000e0d5.68f1a001.01.01')}</Trades>")).trades
    assert (found.trade_id, found.exec_id) == ("00123", "0000e0d5.68f1a001.01.01")


def test_book_entry_and_option_row_are_one_event_with_both_legs_f98_f96():
    (event,) = one("day.xml").option_events
    assert (event.kind, event.quantity, event.underlying_quantity) == ("assignment", 1, 100)
    assert (event.underlying.con_id, event.underlying_price) == (265598, 250)
    assert event.fee == D("0.0166")  # F42: once, although both sections tell it
    assert event.happened_at == datetime(2025, 10, 17, 20, 20, tzinfo=UTC)
    assert event.sections == ("Trades", "OptionEAE")
    assert not event.cash_pending


EAE = (
    '<OptionEAE conid="{conid}" symbol="{symbol}" assetCategory="{kind}" currency="USD" multiplier="100" strike="20" '
    'underlyingConid="77" date="2025-10-17" transactionType="{action}" quantity="{quantity}" tradePrice="0" />'
)


def test_an_expiry_carries_the_change_of_the_position_f99():
    row = EAE.format(conid=5, symbol="Q", kind="OPT", action="Expiration", quantity="-3")
    (event,) = read_one(wrap(f"<OptionEAE>{row}</OptionEAE>")).option_events
    assert (event.kind, event.quantity, event.cash_pending) == ("expiration", -3, False)


def test_a_cash_settlement_without_amount_leaves_the_event_open_f100():
    book = trade(
        assetCategory="OPT",
        conid="5",
        transactionType="BookTrade",
        quantity="-1",
        tradePrice="0",
        notes="Ex",
        ibExecID="",
    )
    cash = EAE.format(conid=5, symbol="VIX", kind="OPT", action="Cash Settlement", quantity="0")
    (event,) = read_one(wrap(f"<Trades>{book}</Trades><OptionEAE>{cash}</OptionEAE>")).option_events
    assert (event.kind, event.cash, event.cash_pending) == ("exercise", None, True)
    paid = cash.replace("tradePrice", 'proceeds="150" tradePrice')
    (event,) = read_one(wrap(f"<Trades>{book}</Trades><OptionEAE>{paid}</OptionEAE>")).option_events
    assert (event.cash, event.cash_pending) == (150, False)


def test_an_option_on_a_future_delivers_a_future_f101():
    common = {"transactionType": "BookTrade", "notes": "Ex", "ibExecID": "", "ibCommission": "-2.47"}
    fop = trade(
        assetCategory="FOP",
        conid="6",
        multiplier="125000",
        strike="1.265",
        underlyingConid="88",
        quantity="-1",
        **common,
    )
    fut = trade(assetCategory="FUT", conid="88", multiplier="125000", tradePrice="1.265", quantity="1", **common)
    (event,) = read_one(wrap(f"<Trades>{fop}{fut}</Trades>")).option_events
    assert (event.kind, event.underlying.sec_type, event.underlying_quantity) == ("exercise", "FUT", 1)
    assert event.fee == D("4.94")


def test_only_detail_rows_of_a_corporate_action_count_f108_f105():
    actions = one("actions.xml").corporate_actions
    assert [(a.instrument.con_id, a.quantity, a.transaction_id) for a in actions] == [
        (5001, -12000, "51000001"),
        (5002, 480, "51000002"),
    ]
    assert {a.action_id for a in actions} == {"777"}


def test_an_action_happens_at_night_and_is_reported_later_f106():
    action = one("actions.xml").corporate_actions[0]
    assert action.happened_at == datetime(2025, 11, 4, 1, 25, tzinfo=UTC)
    assert action.report_date == date(2025, 11, 4)


def test_transfers_move_positions_or_cash_without_a_trade_f110():
    shares, cash = one("actions.xml").transfers
    assert (shares.kind, shares.direction, shares.quantity, shares.instrument.con_id) == ("ACATS", "IN", 75, 272093)
    assert (cash.kind, cash.quantity, cash.cash, cash.counterparty) == ("INTERNAL", 0, D(-5000), "U9999999")


def test_dividends_are_cash_and_move_no_position_f111():
    (dividend,) = one("day.xml").cash
    assert (dividend.kind, dividend.amount, dividend.con_id) == ("Dividends", D("36.4"), 265598)


def test_every_account_of_a_file_has_its_own_statement_f147():
    held = {
        s.account: {p.instrument.con_id: p.quantity for p in s.positions}
        for s in read_flex((DATA / "accounts.xml").read_text())
    }
    assert held == {"DU1111111": {265598: 10}, "DU2222222": {}, "U3333333": {265598: 30}, "U4444444": {265598: -4}}


def test_every_currency_lot_is_seen_once_f148():
    assert {lot.currency: lot.quantity for lot in one("day.xml").fx_lots} == {
        "EUR": D("-21613.9"),
        "CHF": D("19999.9979364"),
    }


def test_rates_and_base_currency_come_from_the_statement():
    statement = one("day.xml")
    assert statement.base_currency == "USD"
    assert {r.currency: r.rate for r in statement.rates} == {"EUR": D("1.1653"), "CHF": D("1.2612")}


@pytest.mark.parametrize(("text", "multiplier"), [("", 1), ("1", 1), ("125000", 125000), ("0", 1)])
def test_an_empty_multiplier_is_one_f89(text, multiplier):
    (found,) = read_one(wrap(f"<Trades>{trade(multiplier=text)}</Trades>")).trades
    assert found.instrument.multiplier == multiplier


def test_the_brokers_own_trades_are_told_apart_f57():
    for note in ("B", "L", "AFx", "LF", "R", "M"):
        (found,) = read_one(wrap(f"<Trades>{trade(notes=f'P;{note}')}</Trades>")).trades
        assert found.by_broker
        assert found.liquidation == (note in {"L", "LF"})


PROGRESS = (
    "<FlexStatementResponse timestamp='27 November, 2025 06:00 AM EST'><Status>Warn</Status><ErrorCode>1019</ErrorCode>"
    "<ErrorMessage>Statement generation in progress. Please try again shortly.</ErrorMessage></FlexStatementResponse>"
)
BOMB = '<!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY c "&a;&a;&a;">]><FlexQueryResponse>&c;</FlexQueryResponse>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"\x00\xff\xfe garbage", "not XML"),
        (b"account,symbol\nU1,AAPL\n", "not XML"),
        ("<html><body>log in</body></html>", "html"),
        (PROGRESS, "1019"),
        (BOMB, "document type"),
        (BOMB.encode("utf-16"), "document type"),
        ("<FlexQueryResponse/>", "no statement"),
        (wrap("", account=""), "no account"),
        ((DATA / "day.xml").read_bytes()[:-200], "not XML"),
    ],
)
def test_what_is_no_statement_is_refused_with_the_reason_f144(content, reason):
    with pytest.raises(Unreadable, match=reason):
        read_flex(content)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damage_anywhere_in_a_file_gives_statements_or_a_refusal_never_a_crash(data):
    content = bytearray((DATA / "day.xml").read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        statements = read_flex(bytes(content))
    except Unreadable:
        return
    assert statements


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        ["quantity", "tradePrice", "dateTime", "conid", "notes", "expiry", "strike", "multiplier", "tradeDate"]
    ),
    st.text(max_size=30),
)
def test_any_text_in_any_attribute_is_read_or_listed(name, text):
    from xml.sax.saxutils import escape

    clean = "".join(c for c in text if c.isprintable() and not 0xD800 <= ord(c) < 0xE000)
    statement = read_one(wrap(f"<Trades>{trade(**{name: escape(clean, {chr(34): '&quot;'})})}</Trades>"))
    booked, lost = len(statement.trades), sum(p.lost for p in statement.problems)
    assert booked + lost >= 1 or statement.option_events
