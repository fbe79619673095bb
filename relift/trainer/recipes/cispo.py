"""CISPO (MiniMax-M1, arXiv 2506.13585): the ratio is capped and detached, so that no token loses its gradient.

    L = -1/N sum_t min(r, cap) A log pi(y_t),  min(r, cap) detached,  A = (reward - mean) / std,  N the tokens

The paper sets no lower bound and names no cap: 5 is to our knowledge that of ScaleRL (arXiv 2510.13786), not
checked there. The paper gives no learning rate either: 1e-6 as for GRPO.

Departures: N counts the tokens of the batch, theirs those of a question's group; no penalty for over-long answers;
AdamW as everywhere here, theirs has betas 0.9, 0.95 and epsilon 1e-15 for gradients of its own scale.
"""

from __future__ import annotations

from relift.trainer.recipe import Method
from relift.trainer.recipes import grpo

DEFAULTS = {
    "rl": {
        "loss": "cispo",
        "advantage": "std",
        "ratio_cap": 5.0,
        "denominator": "tokens",
        "optimizer": {"lr": 1e-6},
    }
}

METHOD = Method(DEFAULTS, grpo.updates)
