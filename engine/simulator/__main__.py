"""The simulated gateway from the command line.

``python -m engine.simulator --host 127.0.0.1 --port 4002 --accounts DU1234567,DU7654321 --seed 7`` prints one line,
``listening on HOST:PORT``, when clients can connect, and runs until it is interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path

from engine.simulator.config import GatewayConfig
from engine.simulator.faults import FaultDesk, FaultError
from engine.simulator.gateway import Gateway
from engine.simulator.state import StateError


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as wrong:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from wrong


def _parser() -> argparse.ArgumentParser:
    plain = GatewayConfig()
    parser = argparse.ArgumentParser(prog="python -m engine.simulator", description="A simulated IB gateway.")
    add = parser.add_argument
    add("--host", default=plain.host, help="address to listen on (default %(default)s)")
    add("--port", type=int, default=4002, help="TCP port, 0 picks a free one (default %(default)s)")
    add("--accounts", default="DU1234567", help="account names, separated by commas (default %(default)s)")
    add("--seed", type=int, default=plain.seed, help="decides the price paths (default %(default)s)")
    add("--base-currency", default=plain.base_currency, help="base currency of the accounts (default %(default)s)")
    add("--cash", type=_amount, default=plain.cash, help="opening balance of each account (default %(default)s)")
    add("--master-client-id", type=int, default=None, help="client that hears everybody's orders and executions")
    add("--tick", type=float, default=plain.tick_s, metavar="SECONDS", help="price step interval, 0 holds all prices")
    add("--volatility", type=_amount, default=plain.volatility, help="scales the price steps (default %(default)s)")
    add("--fill-delay", type=float, default=plain.fill_delay_s, metavar="SECONDS", help="from order to fill")
    add("--commission-delay", type=float, default=plain.commission_delay_s, metavar="SECONDS", help="from fill to fee")
    add("--position-delay", type=float, default=plain.position_delay_s, metavar="SECONDS", help="from fill to position")
    add(
        "--time-style", default=plain.time_style, help="zone, dash, bare, unknown or an IANA zone (default %(default)s)"
    )
    add("--replay-commissions", default=plain.replay_commissions, choices=("all", "own", "none"))
    add("--day-zone", default=plain.day_zone, help="zone whose midnight begins the day (default %(default)s)")
    add("--pacing", type=int, default=0, metavar="N", help="refuse more than N messages a second; 0 is off")
    add("--state", type=Path, default=None, metavar="FILE", help="keep everything in FILE over a restart")
    add("--fault", action="append", default=[], metavar="NAME[:KEY=VALUE,...][@SECONDS]", help="schedule a fault")
    add("--list-faults", action="store_true", help="list all faults and their parameters, and end")
    add("--verbose", action="store_true", help="log more, on standard error")
    return parser


def _config(given: argparse.Namespace) -> GatewayConfig:
    return GatewayConfig(
        host=given.host,
        port=given.port,
        accounts=[name.strip() for name in given.accounts.split(",") if name.strip()],
        seed=given.seed,
        base_currency=given.base_currency,
        cash=given.cash,
        master_client_id=given.master_client_id,
        tick_s=given.tick,
        volatility=given.volatility,
        fill_delay_s=given.fill_delay,
        commission_delay_s=given.commission_delay,
        position_delay_s=given.position_delay,
        time_style=given.time_style,
        replay_commissions=given.replay_commissions,
        day_zone=given.day_zone,
        max_messages_per_s=given.pacing,
        state=given.state,
    )


def _list_faults() -> None:
    for one in FaultDesk.describe():
        parameters = ", ".join(f"{p.name}={p.default}" for p in one.parameters)
        print(f"{one.name}({parameters}): {one.help}")


async def _serve(config: GatewayConfig, scripts: list[str]) -> None:
    gateway = Gateway(config)
    await gateway.start()
    try:
        for script in scripts:
            gateway.faults.schedule(script)
    except FaultError:
        await gateway.stop()
        raise
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers on its loops
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"listening on {config.host}:{gateway.port}", flush=True)
    try:
        await stop.wait()
    finally:
        await gateway.stop()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 after an orderly end, 2 when it could not start (with one line on standard error).
    """
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.DEBUG if given.verbose else logging.WARNING, stream=sys.stderr)
    if given.list_faults:
        _list_faults()
        return 0
    try:
        asyncio.run(_serve(_config(given), given.fault))
    except (ValueError, FaultError, StateError) as wrong:
        print(f"simulator: {wrong}", file=sys.stderr)
        return 2
    except OSError as trouble:
        place = f"{given.host}:{given.port}"
        print(
            f"simulator: cannot listen on {place}: {trouble.strerror or trouble}; choose another --port",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
