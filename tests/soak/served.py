"""What the soak test serves: the front door, as ``panel_app.py``, with the soak's engine behind it."""

from dashboard import app, host
from tests.soak.trading import make_engine

home = host.get(make_engine)
app.open_page(home.engine, home.hub)
