"""LUFFY (Yan et al., arXiv 2504.14945): the demonstration joins its question's group as an answer of another policy.

    rollouts:       L = -1/(S L_max) sum_t r A
    demonstration:  L = -1/(S L_max) sum_t f(p) A,  f(p) = p/(p + 0.1)

with A = reward - mean over n - 1 rollouts and the demonstration (reward 1), S both together: one denominator. f lifts
the gradient of tokens that the policy finds unlikely: c_t = A 0.1 p/(p + 0.1)^2. Where every rollout is right, A is 0
and the demonstration is not trained on. Numbers: the authors' code (exp_scripts/qwen2.5-math-7b/train.sh at 2af5bea,
luffy/verl/verl/mix_src/mix_core_alg.py): no clip, no standard deviation, entropy 0.001, learning rate 1e-6. Their sum
over tokens / 8192 is not divided by S: with 64 sequences per process its gradient is 64 times ours, so that a limit on
the norm is to be divided by 64 (derived from those lines, not run).

Departures: exact denominators over the whole update; the entropy bonus stands under the rollouts' denominator, theirs
is a mean over the tokens of both; a question without a demonstration has n - 1 answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from relift.learner.update import Component, Update
from relift.trainer.answers import Answers
from relift.trainer.components import demo_sequence, join_groups, joined_terms, kind_of, rl_components
from relift.trainer.recipe import Demonstrations, Method, Recipe, step_questions
from relift.trainer.step import Step

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": {
        "loss": "ratio",
        "advantage": "mean",
        "denominator": "max_tokens",
        "entropy_weight": 0.001,
        "optimizer": {"lr": 1e-6},
    },
    "sft": {"loss": "luffy", "luffy_gamma": 0.1, "denominator": "max_tokens", "moments": "shared"},
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Train on the rollouts and on the demonstrations that joined them, in the same update."""
    rl, sft = recipe.rl, recipe.sft
    assert rl is not None and sft is not None
    groups = join_groups(rl, step, answers)
    losses = [(sft.loss, sft.norm, sft.scale)]
    for questions, component in rl_components(rl, step, answers, groups=groups):
        parts = [component] if component is not None else []
        trained = [int(q) for q in questions if groups.advantage_Q[q] != 0]
        if trained:
            terms = joined_terms(rl, answers, groups, questions=questions, trained=trained, losses=losses)
            demos = [groups.demos[q] for q in trained]
            advantage_S = groups.advantage_Q[trained]
            sequences = [demo_sequence(d, advantage=a) for d, a in zip(demos, advantage_S, strict=True)]
            parts.append(Component("demo", tuple(sequences), terms))
            step.buffer.record_uses(step.number, demos)
        if parts:
            yield Update(kind_of(parts), sft.optimizer, tuple(parts))


METHOD = Method(DEFAULTS, updates, step_questions, Demonstrations.joined, places_of_demos=1)
