"""The doors: what the engine asks of the world, as Protocols. Real adapters and fakes pass the same contract tests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from engine.core.events import AnyFact
    from engine.core.snapshot import AccountSnapshot, Mark
    from engine.receipt import Receipt


class Clock(Protocol):
    """Where the time comes from; tests bring their own."""

    def now(self) -> datetime:
        """Wall-clock time, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


class Journal(Protocol):
    """The write-ahead journal: a fact is accepted when its group is on disk."""

    def submit(self, facts: Sequence[AnyFact], refused: Callable[[Receipt], object] | None = None) -> Receipt:
        """Queue facts for the next group; from any thread, without input or output of its own.

        Args:
            refused: Called in the journal's thread should the disk refuse, submissions in order.

        Returns:
            Settled with the sequence number of the last fact once the group is fsynced; the numbers of one call are
            consecutive. Fails with ``JournalFull`` when the disk refuses, ``NotWritable`` when a fact has no wire form.
        """
        ...

    def read(self, after: int, limit: int) -> list[tuple[int, AnyFact]]:
        """Facts with a sequence above ``after``, in order, at most about ``limit`` (whole groups)."""
        ...


class Archive(Protocol):
    """Blocks of the books' past, found by keys: numbers below 2**63. Callers hold the ledger's lock."""

    @property
    def empty(self) -> bool:
        """True while nothing was ever put."""
        ...

    @property
    def count(self) -> int:
        """Number of blocks that are there."""
        ...

    @property
    def epoch(self) -> int:
        """Number of the next checkpoint: what is put and dropped now belongs to it."""
        ...

    def put(self, kind: str, blob: bytes, keys: Sequence[int]) -> int:
        """Take a block; its number, above every one before."""
        ...

    def get(self, number: int) -> bytes | None:
        """A block, ``None`` when it was dropped.

        Raises:
            HistoryDamaged: It cannot be read.
        """
        ...

    def may_have_any(self, keys: Sequence[int]) -> bool:
        """False when no block was put with any of these keys; quick."""
        ...

    def find(self, key: int) -> Sequence[int]:
        """Blocks put with a key, dropped ones may be among them; quick when there are none."""
        ...

    def numbers(self, kind: str) -> list[int]:
        """Every block of a kind that is there, in order."""
        ...

    def drop(self, number: int) -> None:
        """Forget a block from the next checkpoint on."""
        ...

    def go_back(self, epoch: int) -> int:
        """Undo what was put and dropped after the checkpoint of that number; how many blocks are there then."""
        ...


class Store(Protocol):
    """The stored books. One writer per symbol; every append carries how far it has come."""

    def append(
        self, library: str, symbol: str, columns: Mapping[str, Sequence[Any]], index: Sequence[datetime], seq: int
    ) -> None:
        """Append rows; idempotent per ``seq`` (rows at or below the stored progress of the symbol are refused as done).

        Raises:
            StoreUnavailable: Nothing was stored.
        """
        ...

    def write(
        self, library: str, symbol: str, columns: Mapping[str, Sequence[Any]], index: Sequence[datetime], seq: int
    ) -> None:
        """Replace a *snapshot* symbol (positions, aggregated); never used for append-only ones."""
        ...

    def progress(self, only: Collection[str] = ()) -> dict[tuple[str, str], int]:
        """(library, symbol) -> sequence up to which it is complete; of some libraries, by default of all."""
        ...

    def read(
        self,
        library: str,
        symbol: str,
        *,
        as_of: datetime | None = None,
        since: datetime | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Rows of one symbol; empty frame with the schema's columns when the symbol does not exist."""
        ...

    def symbols(self, library: str) -> list[str]:
        """Decoded names of a library's symbols."""
        ...


class Broker(Protocol):
    """What reconciliation and valuation ask of IB."""

    @property
    def available(self) -> bool:
        """True while a complete answer can be had."""
        ...

    async def positions(self, accounts: Iterable[str] = ()) -> list[AccountSnapshot]:
        """A fresh, complete answer per account, or UNKNOWN with the reason. Serialised, timed out, never from a cache."""
        ...

    async def refresh_executions(self) -> int:
        """Ask again for the day's executions and open and completed orders; returns how many executions IB reported.

        Raises:
            BrokerUnavailable: No complete answer.
        """
        ...

    def marks(self) -> Mapping[tuple[str, int], Mark]:
        """Latest marks per (account, con_id)."""
        ...

    def base_currency(self, account: str) -> str | None:
        """The account's base currency, ``None`` while unknown or ambiguous."""
        ...

    def rate(self, account: str, currency: str) -> tuple[Decimal, datetime] | None:
        """Base units per unit of ``currency`` and when IB said so; ``None`` when unknown (never 1 by default)."""
        ...
