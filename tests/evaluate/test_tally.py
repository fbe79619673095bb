"""Running counts: means over questions, what an attempt beyond a benchmark's own counts for, no error of 0."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from relift.evaluate.progress import standing_text
from relift.evaluate.tally import Tally


def test_means_and_their_error() -> None:
    """Rates 1/2, 2/2 and, of one decided attempt (the other undecided), 0/1: mean 1/2. Before the third question is
    seen: variance (1/2)(1/2)/(2 - 1) = 1/4 of the first, 0 of the second: SE sqrt(1/4)/2 = 1/4."""
    tally = Tally({"a": ([5, 6, 7], 2)})
    for question, attempt, verdict in ((5, 0, "correct"), (5, 1, "wrong"), (6, 0, "correct"), (6, 1, "correct")):
        tally.add(question, attempt, verdict=verdict, finish="stop", n_tokens=10, answered=True)
    (s,) = tally.standings()
    assert (s.total, s.done, s.n_questions, s.n_seen, s.mean, s.standard_error) == (6, 4, 3, 2, 0.75, 0.25)
    assert standing_text(s) == "75.0 ± 25.0 so far  truncated 0%"
    tally.add(7, 0, verdict="undecided", finish="length", n_tokens=10, answered=False)
    tally.add(7, 1, verdict="wrong", finish="length", n_tokens=10, answered=True)
    (s,) = tally.standings()
    assert s.mean == pytest.approx(0.5) and s.standard_error is None  # the third has one decided attempt
    assert (s.n_correct, s.n_undecided, s.n_truncated, s.n_truncated_unanswered, s.n_tokens) == (3, 1, 2, 1, 60)
    assert s.low is not None and s.high is not None and 0 < s.low < 0.5 < s.high < 1
    assert standing_text(s) == "50.0  truncated 33%  undecided 16.7%"


def test_nothing_solved_has_no_error_of_zero() -> None:
    tally = Tally({"a": ([0, 1], 2)})
    for question in (0, 1):
        for attempt in (0, 1):
            tally.add(question, attempt, verdict="wrong", finish="stop", n_tokens=1, answered=True)
    (s,) = tally.standings()
    assert s.mean == 0 and s.standard_error is None and s.high is not None and s.high > 0.3
    assert "±" not in standing_text(s)


def test_attempts_beyond_its_own_belong_to_another_benchmark() -> None:
    """Question 3 is in both; b asks it once, so attempt 1 counts in a alone, and once in all."""
    tally = Tally({"a": ([3], 2), "b": ([3, 4], 1)})
    frame = pd.DataFrame(
        {
            "question_ix": [3, 3, 4], "attempt": [0, 1, 0], "verdict": ["wrong", "correct", "correct"],
            "finish": "stop", "n_tokens": [1, 2, 4], "answer": ["1", None, math.nan],
        }
    )  # fmt: skip
    tally.add_frame(frame)
    a, b = tally.standings()
    assert (a.done, a.mean, a.n_tokens) == (2, 0.5, 3) and (b.done, b.mean, b.n_tokens) == (2, 0.5, 5)
    assert (tally.answers, tally.tokens) == (3, 7)
