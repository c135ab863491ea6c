"""What a page shows before its programs run."""

import pytest
from bokeh.document import Document
from fake_engine import HOSTILE
from panel.io.state import set_curdoc

from dashboard import first
from dashboard.app import SCREENS

TITLES = {key: screen.title for key, screen in SCREENS.items()}


def sight(view, picture, **more):
    return first.first_html(view, TITLES, picture, **{"strategy": "", "account": "", "dark": False, **more})


@pytest.mark.parametrize("view", list(SCREENS))
def test_every_screen_has_a_first_sight_whose_texts_stay_texts(view, engine):
    picture = first.first_picture(engine, view, None)
    html = sight(view, picture)
    assert f"<h1>{TITLES[view]}</h1>" in html
    assert (view in first.CONTENT) == (picture is not None)
    assert HOSTILE not in html
    assert "<script" not in html
    assert "<img" not in html


def test_the_first_sight_shows_the_books_and_says_that_they_do_not_move(engine):
    html = sight("fills", first.first_picture(engine, "fills", None))
    newest = engine.portfolio_manager.fills_page(limit=1)[0].iloc[0]
    assert str(newest["strategy"]) in html
    assert "They do not move yet" in html
    assert html.count("<tr>") == first.ROWS + 1


def test_only_the_strategy_asked_for_is_in_the_first_sight(engine):
    picture = first.first_picture(engine, "positions", None)
    html = sight("positions", picture, strategy="ALPHA")
    assert "<td>ALPHA</td>" in html
    assert "<td>BETA</td>" not in html


def test_a_recent_picture_is_not_read_again(engine, picture):
    engine.portfolio_manager.positions = lambda **_: 1 / 0
    assert first.first_picture(engine, "positions", picture) is picture


def test_an_unknown_number_is_a_dash_and_a_negative_one_has_a_proper_sign():
    assert first._cell(float("nan"), True) == "<td class='number'>—</td>"
    assert first._cell(-1500.5, True) == "<td class='number'>−1,500.5</td>"
    assert first._cell(100.0, True) == "<td class='number'>100</td>"
    assert first._cell(None, False) == "<td></td>"


async def test_a_page_whose_books_cannot_be_read_opens_nevertheless(engine, open_shell):
    shell = open_shell()
    shell.hub.running = True
    engine.portfolio_manager.positions = lambda **_: 1 / 0
    shell.state.view = "positions"
    assert "<h1>Positions</h1>" in first.first_sight(shell, TITLES)
    shell.state.as_of = "2026-01-31T16:00:00+00:00"
    assert "Loading" in first.first_sight(shell, TITLES)
    del shell.hub
    assert first.first_sight(shell, TITLES) == ""


async def test_a_moment_in_the_link_that_is_none_is_told_once(open_shell):
    shell = open_shell()
    shell.state.as_of = "never"  # as the link is read: there is no document yet
    assert shell.said == []
    with set_curdoc(Document()):
        shell.open()
    assert shell.said == [("warning", "'never' is no moment: the page is live")]
