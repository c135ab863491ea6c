"""The tutorials run from a clean kernel, and are stored without output."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
CELL_MAY_TAKE_S = 240


def test_there_is_a_tutorial_for_each_of_the_four_tasks():
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_tutorial_holds_no_output_and_explains_itself(name):
    book = nbformat.read(FOLDER / name, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert book.cells[0].cell_type == "markdown"
    assert book.cells[0].source.startswith("# ")
    assert len(book.cells) - len(code) >= 4


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_runs_from_a_clean_kernel(name, tmp_path, monkeypatch):
    # A copy of the whole folder, so that nothing beside the notebooks is written to, and no setting of this machine counts.
    work = tmp_path / "notebooks"
    shutil.copytree(FOLDER, work, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for variable in [key for key in os.environ if key.startswith("FILLBOOK_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter-data"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    book = nbformat.read(work / name, as_version=4)
    client = NotebookClient(
        book,
        timeout=CELL_MAY_TAKE_S,
        startup_timeout=CELL_MAY_TAKE_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(work)}},
    )
    client.execute()
    assert [cell.source for cell in book.cells if cell.cell_type == "code" and cell.execution_count is None] == []
