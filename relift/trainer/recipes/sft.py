"""SFT: cross-entropy on demonstrations alone.

    L = -1/N sum_t log pi(y_t), N the tokens of the batch

Numbers: the corrected baseline of Limozin et al., arXiv 2604.23747 (batch 64, 3 epochs). From their settings we depart
in nothing that is known to us; their loss is a mean over the tokens of the batch, as here.
"""

from __future__ import annotations

from collections.abc import Iterator

from relift.learner.update import Update
from relift.trainer.answers import Answers
from relift.trainer.components import fine_tune
from relift.trainer.recipe import Demonstrations, Method, Recipe
from relift.trainer.step import GroupRequest, Step

OPTIMIZER = {
    "lr": 5e-5,
    "betas": (0.9, 0.999),
    "weight_decay": 0.01,
    "warmup_share": 0.1,
    "schedule": "cosine",
    "final_ratio": 0.1,
}
DEFAULTS = {"sft": {"loss": "sft", "denominator": "tokens", "optimizer": OPTIMIZER}}


def plan(recipe: Recipe, step: Step) -> list[GroupRequest]:
    """Sample nothing."""
    return []


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Make one step on the next batch of the shuffled demonstrations."""
    assert recipe.sft is not None
    demos = step.demonstrations(step.number - 1)
    step.buffer.record_uses(step.number, demos)
    yield fine_tune(recipe.sft, demos)


METHOD = Method(DEFAULTS, updates, plan, Demonstrations.stream)
