"""The headline, its words, the questions of a cell, alerts, what was recorded, throughput: small exact frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relift.analysis import assign_bands, band_transitions, read_checkpoints, read_trajectories
from relift.analysis.questions.headline import change_from_base, say_change
from relift.analysis.questions.moves import moved_questions
from relift.analysis.runs.counts import read_counts
from relift.analysis.runs.recorded import recorded_columns, table_sizes
from relift.analysis.training.alerts import find_alerts, last_health
from relift.analysis.training.throughput import throughput
from relift.errors import InputError
from tests.synthetic import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("headline") / "rl"
    write_run(folder, n_questions=80, n_steps=8, learn=0.8, seed=3, probe_every=4, demos_per_step=4)
    return folder


def _trajectories(counts: list[tuple[int, int, int, int]]) -> pd.DataFrame:
    """(step, draw, question, n_correct of 8), one run."""
    frame = pd.DataFrame(counts, columns=["step", "draw", "question", "n_correct"])
    return frame.assign(
        run_id="r", run="rl", origin="probe", n_attempts=8, n_undecided=0, n_truncated=0,
        question_id=["q" + str(q) for q in frame["question"]],
    )  # fmt: skip


def test_the_headline_is_the_mean_of_paired_differences() -> None:
    # step 0: draw 0 assigns (0 and 8 of 8: Hardest, Easy), draw 1 measures 0/8 and 6/8; step 5: 4/8 and 8/8
    rows = _trajectories([(0, 0, 1, 0), (0, 0, 2, 8), (0, 1, 1, 0), (0, 1, 2, 6), (5, 0, 1, 4), (5, 0, 2, 8)])
    found = change_from_base(rows, assign_bands(rows)).set_index("group")
    # differences .5 and .25: mean .375; t interval of two values with 1 degree of freedom, t = 12.706,
    # sd .17678, standard error .125: .375 +- 1.588
    assert found.loc["all", "difference"] == pytest.approx(0.375)
    assert found.loc["all", "base_accuracy"] == pytest.approx(0.375)
    assert found.loc["all", "high"] - found.loc["all", "difference"] == pytest.approx(12.706 * 0.125, rel=1e-3)
    assert found.loc["Hardest", "difference"] == pytest.approx(0.5) and np.isnan(found.loc["Hardest", "low"])
    assert found.loc["Easy", "difference"] == pytest.approx(0.25) and found.loc["Hard", "n_questions"] == 0
    said = say_change(found.reset_index())
    assert said.startswith("accuracy 0.375 to 0.750 at step 5, +37.5 [")
    assert "Hardest +50.0 (1), Easy +25.0 (1)" in said and "Medium" not in said


def test_counts_give_the_same_headline(run: Path) -> None:
    rows, counts = read_trajectories([run]), read_counts([run])
    found = change_from_base(rows, assign_bands(rows))
    same = change_from_base(counts, assign_bands(counts))
    pd.testing.assert_frame_equal(found, same, check_dtype=False)


def test_the_questions_of_a_cell_are_as_many_as_it_counts(run: Path) -> None:
    rows = read_trajectories([run])
    bands = assign_bands(rows)
    cells = band_transitions(rows, bands, resamples=20)
    assert cells["count"].sum() == 80
    for cell in cells.to_dict("records"):
        found = moved_questions(
            rows, bands, run="rl-3", step=8, band_from=cell["band_from"], band_to=cell["band_to"]
        )  # fmt: skip
        assert len(found) == cell["count"]
    easy = moved_questions(rows, bands, run="rl-3", step=8, band_from="Medium", band_to="Easy")
    assert (easy["n_correct"] >= 6).all() and easy["n_correct_base"].between(3, 5).all()  # of 8
    with pytest.raises(InputError, match="no band"):
        moved_questions(rows, bands, run="rl-3", step=8, band_from="Easy", band_to="Impossible")
    with pytest.raises(InputError, match="no probe at step 7"):
        moved_questions(rows, bands, run="rl-3", step=7, band_from="Easy", band_to="Easy")


def _dynamics(**columns: list[float]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    plain = {"reward": [0.5] * n, "tokens": [100.0] * n, "truncated_share": [0.0] * n, "entropy": [0.1] * n}
    return pd.DataFrame({"run_id": "r", "run": "rl", "step": range(1, n + 1), "n_skipped": 0, **plain, **columns})


def _kinds(frame: pd.DataFrame) -> list[str]:
    return list(frame["kind"])


def test_length_that_feeds_on_itself_is_told_from_length_that_helps() -> None:
    longer = {"tokens": [100, 100, 120, 140, 200, 220], "truncated_share": [0, 0, 0.02, 0.05, 0.2, 0.3]}
    falling = _dynamics(**longer, reward=[0.6, 0.6, 0.5, 0.5, 0.4, 0.4])
    found = find_alerts(falling)
    assert _kinds(found) == ["spiral"]
    # thirds of six steps are two: 100 to 210 tokens, reward .6 to .4
    assert "from 100 to 210 tokens" in found["sentence"].iloc[0] and "0.60 to 0.40" in found["sentence"].iloc[0]
    assert _kinds(find_alerts(_dynamics(**longer, reward=[0.4, 0.4, 0.5, 0.5, 0.6, 0.6]))) == []
    assert _kinds(find_alerts(falling.head(5))) == []  # too few steps to tell


def test_entropy_and_skipped_updates_are_told() -> None:
    assert _kinds(find_alerts(_dynamics(entropy=[0.5, 0.5, 0.3, 0.2, 0.1, 0.1]))) == ["entropy"]
    assert _kinds(find_alerts(_dynamics(entropy=[0.5, 0.5, 0.3, 0.2, 0.2, 0.2]))) == []
    assert _kinds(find_alerts(_dynamics(n_skipped=[0, 1, 0, 0, 0, 0]))) == ["skipped updates"]


def test_a_dry_buffer_is_one_that_stays_empty() -> None:
    buffer = pd.DataFrame({"run_id": "r", "run": "rl", "step": [1, 2], "buffer_len": [2, 0], "n_enqueued": [2, 0]})
    found = find_alerts(_dynamics(reward=[0.5] * 9), buffer=buffer)
    assert _kinds(found) == ["dry buffer"] and "since step 1" in found["sentence"].iloc[0]
    assert _kinds(find_alerts(_dynamics(reward=[0.5] * 9), buffer=buffer.assign(step=[1, 8], n_enqueued=[2, 1]))) == []


def test_grader_and_truncation_have_limits() -> None:
    # of 16 answers at the last probe: 1 undecided is 6 %, 2 cut off are 12.5 %; at step 0 all were undecided
    rows = _trajectories([(0, 0, 1, 0), (5, 0, 1, 4), (5, 0, 2, 4)])
    rows["n_undecided"], rows["n_truncated"] = [8, 1, 0], [0, 2, 0]
    health = last_health(rows)
    assert health[["step", "n_attempts", "n_undecided", "n_truncated"]].to_numpy().tolist() == [[5, 16, 1, 2]]
    none = pd.DataFrame(columns=["run_id", "run", "step"])
    found = find_alerts(none, health=health)
    assert _kinds(found) == ["grader", "truncation"] and "1 of 16" in found["sentence"].iloc[0]
    assert _kinds(find_alerts(none, health=health.assign(n_undecided=0, n_truncated=1))) == []  # 6 % cut off


def test_what_was_recorded_is_counted(run: Path) -> None:
    found = recorded_columns(run).set_index(["table", "column"])
    # the newest files: 80 x 8 answers of the last probe, 32 x 8 rollouts
    assert found.loc[("attempts", "mean_entropy"), "n_recorded"] == 640 + 256
    assert found.loc[("attempts", "sum_logprob_base"), "n_recorded"] == 0
    assert "no setting" in found.loc[("attempts", "sum_logprob_base"), "how"]
    sizes = table_sizes(run).set_index("table")
    assert sizes.loc["updates", "files"] == 8 and (sizes["bytes"] > 0).all() and "scores" not in sizes.index


def test_throughput_is_of_what_came_since(run: Path) -> None:
    found = throughput(read_checkpoints([run]))
    # checkpoints at 0, 4 and 8: 6,000 tokens and one second a step
    assert list(found["step"]) == [4, 8] and list(found["step_before"]) == [0, 4]
    assert list(found["generated_per_second"]) == [6000, 6000] and list(found["seconds_per_step"]) == [1, 1]
    with pytest.raises(InputError, match="two checkpoints"):
        throughput(read_checkpoints([run]).head(1))
