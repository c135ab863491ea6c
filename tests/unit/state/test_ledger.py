"""The ledger as a whole: what it keeps, and coming back from a checkpoint."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.core.events import (
    AssignmentMade,
    Audited,
    BreakNoted,
    QuarantineClosed,
    Quarantined,
    RateSeen,
    RuleSet,
)
from engine.state.ledger import Ledger
from tests.unit.state.kit import AAPL, BAG, UNASSIGNED, VOD, Desk, at


def full_desk():
    desk = Desk(patterns={"ALPHA": ""})
    desk.fill("0000e0d5.00000001.01.01", 10, 100, perm_id=5, order_id=7, client_id=1, strategy="ALPHA", order_ref="a")
    desk.fill("0000e0d5.00000001.01.02", 11, 100, perm_id=5)
    desk.fill("2.01", -4, "101.5", t=None, time_text="?", perm_id=6)
    desk.fill("3.01", 4, 947, instrument=VOD, strategy="BETA", account="DU2", order_id=9, client_id=2)
    desk.fill("4.01", 1, 5, instrument=BAG, strategy="BETA")
    desk.fill("5.01", 1, 5, strategy="BETA", cum_quantity=Decimal(3), perm_id=8)
    desk.fill("6.01", 1, 5, instrument=type(AAPL)(con_id=0, symbol="?"))
    desk.bust("3.01", account="DU2")
    desk.bust("future.01")
    desk.fee("2.01", "1.25", "EUR")
    desk.fee("orphan.01", "3")
    desk.order("Submitted", perm_id=0, order_id=20, client_id=1, strategy="ALPHA", local=True)
    desk.order("Submitted", perm_id=21, order_id=20, client_id=1, strategy="ALPHA", oca_group="g")
    desk.order("Cancelled", perm_id=6, error_code=10349, local=True, source="error")
    desk.describe(type(VOD)(con_id=VOD.con_id, symbol="VOD", currency="GBP", price_magnifier=100))
    desk.assign("A1", ("ALPHA", 3, 99), moves=[("2.01", UNASSIGNED, "GAMMA")])
    desk.assign("A2", ("BETA", 3, 99))
    desk.reverse("A2")
    now = desk.clock
    desk.apply(RateSeen(received_at=now, account="DU1", currency="EUR", base="USD", rate=Decimal("1.08"), at=now))
    desk.apply(RuleSet(received_at=now, rule_id="r", strategy="MANUAL", client_id=99))
    desk.apply(BreakNoted(received_at=now, break_id="DU1:1", owner="me", note="looking"))
    desk.apply(BreakNoted(received_at=now, break_id="DU1:1", note="found"))
    desk.apply(Quarantined(received_at=now, quarantine_id="q1", reason="?", raw="{}"))
    desk.apply(Quarantined(received_at=now, quarantine_id="q2", reason="?", raw="{}"))
    desk.apply(QuarantineClosed(received_at=now, quarantine_id="q1", outcome="dismissed"))
    desk.apply(Audited(received_at=now, user="op", act="assign"))
    return desk


def everything(ledger):
    return (
        ledger.seq,
        ledger.positions(),
        ledger.fills(),
        ledger.orders(),
        [ledger.timeline(o.order_key) for o in ledger.orders()],
        ledger.chain("DU1", "0000e0d5.00000001.01"),
        ledger.findings,
        ledger.orphan_commissions,
        ledger.unbookable,
        ledger.net(),
        ledger.rates,
        ledger.bases,
        ledger.assignments(),
        ledger.reversed_ids,
        ledger.rules(),
        ledger.break_notes,
        ledger.quarantine,
        list(ledger.audit),
        ledger.strategies(),
        ledger.instruments(),
        ledger.activity("DU1", AAPL.con_id),
        ledger.fees_pending(datetime(2100, 1, 1, tzinfo=UTC)),
        ledger.execution_count,
    )


def test_a_loaded_ledger_knows_everything_the_dumped_one_knew():
    desk = full_desk()
    loaded = desk.restarted()
    assert everything(loaded) == everything(desk.ledger)
    loaded.check()
    assert loaded.dump() == desk.ledger.dump()


def test_a_loaded_ledger_continues_as_the_dumped_one_does():
    desk = full_desk()
    loaded = desk.restarted()
    original = desk.ledger
    desk_facts = len(desk.facts)
    script = (
        lambda d: d.fill("2.02", -5, 102, t=3),
        lambda d: d.fill("future.01", 1, 1, t=4, strategy="ALPHA"),
        lambda d: d.fill("orphan.01", 1, 1, t=1, strategy="ALPHA"),
        lambda d: d.fill("7.01", 2, 1, perm_id=21, order_id=20, client_id=1),
        lambda d: d.fill("8.01", 2, 1, client_id=99),
        lambda d: d.fill("9.01", 2, 5, perm_id=8, cum_quantity=Decimal(3)),
        lambda d: d.reverse("A1"),
        lambda d: d.fee("3.01", "0.5", "GBP"),
        lambda d: d.order("Filled", perm_id=6),
    )
    found = []
    for ledger in (original, loaded):
        desk.ledger = ledger
        del desk.facts[desk_facts:]
        found.append([(c.fills, c.orders, c.findings, c.resolved, c.dirty) for c in (step(desk) for step in script)])
    assert found[0] == found[1]
    assert everything(original) == everything(loaded)


def test_what_is_no_checkpoint_is_refused():
    for blob in (b"", b"rubble", b"\xdc\x00\x1b\x63", Desk().ledger.dump()[:-3]):
        with pytest.raises(ValueError, match="checkpoint"):
            Ledger.load(blob)


def test_restarting_three_times_keeps_every_count():
    """R50, R16."""
    desk = full_desk()
    counts = desk.ledger.execution_count
    ledger = desk.ledger
    for _ in range(3):
        ledger = Ledger.load(ledger.dump(), archive=desk.archive)
        for seq, fact in enumerate((f for f in desk.facts if type(f).__name__ == "Fill"), ledger.seq + 1):
            if fact.instrument.con_id:
                ledger.apply(seq, fact)
    assert ledger.execution_count == counts
    assert ledger.net() == desk.ledger.net()


def test_rates_notes_and_quarantine_are_kept_as_last_said():
    ledger = full_desk().ledger
    assert ledger.bases == {"DU1": "USD"}
    assert ledger.rates["DU1", "EUR"].rate == Decimal("1.08")
    note = ledger.break_notes["DU1:1"]
    assert (note.owner, note.note) == ("me", "found")
    assert list(ledger.quarantine) == ["q2"]
    assert [a.act for a in ledger.audit] == ["assign"]


def test_an_older_rate_does_not_replace_a_newer_one():
    desk = Desk()
    for rate, second in (("1.1", 10), ("1.2", 5)):
        desk.apply(
            RateSeen(
                received_at=desk.clock, account="DU1", currency="EUR", base="USD", rate=Decimal(rate), at=at(second)
            )
        )
    assert desk.ledger.rates["DU1", "EUR"].rate == Decimal("1.1")


def test_the_head_of_the_assignment_journal_is_the_last_entrys_hash():
    desk = Desk()
    assert desk.ledger.assignment_head == ""
    desk.apply(
        AssignmentMade(
            received_at=desk.clock,
            assignment_id="A",
            account="DU1",
            instrument=AAPL,
            operator="op",
            reason="",
            effective_at=at(0),
            entry_hash="abc",
        )
    )
    assert desk.ledger.assignment_head == "abc"


def test_fills_can_be_asked_for_by_strategy_and_time():
    desk = Desk()
    desk.fill("1.01", 1, 1, t=0, strategy="ALPHA")
    desk.fill("2.01", 1, 1, t=10, strategy="BETA")
    desk.fill("3.01", 1, 1, t=20, strategy="ALPHA")
    assert [r.fill.exec_id for r in desk.ledger.fills("ALPHA")] == ["1.01", "3.01"]
    assert [r.fill.exec_id for r in desk.ledger.fills(since=at(10))] == ["2.01", "3.01"]
    assert [p.strategy for p in desk.ledger.positions(account="DU1", strategy="BETA")] == ["BETA"]
    assert desk.ledger.fill("DU1", "nothing") is None
    assert desk.ledger.position("ALPHA", "DU9", 1) is None
    assert desk.ledger.order("PDU1:404") is None
    assert desk.ledger.timeline("PDU1:404") == []
    assert desk.ledger.chain("DU1", "nothing") == []


def test_a_planted_cent_is_found_by_the_recount():
    """The recount shares nothing with the books but the definition of the result."""
    import msgspec

    from engine.state.fold import fold

    desk = Desk()
    desk.fill("1.01", 10, 100, t=0, strategy="ALPHA")
    desk.fill("2.01", -4, 101, t=1, strategy="ALPHA")
    good = fold(desk.fills)["ALPHA", "DU1", AAPL.con_id]
    assert (good.realized_pnl, good.open_cost) == (desk.book().realized_pnl, desk.book().open_cost)
    planted = [desk.fills[0], msgspec.structs.replace(desk.fills[1], unit_price=Decimal("101.01"))]
    assert fold(planted)["ALPHA", "DU1", AAPL.con_id].realized_pnl == good.realized_pnl + Decimal("0.04")


def test_the_check_finds_a_book_that_was_tampered_with():
    desk = Desk()
    desk.fill("1.01", 10, 100, strategy="ALPHA")
    book = desk.ledger._shelf.books["ALPHA", "DU1", AAPL.con_id]
    book.quantity = Decimal(11)
    with pytest.raises(AssertionError):
        desk.ledger.check()
