"""A row is chosen on what the page shows, which may be older than what the server has put meanwhile."""

import pandas as pd
import pytest

from dashboard.grid import FILTER_PX, Column, Grid


def frame(*names):
    return pd.DataFrame({"order": list(names), "qty": [float(len(name)) for name in names], "key": list(names)})


@pytest.fixture
def shown():
    chosen = []
    grid = Grid(
        "Orders",
        {"order": Column("Order"), "qty": Column("Quantity", "qty")},
        selectable=1,
        key=("key",),
        on_select=lambda rows: chosen.append(rows["order"].tolist()),
    )
    model = grid.table.get_root()
    return grid, model, chosen


def click(grid, model, *places, number=None):
    """What a page sends: the places of rows, then among which rows that was, each as a message of its own."""
    number = model.source.data["put"][0] if number is None else number
    model.source.selected.indices = list(places)
    model.tags = [int(number), (model.tags or [0, 0])[1] + 1]


def test_a_choice_among_the_rows_on_the_page_is_those_rows(shown):
    grid, model, chosen = shown
    grid.offer(frame("a", "b", "c"))
    assert model.source.data["put"] == [grid.table.number] * 3
    click(grid, model, 1)
    assert grid.selected["order"].tolist() == ["b"]
    assert chosen == [["b"]]


def test_a_choice_among_older_rows_is_the_row_that_was_clicked(shown):
    grid, model, chosen = shown
    grid.offer(frame("a", "b", "c"))
    number = grid.table.number
    grid.offer(frame("new", "a", "b", "c"))
    grid.offer(frame("newer", "new", "a", "b", "c"))
    click(grid, model, 1, number=number)
    assert grid.selected["order"].tolist() == ["b"]
    assert model.source.selected.indices == [3]
    assert chosen == [["b"]]


def test_a_row_that_went_meanwhile_is_not_another_row(shown):
    grid, model, chosen = shown
    grid.offer(frame("a", "b", "c"))
    number = grid.table.number
    grid.offer(frame("c", "d"))
    click(grid, model, 1, number=number)
    assert grid.table.selection == []
    assert model.source.selected.indices == []
    assert chosen == []


def test_rows_of_long_ago_are_not_guessed(shown):
    grid, model, chosen = shown
    grid.offer(frame("a", "b", "c"))
    number = grid.table.number
    for step in range(40):
        grid.offer(frame(f"new {step}", "a", "b", "c"))
    click(grid, model, 1, number=number)
    assert grid.table.selection == []
    assert chosen == []
    assert "Choose again" in grid.note.object


def test_emptying_the_choice_needs_no_translation(shown):
    grid, model, chosen = shown
    grid.offer(frame("a", "b", "c"))
    click(grid, model, 1)
    click(grid, model, number=0)
    assert grid.table.selection == []
    assert chosen == [["b"], []]


def test_what_the_library_is_told_of_a_column_is_told_of_that_one_beside_checkboxes_too():
    grid = Grid(
        "Breaks",
        {"state": Column("State", filter=True), "quantity": Column("Quantity", "qty"), "note": Column("Note", "prose")},
        selectable="checkbox",
    )
    model = grid.table.get_root()
    told = {one["field"]: one for one in model.configuration["columns"] if one.get("field")}
    assert told["state"]["minWidth"] == FILTER_PX
    assert "minWidth" not in told["quantity"]
    assert told["note"]["cssClass"] == "prose"


@pytest.mark.parametrize(("kind", "layout"), [("text", "fit_data_stretch"), ("money", "fit_data_fill")])
def test_only_a_text_is_stretched_to_the_end_of_the_line(kind, layout):
    assert Grid("T", {"name": Column("Name"), "last": Column("Last", kind)}).table.layout == layout
