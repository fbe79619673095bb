"""Dr. GRPO (Liu et al., arXiv 2503.20783): GRPO without its two biases, division by length and by deviation.

    L = -1/(sequences L_max) sum_t min(r A, clip(r, 0.8, 1.2) A),  A = reward - mean

Departures: none known to us; L_max is `rollout.max_tokens`.
"""

from __future__ import annotations

from relift.trainer.recipe import Method
from relift.trainer.recipes import grpo

DEFAULTS = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "mean",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "denominator": "max_tokens",
        "optimizer": {"lr": 1e-6},  # to our knowledge theirs; not checked against the paper
    }
}

METHOD = Method(DEFAULTS, grpo.updates)
