"""Notebooks of the project run from the first cell to the last, without a word."""

import re

import nbformat
import pytest
from nbclient import NotebookClient


@pytest.fixture(params=["quickstart"])
def notebook(request, project_root):
    path = project_root / "analyses" / "notebooks" / f"{request.param}.ipynb"
    return nbformat.read(path, as_version=4)


def cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_a_notebook_is_kept_without_outputs(notebook):
    nbformat.validate(notebook)
    assert all(not cell.outputs for cell in cells(notebook))
    assert all(cell.execution_count is None for cell in cells(notebook))


@pytest.mark.long
def test_a_notebook_runs_and_writes_nothing_beside_itself(
    notebook, tmp_path, monkeypatch
):
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # of the tests; a notebook shows what it draws
    monkeypatch.delenv("MPLBACKEND", raising=False)
    about = {"resources": {"metadata": {"path": here}}}
    # that of pytest ends what hangs: how long a cell takes is up to the machine
    about |= {"timeout": None, "startup_timeout": 600}
    NotebookClient(notebook, kernel_name="python3", **about).execute()
    assert list(here.iterdir()) == []
    assert list(temporary.glob("*/cohort/cohort.yml"))
    outputs = [output for cell in cells(notebook) for output in cell.outputs]
    # a result and a figure are data; of streams there is progress, and no warning
    said = [o.text for o in outputs if o.output_type == "stream"]
    lines = "".join(said).splitlines()
    progress = re.compile(r"[A-Z][\w ,]+: \d+ of \d+, .+ left")
    assert [line for line in lines if not progress.fullmatch(line)] == []
    assert any(line.startswith("Extracting features: ") for line in lines)
    shown = [o.data for o in outputs if o.output_type != "stream"]
    assert sum("image/png" in data for data in shown) == 2
    assert sum("text/html" in data for data in shown) >= 12
