"""The shell: header strip, navigation, filters, and the screen on show. One instance per browser session.

Screens are made when they are first opened, so that a page opens with one screen's worth of widgets, and only the one
on show is refreshed.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import panel as pn
import panel_material_ui as pmui
import param
from bokeh.document import Document
from panel.util.parameters import edit_readonly

from dashboard import frames, theme
from dashboard import zone as zones
from dashboard.desk import Desk
from dashboard.first import TEMPLATE, first_sight
from dashboard.host import forget
from dashboard.hub import Hub
from dashboard.model import URL_NAMES, SessionState
from dashboard.parts import Screen, not_live, notice, present_only, text
from dashboard.picture import Picture, read_past
from dashboard.pulse import Pulse, stale_after, strip
from dashboard.roles import LOCAL_USER
from dashboard.side import Side
from dashboard.theme import escape
from dashboard.views.assignments import Assignments
from dashboard.views.dayclose import DayClose
from dashboard.views.fills import Fills
from dashboard.views.health import Health
from dashboard.views.orders import Orders
from dashboard.views.overview import Overview
from dashboard.views.positions import Positions
from dashboard.views.quarantine import Quarantine
from dashboard.views.reconciliation import Reconciliation
from dashboard.views.rehearsal import Rehearsal
from dashboard.views.settings import SettingsInForce

log = logging.getLogger(__name__)

RECENT_S: Final = 1.5
"""A picture older than this is not shown, not even for the moment until the next one."""

SCREENS: Final[dict[str, type[Screen]]] = {
    "overview": Overview,
    "positions": Positions,
    "fills": Fills,
    "orders": Orders,
    "reconciliation": Reconciliation,
    "assignments": Assignments,
    "dayclose": DayClose,
    "quarantine": Quarantine,
    "health": Health,
    "settings": SettingsInForce,
    "rehearsal": Rehearsal,
}
ICONS: Final = {
    "overview": "dashboard",
    "positions": "stacked_bar_chart",
    "fills": "receipt_long",
    "orders": "view_timeline",
    "reconciliation": "balance",
    "assignments": "assignment_ind",
    "dayclose": "event_available",
    "quarantine": "report_problem",
    "health": "monitor_heart",
    "settings": "tune",
    "rehearsal": "science",
}


class Shell:
    """One browser page.

    Args:
        engine: Shared by all sessions; never watched.
        hub: Where this page registers once it is connected.
        user: Name for the audit, decides the role.
    """

    def __init__(self, engine: Any, hub: Hub, user: str = LOCAL_USER) -> None:
        self.engine, self.hub = engine, hub
        self.state = SessionState()
        self.desk = Desk(engine, hub, self.state, user)
        self.doc: Document | None = None
        self.screens: dict[str, Screen] = {}
        self.pulse = Pulse(self._answered, self._follow, self._browser_in, sizing_mode="stretch_width", margin=0)
        self.title = text()
        self.banner = text(visible=False)
        self.loading = text("<p class='dim' role='status'>Loading the books …</p>")
        self.present_only = text(present_only())
        self.body = pn.Column(self.loading, sizing_mode="stretch_width", margin=0)
        self._on_show: Screen | pn.pane.HTML | None = None
        self._past: Picture | None = None
        self.page = self._page()
        self.state.param.watch(self._moved, ["view"])
        self.state.param.watch(self._travelled, ["as_of"])
        self.state.param.watch(self._filtered, ["strategy", "account"])
        self.state.param.watch(self._rezoned, ["zone"])

    # --- the frame --------------------------------------------------------------------------------------------------

    @property
    def keys(self) -> list[str]:
        """Screens that exist here; the rehearsal only with the simulated gateway."""
        return [key for key in SCREENS if key != "rehearsal" or self.engine.gateway is not None]

    def _items(self) -> list[dict[str, str]]:
        return [{"label": SCREENS[key].title, "icon": ICONS[key], "key": key} for key in self.keys]

    def _page(self) -> pmui.Page:
        self.nav = pmui.MenuList(
            items=self._items(),
            active=self._active(),
            on_click=self._clicked,
            sizing_mode="stretch_width",
            margin=(4, 0),
        )
        self.side = Side(self.desk, self.nav)
        main = pn.Column(
            self.banner,
            self.title,
            self.body,
            sizing_mode="stretch_width",
            margin=0,
            styles={"padding": "14px 18px 40px", "box-sizing": "border-box", "max-height": "none"},
        )
        page = pmui.Page(
            title="Fillbook",
            header=[self.pulse],
            sidebar=[self.side.layout],
            main=[main],
            sidebar_width=216,
            sidebar_resizable=False,
            theme_config=theme.THEME,
            busy_indicator=None,
            template=TEMPLATE,
            meta_name="Fillbook",
            # A dark bar in both themes: the strip's colours are made for it.
            sx={
                "& .header": {"backgroundColor": "#173d60", "color": "#ffffff"},
                "& .header .MuiIconButton-root": {"color": "#ffffff"},
            },
        )
        # The page listens to the whole server's busy flag: every message of any session would walk through all of its
        # models (half of the loop's time with four pages), and the flag would keep the page for ever. Its own is quiet.
        with edit_readonly(page):
            page.busy = self.state.param.busy
        return page

    def open(self) -> None:
        """Register with the hub and draw the first screen; on the page's own document, once it is connected."""
        self.doc = pn.state.curdoc
        recent = self.recent()
        if recent is not None:
            self.state.picture = recent
        if self.state.as_of:
            self._travelled(None)
        self._moved(None)
        self.hub.add(self)

    def recent(self) -> Picture | None:
        """The hub's latest picture, unless it is too old to be shown."""
        picture = self.hub.picture
        old = picture is None or (datetime.now(UTC) - picture.at).total_seconds() >= RECENT_S
        return None if old else picture

    def close(self) -> None:
        """Forget the page."""
        self.hub.remove(self)

    # --- the hub's side ---------------------------------------------------------------------------------------------

    def parts(self) -> frozenset[str]:
        """Parts of the picture that the screen on show needs, and what the header strip sums up."""
        return self._kind(self._key()).needs | {"positions", "equity"}

    def deliver(self, picture: Picture) -> None:
        """Draw on the next turn of the page's own document."""
        assert self.doc is not None
        self.doc.add_next_tick_callback(partial(self.draw, picture))

    def draw(self, picture: Picture) -> None:
        """Draw a picture, in one message: its answer then says that all of it was painted, and not only the strip."""
        with pn.io.hold(self.doc):
            self._draw(picture)

    def _draw(self, picture: Picture) -> None:
        """Strip, filters, screen. A screen that fails says so and leaves the rest alone."""
        now = datetime.now(UTC)
        _, today = self.hub.earnings(picture)
        words = strip(
            picture,
            today,
            now,
            frames.base_currency(picture.table("positions"), self.engine.settings.base_currency),
            stale_after(self.engine.settings),
            self.state.clock,
        )
        self.pulse.say({"screen": self._key() if self._on_show is not None else "", **words})
        self.side.offer(picture)
        if len(self.nav.items) != len(self.keys):  # the page was built while the engine was still starting
            self.nav.items = self._items()
        shown = picture if self._past is None else self._past
        self.state.picture = shown
        self._draw_screen(shown)

    def _draw_screen(self, picture: Picture) -> None:
        key = self._key()
        screen = self.screens.get(key)
        if screen is None:
            return
        if picture.live and self.state.moment is not None:
            return  # the past is still being read; the present must not stand under its sign
        if not picture.live and not screen.travels:
            self._put(self.present_only)
            return
        if picture.live and not screen.needs <= picture.current:
            return  # still loading; an empty table would say that there is nothing, an old one that nothing has changed
        try:
            screen.draw(picture)
        except Exception as error:
            log.exception("The screen %s cannot be drawn", key)
            screen.forget()
            screen.errors.param.update(
                object=notice("error", f"This screen cannot be drawn: {error!r}. The log has the details."),
                visible=True,
            )
        self._put(screen)

    def _put(self, shown: Screen | pn.pane.HTML) -> None:
        """Show a screen once it is full (a table filled while it is being built is drawn wrong), or words instead."""
        if self._on_show is not shown:
            self._on_show = shown
            self.body[:] = [shown]

    def _answered(self) -> None:
        self.hub.answered(self)

    # --- what the person does ---------------------------------------------------------------------------------------

    def _key(self) -> str:
        return self.state.shown if self.state.shown in self.keys else "overview"

    def _active(self) -> int:
        return self.keys.index(self._key())

    def _kind(self, key: str) -> type[Screen]:
        return SCREENS[key]

    def _clicked(self, item: dict[str, Any]) -> None:
        keys = {SCREENS[key].title: key for key in self.keys}
        self.state.param.update(view=keys[item["label"]], focus={})

    def _follow(self, view: str, what: str) -> None:
        """Open the screen behind a figure, which is about all strategies; ``what`` says which part of it.

        The badge (``all``) is about all accounts as well.
        """
        with param.parameterized.batch_call_watchers(self.state):
            self.state.strategy = ""
            if what == "all":
                self.state.account = ""
            self.state.go(view, **({what: True} if what else {}))

    def _moved(self, _event: Any) -> None:
        key = self._key()
        if self.nav.active != self._active():
            self.nav.active = self._active()
        if key not in self.screens:
            self.screens[key] = SCREENS[key](self.desk)
        self.title.object = f"<h1>{escape(SCREENS[key].title)}</h1>"
        self._on_show = None
        self.body[:] = [self.loading]
        self._filtered()
        self.hub.hurry()

    def _filtered(self, *_events: Any) -> None:
        picture = self.state.picture
        if picture is None or not (picture.live or picture is self._past):
            return  # that moment has been left, and what is shown instead has not been read yet
        self._draw_screen(picture)

    def _browser_in(self, name: str) -> None:
        self.side.browser_in(name)

    def _rezoned(self, _event: Any) -> None:
        """Make the screens anew: their columns and axes name the zone."""
        if zones.find(self.state.zone) is None:
            self.desk.say(f"{self.state.zone!r} is no time zone: times are in UTC", "warning")
        self.side.show_zone()
        if self.doc is None:  # the link is still being read; nothing was drawn yet
            return
        self.screens.clear()
        if self.state.moment is not None:
            self.banner.object = not_live(self.state.moment, self.state.clock, "")
        self._moved(None)

    def _travelled(self, _event: Any) -> None:
        moment = self.state.moment
        if moment is None:
            if self.state.as_of and self.doc is not None:  # a link that is still being read is looked at again
                self.desk.say(f"{self.state.as_of!r} is no moment: the page is live", "warning")
            self.banner.visible = self.side.live.visible = False
            self._leave()
            self.hub.hurry()
            return
        self._leave()
        self.side.show_zone()
        self.banner.param.update(object=not_live(moment, self.state.clock, "reading the store …"), visible=True)
        self.side.live.visible = True
        pn.state.execute(self._read_past)

    def _leave(self) -> None:
        """Take what is shown away until another moment has been read: it would stand under the sign of that one."""
        self._past = None
        self._on_show = None
        self.body[:] = [self.loading]
        for screen in self.screens.values():
            screen.forget()

    async def _read_past(self) -> None:
        moment = self.state.moment
        if moment is None:
            return
        past = await asyncio.to_thread(read_past, self.engine, moment)
        if self.state.moment != moment:
            return  # somebody went on while the store was read
        self._past = self.state.picture = past
        self.banner.object = not_live(moment, self.state.clock, "")
        self._draw_screen(past)


def open_page(engine: Any, hub: Hub) -> Shell:
    """Build the page of the session that is being made, and register it when its browser is connected."""
    pn.extension("tabulator", notifications=True)
    shell = Shell(engine, hub, user=pn.state.user or LOCAL_USER)
    if pn.state.location is not None:
        pn.state.location.sync(shell.state, URL_NAMES)

    doc = pn.state.curdoc

    def destroyed(_context: Any) -> None:
        shell.close()
        forget(doc)

    pn.state.onload(shell.open)
    pn.state.on_session_destroyed(destroyed)
    shell.page.servable(title="Fillbook")
    if doc is not None:
        doc.template_variables["first"] = first_sight(shell, {key: SCREENS[key].title for key in shell.keys})
    return shell
