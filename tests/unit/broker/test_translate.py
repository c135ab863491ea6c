"""Messages into facts: what they must say, and what must never leave as anything but Unreadable."""

import copy
from datetime import UTC, datetime
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.broker.translate import facts_from_raw, instrument_of, message_facts, raw_text, wire_facts
from engine.core.events import Commission, Fill, OrderUpdate, decode_facts, encode_facts
from engine.errors import Unreadable

NOW = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)
UNSET = 1.7976931348623157e308


def filled(shapes, **fields):
    fill = shapes.fill(**fields)
    facts = message_facts({"type": "fill", "strategy": "ALPHA", "trade": shapes.trade(), "fill": fill}, NOW)
    assert isinstance(facts[0], Fill)
    return facts[0]


def fees(shapes, **fields):
    report = shapes.report(**fields)
    message = {
        "type": "commission_report",
        "strategy": "ALPHA",
        "trade": shapes.trade(),
        "fill": shapes.fill(),
        "report": report,
    }
    return [fact for fact in message_facts(message, NOW) if isinstance(fact, Commission)]


def seen(shapes, trade, status=None):
    message = {"type": "order", "strategy": "ALPHA", "trade": trade}
    if status is not None:
        message |= {"type": "status_change", "status": status}
    (fact,) = message_facts(message, NOW)
    assert isinstance(fact, OrderUpdate)
    return fact


def test_a_fill_is_frozen_with_all_that_books_need(shapes):
    assert filled(shapes) == Fill(
        received_at=NOW,
        account="DU1",
        exec_id="0000e0d5.67fe667b.01.01",
        instrument=instrument_of(shapes.contract()),
        quantity=Decimal(10),
        price=Decimal("187.23"),
        executed_at=datetime(2024, 3, 1, 15, 29, 58, tzinfo=UTC),
        strategy="ALPHA",
        order_ref="ALPHA-1",
        perm_id=991,
        order_id=7,
        client_id=3,
        exchange="NASDAQ",
        cum_quantity=Decimal(10),
        avg_price=Decimal("187.23"),
    )


def test_the_fact_does_not_change_when_the_library_fills_in_the_report_later_f6(shapes):
    fill = shapes.fill()
    message = {"type": "fill", "strategy": "ALPHA", "trade": shapes.trade(), "fill": fill}
    (fact,) = message_facts(message, NOW)
    before = copy.deepcopy(fact)
    fill.commissionReport.execId, fill.commissionReport.commission = fill.execution.execId, 0.35
    fill.execution.shares = 999.0
    assert fact == before


@pytest.mark.parametrize(
    ("side", "sign"), [("BOT", 1), ("SLD", -1), ("BUY", 1), ("SELL", -1), ("bot", 1), ("SSHORT", -1)]
)
def test_the_side_gives_the_sign_f23(shapes, side, sign):
    assert filled(shapes, side=side, shares=5.0).quantity == 5 * sign


def test_a_sales_quantity_keeps_every_digit_whatever_the_callers_precision_f83_f85(shapes):
    with localcontext() as context:
        context.prec = 3
        fact = filled(shapes, side="SLD", shares="1143.28313142")
    assert fact.quantity == Decimal("-1143.28313142")
    assert str(filled(shapes, side="SLD", shares=0.0).quantity) == "0"


def test_the_instrument_is_the_executions_not_the_orders_f11(shapes):
    unqualified = shapes.trade(of=shapes.contract(conId=0))
    message = {"type": "fill", "strategy": "ALPHA", "trade": unqualified, "fill": shapes.fill()}
    assert message_facts(message, NOW)[0].instrument.con_id == 265598
    assert seen(shapes, unqualified).instrument.con_id == 0


def test_a_fill_that_carries_its_report_gives_the_fee_too(shapes):
    fill = shapes.fill(carrying=shapes.report(commission=-0.35))
    facts = message_facts({"type": "fill", "strategy": "ALPHA", "trade": shapes.trade(), "fill": fill}, NOW)
    assert [type(fact) for fact in facts] == [Fill, Commission]
    assert (facts[1].amount, facts[1].currency) == (Decimal("-0.35"), "USD")


def test_a_fresh_fill_with_the_librarys_empty_report_says_nothing_about_a_fee_f26_f35(shapes):
    message = {"type": "fill", "strategy": "ALPHA", "trade": shapes.trade(), "fill": shapes.fill()}
    assert [type(fact) for fact in message_facts(message, NOW)] == [Fill]


def test_a_commission_brings_the_fill_it_belongs_to_f3(shapes):
    message = {
        "type": "commission_report",
        "strategy": "ALPHA",
        "trade": shapes.trade(),
        "fill": shapes.fill(),
        "report": shapes.report(),
    }
    assert [type(fact) for fact in message_facts(message, NOW)] == [Fill, Commission]


