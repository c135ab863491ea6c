from __future__ import annotations

import msgspec
from recon_parts import DU, D, Story, at

from engine.recon.breaks import BreakBook, lag_sums
from engine.recon.cause import Cause, Explanation, Proposal
from engine.recon.softlock import is_locked, lockouts


def test_a_new_difference_settles_first_and_is_no_break_yet():
    story = Story()
    assert story.see(0, 90, 100).state == "settling"
    assert story.opened == []
    assert story.changes == []


def test_a_difference_that_outlives_its_grace_is_confirmed_by_equal_runs():
    story = Story(confirm_runs=3)
    story.see(0, 90, 100)
    assert story.see(11, 90, 100).state == "suspected"
    assert story.see(12, 90, 100).state == "confirmed"
    assert story.opened == [-10]


def test_r14_a_difference_that_goes_away_within_its_grace_leaves_nothing_behind():
    story = Story()
    story.see(0, 90, 100)
    assert story.see(5, 100, 100) is None
    assert story.changes == []


def test_r27_f114_positions_that_lag_behind_a_fill_make_no_break():
    story = Story()
    story.active = 100
    story.see(101, 90, 100)
    story.see(105, 90, 100)
    assert story.opened == []
    assert story.see(109, 100, 100) is None


def test_f114_a_position_that_comes_before_its_fill_makes_no_break():
    story = Story()
    story.see(0, 110, 100)
    story.active = 4
    assert story.see(5, 110, 110) is None
    assert story.changes == []


def test_a_fill_between_question_and_answer_is_no_difference_yet():
    story = Story(settle_s=0)
    story.active = 10.1
    assert story.see(10, 90, 100).state == "settling"
    assert story.see(10.05, 90, 100).runs == 1


def test_equal_answers_older_than_the_latest_fill_do_not_count():
    story = Story(settle_s=0, confirm_runs=2)
    story.see(0, 90, 100)
    story.active = 5.1
    assert story.see(5, 90, 100).runs == 1
    assert story.see(6, 90, 100).state == "confirmed"


def test_r3_f126_unknown_answers_neither_open_nor_close_nor_count():
    story = Story()
    story.see(0, 90, 100)
    before = story.book
    for second in range(1, 1000):
        story.hear_nothing(second)
    assert story.book == before


def test_r15_an_unexplained_difference_is_one_break_with_one_id_and_a_growing_age():
    story = Story()
    ids, ages = set(), []
    for second in range(0, 600, 30):
        found = story.see(second, 90, 100)
        ids.add(found.break_id)
        ages.append(found.age_s(at(second + 1)))
    assert ids == {f"{DU}:1"}
    assert ages == sorted(ages)
    assert ages[-1] > 500
    assert len(story.book.breaks) == 1
    assert len([c for c in story.changes if c.found.state == "confirmed"]) == 1


def test_r13_a_late_fill_shrinks_its_break_by_itself():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 100, 40)
    story.active = 30
    found = story.see(31, 100, 70)
    assert (found.quantity, found.state) == (30, "confirmed")
    assert found.episode == 1


def test_a_break_that_grows_is_suspected_again_and_stays_visible():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 90, 100)
    assert story.see(33, 80, 100).state == "suspected"
    assert story.opened == [-20]
    assert story.see(44, 80, 100).state == "confirmed"


def test_a_break_closes_on_a_good_answer_and_reopens_under_its_name():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 90, 100)
    assert story.see(33, 100, 100).state == "closed"
    assert story.opened == []
    for second in (44, 55, 66):
        found = story.see(second, 95, 100)
    assert (found.break_id, found.episode, found.state) == (f"{DU}:1", 2, "confirmed")
    assert found.born_at < found.first_seen


def test_a_square_answer_amid_activity_does_not_close_yet():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 90, 100)
    story.active = 32
    assert story.see(33, 100, 100).state == "settling"
    assert story.opened == []
    assert story.see(43, 100, 100).state == "closed"


def test_a_flicker_of_a_closed_break_does_not_begin_a_new_episode():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 90, 100)
    story.see(33, 100, 100)
    story.see(34, 99, 100)
    found = story.see(36, 100, 100)
    assert (found.state, found.episode) == ("closed", 1)


def test_r16_a_break_survives_a_restart_with_its_age_and_note():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 90, 100)
    story.book = story.book.note(f"{DU}:1", "mary", "asked IB")
    before = story.found
    story.reopen_from_disk()
    assert story.found == before
    found = story.see(33, 90, 100)
    assert (found.first_seen, found.owner, found.note, found.runs) == (before.first_seen, "mary", "asked IB", 4)


def test_the_book_can_be_rebuilt_from_its_stored_changes():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 90, 100)
    texts = [msgspec.json.encode(c.found).decode() for c in story.changes]
    assert BreakBook.from_rows(texts).breaks[f"{DU}:1"].state == "confirmed"


