"""A picture of the books for the screens, read once per tick for all sessions.

Only the parts that some open screen needs are read, in a worker thread. A part that cannot be read becomes an error
text that its screen shows; the other parts are unharmed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from dashboard.frames import same

log = logging.getLogger(__name__)

Reader = Callable[[Any, datetime | None], Any]

RECENT_FILLS: Final = 50


def _recent_fills(engine: Any, as_of: datetime | None) -> pd.DataFrame:
    if as_of is not None:
        past: pd.DataFrame = engine.portfolio_manager.fills(as_of=as_of)
        return past.tail(RECENT_FILLS).iloc[::-1]
    page: pd.DataFrame = engine.portfolio_manager.fills_page(offset=0, limit=RECENT_FILLS)[0]
    return page


def _orders(engine: Any, as_of: datetime | None) -> pd.DataFrame:
    books = engine.portfolio_manager
    found: pd.DataFrame = books.latest_orders() if as_of is None else books.orders(as_of=as_of)
    return found


def _table(name: str) -> Reader:
    return lambda engine, _as_of: getattr(engine.portfolio_manager, name)()


def _travelling(name: str, **fixed: Any) -> Reader:
    return lambda engine, as_of: getattr(engine.portfolio_manager, name)(as_of=as_of, **fixed)


READERS: Final[Mapping[str, Reader]] = {
    "broker": lambda engine, _: engine.broker_state(),
    "health": lambda engine, _: engine.health(),
    "square": lambda engine, _: engine.square(),
    "alerts": lambda engine, _: engine.alerts(),
    "ages": lambda engine, _: engine.data_ages(),
    "positions": _travelling("positions"),
    "portfolio": _travelling("portfolio"),
    "breaks": _travelling("breaks", open_only=True),
    "orders": _orders,
    "fills": _recent_fills,
    "equity": _travelling("equity"),
    "runs": _table("runs"),
    "locks": _table("locks"),
    "findings": _table("findings"),
    "quarantine": _table("quarantine"),
    "fees": _table("fees_pending"),
    "assignments": _table("assignments"),
    "audit": _table("audit"),
    "rules": _table("rules"),
    "closes": _table("closes"),
    "expired": _table("expired_holdings"),
}
TRAVELLING: Final = frozenset({"positions", "portfolio", "breaks", "orders", "fills", "equity"})
"""Parts that exist for a past moment; the others are live only."""

EVERY_S: Final[Mapping[str, float]] = {
    "equity": 5.0,
    "closes": 5.0,
    "expired": 5.0,
    "runs": 2.0,
    "fees": 2.0,
    **dict.fromkeys(
        ("health", "findings", "quarantine", "locks", "rules", "assignments", "alerts", "audit", "ages"), 1.0
    ),
    **dict.fromkeys(("square", "portfolio", "breaks"), 0.5),
}
"""Parts that are not worth reading at every tick: least seconds between two readings."""

ALWAYS: Final = frozenset({"broker", "health", "square"})
"""What the header strip needs on every page."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the screens draw from.

    Attributes:
        at: When it was read, aware UTC; for a past picture the moment it shows.
        live: False in time travel.
        version: The engine's version it was read at.
        parts: Part name -> value as the engine gave it.
        stamps: Part name -> number that grows when the value changed.
        errors: Part name -> why it could not be read.
        current: Parts that were kept up to date for this picture; others may be what somebody looked at long ago.
    """

    at: datetime
    live: bool = True
    version: int = -1
    parts: Mapping[str, Any] = field(default_factory=dict)
    stamps: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    current: frozenset[str] = frozenset()

    def table(self, name: str) -> pd.DataFrame:
        """A part that is a table; an empty one when it was not read (yet)."""
        value = self.parts.get(name)
        return value if isinstance(value, pd.DataFrame) else pd.DataFrame()

    def lacks(self, name: str) -> bool:
        """True when nothing true can be said of a part: it could not be read, or does not exist for a past moment."""
        return name in self.errors or not (self.live or name in TRAVELLING)

    def stamp(self, *names: str) -> tuple[int, ...]:
        """Changes when one of the parts changed."""
        return tuple(self.stamps.get(name, -1) for name in names)


def read(
    engine: Any, wanted: frozenset[str], before: Picture | None, read_at: dict[str, float], now_s: float
) -> Picture:
    """Read the wanted parts; blocking, for a worker thread.

    Args:
        engine: The engine, or anything with its reading side.
        wanted: Part names; :data:`ALWAYS` is added.
        before: The picture before, whose unchanged parts keep their stamps.
        read_at: Part -> monotonic seconds of its last reading; updated here.
        now_s: Monotonic seconds.
    """
    version = int(engine.version)
    parts = dict(before.parts) if before else {}
    stamps = dict(before.stamps) if before else {}
    errors = dict(before.errors) if before else {}
    unchanged = before is not None and before.version == version
    for name in sorted(wanted | ALWAYS):
        known = name in parts
        age = now_s - read_at.get(name, float("-inf"))
        if known and age < EVERY_S.get(name, 0.0):
            continue
        if known and unchanged and name not in ALWAYS and age < 2.0:
            continue  # nothing happened; what depends on the clock alone still gets a look every two seconds
        read_at[name] = now_s
        _read_part(engine, name, None, parts, stamps, errors)
    return Picture(
        at=datetime.now(UTC), version=version, parts=parts, stamps=stamps, errors=errors, current=wanted | ALWAYS
    )


def read_past(engine: Any, as_of: datetime) -> Picture:
    """Read the parts that exist for a past moment; blocking, for a worker thread."""
    parts: dict[str, Any] = {}
    stamps: dict[str, int] = {}
    errors: dict[str, str] = {}
    for name in sorted(TRAVELLING):
        _read_part(engine, name, as_of, parts, stamps, errors)
    return Picture(at=as_of, live=False, parts=parts, stamps=stamps, errors=errors, current=TRAVELLING)


def _read_part(
    engine: Any,
    name: str,
    as_of: datetime | None,
    parts: dict[str, Any],
    stamps: dict[str, int],
    errors: dict[str, str],
) -> None:
    try:
        value = READERS[name](engine, as_of)
    except Exception as error:  # the screen shows it in place of the table, the log keeps the traceback
        if errors.get(name) != str(error):
            log.exception("The part %s of the screen cannot be read", name)
        errors[name] = str(error) or type(error).__name__
        stamps[name] = stamps.get(name, 0) + 1
        return
    if name in errors:
        del errors[name]
        stamps[name] = stamps.get(name, 0) + 1
    if name not in parts or not equal(parts[name], value):
        stamps[name] = stamps.get(name, 0) + 1
    parts[name] = value


def known_by(frame: pd.DataFrame, moment: datetime | None) -> pd.DataFrame:
    """Rows that were recorded by a moment; all of them for ``None`` (live)."""
    if moment is None or frame.empty:
        return frame
    recorded = frame["recorded_at"] if "recorded_at" in frame else frame.index.to_series()
    return frame[(pd.to_datetime(recorded, utc=True, cache=False) <= pd.Timestamp(moment)).to_numpy()]


def equal(left: Any, right: Any) -> bool:
    """Compare two parts; tables inside are compared as tables."""
    if isinstance(left, pd.DataFrame) or isinstance(right, pd.DataFrame):
        return isinstance(left, pd.DataFrame) and isinstance(right, pd.DataFrame) and same(left, right)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return bool(left == right)
