"""Draw questions by their recent accuracy: the weights, the draws, and what a resume needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relift.config import CurriculumConfig
from relift.errors import InputError
from relift.store import RunReader, check_run
from relift.trainer.answers import GroupCounts
from relift.trainer.configuration import load_config
from relift.trainer.curriculum import Curriculum
from tests.trainer.scripted import scripted_run, train


def counts(*rows: tuple[int, int, int]) -> GroupCounts:
    """Give (question_ix, n_correct, n_decided) of four attempts each."""
    ix, right, decided = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return GroupCounts(ix, right, decided, np.full(len(rows), 4))


def made(n: int, *, seed: int = 0) -> Curriculum:
    return Curriculum(CurriculumConfig(order="accuracy", revisit=10), range(n), seed=seed)


def test_weights() -> None:
    """0: solved; 1: 2 of 4; 2: none; 3: 3 of 3 decided; 4: nothing decided; 5: never asked."""
    them = made(6)
    them.note(1, counts((0, 4, 4), (1, 2, 4), (2, 0, 4), (3, 3, 3), (4, 0, 0)))
    assert them.weights(2).tolist() == [0.0, 1.0, 0.25, 0.0, 1.0, 1.0]
    assert them.weights(11).tolist() == [1.0] * 6  # not asked for 10 steps


def test_older_visits_count_half() -> None:
    """2 of 4, then 4 of 4: (1 + 4) / (2 + 4) = .83, solved; then 3 of 4: (2.5 + 3) / (3 + 4) = .79."""
    them = made(1)
    them.note(1, counts((0, 2, 4)))
    them.note(2, counts((0, 4, 4)))
    assert (them.right_N[0], them.decided_N[0], them.weights(3)[0]) == (5.0, 6.0, 0.0)
    them.note(3, counts((0, 3, 4)))
    assert (them.right_N[0], them.decided_N[0], them.weights(4)[0]) == (5.5, 7.0, 1.0)


def test_frequencies_follow_the_weights() -> None:
    """One draw of 1.0, 0.25, 0 and 1.0: 4/9, 1/9, 0, 4/9; over 4,000 steps a share is within 4 sqrt(.25 / 4000)."""
    them = made(4)
    them.note(0, counts((0, 2, 4), (1, 0, 4), (2, 4, 4), (3, 2, 4)))
    them.config = CurriculumConfig(order="accuracy", revisit=10**6)
    drawn = np.bincount([them.begin(step, 1)[0] for step in range(1, 4001)], minlength=4) / 4000
    assert np.abs(drawn - np.array([4, 1, 0, 4]) / 9).max() < 4 * (0.25 / 4000) ** 0.5 and drawn[2] == 0


def test_solved_questions_fill_a_step_that_has_no_others() -> None:
    """The one that was asked longest ago first."""
    them = made(4)
    them.note(2, counts((0, 4, 4), (1, 2, 4)))
    them.note(1, counts((2, 4, 4), (3, 4, 4)))
    assert them.begin(3, 2)[0] == 1 and set(them.more(9)) | set(them.begin(3, 2)) == {0, 1, 2, 3}
    assert made(0).begin(1, 3) == []


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, 12),
    steps=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=8),
    stop=st.integers(0, 7),
)
def test_draws_are_distinct_and_resume(n: int, steps: list[tuple[int, int, int]], stop: int) -> None:
    """None twice in a step; taken up from the state at any step's beginning, the same questions follow."""

    def run(them: Curriculum, first: int) -> list[list[int]]:
        out = []
        for number, (size, more, right) in list(enumerate(steps))[first:]:
            states.setdefault(number, json.dumps(them.state_dict()))
            drawn = [*them.begin(number, size), *them.more(more)]
            assert len(drawn) == len(set(drawn)) == min(n, size + more)
            them.note(number, counts(*((q, (q + right) % 5, 4) for q in drawn)))
            out.append(drawn)
        return out

    states: dict[int, str] = {}
    whole, stop = run(made(n, seed=7), 0), min(stop, len(steps) - 1)
    again = made(n, seed=7)
    again.load_state_dict(json.loads(states[stop]))
    assert run(again, stop) == whole[stop:]


def test_a_run_drops_what_is_solved(tmp_path: Path) -> None:
    """Three of six questions are always right: after the first visit they are asked no more. Weights are recorded."""
    values = {
        "recipe": "grpo",
        "steps": 12,
        "rollout": {"questions_per_step": 2, "attempts_per_question": 2, "max_tokens": 50},
        "curriculum": {"order": "accuracy"},
    }
    run = scripted_run(tmp_path / "run", values, n_train=6, n_right=lambda ix, version: 2 if ix < 3 else 1)
    train(run)
    run.record.writer.close()
    assert check_run(tmp_path / "run").problems == []
    frame = RunReader(tmp_path / "run").read("attempts", origin="rollout")
    visits = frame.groupby("question_ix")["step"].nunique()
    assert visits[[0, 1, 2]].tolist() == [1, 1, 1] and visits.sum() == 24
    assert set(frame["draw_weight"]) == {1.0}
    assert len(set(map(tuple, frame.groupby("step")["question_ix"].unique().tolist()[-3:]))) > 1


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(InputError, match=r"curriculum\.low = 0\.9: more than curriculum\.high = 0\.8"):
        load_config("relift", overrides=["curriculum.low=0.9"])
