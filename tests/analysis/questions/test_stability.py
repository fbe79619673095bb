import numpy as np
import pandas as pd
import pytest

from relift.analysis import retention, turnover
from relift.analysis.questions.stability import chance_all_later
from relift.errors import InputError
from tests.analysis.frames import frozen_rates, trajectories


def test_chance_by_dealing_attempts_anew() -> None:
    # k correct of 16: all in the second 8 with C(8, k) / C(16, k): 1/2, 28/120, ..., 0 from 9 on; none correct: 0
    found = chance_all_later(np.array([0.0, 1, 2, 8, 9]), np.full(5, 8.0), np.full(5, 8.0))
    np.testing.assert_allclose(found, [0, 1 / 2, 28 / 120, 1 / 12870, 0], atol=1e-12)
    # 4 attempts, then 8: one correct one is in the later probe with 8/12
    assert chance_all_later(np.array([1.0]), np.array([4.0]), np.array([8.0])).tolist() == [pytest.approx(2 / 3)]


def test_turnover_by_hand() -> None:
    # acquired q1 (1 of 16: null 1/2 either way), lost q2 (2 of 16: 28/120), retained q3, never q0
    frame = pd.concat(
        [trajectories([0, 0, 2, 8]), trajectories([0, 1, 0, 8], step=5), trajectories([8, 8, 8, 8], draw=1)]
    )
    row = turnover(frame).iloc[0]
    assert row[["step", "step_before"]].tolist() == [5, 0]
    assert row[["acquired", "lost", "retained", "never", "n_questions"]].tolist() == [1, 1, 1, 1, 4]
    assert row["null_acquired"] == row["null_lost"] == pytest.approx(1 / 2 + 28 / 120)
    assert row["acquired_excess"] == pytest.approx(1 - 1 / 2 - 28 / 120)
    # e .26667, V0 1/4 + .17889: (1 + 3.84146/4) x^2 - (2 e + 3.84146) x + e^2 - 3.84146 V0 = 0 has x = 2.5473
    assert row["acquired_excess_high"] == pytest.approx(2.5473, abs=1e-3)


def test_unmeasured_questions_are_in_nothing() -> None:
    frame = pd.concat([trajectories([0, 3], n_undecided=[8, 0]), trajectories([4, 3], step=5)])
    row = turnover(frame).iloc[0]
    assert row[["acquired", "lost", "retained", "never", "n_unmeasured"]].tolist() == [0, 0, 1, 0, 1]
    with pytest.raises(InputError, match="no run has probes at two steps"):
        turnover(trajectories([1]))


def frozen_turnover(n_sets: int, *, n_questions: int) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    sets = []
    for _ in range(n_sets):
        rate_Q = frozen_rates(n_questions, rng)
        sets.append(turnover(pd.concat([trajectories(rng.binomial(8, rate_Q), step=step) for step in (0, 5)])).iloc[0])
    return pd.DataFrame(sets)


def test_a_frozen_model_shows_no_excess() -> None:
    found = frozen_turnover(150, n_questions=500)
    for kind in ("acquired", "lost"):
        inside = (found[f"{kind}_excess_low"] <= 0) & (found[f"{kind}_excess_high"] >= 0)
        assert 0.90 <= inside.mean() <= 0.99  # three standard errors of .95 in 150 sets are .053
        error = found[f"{kind}_excess"].std() / np.sqrt(len(found))
        assert abs(found[f"{kind}_excess"].mean()) < 3 * error


def test_what_is_gained_shows_and_the_rest_does_not() -> None:
    rng = np.random.default_rng(3)
    rate_Q = frozen_rates(20_000, rng)
    later_Q = np.where(np.arange(20_000) < 2_000, np.maximum(rate_Q, 0.6), rate_Q)
    frame = pd.concat([trajectories(rng.binomial(8, p), step=s) for s, p in ((0, rate_Q), (5, later_Q))])
    row = turnover(frame).iloc[0]
    # of the questions that changed P(0 of 8 before) P(solved later) are acquired, and dealing explains next to none;
    # the unchanged ones are acquired and lost as often as dealing says
    changed = slice(0, 2_000)
    truth = ((1 - rate_Q[changed]) ** 8 * (1 - (1 - later_Q[changed]) ** 8)).sum()
    assert row["acquired_excess_low"] < truth and 0.93 * truth < row["acquired_excess"] < 1.05 * truth
    assert row["lost_excess_low"] < 0 < row["lost_excess_high"]


def test_retention_by_hand() -> None:
    # first mastered (6 to 8 of 8): q0 q1 q2; the second draw shows q0 q1 so, later q0 and q3
    frame = pd.concat(
        [
            trajectories([8, 6, 7, 0]),
            trajectories([8, 6, 5, 8], draw=1),
            trajectories([8, 5, 0, 7], step=3),
            trajectories([8, 8, 0, 0], step=6),
        ]
    )
    found = retention(frame)
    assert found[["step", "n_mastered", "n_still", "n_ever"]].to_numpy().tolist() == [[3, 3, 1, 3], [6, 3, 2, 4]]
    np.testing.assert_allclose(found["share"], [1 / 3, 2 / 3])
    np.testing.assert_allclose(found["null_share"], [2 / 3, 2 / 3])
    np.testing.assert_allclose(found["ever_share"], [1 / 3, 2 / 4])
    assert retention(frame[frame["draw"] == 0])["null_share"].isna().all()


def test_a_frozen_model_keeps_what_the_null_says() -> None:
    rng = np.random.default_rng(5)
    rate_Q = frozen_rates(20_000, rng)
    frame = pd.concat(
        [trajectories(rng.binomial(8, rate_Q), step=s, draw=d) for s, d in ((0, 0), (0, 1), (5, 0), (9, 0))]
    )
    found = retention(frame)
    # about 74 % of Easy stay (design notes, analysis, section 1); 5,000 questions: three standard errors are .03
    np.testing.assert_allclose(found["share"], found["null_share"], atol=0.03)
    assert found["null_share"].iloc[0] == pytest.approx(0.74, abs=0.02)
