"""What a person does reaches a page without its document's lock: Bokeh refuses what is then written past Panel."""

import contextlib
import threading
import weakref
from types import SimpleNamespace

import panel as pn
import pytest
from bokeh.document import Document
from bokeh.document.events import ModelChangedEvent
from bokeh.protocol import Protocol
from bokeh.server.contexts import BokehSessionContext
from bokeh.server.session import ServerSession
from panel.io.state import set_curdoc
from tornado.ioloop import IOLoop

from dashboard.app import SCREENS


@pytest.fixture
def shown_in_session(open_shell, show):
    """Show a screen in a real session that is loaded and whose document nobody has locked."""
    with contextlib.ExitStack() as held:

        def shown(view):
            doc = Document()
            context = BokehSessionContext("test", None, doc)
            context._request = SimpleNamespace(arguments={}, cookies={}, headers={}, path="/")
            doc._session_context = weakref.ref(context)
            shell = open_shell()
            with set_curdoc(doc):
                screen = show(shell, view)
                doc.add_root(pn.panel(screen).get_root(doc))
            context._set_session(ServerSession("test", doc, IOLoop.current()))
            pn.state._connected[doc] = pn.state._loaded[doc] = True
            held.callback(lambda: (pn.state._connected.pop(doc), pn.state._loaded.pop(doc), context))
            held.enter_context(set_curdoc(doc))
            pn.state._thread_id = threading.get_ident()
            return shell, screen

        yield shown


async def test_a_model_written_past_panel_is_refused_without_the_lock(shown_in_session):
    _, screen = shown_in_session("orders")
    with pytest.raises(RuntimeError, match="_pending_writes"):
        screen.figure.x_range.start = 5


async def test_the_timeline_is_moved_and_drawn_without_the_lock(shown_in_session):
    shell, screen = shown_in_session("orders")
    await screen._load_bars()
    before = screen.figure.x_range.start
    screen.span.value = 60
    assert screen.figure.x_range.start != before
    screen.grid.table.selection = [0]
    screen.grid.release()
    screen.many.value = 20
    await screen._load_bars()
    assert len(screen.figure.y_range.factors) == 20
    screen.refresh(shell.state.picture)


async def test_the_history_of_a_break_is_drawn_without_the_lock(shown_in_session):
    _, screen = shown_in_session("reconciliation")
    screen.grid.table.selection = [0]
    await screen._remember()
    assert screen.history.object is not None


@pytest.mark.parametrize("view", [key for key in SCREENS if key != "rehearsal"])
async def test_a_screen_is_drawn_without_the_lock(view, shown_in_session):
    shell, screen = shown_in_session(view)
    shell.state.account = "DU7654321"
    screen.forget()
    screen.draw(shell.state.picture)
    assert screen.errors.object == ""


async def test_new_rows_go_to_the_browser_in_one_message(shown_in_session):
    _, screen = shown_in_session("positions")
    table = screen.books.table
    table.put(table.value.assign(qty=table.value["qty"] + 1))
    (model,) = [model for model, _ in table._models.values()]
    event = ModelChangedEvent(pn.state.curdoc, model.source, "data", model.source.data)
    assert Protocol().create("PATCH-DOC", [event]).buffers == []
