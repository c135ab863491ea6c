"""The front door: ``panel serve panel_app.py``. One engine per server process, one dashboard per browser session."""

from engine.app import Engine

from dashboard import app, host
from engine.settings import Settings

home = host.get(lambda: Engine(Settings.from_env()))
app.open_page(home.engine, home.hub)
