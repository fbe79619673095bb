"""DFT (Wu et al., arXiv 2508.05629): cross-entropy on demonstrations, each token weighted by its probability.

    L = -1/N sum_t p_t log pi(y_t),  p_t = pi(y_t) detached,  N the tokens of the batch

Numbers: the authors' code (README of github.com/yongliang-wu/DFT at 0622902: 5e-5, batches of 256, one epoch of
100,000 rows), cosine after 10 % of warm-up as the paper says. The number of steps and the batch are settings; preset
`dft-1.5b` has theirs.

Departures: betas and weight decay are ours, neither names them.
"""

from __future__ import annotations

from typing import Any

from relift.trainer.recipe import Demonstrations, Method
from relift.trainer.recipes import sft

DEFAULTS: dict[str, dict[str, Any]] = {
    "sft": {
        "loss": "dft",
        "denominator": "tokens",
        "optimizer": {"lr": 5e-5, "warmup_share": 0.1, "schedule": "cosine"},
    }
}

METHOD = Method(DEFAULTS, sft.updates, sft.plan, Demonstrations.stream)
