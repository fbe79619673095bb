from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relift import analysis
from relift.errors import InputError
from relift.store import RunReader
from tests.synthetic import ROLLOUT_QUESTIONS, World, rate_at, write_run

N_QUESTIONS = 60


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], World]:
    root = tmp_path_factory.mktemp("runs")
    size = {"n_questions": N_QUESTIONS, "n_steps": 8, "probe_every": 4}
    world = write_run(root / "a", learn=0.5, seed=1, name="rl", **size)
    write_run(root / "b", learn=0.5, lift_zero=0.4, seed=2, name="relift", demos_per_step=8, **size)
    return [root / "a", root / "b"], world


def test_trajectories_of_two_runs_join_on_question_id(runs: tuple[list[Path], World]) -> None:
    folders, world = runs
    frame = analysis.read_trajectories(folders)
    assert len(frame) == 2 * (2 + 2) * N_QUESTIONS  # two draws at step 0, probes at 4 and 8
    assert set(frame["origin"]) == {"probe"} and frame["run"].unique().tolist() == ["rl", "relift"]
    wide = frame[frame["step"] == 0].pivot_table(
        index="question_id", columns=["run", "draw"], values="n_correct", observed=True
    )
    assert set(wide.index) == set(world.question_ids) and wide.notna().all(axis=None)
    rate_Q = pd.Series(world.rate_Q, index=world.question_ids)[wide.index]
    # 4 draws x 8 attempts at each: the counts follow the known rates, which joining on question_ix would not
    assert np.corrcoef(wide.mean(axis=1) / 8, rate_Q)[0, 1] > 0.9
    ix = frame.drop_duplicates(["run", "question_id"]).pivot(index="question_id", columns="run", values="question_ix")
    assert (ix["rl"] != ix["relift"]).mean() > 0.5


def test_trajectories_by_steps_draws_columns_and_splits(runs: tuple[list[Path], World]) -> None:
    folders, _ = runs
    one = analysis.read_trajectories(folders[0], steps=[0], draws=[1], columns=["n_correct"])
    assert len(one) == N_QUESTIONS and set(one["draw"]) == {1}
    assert {"run_id", "run", "step", "question_id", "n_correct"} <= set(one.columns) and "n_attempts" not in one
    rollouts = analysis.read_trajectories(folders, origin="rollout")
    assert len(rollouts) == 2 * 8 * ROLLOUT_QUESTIONS
    assert len(analysis.read_trajectories(folders, splits=["probe"])) == 8 * N_QUESTIONS
    assert analysis.read_trajectories(folders, splits=["test"]).empty


def test_attempts_are_selected_by_question(runs: tuple[list[Path], World]) -> None:
    folders, world = runs
    chosen = world.question_ids[:2]
    frame = analysis.read_attempts(folders, origin="probe", steps=[8], questions=chosen, columns=["verdict"])
    assert len(frame) == 2 * 2 * 8 and set(frame["question_id"]) == set(chosen)
    files = list(analysis.iter_attempts(folders[0], origin="probe", columns=["verdict"]))
    assert [len(f) for f in files] == [N_QUESTIONS * 8] * 4
    assert analysis.read_responses(folders, step=8, questions=chosen).empty  # no text was kept


def test_small_tables_and_runs(runs: tuple[list[Path], World]) -> None:
    folders, _ = runs
    table = analysis.read_runs(*folders)
    assert table["run"].tolist() == ["rl", "relift"] and table["committed_step"].tolist() == [8, 8]
    assert table["seed"].tolist() == [1, 2] and table["status"].tolist() == ["done", "done"]
    assert len(analysis.read_questions(folders)) == 2 * N_QUESTIONS
    updates = analysis.read_updates(folders)
    assert updates.groupby("run", observed=True)["kind"].apply(lambda k: sorted(set(k))).to_dict() == {
        "rl": ["rl"],
        "relift": ["rl", "sft"],
    }
    events = analysis.read_demo_events(folders)
    assert set(events["run"]) == {"relift"} and events["question_id"].notna().all()
    checkpoints = analysis.read_checkpoints(folders)
    assert checkpoints["step"].tolist() == [0, 4, 8] * 2
    last = checkpoints.iloc[-1]
    of_last = events[(events["run_id"] == last["run_id"]) & (events["event"].astype(str) == "train")]
    assert last["demonstrations"] == len(of_last) > 0
    assert last["distinct_demonstrations"] == of_last["demo_id"].nunique()
    assert len(analysis.read_demonstrations(folders[1])) == N_QUESTIONS and analysis.read_scores(folders).empty


