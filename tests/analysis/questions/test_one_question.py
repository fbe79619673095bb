"""One question over steps: its rate and interval, its flip, the attempt to read first."""

from __future__ import annotations

import pandas as pd
import pytest

from relift.analysis.questions.one_question import (
    caption_question_trajectory,
    flip_of,
    plot_question_trajectory,
    question_trajectory,
    typical_attempt,
)


def counts() -> pd.DataFrame:
    return pd.DataFrame(
        [("r", "rl", 0, 0, 8), ("r", "rl", 0, 1, 8), ("r", "rl", 5, 4, 8), ("r", "rl", 9, 0, 0)],
        columns=["run_id", "run", "step", "n_correct", "n_decided"],
    )


def test_draws_are_summed_and_intervals_are_exact() -> None:
    frame = question_trajectory(counts())
    assert frame["n_correct"].tolist() == [1, 4, 0]
    assert frame["rate"].tolist()[:2] == [1 / 16, 0.5]
    # Clopper and Pearson, 1 of 16: scipy.stats.beta.ppf(.025, 1, 16) = .00158, ppf(.975, 2, 15) = .30232
    assert frame["low"].iloc[0] == pytest.approx(0.00158, abs=1e-5)
    assert frame["high"].iloc[0] == pytest.approx(0.30232, abs=1e-5)
    assert frame.loc[2, ["rate", "low", "high"]].isna().all()


@pytest.mark.parametrize(
    ("correct", "decided", "places"),
    [
        ([0, 1, 8, 8], [8, 8, 8, 8], (1, 2)),
        ([8, 0, 8], [8, 8, 8], (0, 1)),  # the first of equal moves
        ([0, 0, 8], [8, 0, 8], (0, 2)),  # the probe between was not measured
        ([3, 3, 3], [8, 8, 8], (0, 2)),  # nothing moved: both ends
        ([3], [8], None),
        ([0, 3], [0, 8], None),
    ],
)
def test_the_flip_is_the_largest_move(correct: list[int], decided: list[int], places: tuple[int, int] | None) -> None:
    assert flip_of(correct, decided) == places


def attempts() -> pd.DataFrame:
    return pd.DataFrame(
        {"verdict": ["wrong", "wrong", "correct", "wrong"], "answer": ["7", "9", "5", "9"]}, index=[10, 11, 12, 13]
    )


def test_the_attempt_to_read_has_the_commonest_answer_of_its_verdict() -> None:
    assert typical_attempt(attempts(), prefer="wrong") == 11  # two say 9, the first of them
    assert typical_attempt(attempts(), prefer="correct") == 12
    assert typical_attempt(attempts(), prefer="undecided") == 11  # none: the commonest of all
    assert typical_attempt(attempts().iloc[:0], prefer="wrong") is None


def test_the_figure_draws_lines_and_events() -> None:
    frame = question_trajectory(counts())
    events = pd.DataFrame({"run": ["rl"], "step": [5], "event": ["train"]})
    axes = plot_question_trajectory(frame, events)
    assert axes.lines[0].get_xdata().tolist() == [0, 5]
    assert any(line.get_marker() == "^" and list(line.get_xdata()) == [5] for line in axes.lines)
    assert "8 to 16 attempts a point" in caption_question_trajectory(frame)
