"""From one engine to many pages: one task, one picture per tick, no page can harm another.

A page gets the next picture only after it answered the last one (Bokeh itself has no back-pressure: a slow page would
fall behind without bound), or after five seconds, since a hidden tab does not paint. A page whose delivery fails is
dropped and logged. Deliveries are spread over the tick, so that the engine, which shares the loop, is never starved.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, Protocol, TypeVar, cast

import pandas as pd

from dashboard import frames
from dashboard.earnings import Curves, equity_curves, pnl_today
from dashboard.picture import Picture, read

log = logging.getLogger(__name__)

T = TypeVar("T")

TICK_S: Final = 0.5
QUICK_S: Final = 0.15
"""Seconds between two ticks: while nothing changes, and while something does."""

MOST_TIMELINES: Final = 2000
MOST_SHARED: Final = 400
"""Things kept for all sessions; beyond them the oldest keys, such as a filter that nobody uses any more, are dropped."""

ANSWER_TIMEOUT_S: Final = 5.0
STAGGER_S: Final = 0.004


class Page(Protocol):
    """One open page, as the hub sees it."""

    def parts(self) -> frozenset[str]:
        """Names of the picture's parts that the screen on show needs."""
        ...

    def deliver(self, picture: Picture) -> None:
        """Schedule the drawing on the page's own document; raises when the document is gone."""
        ...


class Hub:
    """Reads pictures and hands them to pages; lives as long as the engine."""

    def __init__(self, engine: Any, tick_s: float = TICK_S) -> None:
        self.engine = engine
        self.tick_s = tick_s
        self.picture: Picture | None = None
        self.running = False
        self.ticks = 0
        self.dropped = 0
        self._pages: dict[int, Page] = {}
        self._waiting: dict[int, float] = {}
        self._read_at: dict[str, float] = {}
        self._now = asyncio.Event()
        self._ticked = float("-inf")
        self._shared: dict[Hashable, tuple[object, Any]] = {}
        self._timelines: dict[str, tuple[object, pd.DataFrame]] = {}

    def __len__(self) -> int:
        return len(self._pages)

    def add(self, page: Page) -> None:
        """Register a page; once it is really connected, from ``pn.state.onload``."""
        self._pages[id(page)] = page
        self.hurry()

    def remove(self, page: Page) -> None:
        """Forget a page; harmless when it is not there."""
        self._pages.pop(id(page), None)
        self._waiting.pop(id(page), None)

    def answered(self, page: Page) -> None:
        """The page has painted what it got."""
        self._waiting.pop(id(page), None)

    def hurry(self) -> None:
        """Tick now rather than at the next time; for acts and for a screen that was just opened."""
        self._read_at.clear()
        self._now.set()

    def timelines(self, stamps: Mapping[str, object]) -> dict[str, pd.DataFrame]:
        """Status rows of orders, read again only where the stamp differs, all at once; for any thread, for all sessions.

        Args:
            stamps: Order key -> anything that changes when the order does.
        """
        if len(self._timelines) > MOST_TIMELINES:
            self._timelines.clear()
        known = {key: self._timelines.get(key) for key in stamps}  # several pages ask at once, from threads
        found = {key: kept[1] for key, kept in known.items() if kept is not None and kept[0] == stamps[key]}
        missing = [key for key in stamps if key not in found]
        if missing:
            rows = self.engine.portfolio_manager.timelines(missing)
            places = rows.groupby("order_key", sort=False).indices
            for key in missing:
                found[key] = rows.iloc[places.get(key, [])]
                self._timelines[key] = (stamps[key], found[key])
        return found

    def shared(
        self, picture: Picture, key: Hashable, parts: tuple[str, ...], make: Callable[[], T], *more: object
    ) -> T:
        """What several pages show alike, made once; nobody may change it.

        Args:
            picture: What it is made from; what is made from a past one is kept for nobody.
            key: What it is, with every choice of the page that it depends on.
            parts: Parts of the picture that it depends on.
            make: Makes it.
            more: Whatever else it depends on, such as the minute.
        """
        if not picture.live:
            return make()
        stamp = (picture.stamp(*parts), more)
        known = self._shared.get(key)
        if known is None or known[0] != stamp:
            known = (stamp, make())
            while len(self._shared) >= MOST_SHARED:
                self._shared.pop(next(iter(self._shared)), None)
            self._shared[key] = known
        return cast("T", known[1])

    def earnings(self, picture: Picture, account: str = "") -> tuple[Curves, dict[str, float]]:
        """Equity curves and today's P&L per strategy; summed up once for all sessions.

        The curves grow all day long and are sampled now and then, the positions move with every fill: apart.

        Args:
            picture: Live or past.
            account: Only this account, empty for all.
        """
        midnight = picture.at.replace(hour=0, minute=0, second=0, microsecond=0)
        curves = self.shared(
            picture, ("curves", account), ("equity",), lambda: equity_curves(picture.table("equity"), account=account)
        )

        def today() -> dict[str, float]:
            return pnl_today(frames.chosen(picture.table("positions"), account=account), curves, midnight)

        return curves, self.shared(picture, ("today", account), ("positions", "equity"), today, midnight)

    async def run(self) -> None:
        """Tick until cancelled: soon after anything changed, now and then when nothing does.

        A tick that took long, because books, pages or the machine are busy, is followed by a rest in proportion: all
        pages together, however many there are, leave the loop a fifth of its time at least.
        """
        self.running = True
        while True:
            started = time.monotonic()
            due = self._due(started)
            self._now.clear()
            if self._pages and due:
                self._ticked = started
                try:
                    await self._tick()
                except Exception:  # the next tick tries again; until then every page counts up to STALE and says so
                    log.exception("A tick of the dashboard failed")
            taken = time.monotonic() - started
            rest = max(QUICK_S - taken, taken / 4, 0.02)
            try:
                async with asyncio.timeout(min(rest, self.tick_s)):
                    await self._now.wait()
            except TimeoutError:
                continue

    def _due(self, now_s: float) -> bool:
        """True when somebody asked, something changed, or nothing was shown for a while."""
        changed = self.picture is None or self.picture.version != int(self.engine.version)
        return changed or self._now.is_set() or now_s - self._ticked >= self.tick_s

    async def _tick(self) -> None:
        wanted: frozenset[str] = frozenset()
        for page in list(self._pages.values()):
            wanted |= page.parts()
        self.picture = await asyncio.to_thread(read, self.engine, wanted, self.picture, self._read_at, time.monotonic())
        self.ticks += 1
        for key, page in list(self._pages.items()):
            if key not in self._pages:
                continue  # closed while others were served
            since = self._waiting.get(key)
            if since is not None and time.monotonic() - since < ANSWER_TIMEOUT_S:
                continue
            try:
                page.deliver(self.picture)
            except Exception:  # a dead document must not take the other pages with it
                self.dropped += 1
                log.warning("A page is dropped: its document cannot be updated", exc_info=True)
                self.remove(page)
                continue
            self._waiting[key] = time.monotonic()
            await asyncio.sleep(STAGGER_S)
