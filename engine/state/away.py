"""What is settled leaves memory: old lines of books and closed orders go to an archive and come back when touched.

The problem: a million fills as objects, with an order each, are gigabytes and make every start as long as the history.
Nearly all of them are never looked at again, but any of them may be: a correction, a bust, a late fee or status, a repeat
through another door, an assignment that moves it.

The decision: what a fact can touch is brought back *before* it is applied, so everything else in here works on objects in
memory and knows nothing of an archive. Whether a fact touches anything is answered by its keys (root of the execution id,
permId, client and order id), which the archive keeps in memory in a few bytes each. A book loses lines only from its
beginning and keeps the state after them; a change in the middle brings back what follows it, no more. A repeat that says
nothing new is recognized by reading alone.

What is never put away: open orders and those in groups, executions that wait for their fee and what lies behind them in
their book, the book UNASSIGNED, busted executions, groups.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from engine.core.book import SortKey
from engine.core.events import (
    AnyFact,
    AssignmentMade,
    AssignmentReversed,
    Bust,
    Commission,
    Fill,
    OrderUpdate,
)
from engine.core.ids import leg_exec_id, split_exec_id
from engine.ports import Archive
from engine.state.amend import says_nothing_new
from engine.state.assignments import Assignments
from engine.state.attribution import Attribution
from engine.state.blocks import Closed, Lines, decode_block, execution_key, key_in_name, order_keys
from engine.state.booking import Booking
from engine.state.books import Holding
from engine.state.executions import Execution
from engine.state.order import Order, ended_so
from engine.state.order_table import first_row
from engine.state.orders import Orders

_READ: Final[dict[type, int]] = {Lines: 12_000, Closed: 2_000}
"""How many lines and orders, in blocks of a kind, are kept as read until the next checkpoint, for repeats and questions in
the order of the history: lines of many books take turns, orders come one after the other. A line takes two kilobytes."""

_STRANGERS: Final = 5_000
"""Executions and orders that are remembered as unknown to the archive: a few milliseconds of a burst, half a megabyte."""
_NOWHERE: Final = frozenset[int]()


class Away:
    """Brings back, and answers questions about, what was put away."""

    def __init__(
        self,
        archive: Archive,
        booking: Booking,
        orders: Orders,
        attribution: Attribution,
        assignments: Assignments,
    ) -> None:
        """Wire the parts; books ask for their lines here from now on."""
        self.archive = archive
        self._booking = booking
        self._orders = orders
        self._attribution = attribution
        self._assignments = assignments
        self._read: dict[type, OrderedDict[int, Lines | Closed]] = {kind: OrderedDict() for kind in _READ}
        self._size: dict[type, int] = dict.fromkeys(_READ, 0)
        self._roots: dict[int, dict[str, list[Execution]]] = {}
        self._strangers: set[object] = set()
        booking.shelf.recall = self.recall

    def put(self, kind: str, blob: bytes, keys: Sequence[int]) -> int:
        """Give a block to the archive; see ``ports.Archive.put``."""
        self._strangers.clear()
        return self.archive.put(kind, blob, keys)

    # ------------------------------------------------------------------------------------------------- before a fact

    def idle(self, fact: AnyFact) -> bool:
        """Bring back what a fact touches.

        Returns:
            True when it says again what is away already, and nothing has to be done.
        """
        if self.archive.empty:
            return False
        if isinstance(fact, Fill):
            return self._fill(fact)
        if isinstance(fact, Commission):
            return self._fee(fact)
        if isinstance(fact, OrderUpdate):
            about = fact.perm_id, fact.client_id, fact.order_id
            if about in self._strangers:
                return False
            found = self._found(order_keys(fact))
            if not found:
                self._note(about)
                return False
            if self._final_word_again(fact, found):
                return True
            self._order(fact)
        elif isinstance(fact, Bust):
            self._execution(split_exec_id(fact.exec_id)[0], with_order=True)
        elif isinstance(fact, AssignmentMade | AssignmentReversed):
            self._assignment(fact)
        return False

    def _fill(self, fill: Fill) -> bool:
        root, revision = split_exec_id(fill.exec_id)
        key, about = execution_key(root), (fill.perm_id, fill.client_id, fill.order_id)
        here = root in self._booking.index.roots
        of_order = () if here or about in self._strangers else order_keys(fill)
        if not here and not self.archive.may_have_any((key, *of_order)):  # nearly always
            self._note(root, about)
            return False
        numbers = self.archive.find(key)
        if numbers:
            known = self._one(numbers, fill.account, root)
            if known is not None and says_nothing_new(known, fill, revision):
                return True
            self._execution(root, with_order=True)
        elif not here and not self._found(of_order):
            self._note(root, about)
            return False
        self._order(fill)
        for execution in self._booking.index.all_of(root):
            self._order(execution.fill)  # a correction may leave out which order it is about
        return False

    def _fee(self, report: Commission) -> bool:
        root, revision = split_exec_id(report.exec_id)
        if root in self._strangers:
            return False
        found = self._found((execution_key(root),))
        if not found:
            self._note(root)
            return False
        known = self._all(found, root)
        if len(known) == 1 and not self._booking.index.all_of(root) and revision == known[0].fee_revision:
            said, had = (report.amount, report.currency, report.ib_realized_pnl), known[0]
            if report.amount is None or said == (had.commission, had.commission_currency, had.ib_realized_pnl):
                return True
        self._execution(root, with_order=False)
        return False

    def _found(self, keys: Sequence[int]) -> Collection[int]:
        """Blocks of any of the keys; one that is only taken for known is told here, once."""
        if not self.archive.may_have_any(keys):
            return _NOWHERE
        return {number for key in keys for number in self.archive.find(key)}

    def _note(self, *strangers: object) -> None:
        """Remember that nothing of an execution or an order is away, until something is put there.

        A fill is followed by its fee and by what its order has come to: they are about the same, and need not ask again.
        """
        if len(self._strangers) >= _STRANGERS:
            self._strangers.clear()
        self._strangers.update(strangers)

    def _final_word_again(self, update: OrderUpdate, numbers: Collection[int]) -> bool:
        """IB tells every completed order of the day with a replay: nearly all are away, and ended as it says."""
        if update.source != "completed" or not update.perm_id or self._orders.find(update) is not None:
            return False
        found: list[Order] = []
        for number in numbers:
            block = self._block(number)
            if isinstance(block, Lines):
                return False
            if block is not None:
                found += [order for order in block.orders if order.seen.perm_id == update.perm_id]
        return len(found) == 1 and ended_so(found[0], update)

    def _assignment(self, fact: AssignmentMade | AssignmentReversed) -> None:
        made = fact if isinstance(fact, AssignmentMade) else self._assignments.made.get(fact.assignment_id)
        if made is None:
            return
        for move in made.moves:
            self._execution(split_exec_id(move.exec_id)[0], with_order=False)
        for number, leg in enumerate(made.legs):
            self._execution(split_exec_id(leg_exec_id(made.assignment_id, number, leg.strategy))[0], with_order=False)

    def for_entry(self, entry: AssignmentMade) -> None:
        """Bring back what an entry would move."""
        if not self.archive.empty:
            self._assignment(entry)

    def _execution(self, root: str, *, with_order: bool) -> None:
        for number in self.archive.find(execution_key(root)):
            block = self._block(number)
            if isinstance(block, Lines) and root in self._roots[number]:
                self._lower(self._booking.shelf.books[block.key], number)
        if with_order:
            for execution in self._booking.index.all_of(root):
                self._order(execution.fill)

    def _order(self, sight: Fill | OrderUpdate) -> None:
        for key in order_keys(sight):
            for number in self.archive.find(key):
                block = self._block(number)
                if isinstance(block, Lines):
                    self._lower(self._booking.shelf.books[block.key], number)
                elif block is not None:
                    self._reopen(number, block)

    # ------------------------------------------------------------------------------------------------- bringing back

    def recall(self, book: Holding, sort: SortKey | None) -> None:
        """Bring back a book's lines from a place on, or all of them."""
        while book.block and (sort is None or (book.edge is not None and sort < book.edge)):
            self._lower(book, book.block)

    def _lower(self, book: Holding, number: int) -> None:
        """Bring back a book's blocks from the newest down to one."""
        while book.block >= number > 0:
            newest = book.block
            block = self._block(newest)
            assert isinstance(block, Lines), f"block {newest} of {book.key} is in the archive"
            self._forget(newest)
            for execution in block.lines:
                self._booking.index.bring_back(execution)
                self._booking.index.stray(execution)
            book.bring_back(block.lines, block.base, block.edge)
            book.account_gone(block.lines, -1)
            book.block = block.below

    def _reopen(self, number: int, block: Closed) -> None:
        self._forget(number)
        for order in block.orders:
            self._orders.add(order)
        self._orders.called(block.aliases)
        self._attribution.bring_back(block.perms, block.claims)

    def _forget(self, number: int) -> None:
        self.archive.drop(number)
        self._roots.pop(number, None)
        for kind, read in self._read.items():
            if (block := read.pop(number, None)) is not None:
                self._size[kind] -= _length(block)

    # ------------------------------------------------------------------------------------------------- looking

    def look(self, account: str, root: str) -> Execution | None:
        """An execution that is away. It is not brought back: do not change it."""
        return self._one(self.archive.find(execution_key(root)), account, root)

    def _one(self, numbers: Iterable[int], account: str, root: str) -> Execution | None:
        return next((line for line in self._all(numbers, root) if line.fill.account == account), None)

    def _all(self, numbers: Iterable[int], root: str) -> list[Execution]:
        found: list[Execution] = []
        for number in numbers:
            if self._block(number) is not None:
                found += self._roots.get(number, {}).get(root, ())
        return found

    def forget_read(self) -> None:
        """Give back the memory of blocks that were only read."""
        self._strangers.clear()
        self._roots.clear()
        for kind, read in self._read.items():
            read.clear()
            self._size[kind] = 0

    def lines(self, book: Holding, since: datetime | None = None) -> Iterator[Execution]:
        """A book's lines that are away, latest first; only down to the block in which a moment lies."""
        number, edge = book.block, book.edge
        while number and (since is None or (edge is not None and edge[0] >= since)):
            block = self._block(number)
            assert isinstance(block, Lines), f"block {number} of {book.key} is in the archive"
            yield from reversed(block.lines)
            number, edge = block.below, block.edge

    def order(self, name: str) -> Order | None:
        """An order that is away, by its key or the one it had before its permId was known."""
        key = key_in_name(name)
        for number in self.archive.find(key) if key is not None else ():
            block = self._block(number)
            if isinstance(block, Closed):
                own = dict(block.aliases).get(name, name)
                found = next((order for order in block.orders if order.key == own), None)
                if found is not None:
                    return found
        return None

    def orders(self) -> list[Order]:
        """Every order that is away, in order of first sight."""
        blocks = (self._block(number, keep=False) for number in self.archive.numbers("orders"))
        return sorted((o for block in blocks if isinstance(block, Closed) for o in block.orders), key=first_row)

    def _block(self, number: int, *, keep: bool = True) -> Lines | Closed | None:
        for read in self._read.values():
            if number in read:
                read.move_to_end(number)
                return read[number]
        blob = self.archive.get(number)
        if blob is None:
            return None
        found = decode_block(blob)
        for line in found.lines if isinstance(found, Lines) else ():
            self._share(line)
        if keep:
            self._keep(number, found)
        return found

    def _keep(self, number: int, block: Lines | Closed) -> None:
        kind = type(block)
        read = self._read[kind]
        read[number] = block
        self._size[kind] += _length(block)
        if isinstance(block, Lines):
            by_root = self._roots[number] = {}
            for line in block.lines:
                by_root.setdefault(line.root, []).append(line)
        while self._size[kind] > _READ[kind] and len(read) > 1:
            oldest, gone = read.popitem(last=False)
            self._size[kind] -= _length(gone)
            self._roots.pop(oldest, None)

    def _share(self, line: Execution) -> None:
        """The terms' own instrument in place of an equal one: not one object for each execution."""
        terms = self._booking.shelf.terms.get(line.fill.instrument.con_id)
        if terms is not None and terms.instrument == line.fill.instrument:
            msgspec.structs.force_setattr(line.fill, "instrument", terms.instrument)


def _length(block: Lines | Closed) -> int:
    return len(block.lines) if isinstance(block, Lines) else len(block.orders)
