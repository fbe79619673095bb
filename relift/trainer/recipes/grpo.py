"""GRPO (Shao et al., arXiv 2402.03300): a clipped surrogate on advantages within each question's group.

    L = -mean over sequences of 1/|y| sum_t min(r A, clip(r, 0.8, 1.2) A),  A = (reward - mean) / std

Departures: no KL term unless `rl.kl_weight` is set (theirs: 0.04); standard deviation with ddof 1 and epsilon 1e-6, as
verl has it (TRL 1.16: 1e-4).
"""

from __future__ import annotations

from collections.abc import Iterator

from relift.learner.update import Update
from relift.trainer.answers import Answers
from relift.trainer.components import reinforce
from relift.trainer.recipe import Method, Recipe
from relift.trainer.step import Step

DEFAULTS = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "std",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "denominator": "sequences",
        "optimizer": {"lr": 1e-6},  # to our knowledge theirs; not checked against the paper
    }
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Reinforce on the rollouts."""
    assert recipe.rl is not None
    yield from reinforce(recipe.rl, step, answers)


METHOD = Method(DEFAULTS, updates)
