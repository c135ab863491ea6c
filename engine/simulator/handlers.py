"""What the gateway does with each request, by message id.

Requests for facts (positions, orders, executions, contracts) are answered at once from the world; subscriptions are
noted and served by :mod:`engine.simulator.streams`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.simulator import answers, requests
from engine.simulator.intake import NO_DEFINITION, Intake, Refusal, qualify
from engine.simulator.lookups import Lookups
from engine.simulator.order_answers import completed_order, open_order
from engine.simulator.replay import ExecutionFilter, replay_executions
from engine.simulator.wire import Fields

if TYPE_CHECKING:
    from engine.simulator.gateway import Gateway
    from engine.simulator.session import Session

Handler = Callable[["Session", Fields], None]

START_API = 71

# Requests of the real gateway that this one does not serve: message id -> fields before the request id.
_NOT_SERVED = {
    10: 1,
    20: 0,
    22: 0,
    50: 1,
    52: 1,
    54: 1,
    55: 1,
    84: 0,
    86: 0,
    87: 0,
    88: 0,
    96: 0,
    97: 0,
    102: 0,
    100: 0,
}
# Cancels of what is not served, and settings without effect: read and accepted in silence.
_SILENT = frozenset({11, 13, 14, 23, 25, 51, 53, 56, 57, 89, 90, 98, 101, 103})


class Handlers:
    """All requests."""

    def __init__(self, gateway: Gateway, intake: Intake) -> None:
        self._gateway = gateway
        self._world = gateway.world
        self._intake = intake
        self._lookups = Lookups(gateway.world)
        streams = gateway.streams
        look = self._lookups
        self._table: dict[int, Handler] = {
            1: streams.market_data,
            2: streams.cancel_market_data,
            3: self._place_order,
            4: self._cancel_order,
            5: self._open_orders,
            6: streams.account_updates,
            7: self._executions,
            8: self._next_id,
            9: look.contract_details,
            12: look.nothing,
            15: self._auto_open_orders,
            16: self._all_open_orders,
            17: self._managed_accounts,
            21: self._exercise,
            49: self._time,
            58: self._global_cancel,
            59: look.nothing,
            61: streams.positions,
            62: streams.account_summary,
            63: streams.cancel_account_summary,
            64: streams.cancel_positions,
            74: streams.positions_multi,
            75: streams.cancel_positions_multi,
            76: streams.account_updates_multi,
            77: streams.cancel_account_updates_multi,
            78: look.option_parameters,
            79: look.soft_dollar_tiers,
            80: look.family_codes,
            81: look.matching_symbols,
            91: look.market_rule,
            92: streams.pnl,
            93: streams.cancel_pnl,
            94: streams.pnl_single,
            95: streams.cancel_pnl_single,
            99: self._completed_orders,
            104: look.user_info,
        }

    def handle(self, session: Session, kind: int, fields: Fields) -> None:
        """Serve one request.

        Raises:
            BadField: It cannot be read.
        """
        if kind == START_API:
            self._start(session, fields)
        elif not session.started:
            session.error(-1, 504, "Not connected")
        elif kind in self._table:
            self._table[kind](session, fields)
        elif kind in _NOT_SERVED:
            for _ in range(_NOT_SERVED[kind]):
                fields.text()
            session.error(fields.request(), 321, "Error validating request.-'sim' : cause - Not served by this gateway")
        elif kind not in _SILENT:
            session.error(-1, 505, f"Fatal Error: Unknown message id {kind}.")

    def _start(self, session: Session, fields: Fields) -> None:
        fields.integer()
        client_id = fields.integer()
        if session.started:
            return
        if not self._gateway.take_on(session, client_id):
            return
        session.send(answers.managed_accounts(self._world.config.accounts))
        session.send(answers.next_valid_id(self._world.ids.next_order_id(client_id)))
        session.error(-1, 2104, "Market data farm connection is OK:usfarm")
        session.error(-1, 2106, "HMDS data farm connection is OK:ushmds")
        session.error(-1, 2158, "Sec-def data farm connection is OK:secdefil")

    def _next_id(self, session: Session, fields: Fields) -> None:
        del fields
        session.send(answers.next_valid_id(self._world.ids.next_order_id(session.client_id)))

    def _managed_accounts(self, session: Session, fields: Fields) -> None:
        del fields
        session.send(answers.managed_accounts(self._world.config.accounts))

    def _time(self, session: Session, fields: Fields) -> None:
        del fields
        session.send(answers.current_time(int(self._world.clock.now().timestamp())))

    # orders

    def _place_order(self, session: Session, fields: Fields) -> None:
        order_id = fields.request()
        placed = requests.place_order(fields, order_id, session.version)
        try:
            self._intake.place(session.client_id, placed)
        except Refusal as refusal:
            session.error(order_id, refusal.code, refusal.text)

    def _cancel_order(self, session: Session, fields: Fields) -> None:
        fields.text()
        order_id = fields.request()
        try:
            self._intake.cancel(session.client_id, order_id)
        except Refusal as refusal:
            session.error(order_id, refusal.code, refusal.text)

    def _global_cancel(self, session: Session, fields: Fields) -> None:
        del session, fields
        self._intake.exchange.cancel_all()

    def _exercise(self, session: Session, fields: Fields) -> None:
        fields.text()
        request_id = fields.request()
        wanted = requests.contract_without_primary(fields)
        action, count, account = fields.integer(), fields.integer(), fields.text()
        try:
            known = qualify(self._world, wanted)
        except Refusal as refusal:
            session.error(request_id, refusal.code, refusal.text)
            return
        held = self._world.accounts.by_name.get(account)
        if (
            known.sec_type not in ("OPT", "FOP")
            or held is None
            or held.holding(known.con_id).quantity < count
            or count < 1
        ):
            session.error(request_id, 322, "Error processing request.-'bK' : cause - No such long option position")
            return
        if action == 1:
            self._gateway.faults.exercise_option(account=account, option=str(known.con_id), quantity=count)
        else:
            self._gateway.faults.expire_option(account=account, option=str(known.con_id))

    def _open_orders(self, session: Session, fields: Fields) -> None:
        del fields
        self._bind_manual(session)
        self._list_orders(session, own=True)

    def _auto_open_orders(self, session: Session, fields: Fields) -> None:
        fields.text()
        if fields.flag():
            self._bind_manual(session)

    def _all_open_orders(self, session: Session, fields: Fields) -> None:
        del fields
        self._list_orders(session, own=False)

    def _bind_manual(self, session: Session) -> None:
        """Client 0 takes over orders typed into TWS: they get a negative order id."""
        if session.client_id != 0:
            return
        taken = [order.order_id for order in self._world.orders.values() if order.order_id < 0]
        lowest = min([-1, *taken])
        for order in self._world.live.values():
            if order.client_id == 0 and order.order_id == 0:
                lowest -= 1
                order.order_id = lowest
                self._world.dirty.orders.add(order.perm_id)

    def _list_orders(self, session: Session, *, own: bool) -> None:
        for order in list(self._world.live.values()):
            if (own and order.client_id != session.client_id) or not order.transmit:
                continue
            session.send(open_order(self._world.instrument(order), order, session.version))
            session.send(answers.order_status(order))
        session.send(answers.end(53))

    def _completed_orders(self, session: Session, fields: Fields) -> None:
        api_only = fields.flag()
        for order in self._world.completed_today():
            if not api_only or order.order_id > 0:
                session.send(completed_order(self._world.instrument(order), order, session.version))
        session.send(answers.end(102))

    def _executions(self, session: Session, fields: Fields) -> None:
        fields.text()
        request_id = fields.request()
        wanted = ExecutionFilter.read(fields)
        if wanted.account and wanted.account not in self._world.accounts.by_name:
            session.error(request_id, 321, "Error validating request.-'bO' : cause - Invalid account code")
            return
        style = self._gateway.rules.time_style or self._world.config.time_style
        replay_executions(self._world, session, request_id, wanted, style)


__all__ = ["NO_DEFINITION", "Handlers"]
