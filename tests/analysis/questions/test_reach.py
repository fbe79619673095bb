"""Within reach, beyond, undetermined: by a question's own attempts alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc

from relift.analysis import (
    EPSILON_64,
    REACH,
    fit_prior,
    reach,
    reach_accuracy,
    reach_codes,
    reach_counts,
    read_counts,
    read_trajectories,
    top_up,
)
from relift.errors import InputError
from tests.analysis.frames import frozen_rates, trajectories
from tests.synthetic import write_run

FLAT = pd.DataFrame({"run_id": ["base-1"], "a": [0.45], "b": [0.9]})


def _named(n_correct: int, n_decided: int) -> str:
    return REACH[int(reach_codes(n_correct, n_decided))]


def test_64_attempts_solve_a_question_at_epsilon_with_95_percent() -> None:
    assert EPSILON_64 == pytest.approx(0.0457, abs=5e-5)
    assert 1 - (1 - EPSILON_64) ** 64 == pytest.approx(0.95)


def test_zero_of_64_is_beyond_and_fewer_or_solved_once_is_not() -> None:
    # (1 - epsilon)^n <= .05 from n = 64 on
    assert [_named(0, n) for n in (0, 8, 16, 63, 64, 1000)] == ["undetermined"] * 4 + ["beyond"] * 2
    assert _named(1, 10_000) == "undetermined"  # solved: its rate is surely low, but it is not beyond
    # P(X >= 2 of 8 | epsilon) = 1 - .954^8 - 8 * .0457 * .954^7 = .0485; one of one is only .0457
    assert [_named(1, 8), _named(2, 8), _named(1, 1), _named(1, 2)] == [
        "undetermined", "within", "within", "undetermined",
    ]  # fmt: skip


@given(st.integers(1, 400), st.data())
def test_more_correct_never_means_less_reach(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    order = {"beyond": 0, "undetermined": 1, "within": 2}
    assert order[_named(c, n)] <= order[_named(min(c + 1, n), n)]
    assert c == 0 or _named(c, n) != "beyond"


def test_the_label_does_not_depend_on_the_questions_beside_it() -> None:
    one = trajectories([0, 0, 3], n_attempts=[64, 16, 16])
    hopeless = trajectories([0] * 500, n_attempts=64, questions=[f"x{i}" for i in range(500)])
    easy = trajectories([64] * 500, n_attempts=64, questions=[f"y{i}" for i in range(500)])
    labels = [reach(pd.concat([one, other]))["reach"].tolist()[:3] for other in (one.iloc[:0], hopeless, easy)]
    assert labels == [["beyond", "undetermined", "within"]] * 3


def test_all_draws_enter_and_undecided_attempts_do_not() -> None:
    frame = pd.concat(
        [
            trajectories([0, 3, 0], n_undecided=[0, 0, 8]),
            trajectories([0, 2, 0], draw=1, n_undecided=[0, 1, 8]),
            trajectories([0], draw=2, n_attempts=64),
            trajectories([8, 8, 8], step=10),
        ]
    )
    reached = reach(frame, FLAT)
    assert reached["n_decided"].tolist() == [80, 15, 0] and reached["n_correct"].tolist() == [0, 5, 0]
    assert reached["reach"].tolist() == ["beyond", "within", "undetermined"]
    # P(p < epsilon | 0 of 80) under Beta(.45, .9) is I_epsilon(.45, 80.9)
    assert reached["p_below"].iloc[0] == pytest.approx(betainc(0.45, 80.9, EPSILON_64))
    assert reach(frame, step=10)["n_decided"].tolist() == [8, 8, 8]


def test_top_up_lists_the_undetermined() -> None:
    reached = reach(trajectories([0, 1, 8, 0], n_attempts=[8, 8, 8, 64]), FLAT)
    assert top_up(reached)["question_id"].tolist() == ["q0", "q1"]
    assert top_up(reached, only_zero=True)["question_id"].tolist() == ["q0"]


def test_prior_leaves_top_ups_out_and_is_fitted_by_run() -> None:
    rng = np.random.default_rng(3)
    correct = rng.binomial(8, rng.beta(0.45, 0.9, 4_000))
    easier = rng.binomial(8, rng.beta(2.0, 1.0, 4_000))
    frame = pd.concat([trajectories(correct), trajectories(easier, run="rl")])
    prior = fit_prior(frame)
    assert prior["run"].tolist() == ["base", "rl"] and prior["n_questions"].tolist() == [4_000, 4_000]
    assert prior["a"].tolist() == pytest.approx([0.45, 2.0], rel=0.12)
    topped = pd.concat([frame, trajectories([0] * 500, draw=2, n_attempts=64)])
    pd.testing.assert_frame_equal(fit_prior(topped), prior)
    by_run = reach(frame, prior).groupby("run")["p_below"].max()
    assert by_run["rl"] < by_run["base"]  # each run with its own prior
    with pytest.raises(InputError, match="no prior was fitted for run rl-1"):
        reach(frame, pd.concat([FLAT, FLAT.assign(run_id="sft-1")]))
    with pytest.raises(InputError, match="no run has a probe at step 5"):
        fit_prior(frame, step=5)


def test_counts_of_base_and_runs() -> None:
    base = [trajectories([0, 0, 8, 8], draw=draw) for draw in (0, 1)]
    frame = pd.concat([*base, trajectories([0, 8, 8, 8], run="rl", step=5), trajectories([9], run="rl", step=2)])
    found = reach_counts(frame, base="base")
    assert found[["run", "step", "reach"]].to_numpy().tolist()[::3] == [["base", 0, "within"], ["rl", 5, "within"]]
    assert found["n_attempts"].tolist() == ["16"] * 3 + ["8"] * 3 and set(found["n_questions"]) == {4}
    assert found.groupby(["run", "step"])["count"].sum().tolist() == [4, 4]
    assert (found["high"] > found["low"]).all()
    own = reach_counts(pd.concat([trajectories([0, 8]), trajectories([8, 8], step=3)]), base="base")
    assert own["step"].tolist() == [0] * 3 + [3] * 3


def test_top_ups_decide() -> None:
    rng = np.random.default_rng(1)
    frame = trajectories(rng.binomial(8, rng.beta(0.45, 0.9, 200)))
    never = frame.loc[frame["n_correct"] == 0, "question_id"].tolist()
    more = trajectories([0] * len(never), n_attempts=256, draw=2, questions=never)
    before, after = (
        found[found["reach"] == "beyond"]["count"].item()
        for found in (reach_counts(f, base="base") for f in (frame, pd.concat([frame, more])))
    )
    assert (before, after) == (0, len(never))


def test_accuracy_after_step_0_by_class() -> None:
    base = trajectories([0, 8, 8])
    reached = reach(base, fit_prior(base)).assign(reach=["undetermined", "within", "within"])
    frame = pd.concat([base, trajectories([4, 8, 4], run="rl", step=5), trajectories([8, 8, 8], run="rl", step=9)])
    found = reach_accuracy(frame, reached)
    assert set(found["step"]) == {5, 9}  # the attempts of step 0 chose the classes
    by_class = found.set_index(["reach", "step"])["accuracy"]
    assert by_class[("within", 5)] == 0.75 and by_class[("undetermined", 5)] == 0.5 and by_class[("within", 9)] == 1
    assert np.isnan(by_class[("beyond", 5)])
    assert np.isnan(found.set_index(["reach", "step"]).loc[("within", 9), "low"])  # all right: no width, no claim
    with pytest.raises(InputError, match="no run has a probe at a step after 0"):
        reach_accuracy(base, reached)
    with pytest.raises(InputError, match="classes of several runs"):
        reach_accuracy(frame, pd.concat([reached, reached.assign(run_id="x")]))


def test_it_equals_the_rows_way(tmp_path: Path) -> None:
    write_run(tmp_path / "base", n_questions=150, n_steps=0, learn=0.0, seed=1, name="base")
    write_run(tmp_path / "rl", n_questions=150, n_steps=4, learn=0.7, seed=2, probe_every=4)
    folders = [tmp_path / "base", tmp_path / "rl"]
    rows = reach_counts(read_trajectories(folders), base="base-1")
    found = reach_counts(read_counts(folders), base="base-1")
    pd.testing.assert_frame_equal(found, rows, check_dtype=False)
    assert list(found["count"].groupby(found["run_id"], sort=False).sum()) == [150, 150]


def test_a_run_is_its_own_base(tmp_path: Path) -> None:
    write_run(tmp_path / "rl", n_questions=60, n_steps=4, learn=0.7, seed=2, probe_every=2)
    rows = reach_counts(read_trajectories([tmp_path / "rl"]), base="rl-2")
    found = reach_counts(read_counts([tmp_path / "rl"], steps=(0, 4)), base="rl-2")
    pd.testing.assert_frame_equal(found, rows, check_dtype=False)
    with pytest.raises(InputError, match="no probe at step 0"):
        reach_counts(read_counts([tmp_path / "rl"], steps=(4,)), base="rl-2")


@pytest.mark.parametrize("never", [0.0, 0.15, 0.6])
def test_of_the_reachable_at_most_a_twentieth_is_called_beyond(never: float) -> None:
    # whatever share is never solved: the bound is of each question, at p = epsilon exactly .05
    rng = np.random.default_rng(9)
    rate_Q = np.where(rng.random(20_000) < never, 0.0, np.where(rng.random(20_000) < 0.5, EPSILON_64, 0.2))
    reached = reach(trajectories(rng.binomial(64, rate_Q), n_attempts=64))
    beyond_Q = (reached["reach"] == "beyond").to_numpy()
    at_the_limit_Q = rate_Q == EPSILON_64
    # standard error of 4,000 and more at .05: at most .0034
    assert beyond_Q[at_the_limit_Q].mean() == pytest.approx(0.05, abs=0.011)
    assert beyond_Q[rate_Q >= EPSILON_64].mean() <= 0.05
    assert not never or beyond_Q[rate_Q == 0].all()


def test_few_of_those_called_beyond_are_not() -> None:
    # the simulated base model: of 20,000 questions 15 % are never solved, the others Beta(.45, .9)
    rng = np.random.default_rng(9)
    rate_Q = frozen_rates(20_000, rng)
    reached = reach(trajectories(rng.binomial(64, rate_Q), n_attempts=64))
    wrong = rate_Q[(reached["reach"] == "beyond").to_numpy()] >= EPSILON_64
    assert wrong.mean() < 0.01
