"""Arguments of ``Settings``: what is no value of a setting is refused by its name, and never taken for something else."""

from pathlib import Path

import pytest

from engine.errors import SettingsError
from engine.settings import Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ib_host", 5),
        ("ib_host", None),
        ("arctic_uri", Path("books")),
        ("data_dir", None),
        ("data_dir", "a\0b"),
        ("base_currency", 5),
        ("base_currency", "ÄÖÜ"),
        ("events_url", ["nats://localhost:4222"]),
        ("strategies", ["ALPHA", "BETA"]),
        ("ib_accounts", ["DU1234567"]),
        ("ib_timezone", 5),
        ("flex_token", 12345678),
        ("demo", "false"),
        ("named_only", "yes"),
        ("named_only", None),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_name(name, value):
    with pytest.raises(SettingsError, match=f"FILLBOOK_{name.upper()}=.* is refused: allowed is ") as caught:
        Settings(**{name: value})
    assert "12345678" not in str(caught.value), "a secret"


def test_a_strategy_that_is_named_twice_is_refused_for_one_of_its_rules_would_be_lost():
    with pytest.raises(SettingsError, match="each name once"):
        Settings(strategies="ALPHA=a-*,BETA,ALPHA=x-*")


def test_a_folder_may_be_a_path(tmp_path):
    assert Settings(data_dir=tmp_path) == Settings(data_dir=str(tmp_path))
