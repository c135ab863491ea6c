"""A table that is brought up to date many times a second, for many pages.

Panel works out styles, columns, selectable rows and pages anew for each new value and sends each as a message of its own:
8 ms of the loop that all sessions share. Ours have fixed columns and no styles, so the rows alone are written, in Panel's
own form: what the page asks of the table afterwards (a selection, a click) finds it as Panel would have left it.

A page chooses rows by their places, among the rows that it has painted. Newer rows may be on their way to it, and then
the same places are other rows. So every put has a number, the page says with each choice which one it was looking at, and
a choice among older rows is translated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import panel as pn
import param
from bokeh.models import CustomJS

_NUMBER: Final = "put"
"""Column beside those of the table, the same in every row: which put they came with."""

_TELL: Final = "model.tags = [(source.data.put || [])[0] || 0, (model.tags[1] || 0) + 1]"
"""Says after each choice (in the next message) among which rows it was; counted, so that it is always news."""


class Table(pn.widgets.Tabulator):
    """Panel's table with a quick way to new rows under the same columns.

    Attributes:
        number: Of the last put.
        translate: (number of a former put, places in it) -> places of the same rows now.
        room: Column -> what Tabulator is told of it beyond what Panel knows.
    """

    number = 0
    translate: Callable[[int, list[int]], list[int]]
    room: Mapping[str, dict[str, Any]] = {}
    _places: list[int] | None = None

    def _get_model(self, doc: Any, root: Any = None, parent: Any = None, comm: Any = None) -> Any:
        model = super()._get_model(doc, root, parent, comm)
        if self.selectable:
            tell = CustomJS(args={"model": model, "source": model.source}, code=_TELL)
            model.source.selected.js_on_change("indices", tell)
            self._link_props(model, ["tags"], doc, root or model, comm)
        return model

    def _get_configuration(self, columns: list[Any]) -> dict[str, Any]:
        """Panel has a way to say more of a column, but by its place: beside checkboxes it would be told of another one."""
        found: dict[str, Any] = super()._get_configuration(columns)
        for column in found["columns"]:
            column.update(self.room.get(column.get("field"), {}))
        return found

    def _get_data(self) -> tuple[pd.DataFrame, dict[str, Any]]:
        rows, columns = super()._get_data()
        return rows, {**columns, _NUMBER: np.full(len(rows), self.number)}

    def _process_events(self, events: dict[str, Any]) -> None:
        if self.selectable and "indices" in events:
            self._places = events.pop("indices")
        told, moved = events.pop("tags", None), False
        if told and self._places is not None:
            number, places, self._places = int(told[0]), self._places, None
            moved = bool(places) and number != self.number
            events["indices"] = self.translate(number, places) if moved else places
        super()._process_events(events)
        if moved:
            self._update_selected()  # the page has marked the old places

    def put(self, frame: pd.DataFrame) -> None:
        """Show other rows.

        Args:
            frame: The table's columns, text as ``str`` and numbers as float64, with an index of 0..n-1.
        """
        with param.discard_events(self):
            self.value = frame
        self._processed = frame
        self._update_index_mapping()
        self.number += 1
        columns: dict[str, Any] = {str(name): frame[name].to_numpy(copy=True) for name in frame}
        self._data = {"index": np.arange(len(frame)), **columns, _NUMBER: np.full(len(frame), self.number)}
        # As plain lists: each array would go to the browser as two messages of its own beside the one that names it.
        sent = {name: column.tolist() for name, column in self._data.items()}
        for ref, (model, _) in self._models.copy().items():
            self._apply_update({}, {"data": sent}, model.source, ref)
        if self.param.page.bounds[1] != self._pages(len(frame)):
            self._update_max_page()
        if self.selection:
            self._update_selected()

    def _pages(self, rows: int) -> int:
        return max(-(-rows // (self.page_size or self.initial_page_size)), 1)
