"""Whose execution is it: claims first, then what follows from them, never a guess.

In this order, the first that answers wins:

1. the strategy that the message itself names (the caller's business: an explicit claim);
2. a claim on (account, permId), the broker's own order id;
3. a claim on (client id, order id) where the permIds do not contradict (order ids repeat: R10, F45); never for order ids
   of 0 or below, which manual orders share (R11, F49);
4. the same order id and the same order reference under another permId: a modification during an outage left two orders
   (F48, R33); booked to the strategy and reported;
5. a claim on the order reference as first seen (later ones may be blank or changed: F12);
6. the settings' patterns, then the operator's rules.

What nothing answers is UNASSIGNED.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

import msgspec

from engine.core.events import Fill, OrderUpdate, RuleSet, StrategiesNamed
from engine.core.ids import UNASSIGNED
from engine.state.changes import Changes

_SEPARATORS: Final = frozenset(":/|#-_. ")
_CACHED: Final = 10_000


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An order that a message named a strategy for."""

    account: str
    perm_id: int
    strategy: str
    order_ref: str


Claims = tuple[Claim, ...]
"""On one order id; nearly always one, so a tuple: smaller than a list, and the garbage collector lets go of it."""


class Inferred(NamedTuple):
    """Answer for an execution that nobody claimed.

    Attributes:
        secondary: True when it came by way 4, which is reported.
    """

    strategy: str
    secondary: bool = False


NOBODY: Final = Inferred(UNASSIGNED)


