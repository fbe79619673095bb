import numpy as np
import pandas as pd
import pytest
from scipy.special import betainc

from relift.analysis import EPSILON_64, fit_prior, reach, top_up
from relift.errors import InputError
from tests.analysis.frames import frozen_rates, trajectories

FLAT = pd.DataFrame({"run_id": ["base-1"], "a": [0.45], "b": [0.9]})


def test_64_attempts_solve_a_question_at_epsilon_with_95_percent() -> None:
    assert EPSILON_64 == pytest.approx(0.0457, abs=5e-5)
    assert 1 - (1 - EPSILON_64) ** 64 == pytest.approx(0.95)


# fitted to 20,000 questions of the simulated base model at 16 attempts each
FITTED = pd.DataFrame({"run_id": ["base-1"], "a": [0.3024], "b": [0.8033]})


def test_zero_of_8_or_16_is_undetermined_and_zero_of_30_is_beyond() -> None:
    for n, expected in (8, "undetermined"), (16, "undetermined"), (29, "undetermined"), (30, "beyond"), (64, "beyond"):
        one = reach(trajectories([0], n_attempts=n), FITTED).iloc[0]
        assert one["reach"] == expected, n
        # P(p < epsilon | 0 of n) under Beta(a, b) is I_epsilon(a, b + n)
        assert one["p_below"] == pytest.approx(betainc(0.3024, 0.8033 + n, EPSILON_64))


def test_all_draws_enter_the_posterior_and_undecided_attempts_do_not() -> None:
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
    assert reach(frame, FLAT, step=10)["n_decided"].tolist() == [8, 8, 8]


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


def test_few_of_those_called_beyond_are_not() -> None:
    # the table of the design: with 64 attempts about 26 % are beyond, 56 % within, under .4 % of the beyond wrong
    rng = np.random.default_rng(9)
    rate_Q = frozen_rates(20_000, rng)
    frame = trajectories(rng.binomial(64, rate_Q), n_attempts=64)
    reached = reach(frame, fit_prior(frame))
    share = reached["reach"].value_counts(normalize=True)
    assert share["beyond"] == pytest.approx(0.26, abs=0.02) and share["within"] == pytest.approx(0.56, abs=0.02)
    wrong = rate_Q[(reached["reach"] == "beyond").to_numpy()] >= EPSILON_64
    assert wrong.mean() < 0.01
