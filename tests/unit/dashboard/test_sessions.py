"""What a session leaves behind with Panel, which lives as long as the server: nothing."""

from types import SimpleNamespace

import panel as pn
from bokeh.document import Document
from panel.io.state import set_curdoc

from dashboard.app import open_page
from dashboard.hub import Hub


async def test_panel_keeps_no_view_of_a_session_that_has_ended(engine):
    before = set(pn.state._views)
    doc = Document()
    request = SimpleNamespace(cookies={}, headers={}, arguments={})
    context = SimpleNamespace(_document=doc, id="one", session=None, request=request, server_context=None)
    doc._session_context = lambda: context
    with set_curdoc(doc):
        open_page(engine, Hub(engine))
    kept = {type(view[0]).__name__ for view in pn.state._views.values() if view[2] is doc}
    assert kept == {"Page", "NotificationArea"}
    for ended in doc.callbacks.session_destroyed_callbacks:
        ended(context)
    assert set(pn.state._views) == before
