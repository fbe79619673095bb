"""SRFT (Fu et al., arXiv 2506.19767): fine-tuning and RL on the same demonstration, weighted by the policy's entropy.

    rollouts:       L = -1/N sum_t w log pi(y_t),  w = 0.1 e^(H_mean) for a correct answer, -1 for a wrong one
    demonstration:  L = -1/N sum_t p A - 1/M sum_t 0.5 e^(-H_mean) log pi(y_t)

with A the demonstration's advantage in the group of n rollouts and itself, H_mean the detached mean entropy of the
sequence, N the tokens of rollouts and demonstrations, M those of demonstrations. `sft.srft_sign` = 1 makes it
0.5 e^(+H_mean), as the authors' code is said to have it (not published); the port in HPT's code
(hpt/verl/verl/mix_src/mix_actor.py and mix_core_alg.py) has e^(-H_mean), as here. Learning rate 1e-6, 500 steps.

Departures: the paper and that port were read in part; the standard deviation of A and the entropy bonus, which they do
not give, are GRPO's and 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from relift.learner.losses import probability
from relift.learner.update import Component, Update
from relift.trainer.answers import Answers
from relift.trainer.components import (
    Groups,
    demo_sequence,
    join_groups,
    joined_terms,
    kind_of,
    rl_components,
    sft_component,
)
from relift.trainer.recipe import Demonstrations, Method, Recipe, step_questions
from relift.trainer.step import Step

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": {
        "loss": "srft_rollout",
        "advantage": "std",
        "denominator": "tokens",
        "optimizer": {"lr": 1e-6},
    },
    "sft": {"loss": "srft_demo", "srft_sign": -1, "denominator": "tokens", "moments": "shared"},
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Train on every decided rollout by its verdict and on the demonstrations by both losses, in the same update."""
    rl, sft = recipe.rl, recipe.sft
    assert rl is not None and sft is not None
    joined = join_groups(rl, step, answers)
    sign_QG = np.where(answers.rewarded_QG, np.where(answers.correct_QG, 1.0, -1.0), 0.0)
    groups = Groups(sign_QG, joined.demos, joined.advantage_Q)
    losses = [(probability(), rl.norm, rl.scale)]
    for questions, component in rl_components(rl, step, answers, groups=groups):
        parts = [component] if component is not None else []
        own = [int(q) for q in questions if int(q) in groups.demos]
        if own:
            demos = [groups.demos[q] for q in own]
            joint = joined_terms(rl, answers, groups, questions=questions, trained=own, losses=losses)
            alone = sft_component(sft, demos, n_questions=len(questions)).terms
            advantage_S = groups.advantage_Q[own]
            sequences = [demo_sequence(d, advantage=a) for d, a in zip(demos, advantage_S, strict=True)]
            parts.append(Component("demo", tuple(sequences), (*alone, *joint)))
            step.buffer.record_uses(step.number, demos)
        if parts:
            yield Update(kind_of(parts), sft.optimizer, tuple(parts))


METHOD = Method(DEFAULTS, updates, step_questions, Demonstrations.joined)
