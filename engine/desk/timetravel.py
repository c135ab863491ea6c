"""Every table as of a past moment, from the append-only record: equal to what was shown then.

What was known at a moment is what had been recorded by then. A correction that came later does not reach back: the
tables of that moment still show the uncorrected execution, as the screen did. Nothing here reads a clock or a store;
the caller brings the stored records (:func:`engine.storage.unrows.fill_records` and its like) or frames.

Positions are folded by the books' own step, not by the independent recount (`state.fold`), so that even the last digit
of a cost shared by a partial close is the one that was shown.

Worked example: 100 bought at 10:00, the fee known at 10:01, the price corrected at 11:00. As of 10:00:30 the fee is
pending, as of 10:30 it is known at the first price, as of 11:30 the corrected execution alone counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec
import pandas as pd

from engine.core.events import Fill, OrderUpdate, RateSeen
from engine.core.exact import ZERO, add, multiply
from engine.core.ids import split_exec_id, venue_sequence
from engine.core.position import step
from engine.core.records import FillRecord, OrderRecord, PositionRecord
from engine.errors import BadRequest
from engine.recon.breaks import OPEN_STATES
from engine.state.books import BookKey, position_record
from engine.state.fold import current
from engine.state.order import Order

_HIDDEN: Final = frozenset({"moved", "superseded"})
_SNAPSHOT_KEYS: Final = ("account", "con_id")


def moment_of(moment: datetime) -> datetime:
    """A moment the tables can be asked for, in UTC.

    Raises:
        BadRequest: It is no moment, or has no time zone.
    """
    if not isinstance(moment, datetime):  # a text, or a day, whose end is another moment in every zone
        raise BadRequest(f"a moment is a datetime with a time zone, not {moment!r}")
    if moment.tzinfo is None:
        raise BadRequest("a moment needs a time zone, e.g. datetime(..., tzinfo=UTC)")
    return moment.astimezone(UTC)


def positions_as_of(records: Iterable[FillRecord], moment: datetime) -> list[PositionRecord]:
    """The books as they stood.

    Args:
        records: Of any strategies, each strategy's in stored order.
        moment: Aware; what was recorded at that very moment counts.

    Returns:
        One per (strategy, account, con_id), flat ones kept, as ``Ledger.positions`` gave them then (``seq`` aside).
    """
    at = moment_of(moment)
    return list(recount(record for record in records if record.recorded_at <= at).values())


def recount(records: Iterable[FillRecord]) -> dict[BookKey, PositionRecord]:
    """Fold records into books, digit for digit as the ledger does.

    Args:
        records: As for :func:`positions_as_of`; the state that ``Ledger.fills`` gives will do as well.

    Returns:
        (strategy, account, con_id) -> position; books whose executions have all gone are absent.
    """
    books: dict[BookKey, list[FillRecord]] = {}
    for record in current(records):
        if record.state in {"active", "busted"}:
            key = (record.strategy, record.fill.account, record.fill.instrument.con_id)
            books.setdefault(key, []).append(record)
    return {key: _fold(key, sorted(found, key=_place)) for key, found in books.items()}


def _place(record: FillRecord) -> tuple[datetime, int, int]:
    return record.order_time, venue_sequence(split_exec_id(record.fill.exec_id)[0]), record.first_seq


def _fold(key: BookKey, lines: list[FillRecord]) -> PositionRecord:
    quantity = cost = realized = ZERO
    fees: dict[str, Decimal] = {}
    active = [line for line in lines if line.state == "active"]
    for line in active:
        quantity, cost, gained = step(quantity, cost, line.quantity, multiply(line.unit_price, line.multiplier))
        realized = add(realized, gained)
    for line in lines:
        if line.commission is not None:
            fees[line.commission_currency] = add(fees.get(line.commission_currency, ZERO), line.commission)
    return position_record(
        key,
        msgspec.structs.replace(lines[-1].fill.instrument, multiplier=lines[-1].multiplier),
        (quantity, cost, realized),
        fees=fees,
        pending=sum(line.commission is None for line in lines),
        fills=len(active),
        last=active[-1].order_time if active else None,
        seq=max(line.seq for line in lines),
    )


def fills_as_of(records: Iterable[FillRecord], moment: datetime) -> list[FillRecord]:
    """The state of every execution as it stood, once each, in order of first sight."""
    at = moment_of(moment)
    known = current(record for record in records if record.recorded_at <= at)
    return sorted((r for r in known if r.state not in _HIDDEN), key=lambda r: (r.first_seq, r.seq))


def orders_as_of(
    records: Iterable[OrderRecord],
    moment: datetime,
    *,
    open_only: bool = False,
    fills: Iterable[FillRecord] = (),
) -> list[OrderRecord]:
    """Every order as it stood, in order of first sight.

    Args:
        records: Its transitions, in stored order.
        fills: Executions of all strategies as stored: partial ones make no transition, yet the order had come so far.
    """
    at = moment_of(moment)
    latest: dict[str, OrderRecord] = {}
    first: dict[str, int] = {}
    by_number: dict[tuple[int, int], list[str]] = {}
    by_perm: dict[int, list[str]] = {}
    for record in sorted((r for r in records if r.recorded_at <= at), key=lambda r: r.seq):
        seen, key = record.update, record.order_key
        if key not in latest:
            # The broker's id, or the account, became known: the same order under the key that it had until then.
            former = [*by_perm.get(seen.perm_id, ()), *reversed(by_number.get((seen.client_id, seen.order_id), ()))]
            old = next((k for k in former if k in latest and _was(latest[k].update, seen)), None)
            first[key] = record.seq if old is None else first[old]
            if old is not None:
                del latest[old]
            if seen.perm_id:
                by_perm.setdefault(seen.perm_id, []).append(key)
            if seen.order_id > 0:
                by_number.setdefault((seen.client_id, seen.order_id), []).append(key)
        latest[key] = record
    found = [latest[key] for key in sorted(latest, key=lambda k: first[k]) if latest[key].is_open or not open_only]
    done = _progress(fills_as_of(fills, at))
    return [_come_so_far(record, done) for record in found] if done else found


def _was(former: OrderUpdate, seen: OrderUpdate) -> bool:
    """True for a sight that lacked what ``seen`` tells: the permId, or the account."""
    if former.account and former.account != seen.account:
        return False
    if former.perm_id:
        return former.perm_id == seen.perm_id and not former.account
    return bool(seen.perm_id) or not former.account


Done = dict[tuple[str, int, int, int], dict[int, tuple[Decimal, Decimal]]]
"""(account, permId), or without one (account, 0, client id, order id) -> con_id -> signed quantity, its quoted value."""


def _progress(fills: Iterable[FillRecord]) -> Done:
    """How far orders have come, as ``state.order`` counts it."""
    done: Done = {}
    for record in fills:
        fill = record.fill
        traded = done.setdefault(_order_of(fill), {})
        quantity, worth = traded.get(fill.instrument.con_id, (ZERO, ZERO))
        if record.state in {"active", "group"}:
            quantity, worth = add(quantity, fill.quantity), add(worth, multiply(fill.quantity, fill.price))
        traded[fill.instrument.con_id] = quantity, worth
    return done


def _order_of(sight: Fill | OrderUpdate) -> tuple[str, int, int, int]:
    return (sight.account, sight.perm_id, *((0, 0) if sight.perm_id else (sight.client_id, sight.order_id)))


def _come_so_far(record: OrderRecord, done: Done) -> OrderRecord:
    seen = record.update
    traded = done.get(_order_of(seen))
    if traded is None or not (seen.perm_id or seen.order_id > 0):
        return record
    order = Order(key="", strategy="", claimed=False, seen=seen, word=seen.status, traded=traded)
    filled, remaining, average = order.figures()
    if record.state == "Filled":  # the broker's word on what remains, whatever is corrected or voided since
        remaining = record.remaining
    return msgspec.structs.replace(record, filled=filled, remaining=remaining, avg_fill_price=average)


def rates_as_of(facts: Iterable[RateSeen], moment: datetime) -> dict[tuple[str, str], RateSeen]:
    """The newest rate per (account, currency) that had been taken in by then."""
    at = moment_of(moment)
    latest: dict[tuple[str, str], RateSeen] = {}
    for fact in facts:
        known = latest.get((fact.account, fact.currency))
        if fact.received_at <= at and (known is None or fact.at >= known.at):
            latest[fact.account, fact.currency] = fact
    return latest


def breaks_as_of(frame: pd.DataFrame, moment: datetime, *, open_only: bool = True) -> pd.DataFrame:
    """Breaks as they stood.

    Args:
        frame: ``reconciliations/breaks``: one row per change, index ``recorded_at``.
        open_only: Leave out settling, assigned and closed ones.

    Returns:
        The latest row of every break by then, same columns and index.
    """
    known = _known(frame, moment)
    latest = known[~known["break_id"].duplicated(keep="last")]
    return latest[latest["state"].isin(list(OPEN_STATES))] if open_only else latest


def portfolio_as_of(frame: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    """Reconciled rows as they stood.

    Args:
        frame: One ``portfolio/<ACCOUNT>/<SYMBOL>``: a group of rows (one per strategy) per run that changed anything.

    Returns:
        For every (account, con_id) the rows of its latest run by then.
    """
    known = _known(frame, moment)
    if known.empty:
        return known
    last_run = known.groupby(list(_SNAPSHOT_KEYS), sort=False)["run_id"].transform("last")
    return known[known["run_id"] == last_run]


def _known(frame: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    return frame[frame.index <= pd.Timestamp(moment_of(moment))]
