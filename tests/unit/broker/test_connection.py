"""The link's state, the pauses between attempts, and IB's reset windows."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engine.broker.connection import Backoff, in_reset_window
from engine.broker.link_state import LinkKeeper
from engine.settings import Settings

NEW_YORK = ZoneInfo("America/New_York")


class Clock:
    def __init__(self):
        self.time = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)

    def now(self):
        return self.time

    def monotonic(self):
        return 0.0


@dataclass
class Progress:
    synchronised: bool = False
    synchronised_at: datetime | None = None
    problem: str = ""
    stale: str = ""


@pytest.fixture
def link():
    states, facts, clock = [], [], Clock()
    keeper = LinkKeeper(Settings(ib_host="h"), clock, states.append, facts.extend)
    keeper.clock, keeper.states, keeper.facts = clock, states, facts
    return keeper


def seen(link):
    return [(fact.state, fact.code) for fact in link.facts]


def synced(link):
    return Progress(synchronised=True, synchronised_at=link.clock.now())


def test_a_connection_counts_only_when_executions_were_replayed_f129(link):
    link.opened(1, ("DU1",), (), 176, "")
    link.judge(Progress(), "")
    assert (link.state.state, link.state.epoch, link.state.accounts) == ("degraded", 1, ("DU1",))
    link.judge(synced(link), "")
    assert (link.state.state, link.state.reason) == ("connected", "")
    assert link.state.last_sync == link.clock.now()
    assert seen(link) == [("connected", 0)]


@pytest.mark.parametrize(("lost", "back"), [(1100, 1101), (1100, 1102), (2110, 2104), (1100, 2106)])
def test_a_link_that_is_down_degrades_until_it_is_back_and_everything_was_asked_again_f129_r1(link, lost, back):
    link.opened(1, ("DU1",), (), 176, "")
    link.judge(synced(link), "")
    assert link.noticed(lost) is False
    link.judge(synced(link), "")
    assert link.state.state == "degraded"
    assert link.down is True
    assert link.noticed(back) is True
    link.judge(Progress(), "")
    assert link.state.state == "degraded"
    link.judge(synced(link), "")
    assert link.state.state == "connected"
    assert seen(link) == [("connected", 0), ("degraded", lost), ("restored", 0)]


def test_farm_notices_while_the_link_is_well_mean_nothing(link):
    link.opened(1, ("DU1",), (), 176, "")
    assert [link.noticed(code) for code in (2104, 2106, 2158, 2103)] == [False] * 4


def test_silence_is_a_state_of_its_own_r24(link):
    link.opened(1, ("DU1",), (), 176, "")
    link.judge(Progress(synchronised=True, stale="nothing heard for 60 s"), "")
    assert (link.state.state, link.state.reason) == ("stale", "nothing heard for 60 s")


def test_other_accounts_than_configured_are_never_available_f135(link):
    link.opened(1, ("U1",), (), 176, "this login manages U1, but DU1 is configured")
    link.judge(synced(link), "")
    assert link.state.state == "unavailable"
    assert "configured" in link.state.reason


def test_the_state_keeps_its_beginning_while_only_the_reason_changes(link):
    link.closed("refused", 1)
    began = link.clock.now()
    link.clock.time += timedelta(minutes=1)
    link.closed("refused again", 2)
    assert (link.state.since, link.state.reason, link.state.attempts) == (began, "refused again", 2)
    assert seen(link) == [("disconnected", 0)]


def test_a_listener_that_raises_harms_nobody():
    def raising(_):
        raise RuntimeError("listener")

    keeper = LinkKeeper(Settings(ib_host="h"), Clock(), raising, lambda _: None)
    keeper.closed("refused", 1)
    assert keeper.state.reason == "refused"


def test_whose_executions_are_seen_is_stated_f50():
    coverage = [
        LinkKeeper(Settings(ib_client_id=number), Clock(), lambda _: None, lambda _: None).state.coverage
        for number in (0, 40)
    ]
    assert coverage == ["all (client 0)", "own only"]


def test_pauses_grow_with_jitter_to_a_minute_and_start_again():
    backoff = Backoff(chance=random.Random(1))
    pauses = [backoff.next_s() for _ in range(40)]
    for number, pause in enumerate(pauses):
        longest = min(60.0, 2.0**number)
        assert longest / 2 <= pause <= longest
    assert len(set(pauses)) > 30
    backoff.reset()
    assert backoff.next_s() <= 1.0


@pytest.mark.parametrize(
    ("local", "inside"),
    [
        ((2024, 3, 4, 23, 44), False),  # Monday
        ((2024, 3, 4, 23, 45), True),
        ((2024, 3, 5, 0, 44), True),
        ((2024, 3, 5, 0, 45), False),
        ((2024, 3, 8, 22, 59), False),  # Friday
        ((2024, 3, 8, 23, 0), True),
        ((2024, 3, 9, 2, 59), True),  # Saturday morning
        ((2024, 3, 9, 3, 0), False),
        ((2024, 3, 9, 23, 50), True),  # Saturday night
        ((2024, 3, 6, 12, 0), False),
    ],
)
def test_resets_are_known_by_new_yorks_clock_f130(local, inside):
    moment = datetime(*local, tzinfo=NEW_YORK).astimezone(UTC)
    assert in_reset_window(moment, ("america",)) is inside


def test_europes_and_asias_windows_are_known_too_f130():
    zurich = datetime(2024, 3, 6, 6, 0, tzinfo=ZoneInfo("Europe/Zurich"))
    assert in_reset_window(zurich) is True
    hong_kong = datetime(2024, 3, 6, 20, 30, tzinfo=ZoneInfo("Asia/Hong_Kong"))
    assert in_reset_window(hong_kong) is False
    assert in_reset_window(hong_kong, ("asia",)) is True


def test_a_link_that_is_back_tells_how_long_nothing_was_heard_and_what_the_replay_covers_f24(link):
    link.opened(1, ("DU1",), (), 176, "")
    link.judge(synced(link), "")
    first = link.clock.now()
    assert [(f.heard_until, f.accounts) for f in link.facts] == [(None, ("DU1",))]
    link.closed("reset by peer", 0)
    assert link.facts[-1].heard_until == first
    link.clock.time += timedelta(days=3)
    link.closed("refused", 1)
    link.opened(2, ("DU1",), (), 176, "")
    link.judge(synced(link), "")
    told = link.facts[-1]
    assert (told.state, told.heard_until) == ("connected", first)
    assert told.replayed_from is not None
    assert timedelta(0) <= link.clock.now() - told.replayed_from < timedelta(days=1)
    assert told.replayed_from.astimezone(NEW_YORK).hour == 0
