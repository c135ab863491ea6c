"""The stand-in engine for every test of the dashboard, and a page on it."""

import sys
import time
from pathlib import Path

import panel as pn
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_engine import FakeEngine

from dashboard.app import Shell
from dashboard.hub import Hub
from dashboard.picture import READERS, read
from engine.settings import Settings

pn.extension("tabulator")


def pytest_itemcollected(item):
    # panel-material-ui 0.16 gives Panel both spellings of an option; Panel 2 will have one.
    item.add_marker(pytest.mark.filterwarnings("ignore:Both 'variant' and 'button_style':PendingDeprecationWarning"))


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def picture(engine):
    return read(engine, frozenset(READERS), None, {}, time.monotonic())


@pytest.fixture
def open_shell(engine):
    def opened(user="local operator", **settings):
        if settings:
            engine.settings = Settings(**settings)
        shell = Shell(engine, Hub(engine), user)
        said = []
        shell.desk.say = lambda text, kind: said.append((kind, text))
        shell.said = said
        return shell

    return opened


@pytest.fixture
def show(engine):
    """Open a screen, draw what the engine says now, and hand the screen out."""

    def shown(shell, view):
        shell.state.view = view
        shell._moved(None)
        screen = shell.screens[shell._key()]
        shell.state.picture = read(engine, frozenset(READERS), shell.state.picture, {}, time.monotonic())
        screen.draw(shell.state.picture)
        return screen

    return shown
