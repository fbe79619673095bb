"""DAPO (Yu et al., arXiv 2503.14476): a wider upper clip, a mean over tokens, groups without signal left out.

    L = -1/N sum_t min(r A, clip(r, 0.8, 1.28) A),  A = (reward - mean) / std,  N the tokens of groups with signal

Departures: groups without signal are left out before counting and *not* refilled by further sampling, so the batch
shrinks as questions are solved; no penalty for over-long answers. A mini-batch of such groups alone makes no step.
"""

from __future__ import annotations

from relift.trainer.recipe import Method
from relift.trainer.recipes import grpo

DEFAULTS = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "std",
        "clip_low": 0.2,
        "clip_high": 0.28,
        "denominator": "tokens",
        "drop_flat_groups": True,
        "optimizer": {"lr": 1e-6},  # to our knowledge theirs; not checked against the paper
    }
}

METHOD = Method(DEFAULTS, grpo.updates)
