"""What the README says is so: its settings, its pictures and links, its commands."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from engine.__main__ import _parser
from engine.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->"


def settings_table() -> str:
    """The README's table of settings, from the settings; run as a program, this file writes it anew."""
    rows = ["", "| variable | default | meaning |", "| --- | --- | --- |"]
    defaults = {"FILLBOOK_" + field.name.upper(): field.default for field in fields(Settings)}
    for variable, _value, meaning, _changed in Settings().in_force():
        default = defaults[variable]
        shown = f"`{default}`" if default != "" else "empty"
        rows.append(f"| `{variable}` | {shown} | {meaning} |")
    return "\n".join([*rows, "", ""])


def test_the_table_of_settings_is_the_one_in_force():
    assert TEXT.partition(BEGIN)[2].partition(END)[0] == settings_table(), (
        "the README's table of settings is old: python tests/unit/test_readme.py writes it anew"
    )


def test_every_picture_and_every_link_within_the_project_leads_somewhere():
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in target]
    assert len(targets) >= 6
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_command_of_the_command_line_is_described_and_no_other():
    described = set(re.findall(r"`python -m engine ([a-z-]+)", TEXT))
    known = set(next(a.choices for a in _parser()._actions if a.choices))
    assert described == known


def test_every_target_that_the_readme_names_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)", TEXT)) - {"sure"}
    assert {"serve", "test"} <= named
    assert sorted(name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)) == []


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"FILLBOOK_[A-Z_]*[A-Z]", TEXT))))
def test_every_variable_that_the_readme_names_is_a_setting(variable):
    assert variable in {name for name, *_ in Settings().in_force()}


def main() -> None:
    head, _, rest = TEXT.partition(BEGIN)
    tail = rest.partition(END)[2]
    (ROOT / "README.md").write_text(head + BEGIN + settings_table() + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
