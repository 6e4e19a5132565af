"""Notebooks run as they are, and what is stored of them is what a reader should see."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PRIVATE = re.compile(r"/(home|root|tmp|work|Users|private|var)/|\\Users\\|[A-Za-z]+@[A-Za-z]+")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def test_there_are_notebooks():
    assert "first-steps" in [path.stem for path in NOTEBOOKS]


@every_notebook
def test_a_notebook_was_run_from_top_to_bottom_without_errors(path):
    notebook = read(path)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert {output.output_type for output in outputs(notebook)} <= {"execute_result", "display_data", "stream"}
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))


@every_notebook
def test_a_notebook_tells_nothing_of_the_machine_that_it_was_run_on(path):
    texts = [
        {kind: text for kind, text in output.get("data", {"text": output.get("text")}).items() if kind != "image/png"}
        for output in outputs(read(path))
    ]
    assert not PRIVATE.search(json.dumps(texts))


@pytest.mark.slow
@every_notebook
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    if "ANALOGDP_DATA" in path.read_text() and "ANALOGDP_DATA" not in os.environ:
        pytest.skip("ANALOGDP_DATA names no folder with the files that this notebook learns from")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = read(path)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert outputs(notebook)
