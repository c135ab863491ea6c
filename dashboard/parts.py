"""Small pieces that all screens share: sections, headings, notices, tiles, and the base class of a screen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any, ClassVar, Final

import panel as pn
from panel.viewable import Viewable, Viewer

from dashboard import theme
from dashboard.desk import Desk
from dashboard.grid import Grid
from dashboard.model import SessionState
from dashboard.picture import Picture
from dashboard.theme import escape, time_text
from dashboard.zone import Zone

log = logging.getLogger(__name__)

CARD = {
    "background": "var(--panel-surface-color)",
    "border": "1px solid color-mix(in srgb, var(--panel-on-background-color, #17212b) 18%, transparent)",
    "border-radius": "8px",
    "padding": "10px 14px 14px",
}

PART_NAMES: Final = {
    "ages": "ages of the accounts' answers",
    "broker": "connection",
    "closes": "closed days",
    "expired": "expired holdings",
    "fees": "pending fees",
    "locks": "soft locks",
    "portfolio": "broker's positions",
    "square": "comparison with the broker",
}
"""Parts of the picture whose own name would tell a reader nothing."""

TEXT_CSS = (
    theme.CSS
    + """
:host { font-size: 13px; }
h1 { font-size: 20px; margin: 0; font-weight: 650; }
h2 { font-size: 15px; margin: 2px 0 6px; font-weight: 650; }
p { margin: 2px 0; }
.dim { color: var(--fb-dim); }
.up { color: var(--fb-up); } .down { color: var(--fb-down); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; }
.tile { border: 1px solid color-mix(in srgb, var(--panel-on-background-color) 18%, transparent);
  border-left: 5px solid var(--fb-dim); border-radius: 8px;
  padding: 8px 12px; background: var(--panel-surface-color); min-width: 0; }
