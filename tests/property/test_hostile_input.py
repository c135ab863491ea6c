"""Hostile input: whatever comes in, nothing but the named refusal comes out, and what was refused is kept whole.

``FILLBOOK_HYPOTHESIS_EXAMPLES=100000`` makes this the long form.
"""

import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.broker.flex import read_flex
from engine.broker.translate import facts_from_raw, message_facts, raw_text
from engine.core.events import AnyFact, decode_facts, encode_facts
from engine.errors import BadRequest, SettingsError, Unreadable
from engine.office.inputs import decimal_or_none
from engine.settings import Settings
from engine.state.ledger import Ledger

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
RELAXED = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
)


def said_why(error: Exception, *names: str) -> None:
    """A refusal has words, and names what it is about."""
    assert str(error)
    assert not names or any(name in str(error) for name in names)


class Trap:
    """An object that refuses to be looked at."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"no {name} for you")

    def __str__(self) -> str:
        raise RuntimeError("not even a text")

    __repr__ = __str__


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.text(max_size=40),
    st.binary(max_size=20),
    st.sampled_from(["<script>alert(1)</script>", "'; DROP TABLE", "1e400", "-0", "\x00", "\U0001f680" * 5, "9" * 400]),
    st.builds(Trap),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def thing(**fields: object) -> st.SearchStrategy[object]:
    """An object in which any field may be sane, anything, or missing."""

    def make(values: dict[str, object]) -> SimpleNamespace:
        return SimpleNamespace(**{k: v for k, v in values.items() if v is not MISSING})

    parts = {
        name: st.one_of(st.just(value), st.just(value), anything, st.just(MISSING)) for name, value in fields.items()
    }
    return st.fixed_dictionaries(parts).map(make)


MISSING = object()
contracts = thing(
    conId=265598, symbol="AAPL", secType="STK", currency="USD", exchange="SMART", localSymbol="AAPL", multiplier="",
    lastTradeDateOrContractMonth="", strike=0.0, right="", tradingClass="NMS",
)  # fmt: skip
executions = thing(
    execId="0000e0d5.67fe667b.01.01", time=NOW, acctNumber="DU1", exchange="ARCA", side="BOT", shares=10.0, price=5.0,
    permId=7, clientId=1, orderId=3, liquidation=0, cumQty=10.0, avgPrice=5.0, orderRef="ALPHA",
)  # fmt: skip
reports = thing(execId="0000e0d5.67fe667b.01.01", commission=1.0, currency="USD", realizedPNL=0.0)
orders = thing(
    orderId=3, clientId=1, permId=7, action="BUY", totalQuantity=10.0, orderType="LMT", lmtPrice=5.0, auxPrice=0.0,
    tif="DAY", orderRef="ALPHA", account="DU1", parentId=0, ocaGroup="", filledQuantity=0.0,
)  # fmt: skip
statuses = thing(
    status="Filled", filled=10.0, remaining=0.0, avgFillPrice=5.0, permId=7, clientId=1, whyHeld="", orderId=3
)


def or_anything(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(strategy, strategy, strategy, anything)


@st.composite
def trades(draw: st.DrawFn) -> object:
    log = st.lists(or_anything(thing(time=NOW, status="Filled", message="", errorCode=0)), max_size=2)
    return SimpleNamespace(
        contract=draw(or_anything(contracts)),
        order=draw(or_anything(orders)),
        orderStatus=draw(or_anything(statuses)),
        fills=[],
        log=draw(or_anything(log)),
    )


@st.composite
def fills(draw: st.DrawFn) -> object:
    return SimpleNamespace(
        contract=draw(or_anything(contracts)),
        execution=draw(or_anything(executions)),
        commissionReport=draw(or_anything(reports)),
        time=draw(or_anything(st.just(NOW))),
    )


messages = st.one_of(
    anything,
    st.fixed_dictionaries(
        {
            "type": st.one_of(st.sampled_from(["order", "fill", "status_change", "commission_report"]), anything),
            "strategy": st.one_of(st.just("ALPHA"), anything),
            "trade": or_anything(trades()),
        },
        optional={
            "fill": or_anything(fills()),
            "report": or_anything(reports),
            "status": st.one_of(st.just("Filled"), anything),
        },
    ),
)


@RELAXED
@given(messages)
def test_a_message_becomes_facts_that_survive_wire_and_ledger_or_is_refused_by_name(message: object) -> None:
    """R12, R40: nothing but ``Unreadable`` leaves, and what was refused can be written down whole."""
    try:
        facts = message_facts(message, NOW)
    except Unreadable as error:
        said_why(error)
        raw = raw_text(message)
        assert len(raw.encode("utf-8", "replace")) <= 66_000
        return
    assert facts
    assert decode_facts(encode_facts(facts)) == facts
    ledger = Ledger()
    for seq, fact in enumerate(facts, 1):
        ledger.apply(seq, fact)
    ledger.check()
    for position in ledger.positions():
        assert position.quantity.is_finite()


@RELAXED
@given(
    st.one_of(
        st.text(max_size=300),
        st.recursive(st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=8).map(
            json.dumps
        ),
    )
)
def test_a_quarantined_text_is_read_again_or_refused_by_name(raw: str) -> None:
    try:
        facts = facts_from_raw(raw, NOW)
    except Unreadable as error:
        said_why(error)
        return
    assert all(isinstance(f, msgspec.Struct) for f in facts)


FLEX = (
    '<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="1"><FlexStatement accountId="U1"'
    ' fromDate="2026-03-02"'
    ' toDate="2026-03-02" period="x" whenGenerated="2026-03-03;05:00:00"><Trades><Trade accountId="U1" conid="265598"'
    ' symbol="AAPL" assetCategory="STK" currency="USD" quantity="10" tradePrice="5" buySell="BUY" tradeID="1"'
    ' ibExecID="a.b.01.01" dateTime="2026-03-02;10:00:00" ibCommission="-1" ibCommissionCurrency="USD"'
    ' levelOfDetail="EXECUTION"/></Trades></FlexStatement></FlexStatements></FlexQueryResponse>'
)


@RELAXED
@given(
    st.one_of(
        st.binary(max_size=400),
        st.tuples(st.integers(0, len(FLEX) - 1), st.integers(0, 30), st.text(max_size=12)).map(
            lambda cut: FLEX[: cut[0]] + cut[2] + FLEX[cut[0] + cut[1] :]
        ),
    )
)
def test_a_damaged_statement_is_read_or_refused_by_name(content: bytes | str) -> None:
    """F144: one strange row never loses a statement, and garbage is called garbage."""
    try:
        statements = read_flex(content)
    except Unreadable as error:
        said_why(error)
        return
    for statement in statements:
        for trade in statement.trades or ():
            assert trade.quantity is None or trade.quantity.is_finite()


@given(
    st.one_of(
        st.none(), st.text(max_size=30), st.floats(), st.integers(), st.decimals(allow_nan=False, allow_infinity=False)
    )
)
def test_a_typed_number_is_exact_or_refused_by_name(value: object) -> None:
    try:
        number = decimal_or_none(value, "price")  # type: ignore[arg-type]
    except BadRequest as error:
        said_why(error, "price")
        return
    if value is None:
        assert number is None
    else:
        assert number is not None
        assert number.is_finite()
        if isinstance(value, float) and math.isfinite(value):
            assert number == Decimal(repr(value))


@given(
    st.dictionaries(
        st.sampled_from(
            [
                f"FILLBOOK_{n}"
                for n in (
                    "IB_PORT",
                    "SETTLE_S",
                    "CONFIRM_RUNS",
                    "TOLERANCE_QUANTITY",
                    "ARCTIC_URI",
                    "BASE_CURRENCY",
                    "STRATEGIES",
                    "DEMO",
                    "EVENTS_URL",
                    "NONSENSE",
                )
            ]
        ),
        st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20),
        max_size=4,
    )
)
def test_a_bad_setting_is_refused_with_its_name_and_what_is_allowed(environ: dict[str, str]) -> None:
    try:
        made = Settings.from_env(environ)
    except SettingsError as error:
        said_why(error, *environ)
        return
    assert 1 <= made.ib_port <= 65535
    assert made.tolerance_quantity >= 0


@pytest.mark.parametrize(
    "words", [["\x1b[31m"], ["verify", "--nonsense"], ["import-flex"], ["quarantine", "--replay"], ["💥"]]
)
def test_nonsense_on_the_command_line_ends_with_status_2_and_no_traceback(words: list[str], tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_the_union_of_facts_is_what_the_wire_reads() -> None:
    assert AnyFact is not None
    with pytest.raises(msgspec.DecodeError):
        decode_facts(b"\xc1garbage")
