"""Prefix-RFT (Huang et al., arXiv 2507.01679): one of n attempts continues a demonstration, whose start it learns too.

    L = -1/(S L_max) sum_t m min(r A, clip(r, 0.8, 1.2) A), 3 A at least where A < 0;  A = reward - mean

over the n attempts of a question, one of which is given the start of its demonstration. m is 1 but for the given
tokens, of which the fifth with the highest entropy is kept: 0 for the others. The share that is given is drawn between
a least and a largest one; the least falls in a half cosine over the run, so that starts get shorter. Numbers: the
authors' code (github.com/ZeroYuHuang/prefix_rft at 5f5d2a1, recipe/prefix_rft/config/prefix_rft_trainer.yaml,
core_algos.py, dp_actor.py): clip 0.2, dual clip 3, entropy 0.001, learning rate 1e-6. The fifth is the paper's.

Departures: the code names no shares: 0.95 down to 0.05 of a demonstration are ours. The top of the entropy is taken in
each start, theirs over a micro-batch. Their sum / L_max is not divided by the number S of answers; what an attempt
writes has L_max of its own, theirs shares it with the start. The entropy bonus stands under the same average.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from relift.learner.losses import of_given
from relift.learner.update import Update
from relift.trainer.answers import Answers
from relift.trainer.components import reinforce
from relift.trainer.recipe import Demonstrations, Method, Recipe
from relift.trainer.recipes import prefix_rl
from relift.trainer.step import Step

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "mean",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "dual_clip": 3.0,
        "denominator": "max_tokens",
        "entropy_weight": 0.001,
        "optimizer": {"lr": 1e-6, "weight_decay": 0.01},
    },
    "prefix": {
        "place": "answer",
        "questions": "all",
        "attempts": 1,
        "low": 0.95,
        "high": 0.95,
        "final_low": 0.05,
        "schedule": "cosine",
        "top_entropy": 0.2,
    },
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Reinforce on all attempts of a question as one group, the given starts among what is trained on."""
    rl = recipe.rl
    assert rl is not None and recipe.prefix is not None
    step.buffer.offer(step.number, answers.counts, entropy=answers.mean_entropy)
    loss = of_given(rl.loss, recipe.prefix.top_entropy)
    yield from reinforce(replace(rl, loss=loss, trains_given=True), step, answers)


METHOD = Method(DEFAULTS, updates, prefix_rl.plan, Demonstrations.given)
