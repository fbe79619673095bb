"""BREAD (Zhang et al., arXiv 2506.17211): a question that was all wrong is branched from its demonstration, at once.

    L = -1/N sum_t min(r A, clip(r, 0.8, 1.2) A),  A = (reward - mean) / std,  N the tokens of the answers trained on

When all n attempts at a question are wrong, n more continue a short start of its demonstration, and longer ones as
long as all are wrong: the shortest start that leads to a right answer. Those n take the place of the ones before them;
the start has no gradient. Only the first n count in gates, accuracy and trajectories; every answer costs its tokens.

Departures: the paper was read in its abstract and second-hand notes, there is no code: `prefix.stages` (a quarter, half
and three quarters) and that they are tried from the shortest on are ours, and GRPO's loss and learning rate.
"""

from __future__ import annotations

from typing import Any

from relift.trainer.ladder import climb, reinforce_last
from relift.trainer.recipe import Demonstrations, Method, step_questions

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "std",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "denominator": "tokens",
        "optimizer": {"lr": 1e-6},
    },
    "prefix": {"place": "answer", "stages": (0.25, 0.5, 0.75)},
}

METHOD = Method(DEFAULTS, reinforce_last, step_questions, Demonstrations.given, again=climb)
