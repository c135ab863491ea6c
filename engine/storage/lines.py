"""Stored executions into the columns of the recount, without an object for each row.

A float of at most fifteen digits is one whole number over a power of ten and no other: its shortest text, by which it was
stored, says the same. So a whole column is turned into whole numbers at once, and each float is compared with what its
whole number gives back; the rows in which it differs, and those with a text in ``exact``, are turned by their texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
import pandas as pd

from engine.errors import StoreDamaged
from engine.state.fold import Lines, Numbers, last_words, places_of, whole

COLUMNS: Final = (
    "fill_id",
    "account",
    "con_id",
    "state",
    "order_time",
    "first_seq",
    "seq",
    "symbol",
    "sec_type",
    "currency",
    "qty",
    "price",
    "multiplier",
    "magnifier",
    "commission",
    "commission_currency",
    "realized_pnl",
    "reported_qty",
    "quoted_price",
    "exact",
)
"""Those of ``fills`` that are looked at here."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_SURE: Final = 1e15
"""Below it a whole number has at most fifteen digits."""
_MOST_PLACES: Final = 8
"""Places after the point that are tried for a whole column."""
_KNOWN: Final = ("qty", "price", "multiplier", "realized_pnl", "reported_qty", "quoted_price", "order_time")
"""What no execution is without."""
_TOLD_TWICE: Final = ("qty", "reported_qty", "price", "quoted_price", "magnifiers")
_AT_ONCE: Final = 10_000
"""Rows of which a step in C (to make a list, to free it) holds the interpreter for less than a millisecond."""
Exact = dict[str, dict[int, Any]]
Amounts = dict[str, Decimal | None]


def fill_lines(frame: pd.DataFrame, strategy: str, at_once: int = _AT_ONCE) -> Iterator[FillLines]:
    """Rows of ``fills/<STRATEGY>``, whole books after each other.

    Of one revision the row that was stored last counts, and of an execution the highest revision: those alone are in.

    Args:
        frame: :data:`COLUMNS` at least, in stored order.
        at_once: Make no more than that many rows into one piece, unless they are of one book.

    Raises:
        StoreDamaged: A row, be it one that does not count any more, lacks what no execution is without.
    """
    for row, name in lacking(frame):
        raise StoreDamaged(f"stored row has no {name}: {frame.iloc[row].to_dict()}")
    rows = np.array(last_words(frame["account"].tolist(), frame["fill_id"].tolist(), range(len(frame))), np.intp)
    books = frame.groupby(["account", "con_id"], sort=False).ngroup().to_numpy()[rows]
    order = np.argsort(books, kind="stable")
    rows, books = rows[order], books[order]
    begin = 0
    while begin < len(rows):
        fits = min(begin + at_once, len(rows))
        # Where the book of the row that does not fit any more begins, or ends if it is the first one.
        end = fits if fits == len(rows) else int(np.searchsorted(books, books[fits]))
        if end <= begin:
            end = int(np.searchsorted(books, books[begin], side="right"))
        yield FillLines(frame.take(rows[begin:end]), strategy)
        begin = end


