"""Colours and number formats, for light and dark.

Colours come as CSS variables that the page sets per theme, so that a table in its shadow root follows the switch
without a message to the server. Signed numbers are drawn by a template that only ever sees float64 columns; every
*text* column goes through Tabulator's ``plaintext`` formatter, which escapes. No other formatter is used on data.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from bokeh.models.widgets.tables import HTMLTemplateFormatter

from dashboard.zone import UTC_ZONE, Zone

_FONT: Final = {"fontFamily": "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif", "fontSize": 13}

THEME: Final[dict[str, Any]] = {
    "light": {
        "palette": {
            "primary": {"main": "#1f4e79", "contrastText": "#ffffff"},
            "success": {"main": "#1b6e38", "contrastText": "#ffffff"},
            "error": {"main": "#b3261e", "contrastText": "#ffffff"},
            "warning": {"main": "#8a5300", "contrastText": "#ffffff"},
            "info": {"main": "#1f5f8b", "contrastText": "#ffffff"},
            "background": {"default": "#f5f7f9", "paper": "#ffffff"},
            "text": {"primary": "#17212b", "secondary": "#4a5866"},
        },
        "typography": _FONT,
        "shape": {"borderRadius": 6},
    },
    "dark": {
        "palette": {
            "primary": {"main": "#8fc1ea", "contrastText": "#0d1720"},
            "success": {"main": "#6fd794", "contrastText": "#06210f"},
            "error": {"main": "#ff8f86", "contrastText": "#330705"},
            "warning": {"main": "#f3bb62", "contrastText": "#2b1a00"},
            "info": {"main": "#82bfee", "contrastText": "#06202f"},
            "background": {"default": "#10161c", "paper": "#161d25"},
            "text": {"primary": "#e4eaf0", "secondary": "#a9b6c2"},
        },
        "typography": _FONT,
        "shape": {"borderRadius": 6},
    },
}

CSS: Final = """
:host, :root {
  --fb-up: var(--success-bg-color, #1b6e38);
  --fb-down: var(--danger-bg-color, #b3261e);
  --fb-dim: color-mix(in srgb, var(--panel-on-background-color, #17212b) 68%, transparent);
}
"""

TABLE_CSS: Final = (
    CSS
    + """
.tabulator { font-size: 13px !important; font-variant-numeric: tabular-nums; }
.tabulator .tabulator-header .tabulator-col .tabulator-col-content { padding: 5px 8px !important; }
.tabulator .tabulator-header .tabulator-col.tabulator-sortable .tabulator-col-content {
  padding-right: 20px !important; }
.tabulator .tabulator-header .tabulator-col .tabulator-col-title { font-weight: 600;
  font-size: 12px !important; padding-right: 2px !important;
  color: var(--panel-on-background-color); }
.tabulator .tabulator-header .tabulator-header-filter input { font-size: 12px; padding: 2px 4px !important;
  color: inherit; background: transparent;
  border: 1px solid var(--border-color, #8d99a6); border-radius: 4px; }
:host(.snug) .tabulator .tabulator-header .tabulator-col .tabulator-col-content { padding: 5px 5px !important; }
:host(.snug) .tabulator .tabulator-header .tabulator-col.tabulator-sortable .tabulator-col-content {
  padding-right: 17px !important; }
:host(.snug) .tabulator .tabulator-header .tabulator-col .tabulator-col-sorter { right: -13px !important; }
:host(.snug) .tabulator .tabulator-row .tabulator-cell { padding: 3px 5px !important; }
.tabulator .tabulator-row { min-height: 27px !important; height: 28px !important; }
.tabulator .tabulator-row .tabulator-cell { padding: 3px 8px !important; height: 27px !important;
  min-height: 27px !important; font-size: 13px !important; line-height: 19px; }
.tabulator .tabulator-row .tabulator-cell.tabulator-row-header { text-overflow: clip; }
.tabulator .tabulator-row .tabulator-cell input[type=checkbox] { margin: 2px 4px; }
/* More columns beyond the edge: what it cuts must not be taken for a whole number. */
.tabulator.goes-on::after { content: "›"; position: absolute; top: 0; bottom: 0; right: 0; width: 44px; z-index: 20;
  pointer-events: none; display: flex; align-items: center; justify-content: flex-end; padding-right: 4px;
  font-size: 22px; font-weight: 700; color: var(--panel-primary-color);
  background: linear-gradient(to right, transparent, var(--panel-surface-color) 75%); }
:host(.many-pages) .tabulator.goes-on::after { bottom: 54px; }
/* A text is told on as many lines as it needs; the library would give all rows one height. */
:host(.wordy) .tabulator .tabulator-row { height: auto !important; }
:host(.wordy) .tabulator .tabulator-row .tabulator-cell { height: auto !important; vertical-align: top; }
:host(.wordy) .tabulator .tabulator-row .tabulator-cell.prose { white-space: normal; overflow-wrap: anywhere; }
.tabulator .tabulator-footer { padding: 2px !important; }
.tabulator .tabulator-placeholder { justify-content: flex-start !important; align-items: flex-start !important; }
.tabulator .tabulator-placeholder .tabulator-placeholder-contents { text-align: left !important;
  font-size: 13px !important; font-weight: 400 !important;
  color: var(--panel-on-background-color) !important; white-space: normal; padding: 14px; }
:host(:is(.unread, .live-only)) .tabulator .tabulator-placeholder .tabulator-placeholder-contents {
  font-size: 0 !important; }
:host(:is(.unread, .live-only)) .tabulator-placeholder-contents::after { font-size: 13px; }
:host(.unread) .tabulator-placeholder-contents::after { content: "Not known: it cannot be read now"; }
:host(.live-only) .tabulator-placeholder-contents::after { content: "Told for the present only: go back to live"; }
:host(.one-page) .tabulator .tabulator-footer { display: none; }
.tabulator-row .up { color: var(--fb-up); }
.tabulator-row .down { color: var(--fb-down); }
.tabulator-row .dim { color: var(--fb-dim); }
.tabulator-row .pad { visibility: hidden; }
.tabulator-row:hover :is(.up, .down, .dim) { color: inherit; }
.tabulator-row.tabulator-selected :is(.up, .down, .dim) { color: inherit; font-weight: 600; }
.tabulator-row:focus-visible { outline: 2px dashed var(--panel-primary-color); outline-offset: -2px; }
:host(.one-click) .tabulator-row { cursor: pointer; }
.tabulator-row.tabulator-selected { outline: 2px solid var(--panel-primary-color); outline-offset: -2px; }
"""
)

STATUS_COLOURS: Final = {
    # Chosen to stay apart for red-green blindness and on both backgrounds; the word always stands beside the colour.
    "PendingSubmit": "#8d99a6",
    "PreSubmitted": "#7aa6d1",
    "Submitted": "#3d85c6",
    "PartiallyFilled": "#e6a100",
    "Filled": "#2e9e5b",
    "Cancelled": "#9b6bb3",
    "Inactive": "#b05c9a",
    "PendingCancel": "#c3a6d1",
    "Rejected": "#d1433a",
    "Unknown": "#5f6b77",
}


def status_colour(status: str) -> str:
    """Colour of an order state; ``Rejected, filled 20`` is a kind of ``Rejected``."""
    return STATUS_COLOURS.get(status.partition(",")[0], STATUS_COLOURS["Unknown"])


STRATEGY_COLOURS: Final = (
    "#3d85c6",
    "#e07b00",
    "#2e9e8f",
    "#9b6bb3",
    "#c2437a",
    "#7a8b1f",
    "#5f6b77",
    "#b5651d",
    "#1f9ec2",
    "#d1433a",
)

TOTAL_COLOUR: Final = "#8a929a"

BREAK_WORDS: Final = {
    "settling": "settling – local activity is fresh",
    "suspected": "suspected – seen once",
    "confirmed": "confirmed – needs an owner",
    "explained": "explained",
    "assigned": "assigned",
    "closed": "closed",
    "reopened": "reopened – it came back",
}


def _template(
    decimals: int | str,
    least: int,
    *,
    signed: bool,
    coloured: bool,
    grouped: bool = True,
    room: int = 0,
    millions: bool = False,
) -> HTMLTemplateFormatter:
    sign = "'exceptZero'" if signed else "'auto'"

    def written(number: str, least: int, most: int | str) -> str:
        return (
            f"{number}.toLocaleString('en-US', {{signDisplay: {sign}, minimumFractionDigits: {least}, "
            f"maximumFractionDigits: {most}, useGrouping: {str(grouped).lower()}}}).replace('-', '\\u2212')"
        )

    shown = written("value", least, decimals)
    told = ""
    if millions:  # the whole number is told to whoever points at it
        told = f" title='<%= {shown} %>'"
        shown = f"(Math.abs(value) < 1e8 ? {shown} : {written('(value / 1e6)', 1, 1)} + ' M')"
    if room:  # zeros that nobody sees stand for decimals that are not there, so that the points are below each other
        unseen = f"all + '<span class=\\'pad\\'>' + '0'.repeat(Math.max(0, {room} - part.length)) + '</span>'"
        shown += f".replace(/\\.(\\d+)$/, (all, part) => {unseen})"
    css = "''"
    if coloured:  # what is written as zero is no gain and no loss
        css = f"Math.abs(value) < 0.5 / 10 ** {decimals} ? 'dim' : value > 0 ? 'up' : 'down'"
    return HTMLTemplateFormatter(
        template=(
            "<% if (typeof value !== 'number' || !isFinite(value)) { %><span class='dim' title='unknown'>—</span>"
            f"<% }} else {{ %><span class='<%= {css} %>'{told}><%= {shown} %></span><% }} %>"
        )
    )


def money(*, coloured: bool = True) -> HTMLTemplateFormatter:
    """Formatter of a signed amount of money, two decimals; unknown is a dash, never a zero."""
    return _template(2, 2, signed=coloured, coloured=coloured)


def whole() -> HTMLTemplateFormatter:
    """Formatter of a signed amount in whole units of money, for overviews; from a hundred millions on in millions."""
    return _template(0, 0, signed=True, coloured=True, millions=True)


def rounded() -> HTMLTemplateFormatter:
    """Formatter of an amount like :func:`whole`, without sign and colour."""
    return _template(0, 0, signed=False, coloured=False, millions=True)


def quantity() -> HTMLTemplateFormatter:
    """Formatter of a signed quantity, as many decimals as it has, up to eight."""
    return _template(8, 0, signed=True, coloured=True)


def price() -> HTMLTemplateFormatter:
    """Formatter of a price, two to six decimals (ten below a tenth, as of a coin), without a plus sign."""
    return _template("Math.abs(value) < 0.1 ? 10 : 6", 2, signed=False, coloured=False, room=4)


def count() -> HTMLTemplateFormatter:
    """Formatter of a plain number."""
    return _template(3, 0, signed=False, coloured=False)


def number() -> HTMLTemplateFormatter:
    """Formatter of a number that is a name, such as a code or a client id: in one piece."""
    return _template(0, 0, signed=False, coloured=False, grouped=False)


def money_text(value: float | None, currency: str = "", *, decimals: int = 2) -> str:
    """Write an amount: sign always, thousands apart, currency behind; a dash when unknown."""
    if value is None or not math.isfinite(value):
        return "—"
    rounded = round(value, decimals) + 0.0
    text = f"{rounded:+,.{decimals}f}" if rounded else f"{0:.{decimals}f}"
    return f"{text.replace('-', '−')} {currency}".strip()


def partial_sum(values: Iterable[float]) -> tuple[float | None, int]:
    """Add up what is known.

    Returns:
        (sum of the known values, number of unknown ones); the sum is ``None`` when nothing is known.
    """
    numbers = list(values)
    known = [value for value in numbers if math.isfinite(value)]
    return (sum(known) if known else None), len(numbers) - len(known)


def partial_text(value: float | None, unknown: int, currency: str = "", *, decimals: int = 2) -> str:
    """Write a sum of which some parts are unknown: the known part, and a plus with a question mark."""
    text = money_text(value, currency, decimals=decimals)
    return f"{text} + ?" if unknown and value is not None else text


def quantity_text(value: float | None) -> str:
    """Write a signed quantity without trailing zeros; a dash when unknown."""
    if value is None or not math.isfinite(value):
        return "—"
    text = f"{value:+,.8f}".rstrip("0").rstrip(".")
    return "0" if text in {"+0", "-0"} else text.replace("-", "−")


def duration_text(seconds: float | None) -> str:
    """Write a duration in the two largest units that matter."""
    if seconds is None or not math.isfinite(seconds):
        return "—"
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def time_text(at: datetime | None, zone: Zone = UTC_ZONE, *, date: bool = True) -> str:
    """Write a moment with its zone; a dash when unknown."""
    if at is None or at != at:  # noqa: PLR0124  NaT is the one value unequal to itself
        return "—"
    return zone.moment(at, "%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def plain_words(code: object) -> str:
    """A kind as a program names it, ``external_trade``, in words."""
    return str(code).replace("_", " ")


def escape(text: object) -> str:
    """Make any text harmless inside HTML; what comes from messages goes through here before it meets a tag."""
    return html.escape(str(text), quote=True)
