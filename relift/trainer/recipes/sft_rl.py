"""SFT, then RL: `sft.phase_steps` steps of cross-entropy on demonstrations, then RL without them.

RL: L = -1/N sum_t min(r A, clip(r, 0.8, 1.28) A), A = reward - mean, N the tokens of the batch.

Numbers: Limozin et al., arXiv 2604.23747 (SFT batch 64; RL 128 x 8, mini-batches of 64 questions, 500 steps at lr 1e-6
constant, no entropy bonus, no KL). Each phase has an optimizer and a schedule of its own; the moments of SFT are
dropped when RL begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relift.learner.update import Update
from relift.trainer.answers import Answers
from relift.trainer.components import reinforce
from relift.trainer.recipe import Demonstrations, Method, Recipe, step_questions
from relift.trainer.recipes import sft
from relift.trainer.step import GroupRequest, Step

DEFAULTS: dict[str, dict[str, Any]] = {
    **sft.DEFAULTS,
    "rl": {
        "loss": "ppo_clip",
        "advantage": "mean",
        "clip_low": 0.2,
        "clip_high": 0.28,
        "denominator": "tokens",
        "optimizer": {"lr": 1e-6, "betas": (0.9, 0.999), "weight_decay": 0.01},
    },
}


def plan(recipe: Recipe, step: Step) -> list[GroupRequest]:
    """Sample nothing in the first phase, the step's questions in the second."""
    return [] if step.number <= recipe.phase_steps else step_questions(recipe, step)


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Fine-tune on a batch of the stream in the first phase, reinforce in the second."""
    assert recipe.rl is not None
    if step.number <= recipe.phase_steps:
        yield from sft.updates(recipe, step, answers)
        return
    if step.number == recipe.phase_steps + 1:
        step.forget_moments("sft")
    yield from reinforce(recipe.rl, step, answers)


METHOD = Method(DEFAULTS, updates, plan, Demonstrations.stream)
