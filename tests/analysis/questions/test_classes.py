import numpy as np
import pandas as pd
import pytest

from relift.analysis import CLASSES, classify_trajectories, count_classes
from relift.analysis.questions.classes import chance_of_gain, dispersion
from relift.errors import InputError
from tests.analysis.frames import frozen_rates, trajectories


def gain(c: int, n: int, d: int, m: int) -> float:
    return float(chance_of_gain(*(np.array([x]) for x in (c, n, d, m)), a=1, b=1)[0])


def test_chance_of_gain_in_closed_form() -> None:
    assert gain(0, 0, 0, 0) == pytest.approx(1 / 2, abs=1e-9)
    assert gain(3, 8, 3, 8) == pytest.approx(1 / 2, abs=1e-9)
    # X uniform, Y with density 2y: P(Y > X) = E Y = 2/3; Y with density 9 y^8: 9/10
    assert gain(0, 0, 1, 1) == pytest.approx(2 / 3, abs=1e-6)
    assert gain(0, 0, 8, 8) == pytest.approx(9 / 10, abs=1e-4)
    assert gain(8, 8, 0, 8) == pytest.approx(1 - gain(0, 8, 8, 8), abs=1e-9) and gain(0, 8, 8, 8) > 0.999


def test_dispersion_by_hand() -> None:
    # 0 and 8 of 8: p 1/2, (4^2 + 4^2) / (8 / 4) = 16; 4 and 4: 0; never solved: 0
    found = dispersion(np.array([[0, 8], [4, 4], [0, 0]]), np.full((3, 2), 8))
    np.testing.assert_allclose(found, [16, 0, 0])


def test_classes_by_hand() -> None:
    #         gained lost stuck always flicker steady
    base_1 = [0, 8, 0, 8, 0, 4]
    base_2 = [0, 8, 0, 8, 8, 4]
    middle = [0, 8, 0, 8, 0, 4]
    last_1 = [8, 0, 0, 8, 8, 4]
    last_2 = [8, 0, 0, 8, 4, 4]
    probes = ((base_1, 0, 0), (base_2, 0, 1), (middle, 5, 0), (last_1, 10, 0), (last_2, 15, 0))
    frame = pd.concat([trajectories(c, step=step, draw=draw) for c, step, draw in probes])
    found = classify_trajectories(frame)
    assert found["class"].tolist() == list(CLASSES)
    assert found["first_solve"].tolist()[:2] == [10, 0] and np.isnan(found["first_solve"].iloc[2])
    # flicker: 0 8 0 8 4 is forgotten after the second draw
    assert found["n_forgotten"].tolist() == [0, 1, 0, 0, 1, 0]
    assert found["n_correct_base"].tolist() == [0, 16, 0, 16, 8, 8] and set(found["n_decided_end"]) == {8}
    counted = count_classes(frame, deals=5)
    assert counted["found"].tolist() == [1] * 6 and counted.loc[2, "expected"] == 1  # never solved stays so


def test_runs_without_a_later_probe_are_left_out() -> None:
    frame = pd.concat([trajectories([1, 2]), trajectories([1, 2], run="rl"), trajectories([8, 8], run="rl", step=3)])
    assert set(classify_trajectories(frame)["run"]) == {"rl"}
    with pytest.raises(InputError, match="both a probe at step 0 and a later one"):
        classify_trajectories(trajectories([1, 2]))
    prior = pd.DataFrame({"run_id": ["x-1", "y-1"], "a": 1.0, "b": 1.0})
    with pytest.raises(InputError, match="no prior was fitted for run rl"):
        classify_trajectories(frame, prior)


def five_probes(rate_Q: np.ndarray, later_Q: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    rates = [(0, 0, rate_Q), (0, 1, rate_Q), (10, 0, later_Q), (20, 0, later_Q)]
    return pd.concat([trajectories(rng.binomial(8, p), step=s, draw=d) for s, d, p in rates])


def test_a_class_does_not_depend_on_the_questions_beside_it() -> None:
    one = pd.concat([trajectories([0, 1, 8]), trajectories([2, 8, 1], step=5)])
    beside = [trajectories([c] * 300, step=s, questions=[f"x{i}" for i in range(300)]) for s, c in ((0, 0), (5, 8))]
    alone = classify_trajectories(one)
    among = classify_trajectories(pd.concat([one, *beside])).head(3)
    pd.testing.assert_frame_equal(alone[["class", "p_gain"]], among[["class", "p_gain"]])


def test_chance_is_what_is_found_in_a_frozen_model() -> None:
    rng = np.random.default_rng(12)
    rate_Q = frozen_rates(4_000, rng)
    counted = count_classes(five_probes(rate_Q, rate_Q, rng), deals=20)
    by_class = counted.set_index("class")
    # of 8 attempts at the last probe against 16 at step 0 about 3 % look gained, and as many lost: fewer than the 5 %
    # that the posterior allows each way; a standard error is .3 points
    assert by_class.loc["gained", "share"] == pytest.approx(0.03, abs=0.01)
    assert by_class.loc["lost", "share"] == pytest.approx(0.03, abs=0.01)
    found, expected, sd = (by_class[name] for name in ("found", "expected", "sd"))
    assert (abs(found - expected) <= 3.5 * sd.clip(lower=1)).all()
    assert (expected.sum(), found.sum()) == (pytest.approx(4_000), 4_000)


def test_planted_gains_are_found() -> None:
    rng = np.random.default_rng(13)
    rate_Q = rng.beta(0.45, 0.9, 3_000) * 0.7
    later_Q = np.where(np.arange(3_000) < 1_000, rate_Q + 0.3, rate_Q)
    found = classify_trajectories(five_probes(rate_Q, later_Q, rng))
    gained = (found["class"] == "gained").to_numpy()
    # shifts of .3 are found in about 57 % of questions by the last probe's 8 attempts
    assert 0.5 < gained[:1_000].mean() < 0.65 and gained[1_000:].mean() < 0.08
