"""What one session looks at: a mirror per browser page, synced with the URL.

Screens watch this object and never the engine: a watcher on a shared object outlives its session.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import param

from dashboard import zone as zones
from dashboard.zone import UTC_ZONE, Zone

VIEWS: Final = (
    "overview",
    "positions",
    "fills",
    "orders",
    "reconciliation",
    "assignments",
    "dayclose",
    "quarantine",
    "health",
    "settings",
    "rehearsal",
)
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
URL_NAMES: Final = {"view": "view", "strategy": "strategy", "account": "account", "as_of": "as_of", "zone": "zone"}


class SessionState(param.Parameterized):
    """The state of one page.

    ``view``, ``strategy``, ``account``, ``as_of`` and ``zone`` stand in the URL; empty means overview, all, all, live, UTC.
    """

    view = param.String(default="overview", doc="Key of the screen shown.")
    strategy = param.String(default="", doc="Only this strategy; empty for all.")
    account = param.String(default="", doc="Only this account; empty for all.")
    as_of = param.String(default="", doc="ISO 8601 moment; empty for live.")
    zone = param.String(default="", doc="IANA name of the zone that times are shown in; empty for UTC.")
    focus = param.Dict(default={}, doc="What a drill-down points at, e.g. {'order_key': ...} or {'text': ...}.")
    busy = param.Boolean(default=False, doc="What the page shows in place of the whole server's busy flag.")
    picture = param.Parameter(default=None, doc="The latest picture of the books, see dashboard.picture.")

    @property
    def shown(self) -> str:
        """The screen to show; a name from the URL that does not exist falls back to the overview."""
        return self.view if self.view in VIEWS else "overview"

    @property
    def moment(self) -> datetime | None:
        """``as_of`` read; ``None`` for live or unreadable text. A moment without a zone is UTC."""
        return read_moment(self.as_of)

    @property
    def clock(self) -> Zone:
        """``zone`` read; a name from the URL that does not exist falls back to UTC."""
        return zones.find(self.zone) or UTC_ZONE

    def go(self, view: str, **focus: Any) -> None:
        """Open a screen, pointing at something on it."""
        self.param.update(view=view, focus=focus)


def read_moment(text: str, zone: Zone = UTC_ZONE) -> datetime | None:
    """Read an ISO 8601 moment; ``None`` when it is none, or none that the books can have recorded anything at.

    Args:
        text: Whatever somebody typed.
        zone: What a moment without a zone is of.
    """
    if not text.strip():
        return None
    try:
        moment = zone.naive(datetime.fromisoformat(text.strip())).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if _FIRST <= moment < _LAST else None
