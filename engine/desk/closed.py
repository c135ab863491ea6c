"""A closed day as a value: its lines, its seal, and its shapes for the store, CSV and HTML.

The digest is SHA-256 over the whole content, the digest of the previous close included, so the closes of an account
form a chain: changing one shows in it, and in every later one.
"""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from engine.core.exact import ZERO, add
from engine.core.instrument import PERCENT_OF_PAR
from engine.errors import Unreadable

CloseStatus = Literal["closed", "overruled", "provisional"]


class CloseLine(msgspec.Struct, frozen=True, kw_only=True):
    """One book over the days that the close covers.

    Attributes:
        bought: Quantity of executions, positive. ``sold``: negative.
        turnover: Instrument currency, unsigned, multiplier included.
        adjusted: Signed quantity that operators assigned. ``restated``: that became known only after earlier closes.
        closing_cost: Signed total cost of what is open, instrument currency, without commission.
        realized: Of these days, gross, instrument currency; restatements of earlier days included.
        fees: Of these days, per currency, cost positive; only what is known; late ones of earlier days included.
        realized_restated, fees_restated: What of ``realized`` and ``fees`` belongs to days that had been closed before.
        unrealized: Instrument currency; 0 when flat, ``None`` without a mark.
        fx_rate: Base units per unit of ``currency``; ``None`` when unknown, then base figures are ``None`` too.
    """

    strategy: str
    account: str
    con_id: int
    symbol: str
    local_symbol: str = ""
    sec_type: str = ""
    currency: str = ""
    multiplier: Decimal = Decimal(1)
    opening_quantity: Decimal = ZERO
    opening_cost: Decimal = ZERO
    trades: int = 0
    bought: Decimal = ZERO
    sold: Decimal = ZERO
    turnover: Decimal = ZERO
    adjusted: Decimal = ZERO
    restated: Decimal = ZERO
    closing_quantity: Decimal = ZERO
    closing_cost: Decimal = ZERO
    avg_cost: Decimal | None = None
    realized: Decimal = ZERO
    realized_to_date: Decimal = ZERO
    fees: dict[str, Decimal] = {}
    fees_to_date: dict[str, Decimal] = {}
    fees_pending: int = 0
    market_price: Decimal | None = None
    market_at: datetime | None = None
    unrealized: Decimal | None = None
    fx_rate: Decimal | None = None
    fx_at: datetime | None = None
    realized_base: Decimal | None = None
    unrealized_base: Decimal | None = None
    realized_restated: Decimal = ZERO
    fees_restated: dict[str, Decimal] = {}

    @property
    def is_idle(self) -> bool:
        """True for a book that never held or earned anything."""
        return not (
            self.opening_quantity
            or self.closing_quantity
            or self.trades
            or self.adjusted
            or self.restated
            or self.realized_to_date
            or self.realized
            or self.fees_to_date
            or self.fees
        )

    def shown(self, name: str) -> Any:
        """One figure as people see it: what a bond made is not known in money (F88), though the books count it on."""
        value = getattr(self, name)
        unknown = name in _EARNED and self.sec_type in PERCENT_OF_PAR
        return None if unknown and value else value


