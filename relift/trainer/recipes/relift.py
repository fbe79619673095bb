"""ReLIFT (arXiv 2506.07527): RL on the rollouts, and fine-tuning on demonstrations of the questions beyond its reach.

    RL:           L = -1/N sum_t min(r A, clip(r, 0.8, 1.28) A), 3 A at least where A < 0;  A = reward - mean
    fine-tuning:  L = -1/N sum_t log pi(y_t) - alpha/N sum_t H_t,  alpha = 1e-4

A question whose attempts were all wrong sends its demonstration into the buffer; M of them make one step with a second
AdamW over the same weights. Numbers: the authors' script of July 2025 (github.com/TheRoadQaQ/ReLIFT,
examples/math-7b/train_relift.sh at 7e3e4bb). Departures, each with an option that takes it back: token means exact
over the whole batch, demonstrations checked before entry, one entry per question, solved questions leave the buffer.
docs/differences.md has the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from relift.learner.update import Update
from relift.trainer.answers import Answers
from relift.trainer.components import fine_tune, reinforce
from relift.trainer.recipe import Demonstrations, Method, Recipe, step_questions
from relift.trainer.step import GroupRequest, Step, plain_request

DEFAULTS = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "mean",
        "clip_low": 0.2,
        "clip_high": 0.28,
        "dual_clip": 3.0,
        "denominator": "tokens",
        "optimizer": {"lr": 1e-6, "betas": (0.9, 0.999), "weight_decay": 0.01},
    },
    "sft": {
        "loss": "sft",
        "denominator": "tokens",
        "entropy_weight": 1e-4,
        "optimizer": {"lr": 1e-6, "betas": (0.9, 0.999), "weight_decay": 0.01},
    },
}


def plan(recipe: Recipe, step: Step) -> list[GroupRequest]:
    """Plan n attempts at each of the step's questions and, where so configured, at those of the batch that is due."""
    assert recipe.rl is not None
    asked = step_questions(recipe, step)
    there = {ask.item.question_ix for ask in asked}
    again = [ix for ix in step.buffer.to_check(step.number) if ix not in there]
    checks = [replace(plain_request(step.item(ix), n=recipe.rl.attempts), is_check=True) for ix in again]
    return [*asked, *checks]


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Reinforce on the rollouts; a question that was all wrong waits, and M of them make one fine-tuning step."""
    assert recipe.rl is not None and recipe.sft is not None
    step.buffer.offer(step.number, answers.counts, entropy=answers.mean_entropy)
    yield from reinforce(recipe.rl, step, answers)
    for demos in step.buffer.due(step.number):
        yield fine_tune(recipe.sft, demos)


METHOD = Method(DEFAULTS, updates, plan, Demonstrations.buffered)
