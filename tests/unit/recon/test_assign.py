from __future__ import annotations

import msgspec
import pytest
from recon_parts import AAPL, CALL, DU, MSFT, START, D, execution, loose

from engine.core.events import AssignmentLeg, AssignmentReversed, decode_facts, encode_facts, writable
from engine.errors import AssignmentRefused
from engine.recon.assign import Assignable, Request, plan_assignment, plan_legs, plan_moves, plan_reversal
from engine.recon.chain import seal, verify_chain
from engine.recon.pricing import implied_price


def what(*records, difference=0, instrument=AAPL, **more):
    return Assignable(
        account=DU,
        instrument=instrument,
        unassigned=sum((r.quantity for r in records), D(0)),
        difference=None if difference is None else D(difference),
        records=records,
        **more,
    )


def ask(split, **more):
    named = {"operator": "mary", "reason": "her trade", **more}
    return Request(split={s: D(q) for s, q in split.items()}, **named)


def plan(residual, split, *, previous="", **more):
    return plan_assignment(residual, ask(split, **more), now=START, previous_hash=previous)


def legs(entry):
    return [(leg.strategy, leg.quantity, leg.price) for leg in entry.legs]


def moves(entry):
    return [(m.exec_id, m.to_strategy) for m in entry.moves]


def test_whole_executions_are_moved_with_their_price_time_and_fee():
    first, second = loose(30, 10), loose(20, 11)
    entry = plan(what(first, second), {"BETA": 20, "ALPHA": 30})
    assert sorted(moves(entry)) == sorted([(first.fill.exec_id, "ALPHA"), (second.fill.exec_id, "BETA")])
    assert entry.legs == ()
    assert entry.price_source == "execution"


def test_a_split_that_cuts_through_an_execution_transfers_at_its_own_price():
    first, second = loose(30, 10), loose(20, 11)
    entry = plan(what(first, second), {"ALPHA": 35, "BETA": 15})
    assert moves(entry) == [(first.fill.exec_id, "ALPHA")]
    assert legs(entry) == [("UNASSIGNED", -20, 11), ("ALPHA", 5, 11), ("BETA", 15, 11)]


def test_part_of_an_execution_can_be_assigned_and_the_rest_later():
    record = loose(100, 10)
    entry = plan(what(record), {"ALPHA": 30})
    assert legs(entry) == [("UNASSIGNED", -30, 10), ("ALPHA", 30, 10)]
    taken = loose(-30, 10, source="assignment")
    rest = plan(what(record, taken), {"BETA": 70})
    assert legs(rest) == [("UNASSIGNED", -70, 10), ("BETA", 70, 10)]
    assert rest.moves == ()


def test_executions_both_ways_are_taken_at_the_average_that_unassigned_carries():
    entry = plan(what(loose(100, 10), loose(-40, 12)), {"ALPHA": 30})
    assert legs(entry) == [("UNASSIGNED", -30, 10), ("ALPHA", 30, 10)]


def test_an_exact_choice_of_executions_is_found_among_many():
    records = [loose(q, 10) for q in (7, 13, 29, 31, 5)]
    entry = plan(what(*records), {"ALPHA": 36, "BETA": 20})
    given = {m.exec_id: m.to_strategy for m in entry.moves}
    by_id = {r.fill.exec_id: r.quantity for r in records}
    sums = {s: sum(by_id[e] for e, to in given.items() if to == s) for s in ("ALPHA", "BETA")}
    assert sums == {"ALPHA": 36, "BETA": 20}
    assert entry.legs == ()


def test_a_typed_price_transfers_at_that_price_on_both_sides():
    entry = plan(what(loose(50, 10)), {"ALPHA": 50}, price=D(12))
    assert legs(entry) == [("UNASSIGNED", -50, 12), ("ALPHA", 50, 12)]
    assert entry.moves == ()
    assert entry.price_source == "typed"


def test_a_residual_without_execution_is_booked_at_the_typed_price():
    assert legs(plan(what(difference=-50), {"ALPHA": -30, "BETA": -20}, price=D("99.5"))) == [
        ("ALPHA", -30, D("99.5")),
        ("BETA", -20, D("99.5")),
    ]


