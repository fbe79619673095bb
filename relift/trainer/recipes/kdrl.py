"""KDRL with annealing (as compared in arXiv 2609.04108): rewards and a teacher in the same update, the teacher fading.

    L = -1/N sum_t [min(r A, clip(r, 0.8, 1.2) A) + r beta (log p_teacher(y_t) - log p(y_t))],  beta from .2 to .002

A = (reward - mean) / std, the difference detached, N the tokens of the batch. Both ends of beta are theirs (from notes
on the paper); `teacher.final_weight = "none"` keeps beta where it is.
`teacher.answers = "wrong"` is their KDRL-mask: the teacher's term is of wrong answers alone, over the same N.

Departures: as in opd; that beta falls on a straight line over the run is ours, and so are clip, average and rate,
and that masked tokens still count in N.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relift.learner.update import Update
from relift.trainer.answers import Answers
from relift.trainer.components import distill
from relift.trainer.recipe import Method, Recipe
from relift.trainer.recipes import opd_rl
from relift.trainer.step import Step

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": opd_rl.DEFAULTS["rl"],
    "teacher": {"weight": 0.2, "final_weight": 0.002},
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Reinforce and distill on the rollouts."""
    assert recipe.rl is not None and recipe.teacher is not None
    weight = recipe.teacher.weight(step.number)
    wrong_QG = answers.rewarded_QG & ~answers.correct_QG if recipe.teacher.answers == "wrong" else None
    yield from distill(recipe.rl, step, answers, weight=weight, rewarded=True, weighed_QG=wrong_QG)


METHOD = Method(DEFAULTS, updates)
