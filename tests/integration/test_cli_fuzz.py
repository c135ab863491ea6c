"""Whatever stands on the command line or in the file it names: a status, one line for what cannot be done, no traceback.

Everything is real but the opening of the books, which would take most of the time: one set serves all commands.
``make soak`` plays 100,000 cases.
"""

import asyncio
import io
import random
import re
import sys

import pytest

import engine.__main__ as cli
from engine.core.events import Quarantined
from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings
from tests.integration.test_dashboard_fuzz import PIECES, words
from tests.property.test_hostile_input import FLEX, NOW

COMMANDS = ("reconcile", "verify", "rebuild", "import-flex", "quarantine", "export", "help", "")
OPTIONS = ("--replay", "--dismiss", "--download", "--wait-s", "--help", "-h", "--", "--replay=", "-", "--wait-s=nan")
UNSAFE = re.compile(r"[^\n -\ud7ff\ue000-\U0010ffff]|[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal would obey instead of showing it."""


def typed(text):
    """A text as an argument: no NUL, and bytes that are no UTF-8 as Python gives them."""
    return text.replace("\0", "").encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")[:2000]


def line_of(dice, files, ids):
    chosen = [dice.choice(COMMANDS)] if dice.random() < 0.9 else []
    chosen += [
        dice.choice((dice.choice(OPTIONS), words(dice), dice.choice(files), dice.choice(ids)))
        for _ in range(dice.choice((0, 1, 1, 2, 3)))
    ]
    return [typed(word) for word in chosen]


def run(monkeypatch, arguments):
    """Status, standard output and standard error of one command."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors=errors) for errors in ("strict", "backslashreplace"))
    with monkeypatch.context() as streams:
        streams.setattr(sys, "stdout", out)
        streams.setattr(sys, "stderr", err)
        try:
            status = cli.main(arguments)
        except SystemExit as end:
            status = end.code
        for stream in (out, err):
            stream.flush()
    return status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()


def play(monkeypatch, folder, cases, seed):
    dice = random.Random(seed)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FILLBOOK_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("FILLBOOK_DEMO", "false")
    manager = asyncio.run(PortfolioManager.open(Settings.from_env()))
    close = manager.close

    async def opened(_settings):
        return manager

    async def stay():
        """The next command needs it."""

    monkeypatch.setattr(cli.PortfolioManager, "open", opened)
    monkeypatch.setattr(manager, "close", stay)
    monkeypatch.setattr(cli, "_rebuild", cli._verify)  # rebuilding opens and closes a room of its own, for seconds
    files, ids = [str(folder / f"statement{n}") for n in range(4)], [f"Q{n}" for n in range(40)]
    try:
        for number, name in enumerate(ids):
            hostile = words(random.Random(number))
            held = Quarantined(quarantine_id=name, door="queue", reason=hostile, raw=hostile, received_at=NOW)
            asyncio.run(manager.submit([held]))
        for _ in range(cases):
            cut = dice.randrange(len(FLEX))
            content = FLEX[:cut] + words(dice) + FLEX[cut + dice.randrange(30) :]
            whole = dice.choice((content.encode("utf-8", "replace"), dice.randbytes(60), b"", FLEX.encode()))
            (folder / "statement0").write_bytes(whole)
            arguments = line_of(dice, files, ids)
            status, out, err = run(monkeypatch, arguments)
            assert status in {0, 1, 2}, (arguments, status)
            assert "Traceback" not in err, (arguments, err)
            if status == 2:
                assert err.startswith("fillbook: "), (arguments, err)
                assert err.count("\n") == 1, (arguments, err)
            said = out + err
            assert not UNSAFE.search(said), (arguments, UNSAFE.search(said), said)
        assert manager.verify().empty
    finally:
        asyncio.run(close())


def test_nothing_on_the_command_line_raises_or_commands_the_terminal(tmp_path, monkeypatch):
    play(monkeypatch, tmp_path, 150, 1)


@pytest.mark.soak
def test_a_hundred_thousand_command_lines_raise_nothing(tmp_path, monkeypatch):
    play(monkeypatch, tmp_path, 100_000, 2)


def test_the_pieces_are_hostile():
    assert any(UNSAFE.search(piece) for piece in PIECES)