def test_the_brokers_implied_cost_comes_before_the_mark():
    residual = what(
        difference=50,
        broker_quantity=D(150),
        broker_avg_cost=D(11),
        books_quantity=D(100),
        books_open_cost=D(1000),
        mark=D(14),
    )
    assert legs(plan(residual, {"ALPHA": 50})) == [("ALPHA", 50, 13)]
    assert plan(residual, {"ALPHA": 50}).price_source == "broker_cost"
    assert legs(plan(residual, {"ALPHA": 50}, price_source="mark")) == [("ALPHA", 50, 14)]


def test_the_implied_cost_takes_the_multiplier_out():
    price = implied_price(
        broker_quantity=D(3),
        broker_avg_cost=D(250),
        books_quantity=D(1),
        books_open_cost=D(150),
        multiplier=CALL.multiplier,
    )
    assert price == 3


@pytest.mark.parametrize(
    ("broker", "books"), [(50, 100), (-50, 50), (100, 100)], ids=["closing", "other side", "nothing missing"]
)
def test_no_cost_is_implied_where_the_average_does_not_tell(broker, books):
    given = {"broker_avg_cost": D(11), "books_open_cost": D(1000), "multiplier": D(1)}
    assert implied_price(broker_quantity=D(broker), books_quantity=D(books), **given) is None


def test_without_any_price_one_is_asked_for():
    with pytest.raises(AssignmentRefused, match="type one"):
        plan(what(difference=50), {"ALPHA": 50})


def test_a_wanted_price_that_is_not_to_be_had_is_refused():
    with pytest.raises(AssignmentRefused, match="broker_cost"):
        plan(what(difference=50, mark=D(5)), {"ALPHA": 50}, price_source="broker_cost")


def test_known_executions_are_given_before_the_unexplained_rest():
    record = loose(30, 10)
    entry = plan(what(record, difference=20, mark=D(15)), {"ALPHA": 30, "BETA": 20})
    assert moves(entry) == [(record.fill.exec_id, "ALPHA")]
    assert legs(entry) == [("BETA", 20, 15)]
    assert entry.price_source == "execution+mark"


def test_while_the_broker_is_unknown_only_executions_can_be_assigned():
    with pytest.raises(AssignmentRefused, match=r"only \+30"):
        plan(what(loose(30, 10), difference=None), {"ALPHA": 31})


