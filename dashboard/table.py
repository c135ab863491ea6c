"""A table that is brought up to date many times a second, for many pages.

Panel works out styles, columns, selectable rows and pages anew for each new value and sends each as a message of its own:
8 ms of the loop that all sessions share. Ours have fixed columns and no styles, so the rows alone are written, in Panel's
own form: what the page asks of the table afterwards (a selection, a click) finds it as Panel would have left it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import panel as pn
import param


class Table(pn.widgets.Tabulator):
    """Panel's table with a quick way to new rows under the same columns."""

    def put(self, frame: pd.DataFrame) -> None:
        """Show other rows.

        Args:
            frame: The table's columns, text as ``str`` and numbers as float64, with an index of 0..n-1.
        """
        with param.discard_events(self):
            self.value = frame
        self._processed = frame
        self._update_index_mapping()
        columns: dict[str, Any] = {str(name): frame[name].to_numpy(copy=True) for name in frame}
        self._data = {"index": np.arange(len(frame)), **columns}
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