class FillLines:
    """Executions of whole books as columns of exact numbers.

    Attributes:
        lines: For the recount.
        realized: What each row says it realized.
    """

    def __init__(self, frame: pd.DataFrame, strategy: str) -> None:
        """Take the rows, of which each is the last word on its execution; see :func:`fill_lines`."""
        self._frame = frame
        self._exact = _exact(frame)
        self.realized = self._numbers("realized_pnl")
        self.lines = Lines(
            strategy=[strategy] * len(frame),
            account=frame["account"].tolist(),
            con_id=frame["con_id"].tolist(),
            exec_id=frame["fill_id"].tolist(),
            state=frame["state"].tolist(),
            order_us=self._moments("order_time"),
            first_seq=frame["first_seq"].tolist(),
            seq=frame["seq"].tolist(),
            symbol=frame["symbol"].tolist(),
            sec_type=frame["sec_type"].tolist(),
            currency=frame["currency"].tolist(),
            commission_currency=frame["commission_currency"].tolist(),
            quantity=self._numbers("qty"),
            unit_price=self._numbers("price"),
            multiplier=self._numbers("multiplier"),
            commission=self._numbers("commission"),
        )

    def misreported(self) -> Iterator[tuple[int, Amounts, Amounts]]:
        """Active rows that count with another quantity or price than was reported.

        Returns:
            Row, and its ``qty`` and ``price`` as the broker told them and as they count, both prices as quoted.
        """
        rows = self._doubtful()
        if not rows:
            return
        counted, told = self._numbers("qty", rows), self._numbers("reported_qty", rows)
        price, quoted = self._numbers("price", rows), self._numbers("quoted_price", rows)
        magnifiers = self._frame["magnifier"].to_numpy()[rows].tolist()
        own = self._exact.get("magnifiers", {})
        more_told, more_counted = 10**counted.places, 10**told.places
        more_quoted, more_price = 10**price.places, 10**quoted.places
        for place, row in enumerate(rows):
            charged = price.whole[place] * (own.get(row, magnifiers[place : place + 1])[0] or 1)
            if (counted.whole[place] * more_counted, charged * more_price) != (
                told.whole[place] * more_told,
                quoted.whole[place] * more_quoted,
            ):
                reported: Amounts = {"qty": told.decimal(place), "price": quoted.decimal(place)}
                yield row, reported, {"qty": counted.decimal(place), "price": price.of(charged)}

    def _doubtful(self) -> list[int]:
        """Active rows of which the floats and the magnifier alone do not say that what counts is what was reported."""
        frame = self._frame
        evident = (frame["qty"].to_numpy() == frame["reported_qty"].to_numpy()) & (
            frame["price"].to_numpy() == frame["quoted_price"].to_numpy()
        )
        magnifiers = frame["magnifier"].to_numpy()
        evident &= (magnifiers == 0) | (magnifiers == 1)
        for name in _TOLD_TWICE:
            evident[list(self._exact.get(name, ()))] = False
        found: list[int] = np.flatnonzero(~evident & (frame["state"].to_numpy() == "active")).tolist()
        return found

    def _numbers(self, name: str, rows: Sequence[int] | None = None) -> Numbers:
        """A column, of all rows or of some."""
        values, texts = self._frame[name].to_numpy(), self._exact.get(name, {})
        if rows is None:
            return _numbers(values, texts)
        return _numbers(values[rows], {place: texts[row] for place, row in enumerate(rows) if row in texts})

    def _moments(self, name: str) -> list[int]:
        """A column of times as microseconds since 1970."""
        index = pd.DatetimeIndex(self._frame[name])
        naive = index if index.tz is None else index.tz_convert(None)
        found: list[int] = naive.to_numpy().astype("datetime64[us]").view(np.int64).tolist()
        for row, text in self._exact.get(name, {}).items():
            found[row] = (datetime.fromisoformat(text) - _EPOCH) // _US
        return found


def lacking(frame: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Rows that lack a number or a time that no execution is without, and the column.

    Args:
        frame: As :func:`fill_lines` takes it.
    """
    for name in _KNOWN:
        for row in np.flatnonzero(frame[name].isna().to_numpy()).tolist():
            text = frame["exact"].to_numpy()[row]
            if (msgspec.json.decode(text).get(name) if text else None) is None:
                yield row, name


def _exact(frame: pd.DataFrame) -> Exact:
    """What stands in ``exact``: name -> row -> value."""
    found: Exact = {}
    texts = frame["exact"].to_numpy()
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for row in np.flatnonzero(texts != "").tolist():
        for name, value in decode(texts[row]).items():
            found.setdefault(name, {})[row] = value
    return found


def _numbers(floats: np.ndarray[Any, Any], exact: Mapping[int, str]) -> Numbers:
    """A column of floats, NaN for unknown, and the texts that go before them: row -> text."""
    unknown = np.isnan(floats)
    sure = np.where(unknown, 0.0, floats)
    unknown[list(exact)] = False
    sure[list(exact)] = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for places in range(_MOST_PLACES + 1):
            scaled = np.rint(sure * 10.0**places)
            fits = (np.abs(scaled) < _SURE) & (scaled / 10.0**places == sure)
            if fits.all():
                break
    scaled[~fits] = 0.0
    odd = {row: Decimal(text) for row, text in exact.items()}
    odd |= {row: Decimal(repr(float(floats[row]))) for row in np.flatnonzero(~fits).tolist()}
    most = max(places, max(map(places_of, odd.values()), default=0))
    found: list[Any] = scaled.astype(np.int64).tolist()
    if most > places:
        more = 10 ** (most - places)
        found = [value * more for value in found]
    for row, value in odd.items():
        found[row] = whole(value, most)
    for row in np.flatnonzero(unknown).tolist():
        found[row] = None
    return Numbers(found, most)