def test_a_commission_alone_is_kept_r2_r7(shapes):
    message = {"type": "commission_report", "strategy": "A", "trade": None, "fill": None, "report": shapes.report()}
    (fact,) = message_facts(message, NOW)
    assert (fact.exec_id, fact.amount) == ("0000e0d5.67fe667b.01.01", Decimal("1.24"))


@pytest.mark.parametrize(
    "pending",
    [{"commission": UNSET}, {"commission": None}, {"commission": float("nan")}, {"commission": -1.0, "currency": ""}],
)
def test_a_sentinel_is_a_pending_fee_f36_r4(shapes, pending):
    (fee,) = fees(shapes, **pending)
    assert fee.amount is None


def test_minus_one_with_a_currency_and_rebates_are_amounts_f38(shapes):
    assert fees(shapes, commission=-1.0, currency="USD")[0].amount == Decimal(-1)
    assert fees(shapes, commission=0.0, currency="USD")[0].amount == Decimal(0)


def test_a_realized_pnl_of_zero_from_a_library_is_unknown_f37_r28(shapes):
    assert fees(shapes, realizedPNL=0.0)[0].ib_realized_pnl is None
    assert fees(shapes, realizedPNL=UNSET)[0].ib_realized_pnl is None
    assert fees(shapes, realizedPNL=12.5)[0].ib_realized_pnl == Decimal("12.5")


def test_an_unreadable_zone_keeps_the_fill_and_the_text_f29(shapes):
    fill = filled(shapes, time="20240301 15:29:58 XYZ")
    assert (fill.executed_at, fill.time_text) == (None, "20240301 15:29:58 XYZ")


def test_the_execution_time_counts_and_the_arrival_only_stands_in_f30(shapes):
    arrival = datetime(2024, 3, 1, 18, 0, tzinfo=UTC)
    assert filled(shapes, at=arrival).executed_at == datetime(2024, 3, 1, 15, 29, 58, tzinfo=UTC)
    assert filled(shapes, at=arrival, time=None).executed_at == arrival


def test_a_liquidation_and_a_provisional_price_are_marked_f20_f56(shapes):
    fill = filled(shapes, liquidation=1, pendingPriceRevision=True)
    assert (fill.liquidation, fill.provisional_price) == (True, True)
    assert (filled(shapes).liquidation, filled(shapes).provisional_price) == (False, False)


def test_a_manual_orders_unset_id_is_zero_f49(shapes):
    assert filled(shapes, orderId=2147483647).order_id == 0


def test_a_combination_with_a_negative_price_is_read_f74_f77(shapes):
    bag = shapes.contract(conId=28812380, secType="BAG", symbol="SPY")
    fill = filled(shapes, of=bag, price=-1.25)
    assert (fill.price, fill.instrument.is_combo) == (Decimal("-1.25"), True)


@pytest.mark.parametrize(
    ("text", "expected"), [("", 1), ("1", 1), (None, 1), ("0", 1), ("50", 50), ("0.1", Decimal("0.1"))]
)
def test_a_missing_multiplier_counts_as_one_f89(shapes, text, expected):
    assert filled(shapes, of=shapes.contract(multiplier=text)).instrument.multiplier == expected


@pytest.mark.parametrize("ref", ["", "unknown", "x" * 200, "gr\u00fcn \u6f22\u5b57", "bad \ud800", "y" * 100_000, None])
def test_any_order_reference_leaves_the_fill_bookable_r12(shapes, ref):
    fill = filled(shapes, orderRef=ref)
    assert fill.quantity == 10
    assert len(fill.order_ref) <= 1024
    assert decode_facts(encode_facts([fill])) == [fill]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"acctNumber": ""}, "acctNumber"),
        ({"acctNumber": None}, "acctNumber"),
        ({"execId": ""}, "execId"),
        ({"execId": "e" * 500}, "execId"),
        ({"shares": "many"}, "shares"),
        ({"shares": UNSET}, "shares"),
        ({"shares": -5.0}, "shares"),
        ({"price": None}, "price"),
        ({"price": float("nan")}, "price"),
        ({"side": "HOLD"}, "side"),
        ({"side": None}, "side"),
        ({"of": {"conId": 0}}, "conId"),
        ({"of": {"multiplier": "-5"}}, "multiplier"),
        ({"of": {"symbol": []}}, "collection"),
    ],
)
def test_a_fill_without_an_essential_is_unreadable_and_the_reason_names_it(shapes, fields, reason):
    if "of" in fields:
        fields = {"of": shapes.contract(**fields["of"])}
    with pytest.raises(Unreadable, match=reason):
        filled(shapes, **fields)


