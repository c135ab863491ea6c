"""Re-requested executions: the day's, of all clients, as far as the filter lets them through."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.simulator import answers
from engine.simulator.answers import Message
from engine.simulator.model import Execution
from engine.simulator.wire import BadField, Fields
from engine.simulator.world import World

_TIME = re.compile(r"(\d{8})[ -]{1,2}(\d{2}:\d{2}(?::\d{2})?)(?: (\S+))?")
_SIDES = {"": "", "BUY": "BOT", "BOT": "BOT", "SELL": "SLD", "SLD": "SLD", "SSHORT": "SLD"}


class Asker(Protocol):
    """The client that asked."""

    client_id: int

    def send(self, message: Message) -> None:
        """Queue a message for it."""


@dataclass(slots=True)
class ExecutionFilter:
    """The filter of reqExecutions; empty fields and client id 0 let everything through."""

    client_id: int
    account: str
    since: datetime | None
    symbol: str
    sec_type: str
    exchange: str
    side: str

    @classmethod
    def read(cls, fields: Fields) -> ExecutionFilter:
        """Read the filter's seven fields.

        Raises:
            BadField: A time or side that cannot be read.
        """
        client_id, account, since = fields.integer(), fields.text(), fields.text().strip()
        symbol, sec_type, exchange, side = fields.text(), fields.text(), fields.text(), fields.text().strip().upper()
        if side not in _SIDES:
            raise BadField(f"side {side[:20]!r}")
        return cls(client_id, account, _moment(since), symbol, sec_type, exchange, _SIDES[side])

    def lets_through(self, done: Execution, world: World) -> bool:
        """Whether an execution is wanted."""
        known = world.instrument(done)
        wanted = (
            (self.account, (done.account,)),
            (self.symbol.upper(), (known.symbol,)),
            (self.sec_type.upper(), (known.sec_type,)),
            (self.exchange.upper(), (done.exchange, done.contract_exchange)),
            (self.side, (done.side,)),
        )
        return (
            self.client_id in (0, done.client_id)
            and (self.since is None or done.time >= self.since)
            and all(not said or said in values for said, values in wanted)
        )


def _moment(text: str) -> datetime | None:
    """The time of a filter, in any of IB's spellings; without a zone it is UTC."""
    if not text:
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        raise BadField(f"time {text[:40]!r}")
    day, clock, zone_name = found.groups()
    zone: tzinfo = UTC
    if zone_name:
        try:
            zone = ZoneInfo(zone_name)
        except (ZoneInfoNotFoundError, ValueError) as unknown:
            raise BadField(f"time zone {zone_name[:40]!r}") from unknown
    try:
        moment = datetime.strptime(f"{day} {clock if clock.count(':') == 2 else clock + ':00'}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007
    except ValueError as impossible:
        raise BadField(f"time {text[:40]!r}") from impossible
    return moment.replace(tzinfo=zone)


def replay_executions(world: World, asker: Asker, request_id: int, wanted: ExecutionFilter, style: str) -> None:
    """Send the executions a filter lets through, each with its commission report if that is due, and the end marker."""
    for done in world.todays_executions():
        if not wanted.lets_through(done, world):
            continue
        if done.superseded and world.config.replay_corrected == "last":
            continue
        asker.send(answers.execution(world.instrument(done), done, request_id, style))
        if _reported(world, asker, done):
            sentinel = done.commission_state == "sentinel"
            amount, realized = (None, None) if sentinel else (done.commission, done.realized)
            asker.send(answers.commission(done.exec_id, amount, done.commission_currency, realized))
    asker.send(answers.end(55, request_id))


def _reported(world: World, asker: Asker, done: Execution) -> bool:
    if done.commission is None or done.commission_state not in ("sent", "sentinel"):
        return False
    whose = world.config.replay_commissions
    if whose == "all":
        return True
    return whose == "own" and asker.client_id in (done.client_id, world.config.master_client_id)
