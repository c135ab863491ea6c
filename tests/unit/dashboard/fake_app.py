"""The page on the stand-in engine, for looking at it: ``panel serve tests/unit/dashboard/fake_app.py --warm``."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2])]

from fake_engine import LivelyEngine  # noqa: E402

from dashboard import app, host  # noqa: E402
from engine.settings import Settings  # noqa: E402

viewers, operators = os.environ.get("FAKE_VIEWERS", ""), os.environ.get("FAKE_OPERATORS", "ann,local operator")
home = host.get(
    lambda: LivelyEngine(Settings(strategies="ALPHA,BETA", viewers=viewers, operators=operators), rehearsal=True)
)
app.open_page(home.engine, home.hub)
