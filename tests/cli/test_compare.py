"""relift compare, from folders to what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analysis.evaluated import PROTOCOL, write_evaluation
from tests.cli.command import assert_refused, relift


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("evaluated")
    base = write_evaluation(folder / "base", {"aime24": ["ccww", "wwww", "cwww"], "amc": ["cw", "ww"]})
    return base, write_evaluation(folder / "trained", {"aime24": ["cccc", "ccww", "cccw"], "amc": ["cw", "cc"]})


def test_the_first_run_is_the_baseline(runs: tuple[Path, Path]) -> None:
    ended = relift("compare", *runs)
    lines = ended.out.splitlines()
    # .5, .5, .5 better in aime24; 0, 1 in amc
    assert ended.status == 0 and ended.err == "" and lines[0] == "trained - base"
    assert lines[3].split()[:6] == ["aime24", "3", "4", "75.0", "25.0", "+50.0"]
    assert lines[4].split()[:6] == ["amc", "2", "2", "75.0", "25.0", "+50.0"]


def test_three_runs_are_one_family(runs: tuple[Path, Path]) -> None:
    values = json.loads(relift("compare", *runs, runs[0], "--json").out)
    assert values["holm_family"] == 4 and [one["a"] for one in values["comparisons"]][0] == "trained"


def test_latex_and_markdown(runs: tuple[Path, Path]) -> None:
    assert r"\begin{tabular}" in relift("compare", *runs, "--latex").out
    assert relift("compare", *runs, "--markdown").out.startswith("### trained - base")
    assert_refused(relift("compare", *runs, "--latex", "--markdown"), "--markdown", "--latex", "choose one")


def test_refusals(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert_refused(relift("compare", runs[0], tmp_path / "nowhere"), "nowhere", "not a run folder")
    assert_refused(relift("compare", f"{runs[0]}@5", runs[1]), "no benchmark at step 5")
    other = write_evaluation(tmp_path / "other", {"aime24": ["cw", "cw", "cw"]}, protocol={**PROTOCOL, "system": "x"})
    assert_refused(relift("compare", runs[0], other), "system is None there, 'x' here", "--force")
    forced = relift("compare", runs[0], other, "--force")
    assert forced.status == 0 and "NOTE: NOT the same protocol" in forced.out
