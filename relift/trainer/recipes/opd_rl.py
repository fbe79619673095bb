"""Distillation, then RL (arXiv 2609.04108): the first steps distill on-policy, the others reinforce on rewards.

    step <= 60:  L = -1/N sum_t r (log p_teacher(y_t) - log p(y_t)),  the difference detached
    after:       L = -1/N sum_t min(r A, clip(r, 0.8, 1.2) A),  A = (reward - mean) / std,  N the tokens of the batch

The switch after 60 of 120 to 150 steps is theirs (from notes on the paper). Moments of the optimizer go on over it.

Departures: as in opd; of the second phase only that it is GRPO is known to us, so its clip, average and learning rate
are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relift.learner.update import Update
from relift.trainer.answers import Answers
from relift.trainer.components import distill, reinforce
from relift.trainer.recipe import Method, Recipe
from relift.trainer.step import Step

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "std",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "denominator": "tokens",
        "optimizer": {"lr": 1e-6},
    },
    "teacher": {"weight": 1.0, "steps": 60},
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Distill on the rollouts in the first steps, reinforce on them in the others."""
    assert recipe.rl is not None and recipe.teacher is not None
    if step.number <= recipe.teacher.steps:
        yield from distill(recipe.rl, step, answers, weight=recipe.teacher.weight(step.number))
    else:
        yield from reinforce(recipe.rl, step, answers)


METHOD = Method(DEFAULTS, updates)
