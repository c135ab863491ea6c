"""The lowest layer of the Flex reader: safe XML, and rows whose every attribute survives.

`ibflex` knows the types of some nine hundred attributes, but one unknown enum value, note code or currency makes it
give up the whole statement (F144). So it is asked attribute by attribute; what it refuses stays as the text IB sent and
is reported. Attributes it does not know are kept as text as well.

Entity bombs: a statement has no document type, so any ``<!DOCTYPE`` is refused before an entity could be declared.
"""

from __future__ import annotations

import enum
import hashlib
import re
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from ibflex import Types, parser

from engine.core.statement import StatementProblem
from engine.errors import Unreadable

NEW_YORK: Final = ZoneInfo("America/New_York")
MAX_BYTES: Final = 256 * 1024 * 1024
RAW_LIMIT: Final = 64 * 1024
NULL_WORDS: Final = frozenset({"", "-", "--", "N/A"})
_CLOSE: Final = time(16, 0)
_BIGGEST_EXPONENT: Final = 30
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2200
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}|[;, T]\d{6}")
_OFFSET: Final = re.compile(r"\d{2}:?\d{2}:?\d{2}\s*([+-])(\d{2}):?(\d{2})$")
_NUMBER: Final = re.compile(r"[+-]?(?:(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$", re.ASCII)
_SLASHED: Final = re.compile(r"^(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})(?=$|[;, T])")


class _NoDoctype(ET.TreeBuilder):
    """Builds the tree, and stops at a document type before any entity of it is read."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse.

        Raises:
            Unreadable: Always.
        """
        raise Unreadable(f"the file declares a document type ({name[:40]!r}), which no Flex statement does: refused")


def parse_xml(content: bytes | str) -> ET.Element:
    """Read XML without trusting it.

    Args:
        content: The file or the answer, whole.

    Raises:
        Unreadable: Empty, too large, not XML, or with a document type.
    """
    if len(content) > MAX_BYTES:
        raise Unreadable(f"the file is larger than {MAX_BYTES // 1024**2} MiB")
    stripped = content.strip()
    if not stripped:
        raise Unreadable("the file is empty")
    reader = ET.XMLParser(target=_NoDoctype())  # noqa: S314 - document types, the way in for bombs, are refused above
    try:
        reader.feed(stripped)
        root = reader.close()
    except (ET.ParseError, ValueError, LookupError) as error:  # the latter two: encodings that do not exist or differ
        raise Unreadable(f"not XML: {error}") from error
    if not isinstance(root, ET.Element):
        raise Unreadable("not XML: no root element")
    return root


class Problems:
    """Collects what could not be read, each thing once."""

    def __init__(self) -> None:
        self._found: dict[str, StatementProblem] = {}

    def add(self, section: str, text: str, *, element: ET.Element | None = None, lost: bool = False) -> None:
        """Note one problem: a lost row each time, anything else once (with the first row that has it)."""
        raw = raw_text(element) if element is not None else ""
        identity = (section, text, raw if lost else "")
        key = "flex-" + hashlib.sha256("\x1f".join(identity).encode("utf-8", "surrogatepass")).hexdigest()[:24]
        self._found.setdefault(key, StatementProblem(key=key, section=section, text=text, lost=lost, raw=raw))

    def all(self) -> tuple[StatementProblem, ...]:
        """In order of discovery."""
        return tuple(self._found.values())


def raw_text(element: ET.Element) -> str:
    """The row as XML, cut at 64 KiB."""
    return ET.tostring(element, encoding="unicode").strip()[:RAW_LIMIT]