def test_an_order_is_frozen_with_its_state(shapes):
    fact = seen(shapes, shapes.trade(log=[shapes.entry("Submitted")]))
    assert (fact.account, fact.perm_id, fact.order_id, fact.client_id) == ("DU1", 991, 7, 3)
    assert (fact.side, fact.quantity, fact.order_type, fact.limit_price, fact.stop_price) == (
        "BUY",
        Decimal(100),
        "LMT",
        Decimal("187.25"),
        None,
    )
    assert (fact.status, fact.filled, fact.remaining, fact.avg_fill_price) == (
        "Submitted",
        Decimal(10),
        Decimal(90),
        Decimal("187.23"),
    )
    assert (fact.status_at, fact.local, fact.source) == (NOW, False, "live")


def test_an_order_that_was_just_placed_is_the_librarys_word_only(shapes):
    fresh = shapes.trade(status="PendingSubmit", permId=0, seen={"permId": 0, "filled": 0.0, "remaining": 0.0})
    fact = seen(shapes, fresh)
    assert (fact.local, fact.filled, fact.remaining) == (True, None, None)


def test_a_cancelled_that_the_library_made_of_an_error_is_marked_f66(shapes):
    log = [shapes.entry("Submitted"), shapes.entry("Cancelled", "Error 10148, reqId 7: state: Filled", 10148)]
    fact = seen(shapes, shapes.trade(status="Cancelled", log=log), "Cancelled")
    assert (fact.local, fact.error_code, fact.source) == (True, 10148, "error")
    assert "state: Filled" in fact.message


def test_a_cancelled_of_ib_itself_is_not_marked_f67(shapes):
    assert seen(shapes, shapes.trade(status="Cancelled", log=[shapes.entry("Cancelled")])).local is False


def test_ib_asyncs_own_words_are_marked_f61_f67(shapes):
    log = [shapes.entry("ValidationError", "Warning 399", 399)]
    assert seen(shapes, shapes.trade(status="ValidationError", log=log)).local is True


def test_a_reject_keeps_its_reason_f68_r32(shapes):
    log = [shapes.entry("Inactive", "Error 201, reqId 7: Order rejected - margin", 201)]
    fact = seen(shapes, shapes.trade(status="Inactive", log=log))
    assert (fact.status, fact.error_code, fact.local) == ("Inactive", 201, False)
    assert "margin" in fact.message


def test_an_unknown_status_is_kept_as_it_came_f61_f69(shapes):
    assert seen(shapes, shapes.trade(), "PreCancelled").status == "PreCancelled"
    assert seen(shapes, shapes.trade(status="Inactive")).status == "Inactive"


def test_the_status_of_the_message_counts_not_the_one_the_trade_has_by_now(shapes):
    assert seen(shapes, shapes.trade(status="Filled"), "Submitted").status == "Submitted"


def test_a_log_line_about_a_fill_is_no_message_about_the_order(shapes):
    assert seen(shapes, shapes.trade(log=[shapes.entry("Submitted", "Fill 10@187.23")])).message == ""


def test_an_average_price_of_zero_is_unknown_r36(shapes):
    assert seen(shapes, shapes.trade(seen={"avgFillPrice": 0.0})).avg_fill_price is None


def test_an_order_without_account_takes_the_one_it_filled_in(shapes):
    assert seen(shapes, shapes.trade(account="", fills=[shapes.fill()])).account == "DU1"


def test_a_market_orders_zero_limit_is_none(shapes):
    assert seen(shapes, shapes.trade(orderType="MKT", lmtPrice=0.0)).limit_price is None
    assert seen(shapes, shapes.trade(orderType="LMT", lmtPrice=0.0)).limit_price == 0


def test_the_reserved_name_is_nobodys(shapes):
    message = {"type": "fill", "strategy": "UNASSIGNED", "trade": shapes.trade(), "fill": shapes.fill()}
    assert message_facts(message, NOW)[0].strategy is None


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name):
        raise ZeroDivisionError(name)


class Nasty(RuntimeError):
    def __str__(self):
        raise RuntimeError("even when it is shown")


class Nastier:
    def __getattr__(self, name):
        raise Nasty


def broken(shapes):
    trade, fill = shapes.trade(), shapes.fill()
    good = {"type": "fill", "strategy": "ALPHA", "trade": trade, "fill": fill}
    yield from (
        None,
        7,
        "fill",
        [],
        object(),
        {},
        {"type": "fill"},
        {"type": 5},
        {"type": []},
        {"type": "bogus" * 10_000},
    )
    yield good | {"type": "dividend"}
    yield from (good | {"strategy": name} for name in ("", "  ", None, 7, [], "x" * 5000))
    yield {k: v for k, v in good.items() if k != "strategy"}
    yield {k: v for k, v in good.items() if k != "trade"}
    yield from (good | {"fill": part} for part in (None, 7, {}, Hostile(), Nastier(), [fill]))
    yield from ({"type": "order", "strategy": "A", "trade": part} for part in (None, {}, Hostile(), Nastier(), 7))
    yield from (
        {"type": "status_change", "strategy": "A", "trade": trade, "status": part} for part in (None, "", 7, Hostile())
    )
    yield {"type": "status_change", "strategy": "A", "trade": trade}
    yield {"type": "commission_report", "strategy": "A", "trade": trade, "fill": fill, "report": None}
    yield {"type": "commission_report", "strategy": "A", "trade": trade, "fill": None, "report": shapes.empty_report()}


