"""Pure: tables as files."""

from __future__ import annotations

import io
from typing import Final

import pandas as pd

from dashboard.frames import objects
from dashboard.zone import Zone

MOMENTS: Final = frozenset(
    {"timestamp", "recorded_at", "received_at", "first_seen", "last_changed", "seen_at", "since", "closed_at", "at"}
)
"""Columns that hold moments, as UTC text."""


def csv_of(frame: pd.DataFrame | None, zone: Zone) -> io.StringIO:
    """A file of a table, harmless to a spreadsheet: moments carry their offset, their columns the zone's name."""
    if frame is None:
        return io.StringIO("")
    times = [name for name in frame if name in MOMENTS]
    out = frame.assign(**{name: objects([zone.dated(text) for text in frame[name].tolist()]) for name in times})
    out = out.rename(columns={name: f"{name} ({zone.name})" for name in times})
    return io.StringIO(harmless(out).to_csv(index=False))


def harmless(frame: pd.DataFrame) -> pd.DataFrame:
    """For a file that a spreadsheet will open: a text that begins like a formula gets an apostrophe in front."""
    out = frame.copy()
    for name in out.select_dtypes(include=["object", "string"]):
        out[name] = [
            f"'{v}" if isinstance(v, str) and v[:1] in {"=", "+", "-", "@", "\t", "\r"} else v for v in out[name]
        ]
    return out
