"""Check the runs that a study has, their order, and the configuration of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relift.errors import InputError
from relift.study.command import check, claim, ordered
from relift.study.grid import Planned, claim_config, config_of, merged, planned_runs, swept_runs, values_of
from tests.study.studies import study, values

METHODS: dict[str, Any] = values()["methods"]


def names(runs: list[Planned]) -> list[str]:
    return [run.name for run in runs]


def test_every_base_seed_and_method_once_and_the_control_first(tmp_path: Path) -> None:
    runs = names(planned_runs(study(), tmp_path))
    assert len(runs) == len(set(runs)) == 2 * 2 * 4
    assert runs[:4] == ["b1-seed-1/frozen", "b1-seed-1/rl", "b1-seed-1/sft", "b1-seed-1/relift"]
    assert runs[-1] == "b2-seed-2/relift"


def test_stages_come_first_with_their_controls(tmp_path: Path) -> None:
    runs = names(planned_runs(study(stages=[{"bases": ["b2"], "methods": ["sft"]}, {"seeds": [2]}]), tmp_path))
    assert runs[:4] == ["b2-seed-1/frozen", "b2-seed-1/sft", "b2-seed-2/frozen", "b2-seed-2/sft"]
    assert runs[4] == "b1-seed-2/frozen" and len(runs) == len(set(runs)) == 16


def test_methods_that_take_the_rates_of_others_are_not_swept(tmp_path: Path) -> None:
    made = study()
    assert made.swept == ["rl", "sft"]
    assert names(swept_runs(made, tmp_path)) == [
        f"sweep/{method}-x{factor}-b1-seed-0" for method in ("rl", "sft") for factor in (1, 2)
    ]


def test_a_run_of_the_comparison(tmp_path: Path) -> None:
    made = study()
    run = Planned("relift", "b2", 2, tmp_path / "runs" / "b2-seed-2" / "relift")
    got = config_of(made, tmp_path, run, factors={"rl": 2.0, "sft": 0.5}, used={})
    assert (got["recipe"], got["seed"], got["name"], got["steps"]) == ("relift", 2, "relift", 4)
    assert got["probe"]["base_run"] == str(tmp_path / "runs" / "b2-seed-2" / "frozen")
    assert got["rl"]["optimizer"]["lr"] == pytest.approx(2e-6)  # relift's own 1e-6, twice
    assert got["sft"]["optimizer"]["lr"] == pytest.approx(5e-7)
    assert "budget" not in got


def test_a_budget_may_be_what_another_run_used(tmp_path: Path) -> None:
    run = Planned("sft", "b1", 1, tmp_path / "runs" / "b1-seed-1" / "sft")
    used = {"rl": {"flops": 1e9, "updates": 4}}
    assert config_of(study(), tmp_path, run, factors={}, used=used)["budget"] == {"flops": 1e9}
    own = study(methods={**METHODS, "sft": {**METHODS["sft"], "budget": {"updates": "rl", "demonstrations": 12}}})
    assert config_of(own, tmp_path, run, factors={}, used=used)["budget"] == {"updates": 4, "demonstrations": 12}


def test_a_run_of_the_sweep_is_short_and_probes_development_questions(tmp_path: Path) -> None:
    made = study()
    run = swept_runs(made, tmp_path)[1]
    got = values_of(made, tmp_path, run)
    assert got["steps"] == 2 and got["probe"]["questions"].endswith("dev.jsonl") and "base_run" not in got["probe"]
    longer = study(methods={**METHODS, "rl": {**METHODS["rl"], "sweep_steps": 9}})
    assert values_of(longer, tmp_path, run)["steps"] == 9


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ({"recipe": "grop"}, "methods.rl: no recipe 'grop'; nearest: grpo"),
        ({"recipe": "grpo", "rl": {"clip_hihg": 0.3}}, "methods.rl: unknown key 'rl.clip_hihg'; nearest: rl.clip_high"),
        ({"recipe": "sft", "sft": {"batch": 4}, "budget": {"generated_tokens": 9}}, "recipe sft samples nothing"),
        ({"recipe": "hpt", "steps": 0.5}, "methods.rl: steps = 0.5"),
    ],
)
def test_a_bad_configuration_is_refused_before_anything_runs(tmp_path: Path, method: Any, line: str) -> None:
    with pytest.raises(InputError) as refusal:
        check(study(methods={**METHODS, "rl": method}), tmp_path)
    assert line in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_run_of_other_settings_is_refused_and_one_of_other_places_is_not(tmp_path: Path) -> None:
    run = Planned("rl", "b1", 1, tmp_path / "runs" / "b1-seed-1" / "rl")
    body = values_of(study(), tmp_path, run)
    path = claim_config(tmp_path, run, body)
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text("{}")
    assert claim_config(tmp_path, run, merged(body, {"model": {"path": "/elsewhere"}})) == path
    with pytest.raises(InputError, match=r"made with another rollout.attempts_per_question, steps: choose another"):
        claim_config(tmp_path, run, merged(body, {"steps": 5, "rollout": {"attempts_per_question": 3}}))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    claim(study(), tmp_path / "out")
    claim(study(), tmp_path / "out")  # a second start continues
    with pytest.raises(InputError, match="holds another study"):
        claim(study(name="other"), tmp_path / "out")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.tex").write_text("")
    with pytest.raises(InputError, match="is not empty and holds no study"):
        claim(study(), tmp_path / "thesis")
    assert json.loads((tmp_path / "out" / "study.json").read_text()) == {"study": "small"}


def test_what_a_run_waits_for_comes_right_before_it(tmp_path: Path) -> None:
    from relift.study.command import base_jobs, cell_jobs, sweep_jobs

    made = study()
    jobs = ordered([*base_jobs(made, tmp_path), *sweep_jobs(made, tmp_path)], cell_jobs(made, tmp_path))
    listed = [job.name for job in jobs]
    assert listed[:5] == ["base model b1", "b1-seed-1/frozen", "sweep/rl-x1-b1-seed-0", "sweep/rl-x2-b1-seed-0",
                          "b1-seed-1/rl"]  # fmt: skip
    assert len(listed) == len(set(listed)) == 2 + 4 + 16
    by_name = {job.name: job for job in jobs}
    assert set(by_name["b1-seed-1/sft"].after) == {
        "base model b1", "b1-seed-1/frozen", "sweep/sft-x1-b1-seed-0", "sweep/sft-x2-b1-seed-0", "b1-seed-1/rl",
    }  # fmt: skip
