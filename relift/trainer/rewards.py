"""Give graded rollouts the rewards that training sees. Verdicts stay: gates, bands and accuracies read them alone.

    reward = outcome + shaping,  outcome = 1 correct, 0 wrong, none where undecided

Shaping is the penalty for long answers of DAPO (arXiv 2503.14476, eq. 13): with B = `rl.overlong_tokens` an answer of n
tokens loses factor * clip((n - (rollout.max_tokens - B)) / B, 0, 1). `rl.truncated = "mask"` leaves the tokens of
answers that were cut off out of the loss; they stay in the mean of their group, as in TRL's mask_truncated_completions.

Axes: Q questions, G attempts at each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relift.config import Config
from relift.trainer.answers import Answers, Rewards
from relift.trainer.step import Ask

OVERLONG_SHARE = 0.2  # of rollout.max_tokens: 4,096 of 20,480 in DAPO's script (verl, run_dapo_qwen2.5_32b.sh)


@dataclass(frozen=True)
class Rewarding:
    """Rewards of a run's rollouts, as its configuration sets them; called with what was asked and its answers."""

    truncated: str
    max_tokens: int
    overlong_tokens: int
    overlong_factor: float

    def __call__(self, asked: Sequence[Ask], answers: Answers) -> Answers:
        """Give the answers with their rewards; as they are where nothing departs from the verdicts' 1 and 0."""
        if self.truncated == "wrong" or not len(answers):
            return answers
        outcome_QG = np.where(answers.decided_QG, answers.correct_QG, np.nan)
        shaping_QG = np.zeros(outcome_QG.shape)
        if self.truncated == "penalty":
            shaping_QG -= self.overlong_factor * self._excess_QG(answers)
        masked_QG = answers.cut_QG & (self.truncated == "mask")
        return replace(answers, rewards=Rewards(outcome_QG, shaping_QG, masked_QG))

    def _excess_QG(self, answers: Answers) -> np.ndarray:
        """Find the share of the last `overlong_tokens` that each answer takes: 0 to 1."""
        n_tokens_QG = np.array([[len(c.token_ids_T) for c in row] for row in answers.completions_QG], np.float64)
        return np.clip((n_tokens_QG - (self.max_tokens - self.overlong_tokens)) / self.overlong_tokens, 0.0, 1.0)


def rewarding_of(config: Config) -> Callable[[Sequence[Ask], Answers], Answers]:
    """Make the rewards of a run."""
    rl, longest = config.rl, config.rollout.max_tokens
    return Rewarding(
        truncated=rl.truncated,
        max_tokens=longest,
        overlong_tokens=min(rl.overlong_tokens or max(1, round(OVERLONG_SHARE * longest)), longest),
        overlong_factor=rl.overlong_factor,
    )
