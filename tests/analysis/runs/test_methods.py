"""Runs group into methods by what they did, not by seed, probes or length."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relift.analysis import read_methods
from relift.analysis.report.catalogue import difference_of
from relift.analysis.report.loaded import load
from relift.run_record import RunRecord
from relift.schema import RunKind
from tests.synthetic import write_run


def record(*, tunable: dict[str, Any] | None = None, **config: Any) -> RunRecord:
    return RunRecord(
        run_id="a-1", kind=RunKind.train, recipe="grpo", seed=1,
        identity={"config": {"seed": 1, "rl.loss": "x", **config}}, tunable=tunable or {},
    )  # fmt: skip


def test_probes_and_length_are_no_part_of_a_method_and_a_learning_rate_is() -> None:
    plain = record()
    assert record(**{"probe.every": 12, "probe.attempts": 64}).method == plain.method
    assert record(tunable={"steps": 500}).method == plain.method == replace(plain, seed=7).method
    assert record(**{"rl.loss": "y"}).method != plain.method
    assert record(tunable={"rl.optimizer.lr": 0.1}).method != record(tunable={"rl.optimizer.lr": 0.2}).method


SMALL = {"n_questions": 8, "n_steps": 2, "probe_every": 2, "learn": 0.3}


def write(folder: Path, *, seed: int, name: str, model: str = "m", lr: float = 0.1) -> Path:
    more = {
        "run_id": folder.name,
        "identity": {"config": {"rl.loss": "x"}, "model": model},
        "tunable": {"rl.lr": lr},
        "kind": "train",
    }
    write_run(folder, seed=seed, name=name, more=more, **SMALL)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("methods")
    for seed in (1, 2):
        write(root / f"rl-{seed}", seed=seed, name="rl")
        write(root / f"long-{seed}", seed=seed, name="long")
    write(root / "other", seed=2, name="rl", lr=0.3)
    return root


def test_seeds_group_and_names_tell_two_runs_of_one_seed_apart(runs: Path) -> None:
    pairs = read_methods(*(runs / f"rl-{seed}" for seed in (1, 2)))
    assert pairs["method"].tolist() == ["rl", "rl"] and pairs["seed"].tolist() == [1, 2]
    four = read_methods(*(runs / f"{name}-{seed}" for name in ("rl", "long") for seed in (1, 2)))
    assert four["method"].tolist() == ["rl", "rl", "long", "long"]  # one recipe and configuration, two lengths
    with_other = read_methods(runs / "rl-1", runs / "rl-2", runs / "other")  # another learning rate
    names = with_other["method"].tolist()
    assert names[0] == names[1] != names[2] and all(name.startswith("rl (") for name in names)


def test_runs_without_a_configuration_are_of_one_method_with_those_of_their_name(tmp_path: Path) -> None:
    for name, seed in (("rl", 1), ("rl", 2), ("sft", 1)):
        write_run(tmp_path / f"{name}-{seed}", seed=seed, name=name, **SMALL)
    assert read_methods(tmp_path)["method"].tolist() == ["rl", "rl", "sft"]


def test_runs_that_start_from_two_models_are_each_compared_with_their_own_base(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"rl-{seed}", seed=seed, name="rl", model=f"base {seed}") for seed in (1, 2)]
    loaded = load(paths)
    assert [world.paths for world in loaded.worlds] == [(paths[0],), (paths[1],)]
    together = difference_of(loaded)
    alone = [difference_of(load([path])) for path in paths]
    of_all = together[together["kind"] == "all"]["difference"].tolist()
    assert of_all == [float(one[one["kind"] == "all"]["difference"].iloc[0]) for one in alone]
    (run_id,) = alone[1]["run_id"].unique()
    assert load(paths, base=str(run_id)).worlds == (load(paths, base=str(run_id)),)  # a base that was named is one base