class CloseTie(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument: strategies + unassigned + difference = broker."""

    account: str
    con_id: int
    symbol: str
    strategies: Decimal
    unassigned: Decimal
    broker: Decimal
    difference: Decimal


class DayClose(msgspec.Struct, frozen=True, kw_only=True):
    """One account's closed day.

    Attributes:
        close_id: ``<account>:<day>:<version>``.
        day: New York's calendar day. ``from_day``: the first one covered, after the previous close.
        status: ``overruled`` when there were ``obstacles``; ``provisional`` when the day was not over.
        ties: ``None`` when the broker's positions were unknown.
        previous_digest: Of the account's close of the last earlier day, empty for the first.
        replaces_digest: Of the close of this same day that this one replaces, else empty.
        digest: See the module.
    """

    close_id: str
    day: date
    from_day: date
    account: str
    status: CloseStatus
    operator: str
    closed_at: datetime
    base_currency: str
    lines: tuple[CloseLine, ...]
    ties: tuple[CloseTie, ...] | None
    obstacles: tuple[str, ...] = ()
    overrule_reason: str = ""
    version: int = 1
    previous_digest: str = ""
    replaces_digest: str = ""
    digest: str = ""


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy's sums in one currency.

    Attributes:
        realized: ``None`` when one of its lines is quoted in percent of par, and made something.
        unrealized: ``None`` when one of its lines has no mark.
    """

    strategy: str
    currency: str
    realized: Decimal | None
    unrealized: Decimal | None
    fees: Decimal


_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decoder: Final = msgspec.json.Decoder(DayClose)


def sealed(close: DayClose) -> DayClose:
    """The close with its digest."""
    bare = msgspec.to_builtins(msgspec.structs.replace(close, digest=""))
    for line in bare["lines"]:
        # Nothing restated leaves no trace, so that closes of before there was this distinction keep their seal.
        if close_is_plain(line):
            del line["realized_restated"], line["fees_restated"]
    return msgspec.structs.replace(close, digest=hashlib.sha256(_encoder.encode(bare)).hexdigest())


def close_is_plain(line: Mapping[str, Any]) -> bool:
    """True for a line (as plain values) in which nothing of earlier days was restated."""
    return not line["fees_restated"] and Decimal(line["realized_restated"]) == ZERO


def verify_closes(closes: Iterable[DayClose]) -> list[str]:
    """Check seals and links.

    Args:
        closes: In stored order, of any accounts.

    Returns:
        What is wrong, in words; nothing when the chain holds.
    """
    wrong: list[str] = []
    known: set[str] = set()
    for close in closes:
        if sealed(close).digest != close.digest:
            wrong.append(f"{close.close_id}: the content does not match its digest")
        for name, digest in (("previous", close.previous_digest), ("replaced", close.replaces_digest)):
            if digest and digest not in known:
                wrong.append(f"{close.close_id}: its {name} close is not among the ones before it")
        known.add(close.digest)
    return wrong


def latest_closes(closes: Iterable[DayClose], account: str, day: date) -> tuple[DayClose | None, DayClose | None]:
    """What a close of that day builds on.

    Returns:
        The account's last close of an earlier day, and the close of this very day that would be replaced.
    """
    mine = [c for c in closes if c.account == account]
    earlier = max((c for c in mine if c.day < day), key=lambda c: (c.day, c.version), default=None)
    same = max((c for c in mine if c.day == day), key=lambda c: c.version, default=None)
    return earlier, same


def close_columns(closes: Sequence[DayClose], seq: int) -> tuple[dict[str, list[Any]], list[datetime]]:
    """Rows of ``reconciliations/closes`` and their ``recorded_at``."""
    columns: dict[str, list[Any]] = {
        "close_id": [c.close_id for c in closes],
        "date": [c.day.isoformat() for c in closes],
        "account": [c.account for c in closes],
        "status": [c.status for c in closes],
        "operator": [c.operator for c in closes],
        "reason": [c.overrule_reason for c in closes],
        "statement": [_encoder.encode(c).decode() for c in closes],
        "seq": [seq] * len(closes),
        "timestamp": [c.closed_at for c in closes],
        "extra": [json.dumps({"digest": c.digest, "previous": c.previous_digest}) for c in closes],
    }
    return columns, [c.closed_at for c in closes]


def read_closes(statements: Iterable[str]) -> list[DayClose]:
    """The stored ``statement`` texts as closes, in stored order.

    Raises:
        Unreadable: A text is not a close.
    """
    found = []
    for text in statements:
        try:
            found.append(_decoder.decode(text))
        except msgspec.DecodeError as error:
            raise Unreadable(f"a stored day close cannot be read: {error}") from error
    return found


def close_summaries(closes: Iterable[DayClose]) -> list[dict[str, Any]]:
    """One row per close for a screen: ``date, account, status, operator, overrule_reason, digest, closed_at …``."""
    return [
        {
            "close_id": c.close_id,
            "date": c.day.isoformat(),
            "account": c.account,
            "status": c.status,
            "operator": c.operator,
            "overrule_reason": c.overrule_reason,
            "obstacles": "; ".join(c.obstacles),
            "digest": c.digest,
            "previous_digest": c.previous_digest,
            "closed_at": c.closed_at,
        }
        for c in closes
    ]


def totals(close: DayClose) -> list[Total]:
    """Sums per strategy and currency; a fee counts under its own currency, which needs not be the instrument's."""
    sums: dict[tuple[str, str], list[Any]] = {}
    for line in close.lines:
        entry = sums.setdefault((line.strategy, line.currency), [ZERO, ZERO, ZERO])
        made = line.shown("realized")
        entry[0] = None if entry[0] is None or made is None else add(entry[0], made)
        entry[1] = None if entry[1] is None or line.unrealized is None else add(entry[1], line.unrealized)
        for currency, amount in line.fees.items():
            paid = sums.setdefault((line.strategy, currency), [ZERO, ZERO, ZERO])
            paid[2] = add(paid[2], amount)
    return [
        Total(strategy=strategy, currency=currency, realized=realized, unrealized=unrealized, fees=fees)
        for (strategy, currency), (realized, unrealized, fees) in sorted(sums.items())
    ]


_LINE_COLUMNS: Final = (
    "strategy",
    "account",
    "symbol",
    "local_symbol",
    "sec_type",
    "con_id",
    "currency",
    "opening_quantity",
    "trades",
    "bought",
    "sold",
    "adjusted",
    "restated",
    "closing_quantity",
    "avg_cost",
    "market_price",
    "realized",
    "unrealized",
    "realized_restated",
    "fees",
    "fees_restated",
    "fees_pending",
    "fx_rate",
    "realized_base",
    "unrealized_base",
)
_TIE_COLUMNS: Final = ("account", "symbol", "con_id", "strategies", "unassigned", "broker", "difference")
_TOTAL_COLUMNS: Final = ("strategy", "currency", "realized", "unrealized", "fees")
_EARNED: Final = frozenset({"realized", "realized_restated", "realized_base"})
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def to_csv(close: DayClose) -> str:
    """The lines as CSV, exact decimals, unknown empty; a text that a spreadsheet would run as a formula is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("day", "close_id", "status", *_LINE_COLUMNS))
    for line in close.lines:
        cells = [_cell(line.shown(name)) for name in _LINE_COLUMNS]
        head = (close.day.isoformat(), close.close_id, close.status)
        writer.writerow([*map(_plain, head), *cells])
    return out.getvalue()


def _cell(value: object) -> str:
    return _plain(value) if isinstance(value, str) else _text(value)


def _plain(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA) else text


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return "; ".join(f"{amount:f} {currency}" for currency, amount in sorted(value.items()))
    return str(value)


def to_html(close: DayClose) -> str:
    """The whole close as one page that needs nothing else; everything in it is escaped."""
    title = f"Day close {close.day.isoformat()} {close.account}"
    facts = [
        ("Status", close.status),
        ("Covers", f"{close.from_day.isoformat()} to {close.day.isoformat()} (New York)"),
        ("Closed", f"{close.closed_at.isoformat()} by {close.operator}"),
        ("Closed in spite of", "; ".join(close.obstacles)),
        ("Because", close.overrule_reason),
        ("Base currency", close.base_currency or "unknown"),
        ("Digest", close.digest),
        ("Digest of the previous close", close.previous_digest or "none: the first"),
    ]
    heads = "".join(f"<tr><th>{_escape(k)}</th><td>{_escape(v)}</td></tr>" for k, v in facts if v)
    parts = [
        f"<h1>{_escape(title)}</h1><table>{heads}</table>",
        "<h2>Strategies</h2>" + _table(_TOTAL_COLUMNS, totals(close)),
        "<h2>Positions</h2>" + _table(_LINE_COLUMNS, close.lines),
        "<h2>Tie-out to the broker</h2>",
        "<p>The broker's positions were unknown.</p>" if close.ties is None else _table(_TIE_COLUMNS, close.ties),
    ]
    style = (
        "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse;margin:1em 0}"
        "th,td{border:1px solid #bbb;padding:3px 8px;text-align:left}td.n{text-align:right}"
    )
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{_escape(title)}</title>'
        f"<style>{style}</style></head><body>{''.join(parts)}</body></html>"
    )


def _table(names: Sequence[str], rows: Iterable[object]) -> str:
    head = "".join(f"<th>{_escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join("<tr>" + "".join(_td(_shown(row, name)) for name in names) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _shown(row: object, name: str) -> object:
    return row.shown(name) if isinstance(row, CloseLine) else getattr(row, name)


def _td(value: object) -> str:
    kind = ' class="n"' if isinstance(value, (Decimal, int)) else ""
    return f"<td{kind}>{_escape(_text(value))}</td>"


def _escape(text: object) -> str:
    return html.escape(str(text), quote=True)
