"""Hint RL (QuestA, arXiv 2507.13266): some prompts have the start of a solution as a hint.

    L = -1/N sum_t min(r A, clip(r, 0.8, 1.2) A),  A among the attempts with the same prompt,  N the tokens of the batch

As prefix_rl, but the start of the demonstration stands after the problem in the user's words, and the policy writes
its whole answer. By default only questions whose last plain attempts were all wrong have a hint, at their next visit,
beside plain attempts. Preset `questa` has QuestA's curriculum on a hard set: half of the solution, then a quarter, in
the prompt of every attempt. `ghpo` gives hints within the step.

Departures: the share is drawn between prefix.low and prefix.high for each visit; the words around the hint are ours. A
hint with which the prompt is longer than data.max_prompt_tokens is not given. GRPO's loss and learning rate; the paper
was read in second-hand notes.
"""

from __future__ import annotations

from typing import Any

from relift.trainer.recipe import Demonstrations, Method
from relift.trainer.recipes import prefix_rl

DEFAULTS: dict[str, dict[str, Any]] = {
    **prefix_rl.DEFAULTS,
    "prefix": {"place": "prompt", "questions": "waiting", "low": 0.25, "high": 0.75},
}

METHOD = Method(DEFAULTS, prefix_rl.updates, prefix_rl.plan, Demonstrations.given)
