"""Who may act: the engine's own rule, and that it is asked and audited by every act there is."""

import inspect
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import NotPermitted, SettingsError
from engine.office.access import Access
from engine.portfolio_manager import PortfolioManager
from engine.settings import Settings

NOW = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)


@pytest.fixture
def desk():
    """An access desk for given settings, and the audit that it writes."""

    def made(**settings):
        audit = []
        clock = SimpleNamespace(now=lambda: NOW)
        return Access(Settings(**settings), clock, audit.extend), audit

    return made


@pytest.mark.parametrize(
    ("operators", "viewers", "named_only", "user", "may"),
    [
        ("", "", False, "local operator", True),
        ("", "bob", False, "bob", False),
        ("", "bob", False, "ann", True),
        ("ann", "", False, "ann", True),
        ("ann", "", False, "bob", False),
        ("ann", "", False, "local operator", False),
        ("ann", "ann", False, "ann", False),
        ("", "", True, "ann", False),
        ("", "", True, "local operator", False),
        ("", "bob", True, "ann", False),
        ("ann", "bob", True, "ann", True),
        ("ann", "bob", True, "Ann", False),
        ("ann, cy", "", True, "cy", True),
        ("ann", "", True, "ann, cy", False),
        ("", "", False, "", False),
        ("", "", False, "  ", False),
    ],
)
def test_only_who_is_meant_to_may_act(operators, viewers, named_only, user, may):
    assert Settings(operators=operators, viewers=viewers, named_only=named_only).may_act(user) is may


def test_a_viewer_is_refused_and_the_attempt_is_in_the_audit_under_their_name(desk):
    access, audit = desk(viewers="bob")
    with pytest.raises(NotPermitted, match="bob may look, not act: assign was not done"):
        access.check("assign", "bob", "DU1 AAPL")
    assert [(a.user, a.act, a.detail, a.allowed, a.received_at) for a in audit] == [
        ("bob", "assign", "DU1 AAPL", False, NOW)
    ]


def test_an_operator_is_let_through_and_audited(desk):
    access, audit = desk(operators="ann", viewers="bob")
    access.check("assign", "ann")
    assert [(a.user, a.allowed) for a in audit] == [("ann", True)]


def test_the_engine_itself_acts_under_its_own_name(desk):
    access, audit = desk(operators="ann", named_only=True)
    access.check("reconcile", None)
    assert [(a.user, a.allowed) for a in audit] == [("engine", True)]


def test_an_act_without_a_name_is_refused_as_nobodys(desk):
    access, audit = desk()
    with pytest.raises(NotPermitted, match="nobody may look"):
        access.check("assign", " ")
    assert [(a.user, a.allowed) for a in audit] == [("nobody", False)]


def test_a_detail_of_any_length_is_audited_bounded(desk):
    access, audit = desk()
    access.check("assign", "ann", "x" * 100_000)
    assert len(audit[0].detail) == 500


def refuse(act, operator, detail=""):
    raise NotPermitted(f"{act} {operator}")


ACTS = {
    "reconcile_positions": {"operator": "bob"},
    "assign_residual": {"account": "DU1", "con_id": 1, "split": {"A": 1}, "operator": "bob", "reason": "r"},
    "close_expired": {"account": "DU1", "con_id": 1, "operator": "bob", "reason": "r"},
    "reverse_assignment": {"assignment_id": "a", "operator": "bob", "reason": "r"},
    "note_break": {"break_id": "b", "owner": "o", "note": "n", "operator": "bob"},
    "set_rule": {"operator": "bob", "pattern": "*"},
    "replay_quarantine": {"quarantine_id": "q", "operator": "bob"},
    "dismiss_quarantine": {"quarantine_id": "q", "operator": "bob"},
    "close_day": {"date": "2026-03-04", "account": "DU1", "operator": "bob"},
    "import_flex": {"source": b"<xml/>", "operator": "bob"},
}


@pytest.mark.parametrize("act", ACTS)
async def test_every_act_asks_before_it_touches_anything(act):
    # Nothing but the access desk is there: a command that did anything before asking would fail for want of it.
    books = object.__new__(PortfolioManager)
    books.access = SimpleNamespace(check=refuse)
    with pytest.raises(NotPermitted, match="bob"):
        await getattr(books, act)(**ACTS[act])