def test_cube_equals_the_rows(runs: tuple[list[Path], World]) -> None:
    folders, _ = runs
    cube = analysis.read_cube(folders[0])
    assert cube.step_T.tolist() == [0, 4, 8] and cube.n_correct_QT.dtype == np.int16
    rows = analysis.read_trajectories(folders[0], draws=[0]).pivot(
        index="question_ix", columns="step", values="n_correct"
    )
    np.testing.assert_array_equal(cube.n_correct_QT, rows.to_numpy())
    np.testing.assert_array_equal(cube.question_ix_Q, rows.index)
    assert (cube.n_decided_QT == 8).all()
    assert analysis.read_cube(folders[0], draw=3).n_correct_QT.shape == (N_QUESTIONS, 0)


def test_the_same_run_twice_is_refused(runs: tuple[list[Path], World], tmp_path: Path) -> None:
    folders, _ = runs
    with pytest.raises(InputError, match="same run rl-1"):
        analysis.read_trajectories([folders[0], folders[0]])
    with pytest.raises(InputError, match="run"):
        analysis.read_trajectories(tmp_path)


def test_a_synthetic_run_shows_what_it_learnt(runs: tuple[list[Path], World]) -> None:
    folders, world = runs
    frame = analysis.read_trajectories(folders)
    accuracy = analysis.band_accuracy(frame, analysis.assign_bands(frame, run="rl"))
    means = {}
    for run, lift in ("rl", 0.0), ("relift", 0.4):
        means[run] = accuracy[(accuracy["run"] == run) & (accuracy["step"] == 8)]
        truth = rate_at(world, 1, learn=0.5, lift_zero=lift).mean()
        measured = means[run]["n_correct"].sum() / means[run]["n_decided"].sum()
        assert measured == pytest.approx(truth, abs=0.06)  # 480 attempts: standard error .02
    hardest = {run: rows.set_index("band").loc["Hardest", "accuracy"] for run, rows in means.items()}
    assert hardest["relift"] > hardest["rl"] + 0.05
    assert RunReader(folders[0]).committed_step == 8


def test_a_folder_of_runs_stands_for_its_runs(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path / f"seed-{seed}" / "rl", n_questions=4, n_steps=0, learn=0.5, seed=seed, name=f"rl-{seed}")
    assert list(analysis.read_runs(tmp_path)["run"]) == ["rl-1", "rl-2"]


def test_a_step_a_draw_or_an_origin_that_no_run_has_is_an_error(runs: tuple[list[Path], World]) -> None:
    folders, _ = runs
    with pytest.raises(InputError, match="no run has trajectories of origin probe at step 13; there are 0, 4, 8"):
        analysis.read_trajectories(folders, steps=[0, 13])
    with pytest.raises(InputError, match="at draw 5; there are 0, 1"):
        analysis.read_trajectories(folders, draws=[5])
    with pytest.raises(InputError, match="no origin 'probes'; there are .*; nearest: probe"):
        analysis.read_trajectories(folders, origin="probes")
    with pytest.raises(InputError, match="no run has attempts of origin rollout at step 99"):
        analysis.read_attempts(folders, origin="rollout", steps=[99])
    assert analysis.read_trajectories(folders, origin="benchmark").empty  # a known origin that no run holds


def test_readers_take_one_run_several_or_a_list_and_give_the_rate(runs: tuple[list[Path], World]) -> None:
    first, second = runs[0]
    rows = analysis.read_trajectories(first, second, steps=[0], draws=[0])
    assert rows.equals(analysis.read_trajectories([first, second], steps=[0], draws=[0]))
    assert analysis.read_runs([first, second]).equals(analysis.read_runs(first, second))
    decided = rows["n_attempts"] - rows["n_undecided"]
    assert (rows["accuracy"] == rows["n_correct"] / decided).all()
    assert "accuracy" in analysis.read_trajectories(first, columns=["accuracy"])
