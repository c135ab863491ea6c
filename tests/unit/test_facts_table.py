"""The table of facts is whole, and names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.facts_table import TABLE

TESTS = Path(__file__).resolve().parents[1]
INCIDENTS = [f"R{number}" for number in range(1, 52)]
FACTS = [f"F{number}" for number in range(1, 151)] + ["F65a", "F79a", "F79b", "F79c"]


def names(file: Path) -> set[str]:
    """Every test function of a file, those of classes included."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


def test_every_incident_and_every_fact_is_in_the_table_and_nothing_else():
    assert sorted(TABLE) == sorted([*INCIDENTS, *FACTS])


def test_every_number_has_a_test_or_a_reason_why_none_can_reach_it():
    assert [number for number, row in TABLE.items() if not row.tests and len(row.note) < 40] == []
    assert sum(not row.tests for row in TABLE.values()) <= 3, "a reason in place of a test is the exception"


def test_every_test_that_the_table_names_exists():
    known: dict[str, set[str]] = {}
    lost = []
    for number, row in TABLE.items():
        for place in row.tests:
            file, _, test = place.partition("::")
            if file not in known:
                known[file] = names(TESTS / file) if (TESTS / file).is_file() else set()
            if test not in known[file]:
                lost.append(f"{number}: {place}")
    assert lost == []


@pytest.mark.parametrize("file", sorted(TESTS.rglob("test_*.py")), ids=lambda file: str(file.relative_to(TESTS)))
def test_every_number_in_the_name_of_a_test_is_one_of_the_table(file):
    cited = {
        (number[0].upper() + number[1:])
        for test in names(file)
        for number in re.findall(r"(?<=_)([rf]\d{1,3}[abc]?)(?=_|$)", test)
    }
    assert sorted(cited - TABLE.keys()) == []