def test_f130_inside_a_reset_window_a_difference_is_seen_but_not_confirmed():
    story = Story()
    for second in (0, 11, 22, 33):
        found = story.see(second, 90, 100, deferred="IB resets its servers")
    assert found.state == "suspected"
    assert found.deferred
    assert lockouts(story.book.breaks.values()) == []
    assert story.see(44, 90, 100).state == "confirmed"


def test_f130_nothing_closes_inside_a_reset_window():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 90, 100)
    assert story.see(33, 100, 100, deferred="IB resets its servers").state != "closed"
    assert story.see(44, 100, 100).state == "closed"


def test_executions_in_unassigned_need_no_second_witness_once_settled():
    story = Story()
    story.active = 0
    assert story.see(1, 50, 50, unassigned=50).state == "settling"
    found = story.see(11, 50, 50, unassigned=50)
    assert (found.state, found.kind, found.quantity, found.difference) == ("confirmed", "unassigned", 50, 0)


def test_r20_a_liquidation_is_confirmed_at_once_and_listed_first():
    story = Story()
    story.active = 0
    story.urgent = frozenset({(DU, 1)})
    found = story.see(1, 83, 83, unassigned=-231)
    assert found.state == "confirmed"
    assert found.urgent


def test_r18_a_strategys_reducing_fill_leaves_the_unassigned_residual_alone():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 150, 150, unassigned=50)
    story.active = 30
    assert story.see(31, 120, 120, unassigned=50).quantity == 50


def test_an_assignment_turns_the_break_into_assigned_and_then_closes_it():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 100, 50)
    story.assigned = {(DU, 1): ("A-1", at(25))}
    story.active = 25
    assert story.see(26, 100, 100).state == "assigned"
    assert story.opened == []
    found = story.see(40, 100, 100)
    assert (found.state, found.closed_by) == ("closed", "assignment A-1")


def test_a_reversed_assignment_brings_the_confirmed_break_back_at_once():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 100, 50)
    story.assigned = {(DU, 1): ("A-1", at(25))}
    story.see(26, 100, 100)
    story.see(40, 100, 100)
    story.assigned = {}
    story.active = 50
    story.restored = frozenset({(DU, 1)})
    found = story.see(51, 100, 50)
    assert (found.state, found.quantity) == ("confirmed", 50)


def test_a_busy_instrument_cannot_hide_a_break_for_ever():
    story = Story()
    for second in range(0, 100, 5):
        story.active = second - 1
        found = story.see(second, 90, 100)
    assert found.state == "confirmed"


def test_a_steady_lag_in_a_busy_instrument_stays_settling():
    story = Story()
    story.in_flight = lag_sums([D(10)])
    for second in range(0, 300, 5):
        story.active = second - 1
        found = story.see(second, 90, 100)
    assert found.state == "settling"


def test_lag_sums_are_what_a_late_answer_may_lack():
    assert lag_sums([D(1), D(2), D(-5)]) == {D(5), D(3), D(2)}


def test_a_confirmed_break_advises_not_to_trade_until_it_is_gone():
    story = Story()
    story.see(0, 90, 100)
    assert not is_locked(story.book.breaks.values(), DU, 1)
    story.see(11, 90, 100)
    story.see(22, 90, 100)
    assert is_locked(story.book.breaks.values(), DU, 1)
    assert not is_locked(story.book.breaks.values(), "DU2", 1)
    story.see(33, 100, 100)
    assert not is_locked(story.book.breaks.values(), DU, 1)


def cause(quantity, *, provisional=False, score=95):
    return Cause(
        kind="external_trade",
        title="t",
        quantity=D(quantity),
        arithmetic="a",
        evidence=("e",),
        score=score,
        provisional=provisional,
        proposal=Proposal(act="none", text=""),
    )


def test_a_confirmed_break_whose_causes_are_sure_is_explained():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 90, 100)
    sure = Explanation(causes=(cause(-10),), accepted=(cause(-10),), explained=D(-10), residual=D(0))
    story.book, changes = story.book.explain(at(23), {f"{DU}:1": sure})
    assert [c.found.state for c in changes] == ["explained"]
    assert story.see(33, 90, 100).state == "explained"


def test_a_provisional_cause_does_not_explain():
    story = Story()
    for second in (0, 11, 22):
        story.see(second, 90, 100)
    guess = cause(-10, provisional=True, score=60)
    told = Explanation(causes=(guess,), accepted=(guess,), explained=D(-10), residual=D(0))
    story.book, _ = story.book.explain(at(23), {f"{DU}:1": told})
    assert story.found.state == "confirmed"
    assert story.found.residual == 0


def test_an_explanation_of_an_unknown_break_changes_nothing():
    story = Story()
    book, changes = story.book.explain(at(0), {"DU9:9": Explanation()})
    assert book.breaks == {}
    assert changes == []
