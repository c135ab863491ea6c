"""The command line as a script sees it: exit status, one clear line on standard error, never a traceback."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.portfolio_manager import PortfolioManager
from engine.storage import open_store
from tests.integration.engine_kit import chosen, flushed
from tests.integration.kill_child import REF, own_fill

ROOT = Path(__file__).resolve().parents[2]


def engine(folder, *arguments, **settings):
    """Run ``python -m engine`` with settings; returns (status, output, error)."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FILLBOOK_")}
    environment |= {"FILLBOOK_DATA_DIR": str(folder), "FILLBOOK_LMDB_MAP_GB": "0.5", "PYTHONPATH": str(ROOT)}
    environment |= {f"FILLBOOK_{name.upper()}": str(value) for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "engine", *map(str, arguments)],
        cwd=folder.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def refused(result, *words):
    """Could not be done, and one line says why."""
    status, output, error = result
    assert status == 2, result
    assert len(error.strip().splitlines()) == 1, error
    assert output == ""
    for word in words:
        assert word in error


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """A data directory with a few books in it, closed."""
    folder = tmp_path_factory.mktemp("cli") / "data"

    async def fill():
        manager = await PortfolioManager.open(chosen(folder))
        for number in range(4):
            await manager.process_fill(REF, *own_fill(f"0000dddd.00000000.{number:08x}.01.01", 2, 100.25))
        await flushed(manager.room)
        await manager.close()

    asyncio.run(fill())
    return folder


def test_a_bad_setting_is_named(tmp_path):
    refused(engine(tmp_path / "data", "verify", ib_port="many"), "FILLBOOK_IB_PORT", "many")


def test_a_setting_that_was_misspelt_is_told_with_the_nearest_one(tmp_path):
    refused(
        engine(tmp_path / "data", "verify", ib_account="DU1"), "FILLBOOK_IB_ACCOUNT is", "mean FILLBOOK_IB_ACCOUNTS?"
    )


@pytest.mark.parametrize("zone", ["Europe/Zurch", "Europe", "../etc", "/etc/passwd"])
def test_a_time_zone_that_does_not_exist_is_refused(tmp_path, zone):
    refused(engine(tmp_path / "data", "verify", ib_timezone=zone), "FILLBOOK_IB_TIMEZONE", zone)


def test_a_store_without_a_place_is_refused(tmp_path):
    for uri in ("lmdb://", "lmdb://?x=1", "s3://"):
        refused(engine(tmp_path / "data", "rebuild", arctic_uri=uri), "FILLBOOK_ARCTIC_URI")
    assert not (tmp_path / "data").exists()


def test_an_export_into_a_folder_without_a_name_is_refused(books):
    before = set(books.parent.iterdir())
    refused(engine(books, "export", ""), "folder")
    assert set(books.parent.iterdir()) == before


def test_a_store_that_is_not_there_is_said_and_not_made(tmp_path):
    for command in (("verify",), ("export", tmp_path / "out")):
        refused(engine(tmp_path / "data", *command))
    assert not (tmp_path / "data" / "arctic").exists()


def test_reconciling_without_ib_says_what_to_set(tmp_path):
    refused(engine(tmp_path / "data", "reconcile"), "FILLBOOK_IB_HOST")


def test_a_file_that_is_missing_or_no_statement_is_said(tmp_path):
    garbage = tmp_path / "garbage.xml"
    garbage.write_bytes(b"\x00\xff<not a statement")
    refused(engine(tmp_path / "data", "import-flex", tmp_path / "nowhere.xml"), "nowhere.xml")
    refused(engine(tmp_path / "data", "import-flex", garbage))


def test_an_unknown_command_is_refused(tmp_path):
    refused(engine(tmp_path / "data", "frobnicate"), "frobnicate")


@pytest.mark.parametrize(
    "arguments", [(), ("quarantine", "--replay"), ("verify", "ex\ntra"), ("reconcile", "--wait-s", "soon")]
)
def test_arguments_that_make_no_sense_are_refused_in_one_line_too(tmp_path, arguments):
    refused(engine(tmp_path / "data", *arguments), "--help")


def test_books_that_add_up_give_zero_and_are_exported(books, tmp_path):
    assert engine(books, "verify")[0] == 0
    assert engine(books, "quarantine")[0] == 0
    assert engine(books, "rebuild")[0] == 0
    assert engine(books, "export", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "fills" / f"{REF}.csv").read_text().count("0000dddd") == 4
    store = open_store(chosen(books).arctic_location, read_only=True)
    stored = {(library, symbol) for library in store.libraries() for symbol in store.symbols(library)}
    store.close()
    assert {(file.parent.name, file.stem.replace("~", "/")) for file in (tmp_path / "out").rglob("*.csv")} == stored


async def test_books_that_an_engine_owns_are_not_opened_by_a_second(tmp_path):
    manager = await PortfolioManager.open(chosen(tmp_path / "data"))
    try:
        for command in ("rebuild", "quarantine"):
            refused(await asyncio.to_thread(engine, tmp_path / "data", command), "another engine", "stop it first")
        assert (await asyncio.to_thread(engine, tmp_path / "data", "verify"))[0] == 0
    finally:
        await manager.close()


def test_a_cent_that_somebody_added_gives_one(books):
    store = open_store(chosen(books).arctic_location, map_gb=0.5)
    library = store.handle.library("positions")
    item = library.read(REF)
    frame = item.data
    frame["avg_cost"] += 0.01
    library.write(REF, frame, metadata=item.metadata)
    store.close()
    status, output, _ = engine(books, "verify")
    assert (status, "avg_cost" in output) == (1, True)
    assert engine(books, "rebuild")[0] == 0
