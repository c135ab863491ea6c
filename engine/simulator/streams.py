"""What clients hear regularly: positions, account windows, summaries, profit, prices.

A subscription is answered whole at once and then kept up to date. Changes of holdings are gathered for a moment, so
that a burst of a thousand fills becomes one row of the portfolio window.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.simulator import answers, requests
from engine.simulator.intake import Refusal, qualify
from engine.simulator.wire import Fields

if TYPE_CHECKING:
    from engine.simulator.gateway import Gateway
    from engine.simulator.session import Session

_SIZE = Decimal(100)
_MULTI_LEDGER_ONLY = frozenset({"NetLiquidation", "AccountCode"})


class Streams:
    """Subscriptions of all sessions."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._world = gateway.world
        self._changed: set[tuple[str, int]] = set()
        self._gathering = False

    # positions

    def positions(self, session: Session, fields: Fields) -> None:
        """Every open position of every account, the end marker, and changes from then on."""
        del fields
        session.wants_positions = True
        rule = self._gateway.rules.take_positions()
        if rule is not None and rule.mode == "error":
            session.error(-1, 321, "Error validating request.-'bW' : cause - Position info is not available")
            return
        rows = list(self._open_positions(self._world.config.accounts))
        if rule is not None and rule.mode == "empty":
            rows = [row for row in rows if rule.account and row[0] != rule.account]
        elif rule is not None and rule.mode in ("partial", "hang", "late"):
            spoiled = [row for row in rows if rule.account in ("", row[0])][rule.rows :]
            rows = [row for row in rows if row not in spoiled]
            if rule.mode == "late":
                self._gateway.later(rule.delay_s, lambda: self._send_positions(session, spoiled))
        self._send_positions(session, rows, ends=rule is None or rule.mode not in ("hang", "late"))
        if rule is not None and rule.mode == "ends":
            self._gateway.later(rule.delay_s, lambda: self._send_positions(session, ()))

    def _send_positions(self, session: Session, rows: Iterable[tuple[str, int]], *, ends: bool = True) -> None:
        for account, con_id in rows:
            held = self._world.accounts[account].holding(con_id)
            quantity = self._gateway.publish.shown(held.quantity)
            cost = self._gateway.publish.cost(account, con_id)
            session.send(answers.position(self._world.catalogue.get(con_id), account, quantity, cost))
        if ends:
            session.send(answers.end(62))

    def _open_positions(self, accounts: Iterable[str]) -> Iterable[tuple[str, int]]:
        for account in accounts:
            for held in self._world.accounts[account].holdings.values():
                if held.quantity:
                    yield account, held.con_id

    def cancel_positions(self, session: Session, fields: Fields) -> None:
        """No more positions."""
        del fields
        session.wants_positions = False

    def positions_multi(self, session: Session, fields: Fields) -> None:
        """Open positions of one account (or all), by request id."""
        fields.text()
        request_id = fields.request()
        accounts = self._accounts(session, request_id, fields.text())
        if accounts is None:
            return
        session.subscriptions.positions_multi[request_id] = accounts
        for account, con_id in self._open_positions(accounts):
            self._position_multi(session, request_id, account, con_id)
        session.send(answers.end(72, request_id))

    def _position_multi(self, session: Session, request_id: int, account: str, con_id: int) -> None:
        held = self._world.accounts[account].holding(con_id)
        known = self._world.catalogue.get(con_id)
        cost = self._gateway.publish.cost(account, con_id)
        session.send(answers.position_multi(known, request_id, account, held.quantity, cost))

    def cancel_positions_multi(self, session: Session, fields: Fields) -> None:
        """No more positions for this request."""
        fields.text()
        session.subscriptions.positions_multi.pop(fields.request(), None)

    def _accounts(self, session: Session, request_id: int, name: str) -> list[str] | None:
        """The accounts meant by a name (empty and "All" are all of them); an unknown one is refused."""
        if name in ("", "All"):
            return list(self._world.config.accounts)
        if name in self._world.accounts.by_name:
            return [name]
        session.error(request_id, 321, "Error validating request.-'bE' : cause - Invalid account code")
        return None

    # account windows

    def account_updates(self, session: Session, fields: Fields) -> None:
        """The account window of one account; a second request silently replaces the first."""
        fields.text()
        subscribe, name = fields.flag(), fields.text()
        if not subscribe:
            session.subscriptions.account = ""
            return
        accounts = self._accounts(session, -1, name)
        if accounts is None:
            return
        account = session.subscriptions.account = accounts[0]
        self._window(session, account)
        session.send(answers.end(54, account))

    def _window(self, session: Session, account: str, con_ids: Iterable[int] | None = None) -> None:
        """All account values, and the portfolio rows (all open ones, or those named, zero included)."""
        for key, value, currency in self._world.accounts.values(account):
            session.send(answers.account_value(key, value, currency, account))
        own = self._world.accounts[account]
        if con_ids is None:
            con_ids = [held.con_id for held in own.holdings.values() if held.quantity]
        for con_id in con_ids:
            held = own.holding(con_id)
            known = self._world.catalogue.get(con_id)
            mark = self._world.accounts.mark(held)
            cost = self._gateway.publish.cost(account, con_id)
            quantity = self._gateway.publish.shown(held.quantity)
            numbers = (quantity, mark.price, mark.value, cost, mark.unrealized, held.realized)
            session.send(answers.portfolio(known, account, *numbers))
        session.send(answers.account_time(f"{self._world.clock.now():%H:%M}"))
        session.subscriptions.account_due = self._gateway.loop.time() + self._world.config.account_interval_s

    def account_updates_multi(self, session: Session, fields: Fields) -> None:
        """Account values by request id, for one account or all; ``ledgerAndNLV`` leaves only those."""
        fields.text()
        request_id = fields.request()
        name = fields.text()
        fields.text()
        ledger_only = fields.flag()
        accounts = self._accounts(session, request_id, name)
        if accounts is None:
            return
        session.subscriptions.multi[request_id] = (accounts, ledger_only)
        for account in accounts:
            self._multi(session, request_id, account, ledger_only=ledger_only)
        session.send(answers.end(74, request_id))

    def _multi(self, session: Session, request_id: int, account: str, *, ledger_only: bool) -> None:
        rows = self._world.accounts.values(account)
        if ledger_only:
            ledger = self._world.accounts.ledger(account)
            rows = [row for row in rows if row[0] in _MULTI_LEDGER_ONLY] + ledger
        for key, value, currency in rows:
            session.send(answers.account_value_multi(request_id, account, key, value, currency))

    def cancel_account_updates_multi(self, session: Session, fields: Fields) -> None:
        """No more account values for this request."""
        fields.text()
        session.subscriptions.multi.pop(fields.request(), None)

    def account_summary(self, session: Session, fields: Fields) -> None:
        """Chosen account values of all accounts."""
        fields.text()
        request_id = fields.request()
        fields.text()
        tags = [tag.strip() for tag in fields.text().split(",") if tag.strip()]
        session.subscriptions.summary[request_id] = tags
        self._summary(session, request_id, self._world.config.accounts)
        session.send(answers.end(64, request_id))

    def _summary(self, session: Session, request_id: int, accounts: Iterable[str]) -> None:
        for account in accounts:
            for tag, value, currency in self._world.accounts.summary(
                account, session.subscriptions.summary[request_id]
            ):
                session.send(answers.account_summary(request_id, account, tag, value, currency))

    def cancel_account_summary(self, session: Session, fields: Fields) -> None:
        """No more summary for this request."""
        fields.text()
        session.subscriptions.summary.pop(fields.request(), None)

    # profit

    def pnl(self, session: Session, fields: Fields) -> None:
        """Profit of an account, repeatedly."""
        request_id = fields.request()
        accounts = self._accounts(session, request_id, fields.text())
        if accounts is not None:
            session.subscriptions.pnl[request_id] = accounts[0]
            self._pnl(session, request_id)

    def _pnl(self, session: Session, request_id: int) -> None:
        unrealized, realized = self._world.accounts.profit(session.subscriptions.pnl[request_id])
        session.send(answers.pnl(request_id, unrealized + realized, unrealized, realized))

    def cancel_pnl(self, session: Session, fields: Fields) -> None:
        """No more profit for this request."""
        session.subscriptions.pnl.pop(fields.request(), None)

    def pnl_single(self, session: Session, fields: Fields) -> None:
        """Profit of one position, repeatedly; silence for one that is not held."""
        request_id = fields.request()
        accounts = self._accounts(session, request_id, fields.text())
        fields.text()
        con_id = fields.integer()
        if accounts is not None:
            session.subscriptions.pnl_single[request_id] = (accounts[0], con_id)
            self._pnl_single(session, request_id)

    def _pnl_single(self, session: Session, request_id: int) -> None:
        account, con_id = session.subscriptions.pnl_single[request_id]
        held = self._world.accounts[account].holdings.get(con_id)
        if held is None:
            return
        unrealized, realized = self._world.accounts.profit(account, con_id)
        rate = self._world.accounts.rate(self._world.catalogue.get(con_id).currency)
        value = self._world.accounts.mark(held).value * rate
        session.send(answers.pnl_single(request_id, held.quantity, unrealized + realized, unrealized, realized, value))

    def cancel_pnl_single(self, session: Session, fields: Fields) -> None:
        """No more profit for this request."""
        session.subscriptions.pnl_single.pop(fields.request(), None)

    # prices

    def market_data(self, session: Session, fields: Fields) -> None:
        """Bid, ask and last of one contract; a snapshot ends, a stream goes on."""
        fields.text()
        request_id = fields.request()
        wanted = requests.contract(fields)
        legs = fields.integer() if wanted.sec_type == "BAG" else 0
        for _ in range(legs * 4):
            fields.text()
        if fields.flag():
            for _ in range(3):
                fields.text()
        fields.text()
        snapshot = fields.flag()
        if wanted.sec_type == "BAG":
            session.error(request_id, 354, "Requested market data is not subscribed.")
            return
        try:
            known = qualify(self._world, wanted)
        except Refusal as refusal:
            session.error(request_id, refusal.code, refusal.text)
            return
        session.send([58, 1, request_id, 1])
        session.send([81, request_id, known.min_tick, "", 3])
        self._ticks(session, request_id, known.con_id)
        if snapshot:
            session.send(answers.end(57, request_id))
        else:
            session.subscriptions.ticks[request_id] = known.con_id

    def _ticks(self, session: Session, request_id: int, con_id: int) -> None:
        quote = self._world.market.quote(self._world.catalogue.get(con_id))
        for price_type, size_type, price in ((1, 0, quote.bid), (2, 3, quote.ask), (4, 5, quote.last)):
            session.send(answers.tick_price(request_id, price_type, price, _SIZE))
            session.send(answers.tick_size(request_id, size_type, _SIZE))

    def cancel_market_data(self, session: Session, fields: Fields) -> None:
        """No more prices for this request."""
        fields.text()
        session.subscriptions.ticks.pop(fields.request(), None)

    # keeping up to date

    def changed(self, account: str, con_id: int) -> None:
        """A holding changed: those who watch its account hear of it in a moment."""
        self._changed.add((account, con_id))
        if not self._gathering:
            self._gathering = True
            self._gateway.later(self._world.config.account_update_s, self._send_changes)

    def _send_changes(self) -> None:
        self._gathering = False
        changed, self._changed = self._changed, set()
        by_account: dict[str, list[int]] = {}
        for account, con_id in sorted(changed):
            by_account.setdefault(account, []).append(con_id)
        for session in self._gateway.listeners():
            watching = session.subscriptions
            if watching.account in by_account:
                self._window(session, watching.account, by_account[watching.account])
            for request_id, (accounts, ledger_only) in watching.multi.items():
                for account in accounts:
                    if account in by_account:
                        self._multi(session, request_id, account, ledger_only=ledger_only)
            for request_id, accounts in watching.positions_multi.items():
                for account in accounts:
                    for con_id in by_account.get(account, ()):
                        self._position_multi(session, request_id, account, con_id)

    def pulse(self) -> None:
        """One beat of the streams: profits, and account windows whose interval is over."""
        now = self._gateway.loop.time()
        for session in self._gateway.listeners():
            watching = session.subscriptions
            for request_id in watching.pnl:
                self._pnl(session, request_id)
            for request_id in watching.pnl_single:
                self._pnl_single(session, request_id)
            if watching.account and now >= watching.account_due:
                self._window(session, watching.account)
                for request_id in watching.summary:
                    self._summary(session, request_id, self._world.config.accounts)

    def prices_moved(self, con_ids: set[int]) -> None:
        """Prices changed: those who watch them hear the new ones."""
        for session in self._gateway.listeners():
            for request_id, con_id in session.subscriptions.ticks.items():
                if con_id in con_ids:
                    self._ticks(session, request_id, con_id)

    def refresh(self, account: str) -> None:
        """Send the account window of an account again to all who watch it."""
        for session in self._gateway.listeners():
            if session.subscriptions.account == account:
                self._window(session, account)
            for request_id, (accounts, ledger_only) in session.subscriptions.multi.items():
                if account in accounts:
                    self._multi(session, request_id, account, ledger_only=ledger_only)

    def drop_subscriptions(self) -> None:
        """Forget what every client has subscribed to (1101): asking again is theirs."""
        for session in self._gateway.listeners():
            session.subscriptions = type(session.subscriptions)()
            session.wants_positions = False
