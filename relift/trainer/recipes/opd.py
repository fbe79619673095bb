"""On-policy distillation (GKD, arXiv 2306.13649): a teacher weighs every token of our own answers; no reward.

    L = -1/N sum_t r beta (log p_teacher(y_t) - log p(y_t)),  the difference detached,  N the tokens of the batch

The difference is the reverse KL of the token that was drawn, the form in which arXiv 2609.04108 compares this family.
Rewards are recorded and not trained on. Prompts are the base model's: a teacher with another chat template reads them
as they are. Its vocabulary has to be the base model's, which is checked.

Departures: the difference is taken under the weights of each update, not once per batch of answers (the same with one
update); the learning rate and the mean over tokens are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relift.learner.update import Update
from relift.trainer.answers import Answers
from relift.trainer.components import distill
from relift.trainer.recipe import Method, Recipe
from relift.trainer.step import Step

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": {"loss": "ratio", "denominator": "tokens", "optimizer": {"lr": 1e-6}},
    "teacher": {"weight": 1.0},
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Distill on the rollouts."""
    assert recipe.rl is not None and recipe.teacher is not None
    yield from distill(recipe.rl, step, answers, weight=recipe.teacher.weight(step.number))


METHOD = Method(DEFAULTS, updates)
