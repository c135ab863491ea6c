"""Facts: what was reported, frozen when it came in.

Facts are immutable, carry Decimals and aware UTC times, and have one versioned wire form (MessagePack through msgspec)
that the journal stores. The books are a fold over the sequence of facts; nothing else changes a book. They are msgspec
structs, not dataclasses: a frozen dataclass of twenty fields takes five times as long to make, and making one is most
of what intake does. They cannot form cycles, so the garbage collector need not look at them (``gc=False``).

Unknown is ``None``; an amount of zero is a reported zero.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from engine.core.instrument import Instrument

WIRE_VERSION: Final = 1

FillSource = Literal["live", "replay", "flex", "assignment"]


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="fact", gc=False):
    """Something that was reported.

    Attributes:
        received_at: When we took it in, our clock, UTC.
    """

    received_at: datetime


class Fill(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="fill"):
    """One execution as reported, or one revision of it.

    Attributes:
        account: The account the broker booked it in.
        exec_id: Broker's execution id with its revision; :func:`engine.core.ids.split_exec_id` takes it apart.
        instrument: From the execution's own contract, never from the order's (F11).
        quantity: Signed, in contracts or shares: bought positive, sold negative.
        price: As quoted by the broker, without commission; ``instrument.unit_price`` turns it into currency.
        executed_at: Broker's execution time; ``None`` when it could not be read (see ``time_text``).
        time_text: The broker's own text when ``executed_at`` is uncertain, else empty.
        strategy: The strategy the message named; ``None`` when no message named one (the ledger then asks its registry).
        cum_quantity: Unsigned quantity executed by the order so far, for gap detection (F21).
        liquidation: True when IB itself made the trade.
        provisional_price: True when the broker says that the price is still to be revised (F20).
        source: The door it came through first.
    """

    account: str
    exec_id: str
    instrument: Instrument
    quantity: Decimal
    price: Decimal
    executed_at: datetime | None = None
    time_text: str = ""
    strategy: str | None = None
    order_ref: str = ""
    perm_id: int = 0
    order_id: int = 0
    client_id: int = 0
    exchange: str = ""
    cum_quantity: Decimal | None = None
    avg_price: Decimal | None = None
    liquidation: bool = False
    provisional_price: bool = False
    source: FillSource = "live"


class Commission(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="commission"):
    """What an execution cost; joined by ``exec_id`` only, in any order of arrival.

    Attributes:
        amount: Cost positive, rebate negative, in ``currency``; ``None`` while pending (sentinels are translated to this).
        ib_realized_pnl: IB's own figure for the net account position, kept as a note and never booked (F43).
    """

    exec_id: str
    amount: Decimal | None
    currency: str = ""
    ib_realized_pnl: Decimal | None = None
    source: FillSource = "live"


class Bust(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="bust"):
    """An execution that the exchange cancelled after the fact. The fee stays (F18).

    Attributes:
        account: Account of the execution.
        exec_id: Any revision of the execution that is void.
        reason: The broker's or the operator's words.
    """

    account: str
    exec_id: str
    reason: str
    source: FillSource = "live"


OrderSource = Literal["live", "open", "completed", "error"]


class OrderUpdate(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="order"):
    """One sight of an order: what it is and which status it was reported in.

    Attributes:
        strategy: The strategy the message named; ``None`` when none did.
        side: ``BUY`` or ``SELL``.
        quantity: Unsigned total; ``None`` when the broker did not say (completed orders carry 0 for it, F59).
        limit_price: Quoted units; ``None`` for none.
        stop_price: Quoted units (IB's ``auxPrice``); ``None`` for none.
        status: The broker's word, kept as it came (unknown words are kept too, F61).
        filled: Unsigned, as reported; ``None`` when not reported.
        avg_fill_price: As reported; 0 is stored as ``None`` since IB sends 0 for "no fill" (R36).
        message: Reject or hold reason, or the error's text.
        error_code: IB's code when an error caused this sight, else 0.
        status_at: The broker's or client's time of the status; ``None`` when unknown.
        local: True when the client library invented the status (PendingSubmit, Cancelled after an error, F66).
    """

    account: str = ""
    perm_id: int = 0
    order_id: int = 0
    client_id: int = 0
    strategy: str | None = None
    order_ref: str = ""
    instrument: Instrument | None = None
    side: str = ""
    quantity: Decimal | None = None
    order_type: str = ""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    tif: str = ""
    parent_id: int = 0
    oca_group: str = ""
    status: str = ""
    filled: Decimal | None = None
    remaining: Decimal | None = None
    avg_fill_price: Decimal | None = None
    why_held: str = ""
    message: str = ""
    error_code: int = 0
    status_at: datetime | None = None
    local: bool = False
    source: OrderSource = "live"


class InstrumentDescribed(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="instrument"):
    """Contract details of the broker: the last word on multiplier and magnifier of a ``con_id``."""

    instrument: Instrument
    long_name: str = ""


class RateSeen(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="rate"):
    """An exchange rate as an account's broker values give it.

    Attributes:
        currency: The currency converted from.
        base: The account's base currency.
        rate: Units of ``base`` for one unit of ``currency``, positive.
        at: When the broker said it.
    """

    account: str
    currency: str
    base: str
    rate: Decimal
    at: datetime
    source: str = "broker"


class AssignmentLeg(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One strategy's part of an assignment.

    Attributes:
        strategy: Who gets it.
        quantity: Signed, the change of that strategy's position.
        price: Currency per unit (already unit price, not quoted); never unknown once made.
    """

    strategy: str
    quantity: Decimal
    price: Decimal


class ExecutionMove(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An execution (whole) that an assignment moves from one strategy's book to another's, with price, time and fee."""

    exec_id: str
    from_strategy: str
    to_strategy: str


class AssignmentMade(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="assignment"):
    """An operator's signed journal entry that gives a residual, or part of one, to strategies.

    Two ways in one entry: ``legs`` book new quantity that no execution explains; ``moves`` re-book executions that are
    in another book (mostly UNASSIGNED), whole.

    Attributes:
        assignment_id: Stable id, also the idempotency key.
        effective_at: Sort time of the legs in the books' order.
        price_source: How the price was chosen: ``typed``, ``mark``, ``broker_cost``, ``execution``.
        previous_hash: ``entry_hash`` of the entry before, empty for the first: the journal is hash-linked.
        entry_hash: SHA-256 over this entry's content and ``previous_hash`` (see ``recon.assign``).
    """

    assignment_id: str
    account: str
    instrument: Instrument
    legs: tuple[AssignmentLeg, ...] = ()
    moves: tuple[ExecutionMove, ...] = ()
    operator: str
    reason: str
    price_source: str = "typed"
    effective_at: datetime
    rule_id: str = ""
    previous_hash: str = ""
    entry_hash: str = ""

    @property
    def id(self) -> str:
        """The assignment's id, by the short name that callers use."""
        return self.assignment_id


class AssignmentReversed(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="reversal"):
    """Takes an assignment back; the books are as if it had never been made."""

    reversal_id: str
    assignment_id: str
    operator: str
    reason: str
    previous_hash: str = ""
    entry_hash: str = ""


class RuleSet(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="rule"):
    """An operator's visible rule "always do this", switched on or off.

    Attributes:
        rule_id: Stable id.
        order_ref: Shell pattern an order reference must match, empty for any.
        client_id: Client id that must match, ``None`` for any.
        account: Account that must match, empty for any.
        con_id: Instrument that must match, 0 for any.
        strategy: Who gets what matches.
        enabled: False switches the rule off (it stays visible).
    """

    rule_id: str
    strategy: str
    order_ref: str = ""
    client_id: int | None = None
    account: str = ""
    con_id: int = 0
    enabled: bool = True
    operator: str = ""
    reason: str = ""


class StrategiesNamed(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="strategies"):
    """The settings' strategies from now on, as a start found them.

    Attributes:
        patterns: Strategy -> shell pattern of its order references, empty for the default rule.
    """

    patterns: dict[str, str] = {}


class BreakNoted(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="break_note"):
    """An operator's owner or note on a break."""

    break_id: str
    owner: str = ""
    note: str = ""
    operator: str = ""


class ConnectionSeen(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="connection"):
    """The link to IB changed: ``connected``, ``disconnected``, ``degraded`` (1100, 2110), ``restored`` (1101, 1102).

    ``covered`` is no change of it: a statement showed a time of these accounts that no replay reached.

    Attributes:
        heard_until, replayed_from: When IB was last heard before this, and from when on it tells executions again
            (F24), UTC. ``None``: never, or nobody knows.
    """

    state: str
    epoch: int = 0
    code: int = 0
    detail: str = ""
    heard_until: datetime | None = None
    replayed_from: datetime | None = None
    accounts: tuple[str, ...] = ()


class Quarantined(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="quarantine"):
    """A message that could not be read, whole.

    Attributes:
        quarantine_id: Stable id.
        reason: Why, in words.
        raw: The content as text (JSON where it could be rendered as such, else ``repr``), at most 64 KiB.
        door: Where it came in: ``queue``, ``process_fill``, ``wrapper``, ``flex`` …
    """

    quarantine_id: str
    reason: str
    raw: str
    door: str = "queue"
    strategy: str = ""


class QuarantineClosed(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="quarantine_closed"):
    """A quarantined message was replayed (now readable) or dismissed by an operator."""

    quarantine_id: str
    outcome: Literal["replayed", "dismissed"]
    operator: str = ""


class Audited(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="audit"):
    """Who did (or tried) what: every act of an operator, refused ones included."""

    user: str
    act: str
    detail: str = ""
    allowed: bool = True


_Reported = Fill | Commission | Bust | OrderUpdate | InstrumentDescribed | RateSeen | ConnectionSeen
_Decided = AssignmentMade | AssignmentReversed | RuleSet | StrategiesNamed | BreakNoted
AnyFact = _Reported | _Decided | Quarantined | QuarantineClosed | Audited

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[AnyFact])


def encode_facts(facts: list[AnyFact]) -> bytes:
    """Write a group of facts in their wire form.

    Args:
        facts: In order.

    Returns:
        MessagePack; Decimals as text, times as RFC 3339 text, each fact tagged with its kind under ``fact``.
    """
    return _encoder.encode(facts)


def writable(facts: list[AnyFact]) -> list[AnyFact]:
    """The facts as they can be written: half a character (a lone UTF-16 surrogate) becomes its escape in text.

    Browsers and order references can carry such texts; neither the journal nor ArcticDB can hold them.
    """
    return [fact if _is_writable(fact) else _cleaned(fact) for fact in facts]


def _is_writable(fact: AnyFact) -> bool:
    try:
        _encoder.encode(fact)
    except UnicodeEncodeError:
        return False
    return True


def _cleaned(fact: AnyFact) -> AnyFact:
    plain = msgspec.to_builtins(fact, builtin_types=(Decimal, datetime))
    clean: AnyFact = msgspec.convert(without_surrogates(plain), AnyFact)
    return clean


def without_surrogates(value: Any) -> Any:
    """A text, or what holds texts, with half characters as their escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_surrogates(item) for item in value]
    return value


def decode_facts(blob: bytes) -> list[AnyFact]:
    """Read what :func:`encode_facts` wrote.

    Raises:
        msgspec.DecodeError: The blob is not a group of facts.
    """
    return _decoder.decode(blob)