def test_whatever_cannot_be_read_is_unreadable_and_can_be_written_down_r40(shapes):
    for message in broken(shapes):
        with pytest.raises(Unreadable) as caught:
            message_facts(message, NOW)
        assert str(caught.value)
        assert len(str(caught.value)) < 500
        assert len(raw_text(message).encode()) <= 64 * 1024


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.binary(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("type", "strategy", "trade", "fill", "report", "status", "execution", "contract", "order", "orderStatus", "log")


@given(st.dictionaries(st.sampled_from(KEYS), anything | st.sampled_from(["fill", "order", "status_change", "A"])))
def test_no_message_makes_anything_else_than_facts_or_unreadable(message):
    try:
        facts = message_facts(message, NOW)
    except Unreadable:
        facts = []
    assert decode_facts(encode_facts(facts)) == facts
    assert len(raw_text(message).encode()) <= 64 * 1024


def test_a_quarantined_message_can_be_read_again_from_its_text(shapes):
    fill = shapes.fill(carrying=shapes.report())
    message = {"type": "fill", "strategy": "ALPHA", "trade": shapes.trade(fills=[fill]), "fill": fill}
    assert facts_from_raw(raw_text(message), NOW) == message_facts(message, NOW)
    status = {"type": "status_change", "strategy": "ALPHA", "trade": shapes.trade(), "status": "Filled"}
    assert facts_from_raw(raw_text(status), NOW) == message_facts(status, NOW)


def test_a_large_message_is_written_down_cut_but_still_readable(shapes):
    trade = shapes.trade(fills=[shapes.fill(execId=f"a.{i}.01") for i in range(5000)])
    message = {"type": "fill", "strategy": "ALPHA", "trade": trade, "fill": shapes.fill()}
    raw = raw_text(message)
    assert len(raw) <= 64 * 1024
    assert facts_from_raw(raw, NOW)[0] == message_facts(message, NOW)[0]


@pytest.mark.parametrize(
    "raw",
    ["", "nonsense", '{"cut": "..."}', "[1, 2]", '{"wire": ["11"]}', '{"wire": 5}', '{"wire": []}', "[" * 100_000],
)
def test_what_was_not_written_down_whole_cannot_be_read_again(raw):
    with pytest.raises(Unreadable):
        facts_from_raw(raw, NOW)


EXECUTION = (
    "11\x00-1\x007\x00265598\x00AAPL\x00STK\x00\x000.0\x00\x00\x00NASDAQ\x00USD\x00AAPL\x00NMS\x000000e0d5.67fe667b.01.01"
    "\x0020240301 10:29:58 US/Eastern\x00DU1\x00NASDAQ\x00SLD\x000.1404\x00187.23\x00991\x003\x000\x000.1404\x00187.23"
    "\x00ALPHA-1\x00\x00\x00\x002"
).split("\x00")


def test_the_wires_execution_is_read_exactly_from_its_texts_r29():
    (fill,) = wire_facts(EXECUTION, NOW)
    assert (fill.quantity, fill.price, fill.order_id, fill.perm_id) == (Decimal("-0.1404"), Decimal("187.23"), 7, 991)
    assert (fill.executed_at, fill.source, fill.strategy) == (
        datetime(2024, 3, 1, 15, 29, 58, tzinfo=UTC),
        "live",
        None,
    )
    assert fill.instrument.con_id == 265598


def test_an_execution_that_answers_a_request_is_a_replay_and_newer_fields_are_read_f20():
    (fill,) = wire_facts([*EXECUTION[:1], "12", *EXECUTION[2:], "1"], NOW)
    assert (fill.source, fill.provisional_price) == ("replay", True)


def test_the_wires_commission_keeps_a_zero_and_an_unset_apart_r28():
    fields = ["59", "1", "x.01", "1.7976931348623157E308", "USD", "0.0", "1.7976931348623157E308", ""]
    (fee,) = wire_facts(fields, NOW)
    assert (fee.amount, fee.ib_realized_pnl) == (None, Decimal(0))
    (fee,) = wire_facts([*fields[:3], "0.35", "USD", "1.7976931348623157E308", "", ""], NOW)
    assert (fee.amount, fee.ib_realized_pnl) == (Decimal("0.35"), None)
