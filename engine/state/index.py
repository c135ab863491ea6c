"""Where executions are found: by (account, root), by root alone for fees, and the unassigned ones by their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from engine.core.events import Fill, OrderUpdate
from engine.core.ids import UNASSIGNED
from engine.state.executions import Execution


class Index:
    """Every execution there is.

    Attributes:
        roots: Root of the execution id -> its execution; several when accounts share an id.
        count: How many there are, those that are put away included.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.roots: dict[str, Execution | list[Execution]] = {}
        self._strays: dict[int, dict[int, Execution]] = {}
        self._strays_by_order: dict[tuple[int, int], dict[int, Execution]] = {}
        self.count = 0

    @property
    def here(self) -> int:
        """Number of roots that are not put away."""
        return len(self.roots)

    def find(self, account: str, root: str) -> Execution | None:
        """The execution of that identity."""
        found = self.roots.get(root)
        if found is None:
            return None
        if isinstance(found, list):
            return next((e for e in found if e.fill.account == account), None)
        return found if found.fill.account == account else None

    def by_root(self, root: str) -> Execution | None:
        """The execution a fee belongs to: fees name no account, and no two accounts share an id at IB.

        Should they all the same, it is the one whose fee is still pending, the first one if none is.
        """
        found = self.roots.get(root)
        if isinstance(found, list):
            return next((e for e in found if e.commission is None and e.bears_fee), found[0])
        return found

    def all_of(self, root: str) -> list[Execution]:
        """Executions of a root, whatever their account."""
        found = self.roots.get(root)
        if isinstance(found, list):
            return found
        return [] if found is None else [found]

    def add(self, account: str, root: str, execution: Execution) -> None:
        """Index a new execution."""
        assert execution.fill.account == account, "identity contains the account"
        found = self.roots.setdefault(root, execution)
        if found is not execution:
            if isinstance(found, list):
                found.append(execution)
            else:
                self.roots[root] = [found, execution]
        self.count += 1

    def remove(self, account: str, root: str) -> None:
        """Forget an execution (only those that an assignment made are ever forgotten)."""
        found = self.roots[root]
        if isinstance(found, list):
            self.roots[root] = [e for e in found if e.fill.account != account]
        else:
            del self.roots[root]
        self.count -= 1

    def put_away(self, roots: Iterable[str], executions: Iterable[Execution]) -> None:
        """Let go of executions, each with its root, that are kept elsewhere; they still count."""
        for root, execution in zip(roots, executions, strict=True):
            found = self.roots.pop(root)
            if found is not execution:
                assert isinstance(found, list), "an execution stands under its root"
                rest = [e for e in found if e is not execution]
                self.roots[root] = rest[0] if len(rest) == 1 else rest

    def bring_back(self, execution: Execution) -> None:
        """Index an execution again that was put away."""
        root = execution.root
        found = [*self.all_of(root), execution]
        found.sort(key=lambda e: e.sort[2])
        self.roots[root] = found if len(found) > 1 else execution

    def all(self) -> Iterator[Execution]:
        """Those that are here, mostly in order of first sight of each root."""
        for found in self.roots.values():
            if isinstance(found, list):
                yield from found
            else:
                yield found

    def stray(self, execution: Execution) -> None:
        """Note an execution that nobody is known for under its order, which may be claimed later."""
        if execution.base != UNASSIGNED or execution.fill.source == "assignment":
            return
        fill = execution.fill
        if fill.perm_id:
            self._strays.setdefault(fill.perm_id, {})[execution.sort[2]] = execution
        elif fill.order_id > 0:
            self._strays_by_order.setdefault((fill.client_id, fill.order_id), {})[execution.sort[2]] = execution

    def unstray(self, execution: Execution) -> None:
        """It is unassigned no more."""
        fill = execution.fill
        _drop(self._strays, fill.perm_id, execution)
        _drop(self._strays_by_order, (fill.client_id, fill.order_id), execution)

    @property
    def has_strays(self) -> bool:
        """True while there are executions that nobody is known for."""
        return bool(self._strays or self._strays_by_order)

    def strays(self, sight: Fill | OrderUpdate) -> list[Execution]:
        """Unassigned executions of the order that a sight is about.

        By permId; by client id and order id only those that never had a permId, since order ids are used again (R10).
        """
        if not self.has_strays:
            return []
        found = dict(self._strays.get(sight.perm_id, {})) if sight.perm_id else {}
        if sight.order_id > 0:
            found |= self._strays_by_order.get((sight.client_id, sight.order_id), {})
        return [e for _, e in sorted(found.items()) if not sight.account or e.fill.account == sight.account]


K = TypeVar("K")


def _drop(table: dict[K, dict[int, Execution]], key: K, execution: Execution) -> None:
    group = table.get(key)
    if group is not None:
        group.pop(execution.sort[2], None)
        if not group:
            del table[key]
