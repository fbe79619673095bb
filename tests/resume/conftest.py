"""One base model and one uninterrupted run, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relift.grading import SCORERS
from tests.resume.harness import config_of, contents, lay_inputs, run_here


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    exact = SCORERS["exact"]
    yield lay_inputs(tmp_path_factory.mktemp("inputs"))  # puts a grader of its own in the table
    SCORERS["exact"] = exact


@pytest.fixture(scope="module")
def reference(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Contents of the run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    run_here(config_of(inputs), folder)
    return contents(folder)
