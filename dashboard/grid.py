"""Tables: one look for all, text that stays text, and no update under the operator's hand.

``value=`` is set only when something shown changed. While a row is selected the rows stay where they are: their figures
stay live, rows that are new wait and are counted, and when a chosen row has gone from the books the table says so. A row
is known again by its key, never by its place.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

import pandas as pd
import panel as pn
import panel_material_ui as pmui
from bokeh.util.warnings import BokehUserWarning
from panel.viewable import Viewable, Viewer

from dashboard import theme
from dashboard.files import csv_of
from dashboard.frames import objects, same
from dashboard.table import Table
from dashboard.theme import escape
from dashboard.zone import UTC_ZONE, Zone

# Panel's tables send style sheets that the server knows back to it when the theme is set; Bokeh tells so each time.
warnings.filterwarnings("ignore", "reference already known", BokehUserWarning)

Kind = Literal[
    "text", "prose", "money", "amount", "whole", "rounded", "qty", "price", "count", "number", "time", "clock"
]


@dataclass(frozen=True, slots=True)
class Column:
    """One column on the screen.

    Attributes:
        title: What stands above it, unit included; ``{zone}`` becomes the zone of the table.
        kind: How it is written: ``prose`` on as many lines as it needs; ``money`` signed and coloured (``whole`` without
            decimals, ``rounded`` without sign and colour too), ``amount`` plain, ``qty`` signed; ``count`` in groups of
            three, ``number`` as it is, such as a code; ``time`` (``clock`` without the date) in the zone
            of the table, UTC text in the frame.
        width: Pixels; ``None`` lets the content decide.
        least: Pixels that it has at least where columns share the width there is: a number that is cut is no number.
        filter: True for a filter field under the title.
    """

    title: str
    kind: Kind = "text"
    width: int | None = None
    least: int = 0
    filter: bool = False


_REMEMBERED: Final = 16
"""Puts of a table that a page may still be looking at."""

FILTER_PX: Final = 84
"""Least width of a column with a field to filter by, so that what is typed there can be read."""

TEXTS: Final = frozenset({"text", "prose", "time", "clock"})
_MAKERS: Final[Mapping[str, Callable[[], Any]]] = {
    "text": lambda: "plaintext",
    "prose": lambda: "plaintext",
    "time": lambda: "plaintext",
    "clock": lambda: "plaintext",
    "money": theme.money,
    "amount": lambda: theme.money(coloured=False),
    "whole": theme.whole,
    "rounded": theme.rounded,
    "qty": theme.quantity,
    "price": theme.price,
    "count": theme.count,
    "number": theme.number,
}


def _layout_of(columns: Mapping[str, Column]) -> str:
    """A text that comes last takes what is left of the width; a number would stand alone at the far end."""
    return "fit_data_stretch" if list(columns.values())[-1].kind in TEXTS else "fit_data_fill"


def _room(column: Column) -> dict[str, Any]:
    """What Tabulator has to know beyond what Panel tells it."""
    least = max(column.least, FILTER_PX if column.filter else 0)
    return ({"minWidth": least} if least else {}) | ({"cssClass": "prose"} if column.kind == "prose" else {})


class Grid(Viewer):
    """A table of fixed columns.

    Args:
        label: Name for screen readers.
        columns: Column name -> how it is shown, in order; columns beyond these stay on the server (see ``selected``).
        empty: What stands in an empty table.
        part: Part of the picture that the rows are of; an empty table then tells "none" from "not known".
        page_size: Rows a page.
        selectable: ``False``, 1 (one row) or ``"checkbox"``.
        on_select: Called with the selected rows as a frame, whenever other rows are selected than before.
        key: Columns by which a row is known again; without any the table holds still while a row is selected.
        fit: True squeezes the columns into the width there is; False scrolls.
        snug: True brings many columns closer together.
        zone: What moments are shown in.
        sortable: False where the order is chosen elsewhere, because the table holds one page only.
    """

    def __init__(
        self,
        label: str,
        columns: Mapping[str, Column],
        *,
        empty: str = "Nothing here",
        part: str = "",
        page_size: int = 15,
        selectable: bool | int | str = False,
        on_select: Callable[[pd.DataFrame], None] | None = None,
        key: tuple[str, ...] = (),
        fit: bool = False,
        snug: bool = False,
        zone: Zone = UTC_ZONE,
        sortable: bool = True,
        **params: Any,
    ) -> None:
        super().__init__(**params)
        self.columns = dict(columns)
        self.zone = zone
        self.on_select = on_select
        self.page_size = page_size
        self.key = key
        self.part = part
        self._doubts: list[str] = []
        wordy = any(column.kind == "prose" for column in columns.values())
        # mend.js makes an aria-label of the first; theme.TABLE_CSS knows the others.
        self._classes = [
            f"label-{quote(label)}",
            *(["snug"] if fit or snug else []),
            *(["one-click"] if selectable else []),
            *(["wordy"] if wordy else []),
        ]
        self._shown: pd.DataFrame | None = None
        self._pending: pd.DataFrame | None = None
        self._chosen: list[tuple[str, ...]] = []
        self._moving = False
        self._puts: dict[int, pd.DataFrame] = {}
        self.table = Table(
            self._frame(pd.DataFrame()),
            titles={name: c.title.replace("{zone}", zone.label) for name, c in columns.items()},
            formatters={name: _MAKERS[column.kind]() for name, column in columns.items()},
            text_align={n: "left" if c.kind in TEXTS else "right" for n, c in columns.items()},
            header_align={n: "left" if c.kind in TEXTS else "right" for n, c in columns.items()},
            widths={name: column.width for name, column in columns.items() if column.width},
            header_filters={
                n: {"type": "input", "func": "like", "placeholder": "filter"} for n, c in columns.items() if c.filter
            }
            or False,
            editors=dict.fromkeys(columns),
            sortable=sortable and not fit,
            show_index=False,
            layout="fit_columns" if fit else _layout_of(columns),
            pagination="local",
            page_size=page_size,
            selectable=selectable,
            sizing_mode="stretch_width",
            stylesheets=[theme.TABLE_CSS],
            configuration={
                "placeholder": empty,
                "headerSortTristate": True,
                "columnDefaults": {"maxInitialWidth": 210, **({} if fit else {"minWidth": 52})},
            },
            css_classes=["one-page", *self._classes],
            margin=(4, 0),
            label=label,
        )
        self.note = pn.pane.HTML(
            "",
            visible=False,
            sizing_mode="stretch_width",
            stylesheets=[":host { font-size: 12px; color: var(--panel-primary-color); }"],
            margin=(0, 10),
        )
        self._layout = pn.Column(self.note, self.table, sizing_mode="stretch_width", margin=0)
        self.table.translate = self._now_at
        self.table.room = {name: _room(column) for name, column in columns.items()}
        if selectable:
            self.table.param.watch(self._selected, "selection")

    def __panel__(self) -> Viewable:
        return self._layout

    def doubt(self, why: Literal["", "unread", "live-only"]) -> None:
        """Say why an empty table does not mean that there is nothing; empty when it does mean that."""
        if why != "".join(self._doubts):
            self._doubts = [why] if why else []
            self._dress(self._shown if self._shown is not None else pd.DataFrame())

    def _dress(self, frame: pd.DataFrame) -> None:
        """What theme.TABLE_CSS has to know of the rows."""
        pages = "one-page" if len(frame) <= self.page_size else "many-pages"
        classes = [pages, *self._doubts, *self._classes]
        if classes != self.table.css_classes:
            self.table.css_classes = classes

    def offer(self, frame: pd.DataFrame) -> bool:
        """Show a frame; returns True when the table changed on the screen."""
        frame = self._frame(frame)
        if same(self._shown, frame):
            self._pending = None
            self._say("")
            return False
        if not self.table.selection:
            self._put(frame)
            return True
        self._pending = frame
        if not self.key:
            self._say("The table holds still while a row is selected; newer data is waiting.")
            return False
        return self._renew(frame)

    def _renew(self, frame: pd.DataFrame) -> bool:
        """Bring the figures of the rows on show up to date, in their places; new rows wait, rows that went go."""
        assert self._shown is not None
        news = dict(zip(self._keys(frame), range(len(frame)), strict=True))
        kept = [key for key in self._keys(self._shown) if key in news]
        gone = [key for key in self._chosen if key not in news]
        if gone and len(gone) == len(self._chosen):
            self._select([])
            self._put(frame)
            self._say(f"No longer here: {'; '.join(' '.join(key) for key in gone)}. The selection is empty.")
            return True
        waiting = len(frame) - len(kept)
        place = {key: row for row, key in enumerate(kept)}
        chosen = [place[key] for key in self._chosen if key in place]
        moved = chosen != sorted(self.table.selection)
        if moved:
            self._quietly([])
        merged = frame.iloc[[news[key] for key in kept]].reset_index(drop=True)
        changed = not same(self._shown, merged)
        if changed:
            self._put(merged)
            self._pending = frame if waiting else None
        if moved:
            self._quietly(chosen)
            self._tell()
        words = f"No longer here: {'; '.join(' '.join(key) for key in gone)}. " if gone else ""
        if waiting:
            words += f"{waiting} more rows wait until the selection is cleared."
        self._say(words)
        return changed

    def _keys(self, frame: pd.DataFrame) -> list[tuple[str, ...]]:
        return list(zip(*(frame[name].astype(str) for name in self.key), strict=True))

    def _say(self, words: str) -> None:
        shown = words and f"<span role='status'>{escape(words)}</span>"
        if shown != self.note.object:
            self.note.param.update(object=shown, visible=bool(words))

    def _quietly(self, selection: list[int]) -> None:
        self._moving = True
        try:
            self.table.selection = selection
        finally:
            self._moving = False

    def _select(self, selection: list[int]) -> None:
        self._quietly(selection)
        self._tell()

    def choose(self, *key: str) -> bool:
        """Select the row with this key, as somebody who came by a link would; returns False when it is not here."""
        found = (
            [row for row, one in enumerate(self._keys(self._shown)) if one == key] if self._shown is not None else []
        )
        if found:
            self._select(found[:1])
        return bool(found)

    def release(self) -> None:
        """Let go of the selection and show what waited."""
        if self.table.selection:
            self._select([])
        if self._pending is not None:
            self._put(self._pending)

    def export(self, filename: str, label: str = "Download CSV") -> pmui.FileDownload:
        """A button that hands out the whole table as it is now, columns beyond those on the screen included."""
        return pmui.FileDownload(callback=self.csv, filename=filename, label=label, variant="outlined", size="small")

    def csv(self) -> io.StringIO:
        """The table as CSV, harmless to a spreadsheet."""
        frame = self._pending if self._pending is not None else self._shown
        return csv_of(frame, self.zone)

    @property
    def selected(self) -> pd.DataFrame:
        """The selected rows, as they were shown."""
        if self._shown is None:
            return pd.DataFrame()
        return self._shown.iloc[[i for i in self.table.selection if i < len(self._shown)]]

    def _frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        out = frame.reset_index(drop=True)
        for name, column in self.columns.items():
            if name not in out:
                out[name] = pd.Series([], dtype="object") if column.kind in TEXTS else pd.Series([], dtype="float64")
        return out[list(self.columns) + [name for name in out if name not in self.columns]]

    def _put(self, frame: pd.DataFrame) -> None:
        self._shown, self._pending = frame, None
        # Only what is shown goes to the browser, always under the same columns: Tabulator stumbles over a table whose
        # columns change while it is still being built.
        shown = self._local(frame[list(self.columns)])
        self._dress(frame)
        if not same(self.table.value, shown):
            self.table.put(shown)
        if self.table.selectable:
            self._puts.pop(self.table.number - _REMEMBERED, None)
            self._puts[self.table.number] = frame
        self._say("")

    def _now_at(self, number: int, places: list[int]) -> list[int]:
        """Where rows are now that somebody chose among those of a former put; rows that went are left out."""
        assert self._shown is not None
        former = self._puts.get(number)
        if former is None or not self.key:
            self._say("The rows have moved on meanwhile. Choose again.")
            return []
        now = dict(zip(self._keys(self._shown), range(len(self._shown)), strict=True))
        keys = self._keys(former)
        return [now[keys[place]] for place in places if place < len(keys) and keys[place] in now]

    def _local(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The same table with its moments in the zone shown."""
        moments = {name: column.kind for name, column in self.columns.items() if column.kind in {"time", "clock"}}
        for name, kind in moments.items():
            if kind == "time" and self.zone is UTC_ZONE:
                continue
            cut = (11, 19) if kind == "clock" else (0, None)
            frame = frame.assign(**{name: objects(self.zone.locals(frame[name].tolist(), *cut))})
        return frame

    def _selected(self, _event: Any) -> None:
        if self._moving:
            return
        self._tell()
        if not self.table.selection and self._pending is not None:
            self._put(self._pending)

    def _tell(self) -> None:
        """Remember which rows are chosen, and tell whoever asked when they are others than before."""
        rows = self.selected
        places: list[tuple[str, ...]] = [(str(place),) for place in self.table.selection]
        chosen = self._keys(rows) if self.key else places
        if chosen == self._chosen and self.key:
            return
        self._chosen = chosen
        if self.on_select is not None:
            self.on_select(rows)
