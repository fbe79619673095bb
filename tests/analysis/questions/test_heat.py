"""Lists of questions: their ends, their order, bars of a heat map, sparklines."""

from __future__ import annotations

import numpy as np
import pandas as pd

from relift.analysis.questions.heat import ends_of, heat_bars, order_by_shape, sparklines
from relift.analysis.runs.counts import Cube


def cube(correct: list[list[int]], decided: list[list[int]]) -> Cube:
    n_q, n_t = np.shape(correct)
    return Cube(np.array(correct, np.int16), np.array(decided, np.int16), np.arange(n_t) * 10, np.arange(n_q))


def test_ends_are_the_first_and_last_measured_probe() -> None:
    frame = ends_of(cube([[0, 2, 4], [1, 3, 0], [0, 2, 0], [0, 0, 0]], [[4, 4, 4], [4, 4, 0], [0, 4, 0], [0, 0, 0]]))
    assert frame["rate_first"].tolist()[:3] == [0, 0.25, 0.5]
    assert frame["rate_last"].tolist()[:3] == [1, 0.75, 0.5]
    assert frame["change"].tolist()[:2] == [1, 0.5]
    assert frame["change"].isna().tolist() == [False, False, True, True]  # one probe shows no change
    assert frame["n_probes"].tolist() == [3, 2, 1, 0]


def test_a_run_without_probes_has_ends_of_nothing() -> None:
    frame = ends_of(Cube(np.zeros((2, 0), np.int16), np.zeros((2, 0), np.int16), np.zeros(0, int), np.arange(2)))
    assert len(frame) == 2
    assert frame["rate_last"].isna().all()


def test_order_is_by_class_then_gain_then_last_rate() -> None:
    ends = pd.DataFrame({"change": [0.1, 0.5, 0.5, 0.9, np.nan], "rate_last": [0.1, 0.6, 0.9, 1.0, 0.5]})
    order = order_by_shape(["lost", "gained", "gained", "stuck", None], ends)
    assert order.tolist() == [2, 1, 0, 3, 4]  # gained, lost, stuck, then unknown


def test_bars_average_rates_of_neighbours_and_skip_the_unmeasured() -> None:
    # 3 questions, 2 steps, at most 4 cells: 2 bars of 2 and 1 questions
    correct, decided = np.array([[0, 2], [4, 0], [1, 4]], np.int16), np.array([[4, 4], [4, 0], [4, 4]], np.int16)
    frame = heat_bars({"rl": (correct, decided, np.array([0, 10]))}, max_cells=4)
    assert frame["accuracy"].tolist() == [0.5, 0.5, 0.25, 1.0]  # (0 + 1)/2; 2/4 alone; 1/4; 4/4
    assert frame["first"].tolist() == [0, 0, 2, 2]
    assert frame["n_questions"].tolist() == [2, 2, 1, 1]
    assert frame["next_step"].tolist() == [10, 20, 10, 20]


def test_bars_stay_within_the_number_of_cells() -> None:
    zeros = np.zeros((10_000, 300), np.int16)
    frame = heat_bars({"a": (zeros, zeros, np.arange(300)), "b": (zeros, zeros, np.arange(300))})
    assert len(frame) <= 5000
    assert frame.drop_duplicates(["run", "bar"]).groupby("run")["n_questions"].sum().tolist() == [10_000, 10_000]
    assert set(frame.loc[frame["run"] == "a", "step"]) >= {0, 299}


def test_sparklines_keep_measured_probes_and_both_ends() -> None:
    n = 100
    correct, decided = np.arange(n)[None, :] % 5, np.full((1, n), 4)
    lines = sparklines(cube(correct.tolist(), decided.tolist()), np.array([0, -1]))
    assert len(lines[0]) == 32
    assert lines[0][0] == 0.0
    assert lines[0][-1] == 1.0  # 99 % 5 = 4 of 4
    assert lines[1] == []
    gap = sparklines(cube([[1, 0, 3]], [[4, 0, 4]]), np.array([0]))
    assert gap == [[0.25, 0.75]]
