"""relift compare, from folders to what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analysis.evaluated import PROTOCOL, write_evaluation
from tests.cli.command import assert_refused, relift
from tests.synthetic import write_run


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


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    root = tmp_path_factory.mktemp("seeds")
    for name, learn in (("rl", 0.2), ("relift", 0.6)):
        for seed in (1, 2):
            folder = root / f"seed-{seed}" / name
            write_run(folder, n_questions=12, n_steps=2, probe_every=2, learn=learn, seed=seed, name=name)
    return {name: [root / f"seed-{seed}" / name for seed in (1, 2)] for name in ("rl", "relift")}


def test_two_training_runs_are_two_checkpoints_without_a_p_value(seeds: dict[str, list[Path]]) -> None:
    ended = relift("compare", seeds["rl"][0], seeds["relift"][0])
    header, said = ended.out.splitlines()[1].split(), ended.out
    assert "p" not in header and "Holm" not in header and "McNemar" not in header
    assert "These two checkpoints are compared, one training run each (seeds 1 and 1)" in said
    assert "Over training seeds" not in said
    values = json.loads(relift("compare", seeds["rl"][0], seeds["relift"][0], "--json").out)
    assert values["over_seeds"] == []


def test_seeds_of_both_methods_are_compared_as_methods(seeds: dict[str, list[Path]]) -> None:
    every = (*seeds["rl"], *seeds["relift"])
    lines = relift("compare", *every).out.splitlines()
    assert lines[0] == "Over training seeds"
    assert lines[3].split()[:7] == ["relift", "-", "rl", "probe", "12", "1,", "2"]
    values = json.loads(relift("compare", *every, "--json").out)
    (row,) = values["over_seeds"]
    pairs = {}
    for seed in (0, 1):
        alone = json.loads(relift("compare", seeds["rl"][seed], seeds["relift"][seed], "--json").out)
        pairs[seed] = alone["comparisons"][0]["benchmarks"][0]["difference"]
    assert row["difference"] == pytest.approx((pairs[0] + pairs[1]) / 2) and row["n_seeds"] == 2
