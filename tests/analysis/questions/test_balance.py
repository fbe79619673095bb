"""Gained less lost: questions and attempts tell one story."""

from __future__ import annotations

import pandas as pd
import pytest

from relift.analysis import balance, say_balance
from relift.errors import InputError
from tests.analysis.frames import trajectories


def test_counts_and_their_sentence() -> None:
    # of 8 attempts each: 0 -> 1 newly solved, 2 -> 0 no longer, 4 -> 8 rose, 3 -> 3 the same
    frame = pd.concat([trajectories([0, 2, 4, 3]), trajectories([1, 0, 8, 3], run="rl", step=9)])
    row = balance(frame).to_dict("records")[0]
    assert (row["newly_solved"], row["no_longer_solved"], row["solved_before"], row["solved_after"]) == (1, 1, 3, 3)
    assert (row["n_rose"], row["n_fell"], row["correct_before"], row["correct_after"]) == (2, 1, 9, 12)
    assert say_balance(row) == (
        "Of 4 questions 1 are newly solved and 1 no longer, so 3 are solved at least once, as many as before; 2 are "
        "answered more often and 1 less often, which together is +3 correct attempts of 32."
    )


def test_undecided_attempts_are_in_no_count() -> None:
    frame = pd.concat(
        [
            trajectories([0, 2, 1], n_undecided=[0, 0, 8]),
            trajectories([1, 0, 4], run="rl", step=9, n_undecided=[0, 4, 0]),
        ]
    )
    row = balance(frame).to_dict("records")[0]
    assert row["n_questions"] == 2 and (row["decided_before"], row["decided_after"]) == (16, 12)
    assert "of 12, from 2 of 16" in say_balance(row) and "\N{MINUS SIGN}1 correct" in say_balance(row)


def test_nothing_shared_is_said() -> None:
    frame = pd.concat([trajectories([0]), trajectories([1], run="rl", step=9, questions=["other"])])
    with pytest.raises(InputError, match="no run shares a question"):
        balance(frame)