@pytest.mark.parametrize(
    ("split", "more", "text"),
    [
        ({"ALPHA": 51}, {}, r"only \+50"),
        ({"ALPHA": -10}, {}, "wrong sign"),
        ({"ALPHA": 60, "BETA": -10}, {}, "wrong sign"),
        ({}, {}, "nothing to anybody"),
        ({"ALPHA": 0}, {}, "nothing to anybody"),
        ({"": 10}, {}, "not a strategy"),
        ({"UNASSIGNED": 10}, {}, "not a strategy"),
        ({"ALPHA": D("NaN")}, {}, "not a number"),
        ({"ALPHA": 10}, {"operator": " "}, "operator"),
        ({"ALPHA": 10}, {"reason": ""}, "reason"),
        ({"ALPHA": 10}, {"price": D("Infinity")}, "not a number"),
        ({"ALPHA": 10}, {"price_source": "guess"}, "none of"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_in_words(split, more, text):
    with pytest.raises(AssignmentRefused, match=text):
        plan(what(loose(50, 10)), split, **more)


def test_nothing_can_be_assigned_where_there_is_no_residual():
    with pytest.raises(AssignmentRefused, match="no residual"):
        plan(what(), {"ALPHA": 1})


def test_the_same_request_id_is_the_same_entry_and_another_is_another():
    once = plan(what(loose(50, 10)), {"ALPHA": 50}, request_id="r1")
    again = plan(what(loose(50, 10)), {"ALPHA": 50}, request_id="r1", previous="abc")
    other = plan(what(loose(50, 10)), {"ALPHA": 50}, request_id="r2")
    assert once.assignment_id == again.assignment_id
    assert other.assignment_id != once.assignment_id


def test_the_same_words_after_another_entry_are_another_entry():
    residual = what(loose(50, 10))
    assert plan(residual, {"ALPHA": 10}).assignment_id != plan(residual, {"ALPHA": 10}, previous="abc").assignment_id


def chain_of(count):
    entries, head = [], ""
    for n in range(count):
        entry = plan(what(loose(50, 10)), {"ALPHA": n + 1}, previous=head)
        entries.append(entry)
        head = entry.entry_hash
    return entries, head


def test_a_journal_as_written_holds_also_after_the_wire():
    entries, head = chain_of(4)
    reversal = plan_reversal(
        entries[1], later=entries[2:], reversed_ids=(), operator="mary", reason="oops", now=START, previous_hash=head
    )
    written = decode_facts(encode_facts([*entries, reversal]))
    assert verify_chain(written, reversal.entry_hash) is None


@pytest.mark.parametrize("tamper", ["quantity", "reason", "remove", "swap", "cut"])
def test_tampering_with_the_journal_shows(tamper):
    entries, head = chain_of(4)
    if tamper == "quantity":
        leg = msgspec.structs.replace(entries[1].legs[0], quantity=D(99))
        entries[1] = msgspec.structs.replace(entries[1], legs=(leg, *entries[1].legs[1:]))
    elif tamper == "reason":
        entries[1] = msgspec.structs.replace(entries[1], reason="another")
    elif tamper == "remove":
        del entries[1]
    elif tamper == "swap":
        entries[1], entries[2] = entries[2], entries[1]
    else:
        del entries[3]
    fault = verify_chain(entries, head)
    assert fault is not None
    assert fault.position == (3 if tamper == "cut" else 1)


def reverse(entry, later=(), done=(), **more):
    named = {"operator": "mary", "reason": "oops", **more}
    return plan_reversal(entry, later=later, reversed_ids=done, now=START, previous_hash="", **named)


def test_an_assignment_is_reversed_once():
    entry = plan(what(loose(50, 10)), {"ALPHA": 50})
    assert reverse(entry).assignment_id == entry.assignment_id
    with pytest.raises(AssignmentRefused, match="already"):
        reverse(entry, done=[entry.assignment_id])
    with pytest.raises(AssignmentRefused, match="reason"):
        reverse(entry, reason="")


def test_what_a_later_entry_moved_on_is_reversed_last_in_first_out():
    record = loose(50, 10)
    first = plan(what(record), {"ALPHA": 50})
    moved = msgspec.structs.replace(record, strategy="ALPHA")
    second = plan_moves([moved], "BETA", ask({}), now=START, previous_hash=first.entry_hash)
    with pytest.raises(AssignmentRefused, match="reverse it first"):
        reverse(first, later=[second])
    assert reverse(first, later=[second], done=[second.assignment_id])


@pytest.mark.parametrize(
    ("records", "to", "text"),
    [
        ([], "ALPHA", "no execution"),
        ([loose(5)], " ", "name the strategy"),
        ([execution(5)], "ALPHA", "already"),
        ([loose(5), loose(5, instrument=MSFT)], "ALPHA", "one account and instrument"),
        ([loose(5, source="assignment")], "ALPHA", "only active"),
        ([loose(5, state="busted")], "ALPHA", "only active"),
    ],
)
def test_moves_that_make_no_sense_are_refused(records, to, text):
    with pytest.raises(AssignmentRefused, match=text):
        plan_moves(records, to, ask({}), now=START, previous_hash="")


def test_the_legs_of_a_cause_are_booked_as_proposed():
    proposed = [AssignmentLeg(strategy="ALPHA", quantity=D(2), price=D(0))]
    entry = plan_legs(CALL, DU, proposed, ask({}), now=START, previous_hash="", price_source="option_expiry")
    assert legs(entry) == [("ALPHA", 2, 0)]
    with pytest.raises(AssignmentRefused, match="nothing to book"):
        plan_legs(CALL, DU, [], ask({}), now=START, previous_hash="")


def test_half_a_character_in_a_reason_is_sealed_as_the_journal_will_hold_it():
    made = AssignmentReversed(
        received_at=START, reversal_id="R", assignment_id="A", operator="me", reason="half \ud83d"
    )
    sealed = seal(made, "")
    assert writable([sealed]) == [sealed]
    assert sealed.reason != made.reason
    assert verify_chain([sealed]) is None
