"""GHPO (arXiv 2507.10628; github.com/hkgc-1/GHPO): a question that was all wrong is asked again with a hint, at once.

    L = -1/N sum_t min(r A, clip(r, 0.8, 1.2) A),  A = (reward - mean) / std,  N the tokens of the answers trained on

When all n attempts at a question are wrong, n more are made with the first quarter of its demonstration after the
problem, then with half and with three quarters as long as all are wrong; the last n take the place of those before
them. Only the first n, without a hint, count in gates, accuracy and trajectories; every answer costs its tokens.
Numbers: the authors' code at af0a7dd (src/ghpo/ghpo_trainer.py, recipes/Qwen2.5-Math-7B/ghpo/config_ghpo.yaml): shares
of 0.25, 0.5, 0.75, 8 attempts, no KL, learning rate 1e-6, cosine to 0 after 10 % of warm-up.

Departures: the words around the hint are ours, and it is cut in tokens, theirs in letters; epsilon of the deviation
1e-6, theirs 1e-4; no format reward unless `rl.format_reward` is set (theirs: 0.5); a mean over the tokens of the batch,
theirs of micro-batches. A hint with which the prompt is longer than data.max_prompt_tokens is not given.
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
        "optimizer": {"lr": 1e-6, "schedule": "cosine", "warmup_share": 0.1},
    },
    "prefix": {"place": "prompt", "stages": (0.25, 0.5, 0.75)},
}

METHOD = Method(DEFAULTS, reinforce_last, step_questions, Demonstrations.given, again=climb)
