"""The gateway's memory on disk: one SQLite file, so that it can be killed at any moment and started again.

Each turn of the event loop that changed something is one transaction, committed before clients hear of it. A killed
process loses nothing committed (the operating system has it), so no disk flush is asked for each: this is a
rehearsal, not a ledger.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

from engine.simulator.account import Holding
from engine.simulator.model import Execution, Instrument, Order, dump, load
from engine.simulator.world import World

_FORMAT = "1"
_TABLES = """
create table if not exists meta (name text primary key, value text not null);
create table if not exists orders (perm_id integer primary key, record text not null);
create table if not exists executions (exec_id text primary key, number integer not null, record text not null);
create table if not exists holdings (account text, con_id integer, record text not null, primary key (account, con_id));
create table if not exists cash (account text, currency text, amount text not null, primary key (account, currency));
create table if not exists clients (client_id integer primary key, accepted integer not null, seen integer not null);
create table if not exists instruments (con_id integer primary key, record text not null);
create table if not exists prices (con_id integer primary key, price text not null);
"""


class StateError(Exception):
    """The state file cannot be used; the text says why."""


class StateFile:
    """Reads a world's past and writes its changes.

    Args:
        path: The SQLite file; made when missing.
        world: The world to fill and to watch.
    """

    def __init__(self, path: Path | str, world: World) -> None:
        self._path = Path(path)
        self._world = world
        self._connection: sqlite3.Connection | None = None
        self._numbers: dict[str, int] = {}

    def open(self) -> None:
        """Open or make the file and bring the world to where it was.

        Raises:
            StateError: The file is no state file, is in use, or is of another format.
        """
        try:
            connection = sqlite3.connect(self._path, isolation_level=None)
            connection.execute("pragma locking_mode=exclusive")
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=normal")
            connection.executescript(_TABLES)
            known = dict(connection.execute("select name, value from meta").fetchall())
        except sqlite3.Error as trouble:
            raise StateError(f"state file {self._path} cannot be used: {trouble}") from trouble
        if known.get("format", _FORMAT) != _FORMAT:
            raise StateError(f"state file {self._path} has format {known['format']}, this gateway writes {_FORMAT}")
        self._connection = connection
        if known:
            self._restore(connection, known)
        self._world.dirty.instruments.update(known.con_id for known in self._world.catalogue.all())
        self.write()
        self._world.dirty.clear()

    def _restore(self, connection: sqlite3.Connection, known: dict[str, str]) -> None:
        world = self._world
        for (record,) in connection.execute("select record from instruments"):
            world.catalogue.add(load(Instrument, record))
        for (record,) in connection.execute("select record from orders order by perm_id"):
            order = load(Order, record)
            world.orders[order.perm_id] = order
            if order.order_id > 0:
                world.by_client[order.client_id, order.order_id] = order
            if not order.done:
                world.live[order.perm_id] = order
        for number, record in connection.execute("select number, record from executions order by number"):
            done = load(Execution, record)
            # What was on its way when the gateway died is told on request, as the real one does.
            done.commission_state = "sent" if done.commission_state == "pending" else done.commission_state
            world.executions[done.exec_id] = done
            self._numbers[done.exec_id] = number
        for account, con_id, record in connection.execute("select account, con_id, record from holdings"):
            if account in world.accounts.by_name:
                world.accounts[account].holdings[con_id] = load(Holding, record)
        for account, currency, amount in connection.execute("select account, currency, amount from cash"):
            if account in world.accounts.by_name:
                world.accounts[account].cash[currency] = Decimal(amount)
        for client_id, accepted, seen in connection.execute("select client_id, accepted, seen from clients"):
            world.ids.accepted[client_id], world.ids.seen[client_id] = accepted, seen
        prices = connection.execute("select con_id, price from prices").fetchall()
        world.market.restore({con_id: Decimal(price) for con_id, price in prices})
        world.ids.last_exec = max(world.ids.last_exec, int(known["last_exec"]))
        world.ids.last_perm = int(known["last_perm"])

    def write(self) -> None:
        """Write what changed, in one transaction.

        Raises:
            sqlite3.Error: It cannot be written; the gateway must not go on as if it were.
        """
        if self._connection is None:
            return
        world, dirty, put = self._world, self._world.dirty, self._connection.execute
        put("begin immediate")
        put("replace into meta values ('format', ?)", (_FORMAT,))
        put("replace into meta values ('last_exec', ?)", (str(world.ids.last_exec),))
        put("replace into meta values ('last_perm', ?)", (str(world.ids.last_perm),))
        for perm_id in dirty.orders:
            put("replace into orders values (?, ?)", (perm_id, dump(world.orders[perm_id])))
        for exec_id in sorted(dirty.executions):
            number = self._numbers.setdefault(exec_id, len(self._numbers))
            put("replace into executions values (?, ?, ?)", (exec_id, number, dump(world.executions[exec_id])))
        for account, con_id in dirty.holdings:
            record = dump(world.accounts[account].holding(con_id))
            put("replace into holdings values (?, ?, ?)", (account, con_id, record))
        for account in dirty.cash:
            for currency, amount in world.accounts[account].cash.items():
                put("replace into cash values (?, ?, ?)", (account, currency, str(amount)))
        for client_id in dirty.clients:
            accepted, seen = world.ids.accepted.get(client_id, 0), world.ids.seen.get(client_id, 0)
            put("replace into clients values (?, ?, ?)", (client_id, accepted, seen))
        for con_id in dirty.instruments:
            put("replace into instruments values (?, ?)", (con_id, dump(world.catalogue.get(con_id))))
        put("commit")

    def close(self) -> None:
        """Write the prices and close the file; idempotent."""
        if self._connection is None:
            return
        self.write()
        rows = [(con_id, str(price)) for con_id, price in self._world.market.prices().items()]
        self._connection.execute("begin immediate")
        self._connection.executemany("replace into prices values (?, ?)", rows)
        self._connection.execute("commit")
        self._connection.close()
        self._connection = None
