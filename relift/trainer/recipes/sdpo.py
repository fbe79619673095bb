"""SDPO (Hübotter et al., arXiv 2601.20802): the policy that sees a right answer weighs its other ones, token by token.

    L = -1/N sum_t min(r, 2) (log p(y_t | x, y_right) - log p(y_t | x)) log p(y_t | x)

the factors before the last one detached, N the tokens of the answers that are weighed: those whose question has a right
answer of another attempt, the first of which stands in the prompt. No reward beside it; questions that are all wrong
teach nothing. Numbers: the authors' code (github.com/lasgroup/SDPO at 0e6d510, verl/trainer/config/sdpo.yaml and
actor/actor.yaml): ratio capped at 2, learning rate 1e-5, a right answer not shown to itself, one update a batch.

Departures: their default is a Jensen-Shannon divergence over the 100 likeliest tokens and the rest, here the reverse KL
of the token that was drawn, which their code has as full_logit_distillation = false, alpha = 1; their teacher is a
moving average of the weights (rate 0.05), here the weights of the step; the words around the answer are ours, thoughts
in it are left, and there is no feedback but a right answer. Attempts were sampled without it, and count as ever.
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
    "rl": {"loss": "ratio", "denominator": "tokens", "optimizer": {"lr": 1e-5}},
    "privileged": {"weight": 1.0, "ratio_cap": 2.0},
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Distill on every attempt whose question another attempt got right."""
    assert recipe.rl is not None and recipe.privileged is not None
    every_QG = np.ones(answers.decided_QG.shape, bool)
    teaching = from_siblings(recipe.privileged, step, answers, among_QG=every_QG, alone=True)
    groups = Groups(np.zeros(every_QG.shape), {}, np.zeros(len(answers)))
    yield from reinforce(replace(recipe.rl, teaching=teaching), step, answers, groups=groups)


METHOD = Method(DEFAULTS, updates)
