"""Rewards that training sees beside the verdicts: penalties, masks, and what stays the verdict's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from relift.config import Config, parse_config
from relift.schema import Finish
from relift.trainer.answers import Answers
from relift.trainer.record import uses_of
from relift.trainer.rewards import Rewarding
from tests.trainer.test_recipes import answers_of, recipe_of, updates_of


def config(**rl: Any) -> Config:
    return parse_config({"rollout": {"max_tokens": 100}, "rl": rl}, where="test")


def rewarding(config: Config) -> Rewarding:
    """Rewards without a function of one's own; nothing is warned of."""
    return Rewarding(config, None, print)


def cut(answers: Answers, *places: tuple[int, int]) -> Answers:
    """Say that the attempts [q][g] were cut off."""
    rows = [
        [replace(c, finish=Finish.length) if (q, g) in places else c for g, c in enumerate(row)]
        for q, row in enumerate(answers.completions_QG)
    ]
    return replace(answers, completions_QG=rows)


def test_the_penalty_of_dapo() -> None:
    """B = 20 of 100: 80 tokens lose nothing, 90 a half, 100 the whole; an undecided attempt has no reward."""
    answers = answers_of("++-?", lengths=[[80, 90, 100, 85]])
    shaped = rewarding(config(truncated="penalty"))([], answers)
    assert shaped.reward_QG.tolist() == [[1.0, 0.5, -1.0, 0.0]]
    assert shaped.rewarded_QG.tolist() == [[True, True, True, False]]
    assert shaped.outcome_QG.tolist() == [[1.0, 1.0, 0.0, 0.0]]
    longer = rewarding(config(truncated="penalty", overlong_tokens=40, overlong_factor=0.5))([], answers)
    assert longer.reward_QG.tolist() == [[0.75, 0.625, -0.5, 0.0]]  # (80 - 60) / 40 / 2 = 1/4, (90 - 60) / 40 / 2 = 3/8


@pytest.mark.parametrize("truncated", ["wrong", "mask", "penalty"])
def test_counts_are_those_of_the_verdicts(truncated: str) -> None:
    """Gates and accuracies see 2 of 3 decided attempts right, whatever training sees."""
    answers = cut(answers_of("++-?", lengths=[[100, 90, 100, 85]]), (0, 0), (0, 2))
    shaped = rewarding(config(truncated=truncated))([], answers)
    assert shaped.counts.rows() == [(0, 2, 3, 4)]
    assert shaped.accuracy_of(1) == 2 / 3


def test_a_penalty_makes_no_signal_of_equal_verdicts() -> None:
    """All wrong, of other lengths: advantages differ, and DAPO drops the group all the same."""
    shaped = rewarding(config(truncated="penalty"))([], answers_of("--", "+-", lengths=[[80, 100], [80, 100]]))
    assert shaped.has_signal_Q.tolist() == [False, True]
    (update,) = updates_of(recipe_of("dapo", "rl.updates_per_batch=1"), shaped)
    assert {s.attempt for s in update.components[0].sequences if s.attempt} == {(1, 0), (1, 1)}
    (update,) = updates_of(recipe_of("grpo", "rl.updates_per_batch=1"), shaped)
    assert len(update.components[0].sequences) == 4  # a recipe that drops nothing learns to be brief


def test_a_masked_attempt_stays_in_the_mean_and_leaves_the_loss() -> None:
    """1 right and 3 wrong of 4, one of them cut off: advantages 3/4 and -1/4; 3 + 3 + 3 tokens are trained on."""
    answers = cut(answers_of("+---", lengths=[[3, 3, 3, 9]]), (0, 3))
    masked = rewarding(config(truncated="mask"))([], answers)
    (update,) = updates_of(recipe_of("relift", "rl.updates_per_batch=1"), masked)
    (component,) = update.components
    assert [s.columns["advantage"][0] for s in component.sequences] == [0.75, -0.25, -0.25]
    assert component.terms[0].denominator == 9
    advantage_QG, used_QG = uses_of(masked, [])
    np.testing.assert_array_equal(advantage_QG, [[0.0, 0.0, 0.0, np.nan]])
    assert not used_QG.any()


def test_a_masked_group_makes_no_sequence() -> None:
    """All cut off: nothing to train on, and nothing divides by zero."""
    masked = rewarding(config(truncated="mask"))([], cut(answers_of("+-"), (0, 0), (0, 1)))
    (update,) = updates_of(recipe_of("relift", "rl.updates_per_batch=1"), masked)
    assert update.components[0].sequences == () and update.components[0].terms[0].denominator == 1.0


def test_no_rollouts() -> None:
    """A step of fine-tuning alone has none."""
    empty = answers_of()
    assert len(rewarding(config(truncated="penalty"))([], empty)) == 0
    assert empty.has_signal_Q.shape == (0,)
