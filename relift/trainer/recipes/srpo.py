"""SRPO (arXiv 2604.02288): right answers learn from rewards, wrong ones from the policy that sees a right answer.

    wrong, another is right:  L = -lambda/N sum_t min(r, 2) (log p(y_t | x, y_right) - log p(y_t | x)) log p(y_t | x)
    every other attempt:      L = -1/N sum_t min(r A, clip(r, 0.8, 1.2) A),  A = (reward - mean) / std

N the tokens of all answers; the first line is that of sdpo. Rewards of every attempt make the mean and deviation, and
the routing is by attempt: z = (1 - correct) times whether there is a teacher (from notes on the paper).

Departures: the paper was read in its abstract and second-hand notes, no code was found: GRPO's clip and learning rate,
lambda = 1 and the one N are ours, and so is all in which sdpo departs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from relift.learner.update import Update
from relift.trainer.answers import Answers
from relift.trainer.components import Groups, reinforce
from relift.trainer.recipe import Method, Recipe
from relift.trainer.self_teacher import from_siblings
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
    "privileged": {"weight": 1.0, "ratio_cap": 2.0},
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Reinforce on right attempts, distill on wrong ones whose question another attempt got right."""
    rl = recipe.rl
    assert rl is not None and recipe.privileged is not None
    wrong_QG = answers.rewarded_QG & ~answers.correct_QG
    teaching = from_siblings(recipe.privileged, step, answers, among_QG=wrong_QG, alone=False)
    assert teaching.weighed_QG is not None
    advantage_QG = np.where(teaching.weighed_QG, 0.0, rl.advantage(answers.reward_QG, answers.rewarded_QG))
    groups = Groups(advantage_QG, {}, np.zeros(len(answers)))
    yield from reinforce(replace(rl, teaching=teaching), step, answers, groups=groups)


METHOD = Method(DEFAULTS, updates)
