"""DAPO (Yu et al., arXiv 2503.14476): a wider upper clip, a mean over tokens, groups without signal sampled anew.

    L = -1/N sum_t min(r A, clip(r, 0.8, 1.28) A),  A = (reward - mean) / std,  N the tokens of groups with signal

Groups without signal are left out before counting, and a step asks further questions until as many groups as it has
questions carry signal. The reward of a long answer falls over the last fifth of rollout.max_tokens, by at most half of
what right and wrong differ in (theirs: by 1, between 1 and -1). Numbers: the authors' script, verl's
recipe/dapo/run_dapo_qwen2.5_32b.sh.

Departures: rounds are as large as they need to be, theirs three batches each (trainer/refill.py); after the tenth a
step trains on what there is, theirs stops; no warm-up (theirs 10 steps) and a weight decay of 0.01 (theirs 0.1).
"""

from __future__ import annotations

from typing import Any

from relift.trainer.recipe import Method
from relift.trainer.recipes import grpo

DEFAULTS: dict[str, dict[str, Any]] = {
    "rl": {
        "loss": "ppo_clip",
        "advantage": "std",
        "clip_low": 0.2,
        "clip_high": 0.28,
        "denominator": "tokens",
        "drop_flat_groups": True,
        "truncated": "penalty",
        "overlong_factor": 0.5,
        "optimizer": {"lr": 1e-6},
    },
    "rollout": {"refill": 9},  # ten rounds in all
}

METHOD = Method(DEFAULTS, grpo.updates)