.tile.good { border-left-color: var(--fb-up); } .tile.bad { border-left-color: var(--fb-down); }
.tile.warn { border-left-color: #d58a00; }
button.tile { font: inherit; color: inherit; text-align: left; cursor: pointer;
  display: flex; flex-direction: column; }
button.tile:hover { background: color-mix(in srgb, var(--panel-primary-color) 8%, var(--panel-surface-color)); }
button.tile:focus-visible { outline: 3px solid var(--panel-primary-color); outline-offset: 1px; }
.tile > span { display: block; }
.tile .label { font-size: 12px; color: var(--fb-dim); }
.tile .value { font-size: 20px; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile .value.long { font-size: 15px; line-height: 24px; }
.keys { display: flex; flex-wrap: wrap; gap: 3px 14px; font-size: 12px; }
.key { display: inline-flex; align-items: center; gap: 6px; overflow-wrap: anywhere; }
.key > span { flex: none; width: 14px; height: 3px; border-radius: 2px; }
.tile .more { font-size: 12px; color: var(--fb-dim); overflow-wrap: anywhere; }
.notice { padding: 8px 12px; border-radius: 6px; border-left: 5px solid; margin: 2px 0; overflow-wrap: anywhere; }
.notice.error { border-color: var(--fb-down); background: color-mix(in srgb, var(--fb-down) 12%, transparent); }
.notice.warn { border-color: #d58a00; background: color-mix(in srgb, #d58a00 14%, transparent); }
.notice.good { border-color: var(--fb-up); background: color-mix(in srgb, var(--fb-up) 12%, transparent); }
.notice.info { border-color: var(--panel-primary-color);
  background: color-mix(in srgb, var(--panel-primary-color) 10%, transparent); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 14px; margin: 0; }
dt { color: var(--fb-dim); } dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 260px; overflow: auto; }
"""
)


def text(html: str = "", **params: Any) -> pn.pane.HTML:
    """A pane for HTML that we wrote; whatever comes from data is escaped by the caller."""
    wide = {} if "width" in params else {"sizing_mode": "stretch_width"}
    return pn.pane.HTML(html, stylesheets=[TEXT_CSS], margin=params.pop("margin", (2, 0)), **wide, **params)


def progress() -> pn.pane.HTML:
    """A bar that says that something takes its time; invisible until it does."""
    return text('<progress aria-label="In progress" style="width:100%;height:8px"></progress>', visible=False)


def section(title: str, *objects: Any, **params: Any) -> pn.Column:
    """A card with a heading."""
    styles = CARD | params.pop("styles", {})
    head = [text(f"<h2>{escape(title)}</h2>")] if title else []
    return pn.Column(
        *head,
        *objects,
        styles=styles,
        sizing_mode="stretch_width",
        margin=params.pop("margin", (0, 0, 12, 0)),
        **params,
    )


def side_by_side(*columns: Any, least: int = 420, shares: tuple[tuple[int, int], ...] = ()) -> pn.FlexBox:
    """Columns beside each other that wrap on a narrow window.

    Args:
        columns: From left to right.
        least: Pixels that each of them needs.
        shares: Where they are not alike: how much each gets of the width left, and the pixels that it needs.
    """
    for column, (grow, basis) in zip(columns, shares or ((1, least),) * len(columns), strict=True):
        column.styles = {**column.styles, "flex": f"{grow} 1 {basis}px", "min-width": "0", "box-sizing": "border-box"}
    return pn.FlexBox(*columns, gap="12px", sizing_mode="stretch_width", align_items="start", margin=0)


def tile(label: str, value: str, more: str = "", state: str = "", go: str = "") -> str:
    """One figure; all three texts are escaped. ``go`` names the screen behind it, which a click opens."""
    size = "value long" if len(value) > 12 else "value"
    inner = (
        f'<span class="label">{escape(label)}</span><span class="{size}">{escape(value)}</span>'
        f'<span class="more">{escape(more)}</span>'
    )
    if not go:
        return f'<div class="tile {state}">{inner}</div>'
    return f'<button type="button" class="tile {state}" data-go="{escape(go)}">{inner}</button>'


def tiles(entries: Iterable[str]) -> str:
    """Tiles in a row that wraps."""
    return f'<div class="tiles">{"".join(entries)}</div>'


def notice(kind: str, words: object) -> str:
    """A coloured line; ``kind`` is error, warn, good or info, and the words say it too."""
    return f'<div class="notice {kind}" role="status">{escape(words)}</div>'


def not_live(moment: datetime, zone: Zone, more: str) -> str:
    """The sign that the page shows the past."""
    return (
        '<div class="notice warn" role="alert" style="font-size:15px;font-weight:700">NOT LIVE – books as of '
        f"{escape(time_text(moment, zone))}. Acts are off; the bar at the top stays live. {escape(more)}</div>"
    )


def present_only() -> str:
    """What stands in the place of a screen that cannot show the past."""
    return notice("info", "This screen is told for the present only, and its acts are off. Go back to live to see it.")


def pairs(entries: Iterable[tuple[str, object]]) -> str:
    """A definition list; both sides are escaped."""
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in entries) + "</dl>"


def unread(picture: Picture, needs: Iterable[str]) -> list[str]:
    """One line for each reason why parts could not be read, with the parts that it is true of."""
    reasons: dict[str, list[str]] = {}
    for name in sorted(set(needs) & picture.errors.keys()):
        reasons.setdefault(picture.errors[name], []).append(PART_NAMES.get(name, name))
    return [
        notice("error", f"Cannot be read now – {', '.join(names)}: {why}. What is below of it may be old.")
        for why, names in reasons.items()
    ]


class Screen(Viewer):
    """One screen of one session: built when it is first opened, refreshed while it is on show.

    Attributes:
        title: Its heading.
        needs: Parts of the picture it draws from.
        travels: True when it can show a past moment.
        zone: What its times are shown in; the page makes its screens anew when another one is chosen.
    """

    title: ClassVar[str] = ""
    needs: ClassVar[frozenset[str]] = frozenset()
    travels: ClassVar[bool] = False

    def __init__(self, desk: Desk, **params: Any) -> None:
        super().__init__(**params)
        self.desk = desk
        self.zone = desk.state.clock
        self.errors = text(visible=False)
        self._stamps: dict[str, object] = {}
        self._followed: object = None
        self._trouble = ""
        self.body = self.build()
        self._page = pn.Column(self.errors, self.body, sizing_mode="stretch_width", margin=0)

    @property
    def state(self) -> SessionState:
        """What the session looks at."""
        return self.desk.state

    def __panel__(self) -> Viewable:
        return self._page

    def build(self) -> Viewable:
        """Make the widgets, once."""
        raise NotImplementedError

    def refresh(self, picture: Picture) -> None:
        """Bring the widgets up to date."""
        raise NotImplementedError

    def draw(self, picture: Picture) -> None:
        """Refresh, and show which parts could not be read."""
        words = "".join(unread(picture, self.needs)) + self._trouble
        for grid in (thing for thing in vars(self).values() if isinstance(thing, Grid) and thing.part):
            grid.doubt("unread" if grid.part in picture.errors else "live-only" if picture.lacks(grid.part) else "")
        if words != self.errors.object:
            self.errors.param.update(object=words, visible=bool(words))
        self.refresh(picture)

    def fetch(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run what reads in a thread and then shows; what goes wrong stands above the screen until it works again."""

        async def guarded() -> None:
            try:
                await work()
            except Exception as error:
                log.exception("A part of the screen %s cannot be read", self.title)
                self._trouble = notice("error", f"Cannot be read now – {error}. What is below may be old.")
            else:
                self._trouble = ""

        pn.state.execute(guarded)

    def pointed(self, *names: str) -> dict[str, Any]:
        """What a drill-down points at, once: empty when it is none of these, or was followed already.

        To follow it again, because a part of the screen is drawn anew, would undo what the person did since.
        """
        focus: dict[str, Any] = self.state.focus
        if focus is self._followed or not focus.keys() & set(names):
            return {}
        self._followed = focus
        return focus

    def changed(self, key: str, *stamp: object) -> bool:
        """True when ``stamp`` differs from that of the last call with this key."""
        new = self._stamps.get(key, self) != stamp
        self._stamps[key] = stamp
        return new

    def forget(self) -> None:
        """Draw everything anew at the next refresh."""
        self._stamps.clear()
