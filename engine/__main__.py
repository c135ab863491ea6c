"""The command line: the dashboard's acts, for scripts.

Exit status 0: done and square. 1: done, with breaks or differences. 2: could not be done (one line on standard error).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from engine.broker.flex_web import download_flex
from engine.clock import SystemClock
from engine.core.events import Audited
from engine.errors import BadRequest, FillbookError
from engine.office.verify import COLUMNS, differences
from engine.pipeline.room import BookRoom
from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings
from engine.storage import open_store
from engine.storage.schema import LIBRARIES
from engine.tables.records import rows_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

SQUARE, DIFFERENT, FAILED = 0, 1, 2
_OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    # What goes wrong is said in one line below; the libraries' own lines would only repeat it.
    logging.basicConfig(level=logging.CRITICAL, format="%(levelname)s %(name)s: %(message)s")
    try:
        return int(options.run(options, Settings.from_env()))
    except (FillbookError, OSError) as error:
        sys.stderr.write(f"fillbook: {_harmless(' '.join(_reason(error).split())) or type(error).__name__}\n")
        return FAILED


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments, as every other refusal does."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"fillbook: {_harmless(' '.join(message.split()))} (--help lists what there is)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m engine",
        description="Fillbook's acts for scripts. Settings come from FILLBOOK_* variables.",
        epilog="Exit status: 0 done and square, 1 done with breaks or differences, 2 could not be done.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, text: str, run: object) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    reconcile = command("reconcile", "fetch IB's positions and compare them with the books", _reconcile)
    reconcile.add_argument("--wait-s", type=float, default=30.0, help="how long to wait for what is settling (seconds)")
    command("verify", "recompute every book from the stored fills and compare", _verify)
    command("rebuild", "write every snapshot again from the facts, then verify", _rebuild)
    flex = command("import-flex", "take in a Flex statement; again changes nothing", _import_flex)
    flex.add_argument("file", type=Path, nargs="?")
    flex.add_argument("--download", action="store_true", help="fetch it with FILLBOOK_FLEX_TOKEN and _QUERY_ID")
    held = command("quarantine", "list messages that could not be read; replay or dismiss one", _quarantine)
    act = held.add_mutually_exclusive_group()
    act.add_argument("--replay", metavar="ID")
    act.add_argument("--dismiss", metavar="ID")
    export = command("export", "write every stored table as CSV", _export)
    export.add_argument("folder")
    return parser


def _operator() -> str:
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "command line"


def _show(frame: pd.DataFrame) -> None:
    if len(frame):
        sys.stdout.write(_harmless(frame.to_string(index=False)) + "\n")


def _harmless(text: str) -> str:
    """What a terminal would obey instead of showing it, as its escape: texts come from messages."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _reconcile(options: argparse.Namespace, settings: Settings) -> int:
    if not settings.has_ib:
        raise BadRequest("no IB is configured: set FILLBOOK_IB_HOST and FILLBOOK_IB_PORT")

    async def run() -> int:
        manager = await PortfolioManager.open(settings)
        try:
            result = await manager.reconciler.settle(f"command of {_operator()}", deadline_s=options.wait_s)
            _show(manager.breaks())
            sys.stdout.write(
                f"{result.status}: {result.accounts} accounts, {result.positions} positions,"
                f" {len(result.breaks)} breaks\n"
            )
            for account, reason in result.unknown.items():
                sys.stdout.write(f"{account} is unknown: {reason}\n")
            return SQUARE if result.square and not result.breaks and not result.unknown else DIFFERENT
        finally:
            await manager.close()

    return asyncio.run(run())


def _verify(_options: argparse.Namespace, settings: Settings) -> int:
    store = open_store(settings.arctic_location, read_only=True)
    try:
        frame = rows_frame(differences(store), COLUMNS)
        books = sum(len(store.read("positions", name)) for name in store.symbols("positions"))
    finally:
        store.close()
    _show(frame)
    sys.stdout.write(f"{len(frame)} differences in {books} books\n")
    return DIFFERENT if len(frame) else SQUARE


def _rebuild(options: argparse.Namespace, settings: Settings) -> int:
    room = BookRoom(settings, SystemClock())
    try:
        room.intake.put(
            [Audited(user=_operator(), act="rebuild", detail=room.origin, received_at=room.clock.now())]
        ).result(60)
    finally:
        room.close(timeout_s=120.0)
    for note in room.notes:
        sys.stdout.write(f"{note}\n")
    return _verify(options, settings)


def _import_flex(options: argparse.Namespace, settings: Settings) -> int:
    if (options.file is None) != options.download:
        raise BadRequest("import-flex takes a file, or --download")
    given = None if options.download else options.file.read_bytes()

    async def run() -> int:
        content = given if given is not None else await download_flex(settings.flex_token, settings.flex_query_id)
        manager = await PortfolioManager.open(settings)
        try:
            result = await manager.import_flex(content, _operator())
        finally:
            await manager.close()
        sys.stdout.write(_harmless(f"{result['text']}\n"))
        for finding in result["findings"]:
            sys.stdout.write(_harmless(f"finding: {finding}\n"))
        return DIFFERENT if result["differences"] or result["findings"] else SQUARE

    return asyncio.run(run())


def _quarantine(options: argparse.Namespace, settings: Settings) -> int:
    async def run() -> int:
        manager = await PortfolioManager.open(settings)
        try:
            if options.replay:
                count = await manager.replay_quarantine(options.replay, _operator())
                sys.stdout.write(f"replayed: {count} facts\n")
            elif options.dismiss:
                await manager.dismiss_quarantine(options.dismiss, _operator())
                sys.stdout.write("dismissed\n")
            frame = manager.quarantine()
        finally:
            await manager.close()
        _show(frame)
        sys.stdout.write(f"{len(frame)} in quarantine\n")
        return DIFFERENT if len(frame) else SQUARE

    return asyncio.run(run())


def _export(options: argparse.Namespace, settings: Settings) -> int:
    if not options.folder:  # a variable of a script that is empty: not the folder it happens to run in
        raise BadRequest("export needs the name of a folder")
    store = open_store(settings.arctic_location, read_only=True)
    try:
        count = 0
        for library in LIBRARIES:
            for symbol in store.symbols(library):
                folder = Path(options.folder) / library
                folder.mkdir(parents=True, exist_ok=True)
                file = folder / (symbol.replace("/", "~").replace("\0", "") + ".csv")
                store.read(library, symbol).to_csv(file)
                count += 1
    finally:
        store.close()
    sys.stdout.write(_harmless(f"{count} tables written to {options.folder}\n"))
    return SQUARE


if __name__ == "__main__":
    sys.exit(main())