class Attribution:
    """Claims, patterns and rules.

    Attributes:
        patterns: Strategy of the settings -> shell pattern of its order references, empty for the default rule.
        names: Strategies known by configuration or from messages.
        rules: Rule id -> the operator's latest word on it.
    """

    def __init__(self) -> None:
        """Know nobody."""
        self.patterns: Mapping[str, str] = {}
        self.names: dict[str, None] = {}
        self.rules: dict[str, RuleSet] = {}
        self._by_perm: dict[str, dict[int, str]] = {}
        self._by_order: dict[int, dict[int, Claims]] = {}
        self._by_ref: dict[str, str] = {}
        self._guessed: dict[str, str] = {}

    @property
    def clients(self) -> frozenset[int]:
        """Client ids with an order that was claimed."""
        return frozenset(self._by_order)

    def claim(self, strategy: str, sight: Fill | OrderUpdate) -> str | None:
        """Remember that a message named ``strategy`` for an order.

        Returns:
            The strategy that had claimed the same order before, when it is another one (its claim stays).
        """
        if strategy not in self.names:
            self.names[strategy] = None
            self._guessed.clear()
        first: str | None = None
        account, perm_id, reference = sight.account, sight.perm_id, sight.order_ref
        if perm_id:
            perms = self._by_perm.get(account)
            if perms is None:
                perms = self._by_perm[account] = {}
            first = perms.get(perm_id)
            if first == strategy and (not reference or self._by_ref.get(reference) == strategy):
                return None  # the usual case: the order's next sight
            if first is None:
                perms[perm_id] = strategy
        order_id = sight.order_id
        if order_id > 0:
            orders = self._by_order.get(sight.client_id)
            if orders is not None and order_id not in orders:  # the usual case: the first sight of an order
                orders[order_id] = (Claim(account, perm_id, strategy, reference),)
            else:
                first = self._claim_order(strategy, sight) or first
        if reference:
            holder = self._by_ref.setdefault(reference, strategy)
            if holder and holder != strategy:
                self._by_ref[reference] = ""  # two strategies use it: it says nothing any more
        return first if first is not None and first != strategy else None

    def _claim_order(self, strategy: str, sight: Fill | OrderUpdate) -> str | None:
        orders = self._by_order.get(sight.client_id)
        if orders is None:
            orders = self._by_order[sight.client_id] = {}
        claims = orders.get(sight.order_id)
        mine = Claim(sight.account, sight.perm_id, strategy, sight.order_ref)
        if not claims:
            orders[sight.order_id] = (mine,)
            return None
        for place, claim in enumerate(claims):
            if not _accounts_agree(claim.account, mine.account):
                continue
            if claim.perm_id and claim.perm_id == mine.perm_id:
                return claim.strategy
            if not claim.perm_id or not mine.perm_id:
                if claim.strategy != strategy and not claim.perm_id:
                    # A session that never heard its permId, then the next session's order of the same number.
                    orders[sight.order_id] = _with(claims, place, mine)
                elif claim.strategy == strategy and not claim.perm_id:
                    both = Claim(
                        mine.account or claim.account, mine.perm_id, strategy, claim.order_ref or mine.order_ref
                    )
                    orders[sight.order_id] = _with(claims, place, both)
                return None
        orders[sight.order_id] = (*claims, mine)
        return None

    def infer(self, sight: Fill | OrderUpdate) -> Inferred:
        """Answer for an execution or order whose message named no strategy."""
        perm_id = sight.perm_id
        if perm_id:
            for account in (sight.account, ""):
                found = self._by_perm.get(account, {}).get(perm_id)
                if found is not None:
                    return Inferred(found)
        if sight.order_id > 0:
            answer = self._by_order_id(sight)
            if answer is not None:
                return answer
        if isinstance(sight, Fill) and sight.liquidation:
            return NOBODY  # made by the broker itself: no reference and no rule makes it a strategy's (R20, F56)
        reference = sight.order_ref
        if reference:
            known = self._by_ref.get(reference) or self._by_pattern(reference)
            if known:
                return Inferred(known)
        return self._by_rule(sight)

    def _by_order_id(self, sight: Fill | OrderUpdate) -> Inferred | None:
        claims = self._by_order.get(sight.client_id, {}).get(sight.order_id, ())
        fitting = [c for c in claims if _accounts_agree(c.account, sight.account)]
        agreeing = {c.strategy for c in fitting if not c.perm_id or not sight.perm_id or c.perm_id == sight.perm_id}
        if len(agreeing) == 1:
            strategy = agreeing.pop()
            self._bind(strategy, sight, claims)
            return Inferred(strategy)
        if not agreeing and sight.order_ref:
            same = {c.strategy for c in fitting if c.order_ref == sight.order_ref}
            if len(same) == 1:
                return Inferred(same.pop(), secondary=True)
        return None

    def _bind(self, strategy: str, sight: Fill | OrderUpdate, claims: Claims) -> None:
        """Upgrade a claim made before the permId was known, once; from then on another permId is another order."""
        if not sight.perm_id or not claims:
            return
        for place, claim in enumerate(claims):
            if not claim.perm_id and claim.strategy == strategy and _accounts_agree(claim.account, sight.account):
                bound = msgspec.structs.replace(claim, perm_id=sight.perm_id, account=sight.account or claim.account)
                self._by_order[sight.client_id][sight.order_id] = _with(claims, place, bound)
                self._by_perm.setdefault(sight.account, {}).setdefault(sight.perm_id, strategy)
                return

    def _by_pattern(self, reference: str) -> str:
        known = self._guessed.get(reference)
        if known is None:
            known = self._match(reference)
            if len(self._guessed) >= _CACHED:
                self._guessed.clear()
            self._guessed[reference] = known
        return known

    def _match(self, reference: str) -> str:
        matching = {name for name, pattern in self.patterns.items() if pattern and fnmatchcase(reference, pattern)}
        if matching:
            return matching.pop() if len(matching) == 1 else ""
        plain = [name for name in self.names if not self.patterns.get(name) and _starts(reference, name)]
        return max(plain, key=len, default="")

    def _by_rule(self, sight: Fill | OrderUpdate) -> Inferred:
        for rule in self.rules.values():
            if rule.enabled and rule_matches(rule, sight):
                return Inferred(rule.strategy)
        return NOBODY

    def named(self, fact: StrategiesNamed, _changes: Changes) -> None:
        """Take over the settings' strategies; they work on what comes from now on, and a name once known stays known."""
        self.patterns = fact.patterns
        self.names |= dict.fromkeys(fact.patterns)
        self._guessed.clear()

    def rule(self, rule: RuleSet, _changes: Changes) -> None:
        """Take the operator's latest word on a rule; it works on what comes from now on."""
        self.rules[rule.rule_id] = rule
        if rule.strategy != UNASSIGNED:
            self.names.setdefault(rule.strategy, None)
            self._guessed.clear()

    def holder(self, account: str, perm_id: int) -> str | None:
        """The strategy that claimed a permId."""
        return self._by_perm.get(account, {}).get(perm_id)

    def held(self, account: str, perm_id: int) -> list[tuple[str, int, str]]:
        """(account, permId, strategy that claimed it), also where no account was named."""
        accounts = (account, "") if account and "" in self._by_perm else (account,)
        return [(a, perm_id, named) for a in accounts if (named := self._by_perm.get(a, {}).get(perm_id)) is not None]

    def claims_on(self, client_id: int, order_id: int) -> Claims:
        """Claims on an order id."""
        return self._by_order.get(client_id, {}).get(order_id, ())

    def put_away(self, perms: list[tuple[str, int, str]], claims: list[tuple[int, int, Claims]]) -> None:
        """Let go of claims that are kept elsewhere."""
        for account, perm_id, _ in perms:
            del self._by_perm[account][perm_id]
        for client_id, order_id, _ in claims:
            del self._by_order[client_id][order_id]

    def bring_back(self, perms: list[tuple[str, int, str]], claims: list[tuple[int, int, Claims]]) -> None:
        """Take claims back that were put away."""
        for account, perm_id, strategy in perms:
            self._by_perm.setdefault(account, {}).setdefault(perm_id, strategy)
        for client_id, order_id, found in claims:
            orders = self._by_order.setdefault(client_id, {})
            orders[order_id] = (*found, *orders.get(order_id, ()))

    def dump(
        self,
    ) -> tuple[list[str], list[RuleSet], dict[str, dict[int, str]], dict[int, dict[int, Claims]], dict[str, str]]:
        """Everything learnt: names, rules, claims by permId, by order id, by reference."""
        return list(self.names), list(self.rules.values()), self._by_perm, self._by_order, self._by_ref

    def load(
        self,
        names: list[str],
        rules: list[RuleSet],
        by_perm: dict[str, dict[int, str]],
        by_order: dict[int, dict[int, Claims]],
        by_ref: dict[str, str],
    ) -> None:
        """Take over what :meth:`dump` gave."""
        self.names = dict.fromkeys(names)
        self.rules = {rule.rule_id: rule for rule in rules}
        self._by_perm, self._by_order, self._by_ref = by_perm, by_order, by_ref


def rule_matches(rule: RuleSet, sight: Fill | OrderUpdate) -> bool:
    """True when everything that a rule names agrees; a rule that names nothing matches nothing."""
    if not (rule.order_ref or rule.client_id is not None or rule.account or rule.con_id):
        return False
    con_id = sight.instrument.con_id if sight.instrument is not None else 0
    return (
        (not rule.order_ref or fnmatchcase(sight.order_ref, rule.order_ref))
        and (rule.client_id is None or rule.client_id == sight.client_id)
        and (not rule.account or rule.account == sight.account)
        and (not rule.con_id or rule.con_id == con_id)
    )


def _with(claims: Claims, place: int, claim: Claim) -> Claims:
    """The same claims with another one at a place."""
    return (*claims[:place], claim, *claims[place + 1 :])


def _accounts_agree(one: str, other: str) -> bool:
    return not one or not other or one == other


def _starts(reference: str, name: str) -> bool:
    return reference == name or (reference.startswith(name) and reference[len(name)] in _SEPARATORS)
