"""Hint RL (GHPO, arXiv 2507.10628; QuestA, arXiv 2507.13266): some prompts have the start of a solution as a hint.

    L = -1/N sum_t min(r A, clip(r, 0.8, 1.2) A),  A among the attempts with the same prompt,  N the tokens of the batch

As prefix_rl, but the start of the demonstration stands after the problem in the user's words, and the policy writes
its whole answer. By default only questions whose last plain attempts were all wrong have a hint (GHPO's gate);
`prefix.questions = "all"` with prefix.low = prefix.high = 0.5, then 0.25, is QuestA's curriculum on a hard set.

Departures: GHPO gives the hint within the step in which all attempts failed, in place of them, and lengthens it from
25 % to 75 % in stages; here it comes at the question's next visit, beside plain attempts, with a share that is drawn
between the two for each visit. The words around the hint are ours. A hint with which the prompt is longer than
data.max_prompt_tokens is not given. GRPO's loss and learning rate; papers read in second-hand notes.
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
