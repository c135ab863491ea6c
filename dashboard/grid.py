"""Tables: one look for all, text that stays text, and no update under the operator's hand.

``value=`` is set only when something shown changed. While a row is selected the table holds still and says how much
newer the books are; letting go of the selection brings the news.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

import pandas as pd
import panel as pn
from panel.viewable import Viewable, Viewer

from dashboard import theme
from dashboard.frames import same

Kind = Literal["text", "money", "amount", "whole", "qty", "price", "count", "time"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column on the screen.

    Attributes:
        title: What stands above it, unit or zone included.
        kind: How it is written: ``money`` signed and coloured (``whole`` without decimals), ``amount`` plain, ``qty``
            signed.
        width: Pixels; ``None`` lets the content decide.
        filter: True for a filter field under the title.
    """

    title: str
    kind: Kind = "text"
    width: int | None = None
    filter: bool = False


_MAKERS: Final[Mapping[str, Callable[[], Any]]] = {
    "text": lambda: "plaintext",
    "time": lambda: "plaintext",
    "money": theme.money,
    "amount": lambda: theme.money(coloured=False),
    "whole": theme.whole,
    "qty": theme.quantity,
    "price": theme.price,
    "count": theme.count,
}


class Grid(Viewer):
    """A table of fixed columns.

    Args:
        label: Name for screen readers.
        columns: Column name -> how it is shown, in order; columns beyond these stay on the server (see ``selected``).
        empty: What stands in an empty table.
        page_size: Rows a page.
        selectable: ``False``, 1 (one row) or ``"checkbox"``.
        on_select: Called with the selected rows as a frame.
        fit: True squeezes the columns into the width there is; False scrolls.
    """

    def __init__(
        self,
        label: str,
        columns: Mapping[str, Column],
        *,
        empty: str = "Nothing here",
        page_size: int = 15,
        selectable: bool | int | str = False,
        on_select: Callable[[pd.DataFrame], None] | None = None,
        fit: bool = False,
        **params: Any,
    ) -> None:
        super().__init__(**params)
        self.columns = dict(columns)
        self.on_select = on_select
        self.page_size = page_size
        self._label = f"label-{quote(label)}"  # mend.js makes an aria-label of it
        self._shown: pd.DataFrame | None = None
        self._pending: pd.DataFrame | None = None
        self.table = pn.widgets.Tabulator(
            self._frame(pd.DataFrame()),
            titles={name: column.title for name, column in columns.items()},
            formatters={name: _MAKERS[column.kind]() for name, column in columns.items()},
            text_align={n: "left" if c.kind in {"text", "time"} else "right" for n, c in columns.items()},
            header_align={n: "left" if c.kind in {"text", "time"} else "right" for n, c in columns.items()},
            widths={name: column.width for name, column in columns.items() if column.width},
            header_filters={
                n: {"type": "input", "func": "like", "placeholder": "filter"} for n, c in columns.items() if c.filter
            }
            or False,
            editors=dict.fromkeys(columns),
            sortable=not fit,
            show_index=False,
            layout="fit_columns" if fit else "fit_data_stretch",
            pagination="local",
            page_size=page_size,
            selectable=selectable,
            sizing_mode="stretch_width",
            stylesheets=[theme.TABLE_CSS],
            configuration={
                "placeholder": empty,
                "headerSortTristate": True,
                "columnDefaults": {"maxInitialWidth": 210},
            },
            css_classes=["one-page", self._label],
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
        if on_select is not None:
            self.table.param.watch(self._selected, "selection")

    def __panel__(self) -> Viewable:
        return self._layout

    def offer(self, frame: pd.DataFrame) -> bool:
        """Show a frame; returns True when the table changed on the screen."""
        frame = self._frame(frame)
        if same(self._shown, frame):
            self._pending = None
            self.note.visible = False
            return False
        if self.table.selection:
            self._pending = frame
            self.note.param.update(
                object="The table holds still while a row is selected; newer data is waiting.", visible=True
            )
            return False
        self._put(frame)
        return True

    def release(self) -> None:
        """Let go of the selection and show what waited."""
        self.table.selection = []
        if self._pending is not None:
            self._put(self._pending)

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
                out[name] = (
                    pd.Series([], dtype="object") if column.kind in {"text", "time"} else pd.Series([], dtype="float64")
                )
        return out[list(self.columns) + [name for name in out if name not in self.columns]]

    def _put(self, frame: pd.DataFrame) -> None:
        self._shown, self._pending = frame, None
        # Only what is shown goes to the browser, always under the same columns: Tabulator stumbles over a table whose
        # columns change while it is still being built.
        shown = frame[list(self.columns)]
        classes = ["one-page" if len(frame) <= self.page_size else "many-pages", self._label]
        if classes != self.table.css_classes:
            self.table.css_classes = classes
        if not same(self.table.value, shown):
            self.table.value = shown
        self.note.visible = False

    def _selected(self, _event: Any) -> None:
        if self.on_select is not None:
            self.on_select(self.selected)
        if not self.table.selection and self._pending is not None:
            self._put(self._pending)
