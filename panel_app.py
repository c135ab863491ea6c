"""The front door: ``panel serve panel_app.py``. One engine per server process, one dashboard per browser session."""

from dashboard import app, host
from engine.demo import make_engine
from engine.settings import Settings

home = host.get(lambda: make_engine(Settings.from_env()))
app.open_page(home.engine, home.hub)