def test_no_command_that_takes_an_operator_is_missing_above():
    commands = {
        name
        for name, member in inspect.getmembers(PortfolioManager, inspect.iscoroutinefunction)
        if "operator" in inspect.signature(member).parameters and not name.startswith("_")
    }
    assert commands == set(ACTS)


# ---------------------------------------------------------------------------------------------- secrets in settings

MARK = "S3CR3T"
URLS = [
    "nats://ann:{}@host:4222",
    "nats://{}@host:4222",
    "tls://ann:{}@host",
    "nats://a:x@one:4222,nats://b:{}@two:4222",
    "nats://ann:{}@host:not-a-port",
    "s3://host:bucket?access={}&secret=b",
    "s3://host:bucket?region=eu&access=a&secret={}",
    "s3s://host:bucket?path_prefix=x&secret={}&port=9000",
    "S3://host:bucket?ACCESS={}&SECRET={}",
    "s3://host:bucket?access=a&token={}",
    "s3://host:bucket?{}",
    "s3://host:bucket&access=a&secret={}",
    "s3:/host:bucket?secret={}",
    "s3://key:{}@host:bucket",
    "lmdb:///books?secret={}",
    "{}",
    "ann:{}@host",
]


def said_of(url):
    """Everything that settings with this URL say of it: the refusal, or the rows of the screen and the repr."""
    said = ""
    for name in ("arctic_uri", "events_url"):
        try:
            settings = Settings(**{name: url})
        except SettingsError as error:
            said += str(error)
        else:
            said += repr(settings) + repr(settings.in_force())
    return said


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    "secret", [MARK, f"p/{MARK}", f"p@{MARK}", f"{MARK}@x", f"a:{MARK}/+=", f"a?{MARK}", f"#{MARK}"]
)
def test_no_shape_of_a_url_shows_its_secret(url, secret):
    text = url.replace("{}", secret)
    assert MARK not in said_of(text)


@given(
    url=st.sampled_from(URLS),
    before=st.text(st.characters(codec="utf-8"), max_size=8),
    after=st.text(st.characters(codec="utf-8"), max_size=8),
)
def test_no_secret_of_any_characters_is_shown(url, before, after):
    # With "&" and another "=" in it a key is, to ArcticDB too, no longer one: then parameters are told by their names.
    text = url.replace("{}", before.replace("&", "") + MARK + after.replace("&", ""))
    assert MARK not in said_of(text)


def test_what_is_no_secret_stays_readable():
    shown = {row[0]: row[1] for row in Settings(arctic_uri="s3://h:b?access=a&secret=c&port=1").in_force()}
    assert shown["FILLBOOK_ARCTIC_URI"] == "s3://h:b?access=***&secret=***&port=1"
    shown = {row[0]: row[1] for row in Settings(events_url="nats://ann:pw@h:4222").in_force()}
    assert shown["FILLBOOK_EVENTS_URL"] == "nats://***@h:4222"
    shown = {row[0]: row[1] for row in Settings(arctic_uri="lmdb:///var/lib/a b@c").in_force()}
    assert shown["FILLBOOK_ARCTIC_URI"] == "lmdb:///var/lib/a b@c"


def test_tokens_and_alert_addresses_are_shown_as_set_only():
    settings = Settings(flex_token=MARK, alert_urls=f"json://ann:{MARK}@h tgram://{MARK}0123/chat")
    assert MARK not in repr(settings)
    shown = {row[0]: row[1] for row in settings.in_force()}
    assert (shown["FILLBOOK_FLEX_TOKEN"], shown["FILLBOOK_ALERT_URLS"]) == ("set", "set")


def test_the_alerts_know_what_they_must_not_say():
    settings = Settings(
        flex_token="token-of-flex",
        alert_urls="json://ann:p%40ss@h tgram://bot0123456789/chat",
        arctic_uri="s3://h:b?access=key-id&secret=key-itself&port=1",
        events_url="nats://ann:nats-word@h",
    )
    expected = {"token-of-flex", "p@ss", "bot0123456789", "key-id", "key-itself", "nats-word"}
    assert expected <= set(settings.secrets)
