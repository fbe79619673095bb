"""The demo: its configurations are valid, its table says what was measured, and the quick version runs through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from relift.config import parse_config
from relift.data.questions import read_questions
from relift.demo.experiment import claim
from relift.demo.methods import CONTROL, FULL, METHODS, QUICK, config_of, write_data
from relift.demo.story import cell, copy_table, over_seeds, pool
from relift.errors import InputError
from relift.store import RunReader, check_run


@pytest.mark.parametrize("size", [FULL, QUICK], ids=["full", "quick"])
@pytest.mark.parametrize("method", (*METHODS, CONTROL))
def test_every_configuration_is_valid(method: str, size: object, tmp_path: Path) -> None:
    values = config_of(method, size, seed=1, base=tmp_path, folder=tmp_path, matched_steps=3)  # type: ignore[arg-type]
    assert parse_config(values, where=method).name == method


def test_rl_and_relift_share_the_rl_component_and_sft_and_relift_the_fine_tuning(tmp_path: Path) -> None:
    made = {m: config_of(m, FULL, seed=1, base=tmp_path, folder=tmp_path) for m in ("rl", "relift", "sft", "sft_rl")}
    configs = {m: parse_config(values, where=m) for m, values in made.items()}
    assert configs["rl"].rl == configs["relift"].rl == configs["sft_rl"].rl
    assert configs["sft"].sft == configs["relift"].sft
    assert configs["rl"].rollout == configs["relift"].rollout
    assert len({c.probe for c in configs.values()}) == 1


def test_data_are_disjoint_and_every_training_question_has_a_demonstration(tmp_path: Path) -> None:
    write_data(tmp_path, QUICK, seed=3)
    train, probe, ends = (read_questions(tmp_path / f"{n}.jsonl") for n in ("train", "probe", "ends"))
    ids = [{q.question_id for q in part.questions} for part in (train, probe, ends)]
    assert not ids[0] & ids[1] and not ids[0] & ids[2]
    assert {d.question_id for d in train.demonstrations} == ids[0]


def test_one_seed_keeps_its_interval_several_have_students() -> None:
    assert over_seeds([(0.5, 0.4, 0.6)]).low == 0.4
    three = over_seeds([(0.5, 0, 1), (0.6, 0, 1), (0.7, 0, 1)])
    # mean .6, sd .1, t(.975, 2) = 4.3027: half-width 4.3027 * .1 / sqrt 3 = .2484
    assert (three.value, three.low) == (pytest.approx(0.6), pytest.approx(0.6 - 0.24842, abs=1e-4))


def test_a_band_that_is_empty_in_a_seed_is_pooled_over_the_others() -> None:
    cost = {"demonstrations": 4}
    seeds = [
        {"shares": {"all": (0.5, 0.4, 0.6)}, "cost": cost},
        {"shares": {"all": (0.7, 0.6, 0.8), "Hard": (0.2, 0.1, 0.3)}, "cost": cost},
    ]
    pooled = pool(seeds)
    assert pooled["accuracy"]["Hard"]["per_seed"] == (0.2,)
    assert pooled["accuracy"]["all"]["value"] == pytest.approx(0.6)


def test_the_control_is_probed_as_the_methods_are_and_learns_at_rate_0(tmp_path: Path) -> None:
    frozen, rl = (
        parse_config(config_of(m, FULL, seed=1, base=tmp_path, folder=tmp_path), where=m) for m in (CONTROL, "rl")
    )
    assert frozen.probe == rl.probe and frozen.steps == rl.steps and frozen.rollout.max_tokens == rl.rollout.max_tokens
    assert frozen.rl.optimizer.lr == 0.0 < rl.rl.optimizer.lr


def test_the_table_of_a_frozen_copy_has_it_first_and_averages_seeds() -> None:
    rows = [("rl", "newly solved", 9, 4, 20), ("relift", "newly solved", 11, 4, 20)]
    one = pd.DataFrame(rows, columns=["run", "claim", "count", "frozen", "n_questions"])
    lines = copy_table([one]).splitlines()
    assert lines[2:5] == ["| a frozen copy | 4 |", "| RL | 9 |", "| ReLIFT | 11 |"]
    other = one.assign(count=[10, 12], frozen=7)
    # (4 + 7) / 2 and (9 + 10) / 2
    assert copy_table([one, other]).splitlines()[2:4] == ["| a frozen copy | 5.5 |", "| RL | 9.5 |"]


def test_cells() -> None:
    assert cell({"value": 0.631, "low": 0.591, "high": 0.671}) == ".631 ±.040"
    # Student's interval .06 ± .098 ends at 0: half of what is left, .079, would be too narrow
    assert cell({"value": 0.06, "low": 0.0, "high": 0.158}) == ".060 ±.098"
    assert cell(None) == "–"


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="choose another folder with --out"):
        claim(tmp_path, QUICK)


def test_a_demo_of_another_size_is_refused(tmp_path: Path) -> None:
    claim(tmp_path / "demo", QUICK)
    claim(tmp_path / "demo", QUICK)  # a second start continues
    with pytest.raises(InputError, match="another size"):
        claim(tmp_path / "demo", FULL)


@pytest.mark.slow
def test_the_quick_demo_from_nothing_and_once_more(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "relift.cli", "demo", "--quick", "--json", "--out", str(out)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    first = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    story = json.loads(first.stdout)
    assert list(story["methods"]) == ["base", "rl", "sft", "sft_matched", "relift", "sft_rl"]
    assert story["methods"]["rl"]["demonstrations"] == 0 < story["methods"]["relift"]["demonstrations"]
    assert story["peak_memory_mib_per_process"] < 2048
    copies = {row["frozen"] for row in story["frozen_copy"][0] if row["claim"] == "newly solved"}
    assert len(copies) == 1 and {row["run"] for row in story["frozen_copy"][0]} == set(METHODS[1:])
    assert set(RunReader(out / "seed-1" / "frozen").read("updates")["lr"]) == {0.0}
    for method in (*METHODS, CONTROL):
        assert check_run(out / "seed-1" / method).problems == []
    for name in ("band_accuracy", "transitions", "dynamics", "demonstrations"):
        assert {p.suffix for p in (out / "figures").glob(f"{name}.*")} == {".pdf", ".svg", ".png", ".csv"}
    again = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert again["methods"] == story["methods"]  # nothing is trained twice
