from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relift.analysis.report.analyze import analyze
from relift.analysis.report.catalogue import FIGURES, TABLES
from relift.analysis.report.loaded import load
from relift.analysis.runs.cautions import cautions
from relift.errors import InputError
from tests.synthetic import write_run

QUICK: dict[str, Any] = {"resamples": 20, "formats": ("png",)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    sizes = {"n_questions": 60, "n_steps": 12, "learn": 0.4, "probe_every": 6}
    write_run(root / "base", n_steps=0, n_questions=60, learn=0.0, seed=1, name="base")
    write_run(root / "rl", **sizes, seed=2)
    write_run(root / "relift", **sizes, seed=3, name="relift", demos_per_step=16)
    write_run(root / "other", **sizes, seed=4, name="other", first_question=1_000)
    write_run(root / "one_draw", **sizes, seed=5, name="one_draw", base_draws=1)
    write_run(root / "running", **sizes, seed=6, name="running", status="running")
    return {path.name: path for path in root.iterdir()}


def test_everything_that_the_runs_allow_is_written(folders: dict[str, Path], tmp_path: Path) -> None:
    told: list[str] = []
    runs = [folders["base"], folders["rl"], folders["relift"]]
    result = analyze(runs, tmp_path / "out", tell=told.append, **QUICK)
    # the synthetic runs have no benchmark scores, no log-probabilities under the base, and one seed of each method
    one_seed = {"seeds", "band_accuracy_by_seed"}
    unrecorded = {"scores", "base_perplexity", "forgetting", "pass_at_k_two_verdicts", "learnt_by_likelihood"}
    assert {one.name for one in result.left_out} == {*unrecorded, *one_seed, "discovery"}  # none is plain GRPO
    assert len(told) == len(FIGURES) + len(TABLES)
    for one in result.made:
        assert all(path.stat().st_size > 0 for path in one.files) and "nan" not in one.caption
        assert [path.suffix for path in one.files] == ([".png", ".csv"] if one.kind == "figure" else [".csv"])
    index = (tmp_path / "out" / "index.md").read_text()
    assert "Bands by step 0 of base. 60 questions" in index and result.cautions == ()
    assert all(f"figures/{one.name}.png" in index for one in result.made if one.kind == "figure")
    assert "attempts.sum_logprob_base was not recorded" in index
    solved = pd.read_csv(tmp_path / "out" / "figures" / "support.csv")
    assert set(solved["run"]) == {"rl", "relift"}


def reasons(result_of: Path, runs: list[Path], names: list[str]) -> dict[str, str]:
    return {one.name: one.reason for one in analyze(runs, result_of, only=names, **QUICK).left_out}


def test_a_run_with_one_draw_has_a_fitted_null_and_no_curves_by_band(folders: dict[str, Path], tmp_path: Path) -> None:
    result = analyze([folders["one_draw"]], tmp_path, only=["band_accuracy", "transitions"], **QUICK)
    (left_out,) = result.left_out
    assert left_out.name == "band_accuracy" and "probe step 0 once more" in left_out.reason
    assert result.made[0].frame["null"].unique().tolist() == ["fitted"]


def test_a_run_with_one_probe_says_so(folders: dict[str, Path], tmp_path: Path) -> None:
    found = reasons(tmp_path, [folders["base"]], ["bands", "transitions", "turnover", "buffer"])
    assert found == {
        "transitions": "no run has a probe at a step after 0",
        "turnover": "no run has probes at two steps: nothing can have come or gone",
        "buffer": "no run has demonstrations",
    }


def test_one_run_is_compared_with_its_own_start(folders: dict[str, Path], tmp_path: Path) -> None:
    result = analyze([folders["rl"]], tmp_path, only=["pass_at_k", "solved_by", "reach"], **QUICK)
    frames = {one.name: one.frame for one in result.made}
    assert set(frames["pass_at_k"]["run"]) == {"step 0", "rl"}
    assert {"step 0", "rl"} <= set(frames["solved_by"].columns)
    assert sorted(frames["reach"]["step"].unique()) == [0, 12]


def test_runs_with_other_questions_share_no_figure_of_them(folders: dict[str, Path], tmp_path: Path) -> None:
    runs = [folders["rl"], folders["other"]]
    found = reasons(tmp_path, runs, ["band_accuracy", "dynamics", "group_signal"])
    assert set(found) == {"band_accuracy"}
    assert found["band_accuracy"].startswith("no question was probed in every run and at every step")
    with pytest.raises(InputError, match="nothing can be made of these runs: no question was probed in every run"):
        analyze(runs, tmp_path, only=["band_accuracy"], **QUICK)


def test_what_is_asked_for_wrongly_is_said_at_once(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="no figure or table f99; there are changes, seeds, smallest_change, band_accuracy"
    ):
        analyze([folders["rl"]], tmp_path, only=["f99"])
    with pytest.raises(InputError, match="no run is called 'sft'; the frame holds: rl"):
        analyze([folders["rl"]], tmp_path, base="sft")
    with pytest.raises(InputError, match="not a run folder"):
        analyze([tmp_path], tmp_path)


def test_the_base_is_found(folders: dict[str, Path]) -> None:
    chosen = {
        ("rl", "base"): "base-1",
        ("rl", "relift"): "rl-2",  # none is called base, none has step 0 alone: the first
        ("relift",): "relift-3",
    }
    for names, base in chosen.items():
        assert load([folders[name] for name in names]).base_id == base
    assert load([folders["rl"], folders["base"]], base="rl").base_id == "rl-2"


def test_what_makes_runs_hard_to_compare_is_said(folders: dict[str, Path]) -> None:
    assert cautions([folders["rl"], folders["relift"]]) == []
    (said,) = cautions([folders["rl"], folders["running"]])
    assert said == "Not finished: running; figures show the steps that are committed."


def test_a_base_of_its_own_for_each_seed_is_no_other_model(tmp_path: Path) -> None:
    sizes = {"n_questions": 4, "n_steps": 1, "learn": 0.0}
    for name, run, seed, model in (("a", "rl", 1, "one"), ("b", "rl", 2, "two"), ("c", "sft", 2, "one")):
        write_run(tmp_path / name, **sizes, seed=seed, name=run, more={"identity": {"model": model}}, status="done")
    (said,) = cautions([tmp_path / "a", tmp_path / "b"])
    assert said.startswith("Each seed starts from a base model of its own (2 of them): differences from the base")
    (said,) = cautions([tmp_path / "b", tmp_path / "c"])  # one seed, two models
    assert said.startswith("The runs start from different models (rl against sft)")
    (said,) = cautions([tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert "different models" in said


def test_other_models_and_decodings_are_named(tmp_path: Path) -> None:
    sizes = {"n_questions": 4, "n_steps": 0, "learn": 0.0}
    for seed, model in ((1, "a"), (2, "b"), (3, "b")):
        extra = {"identity": {"model": model}, "decodings": {"probe": {"temperature": seed // 3}}}
        write_run(tmp_path / str(seed), **sizes, seed=seed, name=f"run{seed}", more=extra)
    said = cautions([tmp_path / "1", tmp_path / "2", tmp_path / "3"])
    assert said == [
        "The runs start from different models (run1 against run2, run3): they differ in more than their training.",
        "The runs differ in probe decoding (run1, run2 against run3): their accuracies are not comparable.",
    ]
