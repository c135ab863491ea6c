"""Connections that break: the link between gateway and IB, and the socket between gateway and client."""

from __future__ import annotations

from decimal import Decimal

from engine.simulator.answers import position
from engine.simulator.faults_base import Desk, FaultError, fault
from engine.simulator.wire import frame

_GROUP = "Connection"
_LINES = {
    1100: "Connectivity between IBKR and Trader Workstation has been lost.",
    1101: "Connectivity between IBKR and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IBKR and Trader Workstation has been restored - data maintained.",
    2103: "Market data farm connection is broken:usfarm",
    2104: "Market data farm connection is OK:usfarm",
    2106: "HMDS data farm connection is OK:ushmds",
    2110: "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
}


class LinkFaults(Desk):
    """1100 and its kin, cut sockets, resets."""

    @fault(_GROUP, "Connectivity message")
    def connectivity(self, code: int = 1100, hold: bool = False) -> None:
        """Tell every client how the link to IB is: 1100 lost, 1101 restored but subscriptions lost, 1102 restored.

        Args:
            code: 1100, 1101, 1102, 2103, 2104, 2106 or 2110.
            hold: With 1100 or 2110: live messages are held from now on. 1102, 2104 and 2106 deliver them, 1101 drops
                them.
        """
        if code not in _LINES:
            raise FaultError(f"code is {code}: use {', '.join(map(str, _LINES))}")
        rules = self.gateway.rules
        if code in (1100, 2110):
            rules.link_down, rules.hold = True, hold
        elif code != 2103:
            rules.link_down = False
            self.gateway.publish.release(deliver=code != 1101)
        self.gateway.publish.notice(code, _LINES[code])
        if code == 1101:
            self.gateway.streams.drop_subscriptions()

    @fault(_GROUP, "Link to IB lost and restored")
    def connection_lost(self, for_s: float = 5.0, data_lost: bool = False, hold: bool = True) -> None:
        """1100 now, and 1101 or 1102 after a while; the sockets stay open.

        Args:
            for_s: Seconds between.
            data_lost: End with 1101 (subscriptions and held messages are lost) instead of 1102.
            hold: Live messages do not arrive in between; positions asked for are those of now.
        """
        self.connectivity(1100, hold)
        self.gateway.later(float(for_s), lambda: self.connectivity(1101 if data_lost else 1102))

    @fault(_GROUP, "Cut the socket in the middle of a message")
    def cut_connection(self, client_id: int = -1, mid_message: bool = True) -> int:
        """Connections end without a word.

        Args:
            client_id: Whose; -1 for all.
            mid_message: Half of a message leaves before.

        Returns:
            How many connections ended.
        """
        half = frame(position(self._instrument("AAPL"), self._account(""), Decimal(1), Decimal(1)))
        ended = [s for s in self.gateway.listeners() if client_id in (-1, s.client_id)]
        for session in ended:
            if mid_message:
                session.send_raw(half[: len(half) // 2])
            session.drop()
        return len(ended)

    @fault(_GROUP, "Nightly reset")
    def nightly_reset(self, for_s: float = 10.0) -> int:
        """Every connection ends, and new ones are refused for a while.

        Args:
            for_s: Seconds of refusal.

        Returns:
            How many connections ended.
        """
        self.gateway.refusing = True
        ended = self.gateway.every_session()
        for session in ended:
            session.drop()
        self.gateway.later(float(for_s), self._accept_again)
        return len(ended)

    def _accept_again(self) -> None:
        self.gateway.refusing = False
