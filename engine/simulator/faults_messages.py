"""Messages that are late, doubled, reordered, empty or wrong."""

from __future__ import annotations

import copy
from decimal import Decimal

from engine.simulator.faults_base import Desk, FaultError, Number, exact, fault
from engine.simulator.rules import CommissionRule, PositionsRule
from engine.simulator.wire import timestamp

_GROUP = "Messages"
_KINDS = ("execution", "commission", "status", "open order", "position")


class MessageFaults(Desk):
    """Executions, commissions, positions and statuses, spoiled on their way."""

    @fault(_GROUP, "Duplicate messages")
    def duplicate_messages(self, kind: str = "execution", count: int = 1) -> None:
        """The next messages of a kind are sent twice.

        Args:
            kind: ``execution``, ``commission``, ``status``, ``open order`` or ``position``.
            count: How many messages.
        """
        if kind not in _KINDS:
            raise FaultError(f"kind is {kind!r}: use {', '.join(_KINDS)}")
        self.gateway.rules.arm(f"duplicate {kind}", self._count(count))

    @fault(_GROUP, "Repeat an execution")
    def repeat_execution(self, exec_id: str = "", quantity: Number | None = None) -> str:
        """An execution is told again now, under the same id.

        Args:
            exec_id: The execution; empty for the latest.
            quantity: Another quantity under the same id (a restatement nobody should believe); ``None`` keeps it.

        Returns:
            The execution's id.
        """
        done = copy.copy(self._execution(exec_id))
        if quantity not in (None, ""):
            done.quantity = exact(quantity)
        self.gateway.publish.execution(done)
        return done.exec_id

    @fault(_GROUP, "Reorder a fill's messages")
    def reorder_messages(self, count: int = 1) -> None:
        """The messages of the next fills arrive backwards: commission, position, Filled, and the execution last.

        Args:
            count: How many fills.
        """
        self.gateway.rules.arm("reorder", self._count(count))

    @fault(_GROUP, "Late commission")
    def late_commission(self, delay_s: float = 10.0, count: int = 1) -> None:
        """The commission reports of the next fills come late.

        Args:
            delay_s: Seconds from fill to report.
            count: How many fills.
        """
        self._commissions(CommissionRule("late", float(delay_s)), count)

    @fault(_GROUP, "Sentinel commission")
    def sentinel_commission(self, count: int = 1) -> None:
        """The commission reports of the next fills carry 1.7976931348623157E308 instead of an amount.

        Args:
            count: How many fills.
        """
        self._commissions(CommissionRule("sentinel"), count)

    @fault(_GROUP, "Missing commission")
    def missing_commission(self, count: int = 1) -> None:
        """The commission reports of the next fills never come, not even on request.

        Args:
            count: How many fills.
        """
        self._commissions(CommissionRule("missing"), count)

    @fault(_GROUP, "Commission of another amount")
    def commission_amount(self, amount: Number = "-0.35", count: int = 1) -> None:
        """The commission reports of the next fills carry this amount (negative is a rebate).

        Args:
            amount: In the commission's currency, cost positive.
            count: How many fills.
        """
        self._commissions(CommissionRule("amount", amount=exact(amount)), count)

    def _commissions(self, rule: CommissionRule, count: int) -> None:
        self.gateway.rules.commissions.extend([rule] * self._count(count))

    @fault(_GROUP, "Restated commission")
    def restated_commission(self, exec_id: str = "", amount: Number = "0.30") -> str:
        """A second commission report for an execution, with another amount (also ends a missing or sentinel one).

        Args:
            exec_id: The execution; empty for the latest.
            amount: In the commission's currency, cost positive.

        Returns:
            The execution's id.
        """
        done = self._execution(exec_id)
        done.commission, done.commission_state = exact(amount), "sent"
        self.gateway.world.dirty.executions.add(done.exec_id)
        self.gateway.publish.commission(done)
        return done.exec_id

    @fault(_GROUP, "Position before its fill")
    def position_before_fill(self, delay_s: float = 2.0, count: int = 1) -> None:
        """The position messages of the next fills come at once, their executions later.

        Args:
            delay_s: Seconds by which executions, order states and commissions come later.
            count: How many fills.
        """
        self.gateway.rules.execution_delay_s = float(delay_s)
        self.gateway.rules.arm("position first", self._count(count))

    @fault(_GROUP, "Position long after its fill")
    def position_after_fill(self, delay_s: float = 10.0, count: int = 1) -> None:
        """The position messages of the next fills come late.

        Args:
            delay_s: Seconds from fill to position message.
            count: How many fills.
        """
        self.gateway.rules.position_delay_s = float(delay_s)
        self.gateway.rules.arm("position late", self._count(count))

    @fault(_GROUP, "Lost order status")
    def lost_status(self, count: int = 1) -> None:
        """The next orderStatus messages never arrive.

        Args:
            count: How many messages.
        """
        self.gateway.rules.arm("lost status", self._count(count))

    @fault(_GROUP, "Execution with an unreadable time")
    def undecodable_execution(self, count: int = 1) -> None:
        """The next live executions carry a time zone that no machine knows; client libraries drop them.

        Args:
            count: How many messages.
        """
        self.gateway.rules.arm("undecodable", self._count(count))

    @fault(_GROUP, "Style of execution times")
    def time_style(self, style: str = "dash") -> None:
        """How execution times are written from now on.

        Args:
            style: ``zone``, ``dash``, ``bare``, ``unknown``, an IANA zone name, or empty for the configured one.
        """
        if style:
            try:
                timestamp(self.gateway.world.clock.now(), style)
            except (ValueError, OSError, LookupError) as wrong:
                raise FaultError(str(wrong)) from wrong
        self.gateway.rules.time_style = style

    @fault("Positions", "Empty positions answer")
    def empty_positions(self, times: int = 1, account: str = "") -> None:
        """The next positions answers hold no rows, and end properly.

        Args:
            times: How many answers; 0 lasts until cleared.
            account: Only this account's rows are missing; empty for all.
        """
        self._positions("empty", times, account)

    @fault("Positions", "Never-ending positions answer")
    def hanging_positions(self, times: int = 1, account: str = "", rows: int = 0) -> None:
        """The next positions answers never end.

        Args:
            times: How many answers; 0 lasts until cleared.
            account: Only this account's rows are cut short; empty for all.
            rows: How many rows come before the silence.
        """
        self._positions("hang", times, account, rows)

    @fault("Positions", "Failing positions answer")
    def failing_positions(self, times: int = 1) -> None:
        """The next positions requests are answered with an error, without rows and end.

        Args:
            times: How many answers; 0 lasts until cleared.
        """
        self._positions("error", times, "")

    @fault("Positions", "Partial positions answer")
    def partial_positions(self, times: int = 1, account: str = "", rows: int = 1) -> None:
        """The next positions answers hold only some rows, and end as if they were whole.

        Args:
            times: How many answers; 0 lasts until cleared.
            account: Only this account's rows are cut short; empty for all.
            rows: How many rows come.
        """
        self._positions("partial", times, account, rows)

    @fault("Positions", "Late positions answer")
    def late_positions(self, times: int = 1, rows: int = 1, delay_s: float = 15.0) -> None:
        """The next positions answers begin with some rows; the others, and the end, come late.

        Args:
            times: How many answers; 0 lasts until cleared.
            rows: How many rows come at once.
            delay_s: Seconds until the others come.
        """
        self._positions("late", times, "", rows, delay_s)

    @fault("Positions", "Positions answer that ends twice")
    def twice_ended_positions(self, times: int = 1, delay_s: float = 0.0) -> None:
        """The next positions answers are whole, and end a second time.

        Args:
            times: How many answers; 0 lasts until cleared.
            delay_s: Seconds from the first end to the second.
        """
        self._positions("ends", times, "", 0, delay_s)

    def _positions(self, mode: str, times: int, account: str, rows: int = 0, delay_s: float = 0.0) -> None:
        if account:
            self._account(account)
        self.gateway.rules.positions = PositionsRule(mode, int(times) or None, account, int(rows), float(delay_s))

    @fault("Positions", "Good positions answers again")
    def clear_positions(self) -> None:
        """Positions answers are complete again."""
        self.gateway.rules.positions = None

    @fault("Positions", "Average cost glitch")
    def wrong_average_cost(
        self, symbol: str = "AAPL", factor: Number = "0.5", account: str = "", for_s: float = 5.0
    ) -> None:
        """A position's average cost is reported wrong for a while.

        Args:
            symbol: Symbol, local symbol or con_id.
            factor: What the cost is multiplied by (100 shows pence for pounds).
            account: Empty for the first.
            for_s: Seconds until it is right again; 0 lasts until cleared.
        """
        key = (self._account(account), self._instrument(symbol).con_id)
        factors: dict[tuple[str, int], Decimal] = self.gateway.rules.cost_factor
        factors[key] = exact(factor)
        self.gateway.publish.position(*key)

        def right_again() -> None:
            factors.pop(key, None)
            self.gateway.publish.position(*key)

        if for_s > 0:
            self.gateway.later(float(for_s), right_again)

    @fault("Positions", "Truncated fractions")
    def truncate_positions(self, on: bool = True) -> None:
        """Positions are reported without their fractions (1.4 as 1), as older TWS did.

        Args:
            on: Whether from now on, or no longer.
        """
        self.gateway.rules.truncate = bool(on)

    @fault("Positions", "Account not ready")
    def account_not_ready(self, account: str = "", for_s: float = 5.0) -> None:
        """AccountReady is false for a while: IB itself calls the account's values not ready.

        Args:
            account: Empty for the first.
            for_s: Seconds until it is ready again.
        """
        name = self._account(account)
        own = self.gateway.world.accounts[name]
        own.ready = False
        self.gateway.streams.refresh(name)

        def ready_again() -> None:
            own.ready = True
            self.gateway.streams.refresh(name)

        self.gateway.later(float(for_s), ready_again)

    @fault("Desk", "Disarm everything")
    def clear(self) -> None:
        """Nothing that is armed will happen any more; the link is up again and connections are accepted."""
        self.gateway.publish.release(deliver=True)
        self.gateway.rules.clear()
        self.gateway.rules.link_down = False
        self.gateway.refusing = False
