"""What becomes of facts that were handed to the journal.

A receipt answers what a ``concurrent.futures.Future`` answers, but has no lock, condition and lists of its own: making one
of those takes longer than reading the message that it stands for, and a burst of them is what the garbage collector then
walks through again and again. Nearly nobody waits for a receipt; who does pays for it then.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.core.events import AnyFact

log = logging.getLogger(__name__)

_settling: Final = threading.Lock()
"""One for all: it is held for a moment when a group is settled, and by those who ask to be told."""


class Receipt:
    """The journal's answer for one submission.

    Attributes:
        facts: What was submitted; nothing once it is accepted.
        seq: Sequence of the last of them once they are on disk, else ``None``.
        error: Why the journal refused them, else ``None``.
    """

    __slots__ = ("_acts", "_refused", "error", "facts", "seq")

    def __init__(self, facts: Sequence[AnyFact] = (), refused: Callable[[Receipt], object] | None = None) -> None:
        """Make an open receipt.

        Args:
            refused: Called with the receipt, in the journal's thread, should the journal refuse.
        """
        self.facts = facts
        self.seq: int | None = None
        self.error: Exception | None = None
        self._refused = refused
        self._acts: list[Callable[[Receipt], object]] | None = None

    def done(self) -> bool:
        """True when the journal has answered."""
        return self.seq is not None or self.error is not None

    def add_done_callback(self, act: Callable[[Receipt], object]) -> None:
        """Have ``act`` called with this receipt when it is settled; at once when it is already."""
        with _settling:
            if not self.done():
                self._acts = [*(self._acts or ()), act]
                return
        act(self)

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait for the answer; ``None`` when the facts were accepted.

        Raises:
            TimeoutError: The journal did not answer within ``timeout`` seconds.
        """
        if not self.done():
            told = threading.Event()
            self.add_done_callback(lambda _: told.set())
            if not told.wait(timeout):
                raise TimeoutError("the journal does not answer")
        return self.error

    def result(self, timeout: float | None = None) -> int:
        """Wait for the sequence of the last fact.

        Raises:
            JournalFull: The disk refused; nothing was accepted.
            TimeoutError: The journal did not answer within ``timeout`` seconds.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        assert self.seq is not None, "it is settled"
        return self.seq

    def settle(self, seq: int | None = None, error: Exception | None = None) -> None:
        """Give the answer for this one; see :func:`settle_all` for a group."""
        with _settling:
            self.seq, self.error = seq, error
        self.tell()

    def tell(self) -> None:
        """Call those who asked to be told."""
        refused = () if self._refused is None or self.error is None else (self._refused,)
        for act in (*refused, *(self._acts or ())):
            try:
                act(self)
            except Exception:  # the journal's thread goes on whatever a caller makes of the answer
                log.exception("a caller failed on the journal's answer")
        self._acts = None


def settle_all(receipts: Iterable[Receipt], before: int) -> None:
    """Accept a group, in order.

    Args:
        before: Sequence in front of the group's first fact.
    """
    seq = before
    with _settling:
        for receipt in receipts:
            seq += len(receipt.facts)
            receipt.seq = seq
            receipt.facts = ()  # they are on disk; whoever keeps the receipt shall not keep a burst in memory with it
    for receipt in receipts:
        if receipt._acts is not None:  # noqa: SLF001 - the same module's
            receipt.tell()
