"""GSPO (Zheng et al., arXiv 2507.18071): the ratio of a whole sequence is clipped, not that of each token.

    L = -mean over sequences of min(s A, clip(s, 1 - 3e-4, 1 + 4e-4) A),  s = e^(mean of l - l_old over the sequence)

with A = (reward - mean) / std. Bounds and the four mini-batches of a batch of rollouts are those of section 5.1 there:
at the first of them s is 1, and nothing differs from GRPO. The paper gives no learning rate: 1e-6 as for GRPO.

Departures: standard deviation with ddof 1 and epsilon 1e-6, as in verl.
"""

from __future__ import annotations

from relift.trainer.recipe import Method
from relift.trainer.recipes import grpo

DEFAULTS = {
    "rl": {
        "loss": "gspo",
        "advantage": "std",
        "clip_low": 3e-4,
        "clip_high": 4e-4,
        "denominator": "sequences",
        "updates_per_batch": 4,
        "optimizer": {"lr": 1e-6},
    }
}

METHOD = Method(DEFAULTS, grpo.updates)
