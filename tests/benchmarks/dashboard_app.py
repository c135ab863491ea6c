"""What the dashboard's benchmarks serve: the product's page on an engine that puts fills upon request.

``panel serve`` runs this script once per session. The engine has no IB (its own link is no part of the figures) and a
thread that puts fills at the rate that ``POST /load?per_s=N`` asks for; ``GET /load`` says what was put and what the
process holds.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dashboard import app, host
from engine.settings import Settings
from tests.benchmarks.dashboard_load import LoadedEngine

home = host.get(lambda: LoadedEngine(Settings.from_env()))
app.open_page(home.engine, home.hub)
