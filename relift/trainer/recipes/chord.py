"""CHORD (Zhang et al., arXiv 2508.11408): RL and fine-tuning share every update, fine-tuning ever less.

    L = -(1 - mu)/N sum_t min(r A, clip(r, 0.8, 1.2) A) - mu/M sum_t phi_t log pi(y_t),  A = (reward - mean) / std

N the tokens of the rollouts, M those of a batch of demonstrations from a shuffled stream, of whatever questions. Two
forms: CHORD-mu has phi = 1 and lets mu fall from 0.9 to 0.05 in a cosine of 200 steps (the defaults here); CHORD-phi
holds mu = 0.1 and has phi = p(1 - p), detached (preset `chord-phi`). Numbers: the authors' configuration and code
(Trinity-RFT, examples/mix_chord/mix_chord.yaml and trinity/algorithm/policy_loss_fn/chord_policy_loss.py at 0414330).
Its learning rate stands in a file that was not read: 1e-6 as for GRPO.

Departures: denominators are exact over the update, theirs are token means of micro-batches weighted by sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from relift.learner.update import Component, Update
from relift.trainer.answers import Answers
from relift.trainer.components import kind_of, rl_components, sft_component
from relift.trainer.recipe import Demonstrations, Method, Recipe, step_questions
from relift.trainer.step import Step

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "std",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "denominator": "tokens",
        "optimizer": {"lr": 1e-6},
    },
    "sft": {
        "loss": "sft",
        "denominator": "tokens",
        "mu_peak": 0.9,
        "mu_valley": 0.05,
        "mu_warmup_steps": 0,
        "mu_decay_steps": 200,
        "moments": "shared",
    },
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Train on the rollouts and on a batch of demonstrations, weighted 1 - mu and mu, in the same update."""
    assert recipe.rl is not None and recipe.sft is not None
    mu = recipe.sft.mu(step.number)
    rl = replace(recipe.rl, scale=recipe.rl.scale * (1 - mu), entropy_weight=recipe.rl.entropy_weight * (1 - mu))
    sft = replace(recipe.sft, scale=recipe.sft.scale * mu, entropy_weight=recipe.sft.entropy_weight * mu)
    for number, (_, component) in enumerate(rl_components(rl, step, answers)):
        demos = step.demonstrations((step.number - 1) * rl.updates_per_batch + number)
        step.buffer.record_uses(step.number, demos)
        parts: list[Component] = [] if component is None else [component]
        parts.append(sft_component(sft, demos))
        yield Update(kind_of(parts), sft.optimizer, tuple(parts))


METHOD = Method(DEFAULTS, updates, step_questions, Demonstrations.beside)
