"""Reads Flex statements: XML in, one :class:`~engine.core.statement.FlexStatement` per account out. Pure.

What makes it more than a parse (facts F140-F150): a section that is absent is unknown and one that is empty is flat; a
file mixes levels of detail that count everything two to four times; one unknown code must not lose a statement; one
file carries many accounts; clock times are New York's.

Worked example: ``<OpenPositions/>`` gives ``positions=()``, the account is flat; no such element gives
``positions=None``, nobody knows.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from engine.broker import flex_rows
from engine.broker.flex_levels import book_entries, closing_positions, details, every, executions
from engine.broker.flex_options import option_events
from engine.broker.flex_xml import Problems, Row, day_first, parse_xml
from engine.core.statement import FlexStatement, StatementPosition, StatementRate
from engine.errors import Unreadable

_Out = TypeVar("_Out")

READ_SECTIONS: Final = frozenset(
    {
        "AccountInformation",
        "Trades",
        "OpenPositions",
        "OptionEAE",
        "CorporateActions",
        "Transfers",
        "TradeTransfers",
        "CashTransactions",
        "FxPositions",
        "ConversionRates",
        "SecuritiesInfo",
    }
)


def read_flex(content: bytes | str) -> tuple[FlexStatement, ...]:
    """Read one Flex file.

    Args:
        content: The file, whole.

    Returns:
        One statement per account, in the file's order. What could not be read is in their ``problems``.

    Raises:
        Unreadable: Not a Flex statement at all: garbage, another kind of XML, an error answer or "in progress" of the
            Flex web service, a document type, no statement inside.
    """
    root = parse_xml(content)
    if root.tag == "FlexStatementResponse":
        code, message = (root.findtext("ErrorCode") or "").strip(), (root.findtext("ErrorMessage") or "").strip()
        raise Unreadable(f"not a statement but an answer of the Flex web service: {code} {message}".rstrip()[:300])
    if root.tag != "FlexQueryResponse":
        raise Unreadable(f"not a Flex statement: the root element is {root.tag[:60]!r}, not 'FlexQueryResponse'")
    elements = [e for group in root.iter("FlexStatements") for e in group if e.tag == "FlexStatement"]
    if not elements:
        raise Unreadable("the Flex file contains no statement")
    slashes = day_first(root)
    statements: list[FlexStatement] = []
    for element in elements:
        statements.extend(_Reader(element, slashes, _count_problem(root, len(elements))).statements())
    return tuple(statements)


def _count_problem(root: ET.Element, found: int) -> str:
    """A wrong count means that the file was cut or joined; it is worth a word, not the statement (F144)."""
    told = [group.get("count", "") for group in root.iter("FlexStatements")]
    if all(text.isascii() and text.isdigit() for text in told) and sum(int(text[:9]) for text in told) == found:
        return ""
    return f"the file announces {', '.join(repr(t[:20]) for t in told)} statements and contains {found}"


class _Reader:
    """One ``FlexStatement`` element; a consolidated one holds the rows of several accounts (F147)."""

    def __init__(self, element: ET.Element, slashes: bool | None, count_problem: str) -> None:
        self._problems = Problems()
        self._slashes = slashes
        self._own = (element.get("accountId") or "").strip()
        self._head = self._row(element, "FlexStatement")
        if count_problem:
            self._problems.add("FlexStatements", count_problem)
        self._sections: dict[str, list[Row]] = {}
        for section in element:
            rows = self._sections.setdefault(section.tag, [])
            if section.tag == "AccountInformation":
                rows.append(self._row(section, section.tag))
            elif section.tag in READ_SECTIONS:
                rows.extend(self._row(child, section.tag) for child in _flattened(section))

    def _row(self, element: ET.Element, section: str) -> Row:
        return Row(element, section, self._problems, day_first=self._slashes)

    def statements(self) -> list[FlexStatement]:
        """One per account that has rows; the element's own account when none has.

        Raises:
            Unreadable: Neither the element nor its rows name an account.
        """
        self._note_unread()
        rows = (row for name, group in self._sections.items() if name != "AccountInformation" for row in group)
        accounts = list(dict.fromkeys(account for row in rows if (account := row.text("accountId"))))
        accounts = accounts or [self._own]
        if accounts == [""]:
            raise Unreadable("the statement names no account")
        made = [self._statement(account) for account in accounts]
        # Problems belong to the element; its first account carries them, so that each is shown once.
        made[0] = msgspec.structs.replace(made[0], problems=self._problems.all())
        return made

    def _note_unread(self) -> None:
        if "TradeConfirms" in self._sections and "Trades" not in self._sections:
            self._problems.add(
                "TradeConfirms", "trade confirmations are provisional and not read; use an activity query"
            )
        new = {(row.tag, name) for rows in self._sections.values() for row in rows for name in row.unknown_attributes()}
        for tag, name in sorted(new):
            self._problems.add(tag, f"{tag}: attribute {name[:60]!r} is new and was not read")

    def _statement(self, account: str) -> FlexStatement:
        booked = self._read("Trades", account, book_entries, flex_rows.book_leg)
        told = self._read("OptionEAE", account, every, flex_rows.option_leg)
        rates = self._read("ConversionRates", account, every, flex_rows.rate)
        moved = self._read("Transfers", account, details, flex_rows.transfer)
        given_up = self._read("TradeTransfers", account, details, flex_rows.trade_transfer)
        return FlexStatement(
            account=account,
            from_date=self._head.day("fromDate"),
            to_date=self._head.day("toDate"),
            generated_at=self._head.moment("whenGenerated")[0],
            base_currency=self._base(rates or ()),
            trades=self._read("Trades", account, executions, flex_rows.trade),
            positions=self._positions(account),
            option_events=option_events(booked or (), told or ()) if told is not None or booked else None,
            corporate_actions=self._read("CorporateActions", account, details, flex_rows.corporate_action),
            transfers=None if moved is None and given_up is None else (moved or ()) + (given_up or ()),
            cash=self._read("CashTransactions", account, details, flex_rows.cash_movement),
            fx_lots=self._read("FxPositions", account, every, flex_rows.fx_lot),
            rates=rates,
            sections=frozenset(self._sections),
        )

    def _read(
        self,
        section: str,
        account: str,
        pick: Callable[[list[Row]], list[Row]],
        make: Callable[[Row, str], _Out | None],
    ) -> tuple[_Out, ...] | None:
        rows = self._rows(section, account)
        if rows is None:
            return None
        return tuple(value for row in pick(rows) if (value := make(row, account)) is not None)

    def _rows(self, section: str, account: str) -> list[Row] | None:
        """Rows of one account; ``None`` when the section is absent. A row that names no account is the element's."""
        rows = self._sections.get(section)
        if rows is None:
            return None
        shared = section == "ConversionRates"
        return [row for row in rows if shared or (row.text("accountId") or self._own or account) == account]

    def _positions(self, account: str) -> tuple[StatementPosition, ...] | None:
        rows = self._rows("OpenPositions", account)
        return None if rows is None else closing_positions(rows, account, self._problems)

    def _base(self, rates: tuple[StatementRate, ...]) -> str:
        told = {row.currency() for row in self._sections.get("AccountInformation", ())} - {""}
        bases = told or {rate.base for rate in rates}
        return bases.pop() if len(bases) == 1 else ""


def _flattened(section: ET.Element) -> list[ET.Element]:
    """The section's rows; ``FxPositions`` wraps its rows in ``FxLots`` per currency (F148)."""
    rows: list[ET.Element] = []
    for child in section:
        rows.extend(child if child.tag == "FxLots" else [child])
    return rows
