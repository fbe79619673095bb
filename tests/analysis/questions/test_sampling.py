import numpy as np
import pandas as pd
import pytest

from relift.analysis import cover, crossover, pass_at_k, sampling_gap, with_crossings
from relift.errors import InputError
from tests.analysis.frames import trajectories


def test_pass_at_k_by_hand() -> None:
    # of 4 attempts 0, 2, 4 correct; k = 2: 0, 1 - C(2,2)/C(4,2) = 5/6, 1; mean 11/18
    frame = pass_at_k(trajectories([0, 2, 4], n_attempts=4), ks=[1, 2, 4])
    assert frame["k"].tolist() == [1, 2, 4]
    np.testing.assert_allclose(frame["value"], [1 / 2, 11 / 18, 2 / 3])
    assert (frame["low"] < frame["value"]).all() and (frame["value"] < frame["high"]).all()
    assert frame["n_attempts"].tolist() == [4, 4, 4] and frame["n_questions"].tolist() == [3, 3, 3]


def test_pass_at_k_pools_both_draws_and_no_top_up() -> None:
    both = pd.concat([trajectories([1, 3], n_attempts=4), trajectories([1, 1], n_attempts=4, draw=1)])
    # 2 and 4 of 8
    assert pass_at_k(both, ks=[1])["value"].tolist() == [pytest.approx(6 / 16)]
    assert pass_at_k(both)["k"].tolist() == [1, 2, 4]  # up to half of 8
    more = pd.concat([both, trajectories([64, 64], n_attempts=64, draw=2)])
    pd.testing.assert_frame_equal(pass_at_k(more), pass_at_k(both))


def test_pass_at_k_is_never_padded() -> None:
    frame = trajectories([1, 2], n_attempts=4, n_undecided=[0, 1])
    assert pass_at_k(frame, ks=[3])["n_attempts"].tolist() == [3]
    with pytest.raises(InputError, match=r"pass@4: run base has a question with 3 decided attempts at step 0"):
        pass_at_k(frame, ks=[4])


def crossing() -> pd.DataFrame:
    # the base answers each of 8 questions in 2 of 8 attempts, the run half of them always and the others never
    return pd.concat([trajectories([2] * 8), trajectories([8, 8, 8, 8, 0, 0, 0, 0], run="rl", step=5)])


def test_crossover_by_hand() -> None:
    # base: 1 - C(6,k)/C(8,k) = .25, 13/28 = .46, 36/56 = .64; the run .5 at every k
    found = crossover(crossing(), base="base")
    assert found[["run", "step", "k_star", "k_max"]].to_numpy().tolist() == [["rl", 5, 3.0, 8]]
    # with w of 8 drawn questions always right the run is at w/8: k* is 1 for w <= 2, 2 for 3, 3 for 4 and 5, 4 for 6
    # (1 - 15/70 = .79), 6 for 7 (1 - C(6,5)/C(8,5) = .89 at 5: 5); w is Binomial(8, 1/2), P(w <= 1) = .035
    assert found["low"].item() in (1, 2) and found["high"].item() in (4, 5)
    marked = with_crossings(pass_at_k(crossing(), ks=[1, 2]), found)
    assert marked.loc[marked["run"] == "rl", "k_star"].tolist() == [3, 3]
    assert marked.loc[marked["run"] == "base", "k_star"].isna().all()


def test_equal_curves_cross_at_once() -> None:
    same = pd.concat([trajectories([2, 4]), trajectories([2, 4], run="rl", step=5)])
    assert crossover(same, base="base", resamples=5)["k_star"].tolist() == [1]


def test_a_crossing_beyond_what_was_sampled_is_null() -> None:
    frame = pd.concat([trajectories([0, 0]), trajectories([8, 8], run="rl", step=5)])
    found = crossover(frame, base="base", resamples=10)
    assert found[["k_star", "low", "high"]].isna().all(axis=None) and found["crossed"].item() == 0
    with pytest.raises(InputError, match="k up to 9 asked for, the least attempts are 8"):
        crossover(frame, base="base", ks=[9])


def test_a_run_is_compared_with_its_own_start() -> None:
    frame = pd.concat([trajectories([2] * 4), trajectories([8, 8, 0, 0], step=5)])
    assert crossover(frame, base="base", resamples=5)[["step", "k_star"]].to_numpy().tolist() == [[5, 3]]
    with pytest.raises(InputError, match="no run has a probe at a step after 0"):
        crossover(trajectories([2]), base="base")


def test_sampling_gap_by_hand() -> None:
    found = sampling_gap(crossing(), base="base", k=2)
    assert found["base_value"].item() == pytest.approx(13 / 28) and found["value"].item() == pytest.approx(0.5)
    assert found["gap"].item() == pytest.approx(13 / 28 - 1 / 2)
    with pytest.raises(InputError, match="pass@256 of base: a question has only 8"):
        sampling_gap(crossing(), base="base")


def test_cover_is_the_share_at_or_above() -> None:
    frame = cover(trajectories([0, 2, 4, 8]), taus=[0.25, 0.5, 0.51, 1.0])
    assert frame["value"].tolist() == [3 / 4, 2 / 4, 1 / 4, 1 / 4]
    # other draws would give step 0 more attempts than later steps have
    two = pd.concat([trajectories([0, 2, 4, 8]), trajectories([8, 8, 8, 8], draw=1)])
    pd.testing.assert_frame_equal(cover(two, taus=[0.25]), frame.head(1))


@pytest.mark.parametrize("k", [1, 3, 8])
def test_cover_integrates_to_pass_at_k_with_replacement(k: int) -> None:
    # k times the integral of (1 - t)^(k - 1) G(t) = mean of 1 - (1 - c/n)^k; G is constant between multiples of 1/8
    correct = np.array([0, 1, 3, 3, 7, 8])
    edges = np.arange(9) / 8
    level = cover(trajectories(correct), taus=edges[1:].tolist())["value"].to_numpy()
    integral = (level * ((1 - edges[:-1]) ** k - (1 - edges[1:]) ** k)).sum()
    assert integral == pytest.approx((1 - (1 - correct / 8) ** k).mean(), abs=1e-12)
