"""One tiny base model with its data, its configuration, and a finished run, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from relift.grading import SCORERS
from tests.cli.command import relift, write_config
from tests.resume.harness import HashGrader, config_of, lay_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, train.jsonl, probe.jsonl and config.toml."""
    exact = SCORERS["exact"]
    folder = lay_inputs(tmp_path_factory.mktemp("inputs"))
    SCORERS["exact"] = exact  # the harness puts its own grader there; here every command is told which
    write_config(folder / "config.toml", config_of(folder))
    return folder


@pytest.fixture(scope="session")
def config(inputs: Path) -> Path:
    return inputs / "config.toml"


@pytest.fixture(scope="session")
def finished(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody interrupted. Tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert relift("train", config, "--out", folder, "--quiet", grader=HashGrader).status == 0
    return folder
