"""Settings as they are in force, without secrets."""

from __future__ import annotations

from typing import ClassVar

import pandas as pd
from panel.viewable import Viewable

from dashboard.grid import Column, Grid
from dashboard.parts import Screen, section, text
from dashboard.picture import Picture


class SettingsInForce(Screen):
    """Read only: settings come from the environment at start."""

    title = "Settings in force"
    needs: ClassVar[frozenset[str]] = frozenset()

    def build(self) -> Viewable:
        """Make the table."""
        self.grid = Grid(
            "Settings",
            {
                "variable": Column("Environment variable", width=270, filter=True),
                "value": Column("Value", "prose", width=170),
                "changed": Column("Changed"),
                "meaning": Column("Meaning", "prose", width=480),
            },
            page_size=50,
        )
        return section(
            "",
            text("<p class='dim'>Read at start from the environment; secrets are shown as set or empty.</p>"),
            self.grid,
        )

    def refresh(self, picture: Picture) -> None:
        """Show them; they do not change while the server runs."""
        del picture
        if self.changed("settings"):
            rows = self.desk.engine.settings.in_force()
            frame = pd.DataFrame(rows, columns=["variable", "value", "meaning", "changed"])
            self.grid.offer(frame.assign(changed=["yes" if c else "" for c in frame["changed"]]))
