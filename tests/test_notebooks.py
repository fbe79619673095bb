"""The notebooks of docs/: stored clean, and they run."""

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from relift import analysis
from tests.repository import ROOT
from tests.synthetic import write_run

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
FIGURES = {"what_changed": 5, "beyond_reach": 0}


def code_of(notebook: Any) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_uses_what_exists(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert not re.search(r'"/(home|tmp|root|work|Users)', path.read_text())
    tree = ast.parse(re.sub("^%.*$", "", code_of(notebook), flags=re.MULTILINE))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ra"
    }
    assert used and used <= set(analysis.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    sizes: dict[str, Any] = {"n_questions": 80, "n_steps": 12, "probe_every": 6}
    write_run(tmp_path / "base", n_questions=80, n_steps=0, learn=0.0, seed=1, name="base")
    write_run(tmp_path / "rl", **sizes, learn=0.4, seed=2)
    write_run(tmp_path / "sft", **sizes, learn=0.1, seed=3, name="sft", demos_per_step=16, lift_zero=0.3)
    write_run(tmp_path / "relift", **sizes, learn=0.3, seed=4, name="relift", demos_per_step=8, lift_zero=0.2)
    monkeypatch.setenv("RELIFT_RUNS", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()  # raises where a cell does
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == FIGURES[path.stem]
