import pytest

from engine.core.ids import leg_exec_id, split_exec_id, venue_sequence


@pytest.mark.parametrize(
    ("exec_id", "root", "revision"),
    [
        ("0000e0d5.67fe667b.01.01", "0000e0d5.67fe667b.01", 1),
        ("0000e0d5.67fe667b.01.02", "0000e0d5.67fe667b.01", 2),
        ("0000e0d5.67fe667b.01.01.03", "0000e0d5.67fe667b.01.01", 3),
        ("FXSMLCUS.6389b516.01.01", "FXSMLCUS.6389b516.01", 1),
        ("noDots", "noDots", 0),
        ("tail.x1", "tail.x1", 0),
        (".01", ".01", 0),
        ("a.", "a.", 0),
        ("a.٠١", "a.٠١", 0),
    ],
)
def test_only_what_follows_the_last_dot_is_a_revision(exec_id, root, revision):
    """F13, F14, F15: four groups, five groups, foreign servers, and ids that are none of IB's."""
    assert split_exec_id(exec_id) == (root, revision)


def test_a_number_of_more_than_nine_digits_is_no_revision_f14():
    assert split_exec_id("venue.999999999") == ("venue", 999_999_999)
    assert split_exec_id("venue.20260302143000") == ("venue.20260302143000", 0)


def test_the_venues_sequence_orders_only_ids_of_ibs_form():
    assert venue_sequence("0000e0d5.67fe667b.01") == 0x67FE667B
    assert venue_sequence("0000e0d5.67fe667b.01.01") == 0x67FE667B
    assert venue_sequence("FXSMLCUS.6389b516.01") == 0
    assert venue_sequence("anything") == 0


def test_legs_of_one_assignment_never_share_a_root_or_a_place():
    ids = [leg_exec_id("A1", number, strategy) for number, strategy in enumerate(["01", "02", "01", "x.y", "01"])]
    roots = {split_exec_id(exec_id)[0] for exec_id in ids}
    assert len(roots) == len(ids)
    assert {split_exec_id(exec_id)[1] for exec_id in ids} == {0}
    assert [venue_sequence(split_exec_id(exec_id)[0]) for exec_id in ids] == [0, 1, 2, 3, 4]
