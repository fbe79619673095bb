import numpy as np
import pandas as pd
import pytest

from relift.analysis import Cube, classify_trajectories, data_map, question_heat
from relift.errors import InputError
from tests.analysis.frames import trajectories


def cube(correct_QT: list[list[int]], decided_QT: list[list[int]]) -> Cube:
    c, n = (np.array(x, np.int16) for x in (correct_QT, decided_QT))
    return Cube(c, n, np.arange(c.shape[1]), np.arange(len(c)))


def test_data_map_by_hand() -> None:
    # q0: 0 and 1: mean .5, sd .5; q1, q2: .5 and .5: sd 0; q3 measured once
    found = data_map(cube([[0, 8], [4, 4], [4, 4], [8, 0]], [[8, 8], [8, 8], [8, 8], [8, 0]]), bins=10)
    assert found[["mean_low", "sd_low", "count"]].to_numpy().tolist() == [[0.5, 0.0, 2], [0.5, 0.45, 1]]
    np.testing.assert_allclose(found["noise_sd"], np.sqrt(0.25 / 8))
    with pytest.raises(InputError, match="no question was measured at two steps"):
        data_map(cube([[1], [2]], [[8], [8]]))


def test_noise_of_the_map_is_what_chance_gives() -> None:
    rng = np.random.default_rng(7)
    found = data_map(cube(rng.binomial(8, 0.5, (4_000, 50)).tolist(), np.full((4_000, 50), 8).tolist()), bins=40)
    middle = (found["sd_low"] + found["sd_high"]) / 2
    assert np.average(middle, weights=found["count"]) == pytest.approx(np.sqrt(0.25 / 8), abs=0.005)


def test_heat_map_is_sorted_by_class_and_keeps_every_question() -> None:
    rng = np.random.default_rng(2)
    base = [0, 16, 0, 16] * 25
    end = [16, 0, 0, 16] * 25
    frame = pd.concat(
        [trajectories(c, n_attempts=16, step=s, run="rl") for s, c in ((0, base), (5, end), (9, end))]
    ).sample(frac=1, random_state=int(rng.integers(9)))
    heat = question_heat(frame, classify_trajectories(frame), max_rows=10)
    at_end = heat[heat["step"] == 9]
    assert at_end["row"].tolist() == list(range(len(at_end))) and at_end["n_questions"].sum() == 100
    assert at_end["class"].drop_duplicates().tolist() == ["gained", "lost", "stuck", "always"]
    assert at_end.groupby("class")["accuracy"].mean().to_dict() == {"gained": 1, "lost": 0, "stuck": 0, "always": 1}
    assert at_end["n_questions"].max() == 10 and len(at_end) == 12  # 25 a class: bars of 10, 10, 5