class Row:
    """One data element, read attribute by attribute.

    Attributes:
        tag: The element's name.
        element: The element itself, for its raw text.
    """

    def __init__(self, element: ET.Element, section: str, problems: Problems, *, day_first: bool | None) -> None:
        self.tag = element.tag
        self.element = element
        self._section = section
        self._problems = problems
        self._day_first = day_first
        self._type: type | None = getattr(Types, element.tag, None)

    def text(self, name: str) -> str:
        """The attribute as IB wrote it, empty when absent or one of IB's words for nothing (F149)."""
        value = self.element.get(name, "").strip()
        return "" if value in NULL_WORDS else value

    def word(self, name: str) -> str:
        """The attribute as a word `ibflex` knows; a word it does not know is reported and given as it came."""
        value = self.text(name)
        known = self._convert(name, value, "is not a word known") if value else None
        return str(known.value) if isinstance(known, enum.Enum) else value

    def codes(self, name: str) -> tuple[str, ...]:
        """IB's codes (notes), unknown ones reported and kept."""
        value = self.text(name)
        if not value:
            return ()
        known = self._convert(name, value, "has a code that is not known")
        if isinstance(known, tuple):
            return tuple(str(code.value) for code in known)
        return tuple(part.strip() for part in re.split("[;,]", value) if part.strip())

    def number(self, name: str) -> Decimal | None:
        """The attribute as a number; ``None`` when absent, null, or no number (reported)."""
        value = self.text(name)
        if not value:
            return None
        if _NUMBER.match(value):
            found = self._convert(name, value, "is not a number") if self._knows(name) else None
            if not isinstance(found, Decimal):
                found = Decimal(value.replace(",", ""))
            if abs(found.adjusted()) <= _BIGGEST_EXPONENT:
                return found
        self.report(f"{name}={value[:40]!r} is not a usable number")
        return None

    def whole(self, name: str) -> int:
        """The attribute as an id; 0 when absent or no whole number (reported)."""
        value = self.text(name)
        if not value:
            return 0
        if value.isascii() and value.isdigit() and len(value) <= 18:
            return int(value)
        self.report(f"{name}={value[:40]!r} is not an id")
        return 0

    def currency(self, name: str = "currency") -> str:
        """The attribute as a currency; one that is not known is reported and kept."""
        value = self.text(name)
        if value:
            self._convert(name, value, "is not a currency known")
        return value

    def day(self, name: str) -> date | None:
        """The attribute as a calendar day; ``None`` when absent or unreadable (reported)."""
        found = self._moment(name)
        return found.date() if found is not None else None

    def moment(self, name: str) -> tuple[datetime | None, str]:
        """The attribute as a moment.

        Returns:
            The moment in UTC (New York's clock is meant when no offset is given, F143), and the text IB sent when the
            moment is uncertain: a day without a time of day counts as 16:00, an hour that the change of clocks
            repeats or skips counts as the earlier reading.
        """
        value = self.text(name)
        found = self._moment(name)
        if found is None:
            return None, value
        if not _CLOCK.search(value):
            return datetime.combine(found.date(), _CLOSE, NEW_YORK).astimezone(UTC), value
        offset = _OFFSET.search(value)
        if offset:
            sign = 1 if offset[1] == "+" else -1
            return (found - sign * timedelta(hours=int(offset[2]), minutes=int(offset[3]))).replace(tzinfo=UTC), ""
        local = found.replace(tzinfo=NEW_YORK)
        certain = local.utcoffset() == local.replace(fold=1).utcoffset()
        return local.astimezone(UTC), "" if certain and not self._slashes_unclear(value) else value

    def _moment(self, name: str) -> datetime | None:
        value = self.text(name)
        if not value or value == "MULTI":
            return None
        found = self._convert(name, self._american(value), "is not a date")
        if isinstance(found, date) and not isinstance(found, datetime):
            found = datetime.combine(found, time())
        if not isinstance(found, datetime):
            return None
        if _FIRST_YEAR <= found.year <= _LAST_YEAR:
            return found
        self.report(f"{name}={value[:40]!r} is not a date of our times")
        return None

    def _american(self, value: str) -> str:
        """Turn dd/MM/yyyy into the MM/dd/yyyy that `ibflex` takes every slash for."""
        slashed = _SLASHED.match(value)
        if not slashed:
            return value
        if self._day_first is None:
            self._problems.add("dates", "dates with slashes do not tell day from month; set yyyy-MM-dd in the query")
        if not self._day_first:
            return value
        return f"{slashed[2]}/{slashed[1]}/{slashed[3]}{value[slashed.end() :]}"

    def _slashes_unclear(self, value: str) -> bool:
        return self._day_first is None and bool(_SLASHED.match(value))

    def _convert(self, name: str, value: str, complaint: str) -> object | None:
        """Ask `ibflex`; ``None`` (and a report) when it refuses."""
        if self._type is None or not self._knows(name):
            return None
        try:
            found: object = parser.parse_element_attr(self._type, name, value)[1]  # type: ignore[arg-type]
        except parser.FlexParserError:
            self.report(f"{name}={value[:60]!r} {complaint}")
            return None
        return found

    def _knows(self, name: str) -> bool:
        return self._type is not None and name in self._type.__annotations__

    def report(self, text: str, *, lost: bool = False) -> None:
        """Note a problem of this row."""
        self._problems.add(self._section, f"{self.tag}: {text}", element=self.element, lost=lost)

    def unknown_attributes(self) -> list[str]:
        """Names `ibflex` does not know; they are new, and kept only as raw text."""
        return [name for name in self.element.attrib if not self._knows(name)]


def day_first(root: ET.Element) -> bool | None:
    """Which of dd/MM and MM/dd a file with slashes uses: the first day above 12 tells.

    Returns:
        True for dd/MM, False for MM/dd, ``None`` when nothing tells (or the file contradicts itself).
    """
    answers: set[bool] = set()
    for element in root.iter():
        for value in element.attrib.values():
            slashed = _SLASHED.match(value)
            if slashed and max(int(slashed[1]), int(slashed[2])) > 12:
                answers.add(int(slashed[1]) > 12)
    return answers.pop() if len(answers) == 1 else None
